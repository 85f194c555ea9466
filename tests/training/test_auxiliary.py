"""Auxiliary classifiers: the loss of each counts by its weight in training, and they have no part in an answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import hubel
from hubel.training.numpy_engine import NumpyEngine
from hubel.training.recipe import Recipe
from hubel.training.torch_engine import TorchEngine
from hubel.zoo.pixels import Pixels

ENGINES = pytest.mark.parametrize("engine", [TorchEngine, NumpyEngine])
SHARES = (0.3, 0.8)


class TwoHeads(nn.Module):
    """5 numbers -> 6 -> 4 -> 3 classes, with a head behind each of the two hidden layers."""

    auxiliary = SHARES

    def __init__(self):
        super().__init__()
        self.one, self.two, self.fc = nn.Linear(5, 6), nn.Linear(6, 4), nn.Linear(4, 3)
        self.head1, self.head2 = nn.Linear(6, 3), nn.Linear(4, 3)

    def forward(self, x):
        a = torch.tanh(self.one(x))
        b = torch.tanh(self.two(a))
        return (self.fc(b), self.head1(a), self.head2(b)) if self.training else self.fc(b)


def learner(engine, **settings):
    torch.manual_seed(1)
    model = Pixels(TwoHeads(), picture=False)
    return engine(model, Recipe(**{"optimizer": "sgd", "weight_decay": 0.0} | settings), outputs=3)


def batch(n=8):
    rng = np.random.default_rng(2)
    return torch.from_numpy(rng.normal(size=(n, 5)).astype(np.float32)), torch.from_numpy(
        rng.integers(0, 3, n)
    )


def by_hand(smoothing=0.0):
    """The loss of a batch, each head's share written out, and its slope by each parameter."""
    torch.manual_seed(1)
    network, (x, t) = TwoHeads(), batch()
    losses = [F.cross_entropy(y, t, label_smoothing=smoothing) for y in network(x)]
    loss = losses[0] + 0.3 * losses[1] + 0.8 * losses[2]
    loss.backward()
    return loss.item(), losses[0].item(), network


@ENGINES
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_is_the_answers_and_a_share_of_each_heads(engine, smoothing):
    x, t = batch()
    loss, right = learner(engine, label_smoothing=smoothing).forward(x, t, 0)
    wanted, alone, network = by_hand(smoothing)
    assert loss.item() == pytest.approx(wanted, rel=1e-6) and wanted > alone
    assert int(right) == (network(x)[0].argmax(1) == t).sum()  # of the answer alone


@ENGINES
def test_a_step_follows_the_slope_of_that_sum(engine):
    made = learner(engine)
    made.forward(*batch(), 0)
    made.step(0.5)
    _, _, network = by_hand()
    live = made.weights()
    for name, p in network.named_parameters():
        torch.testing.assert_close(live[name], (p - 0.5 * p.grad).detach(), msg=name)


@ENGINES
def test_what_is_measured_is_the_answer_alone(engine):
    made = learner(engine)
    loss, _ = made.examine(*batch())
    assert loss == pytest.approx(by_hand()[1], rel=1e-6)


@ENGINES
def test_heads_without_weights_are_a_mistake_of_the_network(engine):
    made = learner(engine)
    made.model.network.auxiliary = (0.3,)
    with pytest.raises(ValueError, match="zip"):
        made.forward(*batch(), 0)


def test_both_engines_walk_the_same_path():
    torch_one, numpy_one = (learner(engine, optimizer="adam") for engine in (TorchEngine, NumpyEngine))
    losses = []
    for step in range(20):
        pair = [made.forward(*batch(), step)[0].item() for made in (torch_one, numpy_one)]
        assert pair[1] == pytest.approx(pair[0], rel=1e-4)
        losses.append(pair[0])
        torch_one.step(0.05)
        numpy_one.step(0.05)
    assert losses[-1] < losses[0] / 2


def test_a_network_with_heads_is_trained_saved_and_asked_like_any_other(tmp_path):
    small = {"network": "googlenet", "arguments": {"width": 0.04}, "input_size": (47, 50)}
    run = hubel.train("digits", out=tmp_path / "run", epochs=1, threads=1, **small)
    before = {name: t.clone() for name, t in run.model.network.state_dict().items()}
    assert any(name.startswith("aux2") for name in before)
    assert 0 <= hubel.evaluate(run).accuracy <= 1
    again = hubel.load(tmp_path / "run").model.network.state_dict()
    assert all(torch.equal(again[name], t) for name, t in before.items())

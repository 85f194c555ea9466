"""Layers that do not learn: nothing of them moves, the others learn as if alone, and remembering changes no result."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import hubel
from hubel.errors import InputError
from hubel.training import freezing, prepare
from hubel.training.recipe import Recipe
from hubel.training.torch_engine import TorchEngine
from hubel.zoo.pixels import Pixels

# A network with norms, of 11 layers with parameters; nothing that makes two ways of computing differ by much.
QUIET = {
    "network": "fast-digits", "precision": "fp32", "device": "cpu", "shift": 0.0, "rotate": 0.0, "scale": 0.0,
    "brightness": 0.0, "optimizer": "momentum", "lr": 0.05, "ema": 0.0, "val": 100,
}  # fmt: skip


def trained(tmp_path, name, **settings):
    return hubel.train("digits", out=tmp_path / name, **{**QUIET, **settings})


def state(run):
    return {name: t.numpy().copy() for name, t in run.model.network.state_dict().items()}


def moved(a, b):
    return {name for name in a if not np.array_equal(a[name], b[name])}


def test_a_frozen_backbone_stays_to_the_last_bit_with_its_statistics(tmp_path):
    fresh = state(trained(tmp_path, "fresh", epochs=0))
    for name, augmented in (("remembered", 0.0), ("augmented", 1.0)):
        run = trained(tmp_path, name, epochs=2, freeze="backbone", shift=augmented)
        assert moved(fresh, state(run)) == {"classifier.weight", "classifier.bias"}, name
        losses = [row["train_loss"] for row in run.history]
        assert losses[1] < losses[0]


def test_the_first_layers_alone_stay(tmp_path):
    fresh = state(trained(tmp_path, "fresh", epochs=0))
    changed = moved(fresh, state(trained(tmp_path, "run", epochs=1, freeze="4")))
    layers = [row.name for row in hubel.load(tmp_path / "run").layers() if row.parameters]
    still = [name for name in fresh if name.rpartition(".")[0] in layers[:4]]
    assert len(still) >= 8 and not changed & set(still)
    assert {name for name in fresh if name.rpartition(".")[0] in layers[4:]} == changed


def test_what_is_remembered_is_what_would_be_computed(tmp_path, monkeypatch):
    """Of five layers with norms the front is cut off, or computed anew each time: the same training."""
    settings = {"epochs": 3, "freeze": "6"}
    quick = trained(tmp_path, "quick", **settings)
    monkeypatch.setattr(freezing, "MOST", 0)
    plain = trained(tmp_path, "plain", **settings)
    for a, b in zip(quick.history, plain.history, strict=True):
        assert a["train_loss"] == pytest.approx(b["train_loss"], rel=1e-4)
        assert a["val_loss"] == pytest.approx(b["val_loss"], rel=1e-4)
    a, b = state(quick), state(plain)
    assert all(np.allclose(a[name], b[name], rtol=1e-3, atol=1e-4) for name in a)


def test_each_item_goes_through_the_front_once():
    seen = []

    def front(inputs):
        seen.extend(inputs[:, 0].tolist())
        return 2 * inputs

    inputs = torch.arange(12.0).reshape(6, 2)
    train, val = freezing.Memory.of(front, inputs, torch.empty(0, 2))
    seen.clear()  # one was looked at for its shape
    assert train[torch.tensor([4, 1])].tolist() == [[16, 18], [4, 6]]
    assert train[torch.tensor([1, 0, 4])].tolist() == [[4, 6], [0, 2], [16, 18]]
    assert seen == [8.0, 2.0, 0.0] and len(val.values) == 0
    train[torch.tensor([4])].zero_()
    assert train[torch.tensor([4])].tolist() == [[16, 18]]  # what is given out is a copy


def test_from_an_epoch_on_all_layers_learn(tmp_path):
    frozen = trained(tmp_path, "frozen", epochs=3, freeze="backbone")
    thawed = trained(tmp_path, "thawed", epochs=3, freeze="backbone", unfreeze_at=3)
    assert frozen.history[:2] == thawed.history[:2] and frozen.history[2] != thawed.history[2]
    assert {name.rpartition(".")[2] for name in moved(state(frozen), state(thawed))} >= {
        "weight",
        "running_mean",
    }
    names = dict(thawed.model.network.named_parameters())
    assert moved(state(frozen), state(thawed)) >= set(names)


def test_dropout_in_the_frozen_front_lets_all_through_and_behind_it_drops():
    line = "fc8 relu drop0.5 fc8 relu drop0.5 fc8 relu drop0.5 fc"
    torch.manual_seed(0)
    network = hubel.create(line, 3, (4,))
    engine = TorchEngine(Pixels(network, picture=False), Recipe(freeze="2", device="cpu"), outputs=3)
    drops = [m for m in network.modules() if isinstance(m, torch.nn.Dropout)]
    engine.forward(torch.rand(5, 4), torch.zeros(5, dtype=torch.int64), seed=0)
    assert [m.training for m in drops] == [False, True, True]
    # The cut stands before the first dropout that is drawn.
    assert engine.frozen.layers == 2 and engine.front(torch.rand(5, 4)).shape == (5, 8)
    assert sum(isinstance(m, torch.nn.Dropout) for m in engine.frozen.behind.modules()) == 2


def test_the_last_layer_has_its_own_rate():
    x, target = torch.rand(6, 4), torch.tensor([0, 1, 2, 0, 1, 1])

    def step(**settings):
        torch.manual_seed(0)
        network = hubel.create("fc5 tanh fc", 3, (4,))
        before = [p.detach().clone() for p in network.parameters()]
        recipe = Recipe(optimizer="sgd", lr=0.1, device="cpu", **settings)
        engine = TorchEngine(Pixels(network, picture=False), recipe, outputs=3)
        engine.forward(x, target, 0)
        engine.step(0.1)
        return [p.detach() - b for p, b in zip(network.parameters(), before, strict=True)]

    usual, faster, still = step(), step(head_lr=3.0), step(head_lr=0.0)
    for one, three, times in zip(usual, faster, (1, 1, 3, 3), strict=True):
        torch.testing.assert_close(three, times * one, rtol=1e-4, atol=1e-7)
    assert [bool(d.abs().max() > 0) for d in still] == [True, True, False, False]


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"freeze": "back"}, "freeze is none, backbone, or a count of layers from 1 on, got 'back'"),
        ({"freeze": "0"}, "a count of layers from 1 on, got '0'"),
        ({"freeze": "11"}, "--freeze 11: the network has 10 layers with parameters before its last one, 'classifier', which must learn; so at most 10 can be frozen"),
        ({"unfreeze_at": 3}, "none are: add --freeze backbone"),
        ({"freeze": "backbone", "engine": "numpy"}, "--engine numpy does not go with --freeze: there all layers learn alike"),
        ({"head_lr": 2.0, "engine": "numpy"}, "--engine numpy does not go with --head-lr"),
    ],
)  # fmt: skip
def test_what_cannot_be_frozen_is_told(tmp_path, settings, text):
    with pytest.raises(InputError) as e:
        job = prepare("digits", network="fast-digits", out=tmp_path / "run", **settings)
        job.begin()
    assert text in str(e.value)

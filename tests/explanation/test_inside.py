"""A network's inside: values of any layer, with gradients through them; all that is borrowed is given back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import hubel
from hubel.errors import InputError, UnknownName
from hubel.explanation.inside import Inside, asking, classes_named, pixels
from hubel.replay import replay


@pytest.fixture
def x(run):
    return torch.from_numpy(run.dataset().test.inputs[:3].copy()).float() / 255


def test_every_layer_is_what_the_definitions_make_of_it(run, x):
    # The network works in place: what a norm gave would be lost under its ReLU if it were not kept.
    names = [row.name for row in Inside(run).layers]
    _, found = Inside(run).values(x, names)
    expected = replay(run.model.network, run.model.normalized(x).numpy())
    for name in names:
        np.testing.assert_allclose(found[name].detach(), expected.layer(name).value, atol=1e-4)


def test_a_gradient_at_a_layer_is_the_difference_of_the_logit(run, x):
    name = "features.1"  # a norm, whose output the ReLU after it overwrites
    x.requires_grad_(True)
    logits, found = Inside(run).values(x, [name])
    (slopes,) = torch.autograd.grad(logits[:, 4].sum(), found[name])
    behind = Inside(run).parts.behind(name).eval()
    kept = found[name].detach().double()
    cell = tuple(int(i) for i in np.unravel_index(int(slopes[0].abs().argmax()), slopes.shape[1:]))
    low, high = kept.clone(), kept.clone()
    low[(0, *cell)] -= 1e-4
    high[(0, *cell)] += 1e-4
    with torch.no_grad():
        double = behind.double()
        difference = (double(high.clone())[0, 4] - double(low.clone())[0, 4]) / 2e-4
        behind.float()
    assert float(slopes[(0, *cell)]) == pytest.approx(float(difference), rel=1e-3)


def test_all_that_is_borrowed_is_given_back_after_failure(run):
    model, layer = run.model, next(iter(run.model.modules()))
    model.train()
    first = next(model.parameters())
    first.requires_grad_(False)
    torch.manual_seed(7)
    expected = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), asking(run, seed=3):
        assert not model.training
        assert not any(p.requires_grad for p in model.parameters())
        layer.register_forward_hook(lambda *_: None)
        torch.rand(5)
        raise ZeroDivisionError
    assert model.training and not layer._forward_hooks
    assert [p.requires_grad for p in model.parameters()] == [False] + [True] * (
        len([*model.parameters()]) - 1
    )
    assert torch.equal(torch.get_rng_state(), expected)
    first.requires_grad_(True)
    model.eval()


def test_the_seed_alone_says_what_is_drawn(run):
    drawn = []
    for seed in (1, 1, 2):
        with asking(run, seed=seed):
            drawn.append(torch.rand(4))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_a_network_without_maps_says_what_its_layers_give(tmp_path):
    run = hubel.train("digits", network="mlp", out=tmp_path / "mlp", epochs=0)
    with pytest.raises(InputError, match=r"no layer with maps.*saliency"):
        _ = Inside(run).last_maps


def test_a_layer_without_maps_is_refused_by_name(run):
    with pytest.raises(InputError, match=r"classifier gives \(10,\), not maps.*features\.0"):
        Inside(run).with_maps("classifier")
    with pytest.raises(UnknownName, match=r"Did you mean 'features\.3'"):
        Inside(run).layer("feature.3")


def test_a_class_is_said_by_name_or_by_number(run):
    assert classes_named(run, ["7", "0"]) == [7, 0]
    with pytest.raises(UnknownName, match="no class named 'ten'"):
        classes_named(run, ["ten"])


def test_there_must_be_something_to_ask_about(run):
    with pytest.raises(InputError, match="no picture"):
        pixels(run, [])


def test_a_shared_layer_is_kept_at_its_own_place():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.relu, self.a, self.b = nn.ReLU(inplace=True), nn.Linear(3, 4), nn.Linear(4, 2)

        def forward(self, x):
            return self.relu(self.b(self.relu(self.a(x))))

    from hubel.zoo.parts import Parts

    torch.manual_seed(0)
    network, x = Twice(), torch.randn(5, 3)
    y, first, second = Parts(network).giving(["relu", "relu#2"])(x)
    assert torch.equal(first, network.a(x).relu())
    assert torch.equal(second, y) and second.shape == (5, 2)

"""Every network's replay is PyTorch's; mistakes that only a network shows are seen; and what is set up for it is fair."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import hubel.definitions as d
from hubel import zoo
from hubel.definitions import dense, normalisation
from hubel.errors import InputError, UnknownName
from hubel.replay import Program
from hubel.verification import networks, rows, verify
from hubel.zoo.entry import as_it_is, pictures


@pytest.mark.parametrize("name", zoo.names())
def test_every_networks_replay_is_pytorchs(name):
    (row,) = verify([name], seed=1)
    assert row.wrong == ""
    assert (row.module, row.cases) == ("networks", 2)  # in use and in training
    assert row.within == {"float64": rows.Errors(1e-8, 1e-8), "float32": rows.Errors(1e-4, None)}
    assert row.errors["float64"].backward > 0 and row.errors["float32"].backward is None


@pytest.mark.parametrize("name", zoo.names())
def test_nothing_hides_a_mistake(name):
    """No weights that are all alike, no statistics of 0 and 1; wider than high where the network takes it."""
    network, shape = networks.built(name, seed=0)
    assert [n for n, p in network.named_parameters() if p.numel() > 1 and p.std() == 0] == []
    for n, b in network.named_buffers():
        if n.endswith(("running_mean", "running_var")):
            assert (b - b.round()).abs().min() > 0, n
    entry = zoo.lookup(name)
    wide = entry.takes((entry.input[0], 40, 45))[1:]
    assert "input" in entry.small or (shape[1] == shape[2]) == (wide[0] == wide[1])


LINE = "conv6x3/2 bn relu 2*(res(conv6x3+same relu)) drop0.3 inc(conv2x1 | pool3/1+1) fc"


def test_a_network_in_one_line_is_verified_behind_what_has_a_name():
    relu, line = verify([LINE, "relu", LINE])
    assert (relu.name, line.name, line.module, line.cases, line.wrong) == ("relu", LINE, "networks", 2, "")
    assert 0 < line.errors["float64"].backward < 1e-8


def test_a_line_with_a_mistake_is_refused_before_anything_is_compared():
    with pytest.raises(InputError, match="conv is written as conv20x5"):
        verify(["relu", "conv8x relu fc"])


def test_a_line_is_a_network_that_can_be_left_out():
    with pytest.raises(UnknownName, match=r"no operation named 'conv8x3 fc'.*It is a network"):
        verify(["conv8x3 fc"], with_networks=False)


def test_the_seed_draws_the_weights_and_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    a, b, c = (networks.built("mlp", seed)[0].layers[1].weight for seed in (0, 0, 1))
    assert torch.equal(a, b) and not torch.equal(a, c)
    assert torch.equal(before, torch.random.get_rng_state())


def entry(build, shape, takes, **more):
    return zoo.Entry(build, shape, 0, "", "", takes, **more)


def test_of_a_large_network_the_small_twin_is_verified(monkeypatch):
    twin = {"input": (3, 9, 14), "classes": 4, "width": 0.25}
    monkeypatch.setitem(
        zoo.ZOO, "large", entry("fast:FastPictures", (3, 224, 224), pictures, classes=1000, small=twin)
    )
    network, shape = networks.built("large", 0)
    assert shape == (3, 9, 14) and network.classifier.weight.shape == (4, 32)  # 128 maps, a quarter of them
    assert verify(["large"])[0].wrong == ""


def test_a_network_with_a_class_count_of_its_own_keeps_it(monkeypatch):
    monkeypatch.setitem(zoo.ZOO, "many", entry("mlp:MLP", (4,), as_it_is, classes=17))
    assert networks.built("many", 0)[0].layers[-1].out_features == 17


def test_an_entry_that_cannot_be_built_is_told(monkeypatch):
    monkeypatch.setitem(zoo.ZOO, "broken", entry("lenet5:LeNet5", (1, 8, 8), as_it_is))
    (row,) = verify(["broken"])
    assert not row.ok and row.wrong.startswith("case 'replay' in float64: ShapeError is raised: ")


def test_a_step_without_a_definition_is_told(monkeypatch):
    class Odd(nn.Module):
        def __init__(self, classes, input):  # noqa: A002
            super().__init__()
            self.answer = nn.Linear(4, classes)

        def forward(self, x):
            return self.answer(torch.special.bessel_j0(x))

    monkeypatch.setattr("hubel.zoo.mlp.Odd", Odd, raising=False)
    monkeypatch.setitem(zoo.ZOO, "odd", entry("mlp:Odd", (4,), as_it_is))
    (row,) = verify(["odd"])
    assert not row.ok and "InputError is raised: " in row.wrong and "bessel_j0" in row.wrong


# ---- mistakes that show in training alone ----


def test_statistics_that_stay_where_they_are_are_seen(monkeypatch):
    still = lambda x, mean, variance, momentum=0.1: normalisation.Statistics(mean, variance)  # noqa: E731
    monkeypatch.setattr(d, "running_statistics", still)
    (row,) = verify(["fast-digits"])
    assert (
        "case 'in training' in float64: features." in row.wrong and " after the step is off by" in row.wrong
    )


def test_a_dropout_that_does_not_divide_is_seen(monkeypatch):
    monkeypatch.setattr(dense, "_scale", lambda x, mask, p: mask.astype(x.dtype))
    (row,) = verify(["lenet-tf"])
    assert "case 'in training' in float64: the output is off by" in row.wrong


def test_a_gradient_of_one_layer_that_is_off_is_named(monkeypatch):
    right = dense.linear_backward
    monkeypatch.setattr(dense, "linear_backward", lambda *a: (*right(*a)[:2], 2 * right(*a)[2]))
    (row,) = verify(["lenet5"])
    assert "case 'in use' in float64: d classifier." in row.wrong and ".bias is off by" in row.wrong


def test_dropout_is_given_back_its_share_and_its_hooks_are_removed():
    network = nn.Sequential(
        nn.Dropout(0.3), nn.Linear(4, 2), nn.Unflatten(1, (2, 1, 1)), nn.Dropout2d(0.4, inplace=True)
    )
    network.train()
    with pytest.raises(ZeroDivisionError), networks.dropped(network, np.random.default_rng(0)) as masks:
        network(torch.ones(5, 4))
        1 / 0  # noqa: B018
    assert (network[0].p, network[3].p) == (0.3, 0.4)
    assert not network[0]._forward_hooks and not network[3]._forward_hooks
    assert list(masks) == ["0", "3"]


@pytest.mark.parametrize("inplace", [False, True])
def test_both_sides_drop_the_same_units_and_maps(inplace):
    network = nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.Dropout2d(0.5, inplace), nn.Flatten(), nn.Dropout(0.2, inplace)
    )
    network.double().train()
    x = np.random.default_rng(0).standard_normal((3, 1, 5, 6))
    with networks.dropped(network, np.random.default_rng(1)) as masks:
        y = network(torch.tensor(x)).detach().numpy()
    assert masks["1"].shape == (3, 6, 1, 1) and masks["3"].shape == (3, 72)
    np.testing.assert_allclose(
        Program(network, training=True).run(x, masks=masks).output.value, y, atol=1e-13
    )
    # of 18 maps some are dropped whole, and of those that stay some units
    maps = y.reshape(3, 6, 12)
    assert 0 < (maps == 0).all(2).sum() < 18 and ((maps == 0).sum(2) % 12).any()

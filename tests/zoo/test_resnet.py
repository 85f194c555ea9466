"""The residual networks: the counts and sizes of Table 1, the names of public weights."""

from __future__ import annotations

import pytest
import torch
from claims import assert_is_what_its_entry_says, multiply_adds, on_paper, parameters, sizes
from torch.nn import functional as F

import hubel
from hubel import zoo
from hubel.errors import InputError, ShapeError, UnknownName
from hubel.zoo.resnet import Basic, Bottleneck

RESNETS = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]


@pytest.mark.parametrize("name", RESNETS)
def test_each_is_what_its_entry_says(name):
    assert_is_what_its_entry_says(name)


@pytest.mark.parametrize("name", RESNETS)
def test_multiply_adds_are_those_published(name):
    entry = zoo.ZOO[name]
    assert multiply_adds(on_paper(name), entry.input) == pytest.approx(entry.multiply_adds, rel=0.01)


@pytest.mark.parametrize(
    ("name", "billions"), [("resnet50", 3.8), ("resnet101", 7.6), ("resnet152", 11.3)]
)  # Table 1, last line
def test_as_published_halves_in_the_first_1x1_and_costs_what_table_1_says(name, billions):
    network = on_paper(name, as_published=True)
    # The table gives two digits; counted by hand: 3.858, 7.570, 11.282.
    assert multiply_adds(network, (3, 224, 224)) / 1e9 == pytest.approx(billions, rel=0.025)
    assert network.layer2[0].conv1.stride == (2, 2) and network.layer2[0].conv2.stride == (1, 1)
    assert parameters(network) == zoo.ZOO[name].parameters


@pytest.mark.parametrize(
    ("name", "factor"), [("resnet18", 1), ("resnet34", 1), ("resnet50", 4), ("resnet152", 4)]
)
def test_output_sizes_are_those_of_table_1(name, factor):
    found = sizes(on_paper(name), (3, 224, 224))
    wanted = {
        "conv1": (64, 112, 112), "maxpool": (64, 56, 56), "layer1": (64 * factor, 56, 56),
        "layer2": (128 * factor, 28, 28), "layer3": (256 * factor, 14, 14), "layer4": (512 * factor, 7, 7),
        "avgpool": (512 * factor, 1, 1), "fc": (1000,),
    }  # fmt: skip
    assert {path: found[path] for path in wanted} == wanted


@pytest.mark.parametrize(("name", "layers"), [(n, int(n.removeprefix("resnet"))) for n in RESNETS])
def test_a_name_counts_the_layers_with_weights_outside_of_shortcuts(name, layers):
    state = on_paper(name).state_dict()
    assert sum(v.dim() >= 2 and "downsample" not in k for k, v in state.items()) == layers


def test_layers_have_the_names_of_public_weights():
    state = on_paper("resnet50").state_dict()
    assert len(state) == 320  # as the public file has them
    assert state["layer1.0.downsample.0.weight"].shape == (256, 64, 1, 1)
    assert state["layer4.2.conv2.weight"].shape == (512, 512, 3, 3)
    assert state["layer3.5.bn3.running_var"].shape == (1024,)
    assert state["fc.weight"].shape == (1000, 2048)
    assert "layer1.0.downsample.0.weight" not in on_paper("resnet18").state_dict()  # the identity will do


def test_a_small_stem_keeps_small_pictures_large():
    found = sizes(on_paper("resnet18", classes=10, input=(3, 32, 32), stem="small"), (3, 32, 32))
    assert [found[f"layer{n}"] for n in (1, 2, 3, 4)] == [
        (64, 32, 32),
        (128, 16, 16),
        (256, 8, 8),
        (512, 4, 4),
    ]


@pytest.mark.parametrize(("unit", "maps"), [(Basic, 4), (Bottleneck, 1)])
def test_a_unit_adds_what_it_was_given(unit, maps):
    # With the last norm's scale at zero F is zero, and y = relu(0 + x).
    block = unit(4, maps, 1)
    torch.nn.init.zeros_((block.bn2 if unit is Basic else block.bn3).weight)
    x = torch.randn(2, 4, 5, 6)
    torch.testing.assert_close(block(x), F.relu(x))


@pytest.mark.parametrize(("unit", "maps"), [(Basic, 4), (Bottleneck, 1)])
def test_a_unit_that_halves_projects_also_where_the_maps_stay(unit, maps):
    assert unit(4, maps, 2)(torch.randn(2, 4, 5, 8)).shape == (2, 4, 3, 4)


def test_zero_last_begins_with_every_branch_at_zero():
    network = hubel.create("resnet50", 5, (3, 32, 32), width=0.125, zero_last=True)
    last = [m.bn3.weight for m in network.modules() if isinstance(m, Bottleneck)]
    assert len(last) == 16 and not any(w.any() for w in last)
    assert network.bn1.weight.all()


def test_weights_begin_as_he_et_al_have_them():
    torch.manual_seed(0)
    w = hubel.create("resnet18").layer2[0].conv1.weight  # 128 maps of 64 x 3 x 3
    # var = 2 / fan out; fan out 128 * 9 = 1152; 73,728 draws: the deviation is known to 0.3 %
    assert w.std().item() == pytest.approx((2 / 1152) ** 0.5, rel=0.015)


def test_width_scales_the_maps():
    assert sizes(on_paper("resnet50", width=0.5), (3, 64, 96))["layer4"] == (1024, 2, 3)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: hubel.create("resnet18", stem="tiny"),
            UnknownName,
            r"no stem named 'tiny'.* Known: imagenet, small",
        ),
        (
            lambda: hubel.create("resnet18", blocks=(1, 2)),
            InputError,
            r"four stages of one unit or more, got blocks=\(1, 2\)",
        ),
        (
            lambda: hubel.create("resnet18", 10, (7,)),
            ShapeError,
            r"takes pictures \(C, H, W\), the input is \(7,\)",
        ),
    ],
)
def test_errors_name_both_sides(call, error, text):
    with pytest.raises(error, match=text):
        call()

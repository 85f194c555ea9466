"""Inception-v4 against Figures 3 to 9 of its paper; Inception-ResNet-v2 as released."""

from __future__ import annotations

import pytest
import torch
from claims import multiply_adds, on_paper, parameters, sizes
from torch import nn
from torch.nn import functional as F

from hubel import zoo
from hubel.errors import InputError, ShapeError
from hubel.zoo.convolution_unit import Branches, ConvUnit, row
from hubel.zoo.inception_v4 import Residual

NAMES = pytest.mark.parametrize("name", ["inception-v4", "inception-resnet-v2"])


def test_sizes_of_figures_3_and_9():
    found = sizes(on_paper("inception-v4"), (3, 299, 299))
    assert [found[f"features.{n}"] for n in range(22)] == [
        (32, 149, 149), (32, 147, 147), (64, 147, 147), (160, 73, 73), (192, 71, 71), (384, 35, 35),
        *[(384, 35, 35)] * 4, (1024, 17, 17), *[(1024, 17, 17)] * 7, (1536, 8, 8), *[(1536, 8, 8)] * 3,
    ]  # fmt: skip
    assert [found[n] for n in ("avgpool", "dropout", "last_linear")] == [(1536, 1, 1), (1536,), (1000,)]


def test_sizes_of_the_released_inception_resnet():
    found = sizes(on_paper("inception-resnet-v2"), (3, 299, 299))
    assert {path: size for path, size in found.items() if path and "." not in path} == {
        "conv2d_1a": (32, 149, 149), "conv2d_2a": (32, 147, 147), "conv2d_2b": (64, 147, 147), "maxpool_3a": (64, 73, 73),
        "conv2d_3b": (80, 73, 73), "conv2d_4a": (192, 71, 71), "maxpool_5a": (192, 35, 35), "mixed_5b": (320, 35, 35),
        "repeat": (320, 35, 35), "mixed_6a": (1088, 17, 17), "repeat_1": (1088, 17, 17), "mixed_7a": (2080, 8, 8),
        "repeat_2": (2080, 8, 8), "block8": (2080, 8, 8), "conv2d_7b": (1536, 8, 8), "avgpool": (1536, 1, 1),
        "dropout": (1536,), "classif": (1000,),
    }  # fmt: skip
    assert {"repeat.9", "repeat_1.19", "repeat_2.8"} <= set(found) and "repeat_1.20" not in found


# A row of units: (maps, rows of the window, columns) each. Figures 4 to 8, k, l, m, n = 192, 224, 256, 384 (Table 1).
FIGURES = {
    "features.6": [[(96, 1, 1)], [(64, 1, 1), (96, 3, 3)], [(64, 1, 1), (96, 3, 3), (96, 3, 3)], [(96, 1, 1)]],
    "features.10": [[(384, 3, 3)], [(192, 1, 1), (224, 3, 3), (256, 3, 3)], []],
    "features.11": [
        [(384, 1, 1)], [(192, 1, 1), (224, 1, 7), (256, 7, 1)],
        [(192, 1, 1), (192, 7, 1), (224, 1, 7), (224, 7, 1), (256, 1, 7)], [(128, 1, 1)],
    ],
    "features.18": [
        [(192, 1, 1), (192, 3, 3)], [(256, 1, 1), (256, 1, 7), (320, 7, 1), (320, 3, 3)], [],
    ],
}  # fmt: skip


@pytest.mark.parametrize("at", FIGURES)
def test_branches_of_the_figures(at):
    module = on_paper("inception-v4").get_submodule(at)
    found = [
        [(m.out_channels, *m.kernel_size) for m in branch.modules() if isinstance(m, nn.Conv2d)]
        for branch in module.children()
    ]
    assert found == FIGURES[at]


def test_figure_6_has_branches_within_branches():
    module = on_paper("inception-v4").get_submodule("features.19")
    found = {
        path.removesuffix(".conv"): (m.out_channels, *m.kernel_size)
        for path, m in module.named_modules()
        if isinstance(m, nn.Conv2d)
    }
    assert found == {
        "branch0": (256, 1, 1), "branch1_0": (384, 1, 1), "branch1_1a": (256, 1, 3), "branch1_1b": (256, 3, 1),
        "branch2_0": (384, 1, 1), "branch2_1": (448, 3, 1), "branch2_2": (512, 1, 3), "branch2_3a": (256, 1, 3),
        "branch2_3b": (256, 3, 1), "branch3.1": (256, 1, 1),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "count", "work"),
    [("inception-v4", 42_679_816, 12.25e9), ("inception-resnet-v2", 55_843_464, 13.15e9)],
)
def test_counts(name, count, work):
    network = on_paper(name)
    assert parameters(network) == count
    assert multiply_adds(network, (3, 299, 299)) == pytest.approx(work, rel=0.01)


def test_keys_of_the_public_weights():
    assert {
        "features.0.conv.weight", "features.3.conv.bn.weight", "features.4.branch1.3.conv.weight", "features.6.branch3.1.bn.bias",
        "features.21.branch2_3b.conv.weight", "last_linear.bias",
    } <= set(on_paper("inception-v4").state_dict())  # fmt: skip
    assert {
        "conv2d_1a.conv.weight", "mixed_5b.branch1.1.bn.running_var", "repeat.0.branch2.2.conv.weight", "repeat_1.19.conv2d.bias",
        "mixed_7a.branch2.2.conv.weight", "block8.conv2d.weight", "conv2d_7b.bn.weight", "classif.weight",
    } <= set(on_paper("inception-resnet-v2").state_dict())  # fmt: skip


def test_a_residual_module_adds_a_share_of_what_its_branches_say():
    torch.manual_seed(0)
    branches = {"a": ConvUnit(5, 3, 1), "b": row(5, (4, 1), (2, (1, 3)))}
    module = Residual(5, 0.25, **branches).eval()
    x = torch.randn(2, 5, 4, 6)
    joined = torch.cat([branches["a"](x), branches["b"](x)], 1)
    added = F.conv2d(joined, module.conv2d.weight, module.conv2d.bias)
    torch.testing.assert_close(module(x), F.relu(x + 0.25 * added))
    last = Residual(5, 0.25, last=True, **branches).eval()
    last.load_state_dict(module.state_dict())
    torch.testing.assert_close(last(x), x + 0.25 * added)


def test_the_scales_of_the_released_network():
    network = on_paper("inception-resnet-v2")
    found = [(m.scale, m.relu is not None) for m in network.modules() if isinstance(m, Residual)]
    assert found == [(0.17, True)] * 10 + [(0.10, True)] * 20 + [(0.20, True)] * 9 + [(1.0, False)]


def test_a_row_keeps_the_size_unless_told_otherwise():
    x = torch.zeros(1, 2, 9, 10)
    assert row(2, (3, 3), (4, (1, 7)), (5, (7, 1)))(x).shape == (1, 5, 9, 10)
    assert row(2, (3, 1), (4, 3, "valid"))(x).shape == (1, 4, 7, 8)
    assert row(2, (3, 3), (4, 3, "half"))(x).shape == (1, 4, 4, 4)
    assert Branches(2, pool=nn.MaxPool2d(3, 2), conv=row(2, (4, 3, "half"))).maps == 6


@NAMES
def test_bad_blocks_and_small_pictures_are_named(name):
    with pytest.raises(InputError, match=r"three kinds of modules, one or more of each, got blocks=\(1, 2\)"):
        on_paper(name, blocks=(1, 2))
    with pytest.raises(InputError, match=r"got blocks=\(1, 0, 2\)"):
        on_paper(name, blocks=(1, 0, 2))
    with pytest.raises(ShapeError, match=r"90x74 are too small: this network needs 75 pixels"):
        on_paper(name, input=(3, 90, 74))
    assert sizes(on_paper(name, classes=3, input=(1, 75, 90)), (1, 75, 90))[""] == (3,)
    assert zoo.ZOO[name].takes((3, 20, 30)) == (3, 75, 75)

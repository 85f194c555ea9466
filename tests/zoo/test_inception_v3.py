"""Inception-v3 as released: sizes, counts, the branches of each module, the auxiliary classifier."""

from __future__ import annotations

import pytest
import torch
from claims import multiply_adds, on_paper, parameters, sizes
from torch import nn

from hubel import zoo
from hubel.errors import ShapeError


def test_sizes_of_the_released_network():
    found = sizes(on_paper("inception-v3"), (3, 299, 299))
    assert {path: size for path, size in found.items() if path and "." not in path} == {
        "Conv2d_1a_3x3": (32, 149, 149), "Conv2d_2a_3x3": (32, 147, 147), "Conv2d_2b_3x3": (64, 147, 147),
        "maxpool1": (64, 73, 73), "Conv2d_3b_1x1": (80, 73, 73), "Conv2d_4a_3x3": (192, 71, 71), "maxpool2": (192, 35, 35),
        "Mixed_5b": (256, 35, 35), "Mixed_5c": (288, 35, 35), "Mixed_5d": (288, 35, 35),
        "Mixed_6a": (768, 17, 17), "Mixed_6b": (768, 17, 17), "Mixed_6c": (768, 17, 17), "Mixed_6d": (768, 17, 17),
        "Mixed_6e": (768, 17, 17), "Mixed_7a": (1280, 8, 8), "Mixed_7b": (2048, 8, 8), "Mixed_7c": (2048, 8, 8),
        "avgpool": (2048, 1, 1), "dropout": (2048,), "fc": (1000,),
    }  # fmt: skip


def test_parameters_with_and_without_the_head():
    assert parameters(on_paper("inception-v3")) == 27_161_264
    # conv0 768*128 + norm 256; conv1 128*768*25 + norm 1536; fc 769,000
    head = 98_304 + 256 + 2_457_600 + 1_536 + 769_000
    assert parameters(on_paper("inception-v3", heads=False)) == 27_161_264 - head == 23_834_568


def test_multiply_adds():
    assert multiply_adds(on_paper("inception-v3"), (3, 299, 299)) == pytest.approx(5.71e9, rel=0.01)


# (maps, kernel) of the convolutions of each kind of module, by what the figures of the paper draw.
MODULES = {
    "Mixed_5b": {
        "branch1x1": (64, 1, 1), "branch5x5_1": (48, 1, 1), "branch5x5_2": (64, 5, 5),
        "branch3x3dbl_1": (64, 1, 1), "branch3x3dbl_2": (96, 3, 3), "branch3x3dbl_3": (96, 3, 3), "branch_pool": (32, 1, 1),
    },
    "Mixed_6a": {
        "branch3x3": (384, 3, 3), "branch3x3dbl_1": (64, 1, 1), "branch3x3dbl_2": (96, 3, 3), "branch3x3dbl_3": (96, 3, 3),
    },
    "Mixed_6c": {
        "branch1x1": (192, 1, 1), "branch7x7_1": (160, 1, 1), "branch7x7_2": (160, 1, 7), "branch7x7_3": (192, 7, 1),
        "branch7x7dbl_1": (160, 1, 1), "branch7x7dbl_2": (160, 7, 1), "branch7x7dbl_3": (160, 1, 7),
        "branch7x7dbl_4": (160, 7, 1), "branch7x7dbl_5": (192, 1, 7), "branch_pool": (192, 1, 1),
    },
    "Mixed_7a": {
        "branch3x3_1": (192, 1, 1), "branch3x3_2": (320, 3, 3), "branch7x7x3_1": (192, 1, 1), "branch7x7x3_2": (192, 1, 7),
        "branch7x7x3_3": (192, 7, 1), "branch7x7x3_4": (192, 3, 3),
    },
    "Mixed_7b": {
        "branch1x1": (320, 1, 1), "branch3x3_1": (384, 1, 1), "branch3x3_2a": (384, 1, 3), "branch3x3_2b": (384, 3, 1),
        "branch3x3dbl_1": (448, 1, 1), "branch3x3dbl_2": (384, 3, 3), "branch3x3dbl_3a": (384, 1, 3),
        "branch3x3dbl_3b": (384, 3, 1), "branch_pool": (192, 1, 1),
    },
}  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_branches_by_name(name):
    module = on_paper("inception-v3").get_submodule(name)
    found = {
        path.removesuffix(".conv"): (m.out_channels, *m.kernel_size)
        for path, m in module.named_modules()
        if isinstance(m, nn.Conv2d)
    }
    assert found == MODULES[name]


@pytest.mark.parametrize("name", MODULES)
def test_a_module_joins_its_branches(name):
    torch.manual_seed(0)
    network = zoo.create("inception-v3", 3, (3, 80, 80), width=0.1).eval()
    module = network.get_submodule(name)
    before = module.get_submodule(
        next(n for n in MODULES[name] if n.endswith(("1x1", "_1", "3x3")))
    ).conv.in_channels
    x = torch.randn(2, before, 7, 9)

    def chain(*names):
        y = x
        for each in names:
            y = module.get_submodule(each)(y)
        return y

    def run(first, *numbers):
        return chain(*(f"{first}_{n}" for n in numbers))

    branches = {
        "Mixed_5b": [("branch1x1",), ("branch5x5", 1, 2), ("branch3x3dbl", 1, 2, 3), ("pool", "branch_pool")],
        "Mixed_6a": [("branch3x3",), ("branch3x3dbl", 1, 2, 3), ("pool",)],
        "Mixed_6c": [("branch1x1",), ("branch7x7", 1, 2, 3), ("branch7x7dbl", 1, 2, 3, 4, 5), ("pool", "branch_pool")],
        "Mixed_7a": [("branch3x3", 1, 2), ("branch7x7x3", 1, 2, 3, 4), ("pool",)],
        "Mixed_7b": [("branch1x1",), ("branch3x3", 1, "2a"), ("branch3x3", 1, "2b"), ("branch3x3dbl", 1, 2, "3a"),
                     ("branch3x3dbl", 1, 2, "3b"), ("pool", "branch_pool")],
    }[name]  # fmt: skip
    expected = [chain(*b) if len(b) == 1 or b[0] == "pool" else run(*b) for b in branches]
    torch.testing.assert_close(module(x), torch.cat(expected, 1))


def test_the_head_is_the_released_one_at_299_pixels():
    network = on_paper("inception-v3")
    found = sizes(network.AuxLogits, (768, 17, 17))
    assert [found[p] for p in ("pool", "conv0", "conv1", "fc")] == [
        (768, 5, 5),
        (128, 5, 5),
        (768, 1, 1),
        (1000,),
    ]
    pool = network.AuxLogits.pool
    assert isinstance(pool, nn.AvgPool2d) and (pool.kernel_size, pool.stride) == (5, 3)
    assert isinstance(on_paper("inception-v3", input=(3, 299, 298)).AuxLogits.pool, nn.AdaptiveAvgPool2d)
    assert network.auxiliary == (0.4,) and on_paper("inception-v3", heads=False).auxiliary == ()


def test_the_head_stands_behind_6e():
    torch.manual_seed(0)
    network, shape = zoo.small("inception-v3")
    _, head = network.train()(torch.randn(3, *shape))
    head.sum().backward()
    reached = {n.split(".")[0] for n, p in network.named_parameters() if p.grad is not None and p.grad.any()}
    assert {"Conv2d_1a_3x3", "Mixed_6e", "AuxLogits"} <= reached and not {
        "Mixed_7a",
        "Mixed_7b",
        "Mixed_7c",
        "fc",
    } & reached


def test_weights_begin_as_released():
    torch.manual_seed(0)
    network = zoo.create("inception-v3", 50, (3, 80, 80), width=0.5)
    # Of a normal distribution that is cut at two deviations the deviation is 0.88 of the whole one's.
    for path, deviation in {
        "Mixed_6b.branch7x7_2.conv": 0.1,
        "fc": 0.01,
        "AuxLogits.conv1.conv": 0.01,
        "AuxLogits.fc": 0.001,
    }.items():
        weight = network.get_submodule(path).weight
        assert (
            weight.std().item() == pytest.approx(0.88 * deviation, rel=0.05)
            and weight.abs().max() <= 2 * deviation
        )


def test_the_least_size():
    network = on_paper("inception-v3", classes=3, input=(1, 75, 90)).train()
    assert [tuple(y.shape) for y in network(torch.zeros(2, 1, 75, 90, device="meta"))] == [(2, 3)] * 2
    with pytest.raises(ShapeError, match=r"90x74 are too small: this network needs 75 pixels"):
        on_paper("inception-v3", classes=3, input=(1, 90, 74))

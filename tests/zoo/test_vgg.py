"""VGG against Table 1 and Table 2 of its paper."""

from __future__ import annotations

import pytest
import torch
from claims import multiply_adds, on_paper, parameters, sizes
from torch import nn

from hubel import zoo
from hubel.errors import ShapeError

# Table 1: how many convolutions stand in each stage; Table 2 gives 133, 133, 138 and 144 million parameters.
COLUMNS = {
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
WORK = {"vgg11": 7.61e9, "vgg13": 11.31e9, "vgg16": 15.47e9, "vgg19": 19.63e9}
BOTH = [(name, norm) for name in COLUMNS for norm in ("", "-bn")]


def by_table_1(name):
    """(maps, cells) after every convolution and pooling."""
    rows = []
    for stage, (count, maps) in enumerate(zip(COLUMNS[name], (64, 128, 256, 512, 512), strict=True)):
        rows += [(maps, 224 >> stage)] * count + [(maps, 224 >> stage + 1)]
    return [(maps, cells, cells) for maps, cells in rows]


@pytest.mark.parametrize(("name", "norm"), BOTH)
def test_sizes_of_table_1(name, norm):
    network = on_paper(name + norm)
    found = sizes(network, (3, 224, 224))
    windows = [path for path, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.MaxPool2d)]
    assert [found[path] for path in windows] == by_table_1(name)
    assert [found[f"classifier.{n}"] for n in (0, 3, 6)] == [(4096,), (4096,), (1000,)]
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == int(name[3:])


@pytest.mark.parametrize(("name", "norm"), BOTH)
def test_parameters_follow_from_table_1(name, norm):
    before, expected = 3, 0
    for count, maps in zip(COLUMNS[name], (64, 128, 256, 512, 512), strict=True):
        for _ in range(count):
            expected += maps * (9 * before + 1) + (2 * maps if norm else 0)
            before = maps
    expected += 4096 * (512 * 7 * 7 + 1) + 4096 * 4097 + 1000 * 4097
    assert parameters(on_paper(name + norm)) == zoo.ZOO[name + norm].parameters == expected
    assert name != "vgg16" or norm or expected == 138_357_544


@pytest.mark.parametrize(("name", "norm"), BOTH)
def test_multiply_adds(name, norm):
    assert multiply_adds(on_paper(name + norm), (3, 224, 224)) == pytest.approx(WORK[name], rel=0.001)


def test_keys_of_the_public_weights():
    convolutions = [n for n, p in on_paper("vgg16").named_parameters() if p.dim() == 4]
    assert convolutions == [f"features.{n}.weight" for n in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)]
    keys = set(on_paper("vgg16-bn").state_dict())
    assert {"features.0.bias", "features.1.running_var", "features.40.weight", "features.41.num_batches_tracked",
            "classifier.0.weight", "classifier.3.bias", "classifier.6.weight"} <= keys  # fmt: skip


@pytest.mark.parametrize("name", ["vgg11", "vgg19-bn"])
def test_any_size_from_32_on_has_the_same_weights(name):
    shapes = [
        {n: p.shape for n, p in on_paper(name, classes=9, input=(3, *size)).named_parameters()}
        for size in ((32, 33), (224, 160))
    ]
    assert shapes[0] == shapes[1]
    assert sizes(on_paper(name, classes=9, input=(3, 33, 64)), (3, 33, 64))[""] == (9,)
    with pytest.raises(ShapeError, match=r"pictures of 64x31 are too small.* needs 32 pixels"):
        on_paper(name, classes=9, input=(3, 64, 31))


def test_weights_begin_between_the_bounds_of_glorot():
    torch.manual_seed(0)
    network = zoo.create("vgg11", 50, (3, 32, 32), width=0.25)
    for path, after in {
        "features.6": 128 / 2 * 9,
        "classifier.3": 1024,
        "classifier.6": 50,
    }.items():  # fan out
        layer = network.get_submodule(path)
        bound = (6 / (layer.weight[0].numel() + after)) ** 0.5
        assert 0.99 * bound < layer.weight.abs().max() <= bound and not layer.bias.any(), path

"""AlexNet against its paper: Figure 2, section 3.5 for the sizes, 3.3 for the normalisation, 5 for the weights."""

from __future__ import annotations

import math

import pytest
import torch
from claims import multiply_adds, on_paper, parameters, sizes
from torch import nn

from hubel import zoo
from hubel.definitions import local_response_norm
from hubel.errors import ShapeError, UnknownName


def test_each_layer_has_the_parameters_of_figure_2():
    found = [parameters(m) for m in on_paper("alexnet").modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert found == [
        96 * (11 * 11 * 3 + 1), 256 * (5 * 5 * 48 + 1), 384 * (3 * 3 * 256 + 1),  # 48: a group sees half of the 96 maps
        384 * (3 * 3 * 192 + 1), 256 * (3 * 3 * 192 + 1),
        4096 * (6 * 6 * 256 + 1), 4096 * (4096 + 1), 1000 * (4096 + 1),
    ]  # fmt: skip
    assert sum(found) == zoo.ZOO["alexnet"].parameters == 60_965_224


def test_sizes_of_figure_2():
    network = on_paper("alexnet")
    found = sizes(network, (3, 227, 227))
    kept = [
        found[path]
        for path, m in network.named_modules()
        if isinstance(m, nn.Conv2d | nn.MaxPool2d | nn.Linear)
    ]
    assert kept == [
        (96, 55, 55), (96, 27, 27), (256, 27, 27), (256, 13, 13), (384, 13, 13), (384, 13, 13), (256, 13, 13), (256, 6, 6),
        (4096,), (4096,), (1000,),
    ]  # fmt: skip
    # "650,000 neurons" of the abstract: of the convolutions and the dense layers.
    units = [
        math.prod(found[path]) for path, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)
    ]
    assert units[1:] == [
        186_624,
        64_896,
        64_896,
        43_264,
        4096,
        4096,
        1000,
    ]  # section 3.5; its first is 253,440
    assert sum(units) == pytest.approx(650_000, rel=0.02)


def test_the_public_variant_has_one_column():
    network = on_paper("alexnet-owt")
    assert parameters(network) == 61_100_840
    found = sizes(network, (3, 224, 224))
    assert [found[f"features.{n}"] for n in (0, 2, 3, 5, 6, 8, 10, 12)] == [
        (64, 55, 55), (64, 27, 27), (192, 27, 27), (192, 13, 13), (384, 13, 13), (256, 13, 13), (256, 13, 13), (256, 6, 6),
    ]  # fmt: skip
    assert [n for n, _ in network.named_parameters() if n.endswith("weight")] == [
        *(f"features.{n}.weight" for n in (0, 3, 6, 8, 10)), *(f"classifier.{n}.weight" for n in (1, 4, 6)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "size", "published"), [("alexnet", 227, 724e6), ("alexnet-owt", 224, 714e6)]
)
def test_multiply_adds(name, size, published):
    assert multiply_adds(on_paper(name), (3, size, size)) == pytest.approx(published, rel=0.01)


def test_a_group_sees_its_own_half():
    network = zoo.small("alexnet")[0]
    x = torch.randn(1, 6, 5, 6, requires_grad=True)  # 96 / 16 maps
    (dx,) = torch.autograd.grad(network.features[4](x)[:, :8].sum(), x)
    assert dx[0, :3].all() and not dx[0, 3:].any()


def test_the_normalisation_is_the_sum_of_section_3_3():
    x = torch.randn(2, 7, 3, 4, dtype=torch.float64) * 30
    found = zoo.small("alexnet")[0].features[2](x)
    expected = torch.empty_like(x)
    for i in range(7):
        near = x[:, max(0, i - 2) : min(7, i + 3)].square().sum(1)  # n/2 = 2 maps on either side
        expected[:, i] = x[:, i] / (2 + 1e-4 * near) ** 0.75
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.from_numpy(local_response_norm(x.numpy(), 5, 5e-4, 0.75, 2.0)), expected)


def test_poolings_overlap():
    pools = [m for m in on_paper("alexnet").modules() if isinstance(m, nn.MaxPool2d)]
    assert [(m.kernel_size, m.stride) for m in pools] == [(3, 2)] * 3


def test_weights_and_biases_begin_as_in_section_5():
    torch.manual_seed(0)
    layers = [
        m
        for m in zoo.create("alexnet", width=0.25, init="paper").modules()
        if isinstance(m, nn.Conv2d | nn.Linear)
    ]
    assert [m.bias.unique().tolist() for m in layers] == [[0], [1], [0], [1], [1], [1], [1], [0]]
    for layer in layers:
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.05)


def test_weights_begin_so_that_the_size_of_answers_is_kept():
    torch.manual_seed(0)
    layers = [m for m in zoo.create("alexnet", width=0.25).modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    for layer in layers:
        fan_in = layer.weight[0].numel()
        assert (
            layer.weight.std().item() == pytest.approx(math.sqrt(2 / fan_in), rel=0.05)
            and not layer.bias.any()
        )
    with pytest.raises(UnknownName, match=r"no initialisation named 'papers'. Did you mean 'paper'"):
        zoo.create("alexnet", init="papers")


@pytest.mark.parametrize(("name", "least"), [("alexnet", 67), ("alexnet-owt", 63)])
def test_the_least_size(name, least):
    assert sizes(on_paper(name, classes=3, input=(1, least, least + 40)), (1, least, least + 40))[""] == (3,)
    with pytest.raises(
        ShapeError,
        match=rf"{least + 40}x{least - 1} are too small.* needs {least} pixels.*--input {least}x{least}",
    ):
        on_paper(name, classes=3, input=(1, least + 40, least - 1))
    assert zoo.ZOO[name].takes((3, 20, 20)) == (3, least, least)

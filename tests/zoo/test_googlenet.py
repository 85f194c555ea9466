"""GoogLeNet against Table 1 of its paper, and its auxiliary classifiers against section 5."""

from __future__ import annotations

import pytest
import torch
from claims import multiply_adds, on_paper, parameters, sizes
from torch import nn
from torch.nn import functional as F

from hubel import zoo
from hubel.errors import ShapeError
from hubel.zoo.googlenet import Inception

# Table 1: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool proj, and the cells of a side.
TABLE = {
    "3a": (64, 96, 128, 16, 32, 32, 28), "3b": (128, 128, 192, 32, 96, 64, 28),
    "4a": (192, 96, 208, 16, 48, 64, 14), "4b": (160, 112, 224, 24, 64, 64, 14), "4c": (128, 128, 256, 24, 64, 64, 14),
    "4d": (112, 144, 288, 32, 64, 64, 14), "4e": (256, 160, 320, 32, 128, 128, 14),
    "5a": (256, 160, 320, 32, 128, 128, 7), "5b": (384, 192, 384, 48, 128, 128, 7),
}  # fmt: skip
OUTPUTS = {"3a": 256, "3b": 480, "4a": 512, "4b": 512, "4c": 512, "4d": 528, "4e": 832, "5a": 832, "5b": 1024}
NAMES = pytest.mark.parametrize("name", ["googlenet", "googlenet-bn"])


@NAMES
def test_sizes_of_table_1(name):
    found = sizes(on_paper(name), (3, 224, 224))
    assert [found[f"{p}"] for p in ("conv1", "maxpool1", "conv3", "maxpool2", "maxpool3", "maxpool4", "avgpool", "fc")] == [
        (64, 112, 112), (64, 56, 56), (192, 56, 56), (192, 28, 28), (480, 14, 14), (832, 7, 7), (1024, 1, 1), (1000,),
    ]  # fmt: skip
    for module, (one, reduce3, three, reduce5, five, pooled, cells) in TABLE.items():
        at = f"inception{module}"
        assert found[at] == (OUTPUTS[module], cells, cells)
        assert [found[f"{at}.{part}"][0] for part in ("branch1", "branch2.0", "branch2.1", "branch3.0", "branch3.1", "branch4")] == [
            one, reduce3, three, reduce5, five, pooled,
        ]  # fmt: skip


def test_parameters_follow_from_table_1():
    def conv(before, maps, kernel):
        return maps * (before * kernel * kernel + 1)

    before, expected = 192, conv(3, 64, 7) + conv(64, 64, 1) + conv(64, 192, 3)
    for module, (one, reduce3, three, reduce5, five, pooled, _) in TABLE.items():
        expected += (
            conv(before, one + reduce3 + reduce5 + pooled, 1)
            + conv(reduce3, three, 3)
            + conv(reduce5, five, 5)
        )
        before = OUTPUTS[module]
    expected += 1000 * (1024 + 1)
    assert parameters(on_paper("googlenet", heads=False)) == expected == 6_998_552
    heads = [conv(maps, 128, 1) + 1024 * (128 * 4 * 4 + 1) + 1000 * (1024 + 1) for maps in (512, 528)]
    assert parameters(on_paper("googlenet")) == expected + sum(heads) == 13_378_280


def test_the_public_variant_counts_as_its_weights_do():
    assert parameters(on_paper("googlenet-bn", heads=False)) == 6_624_904
    keys = set(on_paper("googlenet-bn").state_dict())
    assert {
        "conv1.conv.weight", "conv1.bn.running_mean", "inception3a.branch1.conv.weight", "inception4e.branch2.1.bn.weight",
        "inception5b.branch4.1.conv.weight", "aux1.conv.bn.bias", "aux1.fc1.weight", "aux2.fc2.bias", "fc.weight",
    } <= keys  # fmt: skip
    assert on_paper("googlenet-bn").inception3a.branch3[1].conv.kernel_size == (3, 3)  # the 5x5 branch
    assert on_paper("googlenet").inception3a.branch3[1].conv.kernel_size == (5, 5)


@pytest.mark.parametrize(("name", "published"), [("googlenet", 1.58e9), ("googlenet-bn", 1.50e9)])
def test_multiply_adds(name, published):
    assert multiply_adds(on_paper(name), (3, 224, 224)) == pytest.approx(published, rel=0.01)


def test_branches_stand_side_by_side():
    module = Inception(5, 2, 3, 4, 1, 3, 2, window=5, norm=False)
    x = torch.randn(2, 5, 6, 7)
    y = module(x)
    assert y.shape == (2, 2 + 4 + 3 + 2, 6, 7)
    one, three, five, pooled = y.split((2, 4, 3, 2), 1)
    torch.testing.assert_close(one, F.relu(F.conv2d(x, module.branch1.conv.weight, module.branch1.conv.bias)))
    reduced = F.relu(F.conv2d(x, module.branch3[0].conv.weight, module.branch3[0].conv.bias))
    torch.testing.assert_close(
        five, F.relu(F.conv2d(reduced, module.branch3[1].conv.weight, module.branch3[1].conv.bias, padding=2))
    )
    best = F.max_pool2d(x, 3, 1, 1)
    torch.testing.assert_close(
        pooled, F.relu(F.conv2d(best, module.branch4[1].conv.weight, module.branch4[1].conv.bias))
    )
    assert three.shape[1] == 4


def test_a_head_pools_as_section_5_has_it():
    network = on_paper("googlenet")
    for head, maps in ((network.aux1, 512), (network.aux2, 528)):
        found = sizes(head, (maps, 14, 14))
        assert [found[p] for p in ("pool", "conv", "fc1", "fc2")] == [
            (maps, 4, 4),
            (128, 4, 4),
            (1024,),
            (1000,),
        ]
        assert isinstance(head.pool, nn.AvgPool2d) and (head.pool.kernel_size, head.pool.stride) == (5, 3)
        assert head.dropout.p == 0.7
    assert isinstance(on_paper("googlenet", input=(3, 64, 224)).aux1.pool, nn.AdaptiveAvgPool2d)


@NAMES
def test_heads_stand_behind_4a_and_4d(name):
    torch.manual_seed(0)
    network, shape = zoo.small(name)
    network.train()
    for head in (network.aux1, network.aux2):
        head.dropout.p = 0.0
    x = torch.randn(3, *shape)
    reached = []
    for output in network(x)[1:]:
        network.zero_grad()
        output.sum().backward(retain_graph=True)
        reached.append(
            {n.split(".")[0] for n, p in network.named_parameters() if p.grad is not None and p.grad.any()}
        )
    trunk = {"conv1", "conv2", "conv3", "inception3a", "inception3b", "inception4a"}
    assert reached == [trunk | {"aux1"}, trunk | {"inception4b", "inception4c", "inception4d", "aux2"}]
    assert network.auxiliary == (0.3, 0.3)


def test_without_heads_training_gives_logits_alone():
    network = zoo.create("googlenet", 4, (1, 64, 50), width=0.1, heads=False)
    assert network.train()(torch.randn(2, 1, 64, 50)).shape == (2, 4) and network.auxiliary == ()


@NAMES
def test_the_least_size(name):
    least = zoo.ZOO[name].takes((3, 10, 10))[1]
    network = on_paper(name, classes=3, input=(1, least, 90)).train()
    assert [tuple(y.shape) for y in network(torch.zeros(2, 1, least, 90, device="meta"))] == [(2, 3)] * 3
    with pytest.raises(ShapeError, match=rf"90x{least - 1} are too small: this network needs {least} pixels"):
        on_paper(name, classes=3, input=(1, 90, least - 1))


def test_width_narrows_maps_and_hidden_units():
    network = on_paper("googlenet", width=0.5)
    assert network.inception5b.maps == 512 and network.aux1.fc1.out_features == 512


def test_the_stem_normalises_where_figure_3_has_it():
    torch.manual_seed(0)
    network, shape = zoo.small("googlenet")
    x = torch.randn(2, *shape) * 20  # so large that the normalisation shows

    def conv(unit, x, **settings):
        return F.relu(F.conv2d(x, unit.conv.weight, unit.conv.bias, **settings))

    def pool(x):
        return F.max_pool2d(x, 3, 2, ceil_mode=True)

    def normalised(x):
        return F.local_response_norm(x, 5, alpha=5e-4, beta=0.75, k=2.0)

    y = normalised(pool(conv(network.conv1, x, stride=2, padding=3)))
    y = pool(normalised(conv(network.conv3, conv(network.conv2, y), padding=1)))
    found = {}
    network.inception3a.register_forward_pre_hook(lambda module, given: found.update(given=given[0]))
    network.eval()(x)
    torch.testing.assert_close(found["given"], y)


@NAMES
def test_weights_begin_as_the_docstring_says(name):
    torch.manual_seed(0)
    network = zoo.create(name, 50, (3, 64, 64), width=0.5)
    for path in ("conv3.conv", "inception4c.branch3.1.conv", "aux1.fc1"):
        weight = network.get_submodule(path).weight
        assert weight.std().item() == pytest.approx((2 / weight[0].numel()) ** 0.5, rel=0.1), path
    for path in ("fc", "aux1.fc2", "aux2.fc2"):
        layer = network.get_submodule(path)
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.05) and not layer.bias.any()

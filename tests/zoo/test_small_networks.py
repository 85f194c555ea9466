"""SqueezeNet, the MobileNets, the pre-activation ResNet and the vision Transformer."""

from __future__ import annotations

import pytest
import torch
from claims import assert_is_what_its_entry_says, multiply_adds, on_paper, parameters, sizes
from torch.nn import functional as F

import hubel
from hubel import zoo
from hubel.errors import InputError, ShapeError, UnknownName
from hubel.zoo.mobilenet import eights
from hubel.zoo.preact_resnet import Unit
from hubel.zoo.squeezenet import Fire
from hubel.zoo.vit import Attention, Block

NAMES = ["squeezenet1_1", "mobilenet-v1", "mobilenet-v2", "preact-resnet", "vit-tiny"]


@pytest.mark.parametrize("name", NAMES)
def test_each_is_what_its_entry_says(name):
    assert_is_what_its_entry_says(name)


@pytest.mark.parametrize("name", ["squeezenet1_1", "mobilenet-v1", "mobilenet-v2"])
def test_multiply_adds_are_those_published(name):
    entry = zoo.ZOO[name]
    assert multiply_adds(on_paper(name), entry.input) == pytest.approx(entry.multiply_adds, rel=0.01)


# ---- squeezenet


def test_squeezenet_has_the_sizes_of_its_program():
    found = sizes(on_paper("squeezenet1_1"), (3, 224, 224))
    wanted = {
        0: (64, 111, 111), 2: (64, 55, 55), 3: (128, 55, 55), 4: (128, 55, 55), 5: (128, 27, 27), 6: (256, 27, 27),
        7: (256, 27, 27), 8: (256, 13, 13), 9: (384, 13, 13), 10: (384, 13, 13), 11: (512, 13, 13), 12: (512, 13, 13),
    }  # fmt: skip
    assert {n: found[f"features.{n}"] for n in wanted} == wanted
    assert found["classifier.1"] == (1000, 13, 13) and found["classifier"] == (1000,)


def test_squeezenet_has_the_names_of_public_weights():
    state = on_paper("squeezenet1_1").state_dict()
    assert len(state) == 52
    assert state["features.9.squeeze.weight"].shape == (48, 256, 1, 1)
    assert state["features.12.expand3x3.bias"].shape == (256,)
    assert state["classifier.1.weight"].shape == (1000, 512, 1, 1)


def test_a_fire_module_joins_1x1_and_3x3_in_this_order():
    fire = Fire(5, 2, 3)
    x = torch.randn(2, 5, 4, 6)
    s = F.relu(F.conv2d(x, fire.squeeze.weight, fire.squeeze.bias))
    one = F.relu(F.conv2d(s, fire.expand1x1.weight, fire.expand1x1.bias))
    three = F.relu(F.conv2d(s, fire.expand3x3.weight, fire.expand3x3.bias, padding=1))
    y = fire(x)
    torch.testing.assert_close(y[:, :3], one)
    torch.testing.assert_close(y[:, 3:], three)


def test_poolings_round_up_as_in_caffe_or_down_as_in_keras():
    # 66 -> 32 after the convolution; (32 - 3) / 2 = 14.5
    assert sizes(on_paper("squeezenet1_1", input=(3, 66, 66)), (3, 66, 66))["features.2"][1:] == (16, 16)
    down = on_paper("squeezenet1_1", input=(3, 66, 66), ceil=False)
    assert sizes(down, (3, 66, 66))["features.2"][1:] == (15, 15)


# ---- mobilenet


def test_mobilenet_v1_has_the_sizes_of_table_1():
    found = sizes(on_paper("mobilenet-v1"), (3, 224, 224))
    sides = [112, 112, 56, 56, 28, 28, 14, 14, 14, 14, 14, 14, 7, 7]
    maps = [32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024]
    assert [found[f"features.{n}"] for n in range(14)] == [
        (m, s, s) for m, s in zip(maps, sides, strict=True)
    ]


def test_mobilenet_v2_has_the_sizes_of_table_2():
    found = sizes(on_paper("mobilenet-v2"), (3, 224, 224))
    blocks = [(32, 112), (16, 112), *[(24, 56)] * 2, *[(32, 28)] * 3, *[(64, 14)] * 4, *[(96, 14)] * 3]
    blocks += [*[(160, 7)] * 3, (320, 7), (1280, 7)]
    assert [found[f"features.{n}"] for n in range(19)] == [(m, s, s) for m, s in blocks]


@pytest.mark.parametrize(
    ("width", "side", "millions", "count"),
    [
        (0.75, 224, 325, 2.6),
        (0.5, 224, 149, 1.3),
        (0.25, 224, 41, 0.5),
        (1, 192, 418, 4.2),
        (1, 160, 290, 4.2),
        (1, 128, 186, 4.2),
    ],
)  # Howard et al., Tables 6 and 7
def test_mobilenet_v1_by_width_and_size_costs_what_the_paper_says(width, side, millions, count):
    network = on_paper("mobilenet-v1", input=(3, side, side), width=width)
    assert multiply_adds(network, (3, side, side)) / 1e6 == pytest.approx(
        millions, abs=0.75
    )  # 290.7: cut off
    assert parameters(network) / 1e6 == pytest.approx(count, abs=0.051)


@pytest.mark.parametrize(
    ("name", "count", "arguments"),
    [
        ("mobilenet-v1", 4_222_057, {}),
        ("mobilenet-v1", 467_593, {"width": 0.25}),
        ("mobilenet-v2", 3_489_097, {}),
    ],
)
def test_folded_networks_count_as_their_weights_do(name, count, arguments):
    assert parameters(on_paper(name, classes=1001, norm=False, **arguments)) == count


@pytest.mark.parametrize(
    ("asked", "maps"), [(32 * 0.35, 16), (24 * 0.5, 16), (16 * 0.35, 8), (96 * 0.75, 72), (3, 8)]
)
def test_maps_are_multiples_of_eight_and_never_under_nine_tenths(asked, maps):
    # 11.2 -> 8 would be 71 %; 12 -> 16, as a half goes up; 5.6 -> 8; 72; 8 at least
    assert eights(asked) == maps


def test_mobilenet_v2_has_the_names_of_public_weights():
    state = on_paper("mobilenet-v2").state_dict()
    assert len(state) == 314
    assert state["features.0.0.weight"].shape == (32, 3, 3, 3)
    assert state["features.1.conv.1.weight"].shape == (16, 32, 1, 1)  # without expansion
    assert state["features.2.conv.1.0.weight"].shape == (96, 1, 3, 3)
    assert state["features.17.conv.3.running_mean"].shape == (320,)
    assert state["features.18.1.weight"].shape == (1280,)
    assert state["classifier.1.weight"].shape == (1000, 1280)


def same(x, w, stride, groups=1):
    """TensorFlow's SAME from its own words: ceil(n / stride) cells; the zeros that this needs, the odd one at the end."""
    pads = []
    for n in x.shape[:1:-1]:  # F.pad names the last axis first
        zeros = max((-(-n // stride) - 1) * stride + 3 - n, 0)
        pads += [zeros // 2, zeros - zeros // 2]
    return F.conv2d(F.pad(x, pads), w, stride=stride, groups=groups)


@pytest.mark.parametrize("shape", [(3, 8, 8), (3, 7, 9), (3, 8, 11), (3, 9, 6), (3, 10, 16)])
def test_padding_is_tensorflows_in_each_layer_that_halves(shape):
    network = hubel.create("mobilenet-v1", 5, shape, width=0.25).eval()
    halving = 0
    for module in [network.features[0], *(block.depthwise for block in network.features[1:])]:
        conv = module[-3] if hasattr(module, "2") else module[0]
        x = torch.randn(1, conv.in_channels, *shape[1:])
        wanted = same(x, conv.weight, conv.stride[0], conv.groups)
        y = conv(module.pad(x) if hasattr(module, "pad") else x)
        torch.testing.assert_close(y, wanted)
        halving += conv.stride == (2, 2)
        shape = (0, *wanted.shape[2:])
    assert halving == 5


def test_symmetric_padding_is_pytorchs():
    network = on_paper("mobilenet-v2", padding="symmetric")
    assert not any("pad" in path.split(".") for path, _ in network.named_modules())
    assert network.features[0][0].padding == (1, 1)


# ---- preact-resnet


def test_preact_resnet_counts_by_hand():
    convolutions, norms, before = 64 * 3 * 9, 0, 64
    for maps in (64, 128, 256, 512):
        convolutions += maps * before * 9 + 3 * maps * maps * 9 + (maps * before if maps != before else 0)
        norms += 2 * before + 3 * 2 * maps  # the first norm of a stage sees the maps of the stage before it
        before = maps
    assert parameters(on_paper("preact-resnet")) == convolutions + norms + 2 * 512 + 512 * 10 + 10


def test_preact_resnet_halves_three_times():
    found = sizes(on_paper("preact-resnet"), (3, 32, 32))
    assert [found[f"layer{n}"] for n in (1, 2, 3, 4)] == [
        (64, 32, 32),
        (128, 16, 16),
        (256, 8, 8),
        (512, 4, 4),
    ]


def test_nothing_lies_on_the_way_of_the_identity():
    unit = Unit(3, 3, 1)
    torch.nn.init.zeros_(unit.conv2.weight)
    x = torch.randn(2, 3, 4, 5)  # also what is negative comes through
    torch.testing.assert_close(unit(x), x)


def test_a_projection_takes_the_activated_input():
    unit = Unit(3, 5, 2)
    torch.nn.init.zeros_(unit.conv2.weight)
    x = torch.randn(2, 3, 4, 6)
    torch.testing.assert_close(unit(x), F.conv2d(F.relu(unit.bn1(x)), unit.shortcut.weight, stride=2))


# ---- vit


def test_vit_is_a_row_of_tokens():
    found = sizes(on_paper("vit-tiny"), (3, 224, 224))
    assert found["patch_embed"] == (196, 192) and found["blocks.0.attn.qkv"] == (197, 576)
    assert found["blocks.11"] == (197, 192) and found["head"] == (1000,)


def test_vit_has_the_names_of_public_weights():
    state = on_paper("vit-tiny").state_dict()
    assert len(state) == 152 and state["pos_embed"].shape == (1, 197, 192)
    assert state["blocks.11.mlp.fc1.weight"].shape == (768, 192)


def test_attention_is_that_of_pytorchs_own_layer():
    ours = Attention(2, 4)
    theirs = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.qkv.weight), theirs.in_proj_bias.copy_(ours.qkv.bias)
        theirs.out_proj.weight.copy_(ours.proj.weight), theirs.out_proj.bias.copy_(ours.proj.bias)
    x = torch.randn(3, 5, 8)
    torch.testing.assert_close(ours(x), theirs(x, x, x, need_weights=False)[0])


def test_a_block_adds_to_what_it_was_given():
    block = Block(2, 3)
    for layer in (block.attn.proj, block.mlp.fc2):
        torch.nn.init.zeros_(layer.weight), torch.nn.init.zeros_(layer.bias)
    x = torch.randn(2, 5, 6)
    torch.testing.assert_close(block(x), x)


def test_without_places_the_order_of_the_patches_does_not_matter():
    network = hubel.create("vit-tiny", 5, (3, 16, 16), patch=8, depth=2, heads=2, per_head=6).eval()
    x = torch.randn(2, 3, 16, 16)
    turned = torch.cat([x[:, :, 8:], x[:, :, :8]], 2)
    assert not torch.allclose(network(turned), network(x))  # the places tell
    torch.nn.init.zeros_(network.pos_embed)
    torch.testing.assert_close(network(turned), network(x))


@pytest.mark.parametrize(
    ("side", "tokens"), [(32, 64), (48, 144), (64, 64), (112, 196), (128, 64), (224, 196)]
)
def test_small_pictures_are_many_tokens_too(side, tokens):
    shape = zoo.ZOO["vit-tiny"].takes((3, side - 1, side))
    assert shape == (3, side, side)
    assert on_paper("vit-tiny", input=shape).pos_embed.shape[1] == 1 + tokens


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: hubel.create("vit-tiny", 5, (3, 40, 48), patch=16), ShapeError, "patches of 16x16 do not cut 40x48 evenly; take --input 48x48"),
        (lambda: hubel.create("vit-tiny", heads=0), InputError, "counts from 1 on, got 16, 12, 0 and 64"),
        (lambda: hubel.create("mobilenet-v2", padding="valid"), UnknownName, "Known: tensorflow, symmetric"),
        (lambda: hubel.create("mobilenet-v1", width=0), InputError, "a factor above 0, as 0.25 or 1, got 0"),
        (lambda: hubel.create("squeezenet1_1", 5, (3, 10, 40)), ShapeError, "10x40 are too small: this network needs 25 pixels"),
        (lambda: hubel.create("preact-resnet", blocks=(1, 0, 1, 1)), InputError, r"one unit or more, got blocks=\(1, 0, 1, 1\)"),
    ],
)  # fmt: skip
def test_errors_name_both_sides(call, error, text):
    with pytest.raises(error, match=text):
        call()

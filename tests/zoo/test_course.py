"""The lectures' own networks: the course's ResNet-50 and its small network for hand signs, and AlphaGo's policy."""

from __future__ import annotations

import pytest
import torch
from claims import assert_is_what_its_entry_says, multiply_adds, on_paper, parameters, sizes
from torch.nn import functional as F

import hubel
from hubel.errors import ShapeError
from hubel.zoo.alphago import Moves


@pytest.mark.parametrize("name", ["resnet50-course", "signs-cnn", "alphago-policy"])
def test_each_is_what_its_entry_says(name):
    assert_is_what_its_entry_says(name)


# ---- resnet50-course


def test_the_course_counts_as_keras_does():
    network = on_paper("resnet50-course")
    statistics = sum(b.numel() for name, b in network.named_buffers() if "running" in name)
    assert statistics == 53_120 and parameters(network) + statistics == 23_600_006


def test_the_course_has_the_sizes_of_its_code():
    found = sizes(on_paper("resnet50-course"), (3, 64, 64))
    wanted = {
        "stage1.0": (3, 70, 70), "stage1.1": (64, 32, 32), "stage1.4": (64, 15, 15), "stage2": (256, 15, 15),
        "stage3": (512, 8, 8), "stage4": (1024, 4, 4), "stage5": (2048, 2, 2), "pool": (2048, 1, 1),
        "classifier": (6,),
    }  # fmt: skip
    assert {path: found[path] for path in wanted} == wanted


def test_the_courses_last_stage_has_512_512_2048_maps():
    block = on_paper("resnet50-course").stage5[1]
    assert [p.shape[0] for name, p in block.named_parameters() if p.dim() == 4] == [512, 512, 2048]


def test_norms_are_keras_norms():
    norm = on_paper("resnet50-course").stage1[2]
    assert (norm.eps, norm.momentum) == (1e-3, 0.01)


# ---- signs-cnn


def test_signs_cnn_counts_by_hand():
    # 8 * 3*4*4 = 384; 16 * 8*2*2 = 512; 6 * (16*2*2 + 1) = 390
    assert [p.numel() for p in on_paper("signs-cnn").parameters()] == [384, 512, 384, 6]
    found = sizes(on_paper("signs-cnn"), (3, 64, 64))
    assert [found[f"features.{n}"] for n in (1, 3, 5, 7)] == [(8, 64, 64), (8, 8, 8), (16, 8, 8), (16, 2, 2)]


@pytest.mark.filterwarnings("ignore:Using padding")
def test_an_even_window_gets_its_odd_zero_after_the_picture():
    network = hubel.create("signs-cnn")
    x = torch.randn(2, 3, 64, 64)
    first, second = network.features[1], network.features[5]
    y = F.max_pool2d(F.conv2d(x, first.weight, padding="same").relu(), 8)
    y = F.max_pool2d(F.conv2d(y, second.weight, padding="same").relu(), 4)
    torch.testing.assert_close(network(x), network.classifier(y))


# ---- alphago-policy


def test_alphago_keeps_the_board():
    found = sizes(on_paper("alphago-policy"), (48, 19, 19))
    assert {found[f"features.{2 * n}"] for n in range(12)} == {(192, 19, 19)} and found["classifier"] == (
        361,
    )
    # 192 (48*25 + 11*192*9 + 1) weights, each used at 361 points
    assert multiply_adds(on_paper("alphago-policy"), (48, 19, 19)) == 192 * (48 * 25 + 11 * 192 * 9 + 1) * 361


@pytest.mark.parametrize("maps", [128, 192, 256, 384])
def test_width_gives_the_papers_other_sizes(maps):
    # 5x5 with biases, eleven 3x3 with biases, 1x1 without, a bias for each point
    by_hand = maps * (48 * 25 + 1) + 11 * maps * (maps * 9 + 1) + maps + 361
    assert parameters(on_paper("alphago-policy", width=maps / 192)) == by_hand


def test_each_point_of_the_board_has_its_own_bias():
    head = Moves(2, 3, 4)
    with torch.no_grad():
        head.conv.weight.copy_(torch.tensor([2.0, -1.0]).view(1, 2, 1, 1))
        head.bias.copy_(torch.arange(12.0).view(3, 4))
    x = torch.zeros(1, 2, 3, 4)
    x[0, :, 1, 2] = torch.tensor([5.0, 3.0])  # 2*5 - 3 = 7 at row 1, column 2, which is move 6
    assert head(x)[0].tolist() == [0, 1, 2, 3, 4, 5, 6 + 7, 7, 8, 9, 10, 11]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: hubel.create("resnet50-course", 6, (3, 36, 64)), "36x64 are too small: this network needs 37 pixels .* --input 37x37"),
        (lambda: hubel.create("signs-cnn", 6, (3, 64, 24)), "64x24 are too small: this network needs 25 pixels"),
        (lambda: hubel.create("alphago-policy", 6, (3,)), r"takes pictures \(C, H, W\), the input is \(3,\)"),
    ],
)  # fmt: skip
def test_what_is_too_small_is_told(call, text):
    with pytest.raises(ShapeError, match=text):
        call()

"""Every worked number of the lectures on operations, each with its derivation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hubel.definitions import (
    KERNELS,
    Tape,
    avg_pool2d,
    conv1d,
    conv2d,
    conv2d_backward,
    conv2d_cost,
    convolve1d,
    convolve2d,
    cross_entropy,
    kernel,
    linear_cost,
    local_cost,
    max_pool2d,
    max_pool2d_backward,
    narrow,
    output_size,
    response,
    same,
    span,
    wide,
)

SIGNAL, H = np.array([1.0, 2, 3, 0, 1, 0])[None, None], np.array([1.0, 2, 1])[None, None]


def plane(*rows):
    return np.array(rows, dtype=float)[None, None]


PICTURE = plane([1, 2, 3, 0], [0, 1, 2, 3], [3, 0, 1, 2], [2, 3, 0, 1])
KERNEL = plane([2, 0, 1], [0, 1, 2], [1, 0, 2])


@pytest.mark.parametrize(
    "slide", [conv1d, convolve1d]
)  # H reads the same from both ends, so that the flip is no matter
@pytest.mark.parametrize(
    ("padding", "answer"),
    [
        (
            wide,
            [1, 4, 8, 8, 4, 2, 1, 0],
        ),  # 1*1 = 1, 2*1 + 1*2 = 4, 1 + 2*2 + 3 = 8, ...; 6 + 3 - 1 = 8 numbers
        (same, [4, 8, 8, 4, 2, 1]),  # the same without the first and the last
        (narrow, [8, 8, 4, 2]),  # 1 + 4 + 3 = 8, 2 + 6 + 0 = 8, 3 + 0 + 1 = 4, 0 + 2 + 0 = 2
    ],
)
def test_narrow_same_and_wide(slide, padding, answer):
    assert slide(SIGNAL, H, padding=padding(3)).tolist() == [[answer]]


def test_the_three_paddings():
    assert (narrow(3), same(3), wide(3)) == (0, 1, 2)
    assert (narrow(3, 2), same(3, 2), wide(3, 2)) == (0, 2, 4)  # the span is 5


def test_cross_correlation_without_padding():
    # y00 = (2*1 + 0*2 + 1*3) + (0*0 + 1*1 + 2*2) + (1*3 + 0*0 + 2*1) = 5 + 5 + 5; y10 = (0 + 2) + (0 + 1) + (2 + 1) = 6
    assert conv2d(PICTURE, KERNEL).tolist() == [[[[15, 16], [6, 15]]]]


def test_cross_correlation_with_padding():
    # y00: the kernel's middle on the 1, so 1*1 + 2*2 + 0*0 + 2*1 = 7
    wanted = [[7, 12, 10, 2], [4, 15, 16, 10], [10, 6, 15, 6], [8, 10, 4, 3]]
    assert conv2d(PICTURE, KERNEL, padding=1).tolist() == [[wanted]]


def test_bias_is_added_to_every_cell():
    assert conv2d(PICTURE, KERNEL, np.array([3.0])).tolist() == [[[[18, 19], [9, 18]]]]


def test_stride_keeps_every_second_cell():
    # of the padded answer above, rows 0 and 2, columns 0 and 2: floor((4 + 2 - 3) / 2) + 1 = 2
    assert conv2d(PICTURE, KERNEL, padding=1, stride=2).tolist() == [[[[7, 10], [10, 15]]]]


def test_true_convolution_flips():
    x = plane([1, 1, 1, 1, 1], [-1, 0, -3, 0, 1], [2, 1, 1, -1, 0], [0, -1, 1, 2, 1], [1, 2, 1, 1, 1])
    w = plane([1, 0, 0], [0, 0, 0], [0, 0, -1])
    # flipped it is -1 at the top left and 1 at the bottom right: y[i,j] = x[i+2,j+2] - x[i,j]; y01 = -1 - 1 = -2
    assert convolve2d(x, w).tolist() == [[[[0, -2, -1], [2, 2, 4], [-1, 0, 0]]]]
    assert conv2d(x, w).tolist() == [[[[0, 2, 1], [-2, -2, -4], [1, 0, 0]]]]


def test_a_binary_picture():
    x = plane([1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 0], [0, 1, 1, 0, 0])
    w = plane([1, 0, 1], [0, 1, 0], [1, 0, 1])
    # each answer counts the ones under the corners and the middle: y00 = 1 + 1 + 1 + 0 + 1 = 4
    assert conv2d(x, w).tolist() == [[[[4, 3, 4], [2, 4, 3], [2, 3, 4]]]]


def test_output_size():
    # floor((28 + 2*2 - 5) / 3) + 1 = 10;  floor((31 + 2*2 - 5) / 3) + 1 = 11
    assert output_size((28, 31), 5, stride=3, padding=2) == (10, 11)
    assert conv2d(np.zeros((1, 1, 28, 31)), np.zeros((1, 1, 5, 5)), stride=3, padding=2).shape[2:] == (10, 11)


def test_many_channels_are_summed_and_many_kernels_make_many_maps():
    x = np.concatenate([PICTURE, 2 * PICTURE], 1)  # (1, 2, 4, 4)
    w = np.stack([np.concatenate([KERNEL, KERNEL], 1)[0], np.concatenate([KERNEL, 0 * KERNEL], 1)[0]])
    y = conv2d(x, w, np.array([0.0, 1.0]))
    # first map: 1 + 2 = 3 times the answer for one channel; second: the first channel alone, and a bias of 1
    assert y.tolist() == [[[[45, 48], [18, 45]], [[16, 17], [7, 16]]]]


def test_a_dilated_kernel_spans_more():
    assert span(3, 2) == 3 + (3 - 1) * (2 - 1) == 5
    x = np.arange(25.0).reshape(1, 1, 5, 5)
    # corners, middles of the sides and the centre: 0 + 2 + 4 + 10 + 12 + 14 + 20 + 22 + 24 = 108
    assert conv2d(x, np.ones((1, 1, 3, 3)), dilation=2).tolist() == [[[[108]]]]


def test_filters_on_a_signal():
    # frequency 0 is a constant, 1/2 is +1 -1 +1 ...: the mean gives (1 + 1 + 1)/3 = 1 and |1 - 1 + 1|/3 = 1/3,
    # the second difference 1 - 2 + 1 = 0 and 1 + 2 + 1 = 4
    for name, low, high in (("mean", 1, 1 / 3), ("second-difference", 0, 4)):
        gain = np.abs(response(kernel(name)[0], (8,)))
        assert gain[0] == pytest.approx(low, abs=1e-15) and gain[4] == pytest.approx(high)


def test_a_decaying_echo():
    clap = np.array([0.0, 0, 1, 0, 0, 0])[None, None]
    heard = convolve1d(clap, kernel("echo")[None], padding=wide(3))
    assert heard[0, 0].tolist() == [0, 0, 1, 0.5, 0.25, 0, 0, 0]  # after the clap, not before it


LINES = plane([1] * 9, [5] * 9, [1] * 9)


def test_a_line_answers_to_its_own_template():
    # horizontal: 3 (-1) + 3 * 2 * 5 + 3 (-1) = 24; vertical: (2 - 1 - 1) (1 + 5 + 1) = 0, and the slanting ones likewise
    assert conv2d(LINES, kernel("line-horizontal")[None, None]).tolist() == [[[[24] * 7]]]
    for name in ("line-plus-45", "line-vertical", "line-minus-45"):
        assert conv2d(LINES, kernel(name)[None, None]).tolist() == [[[[0] * 7]]]


def test_the_kernels_are_those_of_the_lectures():
    assert KERNELS["line-horizontal"] == ((-1, -1, -1), (2, 2, 2), (-1, -1, -1))
    assert KERNELS["line-plus-45"] == ((-1, -1, 2), (-1, 2, -1), (2, -1, -1))
    assert KERNELS["line-minus-45"] == ((2, -1, -1), (-1, 2, -1), (-1, -1, 2))
    assert KERNELS["sobel-x"] == ((1, 0, -1), (2, 0, -2), (1, 0, -1))
    for across, along in (
        ("line-vertical", "line-horizontal"),
        ("sobel-y", "sobel-x"),
        ("edge-horizontal", "edge-vertical"),
    ):
        assert kernel(across).tolist() == kernel(along).T.tolist()
    assert [row == (1, 0, -1) for row in KERNELS["edge-vertical"]] == [True] * 3


def seen(layers, side=9):
    """Which cells of the input the middle cell after `layers` 3x3 convolutions hangs on: (rows, columns)."""
    dy = np.zeros((1, 1, side, side))
    dy[0, 0, side // 2, side // 2] = 1
    for _ in range(layers):
        dy, _, _ = conv2d_backward(dy, np.zeros((1, 1, side, side)), np.ones((1, 1, 3, 3)), padding=1)
    rows, columns = np.nonzero(dy[0, 0])
    return np.ptp(rows) + 1, np.ptp(columns) + 1


def test_two_threes_see_what_a_five_sees_and_three_what_a_seven():
    assert (seen(2), seen(3)) == ((5, 5), (7, 7))
    assert 2 * 3 * 3 < 5 * 5 and 3 * 3 * 3 < 7 * 7  # with fewer weights: 18 for 25, 27 for 49


def test_two_linear_threes_are_a_five():
    rng = np.random.default_rng(0)
    x, a, b = (
        rng.standard_normal((1, 1, 9, 8)),
        rng.standard_normal((1, 1, 3, 3)),
        rng.standard_normal((1, 1, 3, 3)),
    )
    five = convolve2d(a, b, padding=2)  # (1, 1, 5, 5)
    np.testing.assert_allclose(convolve2d(convolve2d(x, a), b), convolve2d(x, five), atol=1e-12)


def test_counting_a_million_units():
    # 1000 x 1000 inputs to as many units: 10^6 * 10^6; fields of 10 x 10: 10^6 * 100; one shared kernel: 100
    assert linear_cost(10**6, 10**6).weights == 10**12
    assert local_cost(10**6, 10, 10).weights == 10**8
    assert conv2d_cost((1, 1000, 1000), (1, 1, 10, 10)).weights == 100


def test_a_bottleneck_saves_nine_tenths():
    # 28 x 28 x 192 -> 5x5 -> 32 maps: 32*192*25 = 153,600 weights, each used at 784 places: 120,422,400
    straight = conv2d_cost((192, 28, 28), (32, 192, 5, 5), padding=2)
    assert (straight.weights, straight.multiplications) == (153_600, 120_422_400)
    # by way of 16 maps: 16*192 + 32*16*25 = 3,072 + 12,800 = 15,872, at 784 places: 12,443,648
    narrowing = conv2d_cost((192, 28, 28), (16, 192, 1, 1))
    widening = conv2d_cost((16, 28, 28), (32, 16, 5, 5), padding=2)
    assert narrowing.weights + widening.weights == 15_872
    assert narrowing.multiplications + widening.multiplications == 12_443_648
    assert straight.outputs == widening.outputs == 28 * 28 * 32


def test_why_pooling():
    # 96 x 96 under 8 x 8: (96 - 8 + 1)^2 = 89^2 = 7,921 places; 400 features of it: 3,168,400 numbers
    assert math.prod(output_size(96, 8)) == 7_921
    assert conv2d_cost((1, 96, 96), (400, 1, 8, 8)).outputs == 3_168_400


def test_max_pooling():
    x = plane([1, 2, 1, 0], [0, 1, 2, 3], [3, 0, 1, 2], [2, 4, 0, 1])
    assert max_pool2d(x, 2).tolist() == [[[[2, 3], [4, 2]]]]
    # the mask: where each maximum stood
    dy = plane([10, 20], [30, 40])
    assert max_pool2d_backward(dy, x, 2)[0].tolist() == [
        [[[0, 10, 0, 0], [0, 0, 0, 20], [0, 0, 0, 40], [0, 30, 0, 0]]]
    ]


def test_pooling_keeps_maps_and_small_shifts():
    x = np.zeros((1, 3, 4, 4))
    x[:, :, 0, 0] = 1
    moved = np.roll(x, 1, 3)  # to the next cell of the same window
    assert max_pool2d(x, 2).shape == (1, 3, 2, 2)
    assert max_pool2d(x, 2).tolist() == max_pool2d(moved, 2).tolist()
    assert avg_pool2d(x, 2).tolist() == avg_pool2d(moved, 2).tolist()


def test_the_second_network_is_the_better_one():
    # p = (1, 0): -log 0.6 = 0.511 nats = 0.222 in base 10; -log 0.8 = 0.223 nats = 0.097
    p = np.array([[1.0, 0.0]])
    for q, nats, tens in ((0.6, 0.511, 0.222), (0.8, 0.223, 0.097)):
        loss = cross_entropy(np.array([[q, 1 - q]]), p)
        assert loss == pytest.approx(nats, abs=5e-4) and loss / math.log(10) == pytest.approx(tens, abs=5e-4)


def test_apples_and_tax():
    tape = Tape()
    apple, count, tax = tape.leaf(10.0, "apple"), tape.leaf(2.0, "count"), tape.leaf(1.1, "tax")
    paid = apple * count * tax
    slopes = tape.gradients(paid)
    assert paid.value == pytest.approx(22)
    # d/d apple = 2 * 1.1, d/d count = 10 * 1.1, d/d tax = 10 * 2
    assert [slopes[n] for n in (apple, count, tax)] == pytest.approx([2.2, 11, 20])


def test_apples_and_oranges():
    tape = Tape()
    apple, apples, orange, oranges, tax = map(tape.leaf, (10.0, 2.0, 15.0, 3.0, 1.1))
    paid = (apple * apples + orange * oranges) * tax
    assert paid.value == pytest.approx(71.5)  # (20 + 45) * 1.1
    slopes = tape.gradients(paid)
    assert [slopes[n] for n in (apple, apples, orange, oranges, tax)] == pytest.approx(
        [2.2, 11, 3.3, 16.5, 65]
    )


def test_the_chain_rule():
    tape = Tape()
    x, y = tape.leaf(3.0), tape.leaf(4.0)
    t = x + y
    z = t**2
    slopes = tape.gradients(z)
    # dz/dt = 2t = 14, dt/dx = 1: dz/dx = 2 (x + y) = 14
    assert (z.value, slopes[t], slopes[x], slopes[y]) == (49, 14, 14, 14)

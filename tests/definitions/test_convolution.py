"""Convolutions in all their forms: against PyTorch, against seven loops, against finite differences, and their laws."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from oracle import assert_matches, assert_slopes
from torch.nn import functional as F

from hubel.definitions import (
    DefinitionError,
    ShapeError,
    conv1d,
    conv1d_backward,
    conv2d,
    conv2d_backward,
    conv_transpose2d,
    conv_transpose2d_backward,
    convolve1d,
    convolve1d_backward,
    convolve2d,
    convolve2d_backward,
    wide,
)

rng = np.random.default_rng(3)


def draw(*shapes, dtype=np.float64):
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


CASES = {  # x, w, settings; the picture is never square, nor is the kernel unless it is 1x1
    "plain": ((2, 3, 7, 6), (4, 3, 3, 2), {}),
    "stride and padding": ((2, 3, 7, 6), (4, 3, 3, 2), {"stride": 2, "padding": 1}),
    "a stride that does not divide": ((1, 2, 4, 9), (5, 2, 4, 1), {"stride": 3}),
    "a stride per axis": ((2, 2, 9, 8), (3, 2, 2, 3), {"stride": (3, 2), "padding": (1, 2)}),
    "dilation": ((2, 2, 9, 8), (3, 2, 3, 2), {"dilation": 2}),
    "dilation per axis": (
        (1, 2, 9, 10),
        (3, 2, 3, 2),
        {"dilation": (2, 3), "stride": (1, 2), "padding": (2, 1)},
    ),
    "two groups": ((2, 4, 6, 5), (6, 2, 3, 2), {"groups": 2, "padding": 1}),
    "three groups": ((1, 6, 5, 6), (3, 2, 2, 3), {"groups": 3, "stride": 2}),
    "depthwise": ((2, 3, 6, 5), (6, 1, 3, 2), {"groups": 3, "dilation": (1, 2)}),
    "one by one": ((2, 5, 4, 3), (3, 5, 1, 1), {}),
    "a kernel as large as the picture": ((2, 3, 4, 5), (2, 3, 4, 5), {}),
    "padding wider than the kernel": ((1, 1, 3, 2), (2, 1, 2, 1), {"padding": (3, 2)}),
}


def by_loops(x, w, b, stride, padding, dilation, groups):
    """The sum as its definition says it, a multiplication at a time."""
    (N, _, H, W), (O, C, U, V) = x.shape, w.shape
    (top, bottom), (left, right) = padding
    h = (H + top + bottom - (U - 1) * dilation[0] - 1) // stride[0] + 1
    k = (W + left + right - (V - 1) * dilation[1] - 1) // stride[1] + 1
    y = np.zeros((N, O, h, k))
    for n, o, i, j in np.ndindex(y.shape):
        y[n, o, i, j] = b[o]
        for c, u, v in np.ndindex(C, U, V):
            row, column = i * stride[0] + u * dilation[0] - top, j * stride[1] + v * dilation[1] - left
            if 0 <= row < H and 0 <= column < W:
                y[n, o, i, j] += x[n, o // (O // groups) * C + c, row, column] * w[o, c, u, v]
    return y


@pytest.mark.parametrize("name", CASES)
def test_conv2d_is_pytorchs(name):
    xs, ws, settings = CASES[name]
    x, w, b = draw(xs, ws, ws[:1])
    assert_matches(conv2d, conv2d_backward, partial(F.conv2d, **settings), x, w, b, **settings)


@pytest.mark.parametrize("name", ["stride and padding", "dilation per axis", "two groups"])
def test_conv2d_in_float32(name):
    xs, ws, settings = CASES[name]
    x, w, b = draw(xs, ws, ws[:1], dtype=np.float32)
    assert_matches(conv2d, conv2d_backward, partial(F.conv2d, **settings), x, w, b, tol=1e-5, **settings)


def test_conv2d_in_float16_stays_there():
    x, w, b = draw((1, 2, 4, 5), (3, 2, 2, 3), (3,), dtype=np.float16)
    y = conv2d(x, w, b, padding=1)
    assert {a.dtype for a in (y, *conv2d_backward(y, x, w, b, padding=1))} == {np.dtype(np.float16)}


@pytest.mark.parametrize("name", CASES)
def test_the_slopes_of_conv2d_are_its_differences(name):
    xs, ws, settings = CASES[name]
    assert_slopes(conv2d, conv2d_backward, *draw(xs, ws, ws[:1]), **settings)


def test_conv2d_is_seven_loops():
    x, w, b = draw((2, 4, 7, 6), (6, 2, 3, 2), (6,))
    settings = {"stride": (2, 1), "padding": ((0, 2), (1, 3)), "dilation": (1, 2), "groups": 2}
    np.testing.assert_allclose(conv2d(x, w, b, **settings), by_loops(x, w, b, **settings), atol=1e-12)


def test_asymmetric_padding_is_padding_before():
    def fast(x, w, b):
        return F.conv2d(F.pad(x, (3, 1, 0, 2)), w, b, stride=2)  # PyTorch says left, right, top, bottom

    x, w, b = draw((2, 3, 5, 6), (4, 3, 3, 2), (4,))
    padding = ((0, 2), (3, 1))
    assert_matches(conv2d, conv2d_backward, fast, x, w, b, stride=2, padding=padding)
    assert_slopes(conv2d, conv2d_backward, x, w, b, stride=2, padding=padding)


def test_without_a_bias():
    x, w = draw((2, 3, 5, 6), (4, 3, 3, 2))
    assert_matches(conv2d, lambda *a: conv2d_backward(*a)[:2], F.conv2d, x, w)
    dy = draw((2, 4, 3, 5))[0]
    np.testing.assert_allclose(conv2d_backward(dy, x, w)[2], dy.sum((0, 2, 3)))  # given all the same


def test_no_pictures_make_no_maps():
    x, w = np.zeros((0, 3, 5, 6)), np.zeros((4, 3, 3, 2))
    y = conv2d(x, w)
    assert y.shape == (0, 4, 3, 5)
    assert [d.shape for d in conv2d_backward(y, x, w)] == [x.shape, w.shape, (4,)]
    up = np.zeros((3, 4, 3, 2))
    assert conv_transpose2d(x, up).shape == (0, 4, 7, 7)


def test_a_picture_that_does_not_lie_in_order():
    x, w, b = draw((2, 7, 6, 3), (2, 3, 4, 3), (4,))
    assert_matches(conv2d, conv2d_backward, F.conv2d, x.transpose(0, 3, 1, 2), w.transpose(2, 1, 3, 0), b)


LINES = [
    ((2, 3, 9), (4, 3, 3), {}),
    ((2, 4, 10), (6, 2, 2), {"stride": 3, "padding": 2, "groups": 2}),
    ((1, 2, 8), (3, 2, 3), {"dilation": 2, "padding": wide(3, 2)}),
]


@pytest.mark.parametrize(("xs", "ws", "settings"), LINES)
def test_conv1d_is_pytorchs(xs, ws, settings):
    arrays = draw(xs, ws, ws[:1])
    assert_matches(conv1d, conv1d_backward, partial(F.conv1d, **settings), *arrays, **settings)
    assert_slopes(conv1d, conv1d_backward, *arrays, **settings)


def test_conv1d_with_unequal_ends():
    fast = lambda x, w, b: F.conv1d(F.pad(x, (1, 2)), w, b)  # noqa: E731
    assert_matches(conv1d, conv1d_backward, fast, *draw((2, 3, 6), (2, 3, 4), (2,)), padding=(1, 2))


@pytest.mark.parametrize(("xs", "ws", "settings"), LINES)
def test_convolve1d_flips(xs, ws, settings):
    fast = lambda x, w, b: F.conv1d(x, w.flip(2), b, **settings)  # noqa: E731
    arrays = draw(xs, ws, ws[:1])
    assert_matches(convolve1d, convolve1d_backward, fast, *arrays, **settings)
    assert_slopes(convolve1d, convolve1d_backward, *arrays, **settings)


@pytest.mark.parametrize("name", ["plain", "a stride per axis", "dilation per axis", "two groups"])
def test_convolve2d_flips(name):
    xs, ws, settings = CASES[name]
    fast = lambda x, w, b: F.conv2d(x, w.flip(2, 3), b, **settings)  # noqa: E731
    arrays = draw(xs, ws, ws[:1])
    assert_matches(convolve2d, convolve2d_backward, fast, *arrays, **settings)
    assert_slopes(convolve2d, convolve2d_backward, *arrays, **settings)


@pytest.mark.parametrize("padding", ["valid", "same", "full"])
def test_convolve1d_is_numpys(padding):
    x, w = draw((11,), (5,))
    y = convolve1d(x[None, None], w[None, None], padding={"valid": 0, "same": 2, "full": 4}[padding])
    np.testing.assert_allclose(y[0, 0], np.convolve(x, w, padding), atol=1e-12)


TRANSPOSED = {  # x, w: (C, O/G, U, V), settings
    "plain": ((2, 3, 4, 5), (3, 4, 3, 2), {}),
    "stride": ((2, 3, 4, 3), (3, 2, 3, 2), {"stride": (2, 3)}),
    "padding": ((2, 3, 4, 5), (3, 2, 3, 2), {"padding": (1, 0), "stride": 2}),
    "output padding": (
        (1, 2, 4, 3),
        (2, 3, 3, 4),
        {"stride": (2, 3), "padding": 1, "output_padding": (1, 2)},
    ),
    "groups": ((2, 4, 3, 4), (4, 3, 2, 3), {"groups": 2, "stride": 2}),
    "dilation": ((1, 2, 4, 3), (2, 3, 2, 3), {"dilation": (2, 3), "padding": (1, 2)}),
    "output padding by dilation": (
        (1, 2, 4, 3),
        (2, 3, 2, 3),
        {"dilation": 3, "stride": 1, "output_padding": (2, 1)},
    ),
}


@pytest.mark.parametrize("name", TRANSPOSED)
def test_conv_transpose2d_is_pytorchs(name):
    xs, ws, settings = TRANSPOSED[name]
    arrays = draw(xs, ws, (ws[1] * settings.get("groups", 1),))
    fast = partial(F.conv_transpose2d, **settings)
    assert_matches(conv_transpose2d, conv_transpose2d_backward, fast, *arrays, **settings)
    assert_slopes(conv_transpose2d, conv_transpose2d_backward, *arrays, **settings)


def test_conv_transpose2d_takes_its_settings_in_pytorchs_order():
    x, w, b = draw((1, 4, 4, 3), (4, 3, 2, 3), (6,))
    given = (b, 4, 2, 3, 2, 3)  # stride, padding, output_padding, groups, dilation
    want = F.conv_transpose2d(torch.tensor(x), torch.tensor(w), torch.tensor(b), *given[1:]).numpy()
    np.testing.assert_allclose(conv_transpose2d(x, w, *given), want, atol=1e-12)


def test_conv_transpose2d_in_float32_and_without_a_bias():
    x, w = draw((2, 3, 4, 5), (3, 2, 3, 2), dtype=np.float32)
    backward = lambda *a: conv_transpose2d_backward(*a)[:2]  # noqa: E731
    assert_matches(conv_transpose2d, backward, F.conv_transpose2d, x, w, tol=1e-5)


def test_unequal_padding_is_cut_off_a_transposed_convolution():
    x, w = draw((1, 2, 4, 3), (2, 3, 3, 2))
    whole = conv_transpose2d(x, w)  # (1, 3, 6, 4)
    np.testing.assert_array_equal(conv_transpose2d(x, w, padding=((0, 2), (1, 0))), whole[:, :, 0:4, 1:])


@pytest.mark.parametrize(
    "name", ["plain", "stride and padding", "a stride per axis", "dilation per axis", "two groups"]
)
def test_the_transposed_convolution_is_the_transpose(name):
    """<conv2d(x, w), y> = <x, conv_transpose2d(y, w)>; output_padding gives the rows that no window reached."""
    xs, ws, settings = CASES[name]
    x, w = draw(xs, ws)
    y = rng.standard_normal(conv2d(x, w, **settings).shape)
    bare = conv_transpose2d(y, w, **settings).shape
    extra = (xs[2] - bare[2], xs[3] - bare[3])
    back = conv_transpose2d(y, w, output_padding=extra, **settings)
    assert (conv2d(x, w, **settings) * y).sum() == pytest.approx((x * back).sum(), rel=1e-10)


def test_a_shifted_image_gives_a_shifted_map():
    x, w, b = draw((1, 2, 8, 7), (3, 2, 3, 3), (3,))
    moved = conv2d(np.roll(x, 1, axis=3), w, b)
    np.testing.assert_allclose(moved[..., 1:], conv2d(x, w, b)[..., :-1], atol=1e-12)


def test_convolution_commutes_and_correlation_does_not():
    a, b = draw((1, 1, 4, 3), (1, 1, 4, 3))
    whole = (wide(4), wide(3))
    np.testing.assert_allclose(convolve2d(a, b, padding=whole), convolve2d(b, a, padding=whole), atol=1e-12)
    assert not np.allclose(conv2d(a, b, padding=whole), conv2d(b, a, padding=whole))


def test_one_by_one_is_a_fully_connected_layer_at_every_place():
    x, w = draw((2, 5, 4, 3), (3, 5, 1, 1))
    np.testing.assert_allclose(conv2d(x, w), np.einsum("nchw,oc->nohw", x, w[:, :, 0, 0]), atol=1e-12)


def test_groups_are_convolutions_side_by_side():
    x, w, b = draw((2, 4, 6, 5), (6, 2, 3, 2), (6,))
    halves = [conv2d(x[:, 2 * g : 2 * g + 2], w[3 * g : 3 * g + 3], b[3 * g : 3 * g + 3]) for g in (0, 1)]
    np.testing.assert_allclose(conv2d(x, w, b, groups=2), np.concatenate(halves, 1), atol=1e-12)


@pytest.mark.parametrize(
    ("shapes", "settings", "text"),
    [
        (
            ((2, 3, 8, 8), (6, 1, 5, 5)),
            {},
            r"conv2d: x has 3 channels but w expects 1 \(x \(2, 3, 8, 8\), w \(6, 1, 5, 5\)\)",
        ),
        (((2, 6, 8, 8), (6, 2, 5, 5)), {"groups": 2}, "conv2d: x has 6 channels but w expects 4 in 2 groups"),
        (
            ((2, 3, 8, 8), (6, 3, 5, 5)),
            {"groups": 2},
            "conv2d: 2 groups must divide both the 3 channels of x and the 6 of w",
        ),
        (
            ((2, 4, 8, 8), (5, 2, 5, 5)),
            {"groups": 2},
            "2 groups must divide both the 4 channels of x and the 5 of w",
        ),
        (((2, 3, 8, 8), (6, 3, 5, 5)), {"groups": 0}, "0 groups must divide"),
        (
            ((3, 8, 8), (6, 3, 5, 5)),
            {},
            r"conv2d: x and w must be \(N, C, H, W\) and \(O, C, U, V\), got \(3, 8, 8\)",
        ),
        (((2, 3, 8, 8), (6, 3, 5)), {}, r"got \(2, 3, 8, 8\) and \(6, 3, 5\)"),
        (((2, 3, 8, 8), (6, 3, 5, 5), (5,)), {}, r"conv2d: w makes 6 maps, so b must be \(6,\), got \(5,\)"),
        (((2, 3, 8, 4), (6, 3, 5, 5)), {}, "conv2d: along W a window of 5 does not fit into 4 cells"),
    ],
)
def test_shapes_that_disagree_are_told_apart(shapes, settings, text):
    arrays = draw(*shapes)
    for call in (conv2d, partial(conv2d_backward, np.zeros((2, 6, 4, 4)))):
        with pytest.raises(DefinitionError, match=text):
            call(*arrays, **settings)


@pytest.mark.parametrize(
    ("shapes", "settings", "text"),
    [
        (((2, 3, 8), (6, 1, 5)), {}, "conv1d: x has 3 channels but w expects 1"),
        (
            ((2, 3, 8, 1), (6, 3, 5)),
            {},
            r"conv1d: x and w must be \(N, C, L\) and \(O, C, U\), got \(2, 3, 8, 1\)",
        ),
        (
            ((2, 3, 8), (6, 3, 9)),
            {},
            r"conv1d: a window of 9 does not fit into 8 cells with padding \(0, 0\)",
        ),
        (((2, 3, 8), (6, 3, 3)), {"stride": 0}, "conv1d: stride must be at least 1, got 0"),
        (((2, 3, 8), (6, 3, 3)), {"padding": -1}, "conv1d: padding must be at least 0, got -1"),
    ],
)
def test_conv1d_speaks_of_itself(shapes, settings, text):
    with pytest.raises(DefinitionError, match=text):
        conv1d(*draw(*shapes), **settings)
    with pytest.raises(DefinitionError, match=text):
        conv1d_backward(np.zeros((2, 6, 4)), *draw(*shapes), **settings)


@pytest.mark.parametrize(
    ("shapes", "settings", "error", "text"),
    [
        (
            ((2, 3, 4, 4), (4, 3, 2, 2)),
            {},
            ShapeError,
            r"x has 3 channels but w expects 4 \(x \(2, 3, 4, 4\), w \(4, 3, 2, 2\)\)",
        ),
        (
            ((3, 4, 4), (3, 3, 2, 2)),
            {},
            ShapeError,
            r"must be \(N, C, H, W\) and \(C, O, U, V\), got \(3, 4, 4\)",
        ),
        (
            ((2, 3, 4, 4), (3, 2, 2, 2)),
            {"groups": 2},
            DefinitionError,
            "2 groups must divide the 3 channels of x",
        ),
        (
            ((2, 4, 4, 4), (4, 3, 2, 2), (3,)),
            {"groups": 2},
            ShapeError,
            r"w makes 6 maps, so b must be \(6,\), got \(3,\)",
        ),
        (
            ((2, 3, 4, 4), (3, 2, 2, 2)),
            {"output_padding": (0, 1)},
            DefinitionError,
            "along W an output_padding of 1 must be below the stride 1 or the dilation 1",
        ),
        (
            ((2, 3, 2, 4), (3, 2, 2, 2)),
            {"padding": 2},
            ShapeError,
            r"along H 2 cells make 3, and padding \(2, 2\) leaves none",
        ),
    ],
)
def test_conv_transpose2d_says_what_disagrees(shapes, settings, error, text):
    with pytest.raises(error, match=f"conv_transpose2d: .*{text}"):
        conv_transpose2d(*draw(*shapes), **settings)

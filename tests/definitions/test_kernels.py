"""Hand-made kernels, frequencies and counting."""

from __future__ import annotations

import numpy as np
import pytest

import hubel.definitions as d
from hubel.definitions import KERNELS, Cost, DefinitionError, ShapeError, UnknownKernel, filtered, kernel

rng = np.random.default_rng(41)


@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_is_a_table_of_odd_sides(name):
    k = kernel(name)
    assert k.ndim == 2 and k.shape[0] % 2 == k.shape[1] % 2 == 1 and k.dtype == np.float64


def test_a_kernel_is_a_fresh_copy():
    kernel("blur")[:] = 0
    assert kernel("blur").sum() == pytest.approx(1)


def test_evenness_is_silent_or_stays():
    """Templates and edges sum to 0, means and sharpening to 1; an echo only adds."""
    for name in KERNELS:
        zero = name.startswith(("line-", "sobel-", "edge-", "laplacian", "second"))
        assert kernel(name).sum() == pytest.approx(0 if zero else 1.75 if name == "echo" else 1, abs=1e-15), (
            name
        )


def test_sharpening_takes_away_the_laplacian_and_a_gaussian_is_two_small_ones():
    assert (kernel("sharpen") == kernel("identity") - kernel("laplacian")).all()
    small = np.array([[1, 2, 1]]) / 4
    np.testing.assert_allclose(kernel("gaussian"), small.T @ small)
    np.testing.assert_allclose(kernel("sobel-x"), np.outer([1, 2, 1], [1, 0, -1]))
    np.testing.assert_allclose(
        kernel("laplacian"),
        d.convolve2d(*(np.array(a)[None, None] for a in ([[0.0, 0, 0], [1, -2, 1], [0, 0, 0]], [[1.0]])))[
            0, 0
        ]
        + np.array([[0, 1, 0], [0, -2, 0], [0, 1, 0]]),
    )


def test_an_unknown_kernel_is_told_with_the_known_ones():
    with pytest.raises(
        UnknownKernel, match=r"^no kernel named 'sobel'\. Known: identity, line-horizontal, .*, echo\.$"
    ):
        kernel("sobel")
    assert issubclass(UnknownKernel, DefinitionError)


def test_filtering_goes_channel_by_channel():
    picture, k = rng.standard_normal((3, 6, 5)), rng.standard_normal((3, 5))
    y = filtered(picture, k)
    assert y.shape == picture.shape
    for c in range(3):
        want = d.conv2d(picture[None, c : c + 1], k[None, None], padding=(1, 2))
        np.testing.assert_allclose(y[c], want[0, 0])
    assert filtered(picture.astype(np.float32), k).dtype == np.float32
    np.testing.assert_array_equal(filtered(picture, kernel("identity")), picture)


def test_an_edge_is_where_the_picture_changes():
    picture = np.zeros((1, 5, 6))
    picture[:, :, 3:] = 1
    # bright on the right: 0 - 1 four times over, in the two columns whose windows hold the step
    assert filtered(picture, kernel("sobel-x"))[0, 2].tolist() == [
        0,
        0,
        -4,
        -4,
        0,
        4,
    ]  # 4: the picture ends in zeros
    assert filtered(picture, kernel("sobel-y"))[0, 2].tolist() == [0] * 6


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: filtered(np.zeros((5, 5)), np.ones((3, 3))),
            ShapeError,
            r"filtered: the picture must be \(C, H, W\) and the kernel \(U, V\), got \(5, 5\) and \(3, 3\)",
        ),
        (lambda: filtered(np.zeros((1, 5, 5)), np.ones(3)), ShapeError, r"got \(1, 5, 5\) and \(3,\)"),
        (lambda: filtered(np.zeros((1, 5, 5)), np.ones((2, 3))), DefinitionError, "same: a window of 2"),
        (
            lambda: d.convolve_by_fft(np.zeros((2, 3)), np.zeros(3)),
            ShapeError,
            r"convolve_by_fft: x and h must have equally many axes and some numbers, got \(2, 3\) and \(3,\)",
        ),
        (
            lambda: d.correlate_by_fft(np.zeros(0), np.zeros(3)),
            ShapeError,
            r"correlate_by_fft: .* got \(0,\) and \(3,\)",
        ),
        (lambda: d.convolve_by_fft(np.zeros(3), np.zeros(0)), ShapeError, r"got \(3,\) and \(0,\)"),
        (
            lambda: d.response(np.zeros((3, 3)), (8, 2)),
            ShapeError,
            r"response: size must be at least that of the kernel \(3, 3\) along each axis, got \(8, 2\)",
        ),
        (lambda: d.response(np.zeros((3, 3)), (8,)), ShapeError, r"got \(8,\)"),
        (
            lambda: d.bands(np.zeros((3, 3)), -0.1),
            DefinitionError,
            "bands: cutoff must be at least 0 cycles per cell, got -0.1",
        ),
        (
            lambda: d.conv2d_cost((3, 8, 8), (4, 2, 3, 3)),
            ShapeError,
            r"conv2d_cost: x has 3 channels but w expects 2 \(x \(3, 8, 8\), w \(4, 2, 3, 3\)\)",
        ),
        (
            lambda: d.conv2d_cost((1, 8, 8), (4, 1, 9, 3)),
            ShapeError,
            "conv2d_cost: along H a window of 9 does not fit",
        ),
    ],
)
def test_bad_input_is_told(call, error, text):
    with pytest.raises(error, match=text):
        call()


@pytest.mark.parametrize(
    ("a", "b"), [((7,), (3,)), ((3,), (7,)), ((6, 5), (3, 2)), ((4, 5, 6), (2, 1, 3)), ((1,), (1,))]
)
def test_convolution_is_a_product_of_frequencies(a, b):
    x, h = rng.standard_normal(a), rng.standard_normal(b)
    y = d.convolve_by_fft(x, h)
    direct = np.zeros([m + n - 1 for m, n in zip(a, b, strict=True)])
    for u in np.ndindex(b):  # each number of h moves a copy of x
        direct[tuple(slice(i, i + n) for i, n in zip(u, a, strict=True))] += h[u] * x
    np.testing.assert_allclose(y, direct, atol=1e-12)
    np.testing.assert_allclose(d.convolve_by_fft(h, x), y, atol=1e-12)
    flipped = h[tuple(slice(None, None, -1) for _ in b)]
    np.testing.assert_allclose(d.correlate_by_fft(x, h), d.convolve_by_fft(x, flipped), atol=1e-12)


def test_the_theorem_holds_for_the_definitions_themselves():
    x, h = rng.standard_normal((6, 5)), rng.standard_normal((3, 2))
    wide = d.wide(3), d.wide(2)
    np.testing.assert_allclose(
        d.convolve_by_fft(x, h), d.convolve2d(x[None, None], h[None, None], padding=wide)[0, 0], atol=1e-12
    )
    np.testing.assert_allclose(
        d.correlate_by_fft(x, h), d.conv2d(x[None, None], h[None, None], padding=wide)[0, 0], atol=1e-12
    )


def test_frequencies_keep_the_dtype():
    x = rng.standard_normal((5, 4)).astype(np.float32)
    assert d.convolve_by_fft(x, x).dtype == d.correlate_by_fft(x, x).dtype == np.float32
    assert {a.dtype for a in d.bands(x, 0.2)} == {np.dtype(np.float32)}


def test_a_response_says_what_becomes_of_a_wave():
    h, n = rng.standard_normal(5), 40
    for f in (0, 3, 11):
        wave = np.exp(2j * np.pi * f * np.arange(n) / n)
        through = sum(h[u] * np.roll(wave, u) for u in range(5))
        np.testing.assert_allclose(through, d.response(h, (n,))[f] * wave, atol=1e-12)


def test_a_blur_lets_low_waves_through_and_an_edge_high_ones():
    blur, edge = (np.abs(d.response(kernel(n), (9, 9))) for n in ("blur", "laplacian"))
    assert blur[0, 0] == pytest.approx(1) and edge[0, 0] == pytest.approx(0)
    assert blur[3, 3] == pytest.approx(0, abs=1e-12)  # a wave of three cells has the mean 0 in every window
    # (1 + 2 cos(2 pi f)) / 3 along one axis, 4 - 2 cos - 2 cos for the Laplacian
    assert blur[0, :4].tolist() == sorted(blur[0, :4], reverse=True)
    assert np.diag(edge)[:5].tolist() == sorted(np.diag(edge)[:5])


def test_a_picture_is_its_outline_and_its_edges():
    picture = np.zeros((32, 24))
    picture[8:24, 6:18] = 1
    low, high = d.bands(picture, 0.1)
    np.testing.assert_allclose(low + high, picture, atol=1e-12)
    assert low.mean() == pytest.approx(picture.mean()) and high.mean() == pytest.approx(0, abs=1e-12)
    # across its left side the picture climbs by 1: the edge is in the high band, the square itself in the low one
    assert high[15, 6] - high[15, 5] > 0.75
    assert low[10:22, 8:16].min() > 0.5 and high[10:22, 8:16].mean() == pytest.approx(0, abs=0.15)


def test_the_ends_of_the_bands():
    picture = rng.standard_normal((7, 6))
    np.testing.assert_allclose(d.bands(picture, 0).low, picture.mean(), atol=1e-12)
    np.testing.assert_allclose(d.bands(picture, 0.71).high, 0, atol=1e-12)
    assert not np.allclose(d.bands(picture, 0.6).high, 0)  # the corner is at 0.707
    line = np.cos(2 * np.pi * np.arange(8) / 4)  # a wave of 1/4: at its own cutoff it is low
    np.testing.assert_allclose(d.bands(line, 0.25).low, line, atol=1e-12)
    np.testing.assert_allclose(d.bands(line, 0.24).low, 0, atol=1e-12)


def test_costs():
    assert d.linear_cost(400, 120) == Cost(48_000, 120, 48_000, 120)
    assert d.local_cost(12, 3, 2) == Cost(72, 12, 72, 12)
    # LeNet's C1: 6 kernels of 25; 28 * 28 = 784 places: 117,600 multiplications, 4,704 numbers
    assert d.conv2d_cost((1, 32, 32), (6, 1, 5, 5)) == Cost(150, 6, 117_600, 4_704)
    # groups, stride, padding and dilation: (9 + 2 - 5) // 2 + 1 = 4 by (7 + 2 - 5) // 2 + 1 = 3 places
    assert d.conv2d_cost((4, 9, 7), (6, 2, 3, 3), 2, 1, 2, 2) == Cost(108, 6, 108 * 12, 6 * 12)

"""Pictures of another size: against PyTorch and finite differences, and the laws of sampling."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from oracle import assert_matches, assert_slopes
from torch.nn import functional as F

from hubel.definitions import (
    DefinitionError,
    ShapeError,
    upsample_bilinear,
    upsample_bilinear_backward,
    upsample_nearest,
    upsample_nearest_backward,
)

rng = np.random.default_rng(73)
X = rng.standard_normal((2, 3, 4, 5))
SIZES = [
    (8, 10),
    (4, 5),
    (1, 1),
    (7, 3),
    (3, 12),
    (2, 2),
    (11, 13),
    (1, 9),
]  # twice, the same, less, and what does not divide


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("x", [X, X[:, :, :1, :1]], ids=["many cells", "one cell"])
def test_the_nearest_cell_is_pytorchs(size, x):
    pair, fast = (upsample_nearest, upsample_nearest_backward), partial(F.interpolate, size=size)
    assert_matches(*pair, fast, x, size=size)
    assert_matches(*pair, fast, x.astype(np.float32), tol=1e-5, size=size)
    assert_slopes(*pair, x, size=size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("x", [X, X[:, :, :1, :1]], ids=["many cells", "one cell"])
@pytest.mark.parametrize("align", [False, True])
def test_between_two_cells_is_pytorchs(size, x, align):
    pair = upsample_bilinear, upsample_bilinear_backward
    fast = partial(F.interpolate, size=size, mode="bilinear", align_corners=align)
    settings = {"size": size, "align_corners": align}
    assert_matches(*pair, fast, x, **settings)
    assert_matches(*pair, fast, x.astype(np.float32), tol=1e-5, **settings)
    assert_slopes(*pair, x, **settings)


def test_corners_are_not_aligned_where_nothing_is_said():
    y = upsample_bilinear(X, (7, 9))
    np.testing.assert_array_equal(y, upsample_bilinear(X, (7, 9), False))
    back = upsample_bilinear_backward
    np.testing.assert_array_equal(back(y, X, (7, 9))[0], back(y, X, (7, 9), False)[0])


def test_by_hand():
    x = np.array([[[[0.0, 4.0]]]])
    assert upsample_nearest(x, (1, 4)).tolist() == [[[[0, 0, 4, 4]]]]
    assert upsample_nearest(x, (1, 3)).tolist() == [[[[0, 0, 4]]]]  # cells begin at 0, 2/3, 4/3
    # middles at 1/4, 3/4, 5/4, 7/4 less 1/2: beyond the first, a quarter on, three quarters on, beyond the last
    assert upsample_bilinear(x, (1, 4)).tolist() == [[[[0, 1, 3, 4]]]]
    assert upsample_bilinear(x, (1, 5), align_corners=True).tolist() == [[[[0, 1, 2, 3, 4]]]]


def test_a_flat_picture_stays_flat_and_a_slope_a_slope():
    np.testing.assert_allclose(upsample_bilinear(np.full((1, 1, 3, 4), 7.0), (5, 9)), 7, rtol=1e-15)
    slope = np.arange(4.0) * np.ones((1, 1, 3, 1))
    wide = upsample_bilinear(slope, (3, 10), align_corners=True)
    np.testing.assert_allclose(wide[0, 0, 1], np.linspace(0, 3, 10), atol=1e-15)


def test_what_is_enlarged_by_whole_numbers_can_be_taken_back():
    np.testing.assert_array_equal(upsample_nearest(X, (12, 10))[:, :, ::3, ::2], X)


def test_the_dtype_stays():
    small = X.astype(np.float16)
    assert upsample_bilinear(small, (7, 3)).dtype == upsample_nearest(small, (7, 3)).dtype == np.float16
    assert upsample_bilinear_backward(small, small, (4, 5))[0].dtype == np.float16


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: upsample_nearest(X[0], 2),
            ShapeError,
            r"upsample_nearest: x must be \(N, C, H, W\), got \(3, 4, 5\)",
        ),
        (lambda: upsample_bilinear(X[0], 2), ShapeError, r"upsample_bilinear: x must be \(N, C, H, W\), got"),
        (
            lambda: upsample_nearest(X[:, :, :0], 2),
            ShapeError,
            r"upsample_nearest: H and W must be above 0, got x \(2, 3, 0, 5\)",
        ),
        (
            lambda: upsample_bilinear_backward(X, X, (0, 2)),
            DefinitionError,
            r"upsample_bilinear: size must be at least 1, got \(0, 2\)",
        ),
        (
            lambda: upsample_nearest_backward(X, X, 2.5),
            DefinitionError,
            "upsample_nearest: size must be an integer or two of them, got 2.5",
        ),
    ],
)
def test_bad_input_is_told(call, error, text):
    with pytest.raises(error, match=text):
        call()

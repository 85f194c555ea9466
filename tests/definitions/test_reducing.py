"""Sums, means, variances and maxima along axes: against PyTorch and finite differences."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from oracle import assert_matches, assert_slopes

import hubel.definitions as d
from hubel.definitions import DefinitionError, ShapeError

rng = np.random.default_rng(67)
A = 2 * rng.standard_normal((2, 3, 4)) + 1
TIES = rng.integers(-2, 1, (2, 3, 4)).astype(float)

FAST = {
    "total": torch.sum,
    "mean": torch.mean,
    "variance": partial(torch.var, correction=0),
    "largest": torch.amax,
}
AXES = [0, 1, -1, (0, 2), (-2, 0), (2, 1, 0)]


def pair(name):
    return getattr(d, name), getattr(d, f"{name}_backward")


@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("keepdims", [False, True])
def test_reducing_is_pytorchs(name, axes, keepdims):
    fast = partial(FAST[name], dim=axes, keepdim=keepdims)
    assert_matches(*pair(name), fast, A, axes=axes, keepdims=keepdims)
    assert_matches(*pair(name), fast, A.astype(np.float32), tol=2e-6, axes=axes, keepdims=keepdims)
    assert_slopes(*pair(name), A, axes=axes, keepdims=keepdims)


@pytest.mark.parametrize("name", FAST)
def test_all_axes_where_none_are_said(name):
    assert_matches(*pair(name), partial(FAST[name], dim=(0, 1, 2)), A)
    assert getattr(d, name)(A, keepdims=True).shape == (1, 1, 1)
    np.testing.assert_array_equal(getattr(d, name)(A, keepdims=True).item(), getattr(d, name)(A))


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("a", [TIES, np.zeros((2, 3, 4))], ids=["some", "all"])
def test_tied_maxima_share_evenly_as_in_pytorch(axes, a):
    fast = partial(torch.amax, dim=axes)
    assert_matches(*pair("largest"), fast, a, axes=axes)
    assert_matches(*pair("largest"), fast, a.astype(np.float32), tol=1e-6, axes=axes)


def test_tied_maxima_by_hand():
    (da,) = d.largest_backward(np.array([6.0]), np.array([[3.0, 1, 3, 3]]), 1)
    assert da.tolist() == [[2, 0, 2, 2]]


@pytest.mark.parametrize("ddof", [0, 1, 2])
def test_a_variance_of_a_sample_is_pytorchs(ddof):
    fast = partial(torch.var, dim=(0, 2), correction=ddof)
    assert_matches(*pair("variance"), fast, A, axes=(0, 2), ddof=ddof)
    assert_slopes(*pair("variance"), A, axes=(0, 2), ddof=ddof)


def test_a_variance_by_hand():
    # 1, 2, 3, 6: mean 3, squares 4 + 1 + 0 + 9 = 14; the slopes are 2 (a - 3) / n
    a = np.array([1.0, 2, 3, 6])
    assert d.variance(a) == 14 / 4 and d.variance(a, ddof=1) == 14 / 3
    assert d.variance_backward(np.float64(1), a)[0].tolist() == [-1, -0.5, 0, 1.5]


def test_a_variance_is_the_mean_square_less_the_square_mean():
    np.testing.assert_allclose(d.variance(A, 1), d.mean(A * A, 1) - d.mean(A, 1) ** 2, rtol=1e-12)


@pytest.mark.parametrize("name", FAST)
def test_a_float16_stays(name):
    a = A.astype(np.float16)
    y = getattr(d, name)(a, 1)
    assert y.dtype == getattr(d, f"{name}_backward")(y, a, 1)[0].dtype == np.float16


def test_a_sum_of_nothing_is_nought_and_a_sum_over_no_axes_is_the_array():
    assert d.total(np.zeros((2, 0)), 1).tolist() == [0, 0]
    assert d.total(A, ()).tolist() == A.tolist() == d.total_backward(A, A, ())[0].tolist()


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: d.total(A, 3), ShapeError, r"total: an array of \(2, 3, 4\) has no axes 3"),
        (lambda: d.mean(A, (0, -4)), ShapeError, r"mean: an array of \(2, 3, 4\) has no axes \(0, -4\)"),
        (
            lambda: d.largest(A, (0, -3)),
            DefinitionError,
            r"largest: axes \(0, -3\) of an array of \(2, 3, 4\) name one axis twice",
        ),
        (
            lambda: d.mean(A[:0]),
            ShapeError,
            r"mean: along axes \(0, 1, 2\) an array of \(0, 3, 4\) has no numbers",
        ),
        (
            lambda: d.largest(A[:0], 0),
            ShapeError,
            r"largest: along axes \(0,\) an array of \(0, 3, 4\) has no numbers",
        ),
        (lambda: d.variance(A[:0], 0), ShapeError, "variance: .* has no numbers"),
        (
            lambda: d.variance(A, 0, ddof=2),
            ShapeError,
            r"variance: along axes \(0,\) of \(2, 3, 4\) there must be more than ddof = 2 numbers, got 2",
        ),
        (lambda: d.total_backward(A, A, 3), ShapeError, r"total: an array of \(2, 3, 4\) has no axes 3"),
        (lambda: d.mean_backward(A, A, 3), ShapeError, r"mean: an array of \(2, 3, 4\) has no axes 3"),
        (
            lambda: d.variance_backward(A, A, 0, ddof=2),
            ShapeError,
            "variance: .* more than ddof = 2 numbers, got 2",
        ),
        (lambda: d.largest_backward(A, A, 3), ShapeError, r"largest: an array of \(2, 3, 4\) has no axes 3"),
    ],
)
def test_bad_input_is_told(call, error, text):
    with pytest.raises(error, match=text):
        call()

"""LeNet-5's own parts against the zoo's, which PyTorch runs."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from oracle import assert_matches, assert_slopes
from torch.nn import functional as F

import hubel.definitions as d
from hubel.definitions import DefinitionError, ShapeError
from hubel.definitions.lenet import C3
from hubel.zoo import lenet5

rng = np.random.default_rng(37)
TABLE = ((0, 2), (1,), (0, 1, 2), (2, 1))  # not in order, and not all alike


def draw(*shapes):
    return [rng.standard_normal(shape) for shape in shapes]


def dense(x, w, b, table):
    """The same by a loop over the table, in PyTorch."""
    maps, number = [], 0
    for o, seen in enumerate(table):
        y = b[o]
        for c in seen:
            y = y + F.conv2d(x[:, c : c + 1], w[number][None, None])
            number += 1
        maps.append(y)
    return torch.cat(maps, 1)


def test_a_partial_convolution_sees_what_its_table_says():
    arrays = draw((2, 3, 6, 5), (8, 3, 2), (4,))
    fast = partial(dense, table=TABLE)
    assert_matches(d.partial_conv2d, d.partial_conv2d_backward, fast, *arrays, table=TABLE)
    assert_slopes(d.partial_conv2d, d.partial_conv2d_backward, *arrays, table=TABLE)


def test_c3_is_the_zoos():
    layer = lenet5.PartialConv2d(6, lenet5.TABLE, 5).double()
    x = rng.standard_normal((2, 6, 7, 6))
    got = d.partial_conv2d(x, layer.weight.detach().numpy(), layer.bias.detach().numpy())
    np.testing.assert_allclose(got, layer(torch.tensor(x)).detach().numpy(), rtol=1e-10)
    assert C3 == lenet5.TABLE
    assert sum(map(len, C3)) == 60  # 6 * 3 + 9 * 4 + 6; with 25 weights each and 16 biases 1,516 parameters


def test_without_a_bias():
    x, w = draw((1, 6, 6, 5), (60, 3, 2))
    np.testing.assert_allclose(d.partial_conv2d(x, w), d.partial_conv2d(x, w, np.zeros(16)))


@pytest.mark.parametrize("kernel", [2, 3])
def test_subsampling_is_pytorchs(kernel):
    fast = lambda x, a, b: F.avg_pool2d(x, kernel) * kernel**2 * a[:, None, None] + b[:, None, None]  # noqa: E731
    arrays = draw((2, 3, 6, 7), (3,), (3,))
    assert_matches(d.subsample, d.subsample_backward, fast, *arrays, kernel=kernel)
    assert_slopes(d.subsample, d.subsample_backward, *arrays, kernel=kernel)


def test_subsampling_takes_two_by_two_where_nothing_is_said():
    x = np.array([[1.0, 2, 0, 0], [3, 4, 0, 1]])[None, None]
    # (1 + 2 + 3 + 4) * 2 + 5 = 25;  1 * 2 + 5 = 7
    assert d.subsample(x, np.array([2.0]), np.array([5.0])).tolist() == [[[[25, 7]]]]


def test_scaled_tanh_is_the_zoos():
    x = rng.standard_normal((3, 4))
    assert_matches(d.scaled_tanh, d.scaled_tanh_backward, lenet5.ScaledTanh(), x)
    assert_slopes(d.scaled_tanh, d.scaled_tanh_backward, x)
    assert d.scaled_tanh(np.array([1.0, -1])) == pytest.approx([1, -1], abs=1e-4)


def test_rbf_units_are_the_zoos():
    arrays = draw((3, 5), (4, 5))
    fast = lambda x, codes: -(x.unsqueeze(1) - codes).square().sum(2)  # noqa: E731
    assert_matches(d.rbf, d.rbf_backward, fast, *arrays)
    assert_slopes(d.rbf, d.rbf_backward, *arrays)
    layer = lenet5.RBF(10).double()
    x = rng.standard_normal((2, 84))
    np.testing.assert_allclose(d.rbf(x, layer.codes.numpy()), layer(torch.tensor(x)).numpy(), rtol=1e-12)


def test_an_rbf_unit_is_surest_of_its_own_code():
    codes = np.sign(rng.standard_normal((6, 20)))
    assert (d.rbf(codes, codes).argmax(1) == np.arange(6)).all() and (np.diag(d.rbf(codes, codes)) == 0).all()


X, W = np.zeros((2, 3, 6, 5)), np.zeros((8, 3, 2))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: d.partial_conv2d(X, W[:7], None, TABLE),
            ShapeError,
            "partial_conv2d: the table has 8 connections but w has 7 kernels",
        ),
        (
            lambda: d.partial_conv2d(X, W, None, ((0, 1, 2), (0, 1, 3), (0, 1))),
            DefinitionError,
            "must name some of the 3 maps of x, once each",
        ),
        (
            lambda: d.partial_conv2d(X, W, None, ((0, 1, 2), (0, 1, -1), (0, 1))),
            DefinitionError,
            "some of the 3 maps",
        ),
        (lambda: d.partial_conv2d(X, W, None, ((0, 1, 2), (0, 1, 1), (0, 1))), DefinitionError, "once each"),
        (
            lambda: d.partial_conv2d(X[0], W, None, TABLE),
            ShapeError,
            r"partial_conv2d: x and w must be \(N, C, H, W\) and \(connections, U, V\), got \(3, 6, 5\)",
        ),
        (lambda: d.partial_conv2d(X, X, None, TABLE), ShapeError, r"got \(2, 3, 6, 5\) and \(2, 3, 6, 5\)"),
        (
            lambda: d.subsample(X, W[0, :, 0], np.zeros(2)),
            ShapeError,
            r"subsample: x must be \(N, C, H, W\) and a, b \(C,\), got \(2, 3, 6, 5\), \(3,\) and \(2,\)",
        ),
        (
            lambda: d.subsample(X, np.zeros(2), np.zeros(2)),
            ShapeError,
            r"got \(2, 3, 6, 5\), \(2,\) and \(2,\)",
        ),
        (
            lambda: d.subsample(X[0], np.zeros(6), np.zeros(6)),
            ShapeError,
            r"got \(3, 6, 5\), \(6,\) and \(6,\)",
        ),
        (
            lambda: d.rbf(X[0, 0], W[0]),
            ShapeError,
            r"rbf: x and codes must be \(N, D\) and \(K, D\) with one D, got \(6, 5\) and \(3, 2\)",
        ),
        (lambda: d.rbf(X[0], X[0, 0]), ShapeError, r"rbf: .* got \(3, 6, 5\) and \(6, 5\)"),
        (lambda: d.rbf(X[0, 0], X[0, 0, 0]), ShapeError, r"rbf: .* got \(6, 5\) and \(5,\)"),
    ],
)
def test_bad_input_is_told(call, error, text):
    with pytest.raises(error, match=text):
        call()

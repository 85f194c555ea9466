"""Activations against PyTorch, at the places where they break, and their laws."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from oracle import assert_matches, assert_slopes
from torch.nn import functional as F

import hubel.definitions as d
from hubel.definitions.error_function import NODES, erfc

rng = np.random.default_rng(11)
X = 3 * rng.standard_normal((2, 3, 5))
KINKS = np.array([-7.0, -3, -1, -0.0, 0, 0.5, 3, 6, 6.5])

FAST = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "relu6": F.relu6,
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "elu": F.elu,
    "softplus": partial(F.softplus, threshold=1000),  # it would write x from 20 on
    "silu": F.silu,
    "mish": F.mish,
    "hardsigmoid": lambda x: F.relu6(x + 3) / 6,  # F.hardsigmoid has its slope of 1/6 in float32 only
    "hardswish": F.hardswish,
    "softmax": partial(F.softmax, dim=-1),
    "log_softmax": partial(F.log_softmax, dim=-1),
}


def pair(name):
    return getattr(d, name), getattr(d, f"{name}_backward")


@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("x", [X, KINKS, 50 * X], ids=["usual", "kinks", "large"])
def test_activations_are_pytorchs(name, x):
    assert_matches(*pair(name), FAST[name], x)


@pytest.mark.parametrize("name", FAST)
def test_activations_in_float32(name):
    assert_matches(*pair(name), FAST[name], X.astype(np.float32), tol=2e-6)


@pytest.mark.parametrize("name", FAST)
def test_activations_keep_float16(name):
    forward, backward = pair(name)
    x = X.astype(np.float16)
    assert forward(x).dtype == backward(x, x)[0].dtype == np.float16


@pytest.mark.parametrize("name", FAST)
def test_slopes_are_differences(name):
    assert_slopes(*pair(name), X)


@pytest.mark.parametrize("slope", [0.2, -0.5, 0.0, 1.5])
def test_any_slope_below_nought(slope):
    assert_matches(*pair("leaky_relu"), partial(F.leaky_relu, negative_slope=slope), KINKS, slope=slope)


@pytest.mark.parametrize("alpha", [0.3, 1.7, 0.0])
def test_any_elu(alpha):
    assert_matches(*pair("elu"), partial(F.elu, alpha=alpha), KINKS, alpha=alpha)
    assert_matches(*pair("elu"), partial(F.elu, alpha=alpha), 50 * X, alpha=alpha)


@pytest.mark.parametrize("beta", [0.5, 3.0])
def test_any_softplus(beta):
    assert_matches(*pair("softplus"), partial(F.softplus, beta=beta, threshold=1000), X, beta=beta)
    assert_slopes(*pair("softplus"), X, beta=beta)


def test_softplus_is_pytorchs_beyond_20_to_two_billionths():
    assert_matches(*pair("softplus"), F.softplus, np.array([-800.0, 19.9, 20.1, 25, 800]), tol=2.1e-9)


def test_hardsigmoid_is_pytorchs_in_float32():
    assert_matches(*pair("hardsigmoid"), F.hardsigmoid, KINKS.astype(np.float32), tol=1e-7)


@pytest.mark.parametrize("slope", [np.array([0.25]), np.array([0.25, -0.5, 1.5])])
@pytest.mark.parametrize(
    "x", [X, X[..., 0], np.sign(X)[..., None], 0 * X], ids=["lines", "vectors", "pictures", "ties"]
)
def test_prelu_is_pytorchs(x, slope):
    assert_matches(*pair("prelu"), F.prelu, x, slope)
    assert_matches(*pair("prelu"), F.prelu, x.astype(np.float32), slope.astype(np.float32), tol=1e-5)


def test_prelus_slopes_are_differences():
    assert_slopes(*pair("prelu"), X, np.array([0.25, -0.5, 1.5]))
    assert_slopes(*pair("prelu"), X[0, 0], np.array([0.25]))  # one slope suits any x


def test_prelu_by_hand():
    x, dy = np.array([[-2.0, 3], [-4, -5]]), np.array([[1.0, 10], [100, 1000]])
    dx, dslope = d.prelu_backward(dy, x, np.array([0.5, 0.25]))
    assert d.prelu(x, np.array([0.5, 0.25])).tolist() == [[-1, 3], [-2, -1.25]]
    assert dx.tolist() == [[0.5, 10], [50, 250]]
    assert dslope.tolist() == [-2 - 400, -5000]


@pytest.mark.parametrize(
    ("x", "slope", "text"),
    [
        (
            X,
            np.ones(2),
            r"prelu: slope must be \(1,\), or \(C,\) for x \(N, C, ...\), got slope \(2,\) and x \(2, 3, 5\)",
        ),
        (X, np.ones((3, 1)), r"got slope \(3, 1\)"),
        (X[0, 0], np.ones(5), r"got slope \(5,\) and x \(5,\)"),
    ],
)
def test_a_slope_that_does_not_fit_is_told(x, slope, text):
    with pytest.raises(d.ShapeError, match=text):
        d.prelu(x, slope)
    with pytest.raises(d.ShapeError, match=text):
        d.prelu_backward(x, x, slope)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("axis", [0, 1, -2])
def test_softmax_along_any_axis(name, axis):
    assert_matches(*pair(name), partial(getattr(F, name), dim=axis), X, axis=axis)


def test_at_a_kink_the_slope_is_pytorchs():
    one = np.ones(1)
    assert d.relu_backward(one, 0 * one)[0] == 0
    assert d.leaky_relu_backward(one, 0 * one, 0.2)[0] == 0.2
    assert (d.relu6_backward(one, 0 * one)[0], d.relu6_backward(one, 6 * one)[0]) == (0, 0)
    assert (d.hardsigmoid_backward(one, -3 * one)[0], d.hardsigmoid_backward(one, 3 * one)[0]) == (0, 0)
    assert (d.hardswish_backward(one, -3 * one)[0], d.hardswish_backward(one, 3 * one)[0]) == (0, 1)
    assert d.elu_backward(one, 0 * one, 0.5)[0] == 0.5


def test_nothing_overflows():
    far = np.array([-1e4, -800.0, 0, 800, 1e4])
    with np.errstate(all="raise", under="ignore"):
        assert d.sigmoid(far).tolist() == [0, 0, 0.5, 1, 1]
        assert d.softmax(far).tolist() == [0, 0, 0, 0, 1]
        assert d.log_softmax(far).tolist() == [-2e4, -10800, -1e4, -9200, 0]
        assert d.elu(far).tolist() == [-1, -1, 0, 800, 1e4]
        assert d.silu(far).tolist() == [0, 0, 0, 800, 1e4] == d.mish(far).tolist()
        assert d.softplus(far).tolist() == [0, 0, math.log(2), 800, 1e4]
        d.elu_backward(far, far), d.silu_backward(far, far), d.mish_backward(far, far)
        d.sigmoid_backward(far, far), d.softmax_backward(far, far), d.log_softmax_backward(far, far)


def test_softmax_adds_up_to_one_and_ignores_a_common_shift():
    np.testing.assert_allclose(d.softmax(X).sum(-1), 1, rtol=1e-14)
    np.testing.assert_allclose(d.softmax(X + 1000), d.softmax(X), rtol=1e-10)
    np.testing.assert_allclose(
        d.softmax_backward(np.ones_like(X), X)[0], 0, atol=1e-15
    )  # so all logits up: no change


def test_softmax_by_hand():
    # e^0 = 1, e^ln2 = 2, e^ln5 = 5: shares of 8
    x = np.log(np.array([1.0, 2, 5]))
    np.testing.assert_allclose(d.softmax(x), [1 / 8, 2 / 8, 5 / 8], rtol=1e-14)
    np.testing.assert_allclose(d.log_softmax(x), np.log([1 / 8, 2 / 8, 5 / 8]), rtol=1e-14)


def test_sigmoid_is_softmax_of_two_and_half_a_tanh():
    two = np.stack([X, np.zeros_like(X)], -1)
    np.testing.assert_allclose(d.sigmoid(X), d.softmax(two)[..., 0], rtol=1e-12)
    np.testing.assert_allclose(d.tanh(X), 2 * d.sigmoid(2 * X) - 1, atol=1e-14)


def test_smooth_and_hard_are_of_one_kin():
    np.testing.assert_allclose(d.silu(X), X * d.sigmoid(X), rtol=1e-15)
    np.testing.assert_allclose(d.hardswish(X), X * d.hardsigmoid(X), rtol=1e-14)
    np.testing.assert_allclose(d.softplus_backward(np.ones_like(X), X)[0], d.sigmoid(X), rtol=1e-15)
    np.testing.assert_allclose(d.softplus(X) - d.softplus(-X), X, atol=1e-14)
    np.testing.assert_array_equal(d.prelu(X, np.array([0.01])), d.leaky_relu(X))
    # 2.4 / 6 + 1 / 2 = 0.9
    np.testing.assert_allclose(d.hardsigmoid(np.array([-3, 0, 2.4, 3])), [0, 0.5, 0.9, 1], rtol=1e-15)


def test_the_error_function_is_that_of_the_standard_library_to_the_last_digits():
    nodes = np.arange(-7 * NODES, 27 * NODES) / NODES
    far = nodes + 0.5 / NODES  # as far from a node as can be
    z = np.concatenate(
        [nodes, far, np.nextafter(far, 99), rng.standard_normal(5000), rng.uniform(-7, 26, 5000)]
    )
    wanted = np.array([math.erfc(v) for v in z])
    normal = wanted > np.finfo(float).tiny
    assert normal.sum() > 18_000
    np.testing.assert_allclose(erfc(z)[normal], wanted[normal], rtol=1e-15, atol=0)
    np.testing.assert_allclose(erfc(z), wanted, rtol=0, atol=4e-16)


def test_the_error_function_at_its_ends_and_of_any_shape():
    ends = np.array([[-np.inf, -40.0, -6.0], [28.0, 40.0, np.inf]])
    assert erfc(ends).tolist() == [[2, 2, 2], [0, 0, 0]]
    assert erfc(np.array(0.0)).shape == () and erfc(np.array(0.0)) == 1
    assert np.isnan(erfc(np.array([np.nan, 0.0]))).tolist() == [True, False]
    assert erfc(np.empty((0, 3))).shape == (0, 3)


def test_gelu_keeps_its_digits_far_below_nought():
    # Phi(-10) = 7.6e-24: 1 + erf would have lost it all
    assert d.gelu(np.array([-10.0]))[0] == pytest.approx(-10 * math.erfc(10 / math.sqrt(2)) / 2, rel=1e-12)
    assert d.gelu(np.array([-10.0]))[0] < 0


def test_relu_passes_on_what_is_not_a_number():
    assert np.isnan(d.relu(np.array([np.nan]))).all() and np.isnan(d.relu6(np.array([np.nan]))).all()

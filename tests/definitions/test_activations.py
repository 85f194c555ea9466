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

rng = np.random.default_rng(11)
X = 3 * rng.standard_normal((2, 3, 5))
KINKS = np.array([-7.0, -1, -0.0, 0, 0.5, 3, 6, 6.5])

FAST = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "relu6": F.relu6,
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
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


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("axis", [0, 1, -2])
def test_softmax_along_any_axis(name, axis):
    assert_matches(*pair(name), partial(getattr(F, name), dim=axis), X, axis=axis)


def test_at_a_kink_the_slope_is_pytorchs():
    one = np.ones(1)
    assert d.relu_backward(one, 0 * one)[0] == 0
    assert d.leaky_relu_backward(one, 0 * one, 0.2)[0] == 0.2
    assert (d.relu6_backward(one, 0 * one)[0], d.relu6_backward(one, 6 * one)[0]) == (0, 0)


def test_nothing_overflows():
    far = np.array([-1e4, -800.0, 0, 800, 1e4])
    with np.errstate(all="raise", under="ignore"):
        assert d.sigmoid(far).tolist() == [0, 0, 0.5, 1, 1]
        assert d.softmax(far).tolist() == [0, 0, 0, 0, 1]
        assert d.log_softmax(far).tolist() == [-2e4, -10800, -1e4, -9200, 0]
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


def test_gelu_keeps_its_digits_far_below_nought():
    # Phi(-10) = 7.6e-24: 1 + erf would have lost it all
    assert d.gelu(np.array([-10.0]))[0] == pytest.approx(-10 * math.erfc(10 / math.sqrt(2)) / 2, rel=1e-12)
    assert d.gelu(np.array([-10.0]))[0] < 0


def test_relu_passes_on_what_is_not_a_number():
    assert np.isnan(d.relu(np.array([np.nan]))).all() and np.isnan(d.relu6(np.array([np.nan]))).all()

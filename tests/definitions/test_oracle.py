"""The oracle can fail: each mistake that it is there for, made on purpose."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from oracle import assert_matches, assert_slopes
from torch.nn import functional as F

from hubel.definitions import conv2d, conv2d_backward, linear, linear_backward

rng = np.random.default_rng(7)
X, W, B = rng.standard_normal((1, 1, 4, 4)), rng.standard_normal((1, 1, 3, 3)), rng.standard_normal(1)
V, M = rng.standard_normal((2, 3)), rng.standard_normal((3, 3))  # square: a transposed M still fits


def test_the_oracle_is_content_with_what_is_right():
    assert_matches(conv2d, conv2d_backward, F.conv2d, X, W, B)
    assert_matches(linear, lambda dy, x, w: linear_backward(dy, x, w)[:2], F.linear, V, M)
    assert_slopes(conv2d, conv2d_backward, X, W, B)


def test_the_oracle_notices_a_flipped_kernel():
    with pytest.raises(AssertionError, match="value"):
        assert_matches(conv2d, conv2d_backward, lambda x, w, b: F.conv2d(x, w.flip(2, 3), b), X, W, B)


def test_the_oracle_notices_a_transposed_gradient():
    def transposed(dy, x, w):
        dx, dw, _ = linear_backward(dy, x, w)
        return dx, dw.T

    with pytest.raises(AssertionError, match="gradient 1"):
        assert_matches(linear, transposed, F.linear, V, M)
    with pytest.raises(AssertionError, match="gradient 1 by differences"):
        assert_slopes(linear, transposed, V, M)


def test_the_oracle_notices_a_gradient_that_is_left_out():
    with pytest.raises(ValueError, match="shorter"):
        assert_matches(linear, lambda dy, x, w: linear_backward(dy, x, w)[:1], F.linear, V, M)
    with pytest.raises(AssertionError, match="only one side has none"):
        assert_matches(linear, lambda dy, x, w: (None, linear_backward(dy, x, w)[1]), F.linear, V, M)


def test_the_oracle_notices_a_gradient_of_another_shape():
    with pytest.raises(AssertionError, match=r"gradient 0: \(1, 2, 3\)"):
        assert_matches(linear, lambda dy, x, w: (linear_backward(dy, x, w)[0][None], M), F.linear, V, M)


def test_the_oracle_notices_another_dtype():
    with pytest.raises(AssertionError, match="dtype: definition float32"):
        assert_matches(lambda x: x.astype(np.float32), lambda dy, x: (dy,), torch.clone, V)
    with pytest.raises(AssertionError, match="gradient 0: float64, not float32"):
        assert_matches(
            np.copy, lambda dy, x: (dy.astype(np.float64),), torch.clone, V.astype(np.float32), tol=1e-6
        )


def test_the_oracle_notices_another_shape():
    with pytest.raises(AssertionError, match="shape"):
        assert_matches(lambda x: x[0], lambda dy, x: (x,), torch.clone, V)


def test_the_oracle_notices_what_writes_to_its_input():
    def careless(x):
        y = x.copy()
        x[0, 0] = 5
        return y

    with pytest.raises(AssertionError, match="written to"):
        assert_matches(careless, lambda dy, x: (dy,), torch.clone, V.copy())


def test_finite_differences_notice_a_factor():
    with pytest.raises(AssertionError, match="gradient 0 by differences"):
        assert_slopes(np.square, lambda dy, x: (dy * x,), V)

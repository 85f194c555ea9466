"""The definitions against a second source: PyTorch's autograd, and finite differences of the definition itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

Arrays = Sequence[np.ndarray]


def assert_matches(
    definition: Callable[..., Any],
    backward: Callable[..., Sequence[Any]],
    fast: Callable[..., Any],
    *arrays: np.ndarray,
    tol: float = 1e-10,
    **settings: Any,
) -> None:
    """Same shape, dtype and value as `fast`, and the same gradient of every float array; nothing is written to.

    The upstream gradient is random: ones would hide a transposed gradient. `settings` go to definition and backward.
    """
    leaves = [torch.tensor(a, requires_grad=np.issubdtype(a.dtype, np.floating)) for a in arrays]
    before = [a.copy() for a in arrays]
    want, got = definition(*arrays, **settings), fast(*leaves)
    assert want.shape == tuple(got.shape), f"shape: definition {want.shape}, fast {tuple(got.shape)}"
    assert f"torch.{want.dtype}" == str(got.dtype), f"dtype: definition {want.dtype}, fast {got.dtype}"
    np.testing.assert_allclose(got.detach().numpy(), want, rtol=tol, atol=tol, err_msg="value")

    dy = np.asarray(np.random.default_rng(0).standard_normal(want.shape), want.dtype)
    got.backward(torch.tensor(dy))
    gradients = backward(dy.copy(), *arrays, **settings)
    for number, (leaf, gradient) in enumerate(zip(leaves, gradients, strict=True)):
        wanted = leaf.grad
        assert (wanted is None) == (gradient is None), f"gradient {number}: only one side has none"
        if wanted is None:
            continue
        assert gradient.shape == tuple(wanted.shape), (
            f"gradient {number}: {gradient.shape}, not {wanted.shape}"
        )
        assert gradient.dtype == want.dtype, f"gradient {number}: {gradient.dtype}, not {want.dtype}"
        np.testing.assert_allclose(wanted.numpy(), gradient, rtol=tol, atol=tol, err_msg=f"gradient {number}")
    for number, (array, was) in enumerate(zip(arrays, before, strict=True)):
        np.testing.assert_array_equal(array, was, err_msg=f"array {number} was written to")


def assert_slopes(
    definition: Callable[..., Any],
    backward: Callable[..., Sequence[Any]],
    *arrays: np.ndarray,
    tol: float = 1e-6,
    step: float = 1e-5,
    **settings: Any,
) -> None:
    """Every gradient against (L(a + step) - L(a - step)) / (2 step), number by number, with L = sum of dy * y.

    float64 only; the arrays must stay away from kinks (ties, zeros of a ReLU) by more than `step`.
    """
    y = definition(*arrays, **settings)
    dy = np.asarray(np.random.default_rng(1).standard_normal(y.shape))
    for number, (array, gradient) in enumerate(zip(arrays, backward(dy, *arrays, **settings), strict=True)):
        if gradient is None:
            continue
        slopes = np.zeros(array.shape)
        for at in np.ndindex(array.shape):
            ends = []
            for way in (step, -step):
                moved = [a.copy() for a in arrays]
                moved[number][at] += way
                ends.append((dy * definition(*moved, **settings)).sum())
            slopes[at] = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(
            slopes, gradient, rtol=tol, atol=tol, err_msg=f"gradient {number} by differences"
        )

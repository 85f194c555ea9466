"""Local response normalisation: a map is divided by what its neighbouring channels answer at the same place.

Krizhevsky, Sutskever, Hinton 2012 (AlexNet), 3.3. No mean is taken off, unlike in normalisation.py.
"""

from __future__ import annotations

import numpy as np

from hubel.definitions.errors import DefinitionError, ShapeError
from hubel.definitions.windows import Array


def local_response_norm(
    x: Array, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Array:
    """y[n,c] = x[n,c] / d[n,c]^beta,  d[n,c] = k + (alpha / size) sum_{c'} x[n,c']^2,  c' the `size` channels around c.

    x: (N, C, ...)   ->   y as x. c' goes from c - size // 2 to c + (size - 1) // 2, and beyond the ends there is
    nothing. alpha is shared out over the channels as PyTorch and Caffe do; AlexNet's paper does not divide, so its
    alpha = 1e-4 with size 5 is 5e-4 here (and its k is 2).
    """
    _, d = _neighbours(x, size, alpha, k)
    return x * d**-beta


def local_response_norm_backward(
    dy: Array, x: Array, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> tuple[Array]:
    """dx[c] = dy[c] d[c]^-beta - 2 (alpha / size) beta x[c] sum_{c'} dy[c'] x[c'] d[c']^(-beta - 1),  c' that see c."""
    near, d = _neighbours(x, size, alpha, k)
    shared = _mixed(near.T, dy * x * d ** (-beta - 1))
    return (dy * d**-beta - 2 * alpha / size * beta * x * shared,)


def _neighbours(x: Array, size: int, alpha: float, k: float) -> tuple[Array, Array]:
    """(C, C) with 1 where channel c sees channel c', and d: the shape of x."""
    if x.ndim < 3:
        raise ShapeError(f"local_response_norm: x must be (N, C, ...) with a picture, got {x.shape}")
    if size < 1:
        raise DefinitionError(f"local_response_norm: size must be at least 1, got {size}")
    c = np.arange(x.shape[1])
    ahead = c - c[:, None]  # how far channel c' stands after channel c
    near = ((-(size // 2) <= ahead) & (ahead <= (size - 1) // 2)).astype(x.dtype)
    return near, k + alpha / size * _mixed(near, x * x)


def _mixed(matrix: Array, x: Array) -> Array:
    """y[n,c] = sum_{c'} matrix[c,c'] x[n,c']"""
    return (matrix @ x.reshape(*x.shape[:2], -1)).reshape(x.shape)

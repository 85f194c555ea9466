"""The plain arithmetic of a computational graph. Two shapes that differ are broadcast as NumPy does.

The rules of differentiation are those of any school book; what is ours to remember is that a number which was
broadcast was used many times, so that its gradients add up.
"""

from __future__ import annotations

import numpy as np

from hubel.definitions.errors import ShapeError
from hubel.definitions.windows import Array


def add(a: Array, b: Array) -> Array:
    """y = a + b: the shortcut of a residual unit (He et al. 2016)."""
    meet("add", a, b)
    return np.add(a, b)


def add_backward(dy: Array, a: Array, b: Array) -> tuple[Array, Array]:
    """da = dy, db = dy: a sum hands its gradient on to each side."""
    return summed_to(dy, a), summed_to(dy, b)


def subtract(a: Array, b: Array) -> Array:
    """y = a - b"""
    meet("subtract", a, b)
    return np.subtract(a, b)


def subtract_backward(dy: Array, a: Array, b: Array) -> tuple[Array, Array]:
    """da = dy, db = -dy"""
    return summed_to(dy, a), summed_to(-dy, b)


def multiply(a: Array, b: Array) -> Array:
    """y = a b"""
    meet("multiply", a, b)
    return np.multiply(a, b)


def multiply_backward(dy: Array, a: Array, b: Array) -> tuple[Array, Array]:
    """da = dy b, db = dy a: each side's gradient is the other side."""
    return summed_to(dy * b, a), summed_to(dy * a, b)


def divide(a: Array, b: Array) -> Array:
    """y = a / b"""
    meet("divide", a, b)
    return np.divide(a, b)


def divide_backward(dy: Array, a: Array, b: Array) -> tuple[Array, Array]:
    """da = dy / b, db = -dy a / b^2"""
    return summed_to(dy / b, a), summed_to(-dy * a / b**2, b)


def power(a: Array, exponent: float) -> Array:
    """y = a^exponent, for a fixed exponent."""
    return np.power(a, exponent)


def power_backward(dy: Array, a: Array, exponent: float) -> tuple[Array]:
    """da = dy exponent a^(exponent - 1); for exponent 0, where a^-1 may not exist, 0."""
    return (dy * exponent * np.power(a, exponent - 1) if exponent else np.zeros_like(dy),)


def exp(a: Array) -> Array:
    """y = e^a"""
    return np.exp(a)


def exp_backward(dy: Array, a: Array) -> tuple[Array]:
    """da = dy e^a"""
    return (dy * np.exp(a),)


def log(a: Array) -> Array:
    """y = ln a"""
    return np.log(a)


def log_backward(dy: Array, a: Array) -> tuple[Array]:
    """da = dy / a"""
    return (dy / a,)


def sqrt(a: Array) -> Array:
    """y = a^(1/2)"""
    return np.sqrt(a)


def sqrt_backward(dy: Array, a: Array) -> tuple[Array]:
    """da = dy / (2 sqrt(a)), which at 0 is infinite."""
    return (dy / (2 * np.sqrt(a)),)


def matmul(a: Array, b: Array) -> Array:
    """y[...,i,k] = sum_j a[...,i,j] b[...,j,k]; what is ahead of the last two axes is broadcast.

    a: (..., I, J)   b: (..., J, K)   ->   y: (..., I, K). A vector is one row on the left, one column on the right,
    and that axis is not in y.
    """
    _rows_meet_columns(a, b)
    return np.matmul(a, b)


def matmul_backward(dy: Array, a: Array, b: Array) -> tuple[Array, Array]:
    """da[...,i,j] = sum_k dy[...,i,k] b[...,j,k];  db[...,j,k] = sum_i a[...,i,j] dy[...,i,k]"""
    _rows_meet_columns(a, b)
    rows, columns, flow = a, b, np.asarray(dy)
    if b.ndim == 1:
        columns, flow = b[:, None], flow[..., None]  # (J, 1), (..., I, 1)
    if a.ndim == 1:
        rows, flow = a[None], flow[..., None, :]  # (1, J), (..., 1, K)
    da = summed_to(flow @ columns.swapaxes(-1, -2), rows)
    db = summed_to(rows.swapaxes(-1, -2) @ flow, columns)
    return da.reshape(a.shape), db.reshape(b.shape)


def summed_to(dy: Array, like: Array) -> Array:
    """The gradient of what was broadcast from `like` to dy's shape: summed over every axis along which it was."""
    shape = np.shape(like)
    ahead = np.ndim(dy) - len(shape)
    stretched = [axis + ahead for axis, size in enumerate(shape) if size == 1 and dy.shape[axis + ahead] != 1]
    return np.sum(dy, axis=(*range(ahead), *stretched)).reshape(shape) if ahead or stretched else dy


def meet(name: str, *arrays: Array) -> None:
    """Raise ShapeError, whose text begins with `name`, where the arrays cannot be broadcast together."""
    shapes = [np.shape(a) for a in arrays]
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        raise ShapeError(
            f"{name}: {' and '.join(map(str, shapes))} cannot be broadcast together: "
            "counted from the last, axes must be equal or 1"
        ) from None


def _rows_meet_columns(a: Array, b: Array) -> None:
    if not a.ndim or not b.ndim:
        raise ShapeError(f"matmul: a and b must have at least one axis, got {a.shape} and {b.shape}")
    if a.shape[-1] != b.shape[-2:][0]:
        raise ShapeError(
            f"matmul: the rows of a have {a.shape[-1]} numbers but the columns of b {b.shape[-2:][0]} "
            f"(a {a.shape}, b {b.shape})"
        )
    try:
        np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise ShapeError(
            f"matmul: what is ahead of the matrices cannot be broadcast together (a {a.shape}, b {b.shape}): "
            "counted from the third last, axes must be equal or 1"
        ) from None

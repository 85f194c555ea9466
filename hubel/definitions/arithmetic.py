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
    _meet("add", a, b)
    return np.add(a, b)


def add_backward(dy: Array, a: Array, b: Array) -> tuple[Array, Array]:
    """da = dy, db = dy: a sum hands its gradient on to each side."""
    return summed_to(dy, a), summed_to(dy, b)


def subtract(a: Array, b: Array) -> Array:
    """y = a - b"""
    _meet("subtract", a, b)
    return np.subtract(a, b)


def subtract_backward(dy: Array, a: Array, b: Array) -> tuple[Array, Array]:
    """da = dy, db = -dy"""
    return summed_to(dy, a), summed_to(-dy, b)


def multiply(a: Array, b: Array) -> Array:
    """y = a b"""
    _meet("multiply", a, b)
    return np.multiply(a, b)


def multiply_backward(dy: Array, a: Array, b: Array) -> tuple[Array, Array]:
    """da = dy b, db = dy a: each side's gradient is the other side."""
    return summed_to(dy * b, a), summed_to(dy * a, b)


def divide(a: Array, b: Array) -> Array:
    """y = a / b"""
    _meet("divide", a, b)
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


def total(a: Array) -> Array:
    """y = the sum of all numbers of a.   (...) -> ()"""
    return np.sum(a)


def total_backward(dy: Array, a: Array) -> tuple[Array]:
    """da = dy everywhere"""
    return (np.broadcast_to(dy, np.shape(a)),)


def summed_to(dy: Array, like: Array) -> Array:
    """The gradient of what was broadcast from `like` to dy's shape: summed over every axis along which it was."""
    shape = np.shape(like)
    ahead = np.ndim(dy) - len(shape)
    stretched = [axis + ahead for axis, size in enumerate(shape) if size == 1 and dy.shape[axis + ahead] != 1]
    return np.sum(dy, axis=(*range(ahead), *stretched)).reshape(shape) if ahead or stretched else dy


def _meet(name: str, a: Array, b: Array) -> None:
    try:
        np.broadcast_shapes(np.shape(a), np.shape(b))
    except ValueError:
        raise ShapeError(f"{name}: {np.shape(a)} and {np.shape(b)} cannot be broadcast together") from None

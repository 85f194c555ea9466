"""Activations: one number in, one number out; and softmax, which lets the classes compete.

All take x of any shape and give y of the same. Each backward takes x, not y, so that it can be read by itself. What
came after 2013 is in later_activations.py.
"""

from __future__ import annotations

import numpy as np

from hubel.definitions.errors import ShapeError
from hubel.definitions.windows import Array


def sigmoid(x: Array) -> Array:
    """y = 1 / (1 + e^-x), written with e^-|x|, which cannot overflow."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def sigmoid_backward(dy: Array, x: Array) -> tuple[Array]:
    """dx = dy y (1 - y)"""
    y = sigmoid(x)
    return (dy * y * (1 - y),)


def tanh(x: Array) -> Array:
    """y = (e^x - e^-x) / (e^x + e^-x) = 2 sigmoid(2x) - 1"""
    return np.tanh(x)


def tanh_backward(dy: Array, x: Array) -> tuple[Array]:
    """dx = dy (1 - y^2)"""
    return (dy * (1 - np.tanh(x) ** 2),)


def relu(x: Array) -> Array:
    """y = max(x, 0). Nair and Hinton 2010."""
    return np.maximum(x, 0)


def relu_backward(dy: Array, x: Array) -> tuple[Array]:
    """dx = dy where x > 0, else 0; at 0 itself, where there is no derivative, 0."""
    return (dy * (x > 0),)


def leaky_relu(x: Array, slope: float = 0.01) -> Array:
    """y = x where x > 0, else slope x. Maas, Hannun, Ng 2013."""
    return np.where(x > 0, x, slope * x)


def leaky_relu_backward(dy: Array, x: Array, slope: float = 0.01) -> tuple[Array]:
    """dx = dy where x > 0, else slope dy; at 0 itself slope dy."""
    return (np.where(x > 0, dy, slope * dy),)


def softmax(x: Array, axis: int = -1) -> Array:
    """y_k = e^x_k / sum_j e^x_j along `axis`. The largest x is taken off first: the same y, and no overflow."""
    _competing("softmax", x, axis)
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def softmax_backward(dy: Array, x: Array, axis: int = -1) -> tuple[Array]:
    """dx_k = y_k (dy_k - sum_j dy_j y_j)"""
    y = softmax(x, axis)
    return (y * (dy - (dy * y).sum(axis, keepdims=True)),)


def log_softmax(x: Array, axis: int = -1) -> Array:
    """y_k = x_k - log sum_j e^x_j along `axis`: finite even where softmax rounds to 0."""
    _competing("log_softmax", x, axis)
    x = x - x.max(axis, keepdims=True)
    return x - np.log(np.exp(x).sum(axis, keepdims=True))


def log_softmax_backward(dy: Array, x: Array, axis: int = -1) -> tuple[Array]:
    """dx_k = dy_k - softmax(x)_k sum_j dy_j"""
    return (dy - softmax(x, axis) * dy.sum(axis, keepdims=True),)


def _competing(name: str, x: Array, axis: int) -> None:
    if not -x.ndim <= axis < x.ndim or not x.shape[axis]:
        raise ShapeError(f"{name}: x is {x.shape} and has no numbers along an axis {axis}")

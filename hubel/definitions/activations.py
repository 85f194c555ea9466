"""Activations: one number in, one number out; and softmax, which lets the classes compete.

All take x of any shape and give y of the same. Each backward takes x, not y, so that it can be read by itself.
"""

from __future__ import annotations

import math

import numpy as np

from hubel.definitions.windows import Array

ROOT_2_OVER_PI = math.sqrt(2 / math.pi)


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


def relu6(x: Array) -> Array:
    """y = min(max(x, 0), 6), which keeps a sense in few bits. Krizhevsky 2010; Sandler et al. 2018 (MobileNetV2)."""
    return np.minimum(np.maximum(x, 0), 6)


def relu6_backward(dy: Array, x: Array) -> tuple[Array]:
    """dx = dy where 0 < x < 6, else 0."""
    return (dy * ((x > 0) & (x < 6)),)


def gelu(x: Array) -> Array:
    """y = x Phi(x), with Phi(x) = (1 + erf(x / sqrt 2)) / 2, the normal distribution. Hendrycks and Gimpel 2016."""
    return x * _phi(x)


def gelu_backward(dy: Array, x: Array) -> tuple[Array]:
    """dx = dy (Phi(x) + x e^(-x^2 / 2) / sqrt(2 pi))"""
    density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    return (dy * (_phi(x) + x * density),)


def gelu_tanh(x: Array) -> Array:
    """y = x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, the paper's approximation of gelu."""
    return x * (1 + np.tanh(ROOT_2_OVER_PI * (x + 0.044715 * x**3))) / 2


def gelu_tanh_backward(dy: Array, x: Array) -> tuple[Array]:
    """With t = tanh(a):  dx = dy ((1 + t) / 2 + x (1 - t^2) a' / 2),  a' = sqrt(2 / pi) (1 + 3 * 0.044715 x^2)"""
    t = np.tanh(ROOT_2_OVER_PI * (x + 0.044715 * x**3))
    slope = ROOT_2_OVER_PI * (1 + 3 * 0.044715 * x**2)
    return (dy * ((1 + t) + x * (1 - t**2) * slope) / 2,)


def softmax(x: Array, axis: int = -1) -> Array:
    """y_k = e^x_k / sum_j e^x_j along `axis`. The largest x is taken off first: the same y, and no overflow."""
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def softmax_backward(dy: Array, x: Array, axis: int = -1) -> tuple[Array]:
    """dx_k = y_k (dy_k - sum_j dy_j y_j)"""
    y = softmax(x, axis)
    return (y * (dy - (dy * y).sum(axis, keepdims=True)),)


def log_softmax(x: Array, axis: int = -1) -> Array:
    """y_k = x_k - log sum_j e^x_j along `axis`: finite even where softmax rounds to 0."""
    x = x - x.max(axis, keepdims=True)
    return x - np.log(np.exp(x).sum(axis, keepdims=True))


def log_softmax_backward(dy: Array, x: Array, axis: int = -1) -> tuple[Array]:
    """dx_k = dy_k - softmax(x)_k sum_j dy_j"""
    return (dy - softmax(x, axis) * dy.sum(axis, keepdims=True),)


def _phi(x: Array) -> Array:
    """(1 + erf(x / sqrt 2)) / 2, as erfc(-x / sqrt 2) / 2, which keeps its digits where Phi is small.

    NumPy has no erf; the standard library's is right to the last digit and takes a call per number.
    """
    values = [math.erfc(v) for v in np.ravel(x * -math.sqrt(0.5)).tolist()]
    return (np.array(values).reshape(x.shape) / 2).astype(x.dtype)

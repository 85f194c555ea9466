"""Activations that came after ReLU: smooth ones that let a little through below nought, and cheap imitations of them.

As in activations.py, x may have any shape, and each backward takes x, not y.
"""

from __future__ import annotations

import math

import numpy as np

from hubel.definitions.activations import sigmoid
from hubel.definitions.arithmetic import summed_to
from hubel.definitions.error_function import erfc
from hubel.definitions.errors import ShapeError
from hubel.definitions.windows import Array

ROOT_2_OVER_PI = math.sqrt(2 / math.pi)


def relu6(x: Array) -> Array:
    """y = min(max(x, 0), 6), which keeps a sense in few bits. Krizhevsky 2010; Sandler et al. 2018 (MobileNetV2)."""
    return np.minimum(np.maximum(x, 0), 6)


def relu6_backward(dy: Array, x: Array) -> tuple[Array]:
    """dx = dy where 0 < x < 6, else 0."""
    return (dy * ((x > 0) & (x < 6)),)


def elu(x: Array, alpha: float = 1.0) -> Array:
    """y = x where x > 0, else alpha (e^x - 1). Clevert, Unterthiner, Hochreiter 2016."""
    return np.where(
        x > 0, x, alpha * np.expm1(np.minimum(x, 0))
    )  # the minimum, as e^x of a large x overflows


def elu_backward(dy: Array, x: Array, alpha: float = 1.0) -> tuple[Array]:
    """dx = dy where x > 0, else dy alpha e^x; at 0 itself dy alpha."""
    return (dy * np.where(x > 0, 1, alpha * np.exp(np.minimum(x, 0))),)


def prelu(x: Array, slope: Array) -> Array:
    """y = x where x > 0, else slope x: leaky_relu with a slope that is learnt. He et al. 2015, equation 1.

    x: (N, C, ...)   slope: (C,), or (1,) for all channels (and any x)   ->   y as x
    """
    return np.where(x > 0, x, _per_channel(x, slope) * x)


def prelu_backward(dy: Array, x: Array, slope: Array) -> tuple[Array, Array]:
    """dx = dy where x > 0, else slope dy;  dslope[c] = sum of dy x where x <= 0, over all that used slope[c]."""
    each = _per_channel(x, slope)
    dx = np.where(x > 0, dy, each * dy)
    return dx, summed_to(np.where(x > 0, 0, dy * x), each).reshape(slope.shape)


def softplus(x: Array, beta: float = 1.0) -> Array:
    """y = ln(1 + e^(beta x)) / beta, a smooth ReLU. Dugas et al. 2001.

    PyTorch writes x where beta x > 20; there the two differ by less than e^-20 = 2e-9.
    """
    return np.logaddexp(0, beta * x) / beta


def softplus_backward(dy: Array, x: Array, beta: float = 1.0) -> tuple[Array]:
    """dx = dy sigmoid(beta x)"""
    return (dy * sigmoid(beta * x),)


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


def silu(x: Array) -> Array:
    """y = x sigmoid(x), also called swish. Hendrycks and Gimpel 2016; Ramachandran, Zoph, Le 2017."""
    return x * sigmoid(x)


def silu_backward(dy: Array, x: Array) -> tuple[Array]:
    """With s = sigmoid(x):  dx = dy (s + x s (1 - s))"""
    s = sigmoid(x)
    return (dy * s * (1 + x * (1 - s)),)


def mish(x: Array) -> Array:
    """y = x tanh(softplus(x)). Misra 2019."""
    return x * np.tanh(softplus(x))


def mish_backward(dy: Array, x: Array) -> tuple[Array]:
    """With t = tanh(softplus(x)):  dx = dy (t + x (1 - t^2) sigmoid(x))"""
    t = np.tanh(softplus(x))
    return (dy * (t + x * (1 - t**2) * sigmoid(x)),)


def hardsigmoid(x: Array) -> Array:
    """y = relu6(x + 3) / 6: straight from 0 at -3 to 1 at 3. Howard et al. 2019 (MobileNetV3)."""
    return relu6(x + 3) / 6


def hardsigmoid_backward(dy: Array, x: Array) -> tuple[Array]:
    """dx = dy / 6 where -3 < x < 3, else 0."""
    return (dy * (np.abs(x) < 3) / 6,)


def hardswish(x: Array) -> Array:
    """y = x relu6(x + 3) / 6, which is x hardsigmoid(x), as silu is x sigmoid(x). Howard et al. 2019, section 5.2."""
    return x * relu6(x + 3) / 6


def hardswish_backward(dy: Array, x: Array) -> tuple[Array]:
    """dx = dy (2x + 3) / 6 where -3 < x < 3, else 0 on the left and dy on the right, at -3 and 3 themselves, too."""
    return (dy * np.where(np.abs(x) < 3, (2 * x + 3) / 6, x > 0),)


def _phi(x: Array) -> Array:
    """(1 + erf(x / sqrt 2)) / 2, as erfc(-x / sqrt 2) / 2, which keeps its digits where Phi is small."""
    return (erfc(x * -math.sqrt(0.5)) / 2).astype(x.dtype)


def _per_channel(x: Array, slope: Array) -> Array:
    """(C,) -> (C, 1, 1), to stand against (N, C, H, W)."""
    if slope.shape == (1,):
        return slope
    if slope.ndim != 1 or x.ndim < 2 or len(slope) != x.shape[1]:
        raise ShapeError(
            f"prelu: slope must be (1,), or (C,) for x (N, C, ...), got slope {slope.shape} and x {x.shape}"
        )
    return slope.reshape(-1, *[1] * (x.ndim - 2))

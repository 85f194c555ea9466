"""Losses: one number for how far answers are from targets, the mean over the N items. Logarithms are natural.

"_with_logits" takes z, the numbers before sigmoid or softmax, and is exact for any z. The others take probabilities q
as the lectures write them; log 0 is kept away by clipping q from below, and a clipped q learns nothing more, which is
why networks are trained on logits.
"""

from __future__ import annotations

import numpy as np

from hubel.definitions.activations import log_softmax, sigmoid, softmax
from hubel.definitions.errors import DefinitionError, ShapeError
from hubel.definitions.windows import Array

CLIP = 1e-7  # Keras's; the loss of one item is at most -log(1e-7) = 16.1


def mean_squared_error(y: Array, t: Array) -> Array:
    """L = mean (y - t)^2 over all numbers.   y, t: (...)   ->   ()"""
    _alike("mean_squared_error", y, t)
    return np.square(y - t).mean()


def mean_squared_error_backward(dL: Array, y: Array, t: Array) -> tuple[Array, Array]:
    """dy = dL 2 (y - t) / (how many numbers);  dt = -dy"""
    _alike("mean_squared_error", y, t)
    dy = dL * (2 / y.size) * (y - t)
    return dy, -dy


def binary_cross_entropy(q: Array, t: Array, clip: float = CLIP) -> Array:
    """L = - mean (t log q + (1 - t) log(1 - q)) over all numbers, each log of no less than `clip`.

    q: (...) probabilities   t: (...) in 0..1   ->   ()
    """
    _alike("binary_cross_entropy", q, t)
    return -(t * np.log(np.maximum(q, clip)) + (1 - t) * np.log(np.maximum(1 - q, clip))).mean()


def binary_cross_entropy_backward(dL: Array, q: Array, t: Array, clip: float = CLIP) -> tuple[Array, Array]:
    """dq = - dL (t / q - (1 - t) / (1 - q)) / (how many), where a clipped term gives 0;
    dt = - dL (log q - log(1 - q)) / (how many)
    """
    _alike("binary_cross_entropy", q, t)
    p, r = np.maximum(q, clip), np.maximum(1 - q, clip)
    dq = t / p * (q >= clip) - (1 - t) / r * (1 - q >= clip)
    return -dL / q.size * dq, -dL / q.size * (np.log(p) - np.log(r))


def binary_cross_entropy_with_logits(z: Array, t: Array) -> Array:
    """The same of q = sigmoid(z), as mean (max(z, 0) - z t + log(1 + e^-|z|)), which cannot overflow."""
    _alike("binary_cross_entropy_with_logits", z, t)
    return (np.maximum(z, 0) - z * t + np.log1p(np.exp(-np.abs(z)))).mean()


def binary_cross_entropy_with_logits_backward(dL: Array, z: Array, t: Array) -> tuple[Array, Array]:
    """dz = dL (sigmoid(z) - t) / (how many): answer minus target;  dt = - dL z / (how many)"""
    _alike("binary_cross_entropy_with_logits", z, t)
    return dL / z.size * (sigmoid(z) - t), -dL / z.size * z


def cross_entropy(q: Array, t: Array, clip: float = CLIP) -> Array:
    """L = - mean_n sum_k t[n,k] log q[n,k], each log of no less than `clip`.   q, t: (N, K)   ->   ()

    t is a distribution over the classes: one_hot(labels, K), or a smoothed one.
    """
    _classes("cross_entropy", q, t)
    return -(t * np.log(np.maximum(q, clip))).sum(1).mean()


def cross_entropy_backward(dL: Array, q: Array, t: Array, clip: float = CLIP) -> tuple[Array, Array]:
    """dq = - dL t / q / N, where q is not clipped;  dt = - dL log q / N"""
    _classes("cross_entropy", q, t)
    p = np.maximum(q, clip)
    return -dL / len(q) * (t / p * (q >= clip)), -dL / len(q) * np.log(p)


def cross_entropy_with_logits(z: Array, t: Array) -> Array:
    """The same of q = softmax(z): L = - mean_n sum_k t[n,k] log_softmax(z)[n,k].   z, t: (N, K)   ->   ()"""
    _classes("cross_entropy_with_logits", z, t)
    return -(t * log_softmax(z)).sum(1).mean()


def cross_entropy_with_logits_backward(dL: Array, z: Array, t: Array) -> tuple[Array, Array]:
    """dz = dL (softmax(z) sum_k t - t) / N: answer minus target, as the targets sum to 1.

    dt = - dL log_softmax(z) / N
    """
    _classes("cross_entropy_with_logits", z, t)
    return dL / len(z) * (softmax(z) * t.sum(1, keepdims=True) - t), -dL / len(z) * log_softmax(z)


def one_hot(labels: Array, classes: int, dtype: type[np.floating] = np.float64) -> Array:
    """t[n,k] = 1 where k = labels[n], else 0.   (N,) int -> (N, K)"""
    labels = np.asarray(labels)
    if labels.size and not np.issubdtype(labels.dtype, np.integer):
        raise DefinitionError(
            f"one_hot: labels must be whole numbers of an integer dtype, got {labels.dtype}"
        )
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise DefinitionError(
            f"one_hot: classes are 0 to {classes - 1}, labels go from {labels.min()} to {labels.max()}"
        )
    t = np.zeros((*labels.shape, classes), dtype)
    np.put_along_axis(t, labels.astype(int)[..., None], 1, axis=-1)
    return t


def _alike(name: str, y: Array, t: Array) -> None:
    if y.shape != t.shape:
        raise ShapeError(f"{name}: answers and targets must have one shape, got {y.shape} and {t.shape}")


def _classes(name: str, y: Array, t: Array) -> None:
    _alike(name, y, t)
    if y.ndim != 2:
        raise ShapeError(f"{name}: answers and targets must be (N, K), got {y.shape}")

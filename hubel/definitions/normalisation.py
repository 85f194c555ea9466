"""Normalisation: numbers brought to mean 0 and variance 1 over some axes, then scaled and shifted per channel.

    batch     over N and the picture, for each channel               Ioffe and Szegedy 2015, algorithm 1
    layer     over the last axes, for each item                      Ba, Kiros, Hinton 2016
    instance  over the picture, for each item and channel            Ulyanov, Vedaldi, Lempitsky 2016
    group     over the picture and a group of channels, for each item  Wu and He 2018, equation 7
    rms       as layer, with the mean left where it is               Zhang and Sennrich 2019, equation 4

AlexNet's, which divides by what neighbouring channels answer, is in local_response.py.

gamma (scale) and beta (shift) may be None; their gradients are given all the same.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from hubel.definitions.errors import DefinitionError, ShapeError
from hubel.definitions.windows import Array


class Statistics(NamedTuple):
    """What batch norm keeps for later: mean and variance of each channel, (C,) both."""

    mean: Array
    variance: Array


def standardise(x: Array, axes: tuple[int, ...], eps: float = 1e-5) -> Array:
    """y = (x - mean) / sqrt(variance + eps) over `axes`; the variance divides by the count n, not by n - 1."""
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def standardise_backward(dy: Array, x: Array, axes: tuple[int, ...], eps: float = 1e-5) -> tuple[Array]:
    """dx = (dy - mean(dy) - y mean(dy y)) / sqrt(variance + eps).

    The mean takes away what is common to all, the variance what stretches them: y is blind to both.
    """
    y = standardise(x, axes, eps)
    along = (dy * y).mean(axes, keepdims=True)
    return ((dy - dy.mean(axes, keepdims=True) - y * along) / np.sqrt(x.var(axes, keepdims=True) + eps),)


def batch_norm(x: Array, gamma: Array | None = None, beta: Array | None = None, eps: float = 1e-5) -> Array:
    """In training: y[n,c,i,j] = gamma[c] (x[n,c,i,j] - mean[c]) / sqrt(variance[c] + eps) + beta[c].

    x: (N, C, ...)   gamma, beta: (C,) or None   ->   y as x. Mean and variance are of this batch; running_statistics
    remembers them for batch_norm_inference.
    """
    axes = _batch_axes("batch_norm", x, gamma, beta)
    return _scaled(standardise(x, axes, eps), gamma, beta, x.ndim)


def batch_norm_backward(
    dy: Array, x: Array, gamma: Array | None = None, beta: Array | None = None, eps: float = 1e-5
) -> tuple[Array, Array, Array]:
    """dgamma[c] = sum dy * (x standardised);  dbeta[c] = sum dy;  dx through standardise, of dy gamma[c]"""
    axes = _batch_axes("batch_norm", x, gamma, beta)
    (dx,) = standardise_backward(_scaled(dy, gamma, None, x.ndim), x, axes, eps)
    return dx, (dy * standardise(x, axes, eps)).sum(axes), dy.sum(axes)


def running_statistics(x: Array, mean: Array, variance: Array, momentum: float = 0.1) -> Statistics:
    """What is remembered after a batch: (1 - momentum) old + momentum new.

    x: (N, C, ...)   mean, variance: (C,), before. The new variance divides by n - 1 (the batch is a sample of all
    pictures), while batch_norm divides by n: so says the paper, and so does PyTorch.
    """
    axes = _batch_axes("running_statistics", x, mean, variance)
    return Statistics(
        (1 - momentum) * mean + momentum * x.mean(axes),
        (1 - momentum) * variance + momentum * x.var(axes, ddof=1),
    )


def batch_norm_inference(
    x: Array,
    mean: Array,
    variance: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    eps: float = 1e-5,
) -> Array:
    """In use: y[n,c,i,j] = gamma[c] (x[n,c,i,j] - mean[c]) / sqrt(variance[c] + eps) + beta[c].

    mean, variance: (C,), as running_statistics remembered them. Per channel it is a scale and a
    shift, whatever else is in the batch.
    """
    _per_channel("batch_norm_inference", x, gamma, beta, mean, variance)
    centred = x - _channels(mean, x.ndim)
    return _scaled(centred / np.sqrt(_channels(variance, x.ndim) + eps), gamma, beta, x.ndim)


def batch_norm_inference_backward(
    dy: Array,
    x: Array,
    mean: Array,
    variance: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    eps: float = 1e-5,
) -> tuple[Array, None, None, Array, Array]:
    """dx = dy gamma[c] / sqrt(variance[c] + eps);  dgamma, dbeta as in training.

    What was remembered is not learnt: None.
    """
    _per_channel("batch_norm_inference", x, gamma, beta, mean, variance)
    axes = (0, *range(2, x.ndim))
    dx = _scaled(dy, gamma, None, x.ndim) / np.sqrt(_channels(variance, x.ndim) + eps)
    dgamma = (dy * batch_norm_inference(x, mean, variance, eps=eps)).sum(axes)
    return dx, None, None, dgamma, dy.sum(axes)


def layer_norm(
    x: Array, gamma: Array | None = None, beta: Array | None = None, axes: int = 1, eps: float = 1e-5
) -> Array:
    """y = gamma * (x standardised over its last `axes` axes) + beta.   gamma, beta: the shape of those axes, or None"""
    over = _last("layer_norm", x, axes, gamma=gamma, beta=beta)
    y = standardise(x, over, eps)
    y = y if gamma is None else y * gamma
    return y if beta is None else y + beta


def layer_norm_backward(
    dy: Array,
    x: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    axes: int = 1,
    eps: float = 1e-5,
) -> tuple[Array, Array, Array]:
    """dgamma = sum over the items of dy * (x standardised);  dbeta = sum of dy;  dx through standardise, of dy gamma"""
    over = _last("layer_norm", x, axes, gamma=gamma, beta=beta)
    (dx,) = standardise_backward(dy if gamma is None else dy * gamma, x, over, eps)
    items = tuple(range(x.ndim - axes))
    return dx, (dy * standardise(x, over, eps)).sum(items), dy.sum(items)


def instance_norm(
    x: Array, gamma: Array | None = None, beta: Array | None = None, eps: float = 1e-5
) -> Array:
    """y[n,c] = gamma[c] (x[n,c] standardised over its own picture) + beta[c].   x: (N, C, ...)   gamma, beta: (C,)"""
    axes = _picture_axes(x, gamma, beta)
    return _scaled(standardise(x, axes, eps), gamma, beta, x.ndim)


def instance_norm_backward(
    dy: Array, x: Array, gamma: Array | None = None, beta: Array | None = None, eps: float = 1e-5
) -> tuple[Array, Array, Array]:
    """As batch_norm_backward, with each picture by itself."""
    axes = _picture_axes(x, gamma, beta)
    (dx,) = standardise_backward(_scaled(dy, gamma, None, x.ndim), x, axes, eps)
    return dx, (dy * standardise(x, axes, eps)).sum((0, *axes)), dy.sum((0, *axes))


def group_norm(
    x: Array, gamma: Array | None = None, beta: Array | None = None, groups: int = 1, eps: float = 1e-5
) -> Array:
    """y[n,c] = gamma[c] (x[n,c] standardised over the picture and the C/G channels of its group) + beta[c].

    x: (N, C, ...)   gamma, beta: (C,) or None. With C groups it is instance_norm.
    """
    grouped = _in_groups(x, gamma, beta, groups)  # (N, G, C/G ...)
    return _scaled(standardise(grouped, (2,), eps).reshape(x.shape), gamma, beta, x.ndim)


def group_norm_backward(
    dy: Array,
    x: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    groups: int = 1,
    eps: float = 1e-5,
) -> tuple[Array, Array, Array]:
    """As batch_norm_backward, with each group of each item by itself."""
    grouped = _in_groups(x, gamma, beta, groups)
    flow = _scaled(dy, gamma, None, x.ndim).reshape(grouped.shape)
    (dx,) = standardise_backward(flow, grouped, (2,), eps)
    axes = (0, *range(2, x.ndim))
    y = standardise(grouped, (2,), eps).reshape(x.shape)
    return dx.reshape(x.shape), (dy * y).sum(axes), dy.sum(axes)


def rms_norm(x: Array, gamma: Array | None = None, axes: int = 1, eps: float | None = None) -> Array:
    """y = gamma * x / sqrt(mean(x^2) + eps) over the last `axes` axes: layer_norm that leaves the mean where it is.

    gamma: the shape of those axes, or None. The paper has no eps; None is the smallest step from 1 in x's dtype, as
    PyTorch has it.
    """
    over = _last("rms_norm", x, axes, gamma=gamma)
    y = x / _size(x, over, eps)
    return y if gamma is None else y * gamma


def rms_norm_backward(
    dy: Array, x: Array, gamma: Array | None = None, axes: int = 1, eps: float | None = None
) -> tuple[Array, Array]:
    """With r = sqrt(mean(x^2) + eps), y = x / r, g = dy gamma:  dx = (g - y mean(g y)) / r;  dgamma = sum of dy y"""
    over = _last("rms_norm", x, axes, gamma=gamma)
    r = _size(x, over, eps)
    y, g = x / r, dy if gamma is None else dy * gamma
    return (g - y * (g * y).mean(over, keepdims=True)) / r, (dy * y).sum(tuple(range(x.ndim - axes)))


def _channels(v: Array, ndim: int) -> Array:
    """(C,) -> (C, 1, 1), to stand against (N, C, H, W)."""
    return v.reshape(-1, *[1] * (ndim - 2))


def _scaled(x: Array, gamma: Array | None, beta: Array | None, ndim: int) -> Array:
    x = x if gamma is None else x * _channels(gamma, ndim)
    return x if beta is None else x + _channels(beta, ndim)


def _per_channel(name: str, x: Array, *vectors: Array | None) -> None:
    if x.ndim < 2:
        raise ShapeError(f"{name}: x must be (N, C, ...), got {x.shape}")
    for v in vectors:
        if v is not None and v.shape != (x.shape[1],):
            raise ShapeError(
                f"{name}: x has {x.shape[1]} channels (x {x.shape}), but one of its vectors is {v.shape}, "
                f"not ({x.shape[1]},)"
            )


def _batch_axes(name: str, x: Array, *vectors: Array | None) -> tuple[int, ...]:
    _per_channel(name, x, *vectors)
    if x.size <= x.shape[1]:
        raise ShapeError(
            f"{name}: one number per channel has no variance (x {x.shape}): give at least two items or positions"
        )
    return (0, *range(2, x.ndim))


def _picture_axes(x: Array, gamma: Array | None, beta: Array | None) -> tuple[int, ...]:
    _per_channel("instance_norm", x, gamma, beta)
    if math.prod(x.shape[2:]) < 2:
        raise ShapeError(
            f"instance_norm: a picture of one number has no variance (x {x.shape}): give at least two positions"
        )
    return tuple(range(2, x.ndim))


def _last(name: str, x: Array, axes: int, **vectors: Array | None) -> tuple[int, ...]:
    if not 1 <= axes <= x.ndim:
        raise DefinitionError(f"{name}: x {x.shape} has 1 to {x.ndim} last axes, got {axes}")
    wanted = x.shape[x.ndim - axes :]
    for called, v in vectors.items():
        if v is not None and v.shape != wanted:
            raise ShapeError(
                f"{name}: {called} must be {wanted}, the last axes of x {x.shape}, got {v.shape}"
            )
    return tuple(range(x.ndim - axes, x.ndim))


def _in_groups(x: Array, gamma: Array | None, beta: Array | None, groups: int) -> Array:
    """(N, C, ...) -> (N, G, C/G ...)"""
    _per_channel("group_norm", x, gamma, beta)
    if groups < 1 or x.shape[1] % groups:
        raise DefinitionError(
            f"group_norm: {groups} groups must divide the {x.shape[1]} channels of x {x.shape}"
        )
    if math.prod(x.shape[1:]) // groups < 2:
        raise ShapeError(
            f"group_norm: one number in each of {groups} groups has no variance (x {x.shape}): make fewer groups"
        )
    return x.reshape(len(x), groups, math.prod(x.shape[1:]) // groups)


def _size(x: Array, over: tuple[int, ...], eps: float | None) -> Array:
    """sqrt(mean(x^2) + eps)"""
    return np.sqrt((x * x).mean(over, keepdims=True) + (float(np.finfo(x.dtype).eps) if eps is None else eps))

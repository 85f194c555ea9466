"""Reducing: many numbers become one, along some axes or all of them.

axes: one axis or a tuple, negative ones counted from the end, None for all; keepdims leaves each as an axis of size 1.
In every sum over a below, j runs over the cells along `axes`, and n is their number.
"""

from __future__ import annotations

import math

import numpy as np

from hubel.definitions.errors import DefinitionError, ShapeError
from hubel.definitions.windows import Array

Axes = int | tuple[int, ...] | None


def total(a: Array, axes: Axes = None, keepdims: bool = False) -> Array:
    """y = sum_j a[j].   (...) -> () where no axes are said"""
    return np.sum(a, axis=axes_of("total", a, axes), keepdims=keepdims)


def total_backward(dy: Array, a: Array, axes: Axes = None, keepdims: bool = False) -> tuple[Array]:
    """da[j] = dy"""
    return (np.broadcast_to(_kept(dy, axes_of("total", a, axes), keepdims), np.shape(a)),)


def mean(a: Array, axes: Axes = None, keepdims: bool = False) -> Array:
    """y = sum_j a[j] / n"""
    over = _filled("mean", a, axes)
    return np.mean(a, axis=over, keepdims=keepdims)


def mean_backward(dy: Array, a: Array, axes: Axes = None, keepdims: bool = False) -> tuple[Array]:
    """da[j] = dy / n"""
    over = _filled("mean", a, axes)
    return (np.broadcast_to(_kept(dy, over, keepdims) / _count(a, over), np.shape(a)),)


def variance(a: Array, axes: Axes = None, keepdims: bool = False, ddof: int = 0) -> Array:
    """y = sum_j (a[j] - mean)^2 / (n - ddof).

    ddof 0 is the variance of these n numbers; 1, where they are a sample, that of what they were drawn from.
    """
    over = _spread("variance", a, axes, ddof)
    return np.var(a, axis=over, keepdims=keepdims, ddof=ddof)


def variance_backward(
    dy: Array, a: Array, axes: Axes = None, keepdims: bool = False, ddof: int = 0
) -> tuple[Array]:
    """da[j] = 2 dy (a[j] - mean) / (n - ddof). That the mean moves too adds nothing: the differences sum to 0."""
    over = _spread("variance", a, axes, ddof)
    apart = a - np.mean(a, axis=over, keepdims=True)
    return (2 * _kept(dy, over, keepdims) * apart / (_count(a, over) - ddof),)


def largest(a: Array, axes: Axes = None, keepdims: bool = False) -> Array:
    """y = max_j a[j]"""
    return np.max(a, axis=_filled("largest", a, axes), keepdims=keepdims)


def largest_backward(dy: Array, a: Array, axes: Axes = None, keepdims: bool = False) -> tuple[Array]:
    """da[j] = dy / (how many are largest) where a[j] is largest, else 0.

    Tied cells share evenly, as in PyTorch's amax. Its max pooling differs: there the first takes all (max_pool2d).
    """
    over = _filled("largest", a, axes)
    won = a == np.max(a, axis=over, keepdims=True)
    return (won * (_kept(dy, over, keepdims) / won.sum(axis=over, keepdims=True, dtype=dy.dtype)),)


def axes_of(name: str, a: Array, axes: Axes) -> tuple[int, ...]:
    """The axes of a in any of their forms as a tuple of numbers from 0 on; `name` begins the error text."""
    shape, ndim = np.shape(a), np.ndim(a)
    if axes is None:
        return tuple(range(ndim))
    asked = axes if isinstance(axes, tuple | list) else (axes,)
    if not all(-ndim <= axis < ndim for axis in asked):
        raise ShapeError(f"{name}: an array of {shape} has no axes {axes}")
    over = tuple(int(axis) % ndim for axis in asked)
    if len(set(over)) < len(over):
        raise DefinitionError(f"{name}: axes {axes} of an array of {shape} name one axis twice")
    return over


def _filled(name: str, a: Array, axes: Axes) -> tuple[int, ...]:
    over = axes_of(name, a, axes)
    if not _count(a, over):
        raise ShapeError(f"{name}: along axes {over} an array of {np.shape(a)} has no numbers")
    return over


def _spread(name: str, a: Array, axes: Axes, ddof: int) -> tuple[int, ...]:
    over = _filled(name, a, axes)
    if _count(a, over) <= ddof:
        raise ShapeError(
            f"{name}: along axes {over} of {np.shape(a)} there must be more than ddof = {ddof} numbers, "
            f"got {_count(a, over)}"
        )
    return over


def _count(a: Array, over: tuple[int, ...]) -> int:
    return math.prod(np.shape(a)[axis] for axis in over)


def _kept(dy: Array, over: tuple[int, ...], keepdims: bool) -> Array:
    """dy with each axis that was summed away as one of size 1."""
    return np.asarray(dy) if keepdims else np.expand_dims(dy, over)

"""Moving: every number keeps its value and gets another place, or several; only padding with a constant makes new ones.

So each backward sends a gradient back to where its number came from, and adds up where the number went to several
places. joining.py puts arrays together; here there is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np

from hubel.definitions.arithmetic import summed_to
from hubel.definitions.errors import DefinitionError, ShapeError
from hubel.definitions.reducing import axes_of
from hubel.definitions.windows import Array, Two

Shape = tuple[int, ...]
Edges = Literal["constant", "reflect", "edge"]


def reshape(x: Array, shape: Shape) -> Array:
    """The same numbers in reading order, in another shape; one axis may be -1, which is what is left over."""
    try:
        return np.reshape(x, shape)
    except ValueError:
        raise ShapeError(
            f"reshape: x {np.shape(x)} has {np.size(x)} numbers, which shape {shape} cannot hold"
        ) from None


def reshape_backward(dy: Array, x: Array, shape: Shape) -> tuple[Array]:
    """dx = dy in the shape of x"""
    del shape
    return (np.reshape(dy, np.shape(x)),)


def transpose(x: Array, axes: Shape) -> Array:
    """Axis k of y is axis axes[k] of x.   (N, H, W, C) by (0, 3, 1, 2) -> (N, C, H, W)"""
    return np.transpose(x, _order(x, axes))


def transpose_backward(dy: Array, x: Array, axes: Shape) -> tuple[Array]:
    """dx by the inverse order: axis axes[k] of dx is axis k of dy."""
    return (np.transpose(dy, np.argsort(_order(x, axes))),)


def flip(x: Array, axes: int | Shape) -> Array:
    """Along each of `axes`, the last first: y[i] = x[H - 1 - i]."""
    return np.flip(x, axes_of("flip", x, axes))


def flip_backward(dy: Array, x: Array, axes: int | Shape) -> tuple[Array]:
    """dx = dy, flipped back"""
    return (np.flip(dy, axes_of("flip", x, axes)),)


def select(x: Array, key: Any) -> Array:
    """y = x[key] as NumPy means it: whole numbers, slices, None, ..., arrays of places or of yes and no; or a tuple."""
    try:
        return x[key]
    except (IndexError, TypeError, ValueError) as e:
        raise ShapeError(f"select: x {np.shape(x)} has nothing at [{key}]: {e}") from None


def select_backward(dy: Array, x: Array, key: Any) -> tuple[Array]:
    """dx[key] += dy, zeros elsewhere."""
    dx = np.zeros(np.shape(x), dy.dtype)
    if _may_repeat(key):
        np.add.at(
            dx, key, dy
        )  # += : a place that is asked for twice learns from both; dx[key] += dy would lose one
    else:
        dx[key] = dy
    return (dx,)


def broadcast(x: Array, shape: Shape) -> Array:
    """x repeated along new axes before its own, and along those of size 1, without a copy."""
    try:
        return np.broadcast_to(x, shape)
    except ValueError:
        raise ShapeError(
            f"broadcast: x {np.shape(x)} cannot be broadcast to shape {shape}: "
            "counted from the last, each axis of x must be as there, or 1"
        ) from None


def broadcast_backward(dy: Array, x: Array, shape: Shape) -> tuple[Array]:
    """dx = the sum of dy over every axis along which x was repeated"""
    del shape
    return (summed_to(dy, x),)


def pad(x: Array, widths: Sequence[Two], mode: Edges = "constant", fill: float = 0.0) -> Array:
    """x with (before, after) more cells along each axis, one pair for each.

    mode: what is in them. "constant": `fill`; "edge": the outermost cell again; "reflect": the cells inside, mirrored
    at the outermost, which is not said twice (3 2 | 1 2 3 | 2 1).
    """
    _fits_around(x, widths, mode)
    if mode == "constant":
        return np.pad(x, widths, constant_values=fill)
    return x[_sources(x, widths, mode)]


def pad_backward(
    dy: Array, x: Array, widths: Sequence[Two], mode: Edges = "constant", fill: float = 0.0
) -> tuple[Array]:
    """dx[the cell that was shown] += dy[each cell that shows it]; a constant passes nothing on."""
    del fill
    _fits_around(x, widths, mode)
    if mode == "constant":
        inside = zip(widths, x.shape, strict=True)
        return (dy[tuple(slice(before, before + size) for (before, _), size in inside)],)
    return select_backward(dy, x, _sources(x, widths, mode))


def _order(x: Array, axes: Shape) -> Shape:
    order = axes_of("transpose", x, axes)
    if len(order) != np.ndim(x):
        raise ShapeError(
            f"transpose: x {np.shape(x)} has {np.ndim(x)} axes, and axes {axes} orders {len(order)}"
        )
    return order


def _may_repeat(key: Any) -> bool:
    """Whether a key has a list of places, which may name one of them twice. A slice or a mask cannot."""
    parts = key if isinstance(key, tuple) else (key,)
    arrays = [np.asarray(part) for part in parts if isinstance(part, np.ndarray | list)]
    return any(np.issubdtype(array.dtype, np.integer) for array in arrays)


def _sources(x: Array, widths: Sequence[Two], mode: Edges) -> tuple[Array, ...]:
    """For each axis, which cell of x is shown in each cell of y; open, so that they index x together."""
    return np.ix_(*(np.pad(np.arange(n), w, mode=mode) for n, w in zip(x.shape, widths, strict=True)))


def _fits_around(x: Array, widths: Sequence[Two], mode: Edges) -> None:
    if mode not in get_args(Edges):
        raise DefinitionError(f"pad: mode must be one of {', '.join(get_args(Edges))}, got {mode!r}")
    if len(widths) != x.ndim:
        raise ShapeError(
            f"pad: x {x.shape} wants {x.ndim} pairs (before, after), got {len(widths)}: {widths}"
        )
    for axis, (size, width) in enumerate(zip(x.shape, widths, strict=True)):
        if min(width) < 0:
            raise DefinitionError(f"pad: along axis {axis} widths must be at least 0, got {width}")
        if mode == "reflect" and max(width) >= size and max(width):
            raise ShapeError(
                f"pad: along axis {axis} {size} cells have {size - 1} to reflect, which is less than {width}"
            )
        if mode == "edge" and max(width) and not size:
            raise ShapeError(f"pad: along axis {axis} of x {x.shape} there is no edge to repeat")

"""Putting arrays together, taking them apart, and laying them flat: numbers move, and none is changed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hubel.definitions.errors import DefinitionError, ShapeError
from hubel.definitions.windows import Array


def concatenate(*parts: Array, axis: int = 1) -> Array:
    """y = the parts after one another along `axis`; 1 is the channels, as in GoogLeNet (Szegedy et al. 2015).

    parts: (N, C_1, H, W), (N, C_2, H, W), ...   ->   y: (N, C_1 + C_2 + ..., H, W)
    """
    _side_by_side(parts, axis)
    return np.concatenate(parts, axis)


def concatenate_backward(dy: Array, *parts: Array, axis: int = 1) -> tuple[Array, ...]:
    """Each part gets its own stretch of dy."""
    _side_by_side(parts, axis)
    return tuple(np.split(dy, np.cumsum([part.shape[axis] for part in parts])[:-1], axis))


def stack(*parts: Array, axis: int = 0) -> Array:
    """y = the parts, all of one shape, beside one another along a new axis, which is axis `axis` of y."""
    _alike(parts, axis)
    return np.stack(parts, axis)


def stack_backward(dy: Array, *parts: Array, axis: int = 0) -> tuple[Array, ...]:
    """Each part gets its own slice of dy."""
    _alike(parts, axis)
    return tuple(np.moveaxis(dy, axis, 0))


def part(values: Sequence[Array], index: int) -> Array:
    """y = values[index]: one of the several values of an operation, as of lstm_cell."""
    return values[index]


def part_backward(dy: Array, values: Sequence[Array], index: int) -> tuple[tuple[Array, ...]]:
    """dy for the value that was taken, zeros for the others."""
    wanted = range(len(values))[index]
    return (tuple(dy if i == wanted else np.zeros_like(v) for i, v in enumerate(values)),)


def flatten(x: Array, start: int = 1) -> Array:
    """The axes from `start` on as one, the last running fastest.   (N, C, H, W) -> (N, C H W)"""
    if not 0 <= start < x.ndim:
        raise ShapeError(f"flatten: x {x.shape} has axes 0 to {x.ndim - 1}, got start {start}")
    return x.reshape(*x.shape[:start], int(np.prod(x.shape[start:])))


def flatten_backward(dy: Array, x: Array, start: int = 1) -> tuple[Array]:
    """dx = dy in the shape of x"""
    del start
    return (dy.reshape(x.shape),)


def _side_by_side(parts: Sequence[Array], axis: int) -> None:
    if not parts:
        raise DefinitionError("concatenate: there must be at least one part")
    shapes = [part.shape for part in parts]
    if not all(-len(shape) <= axis < len(shape) for shape in shapes):
        raise ShapeError(f"concatenate: no axis {axis} in parts of {', '.join(map(str, shapes))}")
    if len({np.delete(shape, axis).tobytes() for shape in shapes}) > 1:
        raise ShapeError(
            f"concatenate: parts may differ along axis {axis} only, got {', '.join(map(str, shapes))}"
        )


def _alike(parts: Sequence[Array], axis: int) -> None:
    if not parts:
        raise DefinitionError("stack: there must be at least one part")
    shapes = [np.shape(part) for part in parts]
    if len(set(shapes)) > 1:
        raise ShapeError(f"stack: parts must have one shape, got {', '.join(map(str, shapes))}")
    if not -len(shapes[0]) - 1 <= axis <= len(shapes[0]):
        raise ShapeError(f"stack: parts of {shapes[0]} have no place for an axis {axis}")

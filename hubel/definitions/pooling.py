"""Pooling: every window of a map becomes one number. No parameters, and the number of maps stays.

Average: LeCun et al. 1998 (as subsampling); maximum: Ranzato et al. 2007; overlapping windows, stride < size:
Krizhevsky et al. 2012; global average: Lin, Chen, Yan 2014. Maximum over time: Collobert et al. 2011, Kim 2014.

In all of them  x: (N, C, H, W)  ->  y: (N, C, H', W'),  the stride is the kernel's size where none is given, and
ceil=True rounds H' up: a last window may hang over the edge, but must begin inside the input or the padding before it.
"""

from __future__ import annotations

import numpy as np

from hubel.definitions.errors import DefinitionError, ShapeError
from hubel.definitions.windows import Array, Grid, Padding, Pair, grid, span, two


def max_pool2d(
    x: Array,
    kernel: Pair,
    stride: Pair | None = None,
    padding: Padding = 0,
    dilation: Pair = 1,
    ceil: bool = False,
) -> Array:
    """y[n,c,i,j] = max_{u,v} x[n,c,i*s+u*d,j*s+v*d]. Padding is -inf: it never wins."""
    over = _over("max_pool2d", x, kernel, stride, padding, dilation, ceil)
    if not np.issubdtype(x.dtype, np.floating):
        raise DefinitionError(f"max_pool2d: the padding is -inf, so x must be float, got {x.dtype}")
    y = np.full((*x.shape[:2], *over.out), -np.inf, x.dtype)
    for _, _, cell in over.cells(over.pad(x, -np.inf)):
        np.maximum(y, cell, out=y)  # U V passes over whole maps; windows.max((4, 5)) is thirty times slower
    return y


def max_pool2d_backward(
    dy: Array,
    x: Array,
    kernel: Pair,
    stride: Pair | None = None,
    padding: Padding = 0,
    dilation: Pair = 1,
    ceil: bool = False,
) -> tuple[Array]:
    """dx[the cell that won window (i, j)] += dy[i,j]. Of tied cells the first in reading order wins, as in PyTorch.

    (A mask x == y, as it is often taught, would give every tied cell the whole gradient.)
    """
    over = _over("max_pool2d", x, kernel, stride, padding, dilation, ceil)
    y = max_pool2d(x, kernel, stride, padding, dilation, ceil)
    dx = np.zeros((*x.shape[:2], *over.canvas), dy.dtype)
    left = dy  # (N, C, H', W') not yet given to a cell
    seen = over.cells(over.pad(x, -np.inf))
    for (_, _, cell), (_, _, dcell) in zip(seen, over.cells(dx), strict=True):
        won = cell == y
        dcell += np.where(won, left, 0)  # += : where windows overlap, a cell can win several of them
        left = np.where(won, 0, left)
    return (over.inside(dx),)


def sum_pool2d(
    x: Array, kernel: Pair, stride: Pair | None = None, padding: Padding = 0, ceil: bool = False
) -> Array:
    """y[n,c,i,j] = sum_{u,v} x[n,c,i*s+u,j*s+v], zeros around."""
    over = _over("sum_pool2d", x, kernel, stride, padding, 1, ceil)
    y = np.zeros((*x.shape[:2], *over.out), x.dtype)
    for _, _, cell in over.cells(over.pad(x)):
        y += cell
    return y


def sum_pool2d_backward(
    dy: Array, x: Array, kernel: Pair, stride: Pair | None = None, padding: Padding = 0, ceil: bool = False
) -> tuple[Array]:
    """dx[n,c,i*s+u,j*s+v] += dy[n,c,i,j]"""
    over = _over("sum_pool2d", x, kernel, stride, padding, 1, ceil)
    dx = np.zeros((*x.shape[:2], *over.canvas), dy.dtype)
    for _, _, cell in over.cells(dx):
        cell += dy  # += : where windows overlap, a cell has a share in each
    return (over.inside(dx),)


def avg_pool2d(
    x: Array,
    kernel: Pair,
    stride: Pair | None = None,
    padding: Padding = 0,
    ceil: bool = False,
    count_padding: bool = True,
) -> Array:
    """y[n,c,i,j] = sum_{u,v} x[n,c,i*s+u,j*s+v] / (cells that count in window (i, j)).

    The zeros of the padding count (PyTorch's count_include_pad, its default) unless count_padding is False; what
    ceil mode lets hang over the padding never does.
    """
    over = _over("avg_pool2d", x, kernel, stride, padding, 1, ceil)
    return sum_pool2d(x, kernel, stride, padding, ceil) / _counts(over, count_padding, x)


def avg_pool2d_backward(
    dy: Array,
    x: Array,
    kernel: Pair,
    stride: Pair | None = None,
    padding: Padding = 0,
    ceil: bool = False,
    count_padding: bool = True,
) -> tuple[Array]:
    """dx[n,c,i*s+u,j*s+v] += dy[n,c,i,j] / (cells that count): every cell of a window has an even share."""
    over = _over("avg_pool2d", x, kernel, stride, padding, 1, ceil)
    return sum_pool2d_backward(dy / _counts(over, count_padding, dy), x, kernel, stride, padding, ceil)


def global_avg_pool2d(x: Array) -> Array:
    """y[n,c,0,0] = mean_{i,j} x[n,c,i,j].   (N, C, H, W) -> (N, C, 1, 1)"""
    _picture("global_avg_pool2d", x)
    return x.mean((2, 3), keepdims=True)


def global_avg_pool2d_backward(dy: Array, x: Array) -> tuple[Array]:
    """dx[n,c,i,j] = dy[n,c,0,0] / (H W)"""
    _picture("global_avg_pool2d", x)
    return (np.broadcast_to(dy / (x.shape[2] * x.shape[3]), x.shape),)


def adaptive_avg_pool2d(x: Array, out: Pair) -> Array:
    """An average over H' x W' even parts: y[i] is the mean of x[floor(i H / H') : ceil((i + 1) H / H')], per axis.

    Parts overlap where H' does not divide H. It is linear along each axis, so y = A x Bᵀ with A: (H', H), B: (W', W).
    """
    rows, columns = _parts(x, out)
    return rows @ x @ columns.T


def adaptive_avg_pool2d_backward(dy: Array, x: Array, out: Pair) -> tuple[Array]:
    """dx = Aᵀ dy B: a cell that lies in two parts has a share in both."""
    rows, columns = _parts(x, out)
    return (rows.T @ dy @ columns,)


def max_over_time(x: Array) -> Array:
    """y[n,c] = max_t x[n,c,t]: what a feature answers at its strongest, wherever that is.   (N, C, L) -> (N, C)"""
    if x.ndim != 3 or x.shape[2] == 0:
        raise ShapeError(f"max_over_time: x must be (N, C, L) with L > 0, got {x.shape}")
    return x.max(2)


def max_over_time_backward(dy: Array, x: Array) -> tuple[Array]:
    """dx[n,c,t] = dy[n,c] at the first t that has the maximum, else 0."""
    dx = np.zeros(x.shape, dy.dtype)
    np.put_along_axis(dx, x.argmax(2)[..., None], dy[..., None], 2)
    return (dx,)


def _picture(name: str, x: Array) -> None:
    if x.ndim != 4:
        raise ShapeError(f"{name}: x must be (N, C, H, W), got {x.shape}")


def _over(
    name: str, x: Array, kernel: Pair, stride: Pair | None, padding: Padding, dilation: Pair, ceil: bool
) -> Grid:
    """The windows of a pooling; the padding is at most half of them, lest a window see nothing of the input."""
    _picture(name, x)
    over = grid(name, x.shape[2:], kernel, kernel if stride is None else stride, padding, dilation, ceil=ceil)
    for axis, U, d, p in zip("HW", over.kernel, over.dilation, over.padding, strict=True):
        if max(p) > span(U, d) // 2:
            raise DefinitionError(
                f"{name}: along {axis} padding {p} is more than half of the window's {span(U, d)} cells"
            )
    return over


def _counts(over: Grid, count_padding: bool, like: Array) -> Array:
    """(H', W'): how many cells of each window count in its average."""
    counting = np.zeros((1, 1, *over.canvas), like.dtype)
    (top, bottom), (left, right), (H, W) = *over.padding, over.size
    if count_padding:
        counting[:, :, : top + H + bottom, : left + W + right] = 1
    else:
        over.inside(counting)[:] = 1
    return over.windows(counting).sum((4, 5))[0, 0]


def _parts(x: Array, out: Pair) -> tuple[Array, Array]:
    """(H', H) and (W', W): each row has 1 / length on the cells of its part."""
    _picture("adaptive_avg_pool2d", x)
    along = []
    for cells, parts in zip(x.shape[2:], two("adaptive_avg_pool2d", "out", out, 1), strict=True):
        means = np.zeros((parts, cells), x.dtype)
        for i, row in enumerate(means):
            part = slice(i * cells // parts, -(-(i + 1) * cells // parts))
            row[part] = 1 / (part.stop - part.start)
        along.append(means)
    return along[0], along[1]

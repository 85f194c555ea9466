"""Pooling: every window of a map becomes one number. No parameters, and the number of maps stays.

Average: LeCun et al. 1998 (as subsampling); maximum: Ranzato et al. 2007; overlapping windows, stride < size:
Krizhevsky et al. 2012. Poolings whose windows follow from the size of their output are in adaptive_pooling.py.

On pictures  x: (N, C, H, W)  ->  y: (N, C, H', W'), on a line  (N, C, L) -> (N, C, L').  The stride is the kernel's
size where none is given, and ceil=True rounds H' up: a last window may hang over the edge, but must begin inside the
input or the padding before it.
"""

from __future__ import annotations

import numpy as np

from hubel.definitions.errors import DefinitionError, ShapeError
from hubel.definitions.windows import Array, Grid, Padding, Pair, Two, grid, row, span


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
    free = np.ones(y.shape, bool)  # (N, C, H', W'), the windows whose winner is not yet found
    seen = over.cells(over.pad(x, -np.inf))
    for (_, _, cell), (_, _, dcell) in zip(seen, over.cells(dx), strict=True):
        won = (cell == y) & free
        dcell += won * dy  # += : where windows overlap, a cell can win several of them
        free &= ~won
    return (over.inside(dx),)


def max_pool1d(
    x: Array,
    kernel: int,
    stride: int | None = None,
    padding: int | Two = 0,
    dilation: int = 1,
    ceil: bool = False,
) -> Array:
    """y[n,c,i] = max_u x[n,c,i*s+u*d].   (N, C, L) -> (N, C, L')   padding: p or (left, right)

    It is max_pool2d on one row.
    """
    settings = _row("max_pool1d", x, kernel, stride, padding, dilation, ceil)
    return max_pool2d(x[:, :, None], *settings, ceil)[:, :, 0]


def max_pool1d_backward(
    dy: Array,
    x: Array,
    kernel: int,
    stride: int | None = None,
    padding: int | Two = 0,
    dilation: int = 1,
    ceil: bool = False,
) -> tuple[Array]:
    """As max_pool2d_backward, on one row: of tied cells the first wins."""
    settings = _row("max_pool1d", x, kernel, stride, padding, dilation, ceil)
    (dx,) = max_pool2d_backward(dy[:, :, None], x[:, :, None], *settings, ceil)
    return (dx[:, :, 0],)


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


def avg_pool1d(
    x: Array,
    kernel: int,
    stride: int | None = None,
    padding: int | Two = 0,
    ceil: bool = False,
    count_padding: bool = True,
) -> Array:
    """y[n,c,i] = sum_u x[n,c,i*s+u] / (cells that count in window i).   (N, C, L) -> (N, C, L')

    It is avg_pool2d on one row; padding: p or (left, right).
    """
    settings = _row("avg_pool1d", x, kernel, stride, padding, 1, ceil)[:3]
    return avg_pool2d(x[:, :, None], *settings, ceil, count_padding)[:, :, 0]


def avg_pool1d_backward(
    dy: Array,
    x: Array,
    kernel: int,
    stride: int | None = None,
    padding: int | Two = 0,
    ceil: bool = False,
    count_padding: bool = True,
) -> tuple[Array]:
    """As avg_pool2d_backward, on one row."""
    settings = _row("avg_pool1d", x, kernel, stride, padding, 1, ceil)[:3]
    (dx,) = avg_pool2d_backward(dy[:, :, None], x[:, :, None], *settings, ceil, count_padding)
    return (dx[:, :, 0],)


def _row(
    name: str,
    x: Array,
    kernel: int,
    stride: int | None,
    padding: int | Two,
    dilation: int,
    ceil: bool,
) -> tuple[Two, Two, tuple[Two, Two], Two]:
    """Settings along one axis as those of a picture of one row: kernel, stride, padding, dilation."""
    if x.ndim != 3:
        raise ShapeError(f"{name}: x must be (N, C, L), got {x.shape}")
    over = row(name, x.shape[2], kernel, kernel if stride is None else stride, padding, dilation, ceil=ceil)
    _half(f"{name}:", over.padding[1], span(over.kernel[1], over.dilation[1]))
    return over.kernel, over.stride, over.padding, over.dilation


def _over(
    name: str, x: Array, kernel: Pair, stride: Pair | None, padding: Padding, dilation: Pair, ceil: bool
) -> Grid:
    """The windows of a pooling; the padding is at most half of them, lest a window see nothing of the input."""
    if x.ndim != 4:
        raise ShapeError(f"{name}: x must be (N, C, H, W), got {x.shape}")
    over = grid(name, x.shape[2:], kernel, kernel if stride is None else stride, padding, dilation, ceil=ceil)
    for axis, U, d, p in zip("HW", over.kernel, over.dilation, over.padding, strict=True):
        _half(f"{name}: along {axis}", p, span(U, d))
    return over


def _half(where: str, padding: Two, cells: int) -> None:
    if max(padding) > cells // 2:
        raise DefinitionError(f"{where} padding {padding} is more than half of the window's {cells} cells")


def _counts(over: Grid, count_padding: bool, like: Array) -> Array:
    """(H', W'): how many cells of each window count in its average."""
    counting = np.zeros((1, 1, *over.canvas), like.dtype)
    (top, bottom), (left, right), (H, W) = *over.padding, over.size
    if count_padding:
        counting[:, :, : top + H + bottom, : left + W + right] = 1
    else:
        over.inside(counting)[:] = 1
    return over.windows(counting).sum((4, 5))[0, 0]

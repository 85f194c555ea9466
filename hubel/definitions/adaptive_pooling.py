"""Poolings whose windows follow from the size of their output, which is then the same for every picture.

Global average: Lin, Chen, Yan 2014, 3.2. Adaptive: the even parts of He et al. 2014 (spatial pyramids), rounded
as in PyTorch: part i of H' along H is  floor(i H / H') : ceil((i + 1) H / H').  Parts overlap where H' does
not divide H. Maximum over time: Collobert et al. 2011, Kim 2014.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hubel.definitions.errors import ShapeError
from hubel.definitions.windows import Array, Pair, two


def global_avg_pool2d(x: Array) -> Array:
    """y[n,c,0,0] = mean_{i,j} x[n,c,i,j].   (N, C, H, W) -> (N, C, 1, 1)"""
    _picture("global_avg_pool2d", x)
    return x.mean((2, 3), keepdims=True)


def global_avg_pool2d_backward(dy: Array, x: Array) -> tuple[Array]:
    """dx[n,c,i,j] = dy[n,c,0,0] / (H W)"""
    _picture("global_avg_pool2d", x)
    return (np.broadcast_to(dy / (x.shape[2] * x.shape[3]), x.shape),)


def adaptive_avg_pool2d(x: Array, out: Pair) -> Array:
    """y[n,c,i,j] = the mean of x[n,c] over part i of its rows and part j of its columns.

    x: (N, C, H, W)   ->   y: (N, C, H', W'). It is linear along each axis, so y = A x Bᵀ with A: (H', H), B: (W', W),
    whose rows have 1 / length on the cells of their part.
    """
    rows, columns = _means(x, out)
    return rows @ x @ columns.T


def adaptive_avg_pool2d_backward(dy: Array, x: Array, out: Pair) -> tuple[Array]:
    """dx = Aᵀ dy B: a cell that lies in two parts has a share in both."""
    rows, columns = _means(x, out)
    return (rows.T @ dy @ columns,)


def adaptive_max_pool2d(x: Array, out: Pair) -> Array:
    """y[n,c,i,j] = the maximum of x[n,c] over part i of its rows and part j of its columns.   (N, C, H', W')"""
    rows, columns = _parts("adaptive_max_pool2d", x, out)
    y = np.empty((*x.shape[:2], len(rows), len(columns)), x.dtype)
    for (i, j), part in _tiles(x, rows, columns):
        y[:, :, i, j] = part.max((2, 3))
    return y


def adaptive_max_pool2d_backward(dy: Array, x: Array, out: Pair) -> tuple[Array]:
    """dx[the cell that won part (i, j)] += dy[i,j]. Of tied cells the first in reading order wins, as in max_pool2d."""
    rows, columns = _parts("adaptive_max_pool2d", x, out)
    dx = np.zeros(x.shape, dy.dtype)
    n, c = np.ogrid[: x.shape[0], : x.shape[1]]
    for ((i, j), part), (_, dpart) in zip(_tiles(x, rows, columns), _tiles(dx, rows, columns), strict=True):
        won = part.reshape(*part.shape[:2], -1).argmax(2)  # (N, C), the first of them
        u, v = np.divmod(won, part.shape[3])
        dpart[n, c, u, v] += dy[:, :, i, j]  # += : where parts overlap, a cell can win several of them
    return (dx,)


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
    if 0 in x.shape[2:]:
        raise ShapeError(f"{name}: H and W must be above 0, got x {x.shape}")


def _parts(name: str, x: Array, out: Pair) -> tuple[list[slice], list[slice]]:
    """Where the parts lie along H and along W."""
    _picture(name, x)
    rows, columns = (
        [slice(i * cells // parts, -(-(i + 1) * cells // parts)) for i in range(parts)]
        for cells, parts in zip(x.shape[2:], two(name, "out", out, 1), strict=True)
    )
    return rows, columns


def _tiles(x: Array, rows: list[slice], columns: list[slice]) -> Iterator[tuple[tuple[int, int], Array]]:
    """(i, j), and a view of x over part i of its rows and part j of its columns."""
    for i, j in np.ndindex(len(rows), len(columns)):
        yield (i, j), x[:, :, rows[i], columns[j]]


def _means(x: Array, out: Pair) -> tuple[Array, Array]:
    """A: (H', H) and B: (W', W), each row of which adds up to 1."""
    along = []
    for cells, parts in zip(x.shape[2:], _parts("adaptive_avg_pool2d", x, out), strict=True):
        means = np.zeros((len(parts), cells), x.dtype)
        for row, part in zip(means, parts, strict=True):
            row[part] = 1 / (part.stop - part.start)
        along.append(means)
    return along[0], along[1]

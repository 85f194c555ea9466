"""Resampling: a picture of another size, where each new cell looks at the old ones nearest to it.

Output cell i of H' covers the input from i H / H' to (i + 1) H / H', so its middle lies at (i + 1/2) H / H', and in
cells, whose own middles lie at 1/2, 3/2, ..., at  (i + 1/2) H / H' - 1/2.

In both  x: (N, C, H, W)   size: (H', W')  ->  y: (N, C, H', W'). They enlarge and reduce; to reduce without loss,
average (pooling.py), since here a cell sees two neighbours at most, however many lie between.
"""

from __future__ import annotations

import numpy as np

from hubel.definitions.errors import ShapeError
from hubel.definitions.moving import select, select_backward
from hubel.definitions.windows import Array, Pair, two


def upsample_nearest(x: Array, size: Pair) -> Array:
    """y[n,c,i,j] = x[n,c,floor(i H / H'),floor(j W / W')]: the cell in which the new one begins.

    PyTorch has H / H' in float32 only, so that for a few sizes (from 14 to 46) a cell of it is one too early.
    """
    return select(x, _nearest(x, size))


def upsample_nearest_backward(dy: Array, x: Array, size: Pair) -> tuple[Array]:
    """dx[the cell that was shown] += dy[each cell that shows it]"""
    return select_backward(dy, x, _nearest(x, size))


def upsample_bilinear(x: Array, size: Pair, align_corners: bool = False) -> Array:
    """y = A x Bᵀ, with A: (H', H), B: (W', W): each new cell is between the two old ones next to it, along each axis.

    Row i of A shares 1 between floor(r) and floor(r) + 1 by how near r is to them, r = (i + 1/2) H / H' - 1/2, and
    beyond the outermost middles takes the outermost alone. With align_corners the first and last cells lie on the
    first and last of x:  r = i (H - 1) / (H' - 1).
    """
    rows, columns = _between(x, size, align_corners)
    return rows @ x @ columns.T


def upsample_bilinear_backward(dy: Array, x: Array, size: Pair, align_corners: bool = False) -> tuple[Array]:
    """dx = Aᵀ dy B: an old cell has its share in each new one."""
    rows, columns = _between(x, size, align_corners)
    return (rows.T @ dy @ columns,)


def _nearest(x: Array, size: Pair) -> tuple[object, ...]:
    """The key with which x gives y."""
    (_, _, H, W), (h, w) = x.shape, _asked("upsample_nearest", x, size)
    rows, columns = np.arange(h) * H // h, np.arange(w) * W // w
    return ..., rows[:, None], columns


def _between(x: Array, size: Pair, align_corners: bool) -> tuple[Array, Array]:
    """A: (H', H) and B: (W', W), each row of which adds up to 1."""
    along = []
    for cells, wanted in zip(x.shape[2:], _asked("upsample_bilinear", x, size), strict=True):
        i = np.arange(wanted)
        place = (
            i * ((cells - 1) / max(wanted - 1, 1)) if align_corners else (i + 0.5) * (cells / wanted) - 0.5
        )
        place = np.clip(place, 0, cells - 1)
        nearness = 1 - np.abs(
            place[:, None] - np.arange(cells)
        )  # (H', H), over 0 for one or two cells of a row
        along.append(np.maximum(nearness, 0).astype(x.dtype))
    return along[0], along[1]


def _asked(name: str, x: Array, size: Pair) -> tuple[int, int]:
    if x.ndim != 4:
        raise ShapeError(f"{name}: x must be (N, C, H, W), got {x.shape}")
    if 0 in x.shape[2:]:
        raise ShapeError(f"{name}: H and W must be above 0, got x {x.shape}")
    return two(name, "size", size, 1)

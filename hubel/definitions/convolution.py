"""Cross-correlation, which networks call convolution: the kernel slides over the input unflipped.

LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition", II.A. Groups as in
Krizhevsky, Sutskever, Hinton 2012 (two halves); dilation as in Yu and Koltun 2016. The mathematician's convolution,
with the flip, stands in true_convolution.py; the transposed one in transposed.py.

Letters:  N images · C H W of the input · O maps of the output · U V of a kernel · s stride · p padding · d dilation
          · G groups · H' W' of the output · i j one output cell · dx, dw, db the gradients of x, w, b.

Inside, every window is a column and the whole sum is one matrix product over (C/G, U, V), which leaves the result in
(N, O, H', W') order. tensordot, which has to turn its result round, takes half as long again.
"""

from __future__ import annotations

from hubel.definitions.errors import DefinitionError, ShapeError
from hubel.definitions.windows import Array, Grid, Padding, Pair, Two, grid, row


def conv2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Array:
    """Cross-correlate x with w: y[n,o,i,j] = b[o] + sum_{c,u,v} x[n,c,i*s+u*d,j*s+v*d] w[o,c,u,v].

    x: (N, C, H, W)   w: (O, C/G, U, V)   b: (O,) or None   ->   y: (N, O, H', W'),
    H' = floor((H + top + bottom - U - (U-1)(d-1)) / s) + 1 and W' likewise. Padding is zeros. With G groups, the
    g-th O/G maps see the g-th C/G channels only. Source: LeCun et al. 1998, II.A.
    """
    over = windows_of("conv2d", x, w, b, stride, padding, dilation, groups)
    seen = over.columns(over.pad(x), groups)  # (N, G, C/G U V, H' W')
    y = _grouped(w, groups) @ seen  # (N, G, O/G, H' W')
    y = y.reshape(len(x), len(w), *over.out)  # (N, O, H', W')
    return y if b is None else y + b[:, None, None]


def conv2d_backward(
    dy: Array,
    x: Array,
    w: Array,
    b: Array | None = None,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> tuple[Array, Array, Array]:
    """dw[o,c,u,v] = sum_{n,i,j} dy[n,o,i,j] x[n,c,i*s+u*d,j*s+v*d];  db[o] = sum_{n,i,j} dy[n,o,i,j];
    dx[n,c,i*s+u*d,j*s+v*d] += sum_o dy[n,o,i,j] w[o,c,u,v].

    dy: (N, O, H', W')   ->   dx, dw as x, w;  db: (O,), which a caller without a bias leaves.
    """
    over = windows_of("conv2d", x, w, b, stride, padding, dilation, groups)
    seen = over.columns(over.pad(x), groups)  # (N, G, C/G U V, H' W')
    flow = dy.reshape(len(x), groups, len(w) // groups, seen.shape[3])  # (N, G, O/G, H' W')
    dw = (flow @ seen.swapaxes(2, 3)).sum(0).reshape(w.shape)  # every image uses the same kernel: they add up
    dseen = _grouped(w, groups).swapaxes(1, 2) @ flow  # (N, G, C/G U V, H' W')
    return over.inside(over.spread(dseen)), dw, dy.sum((0, 2, 3))


def conv1d(
    x: Array,
    w: Array,
    b: Array | None = None,
    stride: int = 1,
    padding: int | Two = 0,
    dilation: int = 1,
    groups: int = 1,
) -> Array:
    """Cross-correlate along one axis: y[n,o,i] = b[o] + sum_{c,u} x[n,c,i*s+u*d] w[o,c,u].

    x: (N, C, L)   w: (O, C/G, U)   b: (O,) or None   padding: p or (left, right)   ->   y: (N, O, L').
    windows.narrow, same and wide give the paddings of the valid, same and full forms. It is conv2d on one row.
    """
    settings = row_of("conv1d", x, w, b, stride, padding, dilation, groups)
    return conv2d(x[:, :, None], w[:, :, None], b, *settings, groups)[:, :, 0]


def conv1d_backward(
    dy: Array,
    x: Array,
    w: Array,
    b: Array | None = None,
    stride: int = 1,
    padding: int | Two = 0,
    dilation: int = 1,
    groups: int = 1,
) -> tuple[Array, Array, Array]:
    """As conv2d_backward, on one row.   dy: (N, O, L')   ->   dx, dw as x, w;  db: (O,)"""
    settings = row_of("conv1d", x, w, b, stride, padding, dilation, groups)
    dx, dw, db = conv2d_backward(dy[:, :, None], x[:, :, None], w[:, :, None], b, *settings, groups)
    return dx[:, :, 0], dw[:, :, 0], db


def _grouped(w: Array, groups: int) -> Array:
    """(O, C/G, U, V) -> (G, O/G, C/G U V)"""
    return w.reshape(groups, len(w) // groups, -1)


def row_of(
    name: str,
    x: Array,
    w: Array,
    b: Array | None,
    stride: int,
    padding: int | Two,
    dilation: int,
    groups: int,
) -> tuple[Two, tuple[Two, Two], Two]:
    """Settings along one axis as those of conv2d on a picture of one row, after a look at the shapes."""
    _check(name, x, w, b, groups)
    over = row(name, x.shape[2], w.shape[2], stride, padding, dilation)
    return over.stride, over.padding, over.dilation


def windows_of(
    name: str,
    x: Array,
    w: Array,
    b: Array | None,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Grid:
    """The windows of x under w, after a look at the shapes."""
    _check(name, x, w, b, groups)
    return grid(name, x.shape[2:], w.shape[2:], stride, padding, dilation)


def _check(name: str, x: Array, w: Array, b: Array | None, groups: int) -> None:
    axes = "(N, C, L) and (O, C, U)" if name.endswith("1d") else "(N, C, H, W) and (O, C, U, V)"
    if x.ndim != axes.count(",") // 2 + 1 or w.ndim != x.ndim:
        raise ShapeError(f"{name}: x and w must be {axes}, got {x.shape} and {w.shape}")
    (_, C, *_), (O, C_w, *_) = x.shape, w.shape
    if groups < 1 or C % groups or O % groups:
        raise DefinitionError(
            f"{name}: {groups} groups must divide both the {C} channels of x and the {O} of w"
        )
    if C_w * groups != C:
        by = f" in {groups} groups" if groups > 1 else ""
        raise ShapeError(
            f"{name}: x has {C} channels but w expects {C_w * groups}{by} (x {x.shape}, w {w.shape})"
        )
    if b is not None and b.shape != (O,):
        raise ShapeError(f"{name}: w makes {O} maps, so b must be ({O},), got {b.shape}")

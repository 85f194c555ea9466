"""Transposed convolution, also called fractionally strided: every input cell stamps a scaled kernel on the output.

It is conv2d's own dx as a forward operation, and its dx is conv2d: one is the transpose of the other as a matrix,
<conv2d(x, w), y> = <x, conv_transpose2d(y, w)>. It is no inverse.
Dumoulin and Visin 2016, section 4; Zeiler et al. 2010.
"""

from __future__ import annotations

from hubel.definitions.errors import DefinitionError, ShapeError
from hubel.definitions.windows import Array, Grid, Padding, Pair, sides, span, two


def conv_transpose2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    stride: Pair = 1,
    padding: Padding = 0,
    output_padding: Pair = 0,
    groups: int = 1,
    dilation: Pair = 1,
) -> Array:
    """y[n,o,i*s+u*d-p,j*s+v*d-p] += sum_c x[n,c,i,j] w[c,o,u,v], after y = b[o] everywhere.

    x: (N, C, H, W)   w: (C, O/G, U, V)   b: (O,) or None   ->   y: (N, O, H', W'),
    H' = (H - 1) s - top - bottom + U + (U-1)(d-1) + output_padding. Padding is cut off the result; output_padding
    gives the bottom and the right that many cells more, since with s > 1 several H' lead to one H under conv2d.
    The order of the arguments is PyTorch's, groups before dilation.
    """
    under = _under(x, w, b, stride, padding, output_padding, groups, dilation)
    kernels = w.reshape(groups, w.shape[0] // groups, -1)  # (G, C/G, O/G U V)
    flow = x.reshape(len(x), groups, kernels.shape[1], x.shape[2] * x.shape[3])  # (N, G, C/G, H W)
    y = under.inside(under.spread(kernels.swapaxes(1, 2) @ flow))  # (N, O, H', W')
    return y if b is None else y + b[:, None, None]


def conv_transpose2d_backward(
    dy: Array,
    x: Array,
    w: Array,
    b: Array | None = None,
    stride: Pair = 1,
    padding: Padding = 0,
    output_padding: Pair = 0,
    groups: int = 1,
    dilation: Pair = 1,
) -> tuple[Array, Array, Array]:
    """dx[n,c,i,j] = sum_{o,u,v} dy[n,o,i*s+u*d-p,j*s+v*d-p] w[c,o,u,v], which is conv2d(dy, w);
    dw[c,o,u,v] = sum_{n,i,j} x[n,c,i,j] dy[n,o,i*s+u*d-p,j*s+v*d-p];  db[o] = sum_{n,i,j} dy[n,o,i,j].

    dy: (N, O, H', W')   ->   dx, dw as x, w;  db: (O,)
    """
    under = _under(x, w, b, stride, padding, output_padding, groups, dilation)
    kernels = w.reshape(groups, w.shape[0] // groups, -1)  # (G, C/G, O/G U V)
    flow = x.reshape(len(x), groups, kernels.shape[1], x.shape[2] * x.shape[3])  # (N, G, C/G, H W)
    dseen = under.columns(under.pad(dy), groups)  # (N, G, O/G U V, H W)
    dx = (kernels @ dseen).reshape(x.shape)
    dw = (flow @ dseen.swapaxes(2, 3)).sum(0).reshape(w.shape)
    return dx, dw, dy.sum((0, 2, 3))


def _under(
    x: Array,
    w: Array,
    b: Array | None,
    stride: Pair,
    padding: Padding,
    output_padding: Pair,
    groups: int,
    dilation: Pair,
) -> Grid:
    """The windows of the output, one for each cell of x: the grid of the conv2d that this is the transpose of."""
    name = "conv_transpose2d"
    if x.ndim != 4 or w.ndim != 4:
        raise ShapeError(
            f"{name}: x and w must be (N, C, H, W) and (C, O, U, V), got {x.shape} and {w.shape}"
        )
    (_, C, H, W), (C_w, each, U, V) = x.shape, w.shape
    if C_w != C:
        raise ShapeError(f"{name}: x has {C} channels but w expects {C_w} (x {x.shape}, w {w.shape})")
    if groups < 1 or C % groups:
        raise DefinitionError(f"{name}: {groups} groups must divide the {C} channels of x")
    if b is not None and b.shape != (each * groups,):
        raise ShapeError(
            f"{name}: w makes {each * groups} maps, so b must be ({each * groups},), got {b.shape}"
        )
    stride, dilation = two(name, "stride", stride, 1), two(name, "dilation", dilation, 1)
    extra, cut = two(name, "output_padding", output_padding, 0), sides(name, padding)
    size = []
    for axis, cells, kernel, s, d, e, p in zip(
        "HW", (H, W), (U, V), stride, dilation, extra, cut, strict=True
    ):
        if e >= max(s, d):
            raise DefinitionError(
                f"{name}: along {axis} an output_padding of {e} must be below the stride {s} or the dilation {d}"
            )
        size.append((cells - 1) * s - sum(p) + span(kernel, d) + e)
        if size[-1] < 1:
            raise ShapeError(
                f"{name}: along {axis} {cells} cells make {size[-1] + sum(p)}, and padding {p} leaves none of them"
            )
    return Grid((size[0], size[1]), (U, V), stride, cut, dilation, (H, W))

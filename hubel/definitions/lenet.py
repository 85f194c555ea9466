"""The parts that LeNet-5 of 1998 has and later networks lack: C3's table, trainable subsampling, scaled tanh, RBF.

LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition", II.B and appendix A.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from hubel.definitions.activations import tanh, tanh_backward
from hubel.definitions.convolution import conv2d, conv2d_backward
from hubel.definitions.errors import DefinitionError, ShapeError
from hubel.definitions.pooling import sum_pool2d, sum_pool2d_backward
from hubel.definitions.windows import Array

Table = Sequence[Sequence[int]]

# Table I: which maps of S2 each of the 16 maps of C3 sees. 60 of 96 connections.
C3 = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)  # fmt: skip


def partial_conv2d(x: Array, w: Array, b: Array | None = None, table: Table = C3) -> Array:
    """A convolution with kernels only where `table` connects: y[n,o] = b[o] + sum_{c in table[o]} x[n,c] ⋆ w[o,c].

    x: (N, C, H, W)   w: (connections, U, V) in the order of the table   b: (len(table),) or None
    ->   y: (N, len(table), H-U+1, W-V+1).   It is conv2d with a kernel of zeros where there is no connection.
    """
    return conv2d(x, _full(x, w, table), b)


def partial_conv2d_backward(
    dy: Array, x: Array, w: Array, b: Array | None = None, table: Table = C3
) -> tuple[Array, Array, Array]:
    """As conv2d_backward; of dw only the connected kernels are kept.   dw: (connections, U, V)"""
    dx, dw, db = conv2d_backward(dy, x, _full(x, w, table), b)
    return dx, np.stack([dw[o, c] for o, c in _connections(table)]), db


def subsample(x: Array, a: Array, b: Array, kernel: int = 2) -> Array:
    """The sum of each field, times a coefficient, plus a bias: y[n,c,i,j] = a[c] sum_{u,v} x[n,c,ki+u,kj+v] + b[c].

    x: (N, C, H, W)   a, b: (C,)   ->   y: (N, C, H // k, W // k).   The paper squashes y by scaled_tanh.
    """
    _per_map("subsample", x, a, b)
    return a[:, None, None] * sum_pool2d(x, kernel) + b[:, None, None]


def subsample_backward(
    dy: Array, x: Array, a: Array, b: Array, kernel: int = 2
) -> tuple[Array, Array, Array]:
    """dx = a[c] dy[n,c,i,j] in every cell of field (i, j);  da[c] = sum dy * (the field's sum);  db[c] = sum dy."""
    _per_map("subsample", x, a, b)
    (dx,) = sum_pool2d_backward(a[:, None, None] * dy, x, kernel)
    return dx, (dy * sum_pool2d(x, kernel)).sum((0, 2, 3)), dy.sum((0, 2, 3))


def scaled_tanh(x: Array) -> Array:
    """f(a) = 1.7159 tanh(2a/3): f(1) = 1, f(-1) = -1, with the largest curvature there. Appendix A."""
    return 1.7159 * tanh(x * (2 / 3))


def scaled_tanh_backward(dy: Array, x: Array) -> tuple[Array]:
    """dx = dy 1.7159 (2/3) (1 - tanh(2a/3)^2)"""
    (dx,) = tanh_backward(dy, x * (2 / 3))
    return (1.7159 * (2 / 3) * dx,)


def rbf(x: Array, codes: Array) -> Array:
    """Output units, as logits: y[n,k] = - sum_d (x[n,d] - codes[k,d])^2.

    x: (N, D)   codes: (K, D) of +1 and -1   ->   y: (N, K) <= 0.   The paper's equation 7, negated.
    """
    if x.ndim != 2 or codes.ndim != 2 or x.shape[1] != codes.shape[1]:
        raise ShapeError(
            f"rbf: x and codes must be (N, D) and (K, D) with one D, got {x.shape} and {codes.shape}"
        )
    return -np.square(x[:, None] - codes).sum(2)


def rbf_backward(dy: Array, x: Array, codes: Array) -> tuple[Array, Array]:
    """dx[n] = -2 sum_k dy[n,k] (x[n] - codes[k]);  dcodes[k] = 2 sum_n dy[n,k] (x[n] - codes[k])"""
    pull = 2 * dy[:, :, None] * (x[:, None] - codes)  # (N, K, D)
    return -pull.sum(1), pull.sum(0)


def _connections(table: Table) -> Iterator[tuple[int, int]]:
    return ((o, c) for o, seen in enumerate(table) for c in seen)


def _full(x: Array, w: Array, table: Table) -> Array:
    """(connections, U, V) -> (O, C, U, V), zeros where the table has no connection."""
    pairs = list(_connections(table))
    if x.ndim != 4 or w.ndim != 3:
        raise ShapeError(
            f"partial_conv2d: x and w must be (N, C, H, W) and (connections, U, V), got {x.shape} and {w.shape}"
        )
    C = x.shape[1]
    if len(pairs) != len(w):
        raise ShapeError(f"partial_conv2d: the table has {len(pairs)} connections but w has {len(w)} kernels")
    if len(set(pairs)) != len(pairs) or not all(0 <= c < C for _, c in pairs):
        raise DefinitionError(
            f"partial_conv2d: each row of the table must name some of the {C} maps of x, once each"
        )
    full = np.zeros((len(table), C, *w.shape[1:]), w.dtype)
    for kernel, (o, c) in zip(w, pairs, strict=True):
        full[o, c] = kernel
    return full


def _per_map(name: str, x: Array, a: Array, b: Array) -> None:
    if x.ndim != 4 or a.shape != (x.shape[1],) or b.shape != a.shape:
        raise ShapeError(
            f"{name}: x must be (N, C, H, W) and a, b (C,), got {x.shape}, {a.shape} and {b.shape}"
        )

"""Fully connected layers, their special case for words, and dropout.

Rosenblatt 1958 (the weighted sum); Bengio et al. 2003 (word vectors); Srivastava et al. 2014 (dropout).
"""

from __future__ import annotations

import numpy as np

from hubel.definitions.errors import DefinitionError, ShapeError
from hubel.definitions.windows import Array


def linear(x: Array, w: Array, b: Array | None = None) -> Array:
    """y[n,o] = b[o] + sum_d x[n,d] w[o,d].   x: (..., D)   w: (O, D)   b: (O,) or None   ->   y: (..., O)"""
    _fits(x, w, b)
    y = x @ w.T
    return y if b is None else y + b


def linear_backward(dy: Array, x: Array, w: Array, b: Array | None = None) -> tuple[Array, Array, Array]:
    """dx[n,d] = sum_o dy[n,o] w[o,d];  dw[o,d] = sum_n dy[n,o] x[n,d];  db[o] = sum_n dy[n,o]"""
    _fits(x, w, b)
    rows, flow = x.reshape(-1, x.shape[-1]), dy.reshape(-1, len(w))  # (N, D), (N, O)
    return dy @ w, flow.T @ rows, flow.sum(0)


def embedding(ids: Array, w: Array) -> Array:
    """y[..., :] = w[ids[...]]: row i of w is the vector of word i.   ids: (...) int   w: (V, D)   ->   y: (..., D)

    It is linear on one-hot words, without the multiplications by nought.
    """
    _words(ids, w)
    return w[ids]


def embedding_backward(dy: Array, ids: Array, w: Array) -> tuple[None, Array]:
    """dw[i] += dy[...] for each place where ids is i. A number of a word has no derivative: None."""
    _words(ids, w)
    dw = np.zeros(w.shape, dy.dtype)
    np.add.at(
        dw, ids, dy
    )  # += : a word that stands twice learns from both places; dw[ids] += dy would lose one
    return None, dw


def dropout(x: Array, mask: Array, p: float = 0.5) -> Array:
    """y = x mask / (1 - p), with mask 1 where a unit stays, drawn by the caller with probability 1 - p.

    Dividing keeps the mean, so that nothing changes when the network is used (the paper multiplied then instead).
    """
    return x * _scale(x, mask, p)


def dropout_backward(dy: Array, x: Array, mask: Array, p: float = 0.5) -> tuple[Array, None]:
    """dx = dy mask / (1 - p). The mask is a draw, without a derivative: None."""
    return dy * _scale(x, mask, p), None


def _fits(x: Array, w: Array, b: Array | None) -> None:
    if x.ndim < 1 or w.ndim != 2 or x.shape[-1] != w.shape[1]:
        raise ShapeError(
            f"linear: x and w must be (..., D) and (O, D) with one D, got {x.shape} and {w.shape}"
        )
    if b is not None and b.shape != (len(w),):
        raise ShapeError(f"linear: w makes {len(w)} outputs, so b must be ({len(w)},), got {b.shape}")


def _words(ids: Array, w: Array) -> None:
    if w.ndim != 2 or not np.issubdtype(ids.dtype, np.integer):
        raise ShapeError(f"embedding: ids must be whole numbers and w (V, D), got {ids.dtype} and {w.shape}")
    if ids.size and not 0 <= ids.min() <= ids.max() < len(w):  # NumPy would count a negative one from the end
        raise DefinitionError(
            f"embedding: w has words 0 to {len(w) - 1}, ids go from {ids.min()} to {ids.max()}"
        )


def _scale(x: Array, mask: Array, p: float) -> Array:
    if not 0 <= p < 1:
        raise DefinitionError(f"dropout: p must be at least 0 and below 1, got {p}")
    if mask.shape != x.shape:
        raise ShapeError(f"dropout: the mask must have the shape of x, got {mask.shape} and {x.shape}")
    return mask.astype(x.dtype) / (1 - p)

"""Scaled dot-product attention. Vaswani et al. 2017, "Attention is all you need", equation 1."""

from __future__ import annotations

import math

import numpy as np

from hubel.definitions.activations import softmax
from hubel.definitions.arithmetic import summed_to
from hubel.definitions.errors import ShapeError
from hubel.definitions.windows import Array


def scaled_dot_product_attention(q: Array, k: Array, v: Array, mask: Array | None = None) -> Array:
    """y = softmax(q kᵀ / sqrt(E) + mask) v: each query asks every key, and takes their values by the answer.

    q: (..., L, E)   k: (..., S, E)   v: (..., S, D)   ->   y: (..., L, D)
    mask: broadcast to (..., L, S); bool, True where a query may look, or float, added (-inf forbids).
    A query that may look nowhere gets zeros, as in PyTorch.
    """
    return _weights(q, k, v, mask) @ v


def scaled_dot_product_attention_backward(
    dy: Array, q: Array, k: Array, v: Array, mask: Array | None = None
) -> tuple[Array, Array, Array, Array | None]:
    """With p the weights, s what softmax was taken of:  dv = pᵀ dy;  dp = dy vᵀ;  ds = p (dp - sum dp p);
    dq = ds k / sqrt(E);  dk = dsᵀ q / sqrt(E);  a float mask gets ds, a bool one None.
    """
    p = _weights(q, k, v, mask)  # (..., L, S)
    dp = dy @ v.swapaxes(-1, -2)
    ds = p * (dp - (dp * p).sum(-1, keepdims=True))
    dmask = None if mask is None or mask.dtype == bool else summed_to(ds, mask)
    scale = 1 / math.sqrt(q.shape[-1])
    return ds @ k * scale, ds.swapaxes(-1, -2) @ q * scale, p.swapaxes(-1, -2) @ dy, dmask


def _weights(q: Array, k: Array, v: Array, mask: Array | None) -> Array:
    """p: (..., L, S), each row a distribution over the keys, or zeros where the mask forbids them all."""
    name, shapes = "scaled_dot_product_attention", f"(q {q.shape}, k {k.shape}, v {v.shape})"
    if min(q.ndim, k.ndim, v.ndim) < 2 or not q.shape[:-2] == k.shape[:-2] == v.shape[:-2]:
        raise ShapeError(f"{name}: q, k and v must agree in all axes but the last two {shapes}")
    if q.shape[-1] != k.shape[-1]:
        raise ShapeError(f"{name}: q has {q.shape[-1]} features but k has {k.shape[-1]} {shapes}")
    if k.shape[-2] != v.shape[-2]:
        raise ShapeError(f"{name}: there are {k.shape[-2]} keys but {v.shape[-2]} values {shapes}")
    s = q @ k.swapaxes(-1, -2) / math.sqrt(q.shape[-1])
    if mask is None:
        return softmax(s)
    try:
        np.broadcast_to(mask, s.shape)
    except ValueError:
        raise ShapeError(
            f"{name}: the mask must broadcast to (..., L, S) = {s.shape}, got {mask.shape}"
        ) from None
    s = np.where(mask, s, -np.inf) if mask.dtype == bool else s + mask
    nowhere = np.isneginf(s).all(-1, keepdims=True)
    return np.where(nowhere, 0, softmax(np.where(nowhere, 0, s)))

"""One step in time of an LSTM and of a GRU. The gates stand in PyTorch's order.

Hochreiter and Schmidhuber 1997 with the forget gate of Gers, Schmidhuber, Cummins 2000; Cho et al. 2014.
D numbers of input, K of state. A network runs a cell over time; through time its gradients are summed by the caller.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hubel.definitions.activations import sigmoid
from hubel.definitions.dense import linear, linear_backward
from hubel.definitions.errors import ShapeError
from hubel.definitions.windows import Array


class LSTMState(NamedTuple):
    """h: (N, K), what the cell answers; c: (N, K), what it remembers."""

    h: Array
    c: Array


def lstm_cell(
    x: Array,
    h: Array,
    c: Array,
    w_x: Array,
    w_h: Array,
    b_x: Array | None = None,
    b_h: Array | None = None,
) -> LSTMState:
    """With a = w_x x + b_x + w_h h + b_h in four quarters:

    input i = sigmoid(a_0), forget f = sigmoid(a_1), candidate g = tanh(a_2), output o = sigmoid(a_3);
    c' = f c + i g;  h' = o tanh(c').
    x: (N, D)   h, c: (N, K)   w_x: (4K, D)   w_h: (4K, K)   b_x, b_h: (4K,) or None   ->   h', c': (N, K)
    """
    i, f, g, o = _lstm_gates(x, h, c, w_x, w_h, b_x, b_h)
    new = f * c + i * g
    return LSTMState(o * np.tanh(new), new)


def lstm_cell_backward(
    dy: LSTMState,
    x: Array,
    h: Array,
    c: Array,
    w_x: Array,
    w_h: Array,
    b_x: Array | None = None,
    b_h: Array | None = None,
) -> tuple[Array, Array, Array, Array, Array, Array, Array]:
    """dy = (dh', dc'). The whole of what c' gets is dc' + dh' o (1 - tanh(c')^2): it is both handed on and answered.

    Of that, dc = f times; each gate has its own factor and the slope of its squashing; the rest is linear_backward.
    """
    i, f, g, o = _lstm_gates(x, h, c, w_x, w_h, b_x, b_h)
    dh, dc = dy
    t = np.tanh(f * c + i * g)
    dnew = dc + dh * o * (1 - t**2)
    slopes = (dnew * g * i * (1 - i), dnew * c * f * (1 - f), dnew * i * (1 - g**2), dh * t * o * (1 - o))
    da = np.concatenate(slopes, 1)  # (N, 4K)
    dx, dw_x, db_x = linear_backward(da, x, w_x, b_x)
    dh, dw_h, db_h = linear_backward(da, h, w_h, b_h)
    return dx, dh, dnew * f, dw_x, dw_h, db_x, db_h


def gru_cell(
    x: Array, h: Array, w_x: Array, w_h: Array, b_x: Array | None = None, b_h: Array | None = None
) -> Array:
    """With a = w_x x + b_x and e = w_h h + b_h, each in three thirds:

    reset r = sigmoid(a_0 + e_0), update z = sigmoid(a_1 + e_1), candidate n = tanh(a_2 + r e_2);
    h' = (1 - z) n + z h.
    x: (N, D)   h: (N, K)   w_x: (3K, D)   w_h: (3K, K)   b_x, b_h: (3K,) or None   ->   h': (N, K)
    The reset acts after w_h, as in PyTorch and cuDNN; in the paper it acts on h before it.
    """
    _, z, n, _ = _gru_gates(x, h, w_x, w_h, b_x, b_h)
    return (1 - z) * n + z * h


def gru_cell_backward(
    dy: Array,
    x: Array,
    h: Array,
    w_x: Array,
    w_h: Array,
    b_x: Array | None = None,
    b_h: Array | None = None,
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """da_2 = dh' (1 - z) (1 - n^2);  da_1 = dh' (h - n) z (1 - z);  da_0 = da_2 e_2 r (1 - r);
    de is the same but for its last third, r da_2. h gets a share through w_h, and z dh' straight.
    """
    r, z, n, e = _gru_gates(x, h, w_x, w_h, b_x, b_h)
    dn = dy * (1 - z) * (1 - n**2)
    dr, dz = dn * e * r * (1 - r), dy * (h - n) * z * (1 - z)
    dx, dw_x, db_x = linear_backward(np.concatenate((dr, dz, dn), 1), x, w_x, b_x)
    dh, dw_h, db_h = linear_backward(np.concatenate((dr, dz, r * dn), 1), h, w_h, b_h)
    return dx, dh + z * dy, dw_x, dw_h, db_x, db_h


def _lstm_gates(
    x: Array, h: Array, c: Array, w_x: Array, w_h: Array, b_x: Array | None, b_h: Array | None
) -> tuple[Array, Array, Array, Array]:
    """i, f, g, o: (N, K) each."""
    _fits("lstm_cell", 4, x, h, w_x, w_h)
    if c.shape != h.shape:
        raise ShapeError(f"lstm_cell: h and c must have one shape, got {h.shape} and {c.shape}")
    i, f, g, o = np.split(linear(x, w_x, b_x) + linear(h, w_h, b_h), 4, 1)
    return sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)


def _gru_gates(
    x: Array, h: Array, w_x: Array, w_h: Array, b_x: Array | None, b_h: Array | None
) -> tuple[Array, Array, Array, Array]:
    """r, z, n and the last third of w_h h + b_h: (N, K) each."""
    _fits("gru_cell", 3, x, h, w_x, w_h)
    a, e = np.split(linear(x, w_x, b_x), 3, 1), np.split(linear(h, w_h, b_h), 3, 1)
    r, z = sigmoid(a[0] + e[0]), sigmoid(a[1] + e[1])
    return r, z, np.tanh(a[2] + r * e[2]), e[2]


def _fits(name: str, gates: int, x: Array, h: Array, w_x: Array, w_h: Array) -> None:
    if x.ndim != 2 or h.ndim != 2 or len(x) != len(h):
        raise ShapeError(f"{name}: x and h must be (N, D) and (N, K) with one N, got {x.shape} and {h.shape}")
    (_, D), (_, K) = x.shape, h.shape
    if w_x.shape != (gates * K, D) or w_h.shape != (gates * K, K):
        raise ShapeError(
            f"{name}: for x {x.shape} and h {h.shape} the weights must be ({gates * K}, {D}) and ({gates * K}, {K}), "
            f"got {w_x.shape} and {w_h.shape}"
        )

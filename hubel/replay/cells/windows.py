"""Cells of operations that slide a window: convolutions, poolings, LeNet's subsampling.

Each function takes what was asked and gives the cell. Where windows lie is computed from `Grid`, one cell at a time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hubel.definitions.windows import Array, Grid, grid, row, sides, two
from hubel.replay.cells.record import Asked, Cell, Step, Window, digits

CONVOLUTION = "y[n,o,i,j] = b[o] + sum_{c,u,v} x[n,c,i*s+u*d-p,j*s+v*d-p] w[o,c,u,v]"
FLIPPED = "y[n,o,i,j] = b[o] + sum_{c,u,v} x[n,c,i*s+u*d-p,j*s+v*d-p] w[o,c,U-1-u,V-1-v]"
ROW = "y[n,o,i] = b[o] + sum_{c,u} x[n,c,i*s+u*d-p] w[o,c,u]"
FLIPPED_ROW = "y[n,o,i] = b[o] + sum_{c,u} x[n,c,i*s+u*d-p] w[o,c,U-1-u]"
TRANSPOSED = "y[n,o,i*s+u*d-p,j*s+v*d-p] += sum_c x[n,c,i,j] w[c,o,u,v], after y = b[o]"
PARTIAL = "y[n,o,i,j] = b[o] + sum over c in table[o], u, v of x[n,c,i+u,j+v] w[o,c,u,v]"
# On a picture, and on a row.
MAXIMUM = ("y[n,c,i,j] = max_{u,v} x[n,c,i*s+u*d-p,j*s+v*d-p]", "y[n,c,i] = max_u x[n,c,i*s+u*d-p]")
AVERAGE = ("y[n,c,i,j] = sum_{u,v} x[n,c,i*s+u-p,j*s+v-p] / cells", "y[n,c,i] = sum_u x[n,c,i*s+u-p] / cells")
PRODUCT = "{w}*{x}"


def convolution(asked: Asked) -> Cell:
    """conv2d, and convolve2d with its kernel flipped."""
    x, w = asked.array("x"), asked.array("w")
    over = grid("", x.shape[2:], w.shape[2:], asked["stride"], asked["padding"], asked["dilation"])
    flipped = asked.node.operation.__name__ == "convolve2d"  # type: ignore[union-attr]
    w = w[:, :, ::-1, ::-1] if flipped else w
    return _convolved(asked, x, w, over, FLIPPED if flipped else CONVOLUTION)


def convolution_of_a_row(asked: Asked) -> Cell:
    """conv1d and convolve1d: the same along one axis."""
    x, w = asked.array("x"), asked.array("w")
    over = row("", x.shape[2], w.shape[2], asked["stride"], asked["padding"], asked["dilation"])
    flipped = asked.node.operation.__name__ == "convolve1d"  # type: ignore[union-attr]
    w = w[:, :, ::-1] if flipped else w
    return _convolved(asked, x, w, over, FLIPPED_ROW if flipped else ROW)


def _convolved(asked: Asked, x: Array, w: Array, over: Grid, formula: str) -> Cell:
    n, o, *place = asked.index
    each = x.shape[1] // asked["groups"]
    first = o // (len(w) // asked["groups"]) * each  # the channel at which the group of map o begins
    window = window_at(over, place, range(first, first + each), n)
    return _summed(asked, window, numbers_in(x, window), w[o], formula)


def partial_convolution(asked: Asked) -> Cell:
    """C3 of LeNet-5: only the channels that the table connects have a kernel."""
    x, w, table = asked.array("x"), asked.array("w"), asked["table"]
    n, o, *place = asked.index
    over = grid("", x.shape[2:], w.shape[1:])
    window = window_at(over, place, table[o], n)
    before = sum(map(len, table[:o]))
    return _summed(asked, window, numbers_in(x, window), w[before : before + len(table[o])], PARTIAL)


def transposed_convolution(asked: Asked) -> Cell:
    """The input cells whose stamp reaches this one: those with i*s + u*d - p = the cell, for some u of the kernel."""
    x, w = asked.array("x"), asked.array("w")
    n, o, *place = asked.index
    stride, dilation = two("", "stride", asked["stride"], 1), two("", "dilation", asked["dilation"], 1)
    before = [p[0] for p in sides("", asked["padding"])]
    positions, taps = [], []
    for at, cells, U, s, d, p in zip(place, x.shape[2:], w.shape[2:], stride, dilation, before, strict=True):
        met = [(i, (at + p - i * s) // d) for i in range(cells) if (at + p - i * s) % d == 0]
        met = [(i, u) for i, u in met if 0 <= u < U]
        positions.append(tuple(i for i, _ in met))
        taps.append(tuple(u for _, u in met))
    each = len(w) // asked["groups"]
    first = o // w.shape[1] * each
    window = Window(tuple(positions), tuple(taps), x.shape[2:], tuple(range(first, first + each)), n)
    weights = w[np.ix_(window.channels, [o % w.shape[1]], *taps)][:, 0]
    return _summed(asked, window, numbers_in(x, window), weights, TRANSPOSED)


def _summed(asked: Asked, window: Window, inputs: Array, weights: Array, formula: str) -> Cell:
    bias = None if asked["b"] is None else float(asked["b"][asked.index[1]])
    products = inputs * weights
    return asked.cell(
        products.sum() + (bias or 0.0), formula, window=window, inputs=inputs, weights=weights,
        products=products, term=PRODUCT, bias=bias, reads=(asked.read(window.cells()),),
    )  # fmt: skip


def max_pooling(asked: Asked) -> Cell:
    """max_pool2d and max_pool1d: the first of the largest wins; padding is -inf and never does."""
    x, over = _pooled(asked)
    window = _under(asked, over)
    return _largest(asked, window, numbers_in(x, window, -np.inf), _letters(x, MAXIMUM))


def _largest(asked: Asked, window: Window, inputs: Array, formula: str) -> Cell:
    winner = tuple(map(int, np.unravel_index(inputs.argmax(), inputs.shape)))
    won = float(inputs[winner])
    steps = (Step("y", f"max of {inputs.size} numbers", won),)
    return asked.cell(
        won, formula, window=window, inputs=inputs, winner=winner, steps=steps,
        reads=(asked.read(window.cells()),),
    )  # fmt: skip


def average_pooling(asked: Asked) -> Cell:
    """avg_pool2d and avg_pool1d. Padding counts unless said otherwise; what ceil mode lets hang over never does."""
    x, over = _pooled(asked)
    window = _under(asked, over)
    counted = 1
    counts_padding = asked["count_padding"]
    for positions, (before, after), size in zip(
        window.positions, over.padding[-len(window.size) :], window.size, strict=True
    ):
        low, high = (-before, size + after) if counts_padding else (0, size)
        counted *= sum(low <= p < high for p in positions)
    return _mean(asked, window, numbers_in(x, window), counted, _letters(x, AVERAGE))


def _mean(asked: Asked, window: Window, inputs: Array, counted: int, formula: str) -> Cell:
    total = float(inputs.sum())
    steps = (Step("y", f"{digits(total)} / {counted}", total / counted),)
    return asked.cell(
        total / counted, formula, window=window, inputs=inputs, products=inputs, term="{x}", steps=steps,
        reads=(asked.read(window.cells()),),
    )  # fmt: skip


def sum_pooling(asked: Asked) -> Cell:
    """sum_pool2d: the products are the numbers themselves."""
    x, over = _pooled(asked)
    window = _under(asked, over)
    inputs = numbers_in(x, window)
    return asked.cell(
        inputs.sum(), "y[n,c,i,j] = sum_{u,v} x[n,c,i*s+u-p,j*s+v-p]", window=window, inputs=inputs, products=inputs,
        term="{x}", reads=(asked.read(window.cells()),),
    )  # fmt: skip


def subsampling(asked: Asked) -> Cell:
    """LeNet's: the sum of a field, times the coefficient of its map, plus the bias of its map."""
    x = asked.array("x")
    over = grid("", x.shape[2:], asked["kernel"], asked["kernel"])
    window = _under(asked, over)
    inputs, c = numbers_in(x, window), asked.index[1]
    total, a, b = float(inputs.sum()), float(asked["a"][c]), float(asked["b"][c])
    steps = (Step("y", f"{digits(a)} * {digits(total)} + {digits(b)}", a * total + b),)
    return asked.cell(
        a * total + b, "y[n,c,i,j] = a[c] sum_{u,v} x[n,c,k*i+u,k*j+v] + b[c]", window=window, inputs=inputs,
        products=inputs, term="{x}", steps=steps, reads=(asked.read(window.cells()),),
    )  # fmt: skip


def global_average(asked: Asked) -> Cell:
    """One window that is the whole picture."""
    x = asked.array("x")
    parts = [range(size) for size in x.shape[2:]]
    return _part(asked, x, parts, "y[n,c,0,0] = mean_{i,j} x[n,c,i,j]")


def adaptive_average(asked: Asked) -> Cell:
    """Even parts: y[i] is the mean of x[floor(i H / H') : ceil((i + 1) H / H')], per axis."""
    x, out = asked.array("x"), two("", "out", asked["out"], 1)
    return _part(
        asked, x, _even(asked, x, out), "y[n,c,i,j] = mean of x[n,c] over part (i, j) of H' x W' even parts"
    )


def adaptive_maximum(asked: Asked) -> Cell:
    """The largest of the same even parts."""
    x, out = asked.array("x"), two("", "out", asked["out"], 1)
    window = _window(asked, x, _even(asked, x, out))
    return _largest(
        asked,
        window,
        numbers_in(x, window),
        "y[n,c,i,j] = max of x[n,c] over part (i, j) of H' x W' even parts",
    )


def maximum_over_time(asked: Asked) -> Cell:
    """One window that is the whole row."""
    x = asked.array("x")
    window = _window(asked, x, [range(x.shape[2])])
    return _largest(asked, window, numbers_in(x, window), "y[n,c] = max_t x[n,c,t]")


def _letters(x: Array, formulas: tuple[str, str]) -> str:
    return formulas[0 if x.ndim == 4 else 1]


def _even(asked: Asked, x: Array, out: tuple[int, int]) -> list[range]:
    along = zip(asked.index[2:], x.shape[2:], out, strict=True)
    return [range(i * cells // parts, -(-(i + 1) * cells // parts)) for i, cells, parts in along]


def _part(asked: Asked, x: Array, parts: list[range], formula: str) -> Cell:
    window = _window(asked, x, parts)
    inputs = numbers_in(x, window)
    return _mean(asked, window, inputs, inputs.size, formula)


def _window(asked: Asked, x: Array, parts: list[range]) -> Window:
    n, c = asked.index[:2]
    return Window(tuple(map(tuple, parts)), tuple(tuple(range(len(p))) for p in parts), x.shape[2:], (c,), n)


def _pooled(asked: Asked) -> tuple[Array, Grid]:
    """x and its windows; a row is a picture of one row."""
    x, given = asked.array("x"), asked.given
    kernel, padding, dilation = given["kernel"], given.get("padding", 0), given.get("dilation", 1)
    stride: Any = kernel if given.get("stride") is None else given["stride"]
    ceil = given.get("ceil", False)
    if x.ndim == 4:
        return x, grid("", x.shape[2:], kernel, stride, padding, dilation, ceil=ceil)
    return x, row("", x.shape[2], kernel, stride, padding, dilation, ceil=ceil)


def _under(asked: Asked, over: Grid) -> Window:
    n, c, *place = asked.index
    return window_at(over, place, (c,), n)


def window_at(over: Grid, place: list[int], channels: Any, item: int) -> Window:
    """The window of output cell `place`: two numbers, or one along the last axis."""
    axes = len(place)
    positions, taps = [], []
    for at, U, s, (before, _), d in zip(
        place,
        over.kernel[-axes:],
        over.stride[-axes:],
        over.padding[-axes:],
        over.dilation[-axes:],
        strict=True,
    ):
        positions.append(tuple(at * s - before + u * d for u in range(U)))
        taps.append(tuple(range(U)))
    return Window(tuple(positions), tuple(taps), over.size[-axes:], tuple(channels), item)


def numbers_in(x: Array, window: Window, fill: float = 0.0) -> Array:
    """What the window sees, (C, U, V) float64, with `fill` where it lies in the padding."""
    nearest = [
        np.clip(np.array(p, int), 0, n - 1) for p, n in zip(window.positions, window.size, strict=True)
    ]
    seen = x[window.item][np.ix_(window.channels, *nearest)]
    return np.where(window.inside, seen, fill)

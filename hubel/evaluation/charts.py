"""Curves, bars and dots as percentages of a box.

The page stretches the box; lines keep their width and words their size.

x runs from 0 at the left to 100 at the right, y from 0 at the top to 100 at the bottom, as SVG has it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hubel.metrics import Reliability

MOST_DOTS = 5000  # a scatter of more hides itself; beyond, every n-th item is drawn


@dataclass(frozen=True)
class Axis:
    """low..high in the data's unit; ticks: (place in 0..1, text)."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    log: bool = False

    def place(self, value: float) -> float:
        """0 at low, 1 at high."""
        if self.log:
            return (math.log10(value) - math.log10(self.low)) / (math.log10(self.high) - math.log10(self.low))
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Shape:
    """kind: its colour and form on the page; path: SVG path data; name: its words in the legend."""

    kind: str
    path: str
    name: str = ""


@dataclass(frozen=True)
class Plot:
    """shapes are drawn in order; readout: what the pointer reads at each x: (x in 0..100, words)."""

    title: str
    x_name: str
    y_name: str
    x: Axis
    y: Axis
    shapes: tuple[Shape, ...]
    readout: tuple[tuple[float, str], ...] = ()
    image: str = ""


def axis(low: float, high: float, *, steps: int = 5, percent: bool = False) -> Axis:
    """A linear axis between round numbers around low and high; steps are 1, 2 or 5 times a power of ten."""
    if not high > low:
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    raw = (high - low) / steps
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9) - (2 if percent else 0))
    values = [n * step for n in range(first, last + 1)]
    span = values[-1] - values[0]
    texts = [f"{v * 100:.{decimals}f} %" if percent else f"{v:,.{decimals}f}" for v in values]
    texts = [text.replace("-", "−") for text in texts]
    return Axis(
        values[0], values[-1], tuple(((v - values[0]) / span, t) for v, t in zip(values, texts, strict=True))
    )


def log_axis(low: float, high: float) -> Axis:
    """Whole powers of ten from below low to above high."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    last = max(last, first + 1)
    powers = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
    texts = [
        f"{10.0**n:g}" if -3 <= n <= 4 else "10" + str(n).translate(powers) for n in range(first, last + 1)
    ]
    ticks = tuple((n / (last - first), text) for n, text in enumerate(texts))
    return Axis(10.0**first, 10.0**last, ticks, log=True)


def line(x: Axis, y: Axis, xs: Sequence[float], ys: Sequence[float]) -> str:
    """A path through the finite points; a single one becomes a dot."""
    points = [(a, b) for a, b in zip(xs, ys, strict=True) if math.isfinite(a) and math.isfinite(b)]
    steps = [f"{x.place(a) * 100:.2f} {100 - y.place(b) * 100:.2f}" for a, b in points]
    return "M" + "L".join(steps) + ("h0" if len(steps) == 1 else "") if steps else ""


def dots(x: Axis, y: Axis, xs: Sequence[float], ys: Sequence[float]) -> str:
    """One zero-length stroke per point: round caps make it a dot that a stretched box leaves round."""
    return "".join(
        f"M{x.place(a) * 100:.2f} {100 - y.place(b) * 100:.2f}h0" for a, b in zip(xs, ys, strict=True)
    )


def learning_curves(history: Sequence[dict[str, Any]]) -> list[Plot]:
    """Loss and accuracy by epoch, of train and val, as far as the history has them."""
    plots = [_curve(history, "loss"), _curve(history, "accuracy")]
    return [plot for plot in plots if plot is not None]


def _curve(history: Sequence[dict[str, Any]], what: str) -> Plot | None:
    parts = {p: [_number(row.get(f"{p}_{what}")) for row in history] for p in ("train", "val")}
    parts = {p: values for p, values in parts.items() if any(map(math.isfinite, values))}
    if not parts:
        return None
    epochs = [float(row.get("epoch", n)) for n, row in enumerate(history, 1)]
    x = _epochs(epochs)
    finite = [v for values in parts.values() for v in values if math.isfinite(v)]
    if what == "accuracy":
        y = axis(min(finite), min(1.0, max(finite) + 0.15 * (1 - max(finite))), percent=True)
    elif 0 < min(finite) < max(finite) / 20:
        y = log_axis(min(finite), max(finite))
    else:
        y = axis(min(0.0, *finite) if min(finite) < max(finite) / 2 else min(finite), max(finite))
    readout = []
    for n, epoch in enumerate(epochs):
        said = {p: f"{v[n] * 100:.2f} %" if what == "accuracy" else f"{v[n]:.4g}" for p, v in parts.items()}
        words = " · ".join(f"{p} {said[p]}" for p, v in parts.items() if math.isfinite(v[n]))
        readout.append((round(x.place(epoch) * 100, 2), f"epoch {epoch:g} · {words}"))
    shapes = tuple(Shape(p, line(x, y, epochs, values), p) for p, values in parts.items())
    return Plot(what.capitalize(), "epoch", what, x, y, shapes, tuple(readout))


def _epochs(epochs: Sequence[float]) -> Axis:
    """From the first epoch to the last; about eight of them are named."""
    low, high = min(epochs), max(epochs)
    if low == high:
        return Axis(low - 1, high + 1, ((0.5, f"{low:g}"),))
    step = next(s * 10**n for n in range(9) for s in (1, 2, 5) if (high - low) / (s * 10**n) <= 8)
    named = [low, *(v for v in range(0, int(high) + 1, step) if v > low)]
    return Axis(low, high, tuple(((v - low) / (high - low), f"{v:g}") for v in named))


def calibration(found: Reliability) -> Plot:
    """The reliability diagram: the share right among answers of each confidence; ideal is the diagonal."""
    x = axis(0, 1, percent=True)
    bars: list[str] = []
    thin: list[str] = []
    stated: list[str] = []
    readout: list[tuple[float, str]] = []
    width = 100 / len(found.count)
    for b in np.flatnonzero(found.count):
        left, height = b * width, found.accuracy[b] * 100
        bar = f"M{left + 0.3:.2f} 100v{-height:.2f}h{width - 0.6:.2f}V100z"
        (bars if found.count[b] >= 10 else thin).append(bar)
        stated.append(f"M{left + 0.3:.2f} {100 - found.confidence[b] * 100:.2f}h{width - 0.6:.2f}")
        says, right = found.confidence[b] * 100, found.accuracy[b] * 100
        words = f"{found.count[b]:,} answers say {says:.1f} % · {right:.1f} % are right"
        readout.append((round(left + width / 2, 2), words))
    shapes = (
        Shape("diagonal", "M0 100L100 0"),
        Shape("bars", "".join(bars), "right"),
        Shape("bars thin", "".join(thin), "right, of fewer than 10" if thin else ""),
        Shape("stated", "".join(stated), "stated"),
    )
    return Plot("Calibration", "stated confidence", "share right", x, x, shapes, tuple(readout))


def spread(recall: np.ndarray, bins: int = 20) -> Plot:
    """How many classes have which recall, for as many as no table shows at once. (K,), of classes with items"""
    bin_of = np.minimum((recall * bins).astype(np.int64), bins - 1)  # the last bin has both its ends
    count = np.bincount(bin_of, minlength=bins)
    x, y = axis(0, 1, percent=True), axis(0, max(1, int(count.max())))
    width = 100 / bins
    bars, readout = [], []
    for b, classes in enumerate(count.tolist()):
        bars.append(f"M{b * width + 0.3:.2f} 100v{-y.place(classes) * 100:.2f}h{width - 0.6:.2f}V100z")
        several = "class" if classes == 1 else "classes"
        words = f"{classes:,} {several} between {b * width:.0f} % and {(b + 1) * width:.0f} %"
        readout.append((round((b + 0.5) * width, 2), words))
    shapes = (Shape("bars", "".join(bars)),)
    return Plot(
        "Classes by recall", "share of its items that is found", "classes", x, y, shapes, tuple(readout)
    )


def scatter(targets: np.ndarray, answers: np.ndarray, name: str) -> Plot:
    """Answer against target, on one scale; on the diagonal they agree. (N,), (N,)"""
    every = -(-len(targets) // MOST_DOTS)
    t, y = targets[::every].tolist(), answers[::every].tolist()
    both = axis(min(t + y, default=0.0), max(t + y, default=1.0))
    title = "Answer against target" + (f", {name}" if name else "")
    title += f" (one item in {every})" if every > 1 else ""
    shapes = (Shape("diagonal", "M0 100L100 0"), Shape("dots", dots(both, both, t, y)))
    return Plot(title, "target", "answer", both, both, shapes)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan

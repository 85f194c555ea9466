"""The learning curves of several runs in one picture: as text for a terminal, as SVG or PNG, or as a page.

Told apart without colour: every curve carries its letter, and in the picture its own dashes.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from hubel.errors import InputError
from hubel.evaluation.charts import Axis, axis, log_axis
from hubel.evaluation.compare import Comparison, Side

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito 2008, "Color universal design", without the yellow that white paper swallows.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
INK, PALE, RULE = "#1c2330", "#6b7585", "#e3e7ed"
LONGEST_NAME = 30

# Braille: the bit of each of the 2 x 4 dots of a character; U+2800 is the empty one (Unicode 16, 21.1).
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


@dataclass(frozen=True)
class Curve:
    """One run's values by epoch, finite ones only."""

    letter: str
    name: str
    epochs: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Chart:
    title: str
    x: Axis
    y: Axis
    curves: tuple[Curve, ...]


def charts(sides: Sequence[Side]) -> list[Chart]:
    """Validation loss and accuracy, as far as the runs have them."""
    made = []
    for what in ("loss", "accuracy"):
        curves = tuple(c for c in (curve(s, f"val_{what}") for s in sides) if c.values)
        if curves:
            values = [v for c in curves for v in c.values]
            epochs = [e for c in curves for e in c.epochs]
            low, high = min(values), max(values)
            if what == "accuracy":
                y = axis(low, min(1.0, high), percent=True)
            else:
                y = log_axis(low, high) if 0 < low < high / 20 else axis(low, high)
            made.append(Chart(f"validation {what}", whole(min(epochs), max(epochs)), y, curves))
    return made


def curve(s: Side, key: str) -> Curve:
    rows = [(row.get("epoch"), row.get(key)) for row in s.history]
    points = [(float(e), float(v)) for e, v in rows if is_number(e) and is_number(v)]
    return Curve(
        s.letter, s.path.name or str(s.path), tuple(e for e, _ in points), tuple(v for _, v in points)
    )


def is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value)


def whole(low: float, high: float) -> Axis:
    """Epochs: at most eight of them named, the first and the last where the curves end."""
    if low == high:
        return Axis(low - 1, high + 1, ((0.5, f"{low:g}"),))
    step = next(s * 10**n for n in range(9) for s in (1, 2, 5) if (high - low) / (s * 10**n) <= 7)
    inner = [v for v in range(step, int(high), step) if v > low and high - v > step / 2]
    return Axis(low, high, tuple(((v - low) / (high - low), f"{v:g}") for v in (low, *inner, high)))


# ---- in a terminal ----


def plain(chart: Chart, *, width: int = 78) -> str:
    """The chart as lines of at most `width` characters; a curve has its letter on its way and at its end."""
    rows = rows_for(chart.y)
    gutter = max(len(text) for _, text in chart.y.ticks)
    columns = width - gutter - 2 - sum(len(c.letter) + 1 for c in chart.curves[:8]) - 1
    bits: dict[tuple[int, int], int] = {}
    letters: dict[tuple[int, int], str] = {}
    for number, c in enumerate(chart.curves):
        points = [place(chart, e, v, columns, rows) for e, v in zip(c.epochs, c.values, strict=True)]
        for x, y in dots_of(points):
            cell = (y // 4, x // 2)
            bits[cell] = bits.get(cell, 0) | DOTS[y % 4][x % 2]
        for x, y in on_the_way(number, len(chart.curves), points):
            letters.setdefault((y // 4, x // 2), c.letter[0])
    cells = {cell: chr(0x2800 + found) for cell, found in bits.items()} | letters
    for c in chart.curves:
        x, y = place(chart, c.epochs[-1], c.values[-1], columns, rows)
        name_end(cells, y // 4, x // 2 + 2, c.letter)
    labels = {round((1 - at) * (rows - 1)): text for at, text in chart.y.ticks}
    lines = [chart.title]
    for row in range(rows):
        drawn = "".join(cells.get((row, column), " ") for column in range(width - gutter - 2))
        lines.append(f"{labels.get(row, ''):>{gutter}} │{drawn}".rstrip())
    return "\n".join([*lines, *below(chart.x, gutter, columns)])


def rows_for(y: Axis) -> int:
    """About ten lines, so many that each tick has one."""
    steps = len(y.ticks) - 1
    return steps * max(1, round(10 / steps)) + 1


def place(chart: Chart, epoch: float, value: float, columns: int, rows: int) -> tuple[int, int]:
    """(x, y) in dots, from the upper left; a tick's value is in the middle of its line."""
    x = chart.x.place(epoch) * (2 * columns - 1)
    y = (1 - chart.y.place(value)) * 4 * (rows - 1) + 1.5
    return min(max(round(x), 0), 2 * columns - 1), min(max(round(y), 0), 4 * rows - 1)


def name_end(cells: dict[tuple[int, int], str], row: int, column: int, name: str) -> None:
    """Write `name` behind the end of its curve, or behind the names that stand there already."""
    while any((row, column + k) in cells for k in range(-1, len(name))) and column < 200:
        column += 1
    cells |= {(row, column + k): character for k, character in enumerate(name)}


def dots_of(points: Sequence[tuple[int, int]]) -> set[tuple[int, int]]:
    """Every dot on the straight lines between neighbours."""
    found = set(points)
    for (x0, y0), (x1, y1) in pairwise(points):
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        found |= {
            (x0 + round((x1 - x0) * k / steps), y0 + round((y1 - y0) * k / steps)) for k in range(steps)
        }
    return found


def on_the_way(number: int, of: int, points: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Where curve `number` of `of` carries its letter: twice, elsewhere along x than its neighbours do."""
    xs, ys = zip(*points, strict=True)
    shares = [(half + (number + 1) / (of + 1)) / 2 for half in (0, 1)]
    along = [round(xs[0] + share * (xs[-1] - xs[0])) for share in shares]
    return [(x, round(float(np.interp(x, xs, ys)))) for x in along]


def below(x: Axis, gutter: int, columns: int) -> list[str]:
    """The axis under the chart, with its numbers."""
    rule, text = ["─"] * columns, [" "] * (columns + gutter)
    for at, said in x.ticks:
        column = round(at * (columns - 1))
        rule[column] = "┴"
        start = max(0, min(column - len(said) // 2, columns - 1))
        if all(c == " " for c in text[max(0, start - 1) : start + len(said) + 1]):
            text[start : start + len(said)] = said
    return [f"{'':>{gutter}} └{''.join(rule)}", f"{'epoch':>{gutter}}  {''.join(text).rstrip()}"]


# ---- as a picture ----


def picture(found: Comparison, form: str) -> bytes:
    """Both charts, one above the other. form: svg or png. Equal comparisons give equal bytes."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    drawn = charts(found.sides)
    if not drawn:
        raise InputError(
            "none of these runs has a validation loss or accuracy, so there are no curves to draw: leave --out out, or "
            "name an .html, which holds the tables"
        )
    style: dict[Any, Any] = {
        "font.family": "sans-serif",
        "font.size": 11,
        "svg.hashsalt": "hubel",
        "svg.fonttype": "none",
    }
    with matplotlib.rc_context(style):
        margins = ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.15, hspace=0.04)
        figure = Figure(figsize=(9, 3.6 * len(drawn)), layout=margins)
        for number, (axes, chart) in enumerate(
            zip(figure.subplots(len(drawn), squeeze=False)[:, 0], drawn, strict=True)
        ):
            draw(axes, chart, last=number == len(drawn) - 1)
        out = io.BytesIO()
        metadata = {"Date": None, "Creator": "hubel"} if form == "svg" else {"Software": "hubel"}
        figure.savefig(out, format=form, dpi=144, metadata=metadata)
    return out.getvalue()


def draw(axes: Axes, chart: Chart, *, last: bool) -> None:
    """One chart; each curve is named at its end, in its colour."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    axes.set_title(chart.title, loc="left", fontsize=12, fontweight="bold", color=INK)
    if chart.y.log:
        axes.set_yscale("log")
    axes.set_xlim(chart.x.low, chart.x.high)
    axes.set_ylim(chart.y.low, chart.y.high)
    for side, a in ((axes.xaxis, chart.x), (axes.yaxis, chart.y)):
        side.set_major_locator(FixedLocator([unplace(a, at) for at, _ in a.ticks]))
        side.set_major_formatter(FixedFormatter([text for _, text in a.ticks]))
        side.set_minor_locator(NullLocator())
    unframed(axes)
    if last:
        axes.set_xlabel("epoch", color=PALE)
    heights = apart([chart.y.place(c.values[-1]) for c in chart.curves], 0.075)
    for number, (c, height) in enumerate(zip(chart.curves, heights, strict=True)):
        colour, dash = COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)]
        marker = "o" if len(c.values) <= 30 else None
        look: dict[str, Any] = {
            "color": colour,
            "linestyle": dash,
            "linewidth": 2,
            "marker": marker,
            "markersize": 4,
        }
        axes.plot(c.epochs, c.values, clip_on=False, **look)
        name = c.name if len(c.name) <= LONGEST_NAME else c.name[: LONGEST_NAME - 1] + "…"
        axes.annotate(
            f"{c.letter}  {name}", (c.epochs[-1], c.values[-1]), (1.03, height), textcoords="axes fraction",
            color=colour, va="center", annotation_clip=False, parse_math=False,
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.7, "alpha": 0.6, "shrinkB": 3},
        )  # fmt: skip


def unframed(axes: Any) -> None:
    """Pale lines across and one below, no frame."""
    axes.grid(axis="y", color=RULE)
    axes.set_axisbelow(True)
    axes.tick_params(colors=PALE, length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(PALE)


def unplace(a: Axis, at: float) -> float:
    """The value that stands at `at` in 0..1."""
    if a.log:
        return float(10 ** (math.log10(a.low) + at * (math.log10(a.high) - math.log10(a.low))))
    return a.low + at * (a.high - a.low)


def apart(heights: Sequence[float], least: float) -> list[float]:
    """The same heights, moved as little as need be so that no two are closer than `least`."""
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    placed = [heights[i] for i in order]
    for _ in range(200):  # each round moves neighbours that are too close apart by half of what they lack
        for k in range(len(placed) - 1):
            short = least - (placed[k + 1] - placed[k])
            if short > 1e-6:
                placed[k] -= short / 2
                placed[k + 1] += short / 2
    found = [0.0] * len(heights)
    for i, height in zip(order, placed, strict=True):
        found[i] = height
    return found


def page(found: Comparison) -> bytes:
    """One self-contained HTML file: the table, the pairs, the settings that differ, the curves."""
    from markupsafe import Markup

    from hubel.evaluation.report import PAGE, duration, number, percent, templates

    environment = templates(PAGE)
    environment.filters |= {"percent": percent, "number": number, "duration": duration}
    svg = picture(found, "svg").decode() if charts(found.sides) else ""
    css = (PAGE / "report.css").read_text("utf-8")
    html = environment.get_template(
        "compare.html.jinja"
    ).render(
        found=found,
        css=Markup(css),  # noqa: S704 - our own file
        svg=Markup(svg[svg.find("<svg") :] if svg else ""),  # noqa: S704 - Matplotlib escapes the names in it
    )
    return html.encode("utf-8", "replace")

"""A chain of layers as the volumes that they make: height and width of the maps, and how many there are.

Sides follow the square root of the real ones and thickness the logarithm of the number of maps, as true proportions
would leave nothing to see of the last layers. A vector is a bar. Equal layers in a row stand close, with one label.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from hubel.zoo.drawing_flow import LETTER, path, stripes
from hubel.zoo.drawing_parts import Box

TALL = 150.0  # pixels of the highest front
SLANT = (0.26, 0.2)  # of the width of a map, how far its depth goes to the right and up
CLOSE, APART = 9.0, 26.0  # pixels between equal layers, between others
TURN = 12.0  # pixels beside a row, where the way leads down to the next
LABEL = 52.0  # pixels below the volumes for their labels


@dataclass(frozen=True)
class Volume:
    """wide: of the front, the maps; high: of the front; right, up: how far the depth goes."""

    kind: str
    wide: float
    high: float
    right: float
    up: float

    def svg(self, x: float, middle: float) -> str:
        """x: of the front's left side; middle: the height that the whole is centred on."""
        w, h, r, u = self.wide, self.high, self.right, self.up
        y = middle - (h - u) / 2
        faces = f'<rect class="box {self.kind}" x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}"/>'
        for face, points in (
            ("top", ((x, y), (x + r, y - u), (x + w + r, y - u), (x + w, y))),
            ("side", ((x + w, y), (x + w + r, y - u), (x + w + r, y + h - u), (x + w, y + h))),
        ):
            said = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
            faces += f'<polygon class="box {face} {self.kind}" points="{said}"/>'
        return faces


@dataclass(frozen=True)
class Run:
    """Equal layers side by side."""

    box: Box
    volume: Volume
    times: int

    @property
    def title(self) -> str:
        return self.box.title + (f" × {self.times}" if self.times > 1 else "")

    @property
    def solid(self) -> float:
        """Pixels that the volumes take."""
        return self.times * self.volume.wide + (self.times - 1) * self.spread + self.volume.right

    @property
    def spread(self) -> float:
        """Pixels from one to the next: the depth of the one behind stays to be seen."""
        return max(CLOSE, 0.55 * self.volume.right)

    @property
    def width(self) -> float:
        return max(self.solid, LETTER * len(self.title), 5.6 * len(self.box.shape))

    def svg(self, x: float, middle: float, foot: float) -> str:
        """x: left edge; foot: where the labels begin."""
        begin = x + (self.width - self.solid) / 2
        step = self.volume.wide + self.spread
        drawn = "".join(self.volume.svg(begin + n * step, middle) for n in range(self.times))
        centre = x + self.width / 2
        drawn += f'<text class="title" x="{centre:.1f}" y="{foot + 16:.1f}">{escape(self.title)}</text>'
        drawn += f'<text class="shape" x="{centre:.1f}" y="{foot + 30:.1f}">{self.box.shape}</text>'
        marks = stripes(self.box.notes, 8.0 * len(self.box.notes), foot + 36)
        return f'{drawn}<g transform="translate({centre:.1f} 0)">{marks}</g>'


def volumes(boxes: Sequence[Box], room: float) -> tuple[str, float, float]:
    """Rows of volumes from left to right, no wider than `room`  ->  svg, width, height."""
    largest = max((max(b.output[1:]) for b in boxes if len(b.output) == 3), default=1)
    rows = list(_rows([*_runs(boxes, largest)], room - 2 * TURN))
    width = max(sum(run.width for run in row) + APART * (len(row) - 1) for row in rows)
    drawn, y = "", 0.0
    end: tuple[float, float] | None = None
    for row in rows:
        top, foot = max(run.volume.up for run in row), max(run.volume.high + run.volume.up for run in row)
        middle = y + top / 2 + foot / 2
        first = (row[0].width - row[0].solid) / 2 - 2
        if end is not None:
            turn, over = width + TURN, y - TURN
            way = (end, (turn, end[1]), (turn, over), (-TURN, over), (-TURN, middle), (first, middle))
            drawn += path(*way, arrow=True)
        x = 0.0
        for place, run in enumerate(row):
            left = x + (run.width - run.solid) / 2
            if place and end is not None:
                drawn += path(end, (left - 2, middle), arrow=True)
            drawn += run.svg(x, middle, y + foot + top / 2)
            end = (left + run.solid + 3, middle)
            x += run.width + APART
        y += foot + top / 2 + LABEL + 34
    return drawn, width + 2 * TURN, y - 34


def _runs(boxes: Sequence[Box], largest: int) -> Iterator[Run]:
    for _, same in itertools.groupby(boxes, key=lambda b: (b.kind, b.title, b.output, tuple(b.notes))):
        equal = list(same)
        yield Run(equal[0], _volume(equal[0], largest), len(equal))


def _volume(box: Box, largest: int) -> Volume:
    if len(box.output) != 3:
        units = box.output[0] if box.output else 1
        return Volume(box.kind, 9, 24 + (TALL - 60) * min(1.0, math.log2(units + 1) / 12), 3, 3)
    maps, height, width = box.output
    high, deep = (max(7.0, TALL * math.sqrt(side / largest)) for side in (height, width))
    return Volume(box.kind, 4 + 2.6 * math.log2(maps + 1), high, SLANT[0] * deep, SLANT[1] * deep)


def _rows(runs: Sequence[Run], room: float) -> Iterator[list[Run]]:
    """As few rows as there is room for, about equally long."""
    total = sum(run.width + APART for run in runs)
    even = total / math.ceil(total / room) + 40
    row: list[Run] = []
    for run in runs:
        if row and sum(r.width + APART for r in row) + run.width > min(even, room):
            yield row
            row = []
        row.append(run)
    yield row

"""Pieces of a picture that stand below and beside each other: boxes, chains, forks with their joins, repeats.

A Piece is drawn around its axis, the vertical line x = 0, from y = 0 down; whoever uses it moves it to its place.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from hubel.zoo.drawing_parts import SIGNS, Box, Fork, Item, Repeat

GAP, ASIDE = 18.0, 12.0  # pixels between a box and the next below it; between branches
HIGH, LETTER = 40.0, 6.2  # height of a box; mean width of a letter of its title
LEAST, INSIDE = 74.0, 14.0  # width of a box at least; room beside its title
SUM, BAR = (
    11.0,
    22.0,
)  # radius of the circle of a sum; height of the bar where branches are put behind each other
ROUND = 7.0  # radius of the corners of lines


@dataclass(frozen=True)
class Piece:
    """svg: drawn around its axis; left, right: how far it reaches from there; height."""

    svg: str
    left: float
    right: float
    height: float

    def at(self, x: float, y: float) -> str:
        return f'<g transform="translate({x:.1f} {y:.1f})">{self.svg}</g>'


Pieces = Sequence[tuple[Piece, bool]]  # and whether each is a fork


def number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def path(*points: tuple[float, float], arrow: bool = False) -> str:
    """A line along points with round corners."""
    said = f"M{number(points[0][0])} {number(points[0][1])}"
    for before, here, after in zip(points, points[1:], points[2:], strict=False):
        a, b = _towards(here, before), _towards(here, after)
        said += f"L{number(a[0])} {number(a[1])}Q{number(here[0])} {number(here[1])} {number(b[0])} {number(b[1])}"
    said += f"L{number(points[-1][0])} {number(points[-1][1])}"
    head = ' marker-end="url(#arrow)"' if arrow else ""
    return f'<path class="line" d="{said}"{head}/>'


def _towards(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    """A point near `a` on the way to `b`: at most half of it."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    length = max(abs(dx), abs(dy)) or 1.0
    share = min(ROUND, length / 2) / length
    return a[0] + dx * share, a[1] + dy * share


def box(found: Box) -> Piece:
    """Title, shape below it, and a stripe at its foot for each small layer that belongs to it."""
    width = max(LEAST, LETTER * max(len(found.title), len(found.shape) * 0.9) + INSIDE)
    half = width / 2
    drawn = f'<rect class="box {found.kind}" x="{-half:.1f}" y="0" width="{width:.1f}" height="{HIGH:.0f}" rx="5"/>'
    drawn += f'<text class="title" y="17">{escape(found.title)}</text><text class="shape" y="30">{found.shape}</text>'
    return Piece(drawn + stripes(found.notes, half - 6, HIGH - 5.5), half, half, HIGH)


def stripes(notes: Sequence[str], half: float, y: float) -> str:
    """Short bars side by side over 2 half pixels, one for each note."""
    if not notes:
        return ""
    each = 2 * half / len(notes)
    return "".join(
        f'<rect class="{note}" x="{-half + n * each + 1:.1f}" y="{y:.1f}" width="{each - 2:.1f}" height="3" rx="1.5"/>'
        for n, note in enumerate(notes)
    )


def join(found: Box) -> Piece:
    """A circle with + or ×, or a bar."""
    if found.title in SIGNS:
        drawn = f'<circle class="box join" cy="{SUM}" r="{SUM}"/>'
        drawn += f'<text class="sign" y="{SUM + 5.5}">{found.title}</text>'
        beside = f'<text class="aside before" x="{-SUM - 6}" y="{SUM + 4}">{found.shape}</text>'
        below = stripes(found.notes, 15, 2 * SUM + 2)
        height = 2 * SUM + (6 if found.notes else 0)
        return Piece(drawn + beside + below, SUM + 8 + 5.6 * len(found.shape), SUM + 4, height)
    said = f"{found.title} {found.shape}"
    half = (LETTER * len(said) + 22) / 2
    drawn = f'<rect class="box join" x="{-half:.1f}" width="{2 * half:.1f}" height="{BAR}" rx="{BAR / 2}"/>'
    drawn += f'<text class="title" y="15">{escape(said)}</text>{stripes(found.notes, half - 12, BAR + 2)}'
    return Piece(drawn, half, half, BAR + (6 if found.notes else 0))


def piece(item: Item) -> Piece:
    if isinstance(item, Box):
        return join(item) if item.kind == "join" else box(item)
    return fork(item) if isinstance(item, Fork) else repeat(item)


def chain(items: Sequence[Item]) -> Piece:
    return stack([(piece(item), isinstance(item, Fork)) for item in items])


def branch(items: Sequence[Item]) -> Piece:
    """A chain; where it forks at once, that is in the same module as the fork that it is a branch of."""
    if items and isinstance(items[0], Fork):
        return stack(
            [(fork(items[0], place=""), True), *((piece(i), isinstance(i, Fork)) for i in items[1:])]
        )
    return chain(items)


def stack(pieces: Pieces) -> Piece:
    """Pieces below each other, with arrows; a fork draws its own way in."""
    drawn, y = "", 0.0
    for place, (made, is_fork) in enumerate(pieces):
        if place and not is_fork:
            drawn += path((0, y), (0, y + GAP), arrow=True)
            y += GAP
        drawn += made.at(0, y)
        y += made.height
    left, right = (
        max((getattr(made, side) for made, _ in pieces), default=0.0) for side in ("left", "right")
    )
    return Piece(drawn, left, right, y)


def fork(item: Fork, place: str | None = None) -> Piece:
    """Branches side by side. Where they are added the longest keeps the axis; else they stand evenly around it.

    place: written at its corner; the module in which all of it stands where None
    """
    branches = [branch(inside) for inside in item.branches]
    end = None if item.join is None else join(item.join)
    summed = item.join is not None and item.join.title in SIGNS
    places = _beside(branches) if summed else _around(branches)
    tall = max(b.height for b in branches)
    top, foot = 2 * GAP, (4 if end is not None else 3.2) * GAP + tall
    drawn = ""
    for inside, made, x in zip(item.branches, branches, places, strict=True):
        into = ((0.0, 0.0), (0.0, GAP * 0.7), (x, GAP * 0.7))
        out = ((x, foot - GAP * 0.9), (0.0, foot - GAP * 0.9), (0.0, foot))
        straight = abs(x) < 0.5
        if (
            not inside
        ):  # the input itself, handed past the others: into the side of a sum, else down as they do
            side = ((x, foot + SUM), (SUM + 1, foot + SUM)) if summed else out
            drawn += path(*into, *side, arrow=True)
            continue
        y = top + (tall - made.height) / 2
        arrow = not isinstance(inside[0], Fork)
        drawn += made.at(x, y)
        drawn += path((0, 0), (0, y), arrow=arrow) if straight else path(*into, (x, y), arrow=arrow)
        below = (x, y + made.height)
        drawn += path(below, out[2], arrow=end is not None) if straight else path(below, *out)
    if end is not None:
        drawn += end.at(0, foot)
    left = max(b.left - x for b, x in zip(branches, places, strict=True))
    right = max(b.right + x for b, x in zip(branches, places, strict=True))
    left, right = max(left, end.left if end else 0), max(right, end.right if end else 0)
    height = foot + (end.height if end is not None else 0)
    said = _place(item) if place is None else place
    name = f'<text class="aside place" x="{-left:.1f}" y="{GAP * 0.7 - 4:.1f}">{escape(said)}</text>'
    return Piece(name + drawn, left, right, height)


def _place(item: Fork) -> str:
    """The module in which all of a fork stands: what the names of its layers have in common."""
    names = [found.name.split(".") for branch in item.branches for found in branch if isinstance(found, Box)]
    if item.join is None or not names:
        return ""
    names.append(item.join.name.split("."))
    shared = itertools.takewhile(lambda parts: len(set(parts)) == 1, zip(*names, strict=False))
    return ".".join(parts[0] for parts in shared)


def _beside(branches: Sequence[Piece]) -> list[float]:
    """The tallest on the axis, the others to its right, in order."""
    main = max(range(len(branches)), key=lambda n: branches[n].height)
    edge = branches[main].right
    places = [0.0] * len(branches)
    for n, made in enumerate(branches):
        if n != main:
            places[n] = edge + ASIDE + made.left + (6 if not made.height else 0)
            edge = places[n] + made.right
    return places


def _around(branches: Sequence[Piece]) -> list[float]:
    widths = [max(made.left + made.right, 12.0) for made in branches]
    x = -(sum(widths) + ASIDE * (len(branches) - 1)) / 2
    places = []
    for made, width in zip(branches, widths, strict=True):
        places.append(x + made.left)
        x += width + ASIDE
    return places


def repeat(item: Repeat) -> Piece:
    """A frame around the items, and how often they stand there."""
    inside, pad = chain(item.items), 12.0
    left, right = inside.left + pad, inside.right + pad + 8
    height = inside.height + 2 * pad
    frame = (
        f'<rect class="frame" x="{-left:.1f}" y="0" width="{left + right:.1f}" height="{height:.1f}" rx="9"/>'
    )
    badge = f'<text class="times" x="{right - 6:.1f}" y="{height - 7:.1f}">× {item.times}</text>'
    into = path((0, 0), (0, pad)) + path((0, pad + inside.height), (0, height + GAP / 2))
    return Piece(frame + into + inside.at(0, pad) + badge, left, right, height + GAP / 2)

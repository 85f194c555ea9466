"""A network as a picture: one SVG file that needs nothing beside it.

A chain of layers is drawn as the volumes that they make (drawing_volumes.py), a network with branches as boxes from top
to bottom (drawing_flow.py), in as many columns as a page has room for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from hubel.zoo.describe import Layer
from hubel.zoo.drawing_flow import GAP, Piece, Pieces, path, piece, stack
from hubel.zoo.drawing_parts import Box, Fork, Item, parts
from hubel.zoo.drawing_style import css, legend
from hubel.zoo.drawing_volumes import volumes

EDGE, HEAD, FOOT = 24.0, 68.0, 36.0  # pixels around the picture, for its title and for its legend
BETWEEN = 32.0  # pixels between columns
LONGEST = 90  # letters of a title
SHORT = 660.0  # pixels up to which one column is enough
SHAPELY = 1.35  # width over height that a picture of several columns aims at
PAGE = 1000.0  # pixels that a picture may be wide: on a page of 900 its letters still are of 9 pixels


def draw(layers: Sequence[Layer], shape: Sequence[int], name: str) -> str:
    """The SVG of a network. layers: of describe.layers; shape: of its input."""
    whole = parts(layers, shape, fold=False)
    boxes = [item for item in whole if isinstance(item, Box)]
    plain = len(boxes) == len(whole)
    items = whole if plain else parts(layers, shape)
    body, wide, high = volumes(boxes, PAGE - 2 * EDGE) if plain else _columns(items)
    key, key_wide = legend(items)
    title, about = name if len(name) <= LONGEST else name[: LONGEST - 1] + "…", _about(layers, shape)
    style, letter = ("name", 11.0) if len(title) <= 40 else ("name long", 7.6)
    width = max(wide, key_wide, 6.3 * len(about), letter * len(title)) + 2 * EDGE
    height = high + HEAD + FOOT + 2 * EDGE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img" aria-label={quoteattr(title)}><style>{css()}</style><defs>'
        '<marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6.5" markerHeight="6.5" orient="auto">'
        '<path d="M0 0.6L8 4L0 7.4z" fill="#7a818b"/></marker></defs>'
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>'
        f'<text class="{style}" x="{EDGE:.0f}" y="{EDGE + 16:.0f}">{escape(title)}</text>'
        f'<text class="about" x="{EDGE:.0f}" y="{EDGE + 36:.0f}">{escape(about)}</text>'
        f'<g transform="translate({EDGE:.0f} {EDGE + HEAD:.0f})">{body}</g>'
        f'<g transform="translate({EDGE:.0f} {EDGE + HEAD + high + FOOT:.0f})">{key}</g></svg>\n'
    )


def _about(layers: Sequence[Layer], shape: Sequence[int]) -> str:
    parameters, work = sum(r.parameters for r in layers), sum(r.multiply_adds for r in layers)
    idle = [r.name for r in layers if r.idle]
    said = f"{'×'.join(map(str, shape))} input, {parameters:,} parameters, {work:,} multiply-adds"
    return said + (f"; in training also {', '.join(idle)}" if idle else "")


def _columns(items: Sequence[Item]) -> tuple[str, float, float]:
    """Pieces in columns, the end of each led to the top of the next  ->  svg, width, height."""
    pieces = [(piece(item), isinstance(item, Fork)) for item in items]
    best: list[Pieces] = [pieces]
    if _size(best)[1] > SHORT:
        tried = [_split(pieces, count) for count in range(1, 9)]
        fitting = [columns for columns in tried if _size(columns)[0] + 2 * EDGE <= PAGE] or tried[:1]
        best = min(
            fitting, key=lambda columns: abs(math.log(_size(columns)[0] / _size(columns)[1] / SHAPELY))
        )
    width, height = _size(best)
    drawn, x = "", 0.0
    end: tuple[float, float] | None = None
    for column in best:
        made = stack(column)
        axis = x + made.left
        if end is not None:
            gutter = x - BETWEEN / 2
            down, up = end[1] + GAP, -GAP
            way = (end, (end[0], down), (gutter, down), (gutter, up), (axis, up), (axis, 0.0))
            drawn += path(*way, arrow=not column[0][1])
        drawn += made.at(axis, 0)
        end = (axis, made.height)
        x += made.left + made.right + BETWEEN
    return drawn, width, height


def _size(columns: Sequence[Pieces]) -> tuple[float, float]:
    stacks = [stack(column) for column in columns]
    width = sum(s.left + s.right for s in stacks) + BETWEEN * (len(stacks) - 1)
    return width, max(s.height for s in stacks) + (2 * GAP if len(stacks) > 1 else 0)


def _split(pieces: Pieces, count: int) -> list[Pieces]:
    """At most `count` columns of the least height, in order."""
    low, high = max(p.height for p, _ in pieces), sum(p.height + GAP for p, _ in pieces)
    while high - low > 1:
        middle = (low + high) / 2
        low, high = (low, middle) if len(_filled(pieces, middle)) <= count else (middle, high)
    return _filled(pieces, high)


def _filled(pieces: Pieces, height: float) -> list[Pieces]:
    columns: list[list[tuple[Piece, bool]]] = [[]]
    used = 0.0
    for made in pieces:
        if columns[-1] and used + GAP + made[0].height > height:
            columns.append([])
            used = 0.0
        columns[-1].append(made)
        used += GAP + made[0].height
    return list(columns)

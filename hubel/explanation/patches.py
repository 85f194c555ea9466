"""What excites a map most: the patches of the data on which it is largest, cut to the pixels that reach the cell.

Zeiler and Fergus 2014, "Visualizing and understanding convolutional networks", section 4. Of each picture a map's
largest cell counts, so that no picture shows twice; of equal ones the first. Which pixels reach a cell follows from
the graph (Layer.sees); what lies beyond the picture's border is hatched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw

from hubel.errors import InputError
from hubel.explanation import drawing
from hubel.explanation.drawing import Tile
from hubel.explanation.finding import Finding, Item, Items, Question, floats, stacked
from hubel.explanation.inside import Inside, asking, must_bring_data, unasked
from hubel.run import Run, at_once
from hubel.zoo.describe import Layer

BEST, ALONE = 9, 36  # patches of a map among others, and of a single one
MOST = 60  # maps that are shown together
SQUARE, BLOCKS = 3, 6  # patches in a row of a map, maps in a row
AT_ONCE = 250  # pictures that go through the network together, at most
SIDE = 56  # pixels of a drawn patch
HATCH, BEYOND = (196, 200, 210), (240, 241, 245)  # stripes and ground of what is not in the picture


@dataclass(frozen=True)
class Peaks:
    """Where each map is largest, best first: (M, k) each. items: places in the data; rows, columns: of the map"""

    values: np.ndarray
    items: np.ndarray
    rows: np.ndarray
    columns: np.ndarray

    @property
    def silent(self) -> np.ndarray:
        """(M,) bool: maps that are nowhere above 0."""
        return self.values[:, 0] <= 0


@dataclass(frozen=True)
class Span:
    """The pixels begin:end that reach a cell along an axis; `before` and `after` more lie beyond the borders."""

    begin: int
    end: int
    before: int = 0
    after: int = 0


def drawn(inside: Inside, items: Sequence[Item], question: Question) -> Finding:
    """The patches of each map of a layer, the last with maps where none is named; or of one map, more of them.

    items: among which they are sought; none for the run's train part.
    Raises InputError where there are no pictures, or no such map; UnknownName for the layer.
    """
    run = inside.run
    layer = chosen(inside, question)
    data, where = (items, "the given pictures") if len(items) else train_part(run)
    each = BEST if question.map is None else ALONE
    with asking(run, question.seed):
        found = peaks(inside, layer, data, each, question)
    count = layer.output[0]
    maps = [question.map] if question.map is not None else list(range(min(count, MOST)))
    tiles = {m: [_tile(run, layer, data, found, m, k) for k in range(found.values.shape[1])] for m in maps}
    if question.map is None:
        blocks = [_block(m, found, row) for m, row in tiles.items()]
        body = drawing.down(
            [drawing.across(blocks[n : n + BLOCKS], 26) for n in range(0, len(blocks), BLOCKS)], 20
        )
    else:
        body = drawing.tiled(tiles[question.map], BEST)
    of = layer.name if question.map is None else f"map {question.map} of {layer.name}"
    title = f"What excites {of} most"
    some = question.map is None and len(maps) < count
    left = f" The first {len(maps)} of {count:,} maps are shown, --map N shows any." if some else ""
    cells = f"The largest cells in {len(data):,} pictures ({where}), one of each picture."
    said = f"{unasked(layer, question)}{cells} {seen(layer, run)}{left}"
    head = [
        drawing.words(title, 18, bold=True),
        drawing.words(said, 13, drawing.FAINT, room=max(640, body.width)),
    ]
    silent = np.flatnonzero(found.silent).tolist()
    return Finding(
        f"patches-{of}",
        title,
        drawing.framed(drawing.down([*head, body], 14)),
        f"{said} {_told(silent, count)}",
        {"maps": count, "pictures": len(data), "data": where, "nowhere above 0": silent,
         "items": {str(m): [data[int(i)].name for i in found.items[m]] for m in maps}},
        {"values": found.values, "rows": found.rows, "columns": found.columns},
    )  # fmt: skip


def chosen(inside: Inside, question: Question) -> Layer:
    run = inside.run
    if len(run.preprocess.shape) != 3:
        raise InputError(
            f"the run takes rows of {run.preprocess.shape[0]} numbers, and patches are cut from pictures; "
            "name a run that takes pictures"
        )
    layer = inside.last_maps if question.layer is None else inside.layer(question.layer)
    if len(layer.output) not in (1, 3):
        raise InputError(
            f"the layer {layer.name} gives {layer.output}: neither maps nor single units. Name another --layer"
        )
    if question.map is not None and not 0 <= question.map < layer.output[0]:
        raise InputError(
            f"the layer {layer.name} has {layer.output[0]} maps, 0 to {layer.output[0] - 1}; there is no {question.map}"
        )
    return layer


def train_part(run: Run) -> tuple[Items, str]:
    """What the run learnt from, and how it is called. Raises InputError where it brings no data."""
    must_bring_data(run, "pictures, or folders of them")
    train = run.dataset().train
    return Items(
        train.inputs, train.items, [None] * len(train)
    ), f"the train part of {run.data.get('name', 'its data')}"


def peaks(inside: Inside, layer: Layer, data: Sequence[Item], each: int, question: Question) -> Peaks:
    """The largest cells of each map, at most one per picture: in one pass, keeping `each` of a map in memory.

    To be called inside `asking`. A unit of a vector is a map of one cell.
    """
    step = at_once(inside.run.preprocess.shape, AT_ONCE)
    front = inside.parts.until(layer.name).eval()
    count = layer.output[0]
    best = torch.empty((count, 0))
    places, cells = (torch.empty((count, 0), dtype=torch.int64) for _ in range(2))
    for start in range(0, len(data), step):
        stop = min(start + step, len(data))
        x = torch.from_numpy(floats(stacked(data[start:stop])))
        with torch.no_grad():
            given = front(inside.run.model.normalized(x))
        largest, cell = given.reshape(len(x), count, -1).float().max(2)  # (n, M) each
        best, order = torch.sort(torch.cat([best, largest.T], 1), dim=1, descending=True, stable=True)
        best, order = best[:, :each], order[:, :each]
        places = torch.cat([places, torch.arange(start, stop).expand(count, -1)], 1).gather(1, order)
        cells = torch.cat([cells, cell.T], 1).gather(1, order)
        if question.progress:
            question.progress(stop, len(data))
    width = layer.output[2] if len(layer.output) == 3 else 1
    return Peaks(best.numpy(), places.numpy(), (cells // width).numpy(), (cells % width).numpy())


def span(layer: Layer, axis: int, cell: int, side: int) -> Span:
    """What a cell sees along an axis (0: rows, 1: columns) of `side` pixels.

    All of it where no rule tells, or where the field is larger than the picture: there is nothing beyond to show.
    """
    field = layer.sees[axis] if layer.sees is not None else None
    if field is None or field.size >= side:
        return Span(0, side)
    begin = field.offset + cell * field.stride
    end = begin + field.size
    return Span(max(0, begin), min(side, end), max(0, -begin), max(0, end - side))


def seen(layer: Layer, run: Run) -> str:
    """What a cell sees, in a sentence."""
    rows, columns = layer.sees or (None, None)
    if rows is None or columns is None:
        return "Which pixels reach a cell is not known here: the whole picture is shown."
    if (rows.size, columns.size) == tuple(run.preprocess.shape[1:]):
        return "A cell sees the whole picture."
    size = f"A cell sees {rows.size}×{columns.size} pixels"
    if rows.size > run.preprocess.shape[1] and columns.size > run.preprocess.shape[2]:
        return f"{size}, more than there are: the whole picture is shown."
    return f"{size}; beyond the picture's border it is hatched."


def cut(x: np.ndarray, rows: Span, columns: Span) -> Image.Image:
    """The pixels of the spans, one by one; beyond the borders a hatching."""
    image = drawing.picture(x[:, rows.begin : rows.end, columns.begin : columns.end])
    longest = max(image.height + rows.before + rows.after, image.width + columns.before + columns.after)
    times = max(1, SIDE // longest)
    image = image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
    left, top = columns.before * times, rows.before * times
    made = Image.new(
        "RGB", (left + image.width + columns.after * times, top + image.height + rows.after * times), BEYOND
    )
    pen = ImageDraw.Draw(made)
    for start in range(-made.height, made.width, 5):
        pen.line((start, made.height, start + made.height, 0), fill=HATCH)
    made.paste(image, (left, top))
    return drawing.enlarged(made, SIDE)


def _tile(run: Run, layer: Layer, data: Sequence[Item], found: Peaks, m: int, k: int) -> Tile:
    rows, columns = (
        span(layer, axis, int(cells[m, k]), run.preprocess.shape[1 + axis])
        for axis, cells in enumerate((found.rows, found.columns))
    )
    return Tile(
        cut(data[int(found.items[m, k])].x, rows, columns), note=drawing.number(float(found.values[m, k]))
    )


def _block(m: int, found: Peaks, tiles: Sequence[Tile]) -> Image.Image:
    """A map's patches in a square, under its number."""
    silent = bool(found.silent[m])
    plain = [Tile(tile.image, crossed=silent) for tile in tiles]
    most = "nowhere above 0" if silent else f"up to {drawing.number(float(found.values[m, 0]))}"
    name = [drawing.words(f"{m}", 13, bold=True), drawing.words(most, 11, drawing.FAINT)]
    return drawing.down([drawing.across(name, 8, middle=True), drawing.tiled(plain, SQUARE, gap=4)], 4)


def _told(silent: Sequence[int], count: int) -> str:
    if not silent:
        return "Every map is above 0 somewhere."
    listed = ", ".join(map(str, silent[:12])) + (f" and {len(silent) - 12} more" if len(silent) > 12 else "")
    return f"Nowhere above 0: {len(silent):,} of {count:,} maps ({listed})."

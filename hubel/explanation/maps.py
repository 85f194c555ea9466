"""Feature maps: what each layer makes of a picture, a contact sheet per layer.

Zeiler and Fergus 2014, "Visualizing and understanding convolutional networks", look at units one by one; here all maps
of a layer stand side by side in one scale. A map is dead on a picture if it has the same value in every cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from hubel.errors import InputError
from hubel.explanation import drawing
from hubel.explanation.drawing import Scale, Tile
from hubel.explanation.finding import Finding, Item, Question
from hubel.explanation.inside import Inside, asking, unasked
from hubel.run import Run
from hubel.zoo.describe import Layer

SHOWN = 16  # maps of a layer in a sheet of all layers
FEW = 32  # layers with no more maps than this are shown whole even there
TALL = 12_000  # pixels of one picture; more layers go on in another
COLUMNS, SIDE, GAP = 16, 64, 6  # maps in a row, pixels of a map's longer side, between them
WIDTH = COLUMNS * (SIDE + GAP) - GAP
ONE = 448  # pixels of a single map
ALIKE = 1e-6  # of the layer's largest value: cells that differ by less have the same


@dataclass(frozen=True)
class Sheet:
    """A layer's maps for one picture. dead: places of maps with one value everywhere"""

    layer: Layer
    maps: np.ndarray  # (M, h, w) float32
    dead: tuple[int, ...]


def explain(run: Run, items: Sequence[Item], question: Question) -> Iterator[Finding]:
    """One finding per picture; more where its layers do not fit under each other.

    question.layer: of that layer alone, all maps; question.map: that one, large.
    """
    inside = Inside(run)
    layers = chosen(inside, question)
    for done, item in enumerate(items):
        with asking(run, question.seed):
            found = sheets(inside, item, layers)
        yield from findings(run, item, found, question)
        if question.progress:
            question.progress(done + 1, len(items))


def chosen(inside: Inside, question: Question) -> tuple[Layer, ...]:
    """All layers with maps, or the one that is asked for. Raises InputError where there is none, or no such map."""
    if question.layer is None and question.map is None:
        _ = inside.last_maps  # which says so where no layer has maps
        return inside.maps
    layer = inside.with_maps(question.layer)
    if question.map is not None and not 0 <= question.map < layer.output[0]:
        raise InputError(
            f"the layer {layer.name} has {layer.output[0]} maps, 0 to {layer.output[0] - 1}; there is no {question.map}"
        )
    return (layer,)


def sheets(inside: Inside, item: Item, layers: Sequence[Layer]) -> list[Sheet]:
    """What each of the layers makes of the item; to be called inside `asking`."""
    with torch.no_grad():
        _, values = inside.values(torch.from_numpy(item.x)[None], [layer.name for layer in layers])
    return [
        Sheet(layer, maps := values[layer.name][0].numpy().astype(np.float32), dead(maps)) for layer in layers
    ]


def dead(maps: np.ndarray) -> tuple[int, ...]:
    """(M, h, w) -> the places of maps that are the same in every cell."""
    flat = maps.reshape(len(maps), -1)
    spread = flat.max(1) - flat.min(1)
    return tuple(np.flatnonzero(spread <= ALIKE * np.abs(maps).max(initial=0)).tolist())


def findings(run: Run, item: Item, found: Sequence[Sheet], question: Question) -> Iterator[Finding]:
    """The sheets drawn under each other, as many as fit into one picture."""
    alone = len(found) == 1
    if question.map is not None:
        yield single(item, found[0], question.map, unasked(found[0].layer, question))
        return
    drawn = [(sheet, draw(sheet, None if alone else SHOWN)) for sheet in found]
    parts: list[list[tuple[Sheet, Image.Image]]] = [[]]
    height = 0
    for sheet, image in drawn:
        if parts[-1] and height + image.height > TALL:
            parts.append([])
            height = 0
        parts[-1].append((sheet, image))
        height += image.height
    for number, part in enumerate(parts):
        shown = [sheet for sheet, _ in part]
        head = drawing.across([drawing.enlarged(drawing.picture(item.x), 112), heading(run, item, found)], 20)
        images = [head, *(image for _, image in part)] if number == 0 else [image for _, image in part]
        of = f", layers {shown[0].layer.name} to {shown[-1].layer.name}" if len(parts) > 1 else ""
        yield Finding(
            item.name if number == 0 else f"{item.name}-{number + 1}",
            f"{item.name}: {shown[0].layer.name if alone else 'feature maps'}{of}",
            drawing.framed(drawing.down(images, 28)),
            caption(shown),
            {sheet.layer.name: told(sheet) for sheet in shown},
            {sheet.layer.name: sheet.maps for sheet in shown},
        )


def heading(run: Run, item: Item, found: Sequence[Sheet]) -> Image.Image:
    said = f"{len(found)} layers with maps" if len(found) > 1 else f"layer {found[0].layer.name}"
    return drawing.down(
        [
            drawing.words(item.name, 18, bold=True, room=760),
            drawing.words(
                f"{run.network.name}, {said}, in the order in which data meets them", 13, drawing.FAINT
            ),
            drawing.words(
                "One colour scale per layer. Struck out: the same value in every cell.", 13, drawing.FAINT
            ),
        ],
        8,
    )


def told(sheet: Sheet) -> dict[str, object]:
    return {
        "maps": len(sheet.maps),
        "dead": len(sheet.dead),
        "min": float(sheet.maps.min()),
        "max": float(sheet.maps.max()),
    }


def caption(shown: Sequence[Sheet]) -> str:
    deads = [f"{len(s.dead)} of {len(s.maps)} in {s.layer.name}" for s in shown if s.dead]
    if not deads:
        return "No map is dead."
    more = f" and in {len(deads) - 6} more layers" if len(deads) > 6 else ""
    return f"Dead maps: {', '.join(deads[:6])}{more}."


def draw(sheet: Sheet, most: int | None) -> Image.Image:
    """A layer's name, shape and scale over its maps; the first `most` where there are many more."""
    count = len(sheet.maps)
    shown = count if most is None or count <= FEW else most
    scale = Scale.of(sheet.maps)
    left = f"; the first {shown} are shown, --layer {sheet.layer.name} shows all" if shown < count else ""
    dead = f", {len(sheet.dead)} dead" if sheet.dead else ""
    size = "×".join(map(str, sheet.layer.output[1:]))
    said = f"{sheet.layer.type}   {count} {'map' if count == 1 else 'maps'} of {size}{dead}{left}"
    named = drawing.words(sheet.layer.name, 15, bold=True, room=WIDTH // 3)
    bar = drawing.scale_bar(scale)
    room = WIDTH - named.width - bar.width - 2 * 16
    head = drawing.across([named, drawing.words(said, 13, drawing.FAINT, room=room)], 16, middle=True)
    head = drawing.across([drawing.wide(head, WIDTH - bar.width - 16), bar], 16, middle=True)
    return drawing.down([head, grid(sheet, shown, scale)], 8)


def grid(sheet: Sheet, shown: int, scale: Scale) -> Image.Image:
    colours = scale.colours(sheet.maps[:shown])  # (M, h, w, 3)
    tiles = [
        Tile(drawing.enlarged(Image.fromarray(one), SIDE), f"{n}", crossed=n in sheet.dead)
        for n, one in enumerate(colours)
    ]
    return drawing.tiled(tiles, COLUMNS, gap=GAP, size=11)


def single(item: Item, sheet: Sheet, place: int, why: str) -> Finding:
    """One map, large, beside the picture. why: it is of this layer"""
    values = sheet.maps[place]
    scale = Scale.of(sheet.maps)
    large = drawing.enlarged(drawing.heat_map(values, scale), ONE)
    seen = drawing.enlarged(drawing.picture(item.x), ONE)
    title = f"{item.name}: map {place} of {sheet.layer.name}"
    tiles = [
        Tile(seen, item.name),
        Tile(large, f"map {place}, {values.shape[0]}×{values.shape[1]}", crossed=place in sheet.dead),
    ]
    bar = drawing.across(
        [drawing.words("scale of the layer", 12, drawing.FAINT), drawing.scale_bar(scale, 260)], middle=True
    )
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    numbers = {name: float(getattr(values, name)()) for name in ("min", "max", "mean")}
    return Finding(
        item.name,
        title,
        drawing.framed(
            drawing.down([drawing.words(title, 18, bold=True), drawing.tiled(tiles, gap=20), bar], 14)
        ),
        f"{why}Largest in row {row}, column {column}: {drawing.number(numbers['max'])}.",
        {**numbers, "dead": place in sheet.dead},
        {f"{sheet.layer.name}/{place}": values},
    )

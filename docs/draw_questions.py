"""Draws docs/questions.png, one digit and what can be asked about it: `python docs/draw_questions.py RUN [ITEM]`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

import hubel
from hubel.attacks.settings import Attack
from hubel.explanation import drawing
from hubel.explanation.attack import changed
from hubel.explanation.dream import dream
from hubel.explanation.finding import Item
from hubel.explanation.objective import classes_of

SIDE = 196


def large(image: Image.Image) -> Image.Image:
    return image.resize((SIDE, SIDE), Image.Resampling.NEAREST)


def maps(run: hubel.Run, x: np.ndarray, layer: str, each: int = 3) -> Image.Image:
    """The first maps of a layer, each x each of them."""
    (found,) = hubel.explain(run, x, "maps", layer=layer)
    values = next(iter(found.arrays.values()))
    livest = np.argsort(-values.std((1, 2)), kind="stable")[: each * each]
    tiles = [drawing.heat_map(values[n]).resize((64, 64), Image.Resampling.NEAREST) for n in sorted(livest)]
    made = Image.new("RGB", (each * 66 - 2, each * 66 - 2), drawing.PAPER)
    for n, tile in enumerate(tiles):
        made.paste(tile, (n % each * 66, n // each * 66))
    return made


def heat(run: hubel.Run, x: np.ndarray) -> Image.Image:
    """Grad-CAM over the picture."""
    (found,) = hubel.explain(run, x, "grad-cam")
    values = next(a for a in found.arrays.values() if a.shape[-2:] == x.shape[-2:]).reshape(x.shape[-2:])
    return large(drawing.overlaid(drawing.picture(x), values))


def main(path: str, place: int) -> None:
    run = hubel.load(path)
    test = run.dataset().test
    x = test.inputs[place].astype(np.float32) / 255
    label = run.classes[test.targets[place]]
    (told,) = run.predict(test.inputs[place])
    (made,) = changed(run, [Item("it", x, label)], Attack("pgd", 0.3))
    second = run.classes[int(made.at_flip.argmax())]
    (target,) = classes_of(run, [label])
    first = next(row.name for row in run.layers() if row.type == "ReLU")
    tiles = [
        drawing.Tile(large(drawing.picture(x)), "the picture", f"answered {told.answer}, {told.p:.0%}"),
        drawing.Tile(maps(run, x, first), "what it sees", f"maps of {first}"),
        drawing.Tile(heat(run, x), "why", "Grad-CAM"),
        drawing.Tile(
            large(drawing.picture(made.flipped)),
            "what changes its mind",
            f"answered {second}, at eps {made.flip:.2f}",
        ),
        drawing.Tile(large(drawing.picture(dream(run, target).picture)), "its dream", f"of {label}"),
    ]
    row = drawing.tiled(tiles, gap=18, size=15)
    sheet = Image.new("RGB", (row.width + 40, row.height + 32), drawing.PAPER)
    sheet.paste(row, (20, 16))
    sheet.save(Path(__file__).with_name("questions.png"), optimize=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0)

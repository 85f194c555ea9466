"""Filters: the kernels of the first layer as pictures; for a deeper layer, what excites each of its maps most.

A kernel of the first layer is a small picture itself: what it gives is the sum of kernel times pixels. A deeper kernel
is none, and is shown by the patches of the data that its map answers to, patches.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from torch import Tensor, nn

from hubel.errors import InputError
from hubel.explanation import drawing, patches
from hubel.explanation.drawing import Scale, Tile
from hubel.explanation.finding import Finding, Item, Question
from hubel.explanation.inside import Inside
from hubel.run import Run

KERNELS = 256  # kernels in one picture
PLANES = 12  # input channels of a kernel that are drawn, where they are neither one nor three
COLUMNS, SIDE = 16, 56  # kernels in a row, pixels of one's longer side


@dataclass(frozen=True)
class Kernels:
    """The first layer's weights. values: (O, C, U, V), channels as the run's pictures have them"""

    layer: str
    values: np.ndarray


def explain(run: Run, items: Sequence[Item], question: Question) -> Iterator[Finding]:
    """The kernels of the first layer; with question.layer or question.map the patches that excite a layer's maps."""
    if question.layer is None and question.map is None:
        yield drawn(run, first_kernels(run))
    else:
        yield patches.drawn(Inside(run), items, question)


def first_kernels(run: Run) -> Kernels:
    """Of the first layer that weighs pixels: a convolution, or a dense layer right on the picture.

    Raises InputError where the run does not take pictures, or that layer is another.
    """
    shape = tuple(run.preprocess.shape)
    if len(shape) != 3:
        raise InputError(f"the run takes rows of {shape[0]} numbers, and kernels are shown of pictures")
    name, weight = first_weights(run)
    if weight.dim() == 2 and weight.shape[1] == np.prod(shape):
        weight = weight.reshape(-1, *shape)
    if weight.dim() != 4 or weight.shape[1] != shape[0]:
        raise InputError(
            f"the first layer with weights, {name}, has them of shape {tuple(weight.shape)}: no kernels over the "
            f"picture's {shape[0]} channels. Ask for patches by --layer"
        )
    values = weight.detach().cpu().float().numpy()
    return Kernels(name, values[:, ::-1] if run.model.order == "bgr" else values)


def first_weights(run: Run) -> tuple[str, Tensor]:
    """The first layer with a matrix or kernels, as data meets it."""
    for layer in Inside(run).parts.layers:
        if isinstance(layer.module, nn.Conv2d | nn.Linear):
            return layer.name, layer.module.weight
    raise InputError(
        f"{run.network.name} has no convolution and no dense layer, and so no kernel to show; "
        "name a --layer for patches"
    )


def drawn(run: Run, kernels: Kernels) -> Finding:
    """All kernels in one scale: of three channels in colour, of one from blue over 0 to red."""
    count, channels, height, width = kernels.values.shape
    shown = kernels.values[: KERNELS if channels in (1, 3) else KERNELS // PLANES]
    top = float(np.abs(kernels.values).max())
    of_each = np.abs(shown).max((1, 2, 3))
    key: Image.Image = drawing.scale_bar(Scale(-top, top, drawing.DIVERGING), 260)
    if channels == 3:
        most = drawing.number(top)
        key = drawing.words(
            f"In colour: grey is 0, full colour {most}, no colour −{most}.", 13, drawing.FAINT
        )
    if channels in (1, 3):
        together = drawing.tiled(
            [Tile(_kernel(k, top), f"{n}") for n, k in enumerate(shown)], COLUMNS, size=11
        )
        own = [
            Tile(_kernel(k, t), f"{n}", f"±{drawing.number(t)}")
            for n, (k, t) in enumerate(zip(shown, of_each, strict=True))
        ]
        body = [
            together,
            drawing.words("Each in its own scale", 15, bold=True),
            drawing.tiled(own, COLUMNS, size=11),
        ]
    else:
        body = [_planes(n, k[:PLANES], top) for n, k in enumerate(shown)]
    title = f"Kernels of {kernels.layer}"
    left = f"; the first {len(shown)} are shown" if len(shown) < count else ""
    about = f"{run.network.name}: {count} kernels of {channels}×{height}×{width}, one scale for all{left}"
    head = [drawing.words(title, 18, bold=True), drawing.words(about, 13, drawing.FAINT), key]
    length = np.sqrt(np.square(kernels.values).sum((1, 2, 3)))
    (strong, longest), (weak, shortest) = (
        (int(n), drawing.number(float(length[n]))) for n in (length.argmax(), length.argmin())
    )
    return Finding(
        f"kernels-{kernels.layer}",
        title,
        drawing.framed(drawing.down([*head, *body], 14)),
        f"{count} kernels of {channels}×{height}×{width}; the longest is {strong} (length {longest}), "
        f"the shortest {weak} ({shortest}).",
        {"kernels": count, "largest weight": top, "longest": strong, "shortest": weak},
        {"kernels": kernels.values, "length": length},
    )  # fmt: skip


def _kernel(kernel: np.ndarray, top: float) -> Image.Image:
    """(1, U, V) from blue over 0 to red, (3, U, V) around grey; `top` has the full colour."""
    if len(kernel) == 3:
        return drawing.enlarged(drawing.picture(0.5 + kernel / (2 * top or 1)), SIDE)
    return drawing.enlarged(drawing.heat_map(kernel[0], Scale(-top, top, drawing.DIVERGING)), SIDE)


def _planes(number: int, kernel: np.ndarray, top: float) -> Image.Image:
    """A kernel over many channels, channel by channel."""
    return drawing.tiled(
        [Tile(_kernel(plane[None], top), f"{number}, {c}") for c, plane in enumerate(kernel)], size=11
    )

"""How a drawing is brought to what the data looks like: measured on the data itself.

MNIST's digits were scaled into a box of 20 x 20 pixels and put with their centre of mass in the middle of 28 x 28
(LeCun et al. 1998, section III.A). Other data have other habits, so the box and the middle are measured on the run's
test part; the page scales and moves the ink by them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hubel.data import Preprocess

MEASURED = 1000  # pictures
DARK, LIGHT = 32, 96  # levels of 0..255: what is paper, and what is surely ink


@dataclass(frozen=True)
class Ink:
    """Bright strokes on black, of one channel.

    box: pixels of the longer side of what is drawn   middle: (row, column) of its centre of mass, in pixels from 0
    measured: on how many pictures; 0 where the data is not here, and MNIST's habits are taken
    """

    box: float
    middle: tuple[float, float]
    measured: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def ink_of(preprocess: Preprocess, inputs: np.ndarray | None) -> Ink | None:
    """inputs: (N, C, H, W) uint8 of the run, None where they are not here. None for data that is no ink on black."""
    if preprocess.kind != "picture" or preprocess.shape[0] != 1:
        return None
    _, H, W = preprocess.shape
    if inputs is None or not len(inputs):
        dark = bool(preprocess.mean) and preprocess.mean[0] < 0.4 and (H, W) in ((28, 28), (29, 29), (32, 32))
        return Ink(20.0, ((H - 1) / 2, (W - 1) / 2), 0) if dark else None
    some = np.asarray(inputs[:: max(1, len(inputs) // MEASURED)][:MEASURED])[:, 0]  # (n, H, W)
    edge = np.concatenate([some[:, 0], some[:, -1], some[:, :, 0], some[:, :, -1]], 1)
    on_black = np.median(edge, 1) < DARK
    drawn = (some >= LIGHT).any((1, 2))
    if np.mean(on_black & drawn) < 0.9:
        return None
    some = some[on_black & drawn]
    tall, wide = (_extent(some.max(axis) >= DARK) for axis in (2, 1))
    mass = some.astype(np.float64)
    total = mass.sum((1, 2))
    middle = ((mass.sum(2) @ np.arange(H)) / total, (mass.sum(1) @ np.arange(W)) / total)
    return Ink(
        float(np.median(np.maximum(tall, wide))),
        (float(middle[0].mean()), float(middle[1].mean())),
        len(some),
    )


def _extent(inked: np.ndarray) -> np.ndarray:
    """(n, side) bool -> from the first to the last that is set."""
    side = inked.shape[1]
    return side - inked.argmax(1) - inked[:, ::-1].argmax(1)

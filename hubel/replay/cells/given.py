"""What else a reader needs to work a cell out: its operation's settings, and the numbers it takes of its weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hubel.definitions.tape import Node
from hubel.definitions.windows import Array, grid, row
from hubel.replay.cells.record import Asked, plain, pointed_at

# One number per channel, or per place along the last axes.
HELD = ("mean", "variance", "gamma", "beta", "slope", "a", "b")
ALONG_LAST = ("layer_norm", "rms_norm")


def given(node: Node, index: Sequence[int]) -> dict[str, Any]:
    """By the definition's names: plain settings, and the cell's own number of each array in HELD. index: all of them.

    padded: of an average pooling, what lies around the input before and after along each axis, which may count
    """
    if node.operation is None:
        return {}
    asked, name = Asked.about(node, pointed_at("cell", node, index)), node.operation.__name__
    found: dict[str, Any] = {"index": list(asked.index)}
    for argument, value in asked.given.items():
        if isinstance(value, bool | int | float | str) or value is None:
            found[argument] = value
        elif isinstance(value, np.ndarray) and argument in HELD:
            number = _of_cell(value, asked.index, name)
            if number is not None:
                found[argument] = number
    if name in ("avg_pool2d", "avg_pool1d"):
        found["padded"] = [list(sides) for sides in _padding(asked)]
    if name in ALONG_LAST and found.get("eps") is None:
        found["eps"] = float(np.finfo(np.asarray(asked["x"]).dtype).eps)
    return {argument: plain(value) for argument, value in found.items()}


def _of_cell(value: Array, index: Sequence[int], operation: str) -> float | None:
    if operation in ALONG_LAST:
        return float(value[tuple(index[len(index) - value.ndim :])])
    if value.ndim != 1 or len(index) < 2:
        return None
    return float(value[index[1] if len(value) > 1 else 0])


def _padding(asked: Asked) -> list[tuple[int, int]]:
    x, stride = asked["x"], asked["kernel"] if asked["stride"] is None else asked["stride"]
    around = (asked["kernel"], stride, asked["padding"], 1)
    if x.ndim == 4:
        return list(grid("", x.shape[2:], *around, ceil=asked["ceil"]).padding)
    return list(row("", x.shape[2], *around, ceil=asked["ceil"]).padding)[-1:]

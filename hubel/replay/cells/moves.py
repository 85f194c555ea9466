"""Cells of operations that only move numbers, and the answer for every operation that has no rule of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from hubel.definitions.tape import Node, backward_of
from hubel.definitions.windows import Array
from hubel.replay.cells.record import Asked, Cell, Read, Step

# What they do to an array they do to an array of its cells' numbers, which is how we learn where each cell came from.
MOVES = (
    "reshape", "flatten", "transpose", "flip", "select", "broadcast", "pad",
    "concatenate", "stack", "part", "embedding", "upsample_nearest",
)  # fmt: skip


def origins(node: Node) -> list[Array]:
    """For each input of a move, in the output's shape: the flat place of each cell in that input, -1 if in another.

    An input that is not moved itself, as the word numbers of an embedding, has none: its array is all -1.
    """
    operation, settings = node.operation, dict(node.settings or {})
    assert operation is not None
    if operation.__name__ == "pad" and settings.get("mode", "constant") == "constant":
        settings["fill"] = 0.0  # a place that is no cell's
    values = [None if n is None else n.value for n in node.inputs]
    marked: list[Any] = []
    before, starts = 0, []
    for place, value in enumerate(values):
        starts.append(before)
        if value is None or (operation.__name__ == "embedding" and place == 0):
            marked.append(value)
        elif isinstance(value, tuple):  # `part` takes one of several arrays
            marked.append(tuple(_numbered(v, before) for v in value))
            before += max(v.size for v in value)
        else:
            marked.append(_numbered(np.asarray(value), before))
            before += np.size(value)
    came = np.asarray(operation(*marked, **settings)).astype(np.int64) - 1
    ends = [*starts[1:], before]
    mine = [(came >= low) & (came < high) for low, high in zip(starts, ends, strict=True)]
    return [np.where(of, came - low, -1) for of, low in zip(mine, starts, strict=True)]


def _numbered(value: Array, before: int) -> Array:
    """1, 2, 3 ... in float64, which some of the moves ask for and which is exact up to 2^53."""
    return np.arange(before + 1, before + value.size + 1, dtype=np.float64).reshape(value.shape)


def moved(asked: Asked) -> Cell:
    """The number is one of an input's; `reads` says which."""
    for place, came in enumerate(origins(asked.node)):
        flat = int(came[asked.index])
        if flat >= 0:
            source = asked.node.inputs[place]
            assert source is not None
            several = isinstance(source.value, tuple)
            value = source.value[asked["index"]] if several else np.asarray(source.value)
            at = tuple(int(i) for i in np.unravel_index(flat, value.shape))
            number = float(value[at])
            cells = np.array([(asked["index"], *at) if several else at], int).reshape(1, -1)
            step = Step("y", f"{source.name}[{', '.join(map(str, cells[0].tolist()))}]", number)
            read = Read(asked.argument(place), source.name, cells, np.array([number]))
            return asked.cell(
                number, "y = the same number, from its place in the input", steps=(step,), reads=(read,)
            )
    fill = float(asked["fill"])
    return asked.cell(fill, "y = what the padding is filled with", steps=(Step("y", "padding", fill),))


def by_slopes(asked: Asked) -> Cell:
    """Any operation that has a backward: each number that the cell depends on, and with which slope."""
    node = asked.node
    operation = node.operation
    assert operation is not None
    values = [None if n is None else n.value for n in node.inputs]
    again = operation(*values, **(node.settings or {}))
    several = isinstance(again, tuple)
    computed = float(again[asked.index[0]][asked.index[1:]] if several else np.asarray(again)[asked.index])
    given = backward_of(operation)(_one_hot(node.value, asked.index), *values, **(node.settings or {}))
    reads = []
    for place, (source, slopes) in enumerate(zip(node.inputs, given, strict=False)):
        if source is None or slopes is None or isinstance(slopes, tuple):
            continue
        slopes = np.broadcast_to(slopes, np.shape(source.value))
        cells = np.argwhere(slopes != 0)
        if len(cells):
            reads.append(asked.read(cells, place, slopes[tuple(cells.T)].reshape(len(cells))))
    first = (operation.__doc__ or operation.__name__).strip().split("\n")[0]
    return asked.cell(computed, first, reads=tuple(reads))


def _one_hot(value: Any, index: tuple[int, ...]) -> Any:
    if isinstance(value, tuple):
        zeros = [np.zeros_like(v) for v in value]
        zeros[index[0]][index[1:]] = 1
        return type(value)(*zeros) if hasattr(value, "_fields") else tuple(zeros)
    dy = np.zeros_like(np.asarray(value))
    dy[index] = 1
    return dy

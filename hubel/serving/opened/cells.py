"""One cell of one layer: the window, the weights, the bias, and what it sees; how a page gets the numbers to redo it.

The numbers are those of hubel.replay. Small networks are replayed whole, once per picture. Of large ones only the step
that is asked for is run, on the values that PyTorch gave the layers before it (equal to 1e-4 or so).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hubel.definitions import Node
from hubel.definitions.windows import grid, row
from hubel.errors import InputError
from hubel.replay.cells import Cell, Read, Seen, cell, receptive
from hubel.replay.cells.record import Asked, plain, pointed_at
from hubel.serving.opened.network import Looked, Opened

MOST = 200_000  # numbers that one answer holds


def answered(opened: Opened, looked: Looked, layer: str, index: Sequence[int]) -> dict[str, Any]:
    """index: of the layer's output, without the batch axis; or of its maps where it gives plain numbers: (c, 0, 0).

    Raises UnknownName for the layer, InputError for an index that points at nothing.
    """
    row_ = opened.layer(layer)
    at = tuple(int(i) for i in index)
    if len(at) == 3 and len(row_.output) == 1:
        at = at[:1]
    if len(at) == 3 and len(row_.output) == 2:
        at = at[1:]
    if len(at) != len(row_.output) or not all(0 <= i < n for i, n in zip(at, row_.output, strict=True)):
        raise InputError(
            f"the layer {layer} is {tuple(row_.output)} and has no cell {at}: numbers are counted from 0"
        )
    node = node_of(opened, looked, layer)
    return {
        **arithmetic(node, at, step_of(layer, opened.steps)),
        "layer": layer,
        "sees": sees(opened, looked, layer, node, at),
    }


def arithmetic(node: Node, at: Sequence[int], step: str | None = None) -> dict[str, Any]:
    """What a reader needs to work the cell out: the numbers that go in, and the settings. at: without the batch axis

    step: its name; where the node is another's, the layer only hands on what it was given
    """
    made = cell(node, (0, *at))
    if step is not None and node.name.partition(":")[0] != step:
        return {**told(handed_on(node, made)), "index": list(at), "given": {}}
    return {**told(made), "index": list(at), "given": given(node, (0, *at))}


def node_of(opened: Opened, looked: Looked, layer: str) -> Node:
    """What stands for that layer on a tape."""
    name = step_of(layer, opened.steps)
    if name is None or opened.layer(layer).type == "Parameter":
        raise InputError(f"{layer} is no step that computes: its numbers are weights, as training left them")
    if opened.small:
        return opened.replayed(looked).layers[name]
    known = {
        step: value[None] for row, value in looked.values.items() if (step := step_of(row, opened.steps))
    }
    return opened.program.step(name, looked.x, known)


def step_of(layer: str, steps: Sequence[str]) -> str | None:
    """The step of a layer; one that is several calls inside a module is called as its last."""
    inside = [name for name in steps if name.startswith(f"{layer}.")]
    return layer if layer in steps else next(reversed(inside), None)


def handed_on(node: Node, made: Cell) -> Cell:
    """A layer that does nothing in use: its number is that of the layer before."""
    read = Read("x", node.name, np.array([made.index]), np.array([made.value]))
    return Cell(
        "",
        node.name,
        made.index,
        made.value,
        made.value,
        "y = x",
        inputs=np.array([made.value]),
        reads=(read,),
    )


def told(made: Cell) -> dict[str, Any]:
    """What went in, without the products and the sum: these are the reader's to work out."""
    found = made.to_dict()
    del found["products"], found["sum"]
    reads = [read for read in found.pop("reads") if len(read["values"]) <= MOST]
    if made.window is not None:  # the window says already which cells these are, and `inputs` what they hold
        reads = [{"argument": r["argument"], "node": r["node"]} for r in reads]
    return {**found, "reads": reads}


def given(node: Node, index: Sequence[int]) -> dict[str, Any]:
    """The settings of the operation, and of its weights the numbers that this cell takes."""
    if node.operation is None:
        return {}
    asked = Asked.about(node, pointed_at("cell", node, index))
    found: dict[str, Any] = {}
    for name, value in asked.given.items():
        if isinstance(value, bool | int | float | str) or value is None:
            found[name] = value
        elif isinstance(value, np.ndarray) and name in (
            "mean",
            "variance",
            "gamma",
            "beta",
            "slope",
            "a",
            "b",
        ):
            number = of_cell(value, asked.index, node)
            if number is not None:
                found[name] = number
    if node.operation.__name__ in ("avg_pool2d", "avg_pool1d"):
        found["padded"] = [list(sides) for sides in padding_of(asked)]
    if node.operation.__name__ in ("layer_norm", "rms_norm") and found.get("eps") is None:
        found["eps"] = float(np.finfo(np.asarray(asked["x"]).dtype).eps)
    found["index"] = list(asked.index)
    return {name: plain(value) for name, value in found.items()}


def of_cell(value: np.ndarray, index: Sequence[int], node: Node) -> float | None:
    """One number per channel: that of the cell's; or per place in the last axes."""
    assert node.operation is not None
    if node.operation.__name__ in ("layer_norm", "rms_norm"):
        return float(value[tuple(index[len(index) - value.ndim :])])
    if value.ndim != 1 or len(index) < 2:
        return None
    return float(value[index[1] if len(value) > 1 else 0])


def padding_of(asked: Asked) -> list[tuple[int, int]]:
    """Of an average pooling, before and after along each axis."""
    x, stride = asked["x"], asked["kernel"] if asked["stride"] is None else asked["stride"]
    around = (asked["kernel"], stride, asked["padding"], 1)
    over = (
        grid("", x.shape[2:], *around, ceil=asked["ceil"])
        if x.ndim == 4
        else row("", x.shape[2], *around, ceil=asked["ceil"])
    )
    return list(over.padding)[-(x.ndim - 2) :]


def sees(opened: Opened, looked: Looked, layer: str, node: Node, at: Sequence[int]) -> dict[str, Any]:
    """What the cell looks at: {"input": box or None, "before": [{"layer", "box"}]}; a box is first, last per axis."""
    if opened.small:
        found = opened.replayed(looked)
        way = receptive(node, (0, *at), found.input)
        before = {id(n) for n in node.inputs if n is not None}
        steps = [{"layer": s.node.name, "box": box_of(s)} for s in way.steps if id(s.node) in before]
        return {"input": box_of(way.steps[-1]), "before": steps}
    fields = opened.layer(layer).sees
    shape = looked.x.shape[1:]
    if fields is None or len(shape) != 3 or len(at) != 3:
        return {"input": [[0, n - 1] for n in shape], "before": []}
    box = [[0, shape[0] - 1]]
    for axis, side, i in zip(fields, shape[1:], at[1:], strict=True):
        begin = 0 if axis is None else axis.offset + i * axis.stride
        end = side if axis is None else begin + axis.size
        box.append([max(0, begin), min(side, end) - 1])
    return {"input": box, "before": []}


def box_of(seen: Seen) -> list[list[int]] | None:
    """First and last along each axis; None where only padding is looked at."""
    return [list(ends) for ends in seen.box[1:]] if seen.count else None

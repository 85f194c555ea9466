"""One cell of one layer: the window, the weights, the bias, and what it sees; how a page gets the numbers to redo it.

The numbers are those of hubel.replay. Small networks are replayed whole, once per picture. Of large ones only the step
that is asked for is run, on the values that PyTorch gave the layers before it (equal to 1e-4 or so).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hubel.errors import InputError
from hubel.replay.cells import Cell, Node, Read, Seen, cell, given, receptive
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
        raise InputError(
            f"{layer} is no step that computes: its numbers are weights, as training left them. "
            "Ask about a layer that computes"
        )
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

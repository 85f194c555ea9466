"""The way back from a cell to the input: at every node, which cells the cell looks at.

Windows are walked back node by node over the tape, and where ways meet again their cells are united, so that the answer
is exact on any graph. It is about places: a pooling looks at its whole window, also at the numbers that lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hubel.definitions import adaptive_avg_pool2d_backward, mean_backward
from hubel.definitions.arithmetic import summed_to
from hubel.definitions.errors import DefinitionError
from hubel.definitions.tape import Node, backward_of
from hubel.definitions.windows import Array, Grid, grid, row, sides, two
from hubel.replay.cells.moves import MOVES, origins
from hubel.replay.cells.numbers import ALONE, TWO
from hubel.replay.cells.record import Asked, Index, pointed_at

Mask = Any  # bool in the shape of a value, or a tuple of them where the value is one


@dataclass(frozen=True, eq=False)
class Seen:
    """What a cell looks at in one node on the way.   cells: bool, in the shape of the node's value"""

    node: Node
    cells: Array

    @property
    def box(self) -> tuple[tuple[int, int], ...]:
        """The first and the last along each axis: the smallest box around the cells."""
        return tuple((int(at.min()), int(at.max())) for at in np.nonzero(self.cells))

    @property
    def count(self) -> int:
        return int(self.cells.sum())

    def to_dict(self) -> dict[str, Any]:
        operation = self.node.operation.__name__ if self.node.operation else ""
        return {
            "layer": self.node.name,
            "operation": operation,
            "box": [list(b) for b in self.box],
            "count": self.count,
        }


@dataclass(frozen=True, eq=False)
class Receptive:
    """The way from a cell back to the input. steps: the cell itself first, the input last."""

    index: Index
    steps: tuple[Seen, ...]

    @property
    def box(self) -> tuple[tuple[int, int], ...]:
        """What it can see of the input: (n, n), (first channel, last), (top, bottom), (left, right)."""
        return self.steps[-1].box

    def to_dict(self) -> dict[str, Any]:
        return {
            "index": list(self.index),
            "steps": [s.to_dict() for s in self.steps],
            "box": [list(b) for b in self.box],
        }


def receptive(node: Node, index: Sequence[int], back_to: Node) -> Receptive:
    """Which cells of `back_to`, and of every node on the way, the cell at `index` of `node` looks at.

    Raises DefinitionError where no way leads from the one to the other, ShapeError for an index that points at nothing.
    """
    if isinstance(node.value, tuple):
        raise DefinitionError(f"receptive: {node.name!r} is several arrays; ask about a part of it")
    at = pointed_at("receptive", node, index)
    behind = _made_of(back_to, node)
    if node not in behind:
        raise DefinitionError(f"receptive: {node.name!r} was not made of {back_to.name!r}")
    start = np.zeros(np.shape(node.value), bool)
    start[at] = True
    found: dict[Node, Mask] = {node: start}
    steps = []
    for here in reversed(node.tape.nodes[back_to.number : node.number + 1]):
        if here not in found:
            continue
        if not isinstance(here.value, tuple):
            steps.append(Seen(here, found[here]))
        if here is back_to:
            break
        wanted = [n in behind for n in here.inputs]
        for source, cells in zip(here.inputs, _looked_at(here, found[here], wanted), strict=True):
            if source in behind and cells is not None and source is not None:
                found[source] = _united(found[source], cells) if source in found else cells
    return Receptive(at, tuple(steps))


def _made_of(first: Node, last: Node) -> set[Node]:
    """The nodes from `first` to `last` that were made of `first`, itself included."""
    made = {first}
    for node in first.tape.nodes[first.number + 1 : last.number + 1]:
        if any(n in made for n in node.inputs if n is not None):
            made.add(node)
    return made


def _looked_at(node: Node, cells: Mask, wanted: list[bool]) -> list[Mask | None]:
    """For each input that is wanted, the cells of it that `cells` of the node look at."""
    assert node.operation is not None
    name = node.operation.__name__
    if name in MOVES and not any(n is not None and isinstance(n.value, tuple) for n in node.inputs):
        return [_from(came[cells], n) for came, n in zip(origins(node), node.inputs, strict=True)]
    if name in ALONE or name in TWO or name in ("dropout", "where"):
        return [None if n is None else _before_broadcast(cells, n.value) for n in node.inputs]
    if name in LOOKS and wanted[0] and not any(wanted[1:]):
        return [LOOKS[name](Asked.about(node, ()), cells), *[None] * (len(node.inputs) - 1)]
    return _by_backward(node, cells)


def _from(flat: Array, source: Node | None) -> Array | None:
    if source is None:
        return None
    cells = np.zeros(np.size(source.value), bool)
    cells[flat[flat >= 0]] = True
    return cells.reshape(np.shape(source.value))


def _before_broadcast(cells: Array, like: Array) -> Array:
    return np.asarray(summed_to(cells.astype(np.int64), like) > 0).reshape(np.shape(like))


def _by_backward(node: Node, cells: Mask) -> list[Mask | None]:
    """The support of the operation's own backward at random positive numbers, where no sum cancels by chance.

    Right for every operation whose dependence does not turn on the numbers; maxima and windows have rules above.
    """
    assert node.operation is not None
    draw = np.random.default_rng(0)

    def drawn(value: Any) -> Any:
        if isinstance(value, tuple):
            return _like(value, [drawn(v) for v in value])
        floats = value is not None and np.issubdtype(np.asarray(value).dtype, np.floating)
        return draw.uniform(0.5, 1.5, np.shape(value)) if floats else value

    values = [None if n is None else drawn(n.value) for n in node.inputs]
    several = isinstance(cells, tuple)
    dy = _like(node.value, [c * drawn(1.0 * c) for c in cells]) if several else cells * drawn(1.0 * cells)
    given = backward_of(node.operation)(dy, *values, **(node.settings or {}))
    return [_support(slopes, n) for slopes, n in zip(given, node.inputs, strict=False)]


def _support(slopes: Any, source: Node | None) -> Mask | None:
    if source is None or slopes is None:
        return None
    if isinstance(slopes, tuple):
        return tuple(np.asarray(s) != 0 for s in slopes)
    return np.broadcast_to(slopes, np.shape(source.value)) != 0


def _united(a: Mask, b: Mask) -> Mask:
    return tuple(x | y for x, y in zip(a, b, strict=True)) if isinstance(a, tuple) else a | b


def _like(value: tuple[Any, ...], parts: list[Any]) -> tuple[Any, ...]:
    """A NamedTuple where the value is one."""
    return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)


# ---- windows: where they lie is all that counts, so one channel stands for a group ----


def _convolved(asked: Asked, cells: Array) -> Array:
    x, w = asked["x"], asked["w"]
    over = grid("", x.shape[2:], w.shape[2:], asked["stride"], asked["padding"], asked["dilation"])
    return _over_groups(x, _slid(over, _in_groups(cells, asked["groups"])))


def _convolved_row(asked: Asked, cells: Array) -> Array:
    x, w = asked["x"], asked["w"]
    over = row("", x.shape[2], w.shape[2], asked["stride"], asked["padding"], asked["dilation"])
    return _over_groups(x[:, :, None], _slid(over, _in_groups(cells[:, :, None], asked["groups"])))[:, :, 0]


def _partial(asked: Asked, cells: Array) -> Array:
    x, over = asked["x"], grid("", asked["x"].shape[2:], asked["w"].shape[1:])
    found = np.zeros(x.shape, bool)
    for o, channels in enumerate(asked["table"]):
        found[:, list(channels)] |= _slid(over, cells[:, o : o + 1])
    return found


def _transposed(asked: Asked, cells: Array) -> Array:
    """The other way round: an input cell is looked at where its stamp reaches one of `cells`."""
    x, w = asked["x"], asked["w"]
    stride, dilation = two("", "stride", asked["stride"], 1), two("", "dilation", asked["dilation"], 1)
    under = Grid(cells.shape[2:], w.shape[2:], stride, sides("", asked["padding"]), dilation, x.shape[2:])
    groups = _in_groups(cells, asked["groups"])
    return _over_groups(x, np.asarray(under.windows(under.pad(groups, 0)).any((4, 5))))


def _pooled(asked: Asked, cells: Array) -> Array:
    given = asked.given
    x, kernel = given["x"], given["kernel"]
    stride = kernel if given.get("stride") is None else given["stride"]
    padding, dilation = given.get("padding", 0), given.get("dilation", 1)
    ceil = given.get("ceil", False)
    if x.ndim == 3:
        over = row("", x.shape[2], kernel, stride, padding, dilation, ceil=ceil)
        return _slid(over, cells[:, :, None])[:, :, 0]
    return _slid(grid("", x.shape[2:], kernel, stride, padding, dilation, ceil=ceil), cells)


def _slid(over: Grid, cells: Array) -> Array:
    """(N, M, H', W') -> (N, M, H, W): what the windows of `cells` cover."""
    canvas = np.zeros((*cells.shape[:2], *over.canvas), bool)
    for _, _, seen in over.cells(canvas):
        seen |= cells
    return over.inside(canvas)


def _in_groups(cells: Array, groups: int) -> Array:
    """(N, O, H', W') -> (N, G, H', W'): any map of a group."""
    return np.asarray(cells.reshape(len(cells), groups, -1, *cells.shape[2:]).any(2))


def _over_groups(x: Array, cells: Array) -> Array:
    """(N, G, H, W) -> (N, C, H, W): every channel of a group is looked at alike."""
    return np.repeat(cells, x.shape[1] // cells.shape[1], 1)


def _adaptive(asked: Asked, cells: Array) -> Array:
    return np.asarray(
        adaptive_avg_pool2d_backward(cells.astype(float), asked["x"].astype(float), asked["out"])[0] > 0
    )


def _reduced(asked: Asked, cells: Array) -> Array:
    return np.asarray(mean_backward(cells.astype(float), asked["a"], asked["axes"], asked["keepdims"])[0] > 0)


def _whole_row(asked: Asked, cells: Array) -> Array:
    """(..., O) -> (..., D): one of the outputs looks at all of the inputs."""
    return np.broadcast_to(cells.any(-1, keepdims=True), asked["x"].shape)


def _over_time(asked: Asked, cells: Array) -> Array:
    return np.broadcast_to(cells[:, :, None], asked["x"].shape)


LOOKS: dict[str, Callable[[Asked, Array], Array]] = {
    "conv2d": _convolved,
    "convolve2d": _convolved,
    "conv1d": _convolved_row,
    "convolve1d": _convolved_row,
    "conv_transpose2d": _transposed,
    "partial_conv2d": _partial,
    "max_pool2d": _pooled,
    "max_pool1d": _pooled,
    "avg_pool2d": _pooled,
    "avg_pool1d": _pooled,
    "sum_pool2d": _pooled,
    "subsample": _pooled,
    "adaptive_avg_pool2d": _adaptive,
    "adaptive_max_pool2d": _adaptive,
    "largest": _reduced,
    "linear": _whole_row,
    "rbf": _whole_row,
    "max_over_time": _over_time,
}

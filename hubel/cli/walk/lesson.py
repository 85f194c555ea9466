"""One operation, walked through: its inputs, the size of its output, every cell's working, the output, the way back.

What is computed comes from the definition, on a tape; how each cell came about from hubel.replay.cells.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.text import Text

from hubel import definitions
from hubel.cli import show
from hubel.cli.walk import draw, numbers
from hubel.definitions import Node, Tape
from hubel.definitions.windows import Array
from hubel.errors import InputError
from hubel.replay.cells import Cell, cell
from hubel.replay.cells.record import digits, plain

FIRST = 16  # cells that are shown of a larger output
AROUND = 12  # cells along an axis up to which all of the input is drawn around a window


@dataclass(frozen=True)
class View:
    """How a walk is shown."""

    step: bool = False
    every: bool = False
    at: str | None = None
    json: bool = False
    backward: bool = False
    dy: str | None = None


@dataclass(frozen=True)
class Size:
    """How long the output is along one axis, with the numbers set in."""

    axis: str
    text: str
    value: int


@dataclass(frozen=True)
class Lesson:
    """What is walked through. arrays: by the definition's names; note: a sentence on what is easily mistaken."""

    operation: str
    arrays: Mapping[str, Array | None]
    settings: Mapping[str, Any] = field(default_factory=dict)
    sizes: Sequence[Size] = ()
    note: str = ""
    between: Mapping[str, Array] = field(
        default_factory=dict
    )  # what is computed on the way, shown with the inputs
    after: Callable[[Node], list[str]] | None = None  # lines under the output

    @property
    def name(self) -> str:
        """Of the output: losses are L."""
        return "L" if "t" in self.arrays else "y"

    def made(self) -> Node:
        tape = Tape()
        leaves = [None if a is None else tape.leaf(a, name) for name, a in self.arrays.items()]
        return tape.apply(getattr(definitions, self.operation), *leaves, name=self.name, **self.settings)


def teach(lesson: Lesson, view: View) -> None:
    """Print the walk, or all of its numbers as JSON. Raises InputError where a number of it is not finite."""
    with np.errstate(all="ignore"):  # what comes of it is looked at, and said
        node = lesson.made()
        _finite(node.name, np.asarray(node.value), lesson)
        chosen, left = _chosen(node, view)
        slopes = _slopes(node, view, lesson)
        for name, array in slopes.items():
            _finite(name, array, lesson)
        _show(lesson, view, node, slopes, chosen, left)


def _show(
    lesson: Lesson, view: View, node: Node, slopes: dict[str, Array], chosen: list[tuple[int, ...]], left: int
) -> None:
    if view.json:
        show.as_json(_as_dict(lesson, node, [cell(node, index) for index in chosen], left, slopes))
        return
    if view.step or view.at is not None:
        ends = [cell(node, chosen[0]), cell(node, chosen[-1])]  # between them they see all of the padding
        _open(lesson, ends)
        for count, index in enumerate(chosen, 1):
            if not _step(cell(node, index), node, (count, len(chosen)), ends):
                return
    else:
        cells = [cell(node, index) for index in chosen]
        _open(lesson, cells)
        columns = draw.Columns.of(cells)
        for before, found in zip([None, *cells], cells, strict=False):
            draw.out(*working(found, name_of(found.index, node), columns, before))
    if left:
        one = _place(chosen[-1], node)
        draw.out("", f"… {show.some(left, 'more cell')}. All of them: --all; one of them: --at {one}")
    _close(lesson, node, slopes)


def _finite(name: str, array: Array, lesson: Lesson) -> None:
    """Refuse a result that is not finite, and say where and how it may have come about."""
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        at = tuple(bad[0].tolist())
        typed = at[len(at) - len(_typed(array.shape)) :]
        place = f"[{','.join(map(str, typed))}]" if typed else ""
        noughts = [k for k in ("eps", "k") if lesson.settings.get(k) == 0]
        why = (
            f"with --{noughts[0]} 0 one divides by 0: make it larger"
            if noughts
            else "make the numbers smaller"
        )
        raise InputError(f"{lesson.operation}: {name}{place} is no finite number, but {array[at]:g}; {why}")


def name_of(index: Sequence[int], node: Node) -> str:
    return f"{node.name}[{_place(index, node)}]" if np.ndim(node.value) else node.name


def _place(index: Sequence[int], node: Node) -> str:
    """Without the axes that hold one item, or one map, in front."""
    shape = np.shape(node.value)
    alone = 0
    while alone < min(2, len(shape) - 1) and shape[alone] == 1:
        alone += 1
    return ",".join(map(str, index[alone:]))


def working(found: Cell, label: str, columns: draw.Columns, before: Cell | None = None) -> list[str]:
    """The lines of one cell: the sum of its products, then each step, but for those that the cell before had too."""
    if found.winner is not None and found.inputs is not None and found.inputs.size <= draw.TERMS:
        texts = [digits(v) if np.isfinite(v) else draw.PADDING for v in found.inputs.flat]
        return draw.step_lines(label, [("", f"max({', '.join(texts)})", found.computed)])
    said = before.steps if before is not None else ()
    steps = [(s.what, s.text, s.value) for s in found.steps if s not in said or s is found.steps[-1]]
    if found.products is None:
        return draw.step_lines(label, steps)
    if not steps:
        return draw.sum_lines(found, label, columns)
    lines = draw.sum_lines(found, f"{label}  sum", columns)
    indent = " " * len(label)
    last = [f"{indent}  {what:<3} = {text} = {digits(value)}" for what, text, value in steps]
    return [*lines, *last]


def _chosen(node: Node, view: View) -> tuple[list[tuple[int, ...]], int]:
    """The cells to show, and how many are left out."""
    shape = np.shape(node.value)
    if view.at is not None:
        at = numbers.whole(view.at, "--at", -(10**9), tuple(range(1, len(shape) + 1)))
        typed = len(at)
        at = (0,) * (len(shape) - typed) + at
        if not all(-n <= i < n for i, n in zip(at, shape, strict=True)):
            said = show.shape(shape[len(shape) - typed :])
            raise InputError(f"--at {view.at} is outside of the output, which is {said}")
        return [at], 0
    every = list(np.ndindex(shape))
    kept = every if view.every or view.step else every[:FIRST]
    return kept, len(every) - len(kept)


def _slopes(node: Node, view: View, lesson: Lesson) -> dict[str, Array]:
    """dy and the gradient of each input by name; empty where they were not asked for."""
    if not view.backward and view.dy is None:
        return {}
    y = np.asarray(node.value)
    dy = np.ones(y.shape)
    if view.dy is not None:
        given = numbers.stack(view.dy, "--dy")
        if given.size != y.size or given.shape[-1:] != (y.shape[-1:] or (1,)):
            wanted, got = (show.shape(_typed(shape)) for shape in (y.shape, given.shape))
            raise InputError(f"--dy must be as the output, {wanted or 'one number'}, got {got}")
        dy = given.reshape(y.shape)
    found = node.tape.gradients(node, dy)
    by_name = {n.name: np.asarray(found[n]) for n in node.inputs if n is not None and n in found}
    return {f"d{lesson.name}": dy, **{f"d{name}": by_name[name] for name in lesson.arrays if name in by_name}}


def _typed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without the axes in front that need not be typed, as they hold one item, or one channel."""
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    return shape


def _open(lesson: Lesson, cells: Sequence[Cell]) -> None:
    name = Text(f"{lesson.operation}   ", draw.TITLE)
    first, *rest = draw.paragraph(f"{lesson.operation}   {cells[0].formula}")
    draw.out(name + Text(first[len(name) :]), *rest)
    if lesson.note:
        draw.out(*(Text(line, draw.FAINT) for line in draw.paragraph(lesson.note)))
    usual = inspect.signature(getattr(definitions, lesson.operation)).parameters
    said = [f"{k} {_said(v)}" for k, v in lesson.settings.items() if _said(v) != _said(usual[k].default)]
    if said:
        draw.out(*draw.paragraph(" · ".join(said)))
    draw.out("", *draw.beside(_blocks({**lesson.arrays, **lesson.between})))
    if lesson.sizes:
        longest = max(len(s.axis) for s in lesson.sizes)
        draw.out("", *(f"{s.axis:<{longest}}  {s.text} = {s.value}" for s in lesson.sizes))
    draw.out("")
    if any(c.window is not None and not c.window.inside.all() for c in cells):
        means = "-inf, which never wins" if cells[0].winner is not None else "0"
        draw.out(Text(f"{draw.PADDING} stands for padding: {means}", draw.FAINT))


def _said(value: Any) -> str:
    """A setting as it may be typed; one number where both axes have the same."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        parts = [_said(v) for v in value]
        return parts[0] if len(set(parts)) == 1 else ",".join(parts)
    return digits(value) if isinstance(value, float) else str(value)


def _close(lesson: Lesson, node: Node, slopes: Mapping[str, Array]) -> None:
    if np.ndim(node.value):
        draw.out("", *draw.beside(draw.blocks("y", np.asarray(node.value))))
    if lesson.after is not None:
        draw.out("", *lesson.after(node))
    if slopes:
        draw.out("", *_backward_text(lesson), "")
        draw.out(*draw.beside(_blocks(slopes)))


def _backward_text(lesson: Lesson) -> list[str | Text]:
    """What the pair's backward says of itself, above its numbers."""
    doc = getattr(definitions, f"{lesson.operation}_backward").__doc__ or ""
    said = " ".join(doc.split("\n\n")[0].split())
    return [draw.title("backward"), *draw.paragraph(said)]


def _blocks(arrays: Mapping[str, Array | None]) -> list[draw.Block]:
    return [b for name, a in arrays.items() if a is not None for b in draw.blocks(name, a)]


def _step(found: Cell, node: Node, number: tuple[int, int], ends: Sequence[Cell]) -> bool:
    """One cell with its window marked in the input; False where the reader has had enough. number: which of how many"""
    label, (count, of) = name_of(found.index, node), number
    if of > 1:
        draw.out("", Text(f"cell {count} of {of}   {label}", draw.TITLE))
    if found.window is not None:
        draw.out(*draw.beside(seen(found, node, ends)), "")
    draw.out(*working(found, label, draw.Columns()))
    if count == of or not _interactive():
        return True
    draw.out(Text("Enter: the next cell   q: end", draw.FAINT))
    line = (
        sys.stdin.readline()
    )  # "" is the end of the input, as Ctrl-D gives it; Enter gives a line with nothing on it
    return line != "" and line.strip().lower() not in ("q", "quit")


def _interactive() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def seen(found: Cell, node: Node, ends: Sequence[Cell]) -> list[draw.Block]:
    """The input with the padding that is seen, the window of the cell marked, and the kernel beside it.

    Of a large input the part around the window. ends: the first and the last cell of the walk
    """
    window, source = found.window, node.inputs[0]
    assert window is not None and source is not None
    x = np.asarray(source.value)[window.item]
    x = x[:, None] if x.ndim == 2 else x  # a row is a picture of one row
    along = [(0,), *window.positions][-2:]
    reach = [[p for c in ends if c.window for p in [(0,), *c.window.positions][-2:][axis]] for axis in (0, 1)]
    around = [(-min((*p, 0)), max((*p, n - 1)) - n + 1) for p, n in zip(reach, x.shape[1:], strict=True)]
    padded = np.pad(np.zeros(x.shape[1:], bool), around, constant_values=True)
    marks = np.zeros(padded.shape, bool)
    at = [[i + before for i in p] for p, (before, _) in zip(along, around, strict=True)]
    marks[np.ix_(*at)] = True
    near = tuple(
        slice(None) if n <= AROUND or not p else slice(max(0, p[0] - 2), p[-1] + 3)
        for p, n in zip(at, padded.shape, strict=True)
    )
    part = "" if marks[near].shape == marks.shape else ", around the window"
    blocks = []
    for c, channel in enumerate(window.channels[:4]):
        place = "" if len(x) == 1 else f"[{channel}]"
        values = np.pad(x[channel], around)[near]
        blocks.append(draw.matrix(f"x{place}{part}", values, seen=marks[near], padded=padded[near]))
        if found.weights is not None:
            blocks.append(draw.matrix("w" if len(x) == 1 else f"w[{c}]", found.weights[c]))
    return blocks


def _as_dict(
    lesson: Lesson, node: Node, cells: Sequence[Cell], left: int, slopes: Mapping[str, Array]
) -> dict[str, Any]:
    return {
        "operation": lesson.operation,
        "formula": cells[0].formula,
        "settings": dict(lesson.settings),
        "inputs": {name: plain(a) for name, a in lesson.arrays.items()},
        "sizes": [{"axis": s.axis, "text": s.text, "value": s.value} for s in lesson.sizes],
        "output": plain(np.asarray(node.value)),
        "cells": [c.to_dict() for c in cells],
        "cells_left_out": left,
        **({"backward": {name: plain(a) for name, a in slopes.items()}} if slopes else {}),
    }

"""The answer to "how was this cell computed?": records that a terminal and a page can print as they are.

A cell is one number of a node of the tape. Most are a sum of products, so the record has the numbers that went in,
the factor of each, their products and the bias, in arrays of one shape; what happens besides stands in `steps`.
"""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from hubel.definitions.errors import ShapeError
from hubel.definitions.tape import Node
from hubel.definitions.windows import Array

Index = tuple[int, ...]


@dataclass(frozen=True)
class Window:
    """Where the numbers of a cell lie on the input, along each axis on which a window slides.

    positions: the cells along each such axis, in order; below 0, or `size` and more, they are padding
    taps: which row (column) of the kernel meets each of them
    size: of the input along those axes   channels: of the input, in order   item: which image, n
    """

    positions: tuple[Index, ...]
    taps: tuple[Index, ...]
    size: Index
    channels: Index
    item: int

    @cached_property
    def inside(self) -> Array:
        """(U, V) bool: what lies on the input, and not in its padding."""
        along = [
            (np.array(p, int) >= 0) & (np.array(p, int) < n)
            for p, n in zip(self.positions, self.size, strict=True)
        ]
        return np.logical_and.outer(*along) if len(along) == 2 else along[0]

    def cells(self) -> Array:
        """(K, axes) int: the cells of the input that lie inside, in reading order, as indices of (N, C, H, W)."""
        if not self.inside.any():
            return np.zeros((0, len(self.size) + 2), int)
        grid = np.meshgrid([self.item], self.channels, *self.positions, indexing="ij")
        every = np.stack([axis[0] for axis in grid], -1)  # (C, U, V, axes)
        return every[:, self.inside].reshape(-1, every.shape[-1])

    def to_dict(self) -> dict[str, Any]:
        return {
            "item": self.item, "channels": list(self.channels), "positions": [list(p) for p in self.positions],
            "taps": [list(t) for t in self.taps], "size": list(self.size), "inside": self.inside.tolist(),
        }  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One line of the working: what is computed, with which numbers, what it comes to."""

    what: str
    text: str
    value: float


@dataclass(frozen=True)
class Read:
    """Numbers of one argument that the cell was made of.

    cells: (K, axes) int, where they stand   values: (K,)   slopes: (K,) d cell / d value, where that is what we know
    """

    argument: str
    node: str
    cells: Array
    values: Array
    slopes: Array | None = None

    def to_dict(self) -> dict[str, Any]:
        found = {
            "argument": self.argument,
            "node": self.node,
            "cells": self.cells.tolist(),
            "values": plain(self.values),
        }
        return found if self.slopes is None else {**found, "slopes": plain(self.slopes)}


@dataclass(frozen=True, eq=False)
class Cell:
    """How one number came about.

    value: as it stands in the node   computed: as the working comes to; the two agree but for rounding
    formula: the definition's sum, in its letters
    inputs, weights, products: of one shape, (C, U, V) for windows; in the padding inputs are what padding stands for
    term: how an input and its weight make a product, as "{w}*{x}"
    winner: where in `inputs` the number stands that won a maximum
    steps: what is done besides the sum, in order   reads: which cells of which nodes went in (weights apart)
    """

    operation: str
    layer: str
    index: Index
    value: float
    computed: float
    formula: str
    window: Window | None = None
    inputs: Array | None = None
    weights: Array | None = None
    products: Array | None = None
    term: str = ""
    bias: float | None = None
    winner: Index | None = None
    steps: tuple[Step, ...] = ()
    reads: tuple[Read, ...] = ()

    @property
    def sum(self) -> float | None:
        """Of the products and the bias."""
        return None if self.products is None else float(self.products.sum()) + (self.bias or 0.0)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers for JSON; what is not finite, as the padding of a maximum, is None."""
        return {
            "operation": self.operation, "layer": self.layer, "index": list(self.index),
            "value": plain(self.value), "computed": plain(self.computed), "formula": self.formula,
            "window": self.window and self.window.to_dict(),
            "inputs": plain(self.inputs), "weights": plain(self.weights), "products": plain(self.products),
            "term": self.term, "bias": plain(self.bias), "sum": plain(self.sum),
            "winner": None if self.winner is None else list(self.winner),
            "steps": [{"what": s.what, "text": s.text, "value": plain(s.value)} for s in self.steps],
            "reads": [r.to_dict() for r in self.reads],
        }  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """A node and an index into its value; asked["stride"] is an argument of the operation, by the definition's name."""

    node: Node
    index: Index
    given: dict[str, Any] = field(repr=False)

    @staticmethod
    def about(node: Node, index: Index) -> Asked:
        assert node.operation is not None
        values = (None if n is None else n.value for n in node.inputs)
        bound = inspect.signature(node.operation).bind(*values, **(node.settings or {}))
        bound.apply_defaults()
        return Asked(node, index, dict(bound.arguments))

    def __getitem__(self, name: str) -> Any:
        return self.given[name]

    def array(self, name: str, key: Any = ()) -> Array:
        """What stands at `key`, in float64, so that the working is as exact as its numbers."""
        return np.asarray(np.asarray(self.given[name])[key], np.float64)

    def argument(self, place: int) -> str:
        """The definition's name for the input at `place`; each of concatenate's is one of its "parts"."""
        names = list(self.given)
        starred = isinstance(self.given[names[0]], tuple) and len(self.node.inputs) == len(
            self.given[names[0]]
        )
        return names[0 if starred else place]

    def read(self, cells: Array, place: int = 0, slopes: Array | None = None) -> Read:
        """The numbers of the input at `place` that stand at `cells`, (K, axes)."""
        source = self.node.inputs[place]
        assert source is not None
        values = np.asarray(source.value)[tuple(cells.T)].reshape(len(cells))
        return Read(self.argument(place), source.name, cells, values, slopes)

    def cell(self, computed: float, formula: str, **found: Any) -> Cell:
        value = self.node.value
        first, *rest = self.index if isinstance(value, tuple) else (None, *self.index)
        held = value if first is None else value[first]
        operation = getattr(self.node.operation, "__name__", "")
        return Cell(
            operation, self.node.name, self.index, float(held[tuple(rest)]), float(computed), formula, **found
        )


def pointed_at(asking: str, node: Node, index: Sequence[int]) -> Index:
    """The index with every number from 0 on; ShapeError, whose text begins with `asking`, if it points at nothing."""
    asked = tuple(map(operator.index, index))
    shape = np.shape(node.value)
    if isinstance(node.value, tuple):
        first = asked[0] if asked and 0 <= asked[0] < len(node.value) else 0
        shape = (len(node.value), *node.value[first].shape)
    if len(asked) != len(shape) or not all(-size <= i < size for i, size in zip(asked, shape, strict=True)):
        raise ShapeError(f"{asking}: {node.name!r} is {shape} and has no cell {asked}")
    return tuple(i % size for i, size in zip(asked, shape, strict=True))


def digits(value: float) -> str:
    """A number as a reader wants it: 6 digits, whole numbers whole, no -0."""
    text = f"{value:.6g}"
    return "0" if text == "-0" else text


def bracketed(value: float) -> str:
    """The same after an operator: a negative number in brackets."""
    return f"({digits(value)})" if value < 0 else digits(value)


def plain(value: Any) -> Any:
    """Arrays as lists, numbers as Python's; what is not finite as None."""
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value

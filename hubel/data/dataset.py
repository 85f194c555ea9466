"""A Source seen through a Preprocess: train, val and test, each decoded when it is first asked for.

Shards are not: their parts are streams, of which only what is asked for is in memory.
"""

from __future__ import annotations

import contextlib
from functools import cached_property
from typing import cast

import numpy as np

from hubel.data import resident, split
from hubel.data.preprocess import Preprocess
from hubel.data.records import (
    PARTS,
    Arrays,
    Encoded,
    Kind,
    Problem,
    Source,
    Split,
    Task,
    count,
    listing,
    reasons,
)
from hubel.data.shards import Names, Shards
from hubel.data.streams import Stream
from hubel.errors import DataError, InputError, ShapeError
from hubel.progress import Progress

__all__ = ["PARTS", "Dataset", "Kind", "Problem", "Source", "Split", "Task"]

UNREADABLE_AT_MOST = (
    0.05  # of a part; more means that something is wrong with the place, not with single files
)


class Dataset:
    """What training and evaluation hold in hand.

    val: the share (0 < val < 1) or number of items that become val instead of what the source or the rule
        (split.assign) says; seed: of that rule
    progress: told (done, total) while a part is decoded
    A part that the source does not have is a Split of length 0; an empty train is a DataError.
    """

    def __init__(
        self,
        source: Source,
        preprocess: Preprocess,
        *,
        seed: int = 0,
        val: float | int | None = None,
        progress: Progress | None = None,
    ) -> None:
        if source.kind != preprocess.kind:
            raise InputError(f"{source.name} holds {source.kind}s, but the network takes {preprocess.kind}s")
        self.source, self.preprocess, self.seed, self.progress = source, preprocess, seed, progress
        self._columns = columns(source, preprocess)
        self._val = val
        if val is not None:
            _ = self._parts  # a share that cannot be is told at once
        self._ready: dict[str, Split] = {}
        self._problems = list(source.problems)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{part} {n:,}" for part, n in self.counts().items())
        return f"Dataset({self.name}, {sizes}, {self.preprocess.shape})"

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def kind(self) -> Kind:
        return self.source.kind

    @property
    def task(self) -> Task:
        return self.source.task

    @property
    def classes(self) -> tuple[str, ...]:
        return self.source.classes

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What was skipped so far; grows as parts are decoded."""
        return tuple(self._problems)

    def counts(self) -> dict[str, int]:
        """Items in train, val and test as assigned, without decoding any."""
        return {part: len(self._index(part)) for part in PARTS}

    def class_counts(self) -> dict[str, dict[str, int]]:
        """Items per part and class as assigned, without decoding any."""
        if self.source.shared:
            everywhere = count(np.full(len(self.source), "train"), self.source.targets, self.classes)["train"]
            return dict.fromkeys(PARTS, everywhere)
        return count(self._parts, self.source.targets, self.classes)

    @property
    def train(self) -> Split:
        return self.part("train")

    @property
    def val(self) -> Split:
        return self.part("val")

    @property
    def test(self) -> Split:
        return self.part("test")

    def part(self, name: str) -> Split:
        """train, val or test. Raises DataError when over 5 % of it cannot be read, or train lacks a class."""
        if name not in PARTS:
            raise InputError(f"no part named {name!r}: it is one of {', '.join(PARTS)}")
        if name not in self._ready:
            self._ready[name] = self._open(name)
        return self._ready[name]

    @cached_property
    def _parts(self) -> np.ndarray:
        """(N,) which part each item is in: a hash of each name, so not before it is asked for."""
        source = self.source
        if source.shared:
            return source.parts
        return split.assign(source.parts, source.targets, source.items, seed=self.seed, val=self._val)

    def _index(self, part: str) -> np.ndarray:
        if self.source.shared:
            return np.arange(len(self.source))
        given = self.source.parts == part
        if part == "test" and given.any():
            return np.flatnonzero(given)  # which no rule changes
        return np.flatnonzero(self._parts == part)

    def _open(self, part: str) -> Split:
        source, index = self.source, self._index(part)
        bad: tuple[Problem, ...] = ()
        if isinstance(source.rows, Shards):
            self._check(part, bad, index)
            stream = cast(np.ndarray, Stream(source.rows, index, self.preprocess))
            return Split(stream, source.targets[index], Names(source.rows, index))
        if isinstance(source.rows, Encoded):
            names = [source.items[i] for i in index]
            stored = resident.decode(source.rows, index, names, self.preprocess, self.progress)
            bad = tuple(problem for _, problem in stored.dropped)
            index = np.delete(index, [row for row, _ in stored.dropped])
            inputs = stored.pixels
        else:
            inputs = self._taken(source.rows, index)
        self._check(part, bad, index)
        self._problems += bad
        return Split(inputs, source.targets[index], [source.items[i] for i in index])

    def _taken(self, rows: Arrays, index: np.ndarray) -> np.ndarray:
        inputs = rows.take(index)
        if self.kind == "picture":
            return self.preprocess.pictures(inputs, self.progress)
        return np.ascontiguousarray(inputs[:, self._columns]) if self._columns else inputs

    def some(self, part: str, most: int) -> np.ndarray:
        """The inputs of a few items that can be read, spread over a part, as in Split; the others are not decoded."""
        rows, index = self.source.rows, self._index(part)
        if not isinstance(rows, Encoded):
            return self._taken(rows, index[np.linspace(0, len(index) - 1, min(most, len(index))).astype(int)])
        made = []
        for content in rows.sample(index, most):
            with contextlib.suppress(DataError):
                made.append(self.preprocess.picture(content))
        return np.stack(made) if made else np.empty((0, *self.preprocess.shape), np.uint8)

    def _check(self, part: str, bad: tuple[Problem, ...], kept: np.ndarray) -> None:
        total = len(bad) + len(kept)
        if len(bad) > UNREADABLE_AT_MOST * total:
            raise DataError(
                f"{len(bad)} of the {total} items in the {part} part of {self.name} cannot be read, "
                f"more than {UNREADABLE_AT_MOST:.0%}: {reasons(bad)}. Repair or remove them."
            )
        if part != "train":
            return
        if not total:
            given = ", ".join(sorted(set(self.source.parts.tolist()) - {""}))
            raise DataError(f"{self.name} has no items to train on: it has only {given or 'nothing'}")
        if self.task == "regress":
            return
        present = np.bincount(self.source.targets[kept], minlength=len(self.classes))
        empty = [self.classes[k] for k in np.flatnonzero(present == 0)]
        if empty:
            why = f" {len(bad)} items could not be read: {reasons(bad)}." if bad else ""
            raise DataError(
                f"{self.name} has no item of {listing(empty)} in train.{why} "
                "Add pictures of it to the training part, or take the class out of the others."
            )
        if len(self.classes) < 2:
            raise DataError(f"{self.name} has one class, {self.classes[0]!r}: there is nothing to tell apart")


def columns(source: Source, preprocess: Preprocess) -> list[int]:
    """Where the network's columns stand in the source; [] when they stand as they are. Checks the width."""
    if source.kind != "vector":
        return []
    wanted = preprocess.columns
    if wanted and source.columns and wanted != source.columns:
        missing = [c for c in wanted if c not in source.columns]
        if missing:
            raise DataError(
                f"{source.name} lacks the columns {listing(missing)} that the network takes; it has "
                f"{listing(source.columns)}"
            )
        return [source.columns.index(c) for c in wanted]
    if source.shape != preprocess.shape:
        raise ShapeError(
            f"{source.name} has {source.shape[0]} columns, the network takes {preprocess.shape[0]}"
        )
    return []

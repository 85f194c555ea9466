"""The records of data/: a Source is what a place offers, a Split what is in hand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from hubel.errors import DataError

Kind = Literal["picture", "vector"]
Task = Literal["classify", "regress"]
# Of a picture: the bytes of its file; where that lies, for the decoder to read; or why there is none.
Content = bytes | str | DataError
PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Problem:
    """An item that could not be used, and why."""

    item: str
    reason: str


@dataclass(frozen=True)
class Split:
    """One part of a data set, in hand.

    inputs:  (N, C, H, W) uint8 pictures, or (N, D) float32 numbers; possibly memory-mapped, read-only. Of shards a
        Stream (streams.py), which stands for such pictures and decodes those that np.asarray is asked of
    targets: (N,) int64 class indices, or (N, T) float32 when the task is regress
    items:   a name per row: the path inside the source, or "test/00017"
    """

    inputs: np.ndarray
    targets: np.ndarray
    items: Sequence[str]

    def __len__(self) -> int:
        return len(self.items)


class Encoded(ABC):
    """Pictures that must be decoded: files of a folder, members of an archive, in the Source's order.

    forward: whether they can only be read from front to back, so that a single one costs the whole way to it
    """

    forward = False

    @abstractmethod
    def stream(self, index: np.ndarray) -> Iterator[tuple[int, Content]]:
        """Yield (k, content) for every k in range(len(index)), in the order that is cheapest to read.

        A DataError stands for an item that cannot be reached.
        """

    @abstractmethod
    def stamps(self, index: np.ndarray) -> Iterable[str]:
        """Lines with names, sizes and times: all that a cache of the pixels depends on."""

    def sample(self, index: np.ndarray, most: int = 256) -> Iterator[bytes | str]:
        """Up to `most` items spread evenly over `index`, to look at their headers; at most 64 MB are read."""
        chosen = index[np.linspace(0, len(index) - 1, min(most, len(index))).astype(int)]
        budget = 64 << 20
        for _, content in self.stream(chosen):
            if isinstance(content, DataError):
                continue
            yield content
            budget -= len(content) if isinstance(content, bytes) else 0
            if budget < 0:
                return


class Arrays(ABC):
    """Pixels or numbers that lie ready: (N, C, H, W) uint8 or (N, D) float32, of the Source's own shape."""

    @abstractmethod
    def take(self, index: np.ndarray) -> np.ndarray:
        """The rows `index`, reading only the files that hold them."""


class Held(Arrays):
    """Rows that are in memory from the start."""

    def __init__(self, rows: np.ndarray) -> None:
        self.rows = rows

    def take(self, index: np.ndarray) -> np.ndarray:
        return self.rows[index]


@dataclass(frozen=True)
class Source:
    """What a place offers, before a picture of it is decoded.

    name:     short, for the names of run folders ("mnist", "signs-64")
    location: what the user said; an absolute path unless it is a known name
    classes:  () when the task is regress
    items:    N unique names, safe to print
    targets:  (N,) int64 class indices, or (N, T) float32 when the task is regress
    parts:    (N,) of "train", "val", "test", or "" where the place says nothing
    shape:    natural (C, H, W), C = 1 only if all looked at are grey; or (D,)
    uniform:  all pictures looked at have exactly that height and width
    shared:   every item is in train, val and test alike (the lectures' toy sets)
    problems: what was skipped when the place was listed
    hints:    settings that this data set is best trained with, for recipes to take or leave
    """

    name: str
    location: str
    kind: Kind
    task: Task
    classes: tuple[str, ...]
    items: Sequence[str]
    targets: np.ndarray
    parts: np.ndarray
    shape: tuple[int, ...]
    rows: Encoded | Arrays = field(repr=False)
    uniform: bool = True
    columns: tuple[str, ...] = ()
    shared: bool = False
    problems: tuple[Problem, ...] = ()
    hints: Mapping[str, object] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.items)

    def counts(self) -> dict[str, dict[str, int]]:
        """Items per part ("" where none is given) and class, parts in the order of PARTS."""
        return count(self.parts, self.targets, self.classes)


def count(parts: np.ndarray, targets: np.ndarray, classes: Sequence[str]) -> dict[str, dict[str, int]]:
    """part -> class -> items. Without classes (regress) the inner key is "all"."""
    found: dict[str, dict[str, int]] = {}
    for part in (*PARTS, ""):
        here = parts == part
        if not here.any():
            continue
        if len(classes):
            numbers = np.bincount(targets[here], minlength=len(classes))
            found[part] = dict(zip(classes, map(int, numbers), strict=True))
        else:
            found[part] = {"all": int(here.sum())}
    return found


def listing(names: Sequence[object], most: int = 5) -> str:
    """'a', 'b', 'c' and 7 more: a few names for a message."""
    shown = ", ".join(repr(n) if isinstance(n, str) else str(n) for n in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def reasons(problems: Sequence[Problem], most: int = 3) -> str:
    """a.png (truncated); b.png (empty) and 7 more: a few problems for a message."""
    shown = "; ".join(f"{p.item} ({p.reason})" for p in problems[:most])
    return shown + (f" and {len(problems) - most} more" if len(problems) > most else "")

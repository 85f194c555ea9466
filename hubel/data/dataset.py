"""The records that data/ hands to the floors above: a Source (what a place offers), a Split (what is in hand)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["picture", "vector"]
Task = Literal["classify", "regress"]
PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Problem:
    """An item that could not be used, and why."""

    item: str
    reason: str


@dataclass(frozen=True)
class Split:
    """One part of a data set, in hand.

    inputs:  (N, C, H, W) uint8 pictures, or (N, D) float32 numbers; possibly memory-mapped, read-only
    targets: (N,) int64 class indices, or (N, T) float32 when the task is regress
    items:   a name per row: the path inside the source, or "test/00017"
    """

    inputs: np.ndarray
    targets: np.ndarray
    items: Sequence[str]

    def __len__(self) -> int:
        return len(self.items)

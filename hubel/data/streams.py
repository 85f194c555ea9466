"""A part of a data set that is too large for the memory: its pictures are decoded when they are asked for."""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from hubel.data.places import mapped
from hubel.data.preprocess import Preprocess
from hubel.data.resident import WORTH_A_THREAD
from hubel.data.shards import Shards
from hubel.errors import DataError

SOME, SOME_BYTES = 10_000, 32 << 20  # pictures, and bytes of theirs, that stand for all in statistics
PIECE = 64  # pictures that a thread decodes at a time
RAW = re.compile(rb"P([56])\n(\d{1,5}) (\d{1,5})\n255\n")


class Stream:
    """Stands where an array (N, C, H, W) uint8 would: it has a shape, is sliced and indexed, and np.asarray decodes it.

    rows, index: which pictures of which shards; preprocess: what is made of each
    A slice, or an array of places, is a Stream again; a single place is a picture (C, H, W).
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, rows: Shards, index: np.ndarray, preprocess: Preprocess) -> None:
        self.rows, self.index, self.preprocess = rows, index, preprocess

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.index), *self.preprocess.shape)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, chosen: Any) -> Any:
        if isinstance(chosen, int | np.integer):
            return self.taken(np.array([chosen]))[0]
        return Stream(self.rows, self.index[chosen], self.preprocess)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        made = self.taken(np.arange(len(self)))
        return made if dtype is None else made.astype(dtype, copy=False)

    def taken(self, places: np.ndarray) -> np.ndarray:
        """(n,) places -> (n, C, H, W) uint8, in that order. DataError names a picture that cannot be read."""
        numbers = self.index[places]
        contents = self.rows.read(numbers)
        raw = alike(contents)
        if raw is not None:
            return self.preprocess.pictures(raw)
        out = mapped(len(contents) * math.prod(self.preprocess.shape)).reshape(-1, *self.preprocess.shape)

        def work(start: int) -> None:
            for k in range(start, min(start + PIECE, len(contents))):
                try:
                    out[k] = self.preprocess.picture(bytes(contents[k]), name="it")
                except DataError as e:
                    said = str(e).removeprefix("it ").removeprefix("it: ")
                    raise DataError(
                        f"{self.rows.name(int(numbers[k]))} {said}. `hubel data pack` leaves out what cannot be read: "
                        "pack these shards anew"
                    ) from None

        starts = range(0, len(contents), PIECE)
        if (os.cpu_count() or 1) > 1 and sum(map(len, contents)) >= WORTH_A_THREAD * len(contents) > 0:
            with ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="decode") as pool:
                list(pool.map(work, starts))
        else:
            for start in starts:
                work(start)
        return out

    def some(self, most: int | None = None) -> np.ndarray:
        """Up to `most` (SOME) pictures spread evenly over all, to take statistics of; all where they are few."""
        size = int(np.prod(self.preprocess.shape))
        count = max(1, min(most or SOME, len(self), SOME_BYTES // size))
        places = np.linspace(0, len(self) - 1, count).astype(int) if len(self) else np.empty(0, int)
        out = np.empty((len(places), *self.preprocess.shape), np.uint8)
        for start in range(0, len(places), PIECE):  # what lies between them may be read along
            out[start : start + PIECE] = self.taken(places[start : start + PIECE])
        return out

    @property
    def digest(self) -> str:
        """Of the shards' indices, which picture stands where, and what is made of it; no pixel is read."""
        which = hashlib.sha256(np.ascontiguousarray(self.index, np.int64).data).hexdigest()
        return f"{self.rows.digest} {which} {self.preprocess.shape} {self.preprocess.resize}"


def alike(contents: Sequence[bytes | memoryview]) -> np.ndarray | None:
    """(N, C, H, W) uint8, read at once, where all are PGM or all PPM of one size as packing.filed writes them."""
    head = RAW.match(contents[0]) if contents else None
    if head is None:
        return None
    C, W, H = {b"5": 1, b"6": 3}[head[1]], int(head[2]), int(head[3])
    size = head.end() + C * H * W
    if W * H == 0 or any(len(c) != size or c[: head.end()] != head[0] for c in contents):
        return None
    rows = mapped(len(contents) * C * H * W).reshape(len(contents), -1)
    for row, content in zip(rows, contents, strict=True):
        row[:] = memoryview(content)[head.end() :]
    return rows.reshape(-1, H, W, C).transpose(0, 3, 1, 2)


def looked_at(inputs: np.ndarray, most: int | None = None) -> np.ndarray:
    """What stands for all of a part in statistics: itself where it is in memory, some of it where it is a stream."""
    stream = streamed(inputs)
    return inputs if stream is None else stream.some(most)


def streamed(inputs: object) -> Stream | None:
    """The stream that a Split has for its inputs; None where they are an array."""
    return inputs if isinstance(inputs, Stream) else None

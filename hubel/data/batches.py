"""The order of the items: a function of (seed, epoch), so that a run resumes exactly and can be asked for any epoch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def order(seed: int, epoch: int, count: int) -> np.ndarray:
    """(count,) int64: the permutation in which epoch `epoch` (from 1) visits the items."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def batches(count: int, size: int, *, seed: int, epoch: int, shuffle: bool = True) -> Iterator[np.ndarray]:
    """Indices of each batch of an epoch. The last one holds what is left: no item is dropped, none counts twice.

    A last batch of one item joins the batch before it: batch norm has no variance over one.
    """
    indices = order(seed, epoch, count) if shuffle else np.arange(count)
    size = size or count
    edges = list(range(0, count, size))
    if size > 1 and len(edges) > 1 and count - edges[-1] == 1:
        edges.pop()
    for start, end in zip(edges, [*edges[1:], count], strict=True):
        yield indices[start:end]


def steps_in(count: int, size: int) -> int:
    """How many batches an epoch has."""
    size = size or count
    full = -(-count // size)
    return full - 1 if size > 1 and full > 1 and count % size == 1 else full

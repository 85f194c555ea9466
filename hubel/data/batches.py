"""The order of the items: a function of (seed, epoch), so that a run resumes exactly and can be asked for any epoch.

In memory it is a permutation of all items. A stream is read in blocks of neighbours, so there blocks are permuted, and
the items of 64 of them among each other: see `mixed`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

WINDOW = 64  # blocks that are mixed with each other


def order(seed: int, epoch: int, count: int) -> np.ndarray:
    """(count,) int64: the permutation in which epoch `epoch` (from 1) visits the items."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def mixed(seed: int, epoch: int, count: int, block: int) -> Iterator[np.ndarray]:
    """A permutation of `count` items in windows, of which one at a time is in memory.

    Items 0..block-1 are block 0, and so on. The blocks come in an order drawn from (seed, epoch); each WINDOW of them
    is drawn from once more, item by item. Two items of a block always come within a window of each other, and that is
    all that is left of the stored order: where the items of a block are as different as any (`hubel data pack` sees to
    it), a batch is as good as drawn from all.
    """
    blocks = -(-count // block)
    line = order(seed, epoch, blocks)
    for n, start in enumerate(range(0, blocks, WINDOW), 1):
        items = (line[start : start + WINDOW, None] * block + np.arange(block)).ravel()
        items = items[items < count]  # the last block has what is left
        yield items[np.random.default_rng([seed, epoch, n]).permutation(len(items))]


def batches(
    count: int, size: int, *, seed: int, epoch: int, shuffle: bool = True, block: int = 0
) -> Iterator[np.ndarray]:  # fmt: skip
    """Indices of each batch of an epoch. The last one holds what is left: no item is dropped, none counts twice.

    A last batch of one item joins the batch before it: batch norm has no variance over one.
    block: 0 for any order, else that of `mixed`
    """
    size = size or count
    if not shuffle:
        windows: Iterator[np.ndarray] = (
            np.arange(start, min(start + size, count)) for start in range(0, count, size)
        )
    elif block:
        windows = mixed(seed, epoch, count, block)
    else:
        windows = iter([order(seed, epoch, count)])
    held, steps = np.empty(0, np.int64), steps_in(count, size)
    for n in range(steps):
        wanted = size if n < steps - 1 else count - n * size
        while len(held) < wanted:
            held = np.concatenate([held, next(windows)])
        yield held[:wanted]
        held = held[wanted:]


def steps_in(count: int, size: int) -> int:
    """How many batches an epoch has."""
    size = size or count
    full = -(-count // size)
    return full - 1 if size > 1 and full > 1 and count % size == 1 else full

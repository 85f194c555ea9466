"""Which item is in train, val and test: a function of the items' names, their classes and the seed alone.

An item's place in line is a hash of (seed, its name), so the order in which a file system or an archive
lists
the items does not matter, and a new item moves few others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from hubel.data.records import PARTS
from hubel.errors import DataError

TEST_SHARE = 0.2  # of all items, where the source gives no test part
VAL_SHARE = 0.125  # of the items outside of test: 10 % of all where test takes 20 %
VAL_SHARE_GIVEN = 0.1  # of train, where the source gives train and test but no val ...
VAL_AT_MOST = 5_000  # ... and no more than that: MNIST 55,000 / 5,000 / 10,000 as in the lectures


def assign(
    parts: np.ndarray, targets: np.ndarray, items: Sequence[str], *, seed: int, val: float | int | None = None
) -> np.ndarray:
    """(N,) of "train", "val", "test" for every item.

    parts: (N,) what the source says, "" where it says nothing.
    val: the share (0 < val < 1) or the number of items outside of test that become val, whatever the source
        says; 0 for none; the last item of a class stays in train. By default the source's own, or a tenth.

    Nothing given, or only train: 70 / 10 / 20 %, stratified; a class of three items or more is in all three.
    train and test given: val is carved out of train. train and val given: both stay, and test is empty:
    what was meant for learning is not quietly taken away. Unmarked items beside marked ones are train.
    """
    given = {part for part in PARTS if (parts == part).any()}
    if val is None and "val" in given and not (parts == "").any():
        return parts  # of a hundred million items a copy is worth sparing
    out = np.where(parts == "", "train", parts)  # (N,)
    untold = given <= {"train"}
    if val is None and "val" in given:
        return out
    groups = targets if targets.ndim == 1 else np.zeros(len(targets), np.int64)  # a regression is one group
    line = lined_up(seed, items, among=out == "train")
    if untold:
        sizes = np.bincount(groups)
        wanted = at_least_one(quota(sizes, round(TEST_SHARE * len(items))), sizes)
        out[first(wanted, groups, line, np.ones(len(items), bool))] = "test"
    if val is not None:
        out[out == "val"] = "train"
    open_to = out == "train"
    sizes = np.bincount(groups[open_to], minlength=1)
    wanted = quota(sizes, val_number(val, int(open_to.sum()), carved=not untold))
    wanted = at_least_one(wanted, sizes) if val is None else np.minimum(wanted, np.maximum(sizes - 1, 0))
    out[first(wanted, groups, line, open_to)] = "val"
    return out


def val_number(val: float | int | None, available: int, *, carved: bool) -> int:
    """How many of `available` items become val."""
    if val is None:
        return (
            min(VAL_AT_MOST, round(VAL_SHARE_GIVEN * available)) if carved else round(VAL_SHARE * available)
        )
    possible = val >= 0 and (val < 1 or val == round(val))  # false for NaN
    number = (round(val * available) if isinstance(val, float) and val < 1 else int(val)) if possible else -1
    if number < 0 or number >= available > 0:
        raise DataError(
            f"val is a share between 0 and 1, or a number of items below the {available} outside of test; "
            f"it is {val}"
        )
    return number


def lined_up(seed: int, items: Sequence[str], among: np.ndarray) -> np.ndarray:
    """(N,) int64: the place of each item in line for a seed, 63 bits of BLAKE2b; 0 outside of `among`, (N,) bool."""
    begun, hashed = f"{seed}/".encode(), hashlib.blake2b
    digests = b"".join(
        [
            hashed(begun + items[i].encode("utf-8", "surrogatepass"), digest_size=8).digest()
            for i in np.flatnonzero(among).tolist()
        ]
    )
    line = np.zeros(len(items), np.int64)
    line[among] = (np.frombuffer(digests, ">u8") >> np.uint64(1)).astype(np.int64)
    return line


def quota(sizes: np.ndarray, total: int) -> np.ndarray:
    """`total` shared in proportion to `sizes`, by largest remainder (ties: the earlier group)."""
    exact = sizes * (total / max(1, sizes.sum()))
    whole = np.floor(exact).astype(np.int64)
    short = min(total, int(sizes.sum())) - int(whole.sum())
    whole[np.argsort(whole - exact, kind="stable")[:short]] += 1
    return np.minimum(whole, sizes)


def at_least_one(wanted: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Of every group at least one item is taken and one is left; a group of one is left alone."""
    return np.clip(wanted, np.minimum(1, sizes // 2), np.maximum(sizes - 1, 0))


def first(wanted: np.ndarray, groups: np.ndarray, line: np.ndarray, open_to: np.ndarray) -> np.ndarray:
    """Indices of the first wanted[g] items in line of each group g, among those `open_to` it."""
    order = np.flatnonzero(open_to)
    order = order[np.lexsort((line[order], groups[order]))]  # by group, then in line
    sizes = np.bincount(groups[order], minlength=len(wanted))
    rank = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)  # within its group
    return order[rank < wanted[groups[order]]]

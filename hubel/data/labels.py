"""From what a place says about its items to classes and targets: class names, whole numbers, real numbers."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hubel.data.pictures import printable
from hubel.data.records import Task, listing
from hubel.errors import DataError


@dataclass(frozen=True)
class Labels:
    """classes: () when the task is regress; targets: (N,) int64 or (N, T) float32, see Source."""

    task: Task
    classes: tuple[str, ...]
    targets: np.ndarray


def class_order(names: Sequence[str]) -> list[str]:
    """Sorted by value if all are whole numbers ("2" before "10"), else as text."""
    try:
        return sorted(names, key=lambda name: (int(name), name))
    except ValueError:
        return sorted(names)


def named(labels: Sequence[str], where: str) -> Labels:
    """One class per distinct text. Names that differ only by case are one class written twice: DataError."""
    distinct = class_order(list(dict.fromkeys(labels)))
    by_folded: dict[str, str] = {}
    for name in distinct:
        folded = unicodedata.normalize("NFC", name).casefold()
        if folded in by_folded:
            raise DataError(
                f"{where}: the classes {printable(by_folded[folded])!r} and {printable(name)!r} differ only "
                "by case. Rename one so that they are one class or clearly two."
            )
        by_folded[folded] = name
    at = {name: i for i, name in enumerate(distinct)}
    targets = np.fromiter((at[name] for name in labels), np.int64, len(labels))
    return Labels("classify", tuple(map(printable, distinct)), targets)


def from_text(values: Sequence[str], task: Task | None, where: str) -> Labels:
    """One label per item as text. Unless `task` says, all numbers and not all whole makes a regression."""
    if task is None:
        task = "regress" if all_real(values) else "classify"
    return named(values, where) if task == "classify" else real([values], where)


def all_real(values: Sequence[str]) -> bool:
    """Every value is a number and at least one is not a whole one ("3" is whole, "3.0" is not)."""
    whole = True
    for value in values:
        try:
            int(value)
        except ValueError:
            try:
                float(value)
            except ValueError:
                return False
            whole = False
    return not whole


def real(columns: Sequence[Sequence[str]], where: str) -> Labels:
    """T columns of N texts -> (N, T) float32 targets."""
    made = []
    for column in columns:
        for value in column:
            try:
                finite = abs(float(value)) < 3.4e38  # what float32 can hold; false for NaN
            except ValueError:
                finite = False
            if not finite:
                raise DataError(
                    f"{where}: to regress, a target must be a number, but one is {printable(value)!r}. "
                    "For classes leave out --task regress."
                )
        made.append(np.array(column, np.float32))
    return Labels("regress", (), np.stack(made, axis=1))


def from_array(values: np.ndarray, task: Task | None, where: str, names: Sequence[str] = ()) -> Labels:
    """(N,), (N, 1) or, for a regression, (N, T).

    Whole numbers, booleans and text are classes, floats are a regression, unless `task` says.
    names: of the classes 0, 1, ...; a label outside of them is an error.
    """
    y = np.asarray(values)
    if task is None:
        task = "regress" if y.dtype.kind == "f" else "classify"
    if task == "regress":
        if y.dtype.kind not in "fiub" or y.ndim not in (1, 2) or 0 in y.shape:
            raise DataError(
                f"{where}: to regress, targets must be numbers (N,) or (N, T), not {y.dtype} {y.shape}. "
                "For classes leave out --task regress."
            )
        y = y.reshape(len(y), -1)
        outside = np.flatnonzero(~(abs(y) < 3.4e38).all(1))  # what float32 can hold; NaN is outside, too
        if len(outside):
            raise DataError(
                f"{where}: to regress, targets must be finite numbers, but those of item {int(outside[0])} are "
                f"{listing(y[outside[0]].tolist())}; {len(outside)} of {len(y)} items are so. Leave them out."
            )
        return Labels("regress", (), y.astype(np.float32))
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    whole = y.dtype.kind == "f" and bool(((y == np.floor(y)) & (abs(y) < 2**53)).all())
    if y.ndim != 1 or (y.dtype.kind not in "iubUS" and not whole):
        raise DataError(
            f"{where}: class labels must be (N,) whole numbers or text, not {y.dtype} {y.shape}. "
            "Real-valued targets need --task regress."
        )
    if y.dtype.kind == "S":
        y = np.char.decode(y, "utf-8", "replace")
    if y.dtype.kind == "U":
        return named(texts(y, where), where)
    if y.dtype.kind == "u" and len(y) and y.max() > np.iinfo(np.int64).max:
        raise DataError(
            f"{where}: the class label {y.max():,} is larger than {np.iinfo(np.int64).max:,}, the largest that there "
            "can be. Number the classes from 0"
        )
    y = y.astype(np.int64)
    if names:
        check_range(y, names, where)
        return Labels("classify", tuple(map(printable, names)), y)
    distinct, targets = np.unique(y, return_inverse=True)
    return Labels("classify", tuple(map(str, distinct.tolist())), targets.astype(np.int64))


def texts(values: np.ndarray, where: str) -> list[str]:
    """Any array as one text per value. Raises DataError for text that is none: letters beyond Unicode's last."""
    try:
        return [str(value) for value in values.reshape(-1).tolist()]
    except (ValueError, SystemError) as e:  # SystemError: how this Python says that a letter is none
        raise DataError(
            f"{where}: a name is no text, it has a letter behind U+10FFFF, the last of Unicode. Save the names "
            "again, or number the classes"
        ) from e


def check_range(y: np.ndarray, names: Sequence[str], where: str) -> None:
    """Every label is in 0..K-1, else DataError naming the first that is not and its position."""
    outside = np.flatnonzero((y < 0) | (y >= len(names)))
    if len(outside):
        raise DataError(
            f"{where}: label {int(y[outside[0]])} of item {int(outside[0])} is outside of "
            f"0..{len(names) - 1} "
            f"({len(names)} classes: {listing(list(names))}); {len(outside)} of {len(y)} labels are."
        )

"""CSV tables: a manifest of pictures (path, label and perhaps split), or numbers, a row per item.

A manifest is known by its column `path` (or file, filename, image); its paths are relative to the CSV, and lead
to nothing outside of its folder or of $HUBEL_DATA: a table may be a stranger's. In a
table of numbers every column is a feature but the target, which is called label, class, target or y (y1, y2
... for several), or is the last one. A column `split` says train, val or test. A first line that is data
already is no header.
"""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hubel.data import labels
from hubel.data.folder import Files, size_and_time
from hubel.data.labels import Labels
from hubel.data.layout import PART_OF, natural
from hubel.data.pictures import looks_like_picture, printable
from hubel.data.records import Held, Problem, Source, Task, listing, reasons
from hubel.errors import DataError

PATHS = ("path", "file", "filename", "image")
TARGETS = ("label", "class", "target", "y")
SPLITS = ("split", "part", "set")
UNREADABLE_AT_MOST = 0.05  # of all rows


@dataclass(frozen=True)
class Table:
    """header: names in lower case; rows: text, all as long as the header; lines: of each row in the file."""

    path: Path
    header: list[str]
    names: list[str]
    rows: list[list[str]]
    lines: list[int]

    def find(self, names: Sequence[str]) -> int | None:
        return next((self.header.index(name) for name in names if name in self.header), None)

    def column(self, at: int) -> list[str]:
        return [row[at] for row in self.rows]


def open_table(path: Path, *, name: str, task: Task | None = None) -> Source:
    """Raises DataError naming the line and the column."""
    table = read_table(path)
    return manifest(table, name, task) if table.find(PATHS) is not None else numbers(table, name, task)


def read_table(path: Path) -> Table:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter(file.readline()))
            file.seek(0)
            listed = [(row, reader.line_num) for row in reader if any(cell.strip() for cell in row)]
    except (UnicodeDecodeError, csv.Error) as e:
        raise DataError(f"{path} cannot be read as a table in UTF-8: {e}") from e
    if not listed:
        raise DataError(f"{path} is empty: a table has a row per item, and perhaps a first line of names")
    first = [cell.strip() for cell in listed[0][0]]
    if not headless(first):
        names, listed = first, listed[1:]
    elif looks_like_picture(first[0]):
        names = ["path", "label", "split"][: len(first)]
    else:
        names = [*(f"x{i + 1}" for i in range(len(first) - 1)), "y"]
    header = [name.lower() for name in names]
    twice = [name for name, n in Counter(header).items() if n > 1]
    if twice:
        raise DataError(f"{path} has two columns called {twice[0]!r}")
    for row, line in listed:
        if len(row) != len(names):
            raise DataError(f"{path}, line {line}: {len(row)} columns, where the first line has {len(names)}")
    if not listed:
        raise DataError(f"{path} has a header and no rows")
    return Table(
        path, header, names, [[c.strip() for c in row] for row, _ in listed], [line for _, line in listed]
    )


def delimiter(line: str) -> str:
    """The one of comma, semicolon and tab that the first line has most of."""
    return max(",;\t", key=line.count)


def headless(first: Sequence[str]) -> bool:
    """The first line is data: a picture's path, or nothing but numbers save the last."""
    return looks_like_picture(first[0]) or (len(first) > 1 and all(is_number(cell) for cell in first[:-1]))


def is_number(cell: str) -> bool:
    """A finite number that float32 can hold."""
    try:
        return abs(float(cell)) < 3.4e38  # false for infinity and NaN
    except ValueError:
        return False


def parts_of(table: Table) -> np.ndarray:
    """(N,) "train", "val", "test" or "" by the column split, if there is one."""
    at = table.find(SPLITS)
    if at is None:
        return np.full(len(table.rows), "", "<U5")
    for cell, line in zip(table.column(at), table.lines, strict=True):
        if cell and cell.lower() not in PART_OF:
            raise DataError(
                f"{table.path}, line {line}: the {table.names[at]} {printable(cell)!r} is none of train, "
                "val, test"
            )
    return np.array([PART_OF.get(cell.lower(), "") for cell in table.column(at)], "<U5")


def target_columns(table: Table, taken: set[int]) -> list[int]:
    """label, class, target or y; y1, y2 ...; else the last column that is not `taken`."""
    at = table.find(TARGETS)
    if at is not None:
        return [at]
    several = [
        i for i, name in enumerate(table.header) if re.fullmatch(r"(y|target)_?\d+", name) and i not in taken
    ]
    free = [i for i in range(len(table.header)) if i not in taken]
    return several or free[-1:]


def read_targets(table: Table, columns: Sequence[int], task: Task | None) -> Labels:
    for at in columns:
        for cell, line in zip(table.column(at), table.lines, strict=True):
            if not cell:
                raise DataError(
                    f"{table.path}, line {line}: the {table.names[at]} is empty: fill it in, or take the line out"
                )
    if len(columns) == 1:
        return labels.from_text(table.column(columns[0]), task, str(table.path))
    if task == "classify":
        raise DataError(
            f"{table.path} has {len(columns)} target columns; to classify, one column `label` is needed"
        )
    return labels.real([table.column(at) for at in columns], str(table.path))


def manifest(table: Table, name: str, task: Task | None) -> Source:
    """Pictures named by a table. The same path twice is one item, unless its labels differ: DataError."""
    at = table.find(PATHS)
    assert at is not None
    split = table.find(SPLITS)
    columns = target_columns(table, {at, *([split] if split is not None else [])})
    if not columns:
        raise DataError(f"{table.path} has paths but no labels: a column `label` is needed")
    first: dict[str, int] = {}
    problems = []
    for n, path in enumerate(table.column(at)):
        before = first.setdefault(path, n)
        if before == n:
            continue
        if [table.rows[n][c] for c in columns] != [table.rows[before][c] for c in columns]:
            raise DataError(
                f"{table.path}: {printable(path)} has two labels, in lines {table.lines[before]} and "
                f"{table.lines[n]}"
            )
        problems.append(
            Problem(printable(path), f"listed twice, in lines {table.lines[before]} and {table.lines[n]}")
        )
    table = only(table, list(first.values()))
    check_inside(table, at)
    marked = read_targets(table, columns, task)
    paths, parts = table.column(at), parts_of(table)
    root = table.path.parent
    rows = Files(
        root, paths, *([*column] for column in zip(*(size_and_time(root / p) for p in paths), strict=True))
    )
    looked_at = np.flatnonzero(parts != "test")
    shape, uniform = natural(rows.sample(looked_at if len(looked_at) else np.arange(len(paths))))
    return Source(
        name, str(table.path), "picture", marked.task, marked.classes, [printable(p) for p in paths],
        marked.targets, parts, shape, rows, uniform, problems=tuple(problems),
    )  # fmt: skip


def check_inside(table: Table, at: int) -> None:
    """Raises DataError where a path leaves the folders that a table may name pictures in."""
    said = os.environ.get("HUBEL_DATA")
    home = os.path.abspath(table.path.parent)  # noqa: PTH100 - as text, links as they are: ten times as fast
    roots = [home, *([os.path.abspath(os.path.expanduser(said))] if said else [])]  # noqa: PTH100, PTH111
    for path, line in zip(table.column(at), table.lines, strict=True):
        if not path:
            raise DataError(
                f"{table.path}, line {line}: the {table.names[at]} is empty: name a picture there, or take the line out"
            )
        place = os.path.normpath(os.path.join(home, path))  # noqa: PTH118 - as above
        if not any(place.startswith(f"{root.rstrip(os.sep)}{os.sep}") for root in roots):
            raise DataError(
                f"{table.path}, line {line}: {printable(path)} lies outside of {home}, the folder of the table, and a "
                "table may lead nowhere else. Put it above its pictures, or let $HUBEL_DATA name a folder around both."
            )


def only(table: Table, chosen: Sequence[int]) -> Table:
    rows, lines = [table.rows[n] for n in chosen], [table.lines[n] for n in chosen]
    return Table(table.path, table.header, table.names, rows, lines)


def numbers(table: Table, name: str, task: Task | None) -> Source:
    """Rows of numbers. A row with a gap is dropped and named; text in a column throughout is an error."""
    split = table.find(SPLITS)
    taken = {split} if split is not None else set()
    columns = target_columns(table, taken)
    taken = {*taken, *columns}
    features = [i for i in range(len(table.header)) if i not in taken]
    if not features:
        raise DataError(
            f"{table.path} has the columns {listing(table.names)}: a table of numbers needs features and "
            "a target, a manifest of pictures needs a column `path`"
        )
    bad: dict[int, Problem] = {}
    for n, row in enumerate(table.rows):
        gap = next((i for i in features if not is_number(row[i])), None)
        if gap is not None:
            cell = f"is {printable(row[gap])!r}, no number" if row[gap] else "is empty"
            bad[n] = Problem(f"line {table.lines[n]}", f"column {printable(table.names[gap])!r} {cell}")
    if len(bad) > UNREADABLE_AT_MOST * len(table.rows):
        raise DataError(
            f"{table.path}: {len(bad)} of {len(table.rows)} rows cannot be used, more than "
            f"{UNREADABLE_AT_MOST:.0%}: "
            f"{reasons(list(bad.values()))}. Features must be numbers."
        )
    table = only(table, [n for n in range(len(table.rows)) if n not in bad])
    marked = read_targets(table, columns, task)
    x = np.array([[row[i] for i in features] for row in table.rows], np.float32)  # (N, D)
    return Source(
        name, str(table.path), "vector", marked.task, marked.classes, [f"line {n}" for n in table.lines],
        marked.targets, parts_of(table), (len(features),), Held(x),
        columns=tuple(printable(table.names[i]) for i in features), problems=tuple(bad.values()),
    )  # fmt: skip

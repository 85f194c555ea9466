"""Parquet files with a column of pictures, as the Hugging Face Hub has them: the files' bytes, and a label beside each.

    image: struct{bytes: binary, path: string}, or binary      label: whole numbers or text

A file is read a row group at a time, from front to back. To learn from more than the memory holds, pack it as shards.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hubel.data import labels, places
from hubel.data.layout import natural
from hubel.data.pictures import printable
from hubel.data.places import Found
from hubel.data.records import Content, Encoded, Source, Task, listing
from hubel.data.shards import part_of
from hubel.errors import DataError, MissingExtra

ENDING = ".parquet"
LABELS = ("label", "labels", "class", "fine_label", "target")  # names of the column, the first that is there


class Parquet(Encoded):
    """Pictures of several files, one file after the other."""

    forward = True

    def __init__(self, files: Sequence[Found], column: str, counts: Sequence[int]) -> None:
        self.files, self.column = files, column
        self.starts = np.cumsum([0, *counts])

    def stream(self, index: np.ndarray) -> Iterator[tuple[int, Content]]:
        order = np.argsort(index, kind="stable")
        wanted = index[order]
        for n, found in enumerate(self.files):
            first = int(self.starts[n])
            if not ((wanted >= first) & (wanted < self.starts[n + 1])).any():
                continue
            with opened(found.place) as file:
                for group in range(file.num_row_groups):
                    last = first + file.metadata.row_group(group).num_rows
                    a, b = np.searchsorted(wanted, [first, last])
                    if a < b:
                        column = file.read_row_group(group, columns=[self.column]).column(0)
                        for k, row in zip(order[a:b].tolist(), (wanted[a:b] - first).tolist(), strict=True):
                            yield k, content(column[row].as_py())
                    first = last

    def stamps(self, index: np.ndarray) -> Iterable[str]:
        for found in self.files:
            yield f"parquet {found.place} {found.size} {found.stamp} {self.column}"
        yield " ".join(map(str, index))

    def sample(self, index: np.ndarray, most: int = 256) -> Iterator[bytes | str]:
        """The first ones: those spread over all would have everything read."""
        return super().sample(index[:most], most)


class opened:  # noqa: N801 - reads as a word in `with opened(place) as file:`
    """A ParquetFile, closed on the way out; what is wrong with it becomes a DataError. MissingExtra without pyarrow."""

    def __init__(self, place: str) -> None:
        self.place, self.naming = place, places.naming(place)

    def __enter__(self) -> Any:
        try:
            import pyarrow.parquet as parquet
        except ImportError:
            raise MissingExtra("pyarrow", "parquet", "reading Parquet files") from None
        with self.naming:
            self.raw = places.opened(self.place)
            try:
                self.file = parquet.ParquetFile(self.raw)
            except BaseException:
                self.raw.close()
                raise
        return self.file

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.file.close()
        self.raw.close()
        self.naming.__exit__(kind, error, trace)


def content(value: Any) -> bytes | DataError:
    """The bytes of one cell. A path alone is not followed: it would lead out of the file."""
    found = value.get("bytes") if isinstance(value, dict) else value
    return found if isinstance(found, bytes) else DataError("has no bytes in the Parquet file")


def are_parquet(folder: str) -> bool:
    return bool(places.listed(folder, ENDING))


def open_parquet(place: str, *, name: str, task: Task | None = None) -> Source:
    """The Source of a file, or of a folder of them, whose names tell the parts (train-00000-of-00002.parquet)."""
    shown = places.shown(place)
    if task == "regress":
        raise DataError(
            f"{shown} holds pictures with classes; there is no regression to learn from Parquet files: leave out "
            "--task regress"
        )
    files = found_files(place)
    values: list[Any] = []
    counts: list[int] = []
    names: list[str] | None = None
    column = ""
    for found in files:
        with opened(found.place) as file:
            column, label = columns_of(file.schema_arrow, places.shown(found.place))
            names = names or class_names(file.schema_arrow, label)
            counts.append(file.metadata.num_rows)
            for batch in file.iter_batches(columns=[label]):
                values += batch.column(0).to_pylist()
    marked = labelled(values, names, shown)
    items = [f"{Path(f.name).stem}/{row:06d}" for f, n in zip(files, counts, strict=True) for row in range(n)]
    parts = np.repeat(np.array([part_of(f.name) for f in files], "<U5"), counts)
    rows = Parquet(files, column, counts)
    looked_at = np.flatnonzero(parts != "test")
    shape, uniform = natural(rows.sample(looked_at if len(looked_at) else np.arange(len(parts))))
    return Source(
        name, shown if places.remote(place) else place, "picture", "classify", marked.classes,
        list(map(printable, items)), marked.targets, parts, shape, rows, uniform,
    )  # fmt: skip


def found_files(place: str) -> list[Found]:
    if not place.lower().endswith(ENDING):
        return places.listed(place, ENDING)
    folder, _, last = place.rpartition("/")
    return [found for found in places.listed(folder, last, deep=0) if found.name == last]


def columns_of(schema: Any, where: str) -> tuple[str, str]:
    """The names of the columns of pictures and of labels."""
    import pyarrow as pa

    def pictures(kind: Any) -> bool:
        if pa.types.is_struct(kind):
            return any(field.name == "bytes" for field in kind)
        return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

    image = [field.name for field in schema if pictures(field.type)]
    label = [name for name in LABELS if name in schema.names]
    if not image or not label:
        lacking = (
            "no column of pictures (binary, or struct with bytes)"
            if not image
            else f"no column {' or '.join(LABELS)}"
        )
        raise DataError(
            f"{where} has {lacking}; its columns: {listing(schema.names, 20)}. Name the columns so"
        )
    return image[0], label[0]


def class_names(schema: Any, label: str) -> list[str] | None:
    """What the numbers of the label column are called, where the Hub's own metadata says it."""
    try:
        told = json.loads(schema.metadata[b"huggingface"])["info"]["features"][label]["names"]
        return list(map(str, told)) or None
    except (TypeError, KeyError, ValueError):
        return None


def labelled(values: list[Any], names: list[str] | None, where: str) -> labels.Labels:
    """Classes by their names where the numbers have any, else as they are. DataError for a row without a label."""
    wrong = [row for row, v in enumerate(values) if isinstance(v, bool) or not isinstance(v, int | str)]
    if wrong:
        raise DataError(
            f"{where}: row {wrong[0]} has the label {values[wrong[0]]!r}; a whole number or a text is a class. "
            "Leave the row out"
        )
    if names is not None and all(isinstance(v, int) and 0 <= v < len(names) for v in values):
        return labels.Labels("classify", tuple(map(printable, names)), np.array(values, np.int64))
    return labels.named(list(map(str, values)), where)

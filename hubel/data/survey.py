"""What a data set holds: sizes, counts, columns, problems; and the known ones, and where they lie."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hubel.data import download, split
from hubel.data.pictures import header, printable, read_picture
from hubel.data.published import MANIFEST
from hubel.data.records import PARTS, Arrays, Content, Encoded, Kind, Problem, Source, Task, count
from hubel.data.resident import Chunk, chunks, in_parallel
from hubel.data.sources import BUILT_IN, PUBLISHED, complete, in_hubel_data
from hubel.errors import DataError
from hubel.progress import Progress

LOOKED_AT = 1000  # headers read to find the sizes; of a large archive fewer, see Encoded.sample
SHOWN = 6  # the most common sizes that are named


@dataclass(frozen=True)
class Known:
    """A data set that has a name. folder: None if it is not here; download: bytes, 0 if it comes along."""

    name: str
    folder: Path | None
    download: int


@dataclass(frozen=True)
class Column:
    """A column of numbers, as it is in the train part."""

    name: str
    low: float
    high: float
    mean: float
    sd: float


@dataclass(frozen=True)
class Survey:
    """drawn: parts that the place itself does not give; they are drawn from the seed.

    counts: part -> class -> items; without classes the inner key is "all"
    sizes: ((height, width), pictures), the most common first; of `looked_at` pictures outside of test
    columns: of numbers; checked: every item of every part was decoded for `problems`
    """

    name: str
    location: str
    kind: Kind
    task: Task
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    items: int
    drawn: tuple[str, ...]
    shared: bool
    counts: dict[str, dict[str, int]]
    sizes: tuple[tuple[tuple[int, int], int], ...]
    looked_at: int
    columns: tuple[Column, ...]
    problems: tuple[Problem, ...]
    checked: bool


def known() -> list[Known]:
    """Every data set that can be said by name, and where it is found; nothing is downloaded."""
    found = [Known(name, None, 0) for name in BUILT_IN]
    for name in PUBLISHED:
        places = (in_hubel_data(name), download.cache_folder(name))
        here = next((p for p in places if p is not None and p.is_dir() and complete(p)), None)
        found.append(Known(name, here, sum(file.size for file in MANIFEST[name])))
    return found


def own_folders() -> list[str]:
    """Folders in $HUBEL_DATA that can be said by their name too."""
    root = os.environ.get("HUBEL_DATA")
    if not root or not (place := Path(root).expanduser()).is_dir():
        return []
    here = (printable(p.name) for p in place.iterdir() if p.is_dir() and not p.name.startswith("."))
    return sorted(name for name in here if name not in PUBLISHED and name not in BUILT_IN)


def survey(source: Source, *, seed: int = 0, check: bool = False, progress: Progress | None = None) -> Survey:
    """Look at a data set. Pixels and numbers of the test part are opened only to `check` them.

    seed: of the split, where the source gives none; progress: of the check
    """
    parts = parts_of(source, seed)
    if source.shared:
        everywhere = count(np.full(len(source), "train"), source.targets, source.classes)["train"]
        counts = dict.fromkeys(PARTS, everywhere)
    else:
        counts = count(parts, source.targets, source.classes)
    train = np.flatnonzero(parts == "train")
    sizes, looked_at = sizes_of(source, train)
    columns: tuple[Column, ...] = ()
    if source.kind == "vector" and isinstance(source.rows, Arrays):
        columns = columns_of(source.columns, source.rows.take(train))
    problems = (*source.problems, *(damaged(source, progress) if check else ()))
    return Survey(
        source.name, source.location, source.kind, source.task, source.shape, source.classes, len(source),
        drawn_parts(source, counts), source.shared, counts, sizes, looked_at, columns, problems, check,
    )  # fmt: skip


def parts_of(source: Source, seed: int = 0) -> np.ndarray:
    """(N,) of train, val, test: as training will have them. A shared source is all train here."""
    if source.shared:
        return np.full(len(source), "train")
    return split.assign(source.parts, source.targets, source.items, seed=seed)


def drawn_parts(source: Source, counts: dict[str, dict[str, int]]) -> tuple[str, ...]:
    """The parts that `split.assign` draws: those not given, and train too where it is given alone."""
    given = set(np.unique(source.parts).tolist()) - {""}
    drawn = tuple(part for part in counts if part not in given)
    return () if source.shared else drawn if given > {"train"} else tuple(counts)


def sizes_of(source: Source, index: np.ndarray) -> tuple[tuple[tuple[tuple[int, int], int], ...], int]:
    """The most common (height, width) with their counts, by the headers, and how many were looked at."""
    if source.kind != "picture" or not len(index):
        return (), 0
    if not isinstance(source.rows, Encoded):
        return (((source.shape[1], source.shape[2]), len(index)),), len(index)
    heads = [head for head in map(header, source.rows.sample(index, LOOKED_AT)) if head]
    return tuple(Counter((h, w) for h, w, _ in heads).most_common(SHOWN)), len(heads)


def columns_of(names: tuple[str, ...], rows: np.ndarray) -> tuple[Column, ...]:
    """rows: (N, D). Columns without a name are called x1, x2, ..."""
    numbers = rows.astype(np.float64)
    named = names or tuple(f"x{d + 1}" for d in range(numbers.shape[1]))
    measured = zip(named, numbers.min(0), numbers.max(0), numbers.mean(0), numbers.std(0), strict=True)
    return tuple(Column(name, *map(float, values)) for name, *values in measured)


def damaged(source: Source, progress: Progress | None = None) -> list[Problem]:
    """Every item that cannot be used, in the order of the source: all of them are decoded."""
    index = np.arange(len(source))
    if isinstance(source.rows, Encoded):
        return undecodable(source, index, progress)
    found: list[Problem] = []
    if source.kind == "vector":
        for start in range(0, len(index), 1 << 16):
            rows = source.rows.take(index[start : start + (1 << 16)])
            odd = np.flatnonzero(~np.isfinite(rows).all(1))
            found += [Problem(source.items[start + int(i)], "a number in it is not finite") for i in odd]
    return found


def undecodable(source: Source, index: np.ndarray, progress: Progress | None) -> list[Problem]:
    """The pictures `index` that cannot be decoded, and why."""
    assert isinstance(source.rows, Encoded)
    enough = max(source.shape[1:])

    def work(chunk: Chunk) -> list[tuple[int, Problem]]:
        reasons = ((k, reason(content, enough)) for k, content in chunk)
        return [(k, Problem(source.items[index[k]], why)) for k, why in reasons if why]

    found: list[tuple[int, Problem]] = []
    for done, more in in_parallel(work, chunks(source.rows.stream(index)), os.cpu_count() or 1):
        found += more
        if progress:
            progress(min(done, len(index)), len(index))
    return [problem for _, problem in sorted(found, key=lambda pair: pair[0])]


def reason(content: Content, enough: int) -> str:
    """Why a picture cannot be used, or ""."""
    if isinstance(content, DataError):
        return printable(str(content))
    try:
        read_picture(content, name="it", enough=enough)
    except DataError as e:
        return printable(str(e).removeprefix("it "))
    return ""

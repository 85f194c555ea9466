"""Shards: pictures in tars of a few hundred MB each, in the manner of WebDataset, read at any place of any of them.

    cat/1.cls   "0"                a sample is the members of one KEY, one after the other: a picture (png, jpg, ppm …),
    cat/1.png   the picture        and KEY.cls with its class, or KEY.json with "label"; other members are passed over

`hubel data pack` writes them (packing.py), with an index beside each that says where every picture begins; for others'
shards that index is made when they are first opened, beside them or in the user's cache. So no picture has to be passed
on the way to another, and nothing but labels is in memory.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, overload

import numpy as np

from hubel.data import labels, limits, places
from hubel.data.layout import PART_OF, natural
from hubel.data.pictures import looks_like_picture, printable
from hubel.data.places import Found
from hubel.data.records import PARTS, Content, Encoded, Problem, Source, Task
from hubel.data.tar import Tape, entries
from hubel.errors import CannotWrite, DataError
from hubel.files import make_folder, write_atomically

MANIFEST, FORMAT = "shards.json", 1
ENDING, INDEX = ".tar", ".index"
MAGIC = b"hubel shard 1\n"
ROW = np.dtype([("at", "<i8"), ("size", "<i4"), ("label", "<i4"), ("name", "<i8")])  # name: where it ends
LABEL_AT_MOST = 1 << 16  # bytes of a .cls or .json that are read
LOOKED_AT = 64  # members of a tar that tell whether it is a shard
AT_ONCE = 8 << 20  # bytes that stream() holds


@dataclass(frozen=True)
class Shard:
    """One tar. labels: the distinct ones in it, as text   rows: (count,) ROW, of each picture   names: of all, as bytes

    digest: of the whole index, which changes with anything in it
    """

    place: str
    part: str
    labels: tuple[str, ...]
    rows: np.ndarray = field(repr=False)
    names: np.ndarray = field(repr=False)
    digest: str
    size: int
    skipped: int = 0

    @property
    def count(self) -> int:
        return len(self.rows)

    def name(self, i: int) -> str:
        start = int(self.rows["name"][i - 1]) if i else 0
        return self.names[start : int(self.rows["name"][i])].tobytes().decode("utf-8", "replace")


class Shards(Encoded):
    """The pictures of several shards, one shard after the other. before: of each name, the shard's own where they might
    repeat."""

    def __init__(self, shards: Sequence[Shard], *, named: bool) -> None:
        self.shards, self.named = list(shards), named
        self.starts = np.cumsum([0, *(shard.count for shard in shards)])  # (shards + 1,)

    @property
    def mean(self) -> float:
        """Bytes of a picture in its tar, headers among them."""
        return sum(shard.size for shard in self.shards) / max(1, int(self.starts[-1]))

    @property
    def digest(self) -> str:
        """Of all that the shards are: names, places, labels."""
        told = hashlib.sha256()
        for shard in self.shards:
            told.update(
                f"{Path(shard.place).name} {shard.part} {shard.digest}\n".encode("utf-8", "surrogateescape")
            )
        return told.hexdigest()

    def name(self, number: int) -> str:
        n = int(np.searchsorted(self.starts, number, side="right")) - 1
        shard = self.shards[n]
        name = printable(shard.name(number - int(self.starts[n])))
        return f"{printable(Path(shard.place).stem)}/{name}" if self.named else name

    def read(self, numbers: np.ndarray) -> list[memoryview]:
        """The files of these pictures, in the order asked for. Neighbours are read together.

        Raises DataError where a shard has gone, or is shorter than its index says.
        """
        found = [memoryview(b"")] * len(numbers)
        order = np.argsort(numbers, kind="stable")
        holder = np.searchsorted(self.starts, numbers[order], side="right") - 1
        edges = np.flatnonzero(np.diff(holder, prepend=-1, append=-1))
        for start, stop in pairwise(edges.tolist()):
            n, ks = int(holder[start]), order[start:stop]
            rows = self.shards[n].rows[numbers[ks] - self.starts[n]]
            at, size = rows["at"].astype(np.int64), rows["size"].astype(np.int64)
            for k, content in zip(ks.tolist(), gathered(self.shards[n], at, size), strict=True):
                found[k] = content
        return found

    def stream(self, index: np.ndarray) -> Iterator[tuple[int, Content]]:
        order = np.argsort(index, kind="stable")
        step = max(1, int(AT_ONCE / max(1.0, self.mean)))
        for start in range(0, len(order), step):
            ks = order[start : start + step]
            yield from zip(ks.tolist(), map(bytes, self.read(index[ks])), strict=True)

    def stamps(self, index: np.ndarray) -> Iterable[str]:
        yield f"shards {self.digest}"
        yield hashlib.sha256(np.asarray(index, np.int64).tobytes()).hexdigest()


def gathered(shard: Shard, at: np.ndarray, size: np.ndarray) -> Iterator[memoryview]:
    """The bytes at each place of a tar, places rising; those that lie close are one read."""
    stop = at + size
    fresh = np.flatnonzero(
        np.diff(at, prepend=-1) > np.concatenate([[0], size[:-1]]) + places.gap(shard.place)
    )
    fresh = np.union1d([0], fresh)
    ends = np.append(fresh[1:], len(at))
    runs = places.ranges(
        shard.place, [(int(at[a]), int(stop[b - 1])) for a, b in zip(fresh, ends, strict=True)]
    )
    for (a, b), content in zip(zip(fresh, ends, strict=True), runs, strict=True):
        base = int(at[a])
        if base + len(content) < int(stop[b - 1]):
            raise DataError(
                f"{places.shown(shard.place)} ends before a picture that its index names: copy the shard again, or "
                f"remove its index ({index_name(shard.place)})"
            )
        for start, end in zip((at[a:b] - base).tolist(), (stop[a:b] - base).tolist(), strict=True):
            yield content[start:end]


class Names(Sequence[str]):
    """The items' names, read from the indices when they are asked for."""

    def __init__(self, rows: Shards, which: np.ndarray | None = None) -> None:
        self.rows, self.which = rows, which

    def __len__(self) -> int:
        return int(self.rows.starts[-1]) if self.which is None else len(self.which)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> Names: ...
    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return Names(self.rows, (np.arange(len(self)) if self.which is None else self.which)[at])
        number = range(len(self))[at]
        return self.rows.name(number if self.which is None else int(self.which[number]))


# ---- opening ----


def are_shards(place: str) -> bool:
    """Whether a folder, an address or a tar is shards: by hubel's manifest, or by what stands in the first tar."""
    if place.lower().endswith(ENDING):
        return looks_like_shard(place)
    if places.exists(beside(place, MANIFEST)):
        return True
    tars = places.listed(place, ENDING)
    return bool(tars) and looks_like_shard(tars[0].place)


def looks_like_shard(place: str) -> bool:
    """A picture and a .cls or a .json of the same KEY among the first members."""
    pictures: set[str] = set()
    marks: set[str] = set()
    with places.naming(place), places.opened(place) as file:
        try:
            for n, entry in enumerate(entries(Tape(file))):
                key, ending = parted(entry.name)
                (
                    pictures
                    if looks_like_picture(f"x.{ending}")
                    else marks
                    if ending in ("cls", "json")
                    else set()
                ).add(key)
                if pictures & marks:
                    return True
                if n >= LOOKED_AT:
                    break
        except DataError:
            return False
    return False


def parted(name: str) -> tuple[str, str]:
    """KEY and ending, at the first dot of the last piece: a/b.seg.png -> a/b, seg.png"""
    folder, slash, last = name.rpartition("/")
    key, _, ending = last.partition(".")
    return folder + slash + key, ending.lower()


def beside(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}" if places.remote(folder) else str(Path(folder) / name)


def open_shards(place: str, *, name: str, task: Task | None = None) -> Source:
    """The Source of a folder, an address or one tar. Raises DataError where something is missing or damaged."""
    if task == "regress":
        raise DataError(
            f"{places.shown(place)} holds pictures with classes; there is no regression to learn from shards: leave "
            "out --task regress"
        )
    single = place.lower().endswith(ENDING)
    manifest = None if single else read_manifest(place)
    tars = found_tars(place, single, manifest)
    made = [opened_shard(one, part) for one, part in tars]
    if not any(shard.count for shard in made):
        raise DataError(
            f"{places.shown(place)} holds no picture with a class: a sample is KEY.png (or .jpg …) and KEY.cls, or "
            'KEY.json with "label"'
        )
    classes, codes = numbered(made, place, manifest)
    rows = Shards(made, named=manifest is None and not single)
    targets = np.concatenate([code[shard.rows["label"]] for shard, code in zip(made, codes, strict=True)])
    parts = np.repeat(np.array([shard.part for shard in made], "<U5"), [shard.count for shard in made])
    looked_at = np.flatnonzero(parts != "test")
    shape, uniform = natural(rows.sample(looked_at if len(looked_at) else np.arange(len(parts))))
    problems = [
        Problem(
            printable(Path(shard.place).name),
            f"{shard.skipped:,} samples without a picture or a class are passed over",
        )
        for shard in made
        if shard.skipped
    ]
    return Source(
        name, places.shown(place) if places.remote(place) else place, "picture", "classify", classes, Names(rows),
        targets, parts, shape, rows, uniform, problems=tuple(problems),
    )  # fmt: skip


def read_manifest(place: str) -> dict[str, Any] | None:
    """What `hubel data pack` says of its shards; None where there is no such file."""
    file = beside(place, MANIFEST)
    if not places.exists(file):
        return None
    try:
        found = json.loads(places.whole(file))
        named = {
            part: [(str(s["name"]), int(s["bytes"])) for s in found["parts"].get(part, [])] for part in PARTS
        }
        return {"format": int(found["format"]), "classes": list(map(str, found["classes"])), "parts": named}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        raise DataError(f"{places.shown(file)} is damaged: {printable(str(e))}. Pack the data again") from e


def found_tars(place: str, single: bool, manifest: dict[str, Any] | None) -> list[tuple[Found, str]]:
    """The tars in order, with the part that each belongs to: as the manifest says, or as their names do."""
    if single:
        folder, _, last = (
            place.rpartition("/") if places.remote(place) else (str(Path(place).parent), "", Path(place).name)
        )
        return [(one, "") for one in places.listed(folder, last, deep=0) if one.name == last]
    tars = places.listed(place, ENDING)
    if manifest is None:
        return [(one, part_of(one.name)) for one in tars]
    if manifest["format"] != FORMAT:
        raise DataError(
            f"{places.shown(place)} was packed in format {manifest['format']}, this version of hubel reads {FORMAT}: "
            "take the version that packed it, or pack the data again"
        )
    here = {one.name: one for one in tars}
    chosen = []
    for part, wanted in manifest["parts"].items():
        for name, size in wanted:
            one = here.get(name)
            if one is None or one.size != size:
                said = "is missing" if one is None else f"has {one.size:,} bytes where {size:,} were written"
                raise DataError(
                    f"{places.shown(beside(place, name))} {said}: copy it again, or pack the data again"
                )
            chosen.append((one, part))
    return chosen


def part_of(name: str) -> str:
    """imagenet-train-000017.tar, val/000003.tar -> train, val; "" where the name says nothing."""
    words = (word.casefold() for word in re.split(r"[^A-Za-z]+", name))
    return next((PART_OF[word] for word in words if word in PART_OF), "")


def numbered(
    shards: Sequence[Shard], place: str, manifest: dict[str, Any] | None
) -> tuple[tuple[str, ...], list[np.ndarray]]:
    """The classes, and for each shard the class of each of its own labels. Ours are numbers, named in the manifest."""
    distinct = list(dict.fromkeys(text for shard in shards for text in shard.labels))
    if manifest is not None:
        classes = tuple(manifest["classes"])
        strange = [text for text in distinct if not text.isdecimal() or int(text) >= len(classes)]
        if strange:
            raise DataError(
                f"{places.shown(place)}: a shard has the class {printable(strange[0])!r}, {MANIFEST} has "
                f"{len(classes)}, from 0 on: pack the data again"
            )
        return classes, [np.array([int(text) for text in shard.labels], np.int64) for shard in shards]
    marked = labels.named(distinct, places.shown(place))
    at = dict(zip(distinct, marked.targets.tolist(), strict=True))
    return marked.classes, [np.array([at[text] for text in shard.labels], np.int64) for shard in shards]


# ---- the index of one shard ----


def index_name(place: str) -> str:
    return f"{place}{INDEX}"


def opened_shard(found: Found, part: str) -> Shard:
    """By its index: the one beside it, one in the user's cache, or one that is made now."""
    beside_it = index_name(found.place)
    for where in (beside_it, str(cached(found))):
        if places.exists(where):
            shard = read_index(where, found)
            if shard is not None:
                return replace(shard, part=part)
    content = indexed(found)
    where = beside_it
    try:
        if places.remote(beside_it):
            raise CannotWrite("an address is not written to")
        write_atomically(Path(where), content)
    except CannotWrite:
        where = str(cached(found))
        try:
            make_folder(Path(where).parent)
            write_atomically(Path(where), content)
        except CannotWrite:  # it is made anew next time
            return replace(unpacked(content, found, None), part=part)
    shard = read_index(where, found)
    assert shard is not None
    return replace(shard, part=part)


def cached(found: Found) -> Path:
    """Where the index of somebody else's shard lies if it cannot lie beside it."""
    import platformdirs

    root = os.environ.get("HUBEL_CACHE") or platformdirs.user_cache_path("hubel", appauthor=False)
    told = f"{found.place}\0{found.size}\0{found.stamp}".encode("utf-8", "surrogateescape")
    return Path(root) / "shards" / f"{hashlib.sha256(told).hexdigest()}{INDEX}"


def read_index(where: str, found: Found) -> Shard | None:
    """None where it is damaged, or of a tar of another size: then it is made anew."""
    try:
        return unpacked(places.whole(where), found, None if places.remote(where) else Path(where))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def packed(rows: np.ndarray, names: bytes, distinct: Sequence[str], size: int, skipped: int = 0) -> bytes:
    """An index as bytes: MAGIC · a line of JSON · rows · names. size: of the tar"""
    body = rows.tobytes() + names
    head = {
        "count": len(rows), "names": len(names), "labels": list(distinct), "bytes": size, "skipped": skipped,
        "sha256": hashlib.sha256(body).hexdigest(),
    }  # fmt: skip
    line = json.dumps(head, sort_keys=True).encode()
    pad = -(len(MAGIC) + len(line) + 1) % ROW.itemsize  # so that the rows begin where they can be mapped
    return MAGIC + line + b" " * pad + b"\n" + body


def unpacked(content: bytes, found: Found, file: Path | None) -> Shard:
    """Raises ValueError, KeyError or TypeError where it is not what packed() gave. file: mapped instead of held"""
    if not content.startswith(MAGIC):
        raise ValueError("no index")
    start = content.index(b"\n", len(MAGIC)) + 1
    head = json.loads(content[len(MAGIC) : start])
    count, length = int(head["count"]), int(head["names"])
    body = content[start:]
    if head["bytes"] != found.size or len(body) != count * ROW.itemsize + length or count < 0:
        raise ValueError("of another tar")
    if hashlib.sha256(body).hexdigest() != head["sha256"]:
        raise ValueError("damaged")
    rows = np.frombuffer(body, ROW, count)
    names = np.frombuffer(body, np.uint8, length, count * ROW.itemsize)
    distinct = tuple(map(str, head["labels"]))
    sane = (rows["at"] >= 0) & (rows["size"] >= 0) & (rows["at"] + rows["size"] <= found.size)
    if not (sane & (rows["label"] >= 0) & (rows["label"] < len(distinct))).all():
        raise ValueError("points outside of its tar")
    if file is not None and count:
        rows = np.memmap(file, ROW, "r", start, (count,))
        names = np.memmap(file, np.uint8, "r", start + count * ROW.itemsize, (length,)) if length else names
    return Shard(
        found.place, "", distinct, rows, names, str(head["sha256"]), found.size, int(head["skipped"])
    )


def indexed(found: Found) -> bytes:
    """The index of a tar that has none: its headers and labels are read from front to back.

    A member takes a block at least, so no more can be found than a file of this size may have.
    """
    made = Indexing()
    with places.naming(found.place), places.opened(found.place) as file:
        tape = Tape(file)
        try:
            for entry in entries(tape):
                if entry.what == "file":
                    key, ending = parted(entry.name)
                    text = tape.read(min(entry.size, LABEL_AT_MOST)) if ending in ("cls", "json") else b""
                    made.take(key, ending, entry.at, entry.size, text)
        except DataError as e:
            raise DataError(f"the shard {places.shown(found.place)} is damaged: {e}. Copy it again") from None
    made.end()
    return packed(np.array(made.rows, ROW), bytes(made.names), list(made.labels), found.size, made.skipped)


class Indexing:
    """Rows of an index, from members that come one after the other; those of one KEY are one sample."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, int, int]] = []
        self.names, self.labels, self.skipped = bytearray(), dict[str, int](), 0
        self.key: str | None = None
        self.picture: tuple[int, int] | None = None
        self.label: str | None = None

    def take(self, key: str, ending: str, at: int, size: int, text: bytes) -> None:
        if key != self.key:
            self.end()
            self.key = key
        if looks_like_picture(f"x.{ending}") and self.picture is None and size <= limits.MEMBER_AT_MOST:
            self.picture = (at, size)
        elif ending == "cls":
            self.label = text.decode("utf-8", "replace").strip() or None
        elif ending == "json" and self.label is None:
            self.label = label_in(text)

    def end(self) -> None:
        """The sample at hand is whole."""
        if self.key is not None and self.picture is not None and self.label is not None:
            self.names += self.key.encode("utf-8", "surrogateescape")
            code = self.labels.setdefault(self.label, len(self.labels))
            self.rows.append((*self.picture, code, len(self.names)))
        elif self.key is not None:
            self.skipped += 1
        self.key = self.picture = self.label = None


def label_in(text: bytes) -> str | None:
    """The "label" of a sample's JSON, a text or a whole number."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    label = found.get("label") if isinstance(found, dict) else None
    return (
        str(label) if isinstance(label, str | int) and not isinstance(label, bool) and label != "" else None
    )

"""Files that lie here or elsewhere, read by ranges: a path, or an address such as s3://bucket/shards.

An address (anything with :// in it) is opened by fsspec, whose own packages know each kind (s3fs, gcsfs, …).
"""

from __future__ import annotations

import contextlib
import mmap
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from hubel.data.pictures import printable
from hubel.errors import DataError, HubelError, InputError

# Bytes between two ranges that are read along rather than asked for anew: a page here, and elsewhere what a network
# gives while it would be asked.
GAP, FAR_GAP = 4 << 10, 64 << 10


@dataclass(frozen=True)
class Found:
    """A file that was listed. name: below the folder, pieces joined by /; size: bytes; stamp: of its last change"""

    name: str
    place: str
    size: int
    stamp: str


def remote(place: str) -> bool:
    return "://" in place


def gap(place: str) -> int:
    return FAR_GAP if remote(place) else GAP


def system(place: str) -> tuple[Any, str]:
    """fsspec's file system for an address, and what that calls the file."""
    import fsspec

    try:
        return fsspec.core.url_to_fs(place)
    except ImportError as e:
        raise InputError(f"{shown(place)} needs a package that is not installed: {e}") from e
    except ValueError as e:
        raise InputError(f"{shown(place)} is no address that can be read: {printable(str(e))}") from e


def listed(folder: str, ending: str, deep: int = 1) -> list[Found]:
    """The files whose names end so, up to `deep` folders below, sorted by name. DataError where it cannot be listed."""
    if not remote(folder):
        return sorted(near(str(Path(folder)), ending, deep), key=lambda one: one.name)
    fs, root_name = system(folder)
    with naming(folder):
        below = fs.find(root_name, maxdepth=deep + 1, detail=True)
    start = root_name.rstrip("/") + "/"
    return sorted(
        (
            Found(name.removeprefix(start), fs.unstrip_protocol(name), int(about["size"]), stamp(about))
            for name, about in below.items()
            if name.endswith(ending)
        ),
        key=lambda one: one.name,
    )


def near(folder: str, ending: str, deep: int, around: str = "") -> Iterator[Found]:
    """Files on this machine, as `listed` has them; folders that may not be read are passed over.

    Only what ends so is asked about: a folder of pictures is looked through for other things, too.
    """
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if (not deep and not name.endswith(ending)) or name.startswith("."):
                continue
            if deep and entry.is_dir():
                yield from near(entry.path, ending, deep - 1, f"{around}{name}/")
            elif name.endswith(ending) and entry.is_file():
                stat = entry.stat()
                yield Found(around + name, entry.path, stat.st_size, str(stat.st_mtime_ns))


def stamp(about: Any) -> str:
    """What changes with a file, as far as its system tells."""
    told = (about.get(key) for key in ("ETag", "etag", "mtime", "LastModified", "last_modified", "created"))
    return next((str(value) for value in told if value is not None), "")


def exists(place: str) -> bool:
    if not remote(place):
        return Path(place).exists()
    fs, name = system(place)
    with naming(place):
        return bool(fs.exists(name))


def whole(place: str) -> bytes:
    """All of a small file."""
    with naming(place):
        if not remote(place):
            return Path(place).read_bytes()
        fs, name = system(place)
        return bytes(fs.cat_file(name))


def opened(place: str) -> IO[bytes]:
    """From front to back, with seeks."""
    with naming(place):
        if not remote(place):
            return Path(place).open("rb")
        fs, name = system(place)
        found: IO[bytes] = fs.open(name, "rb")
        return found


def ranges(place: str, spans: Sequence[tuple[int, int]]) -> list[memoryview]:
    """The bytes [start, stop) of each span, fewer where the file ends; from elsewhere all are asked for at once."""
    with naming(place):
        if remote(place):
            fs, name = system(place)
            starts, stops = [s for s, _ in spans], [e for _, e in spans]
            return [
                memoryview(part)
                for part in fs.cat_ranges([name] * len(spans), starts, stops, on_error="raise")
            ]
        room = memoryview(mapped(sum(stop - start for start, stop in spans)).data)
        found = []
        with Path(place).open("rb", buffering=0) as file:
            for start, stop in spans:
                file.seek(start)
                size = filled(file, room[: stop - start])
                found.append(room[:size])
                room = room[stop - start :]
        return found


def filled(file: IO[bytes], room: memoryview) -> int:
    """Read until there is no room left, or the file ends -> bytes read. One read gives at most 2 GB on Linux."""
    size = 0
    while size < len(room) and (more := file.readinto(room[size:])):  # type: ignore[attr-defined]
        size += more
    return size


def mapped(size: int) -> np.ndarray:
    """(size,) uint8 zeros, outside of the heap, and given back as soon as nobody has them.

    A training keeps what the heap once was (run.reuse_memory). Large pieces that come and go between small ones would
    leave that in shreds, which hold no large piece again: it would grow with every group that is read.
    """
    return np.frombuffer(mmap.mmap(-1, max(1, size)), np.uint8, size)


class naming:  # noqa: N801 - reads as a word in `with naming(place):`
    """Inside, what a file system raises becomes a DataError that names the place."""

    def __init__(self, place: str) -> None:
        self.place = place

    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, HubelError):
            said = printable(getattr(error, "strerror", None) or str(error) or type(error).__name__)
            raise DataError(f"{shown(self.place)} cannot be read: {said}") from error


def shown(place: str) -> str:
    """For messages: without a password, and without what might steer a terminal."""
    return printable(re.sub(r"(://[^:/@]*):[^@/]*@", r"\1:…@", place))

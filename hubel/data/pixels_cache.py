"""Decoded pixels on disk: one memory-mapped file per part of a data set and way of preparing it.

    4096 bytes: "hubel pixels 1\\n" and JSON: shape, CRC-32 of the rest · uint8 pixels · JSON: items dropped

A file appears whole or not at all (written beside, then renamed). One that is damaged is made again; a folder
that cannot be written only costs the time to decode. Above AT_MOST the least recently used files go.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import secrets
import time
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

import numpy as np

from hubel.data.records import Problem

MAGIC = b"hubel pixels 1\n"
HEADER = 4096  # a page, so that the pixels begin on one
AT_MOST = 10 << 30  # bytes of all files together
STALE = 24 * 3600  # seconds after which a file half written is nobody's any more
ENDING, HALF = ".pixels", ".part"


@dataclass(frozen=True)
class Stored:
    """pixels: (N, C, H, W) uint8, read-only; dropped: rows of the index that could not be read, and why."""

    pixels: np.ndarray
    dropped: tuple[tuple[int, Problem], ...]


def folder() -> Path:
    """$HUBEL_CACHE/pixels, or pixels/ in the user's cache."""
    import platformdirs

    root = os.environ.get("HUBEL_CACHE") or platformdirs.user_cache_path("hubel", appauthor=False)
    return Path(root) / "pixels"


def key(lines: Iterable[str]) -> str:
    """Hex SHA-256 of everything that the pixels depend on."""
    digest = hashlib.sha256(MAGIC)
    for line in lines:
        digest.update(line.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


def find(name: str) -> Stored | None:
    """What is stored under key `name`; None if nothing is, or it is damaged (then the file is removed)."""
    path = folder() / f"{name}{ENDING}"
    try:
        stored = read(path)
        os.utime(path)  # used now: among the last to go
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError, RecursionError):
        with contextlib.suppress(OSError):
            path.unlink()
        return None
    return stored


def read(path: Path) -> Stored:
    """Raises ValueError, KeyError, TypeError, ArithmeticError or RecursionError when the file is not whole."""
    if path.exists() and not path.is_file():
        raise ValueError("a folder or a pipe, whose reader would wait")
    with path.open("rb") as file:
        head = file.read(HEADER)
        if not head.startswith(MAGIC):
            raise ValueError("not a file of pixels")
        about = json.loads(head[len(MAGIC) :].rstrip(b"\0"))
        shape = tuple(map(int, about["shape"]))
        size = math.prod(shape)
        if any(n < 0 for n in shape) or HEADER + size > path.stat().st_size:
            raise ValueError(f"pixels of {shape} do not fit into it")
        if checksum(file) != about["crc32"]:
            raise ValueError("its bytes are not those that were written")
        file.seek(HEADER + size)
        dropped = json.loads(file.read())
    pixels = np.memmap(path, np.uint8, "r", HEADER, shape) if size else np.empty(shape, np.uint8)
    return Stored(pixels, tuple((int(row), Problem(str(item), str(reason))) for row, item, reason in dropped))


def checksum(file: BufferedIOBase) -> int:
    """CRC-32 from where `file` stands to its end."""
    crc = 0
    room = memoryview(bytearray(1 << 18))  # the same one again and again: new memory costs more than the sum
    while size := file.readinto(room):
        crc = zlib.crc32(room[:size], crc)
    return crc


class Draft:
    """A file being filled: `pixels` is written to; then keep() makes it found, or drop() removes it."""

    def __init__(self, name: str, shape: tuple[int, ...]) -> None:
        """Raises OSError when the folder cannot be written or the disk has no room."""
        place = folder()
        place.mkdir(parents=True, exist_ok=True)
        self.final = place / f"{name}{ENDING}"
        self.path = place / f"{name}.{os.getpid()}.{secrets.token_hex(4)}{HALF}"
        try:
            with self.path.open("xb") as file:
                file.truncate(HEADER + math.prod(shape))
                # Unless room is reserved, a full disk kills the process at a write to mapped memory.
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, HEADER + math.prod(shape))
            self.pixels: np.ndarray = np.memmap(self.path, np.uint8, "r+", HEADER, shape)
        except OSError:
            self.drop()
            raise

    def keep(self, dropped: Sequence[tuple[int, Problem]]) -> Stored:
        """The rows `dropped` go out, the others close up, and the file is there under its name."""
        shape, bad = self.pixels.shape, {row for row, _ in dropped}
        kept = [row for row in range(shape[0]) if row not in bad]
        for to, row in enumerate(kept):
            if to != row:
                self.pixels[to] = self.pixels[row]
        shape = (len(kept), *shape[1:])
        del self.pixels  # writes the last pages, and lets Windows rename the file
        with self.path.open("r+b") as file:
            file.truncate(HEADER + math.prod(shape))
            file.seek(0, os.SEEK_END)
            file.write(json.dumps([(row, p.item, p.reason) for row, p in dropped]).encode())
            file.seek(HEADER)
            about = {"shape": shape, "crc32": checksum(file)}
            file.seek(0)
            file.write(MAGIC + json.dumps(about).encode())
        self.path.replace(self.final)
        make_room(self.final)
        return read(self.final)

    def drop(self) -> None:
        with contextlib.suppress(OSError):
            self.path.unlink()


def make_room(newest: Path, at_most: int = AT_MOST) -> None:
    """Remove the least recently used until all are within `at_most` bytes, and halves long abandoned."""
    with contextlib.suppress(OSError):
        found = [(path, path.stat()) for path in newest.parent.iterdir()]
        for path, stat in found:
            if path.suffix == HALF and stat.st_mtime < time.time() - STALE:
                path.unlink()
        whole = sorted((f for f in found if f[0].suffix == ENDING), key=lambda f: f[1].st_mtime)
        total = sum(stat.st_size for _, stat in whole)
        for path, stat in whole:
            if total > at_most and path != newest:
                path.unlink()
                total -= stat.st_size

"""Write a data set as shards (shards.py): the parts as training would have them, each in an order drawn from the seed.

Drawn, because a stream is read in blocks of neighbours (batches.py), which should be as different as any two items.
The files of pictures are taken as they are, after each has been decoded once, so that no training meets a damaged one.
Pixels that have no file become PGM or PPM, which everybody reads and which cost nothing to decode; large ones PNG.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from hubel.data import split
from hubel.data.pictures import printable, read_picture
from hubel.data.records import PARTS, Content, Encoded, Problem, Source
from hubel.data.resident import WORTH_A_THREAD, Chunk, chunks, in_parallel
from hubel.data.shards import ENDING, FORMAT, INDEX, MANIFEST, ROW, packed
from hubel.errors import DataError, InputError
from hubel.files import make_folder, must_be_free, write_atomically, writing
from hubel.progress import Progress

SHARD = 256 << 20  # bytes of a tar, about
PIECE = 64 << 20  # bytes of pictures that are in memory to be put in order
RAW_AT_MOST = (
    1 << 14
)  # bytes of pixels that are written raw; with more, packing saves more than decoding costs
ENDINGS = {
    b"\x89PNG": "png",
    b"\xff\xd8\xff": "jpg",
    b"GIF8": "gif",
    b"BM": "bmp",
    b"II*\0": "tif",
    b"MM\0*": "tif",
}
BLOCK = tarfile.BLOCKSIZE


@dataclass(frozen=True)
class Amount:
    """What a part became."""

    pictures: int
    tars: int
    bytes: int


@dataclass(frozen=True)
class Packed:
    """folder: where the shards are; problems: pictures that were left out"""

    folder: Path
    parts: dict[str, Amount]
    problems: tuple[Problem, ...] = field(default=())


def pack(
    source: Source, folder: str | Path, *, shard_size: int = SHARD, seed: int = 0, progress: Progress | None = None
) -> Packed:  # fmt: skip
    """Write `source` into a new folder; it is there whole, or (after a failure) not at all.

    shard_size: bytes of a tar, about   seed: of the parts that the source does not give, and of the order
    Raises InputError where it is not pictures with classes, DataError where too many of them cannot be read.
    """
    if source.kind != "picture" or source.task != "classify":
        raise InputError(
            f"shards hold pictures with classes, but {source.name} holds {source.kind}s to {source.task}"
        )
    if shard_size < BLOCK:
        raise InputError(f"--shard-size is at least {BLOCK} bytes, got {shard_size:,}")
    folder = Path(folder)
    must_be_free(folder)
    fresh = not folder.exists()
    make_folder(folder)
    try:
        return _pack(source, folder, shard_size, seed, progress)
    except BaseException:  # also Ctrl-C: half of them are of no use
        for left in folder.iterdir():
            with contextlib.suppress(OSError):
                left.unlink()
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _pack(source: Source, folder: Path, shard_size: int, seed: int, progress: Progress | None) -> Packed:
    parts = np.full(len(source), "train") if source.shared else _assigned(source, seed)
    keys = Keys()
    manifest: dict[str, list[dict[str, object]]] = {}
    told: dict[str, Amount] = {}
    problems: list[Problem] = []
    done = 0
    for part in PARTS:
        index = np.flatnonzero(parts == part)
        index = index[np.random.default_rng([seed, PARTS.index(part)]).permutation(len(index))]
        out = Tars(folder, part, shard_size)
        with contextlib.closing(out):
            for item, content in contents(source, index, seed):
                done += 1
                if isinstance(content, DataError):
                    problems.append(Problem(source.items[item], printable(str(content))))
                else:
                    out.add(keys.of(source.items[item]), int(source.targets[item]), content)
                if progress:
                    progress(done, len(source))
            out.end()
        if len(problems) > max(0.05 * len(source), 1):
            raise DataError(
                f"{len(problems)} pictures of {source.name} cannot be read, more than 5 %: {problems[0].item} "
                f"({problems[0].reason}) and others. Repair or remove them; `hubel data` with --check names them all"
            )
        manifest[part] = [{"name": name, "bytes": size, "pictures": n} for name, n, size in out.made]
        told[part] = Amount(
            sum(n for _, n, _ in out.made), len(out.made), sum(size for _, _, size in out.made)
        )
    facts = {"format": FORMAT, "name": source.name, "classes": list(source.classes), "parts": manifest}
    write_atomically(folder / MANIFEST, json.dumps(facts, indent=1) + "\n")
    return Packed(folder, told, tuple(problems))


def _assigned(source: Source, seed: int) -> np.ndarray:
    return split.assign(source.parts, source.targets, source.items, seed=seed)


def contents(source: Source, index: np.ndarray, seed: int) -> Iterator[tuple[int, bytes | DataError]]:
    """(item, its file or why there is none) for all of `index`, a piece of PIECE bytes at a time, each in its order."""
    rows = source.rows
    if not isinstance(rows, Encoded):
        step = max(1, PIECE // int(np.prod(source.shape)))
        for start in range(0, len(index), step):
            piece = index[start : start + step]
            yield from zip(piece.tolist(), map(filed, rows.take(piece)), strict=True)
        return
    if rows.forward:
        yield from in_passing(rows, np.sort(index), seed)
        return
    sizes = [
        Path(content).stat().st_size if isinstance(content, str) else len(content)
        for content in rows.sample(index)
    ]
    step = max(64, int(PIECE / max(1.0, float(np.mean(sizes or [1])))))
    threads = os.cpu_count() or 1 if sizes and np.mean(sizes) >= WORTH_A_THREAD else 1
    for start in range(0, len(index), step):
        piece = index[start : start + step]
        found: list[bytes | DataError] = [b""] * len(piece)

        def work(chunk: Chunk, found: list[bytes | DataError] = found) -> list[tuple[int, Problem]]:
            for k, content in chunk:
                found[k] = checked(content)
            return []

        for _ in in_parallel(work, chunks(rows.stream(piece)), threads):
            pass
        yield from zip(piece.tolist(), found, strict=True)


def in_passing(rows: Encoded, index: np.ndarray, seed: int) -> Iterator[tuple[int, bytes | DataError]]:
    """The same where there is one way only, from front to back: what lies within PIECE bytes changes places."""
    held: list[tuple[int, bytes | DataError]] = []
    rng, size = np.random.default_rng([seed, len(index)]), 0
    for k, content in rows.stream(index):
        taken = checked(content)
        held.append((int(index[k]), taken))
        size += len(taken) if isinstance(taken, bytes) else 0
        if size > PIECE:
            yield from (held[n] for n in rng.permutation(len(held)))
            held, size = [], 0
    yield from (held[n] for n in rng.permutation(len(held)))


def checked(content: Content) -> bytes | DataError:
    """The bytes of a picture that can be decoded, or why it cannot."""
    if isinstance(content, DataError):
        return content
    try:
        taken = Path(content).read_bytes() if isinstance(content, str) else content
        read_picture(taken, name="it", enough=256)
    except DataError as e:
        return DataError(str(e).removeprefix("it "))
    except OSError as e:
        return DataError(f"cannot be read: {e.strerror or e}")
    return taken


def filed(pixels: np.ndarray) -> bytes:
    """(C, H, W) uint8, C = 1 or 3 -> a PGM or PPM, or where that is large a PNG."""
    C, H, W = pixels.shape
    if pixels.size <= RAW_AT_MOST:
        return b"P%d\n%d %d\n255\n" % (5 if C == 1 else 6, W, H) + pixels.transpose(1, 2, 0).tobytes()
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels[0] if C == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(out, "PNG")
    return out.getvalue()


def ending_of(content: bytes) -> str:
    """The ending that a picture's bytes ask for, whatever its file was called."""
    if content[:4] == b"RIFF":
        return "webp"
    if content[:1] == b"P":
        return {b"2": "pgm", b"5": "pgm", b"3": "ppm", b"6": "ppm"}.get(content[1:2], "pnm")
    return next((ending for begin, ending in ENDINGS.items() if content.startswith(begin)), "png")


class Keys:
    """A KEY for every item: its name without the ending. In WebDataset it ends at the first dot of its last piece."""

    def __init__(self) -> None:
        self.given: set[str] = set()

    def of(self, item: str) -> str:
        folder, slash, last = item.rpartition("/")
        stem = last.rpartition(".")[0] or last
        key = plain = folder + slash + (stem.replace(".", "_") or "_")
        number = 1
        while key in self.given:  # 1.png and 1.jpg
            number += 1
            key = f"{plain}-{number}"
        self.given.add(key)
        return key


class Tars:
    """The tars of one part, one after the other. made: name, pictures and bytes of those that are whole"""

    def __init__(self, folder: Path, part: str, most: int) -> None:
        self.folder, self.part, self.most = folder, part, most
        self.made: list[tuple[str, int, int]] = []
        self.file: BinaryIO | None = None
        self.path = self.half = folder
        self.rows: list[tuple[int, int, int, int]] = []
        self.names, self.codes = bytearray(), dict[str, int]()

    def add(self, key: str, label: int, content: bytes) -> None:
        """One sample; a new tar is begun where this one is full."""
        with writing(self.path):
            if self.file is None:
                self._begin()
            self._member(f"{key}.cls", str(label).encode())
            at = self._member(f"{key}.{ending_of(content)}", content)
            self.names += key.encode("utf-8", "surrogateescape")
            code = self.codes.setdefault(str(label), len(self.codes))
            self.rows.append((at, len(content), code, len(self.names)))
            assert self.file is not None
            if self.file.tell() >= self.most:
                self.end()

    def end(self) -> None:
        """The tar at hand is whole: on the disk, under its name, with its index."""
        if self.file is None:
            return
        with writing(self.path):
            self.file.write(bytes(2 * BLOCK))
            self.file.write(bytes(-self.file.tell() % tarfile.RECORDSIZE))
            size = self.file.tell()
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()
            self.file = None
            self.half.replace(self.path)
        index = packed(np.array(self.rows, ROW), bytes(self.names), list(self.codes), size)
        write_atomically(self.path.with_name(self.path.name + INDEX), index)
        self.made.append((self.path.name, len(self.rows), size))

    def close(self) -> None:
        """After a failure: the half of a tar goes."""
        if self.file is not None:
            self.file.close()
            self.file = None
            with contextlib.suppress(OSError):
                self.half.unlink()

    def _begin(self) -> None:
        self.path = self.folder / f"{self.part}-{len(self.made):06d}{ENDING}"
        self.half = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        self.file = self.half.open("wb")
        self.rows, self.names, self.codes = [], bytearray(), {}

    def _member(self, name: str, content: bytes) -> int:
        """Header and bytes, with nothing of time or user, so that equal data are equal bytes -> where they begin"""
        assert self.file is not None
        about = tarfile.TarInfo(name)
        about.size = len(content)
        self.file.write(about.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape"))
        at = self.file.tell()
        self.file.write(content)
        self.file.write(bytes(-len(content) % BLOCK))
        return at


def bytes_of(text: str) -> int:
    """ "256MB" -> 268435456; KB, MB, GB or bytes. Raises InputError."""
    units = {"": 0, "B": 0, "K": 10, "KB": 10, "M": 20, "MB": 20, "G": 30, "GB": 30}
    said = text.strip().upper()
    number = said.rstrip("KMGB ")
    unit = said[len(number) :].strip()
    try:
        size = int(float(number) * 2 ** units[unit])
    except (KeyError, ValueError, OverflowError):
        raise InputError(f"--shard-size takes a size as 256MB or 1GB, got {text!r}") from None
    if size < BLOCK:
        raise InputError(f"--shard-size is at least {BLOCK} bytes, got {text!r}")
    return size

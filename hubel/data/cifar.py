"""CIFAR-10's official "python version". Krizhevsky 2009, "Learning Multiple Layers of Features ...".

Five training files and a test file, each a pickled dict: b"data" (10000, 3072) uint8, the red, green and blue
planes of 32×32 row by row, b"labels" 0..9, b"filenames". A pickle can name any function to be called; here
it can name four, and what answers to those names is defined in this file, so nothing is executed; and what it would
build is weighed before (pickles.py).
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from hubel.data import labels, pickles
from hubel.data.archive import broken_named, opened_tar
from hubel.data.pictures import printable
from hubel.data.records import Arrays, Source, Task
from hubel.errors import DataError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FOLDER, ARCHIVE = "cifar-10-batches-py", "cifar-10-python.tar.gz"
FILES = {"train": tuple(f"data_batch_{n}" for n in range(1, 6)), "test": ("test_batch",)}
SHAPE = (3, 32, 32)
AT_MOST = 64 << 20  # bytes of one of the six files; each has 31 MB


def find_cifar(folder: Path) -> Path | None:
    """The official folder or archive in `folder`, or `folder` itself; None if there is none."""
    for candidate in (folder, folder / FOLDER):
        if (candidate / FILES["train"][0]).is_file():
            return candidate
    return folder / ARCHIVE if (folder / ARCHIVE).is_file() else None


def open_cifar(place: Path, *, name: str, location: str, task: Task | None = None) -> Source:
    """place: the folder with the six files, or the archive of it.

    Labels lie in the same files as pixels, so the files are passed through here; no pixel of them is kept.
    """
    values: dict[str, np.ndarray] = {}
    with members(place) as found:
        for file, content in found:
            values[file] = labels_of(load(content, f"{place}/{file}"), f"{place}/{file}")
    missing = [f for files in FILES.values() for f in files if f not in values]
    if missing:
        raise DataError(f"{place} is not whole: {', '.join(missing)} are missing")
    y = {part: np.concatenate([values[file] for file in files]) for part, files in FILES.items()}
    marked = labels.from_array(np.concatenate([*y.values()]), task or "classify", str(place), CLASSES)
    parts = np.repeat([*y], [len(v) for v in y.values()]).astype("<U5")
    items = [f"{part}/{i:05d}" for part, v in y.items() for i in range(len(v))]
    rows = Batches(place, {part: len(v) for part, v in y.items()})
    return Source(
        name, location, "picture", marked.task, marked.classes, items, marked.targets, parts, SHAPE, rows
    )


class Batches(Arrays):
    """The pixels, a part at a time."""

    def __init__(self, place: Path, counts: dict[str, int]) -> None:
        self.place, self.counts = place, counts
        self.opened: dict[str, np.ndarray] = {}

    def take(self, index: np.ndarray) -> np.ndarray:
        of_test = index >= self.counts["train"]
        out = np.empty((len(index), *SHAPE), np.uint8)
        for part, here in (("train", ~of_test), ("test", of_test)):
            if here.any():
                out[here] = self.part(part)[index[here] - (self.counts["train"] if part == "test" else 0)]
        return out

    def part(self, part: str) -> np.ndarray:
        """(N, 3, 32, 32) uint8 of "train" or "test"."""
        if part not in self.opened:
            found = {}
            with members(self.place) as files:
                for file, content in files:
                    if file in FILES[part]:
                        found[file] = pixels_of(load(content, f"{self.place}/{file}"), f"{self.place}/{file}")
            self.opened[part] = np.concatenate([found[file] for file in FILES[part]])
        return self.opened[part]


@contextmanager
def members(place: Path) -> Iterator[Iterator[tuple[str, bytes]]]:
    """(name, content) of those of the six files that `place` has."""
    wanted = {file for files in FILES.values() for file in files}
    with broken_named(place):
        if place.is_dir():
            yield ((f, limited(place / f)) for f in sorted(wanted) if (place / f).is_file())
            return
        with opened_tar(place) as (tape, entries):
            regular = (entry for entry in entries if entry.what == "file" and entry.size <= AT_MOST)
            named = ((entry.name.split("/")[-1], entry.size) for entry in regular)
            yield ((name, tape.read(size)) for name, size in named if name in wanted)


def limited(path: Path) -> bytes:
    if path.stat().st_size > AT_MOST:
        raise DataError(
            f"{path} has {path.stat().st_size:,} bytes; a CIFAR-10 batch has about 31 million. "
            "Download it again"
        )
    return path.read_bytes()


def labels_of(batch: dict[Any, Any], where: str) -> np.ndarray:
    """(N,) int64 from b"labels"."""
    found = batch.get(b"labels")
    if not isinstance(found, list) or not all(type(label) is int for label in found):
        raise DataError(f"{where} is no CIFAR-10 batch: b'labels' is not a list of whole numbers")
    if not all(0 <= label < len(CLASSES) for label in found):
        wrong = next(label for label in found if not 0 <= label < len(CLASSES))
        raise DataError(f"{where}: label {wrong} is outside of 0..{len(CLASSES) - 1}")
    return np.array(found, np.int64)


def pixels_of(batch: dict[Any, Any], where: str) -> np.ndarray:
    """(N, 3, 32, 32) uint8 from b"data"."""
    data, n = batch.get(b"data"), len(labels_of(batch, where))
    if not isinstance(data, Array) or len(data.content) != n * 3072:
        raise DataError(f"{where} is no CIFAR-10 batch: b'data' is not {n} × 3072 bytes")
    planes = np.frombuffer(data.content, np.uint8)
    if data.fortran:  # saved column by column
        planes = planes.reshape(3072, n).T
    return planes.reshape(n, *SHAPE)


# ---- reading a pickle without running it ----


class Array:
    """Stands in for numpy.ndarray: keeps the bytes of one, and makes none."""

    content = b""
    fortran = False

    def __setstate__(self, state: Any) -> None:
        # (version, shape, dtype, is in Fortran order, bytes), as numpy.ndarray.__reduce__ gives it
        if (
            isinstance(state, tuple)
            and len(state) == 5
            and isinstance(state[4], bytes)
            and isinstance(state[2], Type)
            and state[2].code == "u1"
        ):
            self.fortran, self.content = bool(state[3]), state[4]


class Type:
    """Stands in for numpy.dtype."""

    def __init__(self, code: Any = "", *_: Any) -> None:
        self.code = code.decode("latin1") if isinstance(code, bytes) else code

    def __setstate__(self, state: Any) -> None: ...


def reconstruct(*_: Any) -> Array:
    """Stands in for numpy's _reconstruct(ndarray, (0,), b"b"): the array that is then given a state."""
    return Array()


def encode(text: Any, encoding: Any = "latin1") -> bytes:
    """Stands in for _codecs.encode, by which Python 3 writes bytes into an old pickle."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"encode({type(text).__name__}, {encoding!r})")
    return text.encode("latin1")


ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): reconstruct,
    ("numpy", "ndarray"): Array,
    ("numpy", "dtype"): Type,
    ("_codecs", "encode"): encode,
}


class Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise DataError(f"it asks to call {module}.{name}")
        return ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> NoReturn:
        raise DataError(f"it asks for an object of its own ({type(pid).__name__})")


def load(content: bytes, where: str) -> dict[Any, Any]:
    """The dict in a CIFAR-10 file. Raises DataError at anything that such a file does not need."""
    pickles.check(content, lambda why: DataError(f"{where} is damaged: {why}"))
    try:
        found = Reader(io.BytesIO(content), encoding="bytes").load()
    except DataError as e:
        raise DataError(
            f"{where} is not CIFAR-10's: {printable(str(e))}. Nothing is executed on load."
        ) from None
    except Exception as e:  # an unpickler raises nearly anything on damaged bytes
        raise DataError(
            f"{where} is damaged: {type(e).__name__}: {printable(str(e))}. Download it again"
        ) from e
    if not isinstance(found, dict):
        raise DataError(f"{where} is no CIFAR-10 batch: it holds a {type(found).__name__}, not a dict")
    return found

"""Arrays in an .npz: x and y, or x_train, y_train, x_test, y_test as in Keras's mnist.npz. Never unpickled.

x is (N, D) numbers, or (N, H, W), (N, H, W, C), (N, C, H, W) pixels: uint8, other whole numbers 0..255, or
floats 0..1. y is (N,) whole numbers or text for classes, floats (N,) or (N, T) for a regression; an array
`classes` may name the classes 0, 1, ...
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from hubel.data import labels, limits, npy
from hubel.data.archive import PACKED
from hubel.data.idx import channels_first
from hubel.data.pictures import eight_bits, printable
from hubel.data.records import PARTS, Arrays, Kind, Source, Task, listing
from hubel.errors import DataError, HubelError

INPUTS = ("x", "X", "images", "data", "features", "inputs")
TARGETS = ("y", "Y", "labels", "label", "target", "targets")
NAMES = ("classes", "class_names", "label_names")


def open_npz(path: Path, *, name: str, task: Task | None = None) -> Source:
    """Raises DataError when an array is missing, damaged, pickled, or of another length than its labels."""
    file = Npz(path)
    found = file.parts()
    values, parts, items = [], [], []
    for part, (x, y) in found.items():
        of_part = file.read(y)
        n = (*file.header(x)[0], 0)[0]
        if n > limits.items_at_most(path.stat().st_size):
            raise DataError(
                f"{path} is refused as a decompression bomb: its {path.stat().st_size:,} bytes declare {n:,} items"
            )
        if of_part.ndim == 0 or len(of_part) != n:
            raise DataError(f"{path}: {x} has {n} rows, but {y} has {len(of_part) if of_part.ndim else 0}")
        values.append(of_part)
        parts += [part] * n
        items += [f"{part}/{i:05d}" if part else f"{i:05d}" for i in range(n)]
    named = next((key for key in NAMES if key in file.keys), None)
    classes = labels.texts(file.read(named), f"{path}: {named}") if named else []
    marked = labels.from_array(np.concatenate(values), task, f"the labels in {path}", classes)
    kind, shape = file.natural([x for x, _ in found.values()])
    rows = NpzRows(file, [x for x, _ in found.values()], kind, shape)
    return Source(
        name, str(path), kind, marked.task, marked.classes, items, marked.targets, np.array(parts, "<U5"),
        shape, rows, columns=tuple(f"x{i + 1}" for i in range(shape[0])) if kind == "vector" else (),
    )  # fmt: skip


class Npz:
    """The arrays of one file by name; headers are read without their values. refuse: what its errors become"""

    def __init__(self, path: Path, refuse: npy.Refuse = DataError) -> None:
        self.path, self.refuse = path, refuse
        try:
            with zipfile.ZipFile(path) as file:
                self.keys = {info.filename.removesuffix(".npy"): info for info in file.infolist()}
        except OSError as e:
            raise refuse(f"{path} cannot be read: {e.strerror}") from e
        except Exception as e:  # as in content
            raise refuse(f"{path} is no .npz, or damaged: {printable(str(e)) or type(e).__name__}") from e
        strange = [key for key, info in self.keys.items() if info.compress_type not in PACKED]
        if strange:
            raise refuse(
                f"{path}: the array {printable(strange[0])} is packed in a way that is not read; np.savez and "
                "np.savez_compressed write what is"
            )
        packed, declared = path.stat().st_size, sum(info.file_size for info in self.keys.values())
        if declared > limits.unpacked_at_most(packed):
            raise refuse(
                f"{path} is refused as a decompression bomb: its {packed:,} bytes declare {declared:,} unpacked"
            )

    def parts(self) -> dict[str, tuple[str, str]]:
        """part -> (name of its inputs, name of its targets); part "" when the file has no parts."""
        found: dict[str, tuple[str, str]] = {}
        for part in (*PARTS, ""):
            x = self.first([f"{key}_{part}" if part else key for key in INPUTS])
            y = self.first([f"{key}_{part}" if part else key for key in TARGETS])
            if x and not y:
                raise DataError(
                    f"{self.path} has {x} but no labels for it (looked for {self.sought(TARGETS, part)})"
                )
            if x and y and not (part == "" and found):
                found[part] = (x, y)
        if not found:
            raise DataError(
                f"{self.path} has the arrays {listing(sorted(self.keys))}; none is called "
                f"{self.sought(INPUTS, '')}, or x_train and x_test"
            )
        return found

    def first(self, names: Sequence[str]) -> str | None:
        return next((name for name in names if name in self.keys), None)

    @staticmethod
    def sought(names: Sequence[str], part: str) -> str:
        return ", ".join(f"{name}_{part}" if part else name for name in names)

    def header(self, key: str) -> npy.Header:
        """(shape, dtype) of an array that can be read and whose size is what the zip declares."""
        with self.content(key) as (content, size):
            return npy.read_header(content, size, f"{self.path}: the array {printable(key)}", self.refuse)

    def read(self, key: str) -> np.ndarray:
        with self.content(key) as (content, size):
            return npy.read(content, size, f"{self.path}: the array {printable(key)}", self.refuse)

    @contextmanager
    def content(self, key: str) -> Iterator[tuple[IO[bytes], int]]:
        """The bytes of an array's .npy, and how many the zip says they are."""
        if not self.path.is_file():
            raise self.refuse(f"{self.path} is no longer there as a file: bring it back")
        try:
            with zipfile.ZipFile(self.path) as file, file.open(self.keys[key]) as content:
                yield content, self.keys[key].file_size
        except HubelError:
            raise
        except Exception as e:  # what the library raises on hostile bytes is documented nowhere
            raise self.refuse(
                f"{self.path}: the array {printable(key)} is damaged: {printable(str(e)) or type(e).__name__}"
            ) from e

    def natural(self, keys: Sequence[str]) -> tuple[Kind, tuple[int, ...]]:
        """(kind, shape) that all these inputs have."""
        found = {}
        for key in keys:
            shape, dtype = self.header(key)
            if dtype.kind not in "uifb" or len(shape) not in (2, 3, 4) or 0 in shape[1:]:
                raise DataError(
                    f"{self.path}: {key} is {dtype} {shape}; inputs are (N, D) numbers, or (N, H, W), "
                    "(N, H, W, C), (N, C, H, W) pixels. Save them so"
                )
            if len(shape) == 4 and not {shape[1], shape[3]} & {1, 3}:
                raise DataError(
                    f"{self.path}: neither axis 1 nor axis 3 of {key} {shape} is a number of channels (1 or "
                    "3)"
                )
            looks = (
                channels_first(np.empty((0, *shape[1:]), np.uint8)).shape[1:] if len(shape) > 2 else shape[1:]
            )
            found[key] = tuple(map(int, looks))
        if len(set(found.values())) != 1:
            raise DataError(f"{self.path}: its parts have different shapes: {found}")
        shape = next(iter(found.values()))
        return ("vector" if len(shape) == 1 else "picture"), shape


class NpzRows(Arrays):
    """The inputs of all parts, one after the other; an array is read when a row of it is first asked for."""

    def __init__(self, file: Npz, keys: Sequence[str], kind: Kind, shape: tuple[int, ...]) -> None:
        self.file, self.keys, self.kind, self.shape = file, keys, kind, shape
        self.starts = np.cumsum([0, *(file.header(key)[0][0] for key in keys)])
        self.opened: dict[int, np.ndarray] = {}

    def take(self, index: np.ndarray) -> np.ndarray:
        holder = np.searchsorted(self.starts, index, side="right") - 1
        out = np.empty((len(index), *self.shape), np.uint8 if self.kind == "picture" else np.float32)
        for n in map(int, np.unique(holder)):
            if n not in self.opened:
                self.opened[n] = self.ready(self.keys[n])
            ks = np.flatnonzero(holder == n)
            out[ks] = self.opened[n][index[ks] - self.starts[n]]
        return out

    def ready(self, key: str) -> np.ndarray:
        """An array as Arrays promises it: (N, C, H, W) uint8 or (N, D) float32."""
        x = self.file.read(key)
        if self.kind == "vector":
            finite = np.isfinite(x).all(1)
            if not finite.all():
                raise DataError(
                    f"{self.file.path}: {key} has a number that is not finite in row {int(np.argmin(finite))}"
                )
            return x.astype(np.float32, copy=False)
        if x.dtype == bool:
            x = x.astype(np.uint8) * np.uint8(255)
        elif x.dtype.kind == "f":
            try:
                x = eight_bits(x)
            except DataError as e:
                raise DataError(f"{self.file.path}: {key}: {e}. Divide by 255 or save as uint8.") from None
        elif x.dtype != np.uint8:
            if x.size and not (x.min() >= 0 and x.max() <= 255):
                raise DataError(
                    f"{self.file.path}: {key} are pixels of {x.dtype} from {x.min()} to {x.max()}, expected "
                    "are 0..255"
                )
            x = x.astype(np.uint8)
        return channels_first(x)

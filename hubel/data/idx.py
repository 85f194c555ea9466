"""IDX, the format of MNIST. LeCun, "The MNIST database of handwritten digits", section "File formats".

    00 00 · type of a value (08 = uint8) · number of axes D · D big-endian 32-bit sizes · values
    so "magic 2051" is 0x00000803, uint8 with three axes, and "magic 2049" is 0x00000801

A header is believed only after the file's own size has been compared with it. Pixels of the test part stay
closed until they are asked for; labels are small and read at once.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from hubel.data import labels, limits
from hubel.data.records import Arrays, Source, Task
from hubel.errors import DataError

TYPES = {8: "uint8", 9: "int8", 11: "int16", 12: "int32", 13: "float32", 14: "float64"}

# train-images-idx3-ubyte, t10k-labels.idx1-ubyte.gz, emnist-letters-test-images-idx3-ubyte.gz
NAME = re.compile(
    r"(?P<set>.*?)[-_.]?(?P<part>train|t10k|test|val)[-_](?P<what>images|labels)[-.]idx\d-ubyte(\.gz)?", re.I
)
PARTS_NAMED = {"train": "train", "t10k": "test", "test": "test", "val": "val"}


def is_idx(path: Path) -> bool:
    return NAME.fullmatch(path.name) is not None


def open_idx(
    folder: Path, *, name: str, location: str, task: Task | None = None, classes: Sequence[str] = ()
) -> Source:
    """The pairs of images and labels in `folder`; only a folder with train images is a data set.

    classes: the names of the labels 0, 1, ...; without them the labels that occur are the classes.
    """
    pairs = find_pairs(folder)
    if pairs[0].part != "train":
        raise DataError(f"{folder} has no train images, only those of {pairs[0].part}")
    shape, _ = picture_shape(pairs[0].images)
    values, parts, items = [], [], []
    for pair in pairs:
        check_count(pair)
        y = read(pair.labels, axes=1)
        values.append(y)
        parts += [pair.part] * len(y)
        items += [f"{pair.part}/{i:05d}" for i in range(len(y))]
    marked = labels.from_array(np.concatenate(values), task or "classify", f"the labels in {folder}", classes)
    rows = IdxImages([pair.images for pair in pairs], [len(y) for y in values], shape)
    return Source(
        name, location, "picture", marked.task, marked.classes, items, marked.targets, np.array(parts, "<U5"),
        shape, rows,
    )  # fmt: skip


@dataclass(frozen=True)
class Pair:
    part: str
    images: Path
    labels: Path


def find_pairs(folder: Path) -> list[Pair]:
    """Images and labels that belong together, train first. DataError names a file that lacks its other."""
    found: dict[tuple[str, str], dict[str, Path]] = {}
    for path in sorted(folder.iterdir(), reverse=True):  # reversed, so that of x and x.gz the plain one stays
        match = NAME.fullmatch(path.name)
        if match:
            part = PARTS_NAMED[match["part"].lower()]
            found.setdefault((match["set"], part), {})[match["what"].lower()] = path
    sets = sorted({name for name, _ in found})
    if len(sets) > 1:
        prefixes = ", ".join(prefix or "one without a prefix" for prefix in sets)
        raise DataError(
            f"{folder} holds several IDX data sets ({prefixes}). Put each into a folder of its own."
        )
    for (_, part), files in found.items():
        if len(files) == 1:
            ((what, path),) = files.items()
            other = "labels" if what == "images" else "images"
            raise DataError(
                f"{folder} has {path.name} but not the {other} of the {part} part that belong to it"
            )
    order = {"train": 0, "val": 1, "test": 2}
    return [
        Pair(part, f["images"], f["labels"])
        for (_, part), f in sorted(found.items(), key=lambda x: order[x[0][1]])
    ]


def check_count(pair: Pair) -> None:
    """Refuse more labels than files of that size have, before one is read. Images of the test part stay closed."""
    _, sizes = header_of(pair.labels)
    most = limits.items_at_most(pair.images.stat().st_size + pair.labels.stat().st_size)
    if len(sizes) == 1 and sizes[0] > most:
        raise DataError(
            f"{pair.labels} is refused as a decompression bomb: it declares {sizes[0]:,} labels, and together with "
            f"{pair.images.name} it is too small to hold more than {most:,}"
        )


class IdxImages(Arrays):
    """Images of several files, one after the other; a file is opened when a row of it is first asked for.

    counts: how many images each file must hold, as its labels say
    """

    def __init__(self, files: Sequence[Path], counts: Sequence[int], shape: tuple[int, int, int]) -> None:
        self.files, self.counts, self.shape = files, counts, shape
        self.starts = np.cumsum([0, *counts])
        self.opened: dict[int, np.ndarray] = {}

    def take(self, index: np.ndarray) -> np.ndarray:
        holder = np.searchsorted(self.starts, index, side="right") - 1
        files = {
            int(n): self.open(int(n)) for n in np.unique(holder)
        }  # first: they say if the shape can be believed
        out = np.empty((len(index), *self.shape), np.uint8)
        for n, images in files.items():
            ks = np.flatnonzero(holder == n)
            out[ks] = images[index[ks] - self.starts[n]]
        return out

    def open(self, n: int) -> np.ndarray:
        """File n -> (N, C, H, W) uint8."""
        if n not in self.opened:
            shape, count = picture_shape(self.files[n])
            if count != self.counts[n]:
                raise DataError(
                    f"{self.files[n]} declares {count:,} images, but its labels are {self.counts[n]:,}"
                )
            if shape != self.shape:
                raise DataError(f"{self.files[n]} has pictures of {shape}, the train part has {self.shape}")
            self.opened[n] = channels_first(read(self.files[n], axes=None)).reshape(count, *shape)
        return self.opened[n]


def picture_shape(path: Path) -> tuple[tuple[int, int, int], int]:
    """((C, H, W), how many) by the header of an image file."""
    kind, sizes = header_of(path)
    if kind != "uint8" or len(sizes) not in (3, 4) or 0 in sizes[1:]:
        raise DataError(
            f"{path} has values of {kind} and axes {sizes}; pictures are uint8 (N, H, W) or (N, H, W, 3)"
        )
    if len(sizes) == 3:
        return (1, sizes[1], sizes[2]), sizes[0]
    if sizes[3] in (1, 3):
        return (sizes[3], sizes[1], sizes[2]), sizes[0]
    if sizes[1] in (1, 3):
        return (sizes[1], sizes[2], sizes[3]), sizes[0]
    raise DataError(
        f"{path} has axes {sizes}: neither the second nor the last is a number of channels (1 or 3)"
    )


def channels_first(images: np.ndarray) -> np.ndarray:
    """(N, H, W), (N, H, W, C) or (N, C, H, W) -> (N, C, H, W), C = 1 or 3; C last where both could be."""
    if images.ndim == 3:
        return images[:, None]
    return images.transpose(0, 3, 1, 2) if images.shape[3] in (1, 3) else images


def header_of(path: Path) -> tuple[str, tuple[int, ...]]:
    """(type of the values, sizes of the axes)."""
    with opened(path) as file:
        return read_header(file, path)


def read_header(file: BinaryIO, path: Path) -> tuple[str, tuple[int, ...]]:
    try:
        magic = file.read(4)
        if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES or not 1 <= magic[3] <= 4:
            raise DataError(
                f"{path} is no IDX file: it begins with {magic.hex(' ') or 'nothing'}, expected is "
                "00 00, a type (08 = uint8) and the number of axes (01 to 04); images begin with 00 00 08 03 "
                "(magic 2051)"
            )
        sizes = file.read(4 * magic[3])
        if len(sizes) < 4 * magic[3]:
            raise DataError(f"{path} is truncated: it ends inside its header of {4 + 4 * magic[3]} bytes")
    except (EOFError, OSError, zlib.error) as e:
        raise DataError(f"{path} is damaged: {e}. Copy or download it again") from e
    return TYPES[magic[2]], tuple(map(int, np.frombuffer(sizes, ">u4")))


def read(path: Path, axes: int | None) -> np.ndarray:
    """All values of an IDX file, in its own shape and the machine's byte order.

    axes: how many it must have (labels: 1); None for any.
    Memory is taken only after the declared size has been checked: exactly for a plain file, against what gzip
    can possibly hold for a packed one.
    """
    with opened(path) as file:
        kind, sizes = read_header(file, path)
        if axes is not None and len(sizes) != axes:
            raise DataError(f"{path} has {len(sizes)} axes {sizes}, expected {axes} (labels are magic 2049)")
        dtype = np.dtype(kind).newbyteorder(">")
        expected = dtype.itemsize * int(np.prod([int(n) for n in sizes], dtype=object))
        check_size(path, expected, 4 + 4 * len(sizes))
        values = np.empty(expected, np.uint8)
        room, got = memoryview(values.data), 0
        try:
            while got < expected and (n := file.readinto(room[got : got + (1 << 24)])):  # type: ignore[attr-defined]
                got += n
            more = got == expected and bool(file.read(1))
        except (EOFError, OSError, zlib.error) as e:
            raise DataError(
                f"{path} is truncated or damaged after {got:,} of {expected:,} bytes of values: {e}"
            ) from e
    if got < expected or more:
        verb = "is truncated" if got < expected else "goes on after its end"
        held = f"{got:,}" if got < expected else "more"
        raise DataError(
            f"{path} {verb}: its header {sizes} promises {expected:,} bytes of values, it holds {held}"
        )
    return values.view(dtype).astype(kind, copy=False).reshape(sizes)


def check_size(path: Path, expected: int, header: int) -> None:
    """Refuse by header and file size alone, before memory is taken."""
    on_disk = path.stat().st_size
    if expected > limits.ARRAY_AT_MOST:
        raise DataError(
            f"{path} declares {expected:,} bytes of values, more than the "
            f"{limits.ARRAY_AT_MOST:,} that are read"
        )
    if not packed(path):
        if on_disk - header < expected:
            raise DataError(
                f"{path} is truncated: its header promises {expected:,} bytes of values, it holds "
                f"{on_disk - header:,}"
            )
    elif expected > limits.unpacked_at_most(on_disk):
        raise DataError(
            f"{path} is refused as a decompression bomb: {on_disk:,} bytes declare "
            f"{expected:,} bytes of values"
        )


def packed(path: Path) -> bool:
    """By its first bytes, not by its name: browsers unpack files and leave the .gz on them."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def opened(path: Path) -> BinaryIO:
    if not path.is_file():
        raise DataError(f"{path} is not there as a file")
    return cast(BinaryIO, gzip.open(path)) if packed(path) else path.open("rb")

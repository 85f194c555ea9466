"""How a raw item becomes the numbers that a network is given: a record that travels with the weights.

Train, evaluate, explain, export and serve all read this one record, so they see the same numbers.
Pictures become uint8 pixels of one shape here; `mean` and `std` are applied inside the network's wrapper
(zoo.pixels.Pixels), so that everything after training can speak in pixels 0..1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from hubel.data.pictures import fit, from_array, grey_or_colour, planes, printable, read_picture, upright
from hubel.data.records import Kind
from hubel.errors import ArtifactError, DataError, InputError, ShapeError
from hubel.progress import Progress

if TYPE_CHECKING:
    from PIL.Image import Image

Resize = Literal["letterbox", "pad", "stretch", "crop"]
RESIZES: tuple[str, ...] = get_args(Resize)

# The lectures pad 28 to 29 and to 32 with zeros; up to this many pixels a picture is padded, not enlarged.
PAD_AT_MOST = 4


@dataclass(frozen=True)
class Preprocess:
    """kind: what an item is; shape: (C, H, W) of the pixels, or (D,) of the numbers, for the network.

    resize: how a picture of another size is brought to H x W: letterbox (keep the aspect ratio, black bars),
        pad (zeros around, no scaling unless it is too large), stretch (both sides), crop (shorter side,
        centre).
    mean, std: one per channel in units of 0..1, or one per column; empty means 0 and 1.
    columns: names of the columns that make a vector.
    """

    kind: Kind
    shape: tuple[int, ...]
    resize: Resize = "letterbox"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    columns: tuple[str, ...] = ()

    @staticmethod
    def to_fit(
        kind: Kind, natural: tuple[int, ...], wanted: tuple[int, ...], resize: str = "auto"
    ) -> Preprocess:
        """natural: the data's shape; wanted: the network's. auto: pad up to PAD_AT_MOST, else letterbox."""
        if kind == "vector":
            return Preprocess(kind, wanted)
        if resize == "auto":
            grows = [w - n for n, w in zip(natural[1:], wanted[1:], strict=True)]
            resize = "pad" if all(0 <= g <= PAD_AT_MOST for g in grows) else "letterbox"
        return Preprocess(kind, wanted, resize)  # type: ignore[arg-type]

    def picture(self, image: Image | str | Path | bytes | np.ndarray, *, name: str = "") -> np.ndarray:
        """One picture -> (C, H, W) uint8, as the network receives it.

        image: a path, the bytes of a file, a picture of Pillow, or an array: (H, W), (H, W, C) or (C, H, W),
            uint8 or float 0..1
        name: how messages call it, where it is not a path
        """
        self._must_be("picture")
        C, H, W = self.shape
        if isinstance(image, str | Path | bytes):
            taken = read_picture(image, name=name, enough=max(H, W))
        elif hasattr(image, "getexif"):
            taken = grey_or_colour(upright(image))  # type: ignore[arg-type]
        else:
            taken = from_array(np.asarray(image), self.shape)
        if C == 1 and taken.mode != "L":
            taken = taken.convert("L")
        return planes(fit(taken, H, W, self.resize), C)

    def pictures(self, batch: np.ndarray, progress: Progress | None = None) -> np.ndarray:
        """(N, C, h, w) uint8, C = 1 or 3 -> (N, *shape) uint8: `picture` of each; fast unless scaled."""
        self._must_be("picture")
        (N, C, h, w), (C_out, H, W) = batch.shape, self.shape
        if batch.shape[1:] == self.shape:
            return batch
        padded = self.resize == "pad" and h <= H and w <= W
        if C in (1, C_out) and C_out in (1, 3) and (padded or (h, w) == (H, W)):
            top, left = (H - h) // 2, (W - w) // 2
            out = np.zeros((N, *self.shape), np.uint8)
            out[:, :, top : top + h, left : left + w] = batch  # one channel fills all
            return out
        out = np.empty((N, *self.shape), np.uint8)
        for n, one in enumerate(batch):
            out[n] = self.picture(one.transpose(1, 2, 0))
            if progress and (n + 1) % 512 == 0:
                progress(n + 1, N)
        return out

    def vector(self, row: Sequence[float] | Mapping[str, float] | np.ndarray) -> np.ndarray:
        """One row of numbers, in the order of `columns` or by their names -> (D,) float32."""
        self._must_be("vector")
        if isinstance(row, Mapping):
            missing = [c for c in self.columns if c not in row]
            if missing or not self.columns:
                raise DataError(f"the row names {list(row)}, the network expects {list(self.columns)}")
            row = [row[c] for c in self.columns]
        try:
            numbers = np.asarray(row, np.float32).reshape(-1)
        except (TypeError, ValueError):
            raise DataError(f"a row must be numbers, but it is {row!r:.80}") from None
        if numbers.shape != self.shape:
            raise ShapeError(f"the row has {len(numbers)} numbers, the network expects {self.shape[0]}")
        if not np.isfinite(numbers).all():
            raise DataError(
                f"the row has a number that is not finite at position {int(np.argmin(np.isfinite(numbers)))}"
            )
        return numbers

    def _must_be(self, kind: Kind) -> None:
        if self.kind != kind:
            raise InputError(f"this network takes a {self.kind} of shape {self.shape}, not a {kind}")

    def with_statistics(self, inputs: np.ndarray) -> Preprocess:
        """The same record with mean and std of `inputs` ((N, C, H, W) uint8 or (N, D) float32) filled in."""
        if self.kind == "vector":
            mean, std = inputs.mean(0, dtype=np.float64), inputs.std(0, dtype=np.float64)
        else:
            # A histogram per channel gives both moments exactly, without a float copy of the data; a few pictures at
            # a time, since bincount makes eight bytes of each pixel.
            levels = np.arange(256) / 255
            counts = np.zeros((inputs.shape[1], 256))
            few = max(1, 1_000_000 // math.prod(inputs.shape[2:]))
            for start in range(0, len(inputs), few):
                for c, count in enumerate(counts):
                    count += np.bincount(inputs[start : start + few, c].ravel(), minlength=256)
            shares = counts / counts.sum(1, keepdims=True)
            mean = np.array([s @ levels for s in shares])
            std = np.sqrt([s @ (levels - m) ** 2 for s, m in zip(shares, mean, strict=True)])
        std = np.where(std > 1e-8, std, 1.0)  # a constant channel stays constant instead of becoming infinite
        return replace(self, mean=tuple(map(float, mean)), std=tuple(map(float, std)))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; from_dict gives the record back."""
        return asdict(self)

    @staticmethod
    def from_dict(stored: dict[str, Any], where: Path | str = "the file") -> Preprocess:
        """Raises ArtifactError, which names `where` it is stored, for what a later version may have written."""
        try:
            values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
            made = Preprocess(**values)
        except TypeError as e:
            raise ArtifactError(
                f"{where} stores a preprocessing that this version does not know ({printable(str(e))}): take the "
                "version of hubel that wrote it"
            ) from e
        if made.kind == "picture" and made.resize not in RESIZES:
            raise ArtifactError(
                f"{where} stores the resize {printable(str(made.resize))!r}, this version knows {', '.join(RESIZES)}: "
                "take the version of hubel that wrote it"
            )
        return made

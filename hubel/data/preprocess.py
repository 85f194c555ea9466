"""How a raw item becomes the numbers that a network is given: a record that travels with the weights.

Train, evaluate, explain, export and serve all read this one record, so they see the same numbers.
Pictures become uint8 pixels of one shape here; `mean` and `std` are applied inside the network's wrapper
(zoo.pixels.Pixels), so that everything after training can speak in pixels 0..1.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from hubel.data.dataset import Kind
from hubel.errors import ArtifactError

Resize = Literal["letterbox", "pad", "stretch", "crop"]
RESIZES: tuple[str, ...] = get_args(Resize)

# The lectures pad 28 to 29 and to 32 with zeros; up to this many pixels a picture is padded, not enlarged.
PAD_AT_MOST = 4


@dataclass(frozen=True)
class Preprocess:
    """kind: what an item is; shape: (C, H, W) of the pixels, or (D,) of the numbers, that the network receives.

    resize: how a picture of another size is brought to H x W: letterbox (keep the aspect ratio, black bars),
        pad (zeros around, no scaling unless it is too large), stretch (both sides), crop (shorter side, centre).
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
    def to_fit(kind: Kind, natural: tuple[int, ...], wanted: tuple[int, ...], resize: str = "auto") -> Preprocess:
        """natural: the data's own shape; wanted: the network's. `auto` pads up to PAD_AT_MOST pixels, else letterbox."""
        if kind == "vector":
            return Preprocess(kind, wanted)
        if resize == "auto":
            grows = [w - n for n, w in zip(natural[1:], wanted[1:], strict=True)]
            resize = "pad" if all(0 <= g <= PAD_AT_MOST for g in grows) else "letterbox"
        return Preprocess(kind, wanted, resize)  # type: ignore[arg-type]

    def with_statistics(self, inputs: np.ndarray) -> Preprocess:
        """The same record with mean and std of `inputs` ((N, C, H, W) uint8 or (N, D) float32) filled in."""
        if self.kind == "vector":
            mean, std = inputs.mean(0, dtype=np.float64), inputs.std(0, dtype=np.float64)
        else:
            # A histogram per channel gives both moments exactly, without a float copy of the data.
            levels = np.arange(256) / 255
            planes = (inputs[:, c] for c in range(inputs.shape[1]))
            shares = [np.bincount(np.ravel(p), minlength=256) / p.size for p in planes]
            mean = np.array([s @ levels for s in shares])
            std = np.sqrt([s @ (levels - m) ** 2 for s, m in zip(shares, mean, strict=True)])
        std = np.where(std > 1e-8, std, 1.0)  # a constant channel stays constant instead of becoming infinite
        return replace(self, mean=tuple(map(float, mean)), std=tuple(map(float, std)))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; from_dict gives the record back."""
        return asdict(self)

    @staticmethod
    def from_dict(stored: dict[str, Any]) -> Preprocess:
        try:
            made = Preprocess(**{k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()})
        except TypeError as e:
            raise ArtifactError(f"the stored preprocessing {stored} is not one this version knows: {e}") from e
        if made.kind == "picture" and made.resize not in RESIZES:
            raise ArtifactError(f"the stored resize {made.resize!r} is none of {', '.join(RESIZES)}")
        return made

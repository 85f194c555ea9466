"""Accuracy on spoilt pictures: six kinds at five strengths each, after Hendrycks and Dietterich 2019, section 3.

"Benchmarking neural network robustness to common corruptions and perturbations". Theirs are fifteen kinds, tuned for
ImageNet and for CIFAR-10; here are those that make sense for a digit of 28x28 as for a photograph of 224x224, with
lengths as shares of the picture's shorter side. They are applied to the pixels that the network receives.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hubel import metrics
from hubel.data import Source
from hubel.errors import InputError
from hubel.evaluation.evaluate import labelled, opened
from hubel.progress import Progress
from hubel.run import Run, at_once

FILE = "corruptions.json"  # beside the predictions
Picture = np.ndarray  # (C, H, W) uint8
Generator = np.random.Generator


@dataclass(frozen=True)
class Kind:
    """A way to spoil a picture. strengths: from weak to strong   unit: what they are

    spoil: (picture, strength, generator) -> a picture of the same shape; what it draws does not depend on the strength
    """

    strengths: tuple[float, float, float, float, float]
    unit: str
    spoil: Callable[[Picture, float, Generator], Picture]


@dataclass(frozen=True)
class Row:
    """Accuracy at one strength of one kind. level: 1 to 5; strength: in the kind's unit"""

    kind: str
    level: int
    strength: float
    right: int
    n: int

    @property
    def accuracy(self) -> float:
        return self.right / self.n

    def to_dict(self) -> dict[str, Any]:
        span = metrics.wilson(self.right, self.n)
        return {
            "kind": self.kind, "level": self.level, "strength": self.strength, "accuracy": self.accuracy,
            "accuracy_low": span.low, "accuracy_high": span.high,
        }  # fmt: skip


@dataclass(frozen=True)
class Corrupted:
    """data, part: of what; clean: accuracy without corruption; rows: kind by kind, weak to strong."""

    data: str
    part: str
    n: int
    seed: int
    clean: float
    rows: tuple[Row, ...]

    @property
    def means(self) -> dict[str, float]:
        """Kind -> mean accuracy over its strengths."""
        kinds = dict.fromkeys(row.kind for row in self.rows)
        return {k: float(np.mean([row.accuracy for row in self.rows if row.kind == k])) for k in kinds}

    @property
    def mean(self) -> float:
        """Over all kinds and strengths."""
        return float(np.mean([row.accuracy for row in self.rows]))

    def to_dict(self) -> dict[str, Any]:
        return {
            "data": self.data, "part": self.part, "items": self.n, "seed": self.seed, "clean": self.clean,
            "mean": self.mean, "means": self.means, "units": {k: KINDS[k].unit for k in self.means},
            "rows": [row.to_dict() for row in self.rows],
        }  # fmt: skip


def measure(
    run: Run, data: str | Path | Source | None = None, *, part: str = "test", seed: int = 0,
    progress: Progress | None = None,
) -> Corrupted:  # fmt: skip
    """Accuracy of the items that evaluate() measures, spoilt in every way; those of unknown class are left out.

    What is drawn for an item depends on seed, kind and its place alone, so that a stronger corruption is the same one,
    only stronger.
    """
    if run.preprocess.kind != "picture" or run.task != "classify":
        raise InputError(
            f"--corruptions spoils pictures that are to be classified, but the run {run.path} was trained to "
            f"{run.task} {run.preprocess.kind}s"
        )
    if seed < 0:
        raise InputError(f"--seed begins at 0, got {seed}")
    place = opened(run, data, part)
    labels = labelled(run, place)
    known = np.flatnonzero(labels >= 0)
    if not len(known):
        raise InputError(f"{place.dataset.name} has no item of known class, so there is nothing to measure")
    total, done, clean = len(known) * (1 + sum(len(k.strengths) for k in KINDS.values())), 0, 0
    right = {(name, level): 0 for name in KINDS for level in range(5)}
    step = at_once(run.preprocess.shape)
    for start in range(0, len(known), step):
        chosen = known[start : start + step]
        pictures, wanted = np.asarray(place.split.inputs[chosen]), labels[chosen]
        clean += _right(run, pictures, wanted)
        done += len(chosen)
        for name, level in right:
            right[name, level] += _right(run, spoilt(pictures, name, level, chosen, seed), wanted)
            done += len(chosen)
            if progress:
                progress(done, total)
    rows = tuple(
        Row(name, level + 1, KINDS[name].strengths[level], count, len(known))
        for (name, level), count in right.items()
    )
    return Corrupted(place.dataset.name, place.part, len(known), seed, clean / len(known), rows)


def spoilt(pictures: np.ndarray, name: str, level: int, places: np.ndarray, seed: int = 0) -> np.ndarray:
    """(N, C, H, W) uint8 -> the same. level: 0 to 4   places: (N,), the items' numbers in their part"""
    kind, number = KINDS[name], list(KINDS).index(name)
    made = [
        kind.spoil(picture, kind.strengths[level], np.random.default_rng([seed, number, int(place)]))
        for picture, place in zip(pictures, places, strict=True)
    ]
    return np.stack(made)


def noise(picture: Picture, deviation: float, rng: Generator) -> Picture:
    """Each value plus a normal one of this deviation, in shares of the full scale."""
    return _uint8(picture + 255 * deviation * rng.standard_normal(picture.shape, np.float32))


def blur(picture: Picture, share: float, _: Generator) -> Picture:
    """Under a Gaussian whose deviation is this share of the shorter side, the edge repeated outside."""
    sigma = share * min(picture.shape[1:])
    along_i, along_j = (_smear(length, sigma) for length in picture.shape[1:])
    return _uint8(along_i @ picture.astype(np.float32) @ along_j.T)  # two dimensions are one after the other


def contrast(picture: Picture, share: float, _: Generator) -> Picture:
    """This share of each value's distance to the picture's mean is left."""
    mean = picture.mean()
    return _uint8(mean + share * (picture - mean))


def shift(picture: Picture, share: float, rng: Generator) -> Picture:
    """Moved by this share of the shorter side in any direction, to whole pixels; the edge repeated behind it."""
    angle, length = rng.uniform(0, 2 * np.pi), share * min(picture.shape[1:])
    down, across = round(length * np.sin(angle)), round(length * np.cos(angle))
    _, H, W = picture.shape
    rows, columns = np.clip(np.arange(H) - down, 0, H - 1), np.clip(np.arange(W) - across, 0, W - 1)
    return picture[:, rows[:, None], columns[None]]


def rotation(picture: Picture, degrees: float, rng: Generator) -> Picture:
    """Turned about the middle one way or the other, bilinear; the edge repeated outside."""
    turn = np.deg2rad(degrees) * rng.choice([-1, 1])
    _, H, W = picture.shape
    i, j = np.meshgrid(np.arange(H) - (H - 1) / 2, np.arange(W) - (W - 1) / 2, indexing="ij")
    y = np.clip(
        np.cos(turn) * i - np.sin(turn) * j + (H - 1) / 2, 0, H - 1
    )  # (H, W): where each pixel is read
    x = np.clip(np.sin(turn) * i + np.cos(turn) * j + (W - 1) / 2, 0, W - 1)
    top, left = np.minimum(y.astype(int), max(H - 2, 0)), np.minimum(x.astype(int), max(W - 2, 0))
    under, right = np.minimum(top + 1, H - 1), np.minimum(left + 1, W - 1)
    v, u = y - top, x - left
    values = picture.astype(np.float32)
    above = (1 - u) * values[:, top, left] + u * values[:, top, right]
    below = (1 - u) * values[:, under, left] + u * values[:, under, right]
    return _uint8((1 - v) * above + v * below)


def jpeg(picture: Picture, quality: float, _: Generator) -> Picture:
    """Packed and unpacked; channels that are no colours one by one."""
    if len(picture) != 3:
        return np.stack([_repacked(channel, quality) for channel in picture])
    return np.ascontiguousarray(_repacked(picture.transpose(1, 2, 0), quality).transpose(2, 0, 1))


# Strengths of ImageNet-C where its parameter is free of size: noise, contrast, JPEG; ours: blur, shift, rotation.
KINDS: Mapping[str, Kind] = {
    "noise": Kind((0.08, 0.12, 0.18, 0.26, 0.38), "deviation, share of the full scale", noise),
    "blur": Kind((0.01, 0.02, 0.03, 0.04, 0.06), "deviation, share of the shorter side", blur),
    "contrast": Kind((0.4, 0.3, 0.2, 0.1, 0.05), "share that is left", contrast),
    "shift": Kind((0.04, 0.08, 0.12, 0.16, 0.2), "length, share of the shorter side", shift),
    "rotation": Kind((10, 20, 30, 40, 50), "degrees either way", rotation),
    "jpeg": Kind((25, 18, 15, 10, 7), "quality", jpeg),
}


@lru_cache(maxsize=16)
def _smear(length: int, sigma: float) -> np.ndarray:
    """(L, L) float32: row i holds the Gaussian around i; what lies outside counts for the first or last place."""
    reach = math.ceil(4 * sigma) + 1
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    made = np.zeros((length, length))
    for i in range(length):
        np.add.at(
            made[i], np.clip(np.arange(i - reach, i + reach + 1), 0, length - 1), weights / weights.sum()
        )
    return made.astype(np.float32)


def _right(run: Run, pictures: np.ndarray, labels: np.ndarray) -> int:
    return int((run.logits(pictures).argmax(1) == labels).sum())


def _repacked(values: np.ndarray, quality: float) -> np.ndarray:
    """(H, W) or (H, W, 3) uint8 through JPEG."""
    file = io.BytesIO()
    Image.fromarray(values).save(file, "JPEG", quality=int(quality))
    return np.asarray(Image.open(file))


def _uint8(values: np.ndarray) -> Picture:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)

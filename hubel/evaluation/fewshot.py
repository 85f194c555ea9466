"""New classes from a few examples each: the nearest mean of features. Nothing is trained.

Snell, Swersky, Zemel 2017, "Prototypical networks for few-shot learning", equation 1, on features of length 1 (Wang et
al. 2019, "SimpleShot"). Figures are means over episodes: some classes drawn, some examples of each, and queries.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hubel.data import Source
from hubel.errors import InputError
from hubel.progress import Progress
from hubel.run import Run


@dataclass(frozen=True)
class Prototypes:
    """What is known of new classes. means: (K, D), of unit features   examples: how many of each class"""

    classes: tuple[str, ...]
    means: np.ndarray
    examples: tuple[int, ...]

    def distances(self, units: np.ndarray) -> np.ndarray:
        """units: (N, D) of length 1   ->   (N, K) Euclidean distances to the means, 0 to 2"""
        # |u - m|^2 = |u|^2 - 2 u m + |m|^2, without an (N, K, D) array
        squares = np.square(units).sum(1)[:, None] + np.square(self.means).sum(1)
        return np.sqrt(np.maximum(0.0, squares - 2 * units @ self.means.T))


@dataclass(frozen=True)
class Episodes:
    """Accuracy over episodes. interval: half of the 95 % one of the mean, 1.96 sd / sqrt(count)"""

    accuracy: float
    interval: float
    count: int
    ways: int
    shots: int
    queries: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**vars(self), "chance": 1 / self.ways}


def units(features: np.ndarray) -> np.ndarray:
    """(N, D), or maps (N, C, H, W) which are averaged over their places   ->   (N, D) float64 of length 1"""
    flat = features.astype(np.float64)
    flat = flat.mean(tuple(range(2, flat.ndim))) if flat.ndim > 2 else flat
    lengths = np.linalg.norm(flat, axis=1, keepdims=True)
    return flat / np.where(lengths > 0, lengths, 1.0)  # what is all zeros stays so


def prototypes(found: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> Prototypes:
    """The mean of each class. found: (N, D) units   labels: (N,) int64"""
    counts = np.bincount(labels, minlength=len(classes))
    missing = [classes[k] for k in np.flatnonzero(counts == 0).tolist()]
    if missing:
        raise InputError(f"there is no example of {missing[0]!r}: give one of each class")
    means = np.stack([found[labels == k].mean(0) for k in range(len(classes))])  # (K, D)
    return Prototypes(tuple(classes), means, tuple(map(int, counts)))


def labelled(
    run: Run, source: Source, layer: str | None = None, progress: Progress | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Units of every item of a place, whatever part it is in, and its labels. -> (N, D), (N,)"""
    if source.task != "classify":
        raise InputError(
            f"{source.name} holds numbers to be found, but classes are wanted: name a place of them"
        )
    split = run.dataset(replace(source, shared=True)).train
    return units(run.features(split.inputs, layer, progress=progress)), split.targets


def episodes(
    found: np.ndarray, labels: np.ndarray, *, ways: int = 5, shots: int = 1, queries: int = 15, count: int = 600,
    seed: int = 0,
) -> Episodes:  # fmt: skip
    """Mean accuracy of `count` episodes: `ways` classes, of each `shots` examples and up to `queries` other items.

    found: (N, D) units   labels: (N,). A class takes part that has an item more than shots.
    """
    by_class = [np.flatnonzero(labels == k) for k in np.unique(labels)]
    able = [items for items in by_class if len(items) > shots]
    if not 2 <= ways <= len(able):
        raise InputError(
            f"{ways} ways need as many classes of {shots + 1} items or more, and at least 2; here are {len(able)}"
        )
    if shots < 1 or queries < 1 or count < 2:
        raise InputError(
            f"shots and queries begin at 1 and episodes at 2, got {shots}, {queries} and {count}"
        )
    rng = np.random.default_rng(seed)
    right = np.empty(count)
    for n in range(count):
        drawn = [rng.permutation(able[k]) for k in rng.choice(len(able), ways, replace=False)]
        known = np.concatenate([items[:shots] for items in drawn])
        asked = [items[shots : shots + queries] for items in drawn]
        names = tuple(map(str, range(ways)))
        near = prototypes(found[known], np.repeat(np.arange(ways), shots), names).distances(
            found[np.concatenate(asked)]
        )
        truth = np.repeat(np.arange(ways), [len(items) for items in asked])
        right[n] = (near.argmin(1) == truth).mean()
    interval = 1.96 * float(right.std(ddof=1)) / math.sqrt(count)
    return Episodes(float(right.mean()), interval, count, ways, shots, queries)

"""How much change a network bears: accuracy against its size, and for each picture the least that flips the answer.

Sizes are in the attack's own measure: the largest change of a pixel (linf), of DeepFool the length of all changes (l2),
both with pixels in 0..1. What an attack does not find may still be there: these are upper bounds of what is borne.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hubel import metrics
from hubel.attacks import Attack, Model, attacked
from hubel.errors import InputError
from hubel.explanation.inside import asking
from hubel.progress import Progress
from hubel.run import Run, floats

TOLERANCE = 0.1 / 255  # a tenth of a grey level
LADDER = (*(2**k / 255 for k in range(8)), 1.0)  # sizes tried first, each twice the last
TOGETHER, NUMBERS = (
    250,
    1_000_000,
)  # pictures and numbers attacked at once: gradients keep every layer's values


@dataclass(frozen=True)
class Level:
    """What is still right where changes up to `size` are allowed. reached: of a target, how many answer it"""

    size: float
    right: int
    n: int
    reached: int | None = None

    @property
    def accuracy(self) -> float:
        return self.right / self.n

    @property
    def met(self) -> float:
        """The share that answers the target; NaN where there is none."""
        return math.nan if self.reached is None else self.reached / self.n

    @property
    def interval(self) -> metrics.Interval:
        """Where 95 % of such samples have it."""
        return metrics.wilson(self.right, self.n)

    def to_dict(self) -> dict[str, Any]:
        told = {
            "eps": self.size, "accuracy": self.accuracy, "accuracy_low": self.interval.low,
            "accuracy_high": self.interval.high, "right": self.right, "items": self.n,
        }  # fmt: skip
        return told if self.reached is None else told | {"reached": self.reached}


@dataclass(frozen=True)
class Curve:
    """Accuracy against the size of the change. A picture that fell at one size has fallen at every larger one."""

    attack: Attack
    levels: tuple[Level, ...]

    def to_dict(self) -> dict[str, Any]:
        settings = asdict(self.attack) | {"eps": max(level.size for level in self.levels)}
        rows = [level.to_dict() for level in self.levels]
        return {"attack": settings, "measure": self.attack.measure, "levels": rows}


@dataclass(frozen=True)
class Flips:
    """For each picture the least change found that flips the answer, and the picture with it.

    size: (N,) float64; 0 where the answer is flipped already, NaN where no change up to the whole scale was found
    x: (N, C, H, W)
    """

    size: np.ndarray
    x: Tensor


def curve(
    run: Run, inputs: np.ndarray, labels: np.ndarray, attack: Attack, sizes: Sequence[float],
    progress: Progress | None = None,
) -> Curve:  # fmt: skip
    """Accuracy at each of `sizes`, and without any change. inputs: (N, C, H, W) uint8   labels: (N,), -1 is unknown

    Items of unknown class are left out; where there is a target, those of its class, too.
    """
    must_be_pictures(run)
    asked = (labels >= 0) & (labels != attack.target)
    inputs, labels = inputs[asked], labels[asked]
    if not len(inputs):
        raise InputError(
            "there is nothing to attack: name data with labels, and with more than the target's class"
        )
    wanted = sorted({0.0, *map(float, sizes)})
    fell, met = [], []
    with asking(run, attack.seed) as model:
        for chunk in chunks(len(inputs), run.preprocess.shape):
            x = torch.from_numpy(floats(inputs[chunk]))
            y = torch.from_numpy(np.asarray(labels[chunk], np.int64))
            along = _distances if attack.method == "deepfool" else _falls
            one, two = along(model, x, y, attack, wanted, chunk.start)
            fell.append(one)
            met.append(two)
            if progress:
                progress(min(chunk.stop, len(inputs)), len(inputs))
    falls, reaches = torch.cat(fell), torch.cat(met)
    levels = tuple(
        Level(
            size, int((falls > size).sum()), len(falls),
            None if attack.target is None else int((reaches <= size).sum()),
        )
        for size in wanted
    )  # fmt: skip
    return Curve(attack, levels)


def smallest(
    model: Model, x: Tensor, labels: Tensor, attack: Attack, *, tolerance: float = TOLERANCE,
    progress: Callable[[], None] | None = None,
) -> Flips:  # fmt: skip
    """The least eps at which the attack flips the answer: doubled until it does, then bisected down to `tolerance`.

    An attack that failed at a smaller eps than it succeeded at is taken at its word; it is no proof. DeepFool, which
    knows no eps, says its own length.
    """
    if attack.method == "deepfool":
        found = attacked(model, x, labels, attack)
        with torch.no_grad():
            there = attack.succeeded(model(found), labels)
        length = (found - x).flatten(1).norm(dim=1).double()
        return Flips(torch.where(there, length, torch.nan).numpy(), found)
    low, high = (
        torch.zeros(len(x), dtype=torch.float64),
        torch.full((len(x),), torch.inf, dtype=torch.float64),
    )
    best = x.clone()
    with torch.no_grad():
        high[attack.succeeded(model(x), labels)] = 0.0

    def ask(places: Tensor, sizes: Tensor) -> None:
        """Attack x[places] within `sizes`, and note who falls."""
        after = attacked(model, x[places], labels[places], attack, sizes.float())
        with torch.no_grad():
            there = attack.succeeded(model(after), labels[places])
        used = (after - x[places]).flatten(1).abs().amax(1).double()  # often less than was allowed
        high[places[there]] = used[there]
        best[places[there]] = after[there]
        low[places[~there]] = sizes[~there]
        if progress:
            progress()

    for size in LADDER:
        standing = torch.nonzero(high.isinf())[:, 0]
        if len(standing):
            ask(standing, torch.full((len(standing),), size, dtype=torch.float64))
    while True:
        open_ = torch.nonzero(high.isfinite() & (high - low > tolerance))[:, 0]
        if not len(open_):
            break
        ask(open_, (low[open_] + high[open_]) / 2)
    return Flips(torch.where(high.isinf(), torch.nan, high).numpy(), best)


def chunks(count: int, shape: Sequence[int]) -> list[slice]:
    """So many pictures together that the gradients of all layers fit in memory."""
    step = max(1, min(TOGETHER, NUMBERS // int(np.prod(shape))))
    return [slice(start, start + step) for start in range(0, count, step)]


def must_be_pictures(run: Run) -> None:
    """Raises InputError where an attack has no pixels to change, or no class to leave."""
    if run.preprocess.kind != "picture":
        raise InputError(
            f"attacks change pixels by at most eps, but {run.network.name} takes rows of numbers, each with a unit "
            "of its own; `hubel explain` answers for these"
        )
    if run.task != "classify":
        raise InputError(
            f"attacks make a network miss a class, but {run.network.name} was trained to {run.task}"
        )


def _falls(
    model: Model, x: Tensor, labels: Tensor, attack: Attack, sizes: Sequence[float], start: int
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """(N,) each: the first of `sizes` at which the answer is no longer the label; and at which it is the target."""
    fell, met = (torch.full((len(x),), torch.inf, dtype=torch.float64) for _ in range(2))
    for size in sizes:
        left = torch.nonzero((fell if attack.target is None else met).isinf())[:, 0]
        if not len(left):
            break
        after = x[left]
        if size:
            after = attacked(model, after, labels[left], replace(attack, eps=size), seed=(start,))
        with torch.no_grad():
            answers = model(after).argmax(1)
        wrong = answers != labels[left]
        fell[left[wrong]] = fell[left[wrong]].clamp(max=size)
        if attack.target is not None:
            met[left[answers == attack.target]] = size
    return fell, met


def _distances(
    model: Model, x: Tensor, labels: Tensor, attack: Attack, _: Sequence[float], __: int
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """As _falls, by the length of DeepFool's way from each picture that is answered right."""
    with torch.no_grad():
        right = model(x).argmax(1) == labels
    fell = torch.zeros(len(x), dtype=torch.float64)
    lengths = smallest(model, x[right], labels[right], attack).size if right.any() else np.empty(0)
    fell[right] = torch.from_numpy(np.where(np.isnan(lengths), np.inf, lengths))
    return fell, torch.full_like(fell, torch.inf)

"""What a dream raises: a class, a map of a layer, or a whole layer; asked of pictures of any size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hubel.errors import InputError
from hubel.explanation.inside import Inside, classes_named
from hubel.run import Run


@dataclass(frozen=True)
class Target:
    """What is to be raised.

    number: a class, whose log-odds are raised: its logit less the log-sum-exp of all others', log p/(1-p). The logit
    alone is raised most by pictures that raise others', too
    layer, map: else; of a map its mean, of a layer of which no map is named half the mean of its squares (Deep Dream's)
    """

    name: str
    number: int | None = None
    layer: str = ""
    map: int | None = None


@dataclass(frozen=True)
class Moment:
    """How it stands after `step` of `steps`. picture: (C, H, W) in 0..1;  value: of what is raised, before the step"""

    step: int
    steps: int
    picture: Tensor
    value: float


@dataclass(frozen=True)
class Dream:
    """picture: (C, H, W) float32 in 0..1;  began, value: what is raised, of the start and of the picture"""

    target: Target
    picture: np.ndarray
    began: float
    value: float


Watch = Callable[[Moment], None]


def classes_of(run: Run, names: Sequence[str] = ()) -> list[Target]:
    """Targets by class names or numbers; all classes where none is named. Raises UnknownName, with all names."""
    if run.task != "classify":
        raise InputError(
            f"{run.network.name} answers with numbers and has no classes: name --layer and --map"
        )
    numbers = classes_named(run, names) if names else range(len(run.classes))
    return [Target(f"class {run.classes[k]}", k) for k in numbers]


def layer_of(run: Run, layer: str, map: int | None = None) -> Target:  # noqa: A002 - what a map is called everywhere
    """The target of a layer's map, or of the whole layer. Raises UnknownName or InputError, with what there is."""
    row = Inside(run).layer(layer)
    if map is None:
        return Target(layer, layer=layer)
    if len(row.output) not in (1, 3):
        raise InputError(f"the layer {layer} gives {row.output}, neither maps nor units: leave --map out")
    kind = "map" if len(row.output) == 3 else "unit"
    if not 0 <= map < row.output[0]:
        raise InputError(
            f"the layer {layer} has {row.output[0]} {kind}s, 0 to {row.output[0] - 1}: there is no {kind} {map}"
        )
    return Target(f"{layer} {kind} {map}", layer=layer, map=map)


def last_of_sizes(run: Run, least: int = 2) -> tuple[str, ...]:
    """The last layer of each size of maps, before the head, from large maps to small.

    least: cells of a side; where no layer has as many, the last with maps. Raises InputError where there is none.
    """
    inside = Inside(run)
    inside.with_maps(None)
    order = [layer.name for layer in inside.parts.layers]
    end = order.index(inside.parts.before_head())
    maps = [row for row in inside.maps if order.index(row.name) <= end and row.type != "Dropout"] or [
        *inside.maps
    ]
    by_size = {row.output[1:]: row.name for row in maps if min(row.output[1:]) >= least}
    return tuple(by_size.values()) or (maps[-1].name,)


def usual_layer(run: Run) -> str:
    """Where a photograph is dreamt on if nobody says: the last layer of the last but one size of maps."""
    return last_of_sizes(run)[-2:][0]


def raised_by(target: Target) -> str:
    """What is raised, in words."""
    if target.number is not None:
        return "log-odds"
    return "half the mean square" if target.map is None else "mean"


def only_pictures(run: Run) -> None:
    """Raises InputError for a run on rows of numbers."""
    if run.preprocess.kind != "picture":
        raise InputError(
            f"dreams are pictures, and {run.network.name} takes {run.preprocess.kind}s of shape {run.preprocess.shape}"
        )


class Objective:
    """What is raised, of any pictures that the layers on the way take: (N, C, H, W) in 0..1 -> (N,)"""

    def __init__(self, run: Run, target: Target) -> None:
        self.run, self.target = run, target
        self.front = Inside(run).parts.until(target.layer).eval() if target.number is None else None

    def __call__(self, x: Tensor) -> Tensor:
        if self.front is None:
            logits = self.run.model(x)  # (N, K)
            others = [k for k in range(logits.shape[1]) if k != self.target.number]
            return logits[:, self.target.number] - logits[:, others].logsumexp(1)
        y = self.front(self.run.model.normalized(x))  # (N, O, ...)
        if self.target.map is None:
            return y.flatten(1).square().mean(1) / 2
        return y[:, self.target.map].reshape(len(y), -1).mean(1)

    @property
    def ground(self) -> Tensor:
        """(C,) the mean colour of the data that was learnt from; grey where nobody knows."""
        return torch.tensor(self.run.preprocess.mean or (0.5,) * self.run.preprocess.shape[0])

    def slope(self, x: Tensor) -> tuple[float, Tensor]:
        """The mean over N pictures, and its gradient, as x."""
        x = x.detach().requires_grad_(True)
        value = self(x).mean()
        return value.item(), torch.autograd.grad(value, x)[0]

    def refusal(self, height: int, width: int) -> str:
        """Why a picture of that size cannot be asked about; "" where it can."""
        try:
            with torch.no_grad():
                self(torch.zeros(1, self.run.preprocess.shape[0], height, width))
        except (RuntimeError, ValueError, IndexError, InputError) as e:
            return str(e).partition("\n")[0]
        return ""

    def check(self, height: int, width: int) -> None:
        """Raises InputError where the network does not take such a picture."""
        reason = self.refusal(height, width)
        if reason:
            own = "×".join(map(str, self.run.preprocess.shape[1:]))
            raise InputError(
                f"{self.target.name} of {self.run.network.name} cannot be asked about a picture of {height}×{width} "
                f"({reason}). Its own size is {own}; name another --size"
            )


def unit(slope: Tensor) -> Tensor:
    """Brought to a mean square of 1; nothing stays nothing."""
    size = slope.square().mean().sqrt()
    return slope / size if size > 0 else slope

"""Whether evidence can be trusted: what becomes of the answer where it points, and what becomes of it without weights.

Deletion and insertion, Petsiuk, Das, Saenko 2018 (RISE), section 4.1: pixels go, or come, in the order of their
evidence; the area under the answer is small, or large, where that order is right. Pixels that are gone have the mean
colour of the training data; those that are to come, a blur of the picture (of a vector: that mean as well). The same
in R random orders is chance. Scattered holes spoil a photograph sooner than one hole of the same size, wherever it is;
so the same evidence moved elsewhere, R times, is a second measure: it has the grain of the true one, and not its place.

The sanity check of Adebayo et al. 2018: weights are spoilt layer by layer from the head down; evidence that stays as
it was says nothing of what was learnt. They are shuffled within each parameter, where the paper draws them anew: so
they keep their sizes, and the maps behind them theirs.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from hubel.explanation.heat import Targets, asked, attribute, mean
from hubel.explanation.inside import asking
from hubel.run import Run, at_once
from hubel.zoo.parts import Parts

STEPS = 20  # in which all pixels go or come
REPEATS = 6  # random orders, and places that the evidence is moved to
BLUR = 1 / 8  # of the longer side: standard deviation of the blur
FEWEST = 8  # cells whose ranks are compared
DEPTHS = 6  # of spoilt weights, from the head alone to all

Kind = Literal["deletion", "insertion"]


@dataclass(frozen=True)
class Curves:
    """The answer while pixels go (deletion) or come (insertion), for N pictures.

    shares: (S,) of the pixels that are gone or there   followed: (N, S), in the order of evidence
    random: (R, N, S), in random orders   moved: (R, N, S), by the evidence moved elsewhere, around the edges
    The answer is a class's probability; with a contrast that of A among A and B.
    """

    kind: Kind
    shares: np.ndarray
    followed: np.ndarray
    random: np.ndarray
    moved: np.ndarray

    @property
    def area(self) -> np.ndarray:
        """(N,): the mean height of the curve."""
        return np.trapezoid(self.followed, self.shares)

    @property
    def random_areas(self) -> np.ndarray:
        """(R, N)"""
        return np.trapezoid(self.random, self.shares)

    @property
    def moved_areas(self) -> np.ndarray:
        """(R, N)"""
        return np.trapezoid(self.moved, self.shares)

    def gain(self, areas: np.ndarray) -> np.ndarray:
        """(N,): by how much the area is better than the mean of `areas`, (R, N); > 0 is better."""
        gain = self.area - areas.mean(0)
        return -gain if self.kind == "deletion" else gain


def curves(
    run: Run, x: np.ndarray, heat: np.ndarray, kind: Kind, targets: Targets, *, contrast: Targets | None = None,
    repeats: int = REPEATS, seed: int = 0,
) -> Curves:  # fmt: skip
    """x: (N, C, H, W) in 0..1, or (N, D)   heat: (N, H, W) or (N, D); the largest goes or comes first

    Equal heat is ordered by chance.
    """
    inputs = torch.as_tensor(x, dtype=torch.float32)
    weights = asked(run, len(inputs), targets, contrast)
    rng = np.random.default_rng(seed)
    shares = np.linspace(0, 1, STEPS + 1)
    orders = [_ordered(heat, rng)]
    orders += [_ordered(np.zeros_like(heat), rng) for _ in range(repeats)]
    orders += [_ordered(np.stack([_moved(row, rng) for row in heat]), rng) for _ in range(repeats)]
    with asking(run, seed), torch.no_grad():
        gone = mean(run, inputs.to(run.model.mean.device)).cpu()
        to_come = blurred(inputs) if inputs.dim() == 4 else gone
        before, after = (inputs, gone) if kind == "deletion" else (to_come, inputs)
        found = np.stack([_along(run, before, after, order, shares, weights) for order in orders])
    return Curves(kind, shares, found[0], found[1 : 1 + repeats], found[1 + repeats :])


def _ordered(heat: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N, …) -> (N, P): places of cells by their heat, the largest first; equal ones by chance."""
    cells = heat.reshape(len(heat), -1)
    drawn = rng.permuted(np.tile(np.arange(cells.shape[1]), (len(cells), 1)), axis=1)
    by_heat = np.argsort(-np.take_along_axis(cells, drawn, 1), axis=1, kind="stable")
    return np.take_along_axis(drawn, by_heat, 1)


def _moved(heat: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """By at least a quarter of each side; what leaves at one edge comes in at the other."""
    least = [-(-side // 4) for side in heat.shape]
    by = [int(rng.integers(q, max(q, side - q) + 1)) for q, side in zip(least, heat.shape, strict=True)]
    return np.roll(heat, by, tuple(range(heat.ndim)))


def _along(
    run: Run, before: Tensor, after: Tensor, order: np.ndarray, shares: np.ndarray, weights: Tensor
) -> np.ndarray:
    """(N, S): the answer where the first cells of each picture, in its order, come from `after`, else from `before`."""
    rank = torch.from_numpy(np.argsort(order, 1)).view(len(before), *_spread(before))
    count = order.shape[1]
    pictures = [
        torch.where(rank < round(float(share) * count), after, before) for share in shares
    ]  # S times (N, …)
    flat = torch.stack(pictures, 1).flatten(0, 1)  # (N S, …)
    repeated = weights.repeat_interleave(len(shares), 0)
    step = at_once(before.shape[1:])
    found = [answer(run, x, w) for x, w in zip(flat.split(step), repeated.split(step), strict=True)]
    return np.concatenate(found).reshape(len(before), len(shares))


def _spread(x: Tensor) -> tuple[int, ...]:
    """The shape of one input's cells, to stand beside its channels."""
    return (1, *x.shape[2:]) if x.dim() == 4 else tuple(x.shape[1:])


def answer(run: Run, x: Tensor, weights: Tensor) -> np.ndarray:
    """(n,): the probability of the class that is asked for; among the two of a contrast; of a regression its value."""
    device = run.model.mean.device
    logits = run.model(x.to(device)).cpu()
    if run.task == "regress":
        return (logits * weights).sum(1).numpy()
    if (weights < 0).any():
        return (logits * weights).sum(1).sigmoid().numpy()
    return (logits.softmax(1) * weights).sum(1).numpy()


def blurred(x: Tensor) -> Tensor:
    """(N, C, H, W) under a Gaussian of BLUR of the longer side; beyond its edge the picture goes on as there."""
    deviation = BLUR * max(x.shape[2:])
    reach = round(2 * deviation)
    bell = torch.exp(-(torch.arange(-reach, reach + 1) ** 2) / (2 * deviation**2))
    bell = (bell / bell.sum()).to(x)
    padded = torch.nn.functional.pad(x.flatten(0, 1)[:, None], (reach,) * 4, mode="replicate")
    rows = torch.nn.functional.conv2d(padded, bell.view(1, 1, -1, 1))
    return torch.nn.functional.conv2d(rows, bell.view(1, 1, 1, -1)).view(x.shape)


@dataclass(frozen=True)
class Spoilt:
    """Evidence with weights shuffled from the head down to `layer`.

    layers: how many   likeness: (N,) rank correlation with the evidence of the true weights
    """

    layer: str
    layers: int
    likeness: np.ndarray


def spoilt(
    run: Run, x: np.ndarray, method: str, targets: Targets, heat: np.ndarray, *, layer: str | None = None,
    contrast: Targets | None = None, seed: int = 0, depths: int = DEPTHS,
) -> Iterator[Spoilt]:  # fmt: skip
    """The sanity check: at up to `depths` depths, from the head alone to all layers with weights.

    heat: as `attribute` found it. Rank correlation (Spearman) is of absolute values: the colour's strength, not its
    sign, says where to look. Evidence that is the same everywhere is like nothing: 0.
    """
    model = copy.deepcopy(run.model)
    other = Run(run.path, run.card, model, run.settings)
    weighing = list(reversed(Parts(model.network).weighing))
    generator = torch.Generator().manual_seed(seed)
    wanted = set(np.linspace(1, len(weighing), min(depths, len(weighing))).round().astype(int).tolist())
    for count, (group, parameters) in enumerate(weighing, 1):
        with torch.no_grad():
            for p in parameters:
                drawn = torch.randperm(p.numel(), generator=generator).to(p.device)
                p.copy_(p.flatten()[drawn].view_as(p))
        if count in wanted:
            found = attribute(
                other, x, method, targets, layer=layer, contrast=contrast, seed=seed, exact=False
            )
            likeness = [likeness_of(a, b) for a, b in zip(np.abs(heat), np.abs(found.heat), strict=True)]
            yield Spoilt(group.name, count, np.array(likeness))


def likeness_of(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's correlation: of the ranks, equal numbers sharing the mean of theirs; 0 where one is flat.

    NaN for fewer than FEWEST cells, whose order says little: of two it is 1 or -1 whatever the weights are.

    Cells where both are 0 are left out: where a picture is black, input times anything is 0 with any weights.
    """
    if a.size < FEWEST:
        return float("nan")
    some = (a != 0) | (b != 0)
    ranks = [_ranks(values[some]) for values in (a, b)]
    spread = [float(rank.std()) for rank in ranks if len(rank)]
    if min(spread, default=0) == 0:
        return 0.0
    first, second = (rank - rank.mean() for rank in ranks)
    return float((first * second).mean() / (spread[0] * spread[1]))


def _ranks(values: np.ndarray) -> np.ndarray:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return (last - (count - 1) / 2)[place]

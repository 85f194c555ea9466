"""Deep Dream: a photograph in which a network sees more of what it saw. Mordvintsev, Olah, Tyka 2015, "Inceptionism".

The photograph is gone through from small to large; at each size (octave) it is moved up the gradient, and what was
added is carried to the next. Gradients are brought to a mean size of 1, and are taken of tiles, so that memory does
not grow with the picture; the tiles' borders lie elsewhere at each step.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from hubel.explanation.inside import asking
from hubel.explanation.objective import Dream, Moment, Objective, Target, Watch, only_pictures
from hubel.run import Run


@dataclass(frozen=True)
class Retouching:
    """How a photograph is dreamt on.

    steps: at each octave   octaves: sizes, the last the photograph's own   ratio: of one to the one before
    step: how far a pixel moves on average, in 0..1   tile: pixels a side, at most, that are asked about at once
    seed: of the tiles' places
    """

    steps: int = 10
    octaves: int = 4
    ratio: float = 1.4
    step: float = 0.006  # one and a half of 255 levels
    tile: int = 400
    seed: int = 0


def deepdream(
    run: Run, target: Target, photograph: Tensor, how: Retouching | None = None, watch: Watch | None = None
) -> Dream:
    """photograph: (C, H, W) float in 0..1; any size that the layers up to the target take   ->   the same, dreamt on

    watch: told how it stands, at each step; its pictures have the octave's size
    Raises InputError where the network does not take the photograph's size.
    """
    only_pictures(run)
    how = how or Retouching()
    generator = torch.Generator().manual_seed(how.seed)
    with asking(run, how.seed):
        raised = Objective(run, target)
        sizes = octaves(raised, (photograph.shape[1], photograph.shape[2]), how)
        with torch.no_grad():
            began = raised(photograph[None]).item()
        added = torch.zeros(1, photograph.shape[0], *sizes[0])
        for octave, size in enumerate(sizes):
            base, added = resized(photograph[None], size), resized(added, size)  # (1, C, h, w) each
            x = (base + added).clamp(0, 1)
            for step in range(1, how.steps + 1):
                value, up = tiled(raised, x, how.tile, generator)
                mean = up.abs().mean()
                x = (x + how.step * up / mean).clamp(0, 1) if mean > 0 else x
                if watch:
                    watch(Moment(octave * how.steps + step, len(sizes) * how.steps, x[0], value))
            added = x - base
        with torch.no_grad():
            return Dream(target, x[0].numpy(), began, raised(x).item())


def octaves(raised: Objective, size: tuple[int, int], how: Retouching) -> list[tuple[int, int]]:
    """(H, W) from small to large, without those that the layers do not take. Raises InputError if `size` is such."""
    raised.check(*size)
    smaller = [
        (round(size[0] / how.ratio**n), round(size[1] / how.ratio**n)) for n in range(how.octaves - 1, 0, -1)
    ]
    return [*(s for s in smaller if min(s) > 0 and not raised.refusal(*s)), size]


def tiled(raised: Objective, x: Tensor, tile: int, generator: torch.Generator) -> tuple[float, Tensor]:
    """The mean value over tiles of (1, C, H, W), and the gradient of each put together, as x.

    The picture is rolled by a random shift first; tiles are equal, but for a pixel. One tile is the picture as it is.
    """
    height, width = x.shape[2:]
    rows, columns = parts(height, tile), parts(width, tile)
    if len(rows) == len(columns) == 1 and not raised.target.layer:
        return raised.slope(x)  # a class is told by where things lie: what is rolled is another picture
    down, right = (int(torch.randint(n, (1,), generator=generator)) for n in (height, width))
    rolled, slopes, values = x.roll((down, right), (2, 3)), torch.zeros_like(x), []
    for top, bottom in rows:
        for left, edge in columns:
            value, slopes[:, :, top:bottom, left:edge] = raised.slope(rolled[:, :, top:bottom, left:edge])
            values.append(value)
    return sum(values) / len(values), slopes.roll((-down, -right), (2, 3))


def parts(length: int, most: int) -> list[tuple[int, int]]:
    """Begin and end of as few parts as keep to `most`, equal but for one."""
    count = math.ceil(length / most)
    ends = [length * n // count for n in range(count + 1)]
    return list(itertools.pairwise(ends))


def resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, H, W) brought to `size`, bilinear; averaged over what is covered where it shrinks."""
    return F.interpolate(x, size, mode="bilinear", antialias=True) if x.shape[2:] != size else x

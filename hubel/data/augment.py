"""Augmentation of a whole batch at once, on the device, seeded by (seed, epoch, step).

Rotation, scale, shift, zoom, elastic and flip become one map and one interpolation; where only whole pixels move
(flip, crop, shift alone) one gather does it. Outside the picture its edge is repeated (mirrored for `crop`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

ELASTIC = 7  # pixels between the knots of elastic: about the width of a stroke and its surroundings


@dataclass(frozen=True)
class Augment:
    """What may happen to a picture; each number is the largest change, drawn uniformly each way unless said otherwise.

    shift: pixels · rotate: degrees · scale: share · flip: left-right, p = 1/2 · crop: pixels of mirrored margin
    multiscale: enlarge by 1 to 1 + this, then a window of the old size at random (Simonyan and Zisserman 2014, 3.1)
    elastic: deviation of the displacements, in pixels, at knots of a net of ELASTIC pixels; between them it is smooth
        (as Simard, Steinkraus and Platt 2003 blur a field of noise, at a fraction of the work)
    cutout: side of a square set to the picture's mean (DeVries and Taylor 2017), clipped at the edge
    brightness: share of the full scale, added
    colour_pca: deviation of the amounts of the colours' principal components that are added
        (Krizhevsky et al. 2012, 4.1); `components` (C, C) holds them as columns, each times its eigenvalue
    """

    shift: float = 0.0
    rotate: float = 0.0
    scale: float = 0.0
    flip: bool = False
    crop: int = 0
    multiscale: float = 0.0
    elastic: float = 0.0
    cutout: int = 0
    brightness: float = 0.0
    colour_pca: float = 0.0
    components: tuple[tuple[float, ...], ...] = ()

    @property
    def idle(self) -> bool:
        """Whether pictures stay as they are."""
        return self == Augment(components=self.components)

    def __call__(
        self, x: Tensor, seed: Sequence[int], mirrored: np.ndarray | None = None, of: PartOf | None = None
    ) -> Tensor:
        """x: (N, C, H, W) float in 0..1   seed: such as (seed, epoch, step)   ->   the same shape; x is not changed.

        mirrored: (N,) bool, which pictures `flip` mirrors; drawn where None
        of: (N,) places of x in a batch, and the size of that: what happens is what would happen to them there
        """
        drawn = np.random.default_rng([*seed])
        rng: Drawn = drawn if of is None else _PartOf(drawn, *of)
        if self.rotate or self.scale or self.multiscale or self.elastic:
            x = self._affine(self._moved(x, rng, mirrored, crop=self.crop, shift=0), rng)
        elif self.shift or self.crop or self.flip:
            x = self._moved(x, rng, mirrored, crop=self.crop, shift=round(self.shift))
        if self.cutout:
            x = self._cut(x, rng)
        if self.brightness:
            x = x + _per_item(rng.uniform(-self.brightness, self.brightness, len(x)), x)
        if self.colour_pca:
            columns = np.asarray(self.components)  # (C, components)
            added = rng.normal(0, self.colour_pca, (len(x), columns.shape[1])) @ columns.T  # (N, C)
            x = x + torch.as_tensor(added, dtype=x.dtype, device=x.device)[:, :, None, None]
        return x

    def _moved(self, x: Tensor, rng: Drawn, mirrored: np.ndarray | None, *, crop: int, shift: int) -> Tensor:
        """Whole pixels: a window of the padded picture, mirrored or not. The gather leaves channels last."""
        if not (crop or shift or self.flip):
            return x
        n, _, height, width = x.shape
        margin = crop or shift
        margin = min(margin, height - 1, width - 1)  # mirroring has no more than that to show
        if margin:
            x = F.pad(x, (margin,) * 4, mode="reflect" if crop else "replicate")
        rows = rng.integers(0, 2 * margin + 1, (n, 1)) + np.arange(height)  # (N, H)
        columns = rng.integers(0, 2 * margin + 1, (n, 1)) + np.arange(width)  # (N, W)
        if self.flip:
            mirrored = rng.random(n) < 0.5 if mirrored is None else mirrored
            columns[mirrored] = columns[mirrored, ::-1]
        item = torch.arange(n, device=x.device)[:, None, None]
        i = torch.as_tensor(rows, device=x.device)[:, :, None]
        j = torch.as_tensor(columns, device=x.device)[:, None, :]
        return x[item, :, i, j].permute(0, 3, 1, 2)  # (N, H, W, C) -> (N, C, H, W)

    def _affine(self, x: Tensor, rng: Drawn) -> Tensor:
        """Rotation, scale, zoom and shift as one bilinear interpolation."""
        n, _, height, width = x.shape
        angle = np.deg2rad(rng.uniform(-self.rotate, self.rotate, n))
        size = 1 + rng.uniform(-self.scale, self.scale, n)
        zoom = 1 + rng.uniform(0, self.multiscale, n)
        # An output place is mapped to the input place it is read from, in units of half the picture: hence 1 / size.
        cos, sin = np.cos(angle) / (size * zoom), np.sin(angle) / (size * zoom)
        room = 1 - 1 / zoom
        right = rng.uniform(-1, 1, n) * room + rng.uniform(-self.shift, self.shift, n) * 2 / width
        down = rng.uniform(-1, 1, n) * room + rng.uniform(-self.shift, self.shift, n) * 2 / height
        # Built by hand: F.affine_grid does the same by a batched matrix product, which costs more than the sampling.
        i = torch.as_tensor((2 * np.arange(height) + 1) / height - 1, dtype=x.dtype, device=x.device)[:, None]
        j = torch.as_tensor((2 * np.arange(width) + 1) / width - 1, dtype=x.dtype, device=x.device)
        place = [_per_item(a, x)[:, 0] for a in (cos, sin, right, down)]  # (N, 1, 1) each
        grid = x.new_empty(n, height, width, 2)  # a row's part and a column's, added where they meet
        torch.add(place[0] * j + place[2], place[1] * (-height / width) * i, out=grid[..., 0])
        torch.add(place[1] * (width / height) * j + place[3], place[0] * i, out=grid[..., 1])
        if self.elastic:
            grid = grid + self._displaced(x, rng)
        return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)

    def _displaced(self, x: Tensor, rng: Drawn) -> Tensor:
        """(N, H, W, 2) smooth displacements in units of half the picture."""
        n, _, height, width = x.shape
        knots = (round(height / ELASTIC) + 1, round(width / ELASTIC) + 1)
        drawn = rng.normal(0, self.elastic, (n, 2, *knots)) * (2 / np.array([width, height])[:, None, None])
        field = torch.as_tensor(drawn, dtype=x.dtype, device=x.device)
        smooth = F.interpolate(field, (height, width), mode="bicubic", align_corners=True)
        return smooth.permute(0, 2, 3, 1)

    def _cut(self, x: Tensor, rng: Drawn) -> Tensor:
        """A square at a random centre, which may lie partly outside, becomes the picture's mean colour."""
        n, _, height, width = x.shape
        top = rng.integers(0, height, n) - self.cutout // 2
        left = rng.integers(0, width, n) - self.cutout // 2
        rows = (np.arange(height) >= top[:, None]) & (
            np.arange(height) < top[:, None] + self.cutout
        )  # (N, H)
        columns = (np.arange(width) >= left[:, None]) & (np.arange(width) < left[:, None] + self.cutout)
        hole = torch.as_tensor(
            rows[:, None, :, None] & columns[:, None, None, :], device=x.device
        )  # (N, 1, H, W)
        return torch.where(hole, x.mean((2, 3), keepdim=True), x)


PartOf = tuple[np.ndarray, int]


class _PartOf:
    """Draws for a whole batch, and gives the part for the items at `places` in it."""

    def __init__(self, rng: np.random.Generator, places: np.ndarray, count: int) -> None:
        self.rng, self.places, self.count = rng, places, count

    def __getattr__(self, name: str) -> Callable[..., np.ndarray]:
        def draw(*given: Any) -> np.ndarray:
            *others, size = given
            size = (self.count, *size[1:]) if isinstance(size, tuple) else self.count
            return getattr(self.rng, name)(*others, size)[self.places]

        return draw


Drawn = np.random.Generator | _PartOf


def mirrored_first(count: int, seed: int) -> np.ndarray:
    """(count,) bool: which half of the items `flip` mirrors in odd epochs; in even ones it is the other half's turn.

    So two epochs in a row show every picture both ways, which a coin would do for half of them only
    (Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU", section 3.6).
    """
    return np.random.default_rng([seed, 0]).random(count) < 0.5


def principal_components(pictures: np.ndarray) -> tuple[tuple[float, ...], ...]:
    """(N, C, H, W) uint8 -> (C, C): eigenvectors of the covariance of the pixels' colours in 0..1, each times its
    eigenvalue, as columns (Krizhevsky et al. 2012, section 4.1). At most 10,000 pictures are looked at."""
    chosen = pictures[:: max(1, len(pictures) // 10_000)]
    colours = chosen.transpose(1, 0, 2, 3).reshape(chosen.shape[1], -1) / 255.0
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(colours)))
    return tuple(map(tuple, (vectors * values).tolist()))


def _per_item(amounts: np.ndarray, x: Tensor) -> Tensor:
    return torch.as_tensor(amounts, dtype=x.dtype, device=x.device).view(-1, 1, 1, 1)

"""A picture repainted by optimisation. Gatys, Ecker, Bethge 2016, "Image style transfer using convolutional neural
networks": its layers' maps shall stay the content's (equation 1), their correlations become the style's (3 to 5).

Differs from the paper: each loss is a share of what is wanted, so that weights mean the same at any layer of any
network: content |F - P|² / |P|², style |G - A|² / |A|², averaged over the layers. Any network with weights serves, not
VGG alone. The picture begins as the content, and is learnt by Adam through its waves and colours (painting.py), first
at half its size: steps on pixels end in grain where a network has a stride in its first layer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hubel.errors import InputError
from hubel.explanation.deepdream import resized
from hubel.explanation.inside import Inside, asking
from hubel.explanation.objective import last_of_sizes
from hubel.explanation.painting import Canvas, total_variation
from hubel.run import Run


@dataclass(frozen=True)
class Styling:
    """How a picture is repainted.

    steps: of Adam, at each size   sizes: shares of the picture's size, one after the other
    lr: of a wave, where waves of deviation 1 are a picture in full contrast
    content, style, smooth: weights of the three losses
    content_layer, style_layers: names; chosen on the graph where empty
    """

    steps: int = 60
    sizes: tuple[float, ...] = (0.5, 1.0)
    lr: float = 0.02
    content: float = 1.0
    style: float = 20.0
    smooth: float = 0.2
    content_layer: str = ""
    style_layers: tuple[str, ...] = ()
    seed: int = 0


@dataclass(frozen=True)
class Losses:
    """content, style: how far the maps and the correlations are off, as shares; smooth: the total variation"""

    content: float
    style: float
    smooth: float


@dataclass(frozen=True)
class Stroke:
    """How it stands after `step` of `steps`. picture: (3, H, W) in 0..1"""

    step: int
    steps: int
    picture: Tensor
    losses: Losses


def gram(maps: Tensor) -> Tensor:
    """G[i,j] = sum_k F[i,k] F[j,k] / (H W): how maps go together, wherever they do. (N, C, H, W) -> (N, C, C)"""
    flat = maps.flatten(2)
    return flat @ flat.transpose(1, 2) / flat.shape[2]


def usual_layers(run: Run) -> tuple[str, tuple[str, ...]]:
    """The content's layer and the style's: the last of each size of maps with 8 cells a side or more.

    The content is kept at the last but one: a cell of the last sees too much of the picture to keep a face.
    Raises InputError where the network has no maps.
    """
    names = last_of_sizes(run, least=8)
    return names[-2:][0], names


def restyle(
    run: Run, content: Tensor, style: Tensor, how: Styling | None = None,
    watch: Callable[[Stroke], None] | None = None,
) -> np.ndarray:  # fmt: skip
    """content: (3, H, W), style: (3, h, w), float in 0..1   ->   (3, H, W) float32 in 0..1

    watch: told how it stands, at each step; its pictures have the size of that step
    Raises InputError for a layer without maps, or a picture that is too small for the network.
    """
    how = how or Styling()
    usual = usual_layers(run)
    kept, painted = how.content_layer or usual[0], how.style_layers or usual[1]
    with asking(run, how.seed):
        look = _Look(run, tuple(dict.fromkeys((kept, *painted))))
        x = content[None]  # (1, 3, H, W)
        for place, share in enumerate(how.sizes):
            goal, wanted = (
                resized(content[None], _scaled(content, share)),
                resized(style[None], _scaled(style, share)),
            )
            with torch.no_grad():
                maps, correlations = look(goal)[kept], {n: gram(m) for n, m in look(wanted).items()}
            canvas = Canvas.of(resized(x, _scaled(content, share))[0])
            optimizer = torch.optim.Adam([canvas.waves], lr=how.lr)
            for step in range(1, how.steps + 1):
                x = canvas.picture()
                seen = look(x)
                losses = (
                    off(seen[kept], maps),
                    torch.stack([off(gram(seen[name]), correlations[name]) for name in painted]).mean(),
                    total_variation(x).mean(),
                )
                optimizer.zero_grad()
                (how.content * losses[0] + how.style * losses[1] + how.smooth * losses[2]).backward()
                optimizer.step()
                if watch:
                    told = Losses(*(loss.item() for loss in losses))
                    watch(Stroke(place * how.steps + step, len(how.sizes) * how.steps, x.detach()[0], told))
            x = canvas.picture().detach()
        return x[0].numpy()  # fmt: skip


def off(found: Tensor, goal: Tensor) -> Tensor:
    """|found - goal|² / |goal|²"""
    return (found - goal).square().sum() / goal.square().sum().clamp(min=1e-12)


def _scaled(picture: Tensor, share: float) -> tuple[int, int]:
    return round(share * picture.shape[1]), round(share * picture.shape[2])


class _Look:
    """x: (1, 3, H, W) in 0..1   ->   the maps of each named layer"""

    def __init__(self, run: Run, names: tuple[str, ...]) -> None:
        inside = Inside(run)
        for name in names:
            inside.with_maps(name)
        self.run, self.names = run, names
        self.front = inside.parts.giving(names, answer=False).eval()

    def __call__(self, x: Tensor) -> dict[str, Tensor]:
        try:
            found = self.front(self.run.model.normalized(x))
        except (RuntimeError, ValueError) as e:
            raise InputError(
                f"{self.run.network.name} cannot be asked about a picture of {x.shape[2]}×{x.shape[3]} "
                f"({str(e).partition(chr(10))[0]}): name a larger --size, or earlier layers"
            ) from e
        return dict(zip(self.names, found, strict=True))

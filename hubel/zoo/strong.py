"""Our own network for small colour pictures where accuracy counts more than time; what each part gives is known from
others, and what all of it gives is in docs/measured.md.

    the stem whitens (Coates, Ng, Lee 2011; in fast trainings: Page 2019, Jordan 2024, arXiv:2404.00498):
        its kernels are the principal components of the data's 2x2 patches, each with both signs, scaled to
        deviation 1; `adapt` finds them before training. Whitened numbers need no norm.
    three stages of two 3x3 convolutions, each with batch norm and GELU; the pooling stands right after a stage's first,
        as in fast.py
    a convolution begins as the identity on as many maps as it has both ways (Dirac), the rest as PyTorch has it
    norms shift and do not scale: their shifts learn at a rate of their own (`bias_lr` of the recipe), and their
        averages follow the last few steps, as a training has some hundred of them
    the logits are a ninth of what the last layer gives, which so may learn at the rate of the convolutions
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hubel.errors import ShapeError
from hubel.zoo.fast import times

LEAST = 9  # pixels of a side: 9 -> 8 -> 4 -> 2 -> 1
# Beside each variance: the weakest components are noise in JPEGs, and are not made as strong as the others. With 5e-4,
# as for the original files of CIFAR-10, ten epochs ended at 94.4 % in training and 89.9 % in the test.
NOISE = 1e-2
FOLLOWS = 0.4  # share of a batch's mean and variance in the averages of a norm
LOGITS = 1 / 9


class StrongPictures(nn.Module):
    """whitening -> three stages, each halving -> global maximum -> linear. width: factor on the maps of the stages."""

    def __init__(
        self, classes: int = 10, input: Sequence[int] = (3, 32, 32), width: float = 1.0,  # noqa: A002
    ) -> None:  # fmt: skip
        super().__init__()
        channels, *sides = input
        if min(sides) < LEAST:
            raise ShapeError(
                f"pictures of {sides[0]}x{sides[1]} are too small for three halvings: they need {LEAST} pixels each "
                f"way; enlarge them with --input {LEAST}x{LEAST}"
            )
        maps = 8 * channels
        self.whiten = nn.Conv2d(channels, maps, 2)
        self.whiten.weight.requires_grad_(False)
        stages: list[nn.Module] = []
        for wide in times((64, 256, 256), width):
            stages += _unit(maps, wide, pool=True) + _unit(wide, wide)
            maps = wide
        self.features = nn.Sequential(
            *stages
        )  # (N, 64, 15, 15), (N, 256, 7, 7), (N, 256, 3, 3) of a 32x32 picture
        self.pool = nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten())  # (N, 256)
        self.classifier = nn.Linear(maps, classes, bias=False)
        for layer in self.features:
            if isinstance(layer, nn.Conv2d):
                nn.init.dirac_(layer.weight.data[: layer.in_channels])
        nn.init.constant_(self.whiten.get_parameter("bias"), 0)

    @torch.no_grad()
    def adapt(self, x: Tensor) -> None:
        """Set the stem's kernels by pictures that are to be learnt from. x: (N, C, H, W) as forward takes them

        With u_k, l_k the eigenvectors and eigenvalues of the patches' covariance: kernels +-u_k / sqrt(l_k + NOISE).
        """
        patches = F.unfold(x, 2).transpose(1, 2).flatten(0, 1).double()  # (N P, 4 C)
        patches = patches - patches.mean(0)
        variances, components = torch.linalg.eigh(patches.T @ patches / len(patches))  # columns of components
        kernels = (components / (variances + NOISE).sqrt()).T.flip(0)  # (4 C, 4 C), the strongest first
        self.whiten.weight.copy_(torch.cat([kernels, -kernels]).view_as(self.whiten.weight))

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.whiten(x))  # (N, 24, 31, 31)
        return self.classifier(self.pool(self.features(x))) * LOGITS


def _unit(before: int, after: int, *, pool: bool = False) -> list[nn.Module]:
    """conv - (pool) - norm that shifts - GELU."""
    norm = nn.BatchNorm2d(after, momentum=FOLLOWS)
    norm.weight.requires_grad_(False)
    convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
    return [convolution, *([nn.MaxPool2d(2)] if pool else []), norm, nn.GELU()]

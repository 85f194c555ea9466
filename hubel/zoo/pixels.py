"""The wrapper in which every network comes to hand: pixels in, logits out.

The network on disk is the zoo's, with its published key names. In hand it also carries how pixels become its input,
so that attacks, explanations and exports all speak in pixels 0..1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Pixels(nn.Module):
    """network((x - mean) / std), averaged over the mirror image where that was agreed at training.

    x: (N, C, H, W) float in 0..1, or (N, D) numbers where `picture` is False   ->   (N, K) logits
    mean, std: one per channel or column; empty for 0 and 1.  order: "rgb", or "bgr" for networks fed that way.
    mirror: in eval mode answer with the mean of the logits of the picture and of its left-right mirror image
        (Krizhevsky et al. 2012, section 4.1, does so among ten crops).
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, network: nn.Module, mean: Sequence[float] = (), std: Sequence[float] = (), order: str = "rgb", *,
        picture: bool = True, mirror: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.network, self.order, self.mirror = network, order, mirror
        self.along = (1, -1, 1, 1) if picture else (1, -1)  # where the channels or columns of an input stand
        self.register_buffer("mean", torch.tensor(list(mean), dtype=torch.float32), persistent=False)
        self.register_buffer("std", torch.tensor(list(std), dtype=torch.float32), persistent=False)

    def normalized(self, x: Tensor) -> Tensor:
        """x in the units that the network was trained on."""
        if self.order == "bgr":
            x = x.flip(1)
        if self.mean.numel():
            x = (x - self.mean.view(self.along)) / self.std.view(self.along)
        return x

    def forward(self, x: Tensor) -> Tensor:
        x = self.normalized(x)
        if self.mirror and not self.training:
            return (self.network(x) + self.network(x.flip(3))) / 2
        return self.network(x)

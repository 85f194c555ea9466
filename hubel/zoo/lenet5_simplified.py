"""The simplified LeNet-5 of the lectures: two strided convolutions do the subsampling themselves.

Simard, Steinkraus, Platt 2003, "Best practices for convolutional neural networks applied to visual document analysis",
in the form with 6 and 50 maps that the lectures count: each kernel slice has its own bias, so the second layer
has 50 x 6 x (25 + 1) = 7,800 weights; 156 + 7,800 + 125,100 + 1,010 in all.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hubel.shapes import windowed
from hubel.zoo.lenet5 import ScaledTanh


class SliceBiasConv2d(nn.Module):
    """A convolution with a bias per kernel slice: y[o] = sum_c (x[c] * w[o, c] + b[o, c]).

    weight: (O, C, F, F)   bias: (O, C)
    """

    def __init__(self, channels: int, maps: int, kernel: int, stride: int) -> None:
        super().__init__()
        bound = (channels * kernel * kernel) ** -0.5
        self.weight = nn.Parameter(torch.empty(maps, channels, kernel, kernel).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(maps, channels))
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, self.bias.sum(1), self.stride)


class SimplifiedLeNet5(nn.Module):
    def __init__(self, classes: int = 10, input: Sequence[int] = (1, 29, 29)) -> None:  # noqa: A002
        super().__init__()
        channels, height, width = input
        h, w = (windowed(windowed(size, 5, 2), 5, 2) for size in (height, width))
        self.features = nn.Sequential(                               # (N,  1, 29, 29)
            SliceBiasConv2d(channels, 6, 5, 2), ScaledTanh(),        # (N,  6, 13, 13)
            SliceBiasConv2d(6, 50, 5, 2), ScaledTanh(),              # (N, 50,  5,  5)
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Flatten(),                                            # (N, 1250)
            nn.Linear(50 * h * w, 100), ScaledTanh(),
            nn.Linear(100, classes),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))

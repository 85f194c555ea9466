"""AlphaGo's policy network. Silver et al. 2016, "Mastering the game of Go with deep neural networks and tree search".

Methods, "Neural network architecture": 48 planes that describe the board go through a 5x5 convolution, eleven of 3x3
and one of 1x1; the last has a bias of its own at each point of the board. One logit for each of the 361 moves.
3,882,793 parameters with the 192 maps of the match; 128, 256 and 384 were tried too (width 2/3, 4/3 and 2).

Where the classes are not the points of the board, there is no move to each point: the mean over each of the last
192 maps and a linear layer answer instead, so that the same body can be tried on any pictures.
Initialisation: He et al. 2015 (normal, fan in), zero biases; the paper does not say.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hubel.zoo.fresh import he
from hubel.zoo.sizes import picture, scaled


class Moves(nn.Module):
    """A logit for each point: y[n, i W + j] = sum_c x[n, c, i, j] w[c] + b[i, j].

    (N, C, H, W) -> (N, H W)
    """

    def __init__(self, maps: int, height: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(maps, 1, 1, bias=False)
        self.bias = nn.Parameter(torch.zeros(height, width))

    def forward(self, x: Tensor) -> Tensor:
        return (self.conv(x) + self.bias).flatten(1)


class AlphaGoPolicy(nn.Module):
    """width: factor on the 192 maps"""

    def __init__(
        self, classes: int = 361, input: Sequence[int] = (48, 19, 19), width: float = 1.0  # noqa: A002
    ) -> None:  # fmt: skip
        super().__init__()
        planes, rows, columns = picture(input)
        maps = scaled(192, width)
        # fmt: off
        layers: list[nn.Module] = [nn.Conv2d(planes, maps, 5, padding=2), nn.ReLU()]    # (N, 192, 19, 19)
        for _ in range(11):
            layers += [nn.Conv2d(maps, maps, 3, padding=1), nn.ReLU()]                  # (N, 192, 19, 19)
        # fmt: on
        self.features = nn.Sequential(*layers)
        self.classifier = (
            Moves(maps, rows, columns)                                                  # (N, 361)
            if classes == rows * columns
            else nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(maps, classes))
        )  # fmt: skip
        he(self.modules())

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))

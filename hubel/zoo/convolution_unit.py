"""The unit of which the Inception networks are made: a convolution, a batch norm where there is one, a ReLU."""

from __future__ import annotations

from torch import Tensor, nn

Pair = int | tuple[int, int]


class ConvUnit(nn.Module):
    """relu(bn(conv(x))): (N, before, H, W) -> (N, maps, H', W'). Without the norm the convolution has a bias.

    norm: its small number is 0.001, as in the public weights of these networks
    """

    def __init__(
        self, before: int, maps: int, kernel: Pair, stride: Pair = 1, padding: Pair = 0, *, norm: bool = True
    ) -> None:
        super().__init__()
        self.maps = maps
        self.conv = nn.Conv2d(before, maps, kernel, stride, padding, bias=not norm)
        self.bn = nn.BatchNorm2d(maps, eps=0.001) if norm else None
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.relu(x if self.bn is None else self.bn(x))

"""What the Inception networks are made of: a unit of convolution, batch norm and ReLU; units in a row; branches."""

from __future__ import annotations

import torch
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


def row(before: int, *steps: tuple[int, Pair] | tuple[int, Pair, str]) -> nn.Sequential:
    """Units behind each other. A step: maps, kernel, and "valid" or "half" where it does not keep the size.

    valid: no padding;  half: no padding, stride 2
    """
    made = []
    for maps, kernel, *how in steps:
        u, v = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        padding = (0, 0) if how else (u // 2, v // 2)
        made.append(ConvUnit(before, maps, kernel, 2 if how == ["half"] else 1, padding))
        before = maps
    return nn.Sequential(*made)


class Branches(nn.Module):
    """Branches side by side under the names that they are given; their maps are joined in that order."""

    def __init__(self, before: int, **branches: nn.Module) -> None:
        super().__init__()
        self.names = tuple(branches)
        for name, branch in branches.items():
            self.add_module(name, branch)
        self.maps = sum(_maps(branch, before) for branch in branches.values())

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.get_submodule(name)(x) for name in self.names], 1)


def _maps(branch: nn.Module, before: int) -> int:
    """What a branch gives; a pooling gives as many maps as it is given."""
    units = [part.maps for part in branch.modules() if isinstance(part, ConvUnit)]
    return units[-1] if units else before

"""Inception-v3. Szegedy et al. 2016, "Rethinking the Inception architecture for computer vision".

Larger windows are taken apart: two 3x3 for a 5x5 (Figure 5), 1xn and nx1 for an nxn (Figure 6), side by side where
cells are few (Figure 7); a batch norm behind each convolution; an auxiliary classifier while training (section 4).

This is the released network, whose layer names it has. It differs from Table 1 of the paper in three places:
    of the second group of three convolutions the first is 1x1, not 3x3, and a pooling halves, not the second of them;
    the third is missing: the modules at 35x35 receive 192 maps, not 288;
    those modules keep a 5x5 window in one branch.
The head pools by 5x5 with stride 3 from 17x17 cells (299 pixels) on; fewer cells are averaged to 5x5 parts.
Initialisation: as released, N(0, 0.1) cut at two deviations; 0.01 in the layer that gives logits and in the last
convolution of the head, 0.001 in the layer that gives its logits; biases 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from hubel.shapes import windowed
from hubel.zoo.convolution_unit import ConvUnit
from hubel.zoo.sizes import fitted, scaled

Wide = Callable[[int], int]  # maps of the paper -> maps of this network


class ModuleA(nn.Module):
    """Figure 5, with a 5x5: (N, before, H, W) -> (N, 64 + 64 + 96 + pooled, H, W)."""

    def __init__(self, before: int, pooled: int, wide: Wide) -> None:
        super().__init__()
        self.branch1x1 = ConvUnit(before, wide(64), 1)
        self.branch5x5_1 = ConvUnit(before, wide(48), 1)
        self.branch5x5_2 = ConvUnit(wide(48), wide(64), 5, padding=2)
        self.branch3x3dbl_1 = ConvUnit(before, wide(64), 1)
        self.branch3x3dbl_2 = ConvUnit(wide(64), wide(96), 3, padding=1)
        self.branch3x3dbl_3 = ConvUnit(wide(96), wide(96), 3, padding=1)
        self.pool = nn.AvgPool2d(3, 1, padding=1)
        self.branch_pool = ConvUnit(before, wide(pooled), 1)
        self.maps = 2 * wide(64) + wide(96) + wide(pooled)

    def forward(self, x: Tensor) -> Tensor:
        one = self.branch1x1(x)
        five = self.branch5x5_2(self.branch5x5_1(x))
        two_threes = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([one, five, two_threes, self.branch_pool(self.pool(x))], 1)


class ReductionA(nn.Module):
    """Figure 10: (N, before, H, W) -> (N, 384 + 96 + before, H/2, W/2)."""

    def __init__(self, before: int, wide: Wide) -> None:
        super().__init__()
        self.branch3x3 = ConvUnit(before, wide(384), 3, 2)
        self.branch3x3dbl_1 = ConvUnit(before, wide(64), 1)
        self.branch3x3dbl_2 = ConvUnit(wide(64), wide(96), 3, padding=1)
        self.branch3x3dbl_3 = ConvUnit(wide(96), wide(96), 3, 2)
        self.pool = nn.MaxPool2d(3, 2)
        self.maps = wide(384) + wide(96) + before

    def forward(self, x: Tensor) -> Tensor:
        two_threes = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), two_threes, self.pool(x)], 1)


class ModuleB(nn.Module):
    """Figure 6 with n = 7: (N, before, H, W) -> (N, 4 * 192, H, W). between: maps inside of the branches."""

    def __init__(self, before: int, between: int, wide: Wide) -> None:
        super().__init__()
        inside, out = wide(between), wide(192)
        self.branch1x1 = ConvUnit(before, out, 1)
        self.branch7x7_1 = ConvUnit(before, inside, 1)
        self.branch7x7_2 = ConvUnit(inside, inside, (1, 7), padding=(0, 3))
        self.branch7x7_3 = ConvUnit(inside, out, (7, 1), padding=(3, 0))
        self.branch7x7dbl_1 = ConvUnit(before, inside, 1)
        self.branch7x7dbl_2 = ConvUnit(inside, inside, (7, 1), padding=(3, 0))
        self.branch7x7dbl_3 = ConvUnit(inside, inside, (1, 7), padding=(0, 3))
        self.branch7x7dbl_4 = ConvUnit(inside, inside, (7, 1), padding=(3, 0))
        self.branch7x7dbl_5 = ConvUnit(inside, out, (1, 7), padding=(0, 3))
        self.pool = nn.AvgPool2d(3, 1, padding=1)
        self.branch_pool = ConvUnit(before, out, 1)
        self.maps = 4 * out

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        twice = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        twice = self.branch7x7dbl_5(self.branch7x7dbl_4(twice))
        return torch.cat([self.branch1x1(x), seven, twice, self.branch_pool(self.pool(x))], 1)


class ReductionB(nn.Module):
    """As Figure 10, with a 7x7 taken apart: (N, before, H, W) -> (N, 320 + 192 + before, H/2, W/2)."""

    def __init__(self, before: int, wide: Wide) -> None:
        super().__init__()
        self.branch3x3_1 = ConvUnit(before, wide(192), 1)
        self.branch3x3_2 = ConvUnit(wide(192), wide(320), 3, 2)
        self.branch7x7x3_1 = ConvUnit(before, wide(192), 1)
        self.branch7x7x3_2 = ConvUnit(wide(192), wide(192), (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = ConvUnit(wide(192), wide(192), (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = ConvUnit(wide(192), wide(192), 3, 2)
        self.pool = nn.MaxPool2d(3, 2)
        self.maps = wide(320) + wide(192) + before

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3_2(self.branch3x3_1(x))
        seven = self.branch7x7x3_2(self.branch7x7x3_1(x))
        seven = self.branch7x7x3_4(self.branch7x7x3_3(seven))
        return torch.cat([three, seven, self.pool(x)], 1)


class ModuleC(nn.Module):
    """Figure 7, branches within branches: (N, before, H, W) -> (N, 320 + 2 * 384 + 2 * 384 + 192, H, W)."""

    def __init__(self, before: int, wide: Wide) -> None:
        super().__init__()
        half = wide(384)
        self.branch1x1 = ConvUnit(before, wide(320), 1)
        self.branch3x3_1 = ConvUnit(before, half, 1)
        self.branch3x3_2a = ConvUnit(half, half, (1, 3), padding=(0, 1))
        self.branch3x3_2b = ConvUnit(half, half, (3, 1), padding=(1, 0))
        self.branch3x3dbl_1 = ConvUnit(before, wide(448), 1)
        self.branch3x3dbl_2 = ConvUnit(wide(448), half, 3, padding=1)
        self.branch3x3dbl_3a = ConvUnit(half, half, (1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = ConvUnit(half, half, (3, 1), padding=(1, 0))
        self.pool = nn.AvgPool2d(3, 1, padding=1)
        self.branch_pool = ConvUnit(before, wide(192), 1)
        self.maps = wide(320) + 4 * half + wide(192)

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3_1(x)
        twice = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        return torch.cat([
            self.branch1x1(x),
            self.branch3x3_2a(three), self.branch3x3_2b(three),
            self.branch3x3dbl_3a(twice), self.branch3x3dbl_3b(twice),
            self.branch_pool(self.pool(x)),
        ], 1)  # fmt: skip


class Head(nn.Module):
    """The auxiliary classifier: (N, 768, 17, 17) -> (N, K)."""

    def __init__(self, before: int, classes: int, pool: nn.Module, wide: Wide) -> None:
        super().__init__()
        self.pool = pool  # (N, 768, 5, 5)
        self.conv0 = ConvUnit(before, wide(128), 1)  # (N, 128, 5, 5)
        self.conv1 = ConvUnit(wide(128), wide(768), 5)  # (N, 768, 1, 1)
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(wide(768), classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.mean(self.conv1(self.conv0(self.pool(x)))).flatten(1))


class InceptionV3(nn.Module):
    """In training (logits, head), in use logits alone.

    width: factor on the maps; dropout: share of the means that is dropped; heads: False for none
    auxiliary: what the loss of the head counts beside that of the logits
    """

    def __init__(
        self, classes: int = 1000, input: Sequence[int] = (3, 299, 299), width: float = 1.0, dropout: float = 0.2,  # noqa: A002
        heads: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        fitted(input, lambda size: windowed(middle_cells(size), 3, 2))

        def wide(maps: int) -> int:
            return scaled(maps, width)

        # fmt: off
        self.Conv2d_1a_3x3 = ConvUnit(input[0], wide(32), 3, 2)               # (N,   32, 149, 149)
        self.Conv2d_2a_3x3 = ConvUnit(wide(32), wide(32), 3)                  # (N,   32, 147, 147)
        self.Conv2d_2b_3x3 = ConvUnit(wide(32), wide(64), 3, padding=1)       # (N,   64, 147, 147)
        self.maxpool1 = nn.MaxPool2d(3, 2)                                    # (N,   64,  73,  73)
        self.Conv2d_3b_1x1 = ConvUnit(wide(64), wide(80), 1)                  # (N,   80,  73,  73)
        self.Conv2d_4a_3x3 = ConvUnit(wide(80), wide(192), 3)                 # (N,  192,  71,  71)
        self.maxpool2 = nn.MaxPool2d(3, 2)                                    # (N,  192,  35,  35)
        self.Mixed_5b = ModuleA(wide(192), 32, wide)                          # (N,  256,  35,  35)
        self.Mixed_5c = ModuleA(self.Mixed_5b.maps, 64, wide)                 # (N,  288,  35,  35)
        self.Mixed_5d = ModuleA(self.Mixed_5c.maps, 64, wide)                 # (N,  288,  35,  35)
        self.Mixed_6a = ReductionA(self.Mixed_5d.maps, wide)                  # (N,  768,  17,  17)
        self.Mixed_6b = ModuleB(self.Mixed_6a.maps, 128, wide)                # (N,  768,  17,  17)
        self.Mixed_6c = ModuleB(self.Mixed_6b.maps, 160, wide)                # (N,  768,  17,  17)
        self.Mixed_6d = ModuleB(self.Mixed_6c.maps, 160, wide)                # (N,  768,  17,  17)
        self.Mixed_6e = ModuleB(self.Mixed_6d.maps, 192, wide)                # (N,  768,  17,  17)
        self.Mixed_7a = ReductionB(self.Mixed_6e.maps, wide)                  # (N, 1280,   8,   8)
        self.Mixed_7b = ModuleC(self.Mixed_7a.maps, wide)                     # (N, 2048,   8,   8)
        self.Mixed_7c = ModuleC(self.Mixed_7b.maps, wide)                     # (N, 2048,   8,   8)
        # fmt: on
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(self.Mixed_7c.maps, classes)

        self.auxiliary = (0.4,) if heads else ()
        large = min(middle_cells(side) for side in input[1:]) >= 17
        pool = nn.AvgPool2d(5, 3) if large else nn.AdaptiveAvgPool2d(5)
        self.AuxLogits = Head(self.Mixed_6e.maps, classes, pool, wide) if heads else None
        self._initialise()

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(self.maxpool1(x)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(self.maxpool2(x))))
        x = self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))
        x = seen = self.Mixed_6e(self.Mixed_6d(x))
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        logits = self.fc(self.dropout(self.avgpool(x).flatten(1)))
        if self.AuxLogits is None or not self.training:
            return logits
        return logits, self.AuxLogits(seen)

    def _initialise(self) -> None:
        deviations: dict[nn.Module, float] = {self.fc: 0.01}
        if self.AuxLogits is not None:
            deviations |= {self.AuxLogits.conv1.conv: 0.01, self.AuxLogits.fc: 0.001}
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                std = deviations.get(layer, 0.1)
                nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)


def middle_cells(size: int) -> int:
    """Cells per axis of the modules 6b to 6e: 17 of 299 pixels."""
    size = windowed(windowed(size, 3, 2), 3)
    size = windowed(windowed(size, 3, 2), 3)
    return windowed(windowed(size, 3, 2), 3, 2)

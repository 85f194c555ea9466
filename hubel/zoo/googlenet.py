"""GoogLeNet (Inception v1). Szegedy et al. 2015, "Going deeper with convolutions", Table 1 and Figure 3.

Nine Inception modules: 1x1, 3x3, 5x5 and pooling side by side, the larger ones behind 1x1 reductions; the mean of each
map instead of hidden layers; while training, two auxiliary classifiers on the way (section 5).

Two entries, both with the layer names of the public weights. `GoogLeNet` is the paper's. What the paper leaves open is
settled so: poolings round up, so that 224 pixels give its sizes; local response normalisation has AlexNet's numbers; a
head pools by 5x5 with stride 3 where that gives the 4x4 cells of the paper, and averages other sizes to 4x4 parts.

`GoogLeNetBN` is the variant that public weights fit. It differs in four places: a batch norm behind each convolution
and no local response normalisation; 3x3 where the paper has 5x5; 2x2 in the last pooling; heads always in 4x4 parts.

Initialisation of both: He et al. 2015 (normal, fan in), biases 0; the layers that give logits N(0, 0.01). The paper
names none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from hubel.shapes import windowed
from hubel.zoo.convolution_unit import ConvUnit
from hubel.zoo.fresh import he
from hubel.zoo.sizes import fitted, scaled


class Inception(nn.Module):
    """Figure 2b: (N, before, H, W) -> (N, one + three + five + pooled, H, W).

    one, three, five, pooled: maps of the four branches; reduce3, reduce5: of the 1x1 in front of the larger windows
    window: 5 as published, 3 in the public weights
    """

    def __init__(
        self, before: int, one: int, reduce3: int, three: int, reduce5: int, five: int, pooled: int, *, window: int,
        norm: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.maps = one + three + five + pooled
        self.branch1 = ConvUnit(before, one, 1, norm=norm)
        self.branch2 = nn.Sequential(
            ConvUnit(before, reduce3, 1, norm=norm), ConvUnit(reduce3, three, 3, padding=1, norm=norm)
        )
        self.branch3 = nn.Sequential(
            ConvUnit(before, reduce5, 1, norm=norm),
            ConvUnit(reduce5, five, window, padding=window // 2, norm=norm),
        )
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, padding=1), ConvUnit(before, pooled, 1, norm=norm))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class Head(nn.Module):
    """An auxiliary classifier (section 5): (N, before, 14, 14) -> (N, K)."""

    def __init__(
        self, before: int, maps: int, hidden: int, classes: int, pool: nn.Module, *, norm: bool
    ) -> None:
        super().__init__()
        self.pool = pool  # (N, 512, 4, 4)
        self.conv = ConvUnit(before, maps, 1, norm=norm)  # (N, 128, 4, 4)
        self.fc1 = nn.Linear(maps * 4 * 4, hidden)  # (N, 1024)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(0.7)
        self.fc2 = nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(self.pool(x)).flatten(1)
        return self.fc2(self.dropout(self.relu(self.fc1(x))))


class GoogLeNet(nn.Module):
    """In training (logits, head 1, head 2), in use logits alone.

    width: factor on maps and hidden units; dropout: share of the means that is dropped; heads: False for none
    auxiliary: what the loss of each head counts beside that of the logits
    """

    norm: ClassVar[bool] = False
    window: ClassVar[int] = 5

    def __init__(
        self, classes: int = 1000, input: Sequence[int] = (3, 224, 224), width: float = 1.0, dropout: float = 0.4,  # noqa: A002
        heads: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        fitted(input, lambda size: _halved(_halved(_after_two(size))))
        self.width = width

        a, b = (scaled(maps, width) for maps in (64, 192))
        # fmt: off
        self.conv1 = ConvUnit(input[0], a, 7, 2, 3, norm=self.norm)                              # (N,   64, 112, 112)
        self.maxpool1 = nn.MaxPool2d(3, 2, ceil_mode=True)                                       # (N,   64,  56,  56)
        self.lrn1 = self._normalisation()
        self.conv2 = ConvUnit(a, a, 1, norm=self.norm)                                           # (N,   64,  56,  56)
        self.conv3 = ConvUnit(a, b, 3, padding=1, norm=self.norm)                                # (N,  192,  56,  56)
        self.lrn2 = self._normalisation()
        self.maxpool2 = nn.MaxPool2d(3, 2, ceil_mode=True)                                       # (N,  192,  28,  28)
        self.inception3a = self._module(b, 64, 96, 128, 16, 32, 32)                              # (N,  256,  28,  28)
        self.inception3b = self._module(self.inception3a.maps, 128, 128, 192, 32, 96, 64)        # (N,  480,  28,  28)
        self.maxpool3 = nn.MaxPool2d(3, 2, ceil_mode=True)                                       # (N,  480,  14,  14)
        self.inception4a = self._module(self.inception3b.maps, 192, 96, 208, 16, 48, 64)         # (N,  512,  14,  14)
        self.inception4b = self._module(self.inception4a.maps, 160, 112, 224, 24, 64, 64)        # (N,  512,  14,  14)
        self.inception4c = self._module(self.inception4b.maps, 128, 128, 256, 24, 64, 64)        # (N,  512,  14,  14)
        self.inception4d = self._module(self.inception4c.maps, 112, 144, 288, 32, 64, 64)        # (N,  528,  14,  14)
        self.inception4e = self._module(self.inception4d.maps, 256, 160, 320, 32, 128, 128)      # (N,  832,  14,  14)
        self.maxpool4 = nn.MaxPool2d(2 if self.norm else 3, 2, ceil_mode=True)                   # (N,  832,   7,   7)
        self.inception5a = self._module(self.inception4e.maps, 256, 160, 320, 32, 128, 128)      # (N,  832,   7,   7)
        self.inception5b = self._module(self.inception5a.maps, 384, 192, 384, 48, 128, 128)      # (N, 1024,   7,   7)
        self.avgpool = nn.AdaptiveAvgPool2d(1)                                                   # (N, 1024,   1,   1)
        # fmt: on
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(self.inception5b.maps, classes)

        self.auxiliary = (0.3, 0.3) if heads else ()
        cells = [_halved(_after_two(side)) for side in input[1:]]
        self.aux1 = self._head(self.inception4a.maps, classes, cells) if heads else None
        self.aux2 = self._head(self.inception4d.maps, classes, cells) if heads else None
        self._initialise()

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        x = self.lrn1(self.maxpool1(self.conv1(x)))
        x = self.maxpool2(self.lrn2(self.conv3(self.conv2(x))))
        x = self.maxpool3(self.inception3b(self.inception3a(x)))
        x = first = self.inception4a(x)
        x = second = self.inception4d(self.inception4c(self.inception4b(x)))
        x = self.maxpool4(self.inception4e(x))
        x = self.avgpool(self.inception5b(self.inception5a(x))).flatten(1)
        logits = self.fc(self.dropout(x))
        if self.aux1 is None or self.aux2 is None or not self.training:
            return logits
        return logits, self.aux1(first), self.aux2(second)

    def _module(self, before: int, *maps: int) -> Inception:
        """maps: a row of Table 1."""
        one, reduce3, three, reduce5, five, pooled = (scaled(m, self.width) for m in maps)
        return Inception(
            before, one, reduce3, three, reduce5, five, pooled, window=self.window, norm=self.norm
        )

    def _head(self, before: int, classes: int, cells: Sequence[int]) -> Head:
        as_published = not self.norm and all(n >= 5 and windowed(n, 5, 3) == 4 for n in cells)
        pool = nn.AvgPool2d(5, 3) if as_published else nn.AdaptiveAvgPool2d(4)
        maps, hidden = (scaled(n, self.width) for n in (128, 1024))
        return Head(before, maps, hidden, classes, pool, norm=self.norm)

    def _normalisation(self) -> nn.Module:
        return nn.Identity() if self.norm else nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)

    def _initialise(self) -> None:
        he(self.modules())
        for last in (self.fc, *(head.fc2 for head in (self.aux1, self.aux2) if head is not None)):
            nn.init.normal_(last.weight, std=0.01)


class GoogLeNetBN(GoogLeNet):
    norm = True
    window = 3


def _after_two(size: int) -> int:
    """Cells per axis in front of the modules 3a and 3b."""
    return _halved(_halved(windowed(size, 7, 2, 3)))


def _halved(cells: int) -> int:
    return windowed(cells, 3, 2, ceil=True)

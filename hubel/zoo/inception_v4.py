"""Inception-v4 and Inception-ResNet-v2. Szegedy, Ioffe, Vanhoucke, Alemi 2017, "Inception-v4, Inception-ResNet and the
impact of residual connections on learning".

`InceptionV4` is Figure 9 with the modules of Figures 3 to 8 and the layer names of the public weights. It differs in
one place: in the longest branches nx1 comes before 1xn, as released, where Figures 5 and 6 have it the other way round.

`InceptionResNetV2`: the branches of a module give what is added to its input, scaled down so that training holds
(section 3.3). This is the released network, to which the public count of 55,843,464 belongs, not the paper's Figure 15:
    its stem is that of Inception-v3 and one more module, not that of Figure 3;
    10, 20 and 10 residual modules follow, not 5, 10 and 5, on 320, 1088 and 2080 maps, not 384, 1154 and 2048;
    behind them a 1x1 convolution gives 1536 maps; the last module has no ReLU and is not scaled.

Initialisation of both: He et al. 2015 (normal, fan in), biases 0; the paper names none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from hubel.errors import InputError
from hubel.shapes import windowed
from hubel.zoo.convolution_unit import Branches, ConvUnit, row
from hubel.zoo.fresh import he
from hubel.zoo.inception_v3 import middle_cells
from hubel.zoo.sizes import fitted, scaled

Wide = Callable[[int], int]  # maps of the paper -> maps of this network


def _pooled(before: int, maps: int) -> nn.Sequential:
    """The mean of 3x3 cells, without those of the padding, and a 1x1."""
    return nn.Sequential(nn.AvgPool2d(3, 1, padding=1, count_include_pad=False), ConvUnit(before, maps, 1))


def _module_a(before: int, w: Wide) -> Branches:
    """Figure 4: 384 maps at 35x35."""
    return Branches(
        before,
        branch0=ConvUnit(before, w(96), 1),
        branch1=row(before, (w(64), 1), (w(96), 3)),
        branch2=row(before, (w(64), 1), (w(96), 3), (w(96), 3)),
        branch3=_pooled(before, w(96)),
    )


def _reduction_a(before: int, k: int, l: int, m: int, n: int) -> Branches:
    """Figure 7: from 35x35 to 17x17, with k, l, m, n of Table 1."""
    return Branches(
        before,
        branch0=ConvUnit(before, n, 3, 2),
        branch1=row(before, (k, 1), (l, 3), (m, 3, "half")),
        branch2=nn.MaxPool2d(3, 2),
    )


def _module_b(before: int, w: Wide) -> Branches:
    """Figure 5: 1024 maps at 17x17."""
    a, b, c = w(192), w(224), w(256)
    return Branches(
        before,
        branch0=ConvUnit(before, w(384), 1),
        branch1=row(before, (a, 1), (b, (1, 7)), (c, (7, 1))),
        branch2=row(before, (a, 1), (a, (7, 1)), (b, (1, 7)), (b, (7, 1)), (c, (1, 7))),
        branch3=_pooled(before, w(128)),
    )


def _reduction_b(before: int, w: Wide) -> Branches:
    """Figure 8: from 17x17 to 8x8, 1536 maps."""
    return Branches(
        before,
        branch0=row(before, (w(192), 1), (w(192), 3, "half")),
        branch1=row(before, (w(256), 1), (w(256), (1, 7)), (w(320), (7, 1)), (w(320), 3, "half")),
        branch2=nn.MaxPool2d(3, 2),
    )


class ModuleC(nn.Module):
    """Figure 6, branches within branches: (N, before, 8, 8) -> (N, 6 * 256, 8, 8)."""

    def __init__(self, before: int, w: Wide) -> None:
        super().__init__()
        out = w(256)
        self.branch0 = ConvUnit(before, out, 1)
        self.branch1_0 = ConvUnit(before, w(384), 1)
        self.branch1_1a = ConvUnit(w(384), out, (1, 3), padding=(0, 1))
        self.branch1_1b = ConvUnit(w(384), out, (3, 1), padding=(1, 0))
        self.branch2_0 = ConvUnit(before, w(384), 1)
        self.branch2_1 = ConvUnit(w(384), w(448), (3, 1), padding=(1, 0))
        self.branch2_2 = ConvUnit(w(448), w(512), (1, 3), padding=(0, 1))
        self.branch2_3a = ConvUnit(w(512), out, (1, 3), padding=(0, 1))
        self.branch2_3b = ConvUnit(w(512), out, (3, 1), padding=(1, 0))
        self.branch3 = _pooled(before, out)
        self.maps = 6 * out

    def forward(self, x: Tensor) -> Tensor:
        one = self.branch1_0(x)
        two = self.branch2_2(self.branch2_1(self.branch2_0(x)))
        return torch.cat([
            self.branch0(x), self.branch1_1a(one), self.branch1_1b(one),
            self.branch2_3a(two), self.branch2_3b(two), self.branch3(x),
        ], 1)  # fmt: skip


class InceptionV4(nn.Module):
    """width: factor on the maps; blocks: how many modules A, B and C; dropout: share of the means that is dropped."""

    def __init__(
        self, classes: int = 1000, input: Sequence[int] = (3, 299, 299), width: float = 1.0, dropout: float = 0.2,  # noqa: A002
        blocks: Sequence[int] = (4, 7, 3),
    ) -> None:  # fmt: skip
        super().__init__()
        many_a, many_b, many_c = _checked(input, blocks)

        def w(maps: int) -> int:
            return scaled(maps, width)

        # fmt: off
        parts: list[ConvUnit | Branches | ModuleC] = [
            ConvUnit(input[0], w(32), 3, 2),                                            # (N,   32, 149, 149)
            ConvUnit(w(32), w(32), 3),                                                  # (N,   32, 147, 147)
            ConvUnit(w(32), w(64), 3, padding=1),                                       # (N,   64, 147, 147)
            Branches(w(64), maxpool=nn.MaxPool2d(3, 2), conv=ConvUnit(w(64), w(96), 3, 2)),
        ]
        before = parts[-1].maps                                                         # (N,  160,  73,  73)
        parts.append(Branches(
            before, branch0=row(before, (w(64), 1), (w(96), 3, "valid")),
            branch1=row(before, (w(64), 1), (w(64), (1, 7)), (w(64), (7, 1)), (w(96), 3, "valid")),
        ))
        before = parts[-1].maps                                                         # (N,  192,  71,  71)
        parts.append(Branches(before, conv=ConvUnit(before, w(192), 3, 2), maxpool=nn.MaxPool2d(3, 2)))
        for _ in range(many_a):
            parts.append(_module_a(parts[-1].maps, w))                                  # (N,  384,  35,  35)
        parts.append(_reduction_a(parts[-1].maps, w(192), w(224), w(256), w(384)))      # (N, 1024,  17,  17)
        for _ in range(many_b):
            parts.append(_module_b(parts[-1].maps, w))                                  # (N, 1024,  17,  17)
        parts.append(_reduction_b(parts[-1].maps, w))                                   # (N, 1536,   8,   8)
        for _ in range(many_c):
            parts.append(ModuleC(parts[-1].maps, w))                                    # (N, 1536,   8,   8)
        # fmt: on
        self.features = nn.Sequential(*parts)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.last_linear = nn.Linear(parts[-1].maps, classes)
        he(self.modules())

    def forward(self, x: Tensor) -> Tensor:
        return self.last_linear(self.dropout(self.avgpool(self.features(x)).flatten(1)))


class Residual(Branches):
    """relu(x + scale * conv2d(branches of x)), section 3.3. last: without the ReLU."""

    def __init__(self, before: int, scale: float, *, last: bool = False, **branches: nn.Module) -> None:
        super().__init__(before, **branches)
        self.scale = scale
        self.conv2d = nn.Conv2d(self.maps, before, 1)
        self.relu = None if last else nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = x + self.scale * self.conv2d(super().forward(x))
        return y if self.relu is None else self.relu(y)


def _residual_a(before: int, w: Wide) -> Residual:
    """Figure 16, at 35x35."""
    return Residual(
        before, 0.17,
        branch0=ConvUnit(before, w(32), 1),
        branch1=row(before, (w(32), 1), (w(32), 3)),
        branch2=row(before, (w(32), 1), (w(48), 3), (w(64), 3)),
    )  # fmt: skip


def _residual_b(before: int, w: Wide) -> Residual:
    """Figure 17, at 17x17."""
    return Residual(
        before, 0.10,
        branch0=ConvUnit(before, w(192), 1),
        branch1=row(before, (w(128), 1), (w(160), (1, 7)), (w(192), (7, 1))),
    )  # fmt: skip


def _residual_c(before: int, w: Wide, *, last: bool = False) -> Residual:
    """Figure 19, at 8x8."""
    return Residual(
        before, 1.0 if last else 0.20, last=last,
        branch0=ConvUnit(before, w(192), 1),
        branch1=row(before, (w(192), 1), (w(224), (1, 3)), (w(256), (3, 1))),
    )  # fmt: skip


class InceptionResNetV2(nn.Module):
    """width, dropout: as above; blocks: how many residual modules of each kind."""

    def __init__(
        self, classes: int = 1000, input: Sequence[int] = (3, 299, 299), width: float = 1.0, dropout: float = 0.2,  # noqa: A002
        blocks: Sequence[int] = (10, 20, 10),
    ) -> None:  # fmt: skip
        super().__init__()
        many_a, many_b, many_c = _checked(input, blocks)

        def w(maps: int) -> int:
            return scaled(maps, width)

        # fmt: off
        self.conv2d_1a = ConvUnit(input[0], w(32), 3, 2)                                # (N,   32, 149, 149)
        self.conv2d_2a = ConvUnit(w(32), w(32), 3)                                      # (N,   32, 147, 147)
        self.conv2d_2b = ConvUnit(w(32), w(64), 3, padding=1)                           # (N,   64, 147, 147)
        self.maxpool_3a = nn.MaxPool2d(3, 2)                                            # (N,   64,  73,  73)
        self.conv2d_3b = ConvUnit(w(64), w(80), 1)                                      # (N,   80,  73,  73)
        self.conv2d_4a = ConvUnit(w(80), w(192), 3)                                     # (N,  192,  71,  71)
        self.maxpool_5a = nn.MaxPool2d(3, 2)                                            # (N,  192,  35,  35)
        a = w(192)
        self.mixed_5b = Branches(                                                       # (N,  320,  35,  35)
            a, branch0=ConvUnit(a, w(96), 1), branch1=row(a, (w(48), 1), (w(64), 5)),
            branch2=row(a, (w(64), 1), (w(96), 3), (w(96), 3)), branch3=_pooled(a, w(64)),
        )
        b = self.mixed_5b.maps
        self.repeat = nn.Sequential(*(_residual_a(b, w) for _ in range(many_a)))        # (N,  320,  35,  35)
        self.mixed_6a = _reduction_a(b, w(256), w(256), w(384), w(384))                 # (N, 1088,  17,  17)
        c = self.mixed_6a.maps
        self.repeat_1 = nn.Sequential(*(_residual_b(c, w) for _ in range(many_b)))      # (N, 1088,  17,  17)
        self.mixed_7a = Branches(                                                       # (N, 2080,   8,   8)
            c, branch0=row(c, (w(256), 1), (w(384), 3, "half")), branch1=row(c, (w(256), 1), (w(288), 3, "half")),
            branch2=row(c, (w(256), 1), (w(288), 3), (w(320), 3, "half")), branch3=nn.MaxPool2d(3, 2),
        )
        d = self.mixed_7a.maps
        self.repeat_2 = nn.Sequential(*(_residual_c(d, w) for _ in range(many_c - 1)))  # (N, 2080,   8,   8)
        self.block8 = _residual_c(d, w, last=True)                                      # (N, 2080,   8,   8)
        self.conv2d_7b = ConvUnit(d, w(1536), 1)                                        # (N, 1536,   8,   8)
        # fmt: on
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.classif = nn.Linear(w(1536), classes)
        he(self.modules())

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool_3a(self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(x))))
        x = self.maxpool_5a(self.conv2d_4a(self.conv2d_3b(x)))
        x = self.mixed_6a(self.repeat(self.mixed_5b(x)))
        x = self.mixed_7a(self.repeat_1(x))
        x = self.conv2d_7b(self.block8(self.repeat_2(x)))
        return self.classif(self.dropout(self.avgpool(x).flatten(1)))


def _checked(input: Sequence[int], blocks: Sequence[int]) -> tuple[int, int, int]:  # noqa: A002
    """Both stems reduce a picture as Inception-v3's does."""
    fitted(input, lambda size: windowed(middle_cells(size), 3, 2))
    if len(blocks) != 3 or min(blocks) < 1:
        raise InputError(f"there are three kinds of modules, one or more of each, got blocks={tuple(blocks)}")
    return blocks[0], blocks[1], blocks[2]

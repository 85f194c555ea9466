"""MobileNets: a 3x3 filter on each map by itself, then a 1x1 convolution across maps.

v1: Howard et al. 2017, "MobileNets: efficient convolutional neural networks for mobile vision applications", Table 1.
v2: Sandler et al. 2018, "MobileNetV2: inverted residuals and linear bottlenecks", Tables 1 and 2. Its layer names are
those of public weights; v1 has none such, and names after its paper.

`width` is the papers' multiplier: of v1 rounded down, 8 maps at least; of v2 to multiples of 8, and the last 1280 maps
are never fewer. `norm=False` leaves out the norms and gives each convolution a bias: the form in which Google gives out
weights for use (norms folded into the convolutions), 4,222,057 parameters (v1, 1001 classes) and 3,489,097 (v2).
`padding`: "tensorflow", as the authors have it: where a stride of 2 meets an even size, the one row and column of
zeros stand below and right; "symmetric", as PyTorch's public weights have it: around the picture.

Differs from the papers in one place: in v1 the last layer is a matrix and not a 1x1 convolution, which is the same.
Both use ReLU6: v1's paper says ReLU, its authors' code has it so. Dropout 0.001 (v1) and 0.2 (v2), as their code.
Initialisation: He et al. 2015 (normal, fan out); output layer normal with deviation 0.01; v1's paper does not say.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from hubel.errors import InputError, UnknownName
from hubel.zoo.sizes import picture

PADDINGS = ("tensorflow", "symmetric")

# Table 1 of v1 behind the first layer: maps, stride.
BODY = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))

# Table 2 of v2: expansion t, maps c, repeats n, first stride s.
STAGES = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip


@dataclass
class _Builder:
    """Makes units and keeps the size (rows, columns) that the next one meets, on which TensorFlow's padding depends."""

    size: tuple[int, int]
    norm: bool
    padding: str

    def convolution(
        self, before: int, after: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> OrderedDict[str, nn.Module]:
        """(pad), conv "0", (norm "1")."""
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        around = kernel // 2
        uneven = [stride == 2 and kernel == 3 and side % 2 == 0 for side in self.size]  # one zero is enough
        if self.padding == "tensorflow" and any(uneven):
            top, left = (around - odd for odd in uneven)
            layers["pad"] = nn.ZeroPad2d((left, around, top, around))
            around = 0
        self.size = tuple(-(-side // stride) for side in self.size)  # type: ignore[assignment]
        layers["0"] = nn.Conv2d(before, after, kernel, stride, around, groups=groups, bias=not self.norm)
        if self.norm:
            layers["1"] = nn.BatchNorm2d(after)
        return layers

    def unit(self, before: int, after: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
        """conv, norm, ReLU6."""
        layers = self.convolution(before, after, kernel, stride, groups)
        layers["2"] = nn.ReLU6(inplace=True)
        return nn.Sequential(layers)


def _builder(input: Sequence[int], width: float, norm: bool, padding: str) -> _Builder:  # noqa: A002
    _, rows, columns = picture(input)
    if padding not in PADDINGS:
        raise UnknownName("padding", padding, PADDINGS)
    if not width > 0:
        raise InputError(f"the width multiplier is a factor above 0, as 0.25 or 1, got {width}")
    return _Builder((rows, columns), norm, padding)


def _initialise(network: nn.Module) -> None:
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.01)
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)


class MobileNetV1(nn.Module):
    def __init__(
        self, classes: int = 1000, input: Sequence[int] = (3, 224, 224), width: float = 1.0, norm: bool = True,  # noqa: A002
        padding: str = "tensorflow", dropout: float = 0.001,
    ) -> None:  # fmt: skip
        super().__init__()
        make, self.padding = _builder(input, width, norm, padding), padding
        maps = [max(8, int(m * width)) for m in (32, *(m for m, _ in BODY))]
        layers = [make.unit(input[0], maps[0], 3, 2)]  # (N,   32, 112, 112)
        for (before, after), (_, stride) in zip(itertools.pairwise(maps), BODY, strict=True):
            depthwise = make.unit(before, before, 3, stride, groups=before)
            pointwise = make.unit(before, after, 1)
            layers.append(nn.Sequential(OrderedDict(depthwise=depthwise, pointwise=pointwise)))
        self.features = nn.Sequential(*layers)  # (N, 1024,   7,   7)
        self.pool = nn.AdaptiveAvgPool2d(1)  # (N, 1024,   1,   1)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(maps[-1], classes))
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.pool(self.features(x)).flatten(1))


def eights(maps: float) -> int:
    """The nearest multiple of 8, but never under 90 % of what was asked."""
    near = max(8, int(maps + 4) // 8 * 8)
    return near + 8 if near < 0.9 * maps else near


class InvertedResidual(nn.Module):
    """1x1 to t times the maps, 3x3 on each, 1x1 back without activation; plus x where the shape is kept. Figure 3."""

    def __init__(self, make: _Builder, before: int, after: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = before * expansion
        expand = [make.unit(before, wide, 1)] if expansion != 1 else []
        depthwise = make.unit(wide, wide, 3, stride, groups=wide)
        project = make.convolution(wide, after, 1)
        self.conv = nn.Sequential(*expand, depthwise, *project.values())
        self.residual = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.residual else self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(
        self, classes: int = 1000, input: Sequence[int] = (3, 224, 224), width: float = 1.0, norm: bool = True,  # noqa: A002
        padding: str = "tensorflow", dropout: float = 0.2,
    ) -> None:  # fmt: skip
        super().__init__()
        make, self.padding = _builder(input, width, norm, padding), padding
        maps, last = eights(32 * width), eights(1280 * max(1.0, width))
        layers: list[nn.Module] = [make.unit(input[0], maps, 3, 2)]  # (N,   32, 112, 112)
        for expansion, channels, repeats, stride in STAGES:
            after = eights(channels * width)
            for n in range(repeats):
                layers.append(InvertedResidual(make, maps, after, 1 if n else stride, expansion))
                maps = after
        layers.append(make.unit(maps, last, 1))  # (N, 1280,   7,   7)
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)  # (N, 1280,   1,   1)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(last, classes))
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.pool(self.features(x)).flatten(1))

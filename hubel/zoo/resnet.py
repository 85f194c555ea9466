"""ResNet. He, Zhang, Ren, Sun 2015, "Deep residual learning for image recognition", Table 1, Figures 3 and 5.

y = relu(F(x) + shortcut(x)); F is two 3x3 convolutions (18, 34 layers) or a bottleneck 1x1, 3x3, 1x1 (50, 101, 152).
The shortcut is the identity, or a 1x1 convolution where sizes differ (option B). Layer names: those of public weights.

Differs from the paper in one place, as public weights do: a bottleneck that halves the picture does so in its 3x3
convolution and not in its first 1x1 (as_published=True for the paper's: 3.86 instead of 4.09 G multiply-adds).
stem="small" is the paper's own for CIFAR-10 (section 4.2): 3x3, stride 1, no pooling. Any size of picture will do.

Initialisation: He et al. 2015 (normal, fan out), norms 1 and 0; zero_last=True begins with every F at zero, Goyal et
al. 2017, section 5.1. The output layer keeps PyTorch's: uniform within 1/sqrt(fan in).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from hubel.errors import InputError, UnknownName
from hubel.zoo.sizes import picture, scaled

STEMS = ("imagenet", "small")


class Basic(nn.Module):
    """Two 3x3 convolutions: (N, before, H, W) -> (N, maps, H/stride, W/stride). Figure 5, left."""

    expansion = 1

    def __init__(self, before: int, maps: int, stride: int, as_published: bool = False) -> None:  # noqa: ARG002
        super().__init__()
        self.conv1 = nn.Conv2d(before, maps, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(maps)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(maps, maps, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(maps)
        self.downsample = projection(before, maps, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1: (N, before, H, W) -> (N, 4 maps, H/stride, W/stride). Figure 5, right."""

    expansion = 4

    def __init__(self, before: int, maps: int, stride: int, as_published: bool = False) -> None:
        super().__init__()
        first, second = (stride, 1) if as_published else (1, stride)
        self.conv1 = nn.Conv2d(before, maps, 1, first, bias=False)
        self.bn1 = nn.BatchNorm2d(maps)
        self.conv2 = nn.Conv2d(maps, maps, 3, second, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(maps)
        self.conv3 = nn.Conv2d(maps, 4 * maps, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * maps)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = projection(before, 4 * maps, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


def projection(before: int, after: int, stride: int) -> nn.Sequential | None:
    """The shortcut of equation 2; None where the identity of equation 1 will do."""
    if before == after and stride == 1:
        return None
    return nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))


class ResNet(nn.Module):
    """Stem, four stages of units, mean over each map, linear.

    stem: "imagenet", or "small" for pictures of about 32x32
    width: factor on the maps;  blocks: units of each stage, where not the paper's
    zero_last, as_published: see above
    """

    unit: ClassVar[type[Basic | Bottleneck]]
    counts: ClassVar[tuple[int, ...]]

    def __init__(
        self, classes: int = 1000, input: Sequence[int] = (3, 224, 224), stem: str = "imagenet", width: float = 1.0,  # noqa: A002
        zero_last: bool = False, as_published: bool = False, blocks: Sequence[int] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if stem not in STEMS:
            raise UnknownName("stem", stem, STEMS)
        blocks = blocks or self.counts
        if len(blocks) != 4 or min(blocks) < 1:
            raise InputError(f"a ResNet has four stages of one unit or more, got blocks={tuple(blocks)}")
        channels, _, _ = picture(input)
        maps = [scaled(m, width) for m in (64, 128, 256, 512)]
        kernel, stride, padding = (3, 1, 1) if stem == "small" else (7, 2, 3)
        # fmt: off
        #                                                                                     (N,    3, 224, 224)
        self.conv1 = nn.Conv2d(channels, maps[0], kernel, stride, padding, bias=False)      # (N,   64, 112, 112)
        self.bn1 = nn.BatchNorm2d(maps[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if stem == "small" else nn.MaxPool2d(3, 2, padding=1)  # (N,   64,  56,  56)
        out = [m * self.unit.expansion for m in maps]                                       # of 50 layers and more:
        self.layer1 = self._stage(maps[0], maps[0], blocks[0], 1, as_published)             # (N,  256,  56,  56)
        self.layer2 = self._stage(out[0], maps[1], blocks[1], 2, as_published)              # (N,  512,  28,  28)
        self.layer3 = self._stage(out[1], maps[2], blocks[2], 2, as_published)              # (N, 1024,  14,  14)
        self.layer4 = self._stage(out[2], maps[3], blocks[3], 2, as_published)              # (N, 2048,   7,   7)
        self.avgpool = nn.AdaptiveAvgPool2d(1)                                              # (N, 2048,   1,   1)
        self.fc = nn.Linear(out[3], classes)
        # fmt: on
        self._initialise(zero_last)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))

    def _stage(self, before: int, maps: int, count: int, stride: int, as_published: bool) -> nn.Sequential:
        first = self.unit(before, maps, stride, as_published)
        after = maps * self.unit.expansion
        return nn.Sequential(first, *(self.unit(after, maps, 1) for _ in range(count - 1)))

    def _initialise(self, zero_last: bool) -> None:
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if zero_last and isinstance(layer, Basic | Bottleneck):
                nn.init.zeros_((layer.bn2 if isinstance(layer, Basic) else layer.bn3).weight)


class ResNet18(ResNet):
    unit, counts = Basic, (2, 2, 2, 2)


class ResNet34(ResNet):
    unit, counts = Basic, (3, 4, 6, 3)


class ResNet50(ResNet):
    unit, counts = Bottleneck, (3, 4, 6, 3)


class ResNet101(ResNet):
    unit, counts = Bottleneck, (3, 4, 23, 3)


class ResNet152(ResNet):
    unit, counts = Bottleneck, (3, 8, 36, 3)

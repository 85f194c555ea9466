"""Pre-activation ResNet. He, Zhang, Ren, Sun 2016, "Identity mappings in deep residual networks", Figure 1(b), Table 2.

y = shortcut + F(x); norm and ReLU stand before each convolution, so that nothing lies on the way of the identity.
Where a unit changes the shape, its shortcut is a 1x1 convolution of the activated x (their appendix); behind the last
unit stand one more norm and ReLU.

Differs from the paper in its depth: 18 layers in the four stages of ResNet-18 with a 3x3 stem, for pictures of
about 32x32; the paper trains 110 to 1001 layers in three narrow stages on them.
Initialisation: He et al. 2015 (normal, fan out), norms 1 and 0. The output layer keeps PyTorch's.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from hubel.errors import InputError
from hubel.zoo.sizes import picture, scaled


class Unit(nn.Module):
    """(N, before, H, W) -> (N, after, H/stride, W/stride)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.relu = nn.ReLU(inplace=True)
        keeps = before == after and stride == 1
        self.shortcut = None if keeps else nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        activated = self.relu(self.bn1(x))
        y = self.conv2(self.relu(self.bn2(self.conv1(activated))))
        return y + (x if self.shortcut is None else self.shortcut(activated))


class PreActResNet(nn.Module):
    """width: factor on the maps;  blocks: units of each of the four stages"""

    def __init__(
        self, classes: int = 10, input: Sequence[int] = (3, 32, 32), width: float = 1.0,  # noqa: A002
        blocks: Sequence[int] = (2, 2, 2, 2),
    ) -> None:  # fmt: skip
        super().__init__()
        if len(blocks) != 4 or min(blocks) < 1:
            raise InputError(f"preact-resnet has four stages of one unit or more, got blocks={tuple(blocks)}")
        channels, _, _ = picture(input)
        maps = [scaled(m, width) for m in (64, 64, 128, 256, 512)]
        # fmt: off
        #                                                                               (N,   3, 32, 32)
        self.conv1 = nn.Conv2d(channels, maps[0], 3, padding=1, bias=False)           # (N,  64, 32, 32)
        self.layer1 = self._stage(maps[0], maps[1], blocks[0], 1)                     # (N,  64, 32, 32)
        self.layer2 = self._stage(maps[1], maps[2], blocks[1], 2)                     # (N, 128, 16, 16)
        self.layer3 = self._stage(maps[2], maps[3], blocks[2], 2)                     # (N, 256,  8,  8)
        self.layer4 = self._stage(maps[3], maps[4], blocks[3], 2)                     # (N, 512,  4,  4)
        self.bn = nn.BatchNorm2d(maps[4])
        self.relu = nn.ReLU(inplace=True)
        self.avgpool = nn.AdaptiveAvgPool2d(1)                                        # (N, 512,  1,  1)
        self.fc = nn.Linear(maps[4], classes)
        # fmt: on
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.conv1(x)))))
        return self.fc(self.avgpool(self.relu(self.bn(x))).flatten(1))

    @staticmethod
    def _stage(before: int, after: int, count: int, stride: int) -> nn.Sequential:
        return nn.Sequential(Unit(before, after, stride), *(Unit(after, after, 1) for _ in range(count - 1)))

"""VGG. Simonyan and Zisserman 2015, "Very deep convolutional networks for large-scale image recognition", Table 1.

Convolutions of 3x3 alone, in five stages that each end in a halving: two of them see what one 5x5 sees, three what one
7x7 sees, with fewer weights. Columns A (11 layers), B (13), D (16) and E (19); layer names are those of public weights.

Differs from the paper in two places, as the public weights do: behind the last pooling any size of picture is averaged
to 7x7 cells (224 pixels give 7x7 by themselves); the -bn networks have a batch norm behind each convolution.
Initialisation: Glorot and Bengio 2010 (uniform), biases 0, which section 3.1 of the paper says would have done without
the pre-training of its shallow column.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from hubel.shapes import windowed
from hubel.zoo.fresh import glorot
from hubel.zoo.sizes import fitted, scaled


class VGG(nn.Module):
    """Five stages, two hidden layers.

    convolutions: how many each stage has; norm: batch norm behind each
    width: factor on maps and hidden units; dropout: share of the outputs of a hidden layer that is dropped
    """

    convolutions: ClassVar[tuple[int, ...]]
    norm: ClassVar[bool] = False

    def __init__(
        self, classes: int = 1000, input: Sequence[int] = (3, 224, 224), width: float = 1.0, dropout: float = 0.5  # noqa: A002
    ) -> None:  # fmt: skip
        super().__init__()
        fitted(input, _cells)
        hidden = scaled(4096, width)
        before = input[0]  # (N, 3, 224, 224)
        layers: list[nn.Module] = []
        for count, maps in zip(self.convolutions, (64, 128, 256, 512, 512), strict=True):
            for _ in range(count):
                layers += self._unit(before, before := scaled(maps, width))
            layers.append(nn.MaxPool2d(2))  # (N, 64, 112, 112), (N, 128, 56, 56), … (N, 512, 7, 7)
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(7)  # any size to (N, 512, 7, 7)
        self.classifier = nn.Sequential(                                     # (N, 25088)
            nn.Linear(before * 7 * 7, hidden), nn.ReLU(True), nn.Dropout(dropout),
            nn.Linear(hidden, hidden), nn.ReLU(True), nn.Dropout(dropout),   # (N, 4096)
            nn.Linear(hidden, classes),
        )  # fmt: skip
        glorot(self.modules())

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))

    @classmethod
    def _unit(cls, before: int, after: int) -> list[nn.Module]:
        """The bias in front of a norm does nothing, but the public weights have it."""
        norm = [nn.BatchNorm2d(after)] if cls.norm else []
        return [nn.Conv2d(before, after, 3, padding=1), *norm, nn.ReLU(inplace=True)]


def _cells(size: int) -> int:
    """Cells per axis after five halvings."""
    for _ in range(5):
        size = windowed(size, 2, 2)
    return size


class VGG11(VGG):
    convolutions = (1, 1, 2, 2, 2)


class VGG13(VGG):
    convolutions = (2, 2, 2, 2, 2)


class VGG16(VGG):
    convolutions = (2, 2, 3, 3, 3)


class VGG19(VGG):
    convolutions = (2, 2, 4, 4, 4)


class VGG11BN(VGG11):
    norm = True


class VGG13BN(VGG13):
    norm = True


class VGG16BN(VGG16):
    norm = True


class VGG19BN(VGG19):
    norm = True

"""Our own small networks: the defaults for small pictures, made to learn much in seconds on two cores.

A stem, then stages of two 3x3 convolutions; each with batch norm and ReLU. What makes them fast, each measured:
    the pooling stands right after a stage's first convolution, before norm and ReLU, which then touch a quarter;
    the stem halves pictures from 16 pixels on (fast-digits) or above 40 (fast-pictures), as most work is at full size;
    few maps, as many as the vector width of the processor likes, and a global maximum instead of hidden layers.
Initialisation: He et al. 2015 (normal, fan in); the output layer normal with deviation 1/sqrt(fan in).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from hubel.errors import InputError, ShapeError

STAGES = (32, 64, 128)  # maps


def unit(
    before: int, after: int, kernel: int = 3, stride: int = 1, padding: int = 1, *, pool: bool = False
) -> list[nn.Module]:
    """conv - (pool) - norm - ReLU. No bias: the norm has one."""
    convolution = nn.Conv2d(before, after, kernel, stride, padding, bias=False)
    return [convolution, *([nn.MaxPool2d(2)] if pool else []), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]


class Fast(nn.Module):
    """stem -> stages, each halving -> global maximum -> linear.

    stem: maps, kernel, stride and padding of the first convolution;  widths: maps of each stage
    """

    def __init__(
        self, classes: int, input: Sequence[int], stem: tuple[int, int, int, int], widths: Sequence[int]  # noqa: A002
    ) -> None:  # fmt: skip
        super().__init__()
        channels, *sides = input
        maps, kernel, stride, padding = stem
        self._check(sides, stem, len(widths))
        layers = unit(channels, maps, kernel, stride, padding)  # (N, 32, 12, 12) of a 28x28 picture
        for wide in widths:
            layers += unit(maps, wide, pool=True) + unit(wide, wide)  # (N, 32, 6, 6), (N, 64, 3, 3)
            maps = wide
        self.features = nn.Sequential(*layers)
        self.pool = nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten())  # (N, 64)
        self.classifier = nn.Linear(maps, classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.normal_(self.classifier.weight, std=maps**-0.5)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.pool(self.features(x)))

    @staticmethod
    def _check(sides: Sequence[int], stem: tuple[int, int, int, int], halvings: int) -> None:
        _, kernel, stride, padding = stem
        least = next(
            n
            for n in range(1, 100)
            if n + 2 * padding >= kernel and (n + 2 * padding - kernel) // stride + 1 >= 2**halvings
        )
        if min(sides) < least:
            raise ShapeError(
                f"pictures of {sides[0]}x{sides[1]} are too small for {halvings} halvings: "
                f"they need {least} pixels each way; enlarge them with --input {least}x{least}"
            )


def times(widths: Sequence[int], factor: float) -> list[int]:
    """Each width by the factor, at least 1."""
    return [max(1, round(maps * factor)) for maps in widths]


class FastDigits(Fast):
    """For small grey pictures, such as digits: 70,586 parameters at 28x28. width: factor on the maps of the stages.

    stride: of the stem on pictures from 16 pixels on; at 1 all of it is seen at full size, at five times the work.
    stages: how many of 32, 64, 128 maps there are
    """

    def __init__(
        self, classes: int = 10, input: Sequence[int] = (1, 28, 28), width: float = 1.0,  # noqa: A002
        stride: int = 2, stages: int = 2,
    ) -> None:  # fmt: skip
        stem = (16, 5, stride, 0 if stride > 1 else 2) if min(input[1:]) >= 16 else (16, 3, 1, 1)
        if not 1 <= stages <= len(STAGES):
            raise InputError(f"fast-digits has 1 to {len(STAGES)} stages, not {stages}: say --arg stages=2")
        super().__init__(classes, input, stem, times(STAGES[:stages], width))


class FastPictures(Fast):
    """For small colour pictures: 292,954 parameters at 32x32. width: factor on the maps of the stages."""

    def __init__(self, classes: int = 10, input: Sequence[int] = (3, 32, 32), width: float = 1.0) -> None:  # noqa: A002
        stem = (16, 5, 2, 2) if min(input[1:]) > 40 else (16, 3, 1, 1)
        super().__init__(classes, input, stem, times(STAGES, width))

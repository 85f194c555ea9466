"""LeNet-5. LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition", II.B.

Two entries. `LeNet5Of1998` is the paper's: C3 connected by Table I, subsampling with a trainable coefficient and bias,
the squashing 1.7159 tanh(2x/3), RBF output units on fixed codes; exactly 60,000 trainable parameters.
It differs in one place: the codes of the digits are drawn by us in the paper's 7x12 (its Figure 3), as the exact
bitmaps were never published as numbers; other class counts get seeded codes.

`LeNet5` is the common modern form and differs from the paper in four places: C3 sees all six maps of S2; the
subsampling is a plain average; tanh is not scaled; the output is linear logits.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hubel.errors import ShapeError
from hubel.shapes import windowed


def _after_convolutions(size: int) -> int:
    """Cells per axis after conv 5, halving, conv 5, halving."""
    return windowed(windowed(windowed(windowed(size, 5), 2, 2), 5), 2, 2)


class LeNet5(nn.Module):
    def __init__(self, classes: int = 10, input: Sequence[int] = (1, 32, 32)) -> None:  # noqa: A002
        super().__init__()
        channels, height, width = input
        cells = _after_convolutions(height) * _after_convolutions(width)
        self.features = nn.Sequential(                               # (N,   1, 32, 32)
            nn.Conv2d(channels, 6, 5), nn.Tanh(), nn.AvgPool2d(2),   # (N,   6, 14, 14)
            nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),         # (N,  16,  5,  5)
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Flatten(),                                            # (N, 400)
            nn.Linear(16 * cells, 120), nn.Tanh(),
            nn.Linear(120, 84), nn.Tanh(),
            nn.Linear(84, classes),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))


# Table I of the paper: which maps of S2 (rows of a column) each of the 16 maps of C3 sees.
TABLE = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)  # fmt: skip


class ScaledTanh(nn.Module):
    """f(a) = 1.7159 tanh(2a/3): f(1) = 1 and f(-1) = -1, with the largest curvature there (appendix A)."""

    def forward(self, a: Tensor) -> Tensor:
        return 1.7159 * torch.tanh(a * (2 / 3))


class Subsample(nn.Module):
    """S2 and S4: the sum of each 2x2 field, times a coefficient, plus a bias; one of each per map.

    (N, C, H, W) -> (N, C, H/2, W/2)
    """

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.coefficient = nn.Parameter(torch.full((maps,), 0.25))  # begins as the mean
        self.bias = nn.Parameter(torch.zeros(maps))

    def forward(self, x: Tensor) -> Tensor:
        total = F.avg_pool2d(x, 2) * 4
        return total * self.coefficient.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)


class PartialConv2d(nn.Module):
    """A convolution whose kernels exist only where `table` connects an input map to an output map.

    weight: (connections, F, F), in the order of the table   bias: (len(table),)
    (N, C, H, W) -> (N, len(table), H - F + 1, W - F + 1)
    """

    slot: Tensor

    def __init__(self, maps: int, table: Sequence[Sequence[int]], kernel: int) -> None:
        super().__init__()
        self.table = tuple(map(tuple, table))
        connections = sum(map(len, table))
        self.weight = nn.Parameter(torch.empty(connections, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(len(table)))
        slot = torch.full((len(table), maps), connections)  # one past the end: the kernel of zeros
        numbers = iter(range(connections))
        for o, seen in enumerate(table):
            for c in seen:
                slot[o, c] = next(numbers)
        self.register_buffer("slot", slot, persistent=False)
        kernels = iter(self.weight.data)
        for seen in table:
            bound = 2.4 / (len(seen) * kernel * kernel)  # the paper's: 2.4 / fan in
            for _ in seen:
                nn.init.uniform_(next(kernels), -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        kernels = torch.cat([self.weight, torch.zeros_like(self.weight[:1])])
        return F.conv2d(x, kernels[self.slot], self.bias)  # kernels[slot]: (O, C, F, F)


class RBF(nn.Module):
    """Output units: logit = -|x - code|^2, with a fixed code of +1 and -1 per class.  (N, 84) -> (N, K)"""

    codes: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.register_buffer("codes", _codes(classes), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return -(x.unsqueeze(1) - self.codes).square().sum(2)


class LeNet5Of1998(nn.Module):
    def __init__(self, classes: int = 10, input: Sequence[int] = (1, 32, 32)) -> None:  # noqa: A002
        super().__init__()
        channels, height, width = input
        if _after_convolutions(height) != 5 or _after_convolutions(width) != 5:
            raise ShapeError(
                f"lenet5-1998: C5 needs maps of 5x5, which 32x32 gives; the input is {height}x{width}"
            )
        self.features = nn.Sequential(                               # (N,   1, 32, 32)
            nn.Conv2d(channels, 6, 5), ScaledTanh(),                 # (N,   6, 28, 28)  C1
            Subsample(6), ScaledTanh(),                              # (N,   6, 14, 14)  S2
            PartialConv2d(6, TABLE, 5), ScaledTanh(),                # (N,  16, 10, 10)  C3
            Subsample(16), ScaledTanh(),                             # (N,  16,  5,  5)  S4
            nn.Conv2d(16, 120, 5), ScaledTanh(),                     # (N, 120,  1,  1)  C5
        )  # fmt: skip
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(120, 84), ScaledTanh(), RBF(classes))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                bound = 2.4 / layer.weight[0].numel()
                nn.init.uniform_(layer.weight, -bound, bound)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))


def _codes(classes: int) -> Tensor:
    """(K, 84) of +1 and -1: the drawn digits for ten classes, else seeded ones."""
    if classes == 10:
        rows = [line.split() for line in DIGITS.strip().splitlines()]
        return torch.tensor([[1.0 if c == "#" else -1.0 for row in rows for c in row[d]] for d in range(10)])
    seeded = torch.Generator().manual_seed(84)
    return torch.randint(0, 2, (classes, 84), generator=seeded, device=seeded.device) * 2.0 - 1.0


DIGITS = """
....... ....... ....... ....... ....... ....... ....... ....... ....... .......
..###.. ...#... ..###.. .#####. ....#.. .#####. ..####. ######. ..###.. ..###..
.#...#. ..##... .#...#. .....#. ...##.. .#..... .#..... .....#. .#...#. .#...#.
#.....# .#.#... #.....# ....#.. ...##.. .#..... #...... ....#.. #.....# #.....#
#.....# ...#... ......# ...#... ..#.#.. #.####. #.####. ....#.. #.....# #.....#
#.....# ...#... .....#. ..####. ..#.#.. ##....# ##....# ...#... .#...#. #....##
#.....# ...#... ....#.. ......# .#..#.. ......# #.....# ...#... ..###.. .####.#
#.....# ...#... ...#... ......# #...#.. ......# #.....# ..#.... .#...#. ......#
#.....# ...#... ..#.... ......# #######  ......# #.....# ..#.... #.....# ......#
.#...#. ...#... .#..... #.....# ....#.. #.....# .#...#. .#..... #.....# .....#.
..###.. .#####. ####### .#####. ....#.. .#####. ..###.. .#..... .#####. .####..
....... ....... ....... ....... ....... ....... ....... ....... ....... .......
"""

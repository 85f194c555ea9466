"""The ResNet-50 of the course "Convolutional neural networks" (deeplearning.ai, 2017), as its Keras code has it.

After He et al. 2015, Table 1, for 64x64 pictures of six hand signs. Keras counts 23,600,006 parameters, as it takes the
53,120 statistics of the norms for some; 23,546,886 are trained.

Differs from the course's words where its code does: the identity blocks of stage 5 have 512, 512, 2048 maps
(its prose says 256, 256, 2048). Differs from the paper as the code does: three zeros around the picture, then no
padding in the first convolution nor in any pooling; convolutions have biases; a block that halves the picture
does so in its first 1x1 convolution; the last maps are pooled 2x2 and flattened.

Initialisation: Glorot uniform, zero biases. Norms as Keras has them: epsilon 0.001, statistics that move by 0.01.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from hubel.shapes import windowed
from hubel.zoo.fresh import glorot
from hubel.zoo.sizes import fitted, scaled

COUNTS = (3, 4, 6, 3)  # blocks of stages 2 to 5


def _norm(maps: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(maps, eps=1e-3, momentum=0.01)


class Block(nn.Module):
    """relu(F(x) + shortcut(x)): (N, before, H, W) -> (N, 4 maps, H/stride, W/stride).

    project: whether the shortcut has a convolution (the first block of a stage); the identity otherwise
    """

    def __init__(self, before: int, maps: int, stride: int = 1, *, project: bool = False) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(before, maps, 1, stride), _norm(maps), nn.ReLU(),
            nn.Conv2d(maps, maps, 3, padding=1), _norm(maps), nn.ReLU(),
            nn.Conv2d(maps, 4 * maps, 1), _norm(4 * maps),
        )  # fmt: skip
        self.shortcut = (
            nn.Sequential(nn.Conv2d(before, 4 * maps, 1, stride), _norm(4 * maps))
            if project
            else nn.Identity()
        )
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.branch(x) + self.shortcut(x))


def _after(size: int) -> int:
    """Cells of an axis after all stages and the last pooling."""
    size = windowed(windowed(size, 7, 2, 3), 3, 2)
    for _ in COUNTS[1:]:
        size = windowed(size, 1, 2)
    return windowed(size, 2, 2)


class ResNet50OfTheCourse(nn.Module):
    """width: factor on the maps;  blocks: of stages 2 to 5, where not the course's"""

    def __init__(
        self, classes: int = 6, input: Sequence[int] = (3, 64, 64), width: float = 1.0,  # noqa: A002
        blocks: Sequence[int] = COUNTS,
    ) -> None:  # fmt: skip
        super().__init__()
        rows, columns = fitted(input, _after)
        maps = [scaled(m, width) for m in (64, 128, 256, 512)]
        # fmt: off
        #                                                                         (N,    3, 64, 64)
        self.stage1 = nn.Sequential(
            nn.ZeroPad2d(3),                                                    # (N,    3, 70, 70)
            nn.Conv2d(input[0], maps[0], 7, 2), _norm(maps[0]), nn.ReLU(),      # (N,   64, 32, 32)
            nn.MaxPool2d(3, 2),                                                 # (N,   64, 15, 15)
        )
        self.stage2 = self._stage(maps[0], maps[0], blocks[0], 1)               # (N,  256, 15, 15)
        self.stage3 = self._stage(4 * maps[0], maps[1], blocks[1], 2)           # (N,  512,  8,  8)
        self.stage4 = self._stage(4 * maps[1], maps[2], blocks[2], 2)           # (N, 1024,  4,  4)
        self.stage5 = self._stage(4 * maps[2], maps[3], blocks[3], 2)           # (N, 2048,  2,  2)
        self.pool = nn.AvgPool2d(2)                                             # (N, 2048,  1,  1)
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(4 * maps[3] * rows * columns, classes))
        # fmt: on
        glorot(self.modules())

    def forward(self, x: Tensor) -> Tensor:
        x = self.stage2(self.stage1(x))
        x = self.stage5(self.stage4(self.stage3(x)))
        return self.classifier(self.pool(x))

    @staticmethod
    def _stage(before: int, maps: int, count: int, stride: int) -> nn.Sequential:
        first = Block(before, maps, stride, project=True)
        return nn.Sequential(first, *(Block(4 * maps, maps) for _ in range(count - 1)))

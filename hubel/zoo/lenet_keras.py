"""The LeNet of the lectures' Keras program: conv 20@5x5 unpadded, pool, conv 50@5x5 'same', pool, 500, classes.

931,080 parameters on 28x28. Initialisation as Keras's default: Glorot uniform weights, zero biases.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from hubel.shapes import windowed
from hubel.zoo.fresh import glorot


class LeNetKeras(nn.Module):
    def __init__(self, classes: int = 10, input: Sequence[int] = (1, 28, 28)) -> None:  # noqa: A002
        super().__init__()
        channels, height, width = input
        h, w = (windowed(windowed(windowed(size, 5), 2, 2), 2, 2) for size in (height, width))
        self.features = nn.Sequential(                                              # (N,  1, 28, 28)
            nn.Conv2d(channels, 20, 5), nn.ReLU(), nn.MaxPool2d(2),                 # (N, 20, 12, 12)
            nn.Conv2d(20, 50, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),            # (N, 50,  6,  6)
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Flatten(),                                                           # (N, 1800)
            nn.Linear(50 * h * w, 500), nn.ReLU(),
            nn.Linear(500, classes),
        )  # fmt: skip
        glorot(self.modules())

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))

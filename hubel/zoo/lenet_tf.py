"""The network of TensorFlow 1's tutorial "Deep MNIST for experts", which the lectures retell.

conv 32@5x5, pool, conv 64@5x5, pool, 1024, dropout 0.5, classes; 'same' padding; 3,274,634 parameters on 28x28.
Weights from N(0, 0.1) cut at two deviations, biases 0.1 ("slightly positive, to avoid dead neurons").
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from hubel.shapes import windowed


class LeNetTF(nn.Module):
    def __init__(
        self, classes: int = 10, input: Sequence[int] = (1, 28, 28), dropout: float = 0.5  # noqa: A002
    ) -> None:  # fmt: skip
        super().__init__()
        channels, height, width = input
        h, w = (windowed(windowed(size, 2, 2), 2, 2) for size in (height, width))
        self.features = nn.Sequential(                                              # (N,  1, 28, 28)
            nn.Conv2d(channels, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),      # (N, 32, 14, 14)
            nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),            # (N, 64,  7,  7)
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Flatten(),                                                           # (N, 3136)
            nn.Linear(64 * h * w, 1024), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(1024, classes),
        )  # fmt: skip
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.1, a=-0.2, b=0.2)
                nn.init.constant_(layer.bias, 0.1)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))

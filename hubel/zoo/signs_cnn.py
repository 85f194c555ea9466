"""The small network of the course "Convolutional neural networks" for hand signs (deeplearning.ai, 2017; TensorFlow 1).

conv 8@4x4, pool 8, conv 16@2x2, pool 4, fully connected; 1,286 parameters on 64x64x3 with six classes.
Convolutions without bias. 'Same' padding: an even window gets its odd zero on the right and at the bottom, and a
pooling that does not divide the picture takes what is left at those sides (TensorFlow would share it between both).
Initialisation: Glorot uniform, zero biases.

The lecture's program feeds pixels as 0..1. Trained here they are normalised, as for our other networks: ten hand signs
then come to 85 % instead of 78 (means of five and of four seeds).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from hubel.shapes import windowed
from hubel.zoo.fresh import glorot
from hubel.zoo.sizes import fitted


def _after(size: int) -> int:
    """Cells of an axis after both poolings."""
    return windowed(windowed(size, 8, 8, ceil=True), 4, 4, ceil=True)


class SignsCNN(nn.Module):
    def __init__(self, classes: int = 6, input: Sequence[int] = (3, 64, 64)) -> None:  # noqa: A002
        super().__init__()
        rows, columns = fitted(input, _after)
        self.features = nn.Sequential(                                              # (N,  3, 64, 64)
            nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(input[0], 8, 4, bias=False),      # (N,  8, 64, 64)
            nn.ReLU(), nn.MaxPool2d(8, ceil_mode=True),                             # (N,  8,  8,  8)
            nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(8, 16, 2, bias=False),            # (N, 16,  8,  8)
            nn.ReLU(), nn.MaxPool2d(4, ceil_mode=True),                             # (N, 16,  2,  2)
        )  # fmt: skip
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(16 * rows * columns, classes))
        glorot(self.modules())

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))

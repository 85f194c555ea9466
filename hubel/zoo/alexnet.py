"""AlexNet. Krizhevsky, Sutskever, Hinton 2012, "ImageNet classification with deep convolutional neural networks".

Two entries. `AlexNet` is the paper's (Figure 2): two groups in the 2nd, 4th and 5th convolution, local response
normalisation after the ReLU of the first two (section 3.3), overlapping pooling (3.4), dropout in front of the hidden
layers (4.2). It differs from the paper in five places:
    the input has 227 pixels a side: 224, as the text has it, does not give the 55 cells of Figure 2 without padding;
    the normalisation sees the neighbours of a map across both groups, as they do not lie on two GPUs here;
    dropout enlarges what stays while training, where the paper halves all outputs in use: the same on average;
    a picture is looked at once, not in ten cuts (see also the setting `mirror` of the recipe);
    weights begin as in He et al. 2015 (normal, fan in), biases 0. Section 5 of the paper is init="paper":
    N(0, 0.01), biases 1 in the 2nd, 4th and 5th convolution and the hidden layers. Its first answers hardly depend on
    the picture, and few pictures do not lead away from there: 1,486 hand signs did not in eight passes.

`AlexNetOWT` is the single column of Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks",
in the form of the public weights, whose names it has: 64, 192, 384, 256 and 256 maps, no groups, no normalisation,
padding in the first convolution, and any size of picture averaged to 6x6 cells.
Initialisation: He et al. 2015 (normal, fan in), biases 0.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from hubel.errors import UnknownName
from hubel.shapes import windowed
from hubel.zoo.fresh import he
from hubel.zoo.sizes import fitted, scaled

INITS = ("he", "paper")


class AlexNet(nn.Module):
    """width: factor on maps and hidden units; dropout: share of the inputs of a hidden layer that is dropped.

    init: he, paper
    """

    def __init__(
        self, classes: int = 1000, input: Sequence[int] = (3, 227, 227), width: float = 1.0, dropout: float = 0.5,  # noqa: A002
        init: str = "he",
    ) -> None:  # fmt: skip
        super().__init__()
        if init not in INITS:
            raise UnknownName("initialisation", init, INITS)
        h, w = fitted(input, _cells)
        a, b, c, d = (2 * scaled(half, width) for half in (48, 128, 192, 2048))  # of each group
        self.features = nn.Sequential(                                                       # (N,   3, 227, 227)
            nn.Conv2d(input[0], a, 11, 4), nn.ReLU(), _normalisation(), nn.MaxPool2d(3, 2),  # (N,  96,  27,  27)
            nn.Conv2d(a, b, 5, padding=2, groups=2), nn.ReLU(),                              # (N, 256,  27,  27)
            _normalisation(), nn.MaxPool2d(3, 2),                                            # (N, 256,  13,  13)
            nn.Conv2d(b, c, 3, padding=1), nn.ReLU(inplace=True),                            # (N, 384,  13,  13)
            nn.Conv2d(c, c, 3, padding=1, groups=2), nn.ReLU(inplace=True),                  # (N, 384,  13,  13)
            nn.Conv2d(c, b, 3, padding=1, groups=2), nn.ReLU(inplace=True),                  # (N, 256,  13,  13)
            nn.MaxPool2d(3, 2),                                                              # (N, 256,   6,   6)
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Dropout(dropout),                                               # (N, 9216)
            nn.Linear(b * h * w, d), nn.ReLU(inplace=True), nn.Dropout(dropout),             # (N, 4096)
            nn.Linear(d, d), nn.ReLU(inplace=True),                                          # (N, 4096)
            nn.Linear(d, classes),
        )  # fmt: skip
        he(self.modules())
        if init == "paper":
            self._as_in_section_5()

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))

    def _as_in_section_5(self) -> None:
        layers = [m for m in self.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        for number, layer in enumerate(layers, 1):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.constant_(layer.bias, 1.0 if number in (2, 4, 5, 6, 7) else 0.0)  # type: ignore[arg-type]


class AlexNetOWT(nn.Module):
    """width, dropout: as in AlexNet."""

    def __init__(
        self, classes: int = 1000, input: Sequence[int] = (3, 224, 224), width: float = 1.0, dropout: float = 0.5  # noqa: A002
    ) -> None:  # fmt: skip
        super().__init__()
        fitted(input, lambda size: _pooled(windowed(size, 11, 4, 2)))
        a, b, c, d, e = (scaled(maps, width) for maps in (64, 192, 384, 256, 4096))
        self.features = nn.Sequential(                                                       # (N,   3, 224, 224)
            nn.Conv2d(input[0], a, 11, 4, padding=2), nn.ReLU(True), nn.MaxPool2d(3, 2),     # (N,  64,  27,  27)
            nn.Conv2d(a, b, 5, padding=2), nn.ReLU(True), nn.MaxPool2d(3, 2),                # (N, 192,  13,  13)
            nn.Conv2d(b, c, 3, padding=1), nn.ReLU(True),                                    # (N, 384,  13,  13)
            nn.Conv2d(c, d, 3, padding=1), nn.ReLU(True),                                    # (N, 256,  13,  13)
            nn.Conv2d(d, d, 3, padding=1), nn.ReLU(True), nn.MaxPool2d(3, 2),                # (N, 256,   6,   6)
        )  # fmt: skip
        self.avgpool = nn.AdaptiveAvgPool2d(6)  # any size to (N, 256, 6, 6)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(d * 6 * 6, e), nn.ReLU(True),                     # (N, 4096)
            nn.Dropout(dropout), nn.Linear(e, e), nn.ReLU(True),                             # (N, 4096)
            nn.Linear(e, classes),
        )  # fmt: skip
        he(self.modules())

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def _normalisation() -> nn.LocalResponseNorm:
    """Section 3.3: k = 2, n = 5, beta = 0.75 and alpha = 1e-4 for a sum; PyTorch's alpha is for the mean of the n."""
    return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)


def _cells(size: int) -> int:
    """Cells per axis after all convolutions and poolings."""
    return _pooled(windowed(size, 11, 4))


def _pooled(cells: int) -> int:
    """After three poolings of 3 by 2; the convolutions between them keep the size."""
    return windowed(windowed(windowed(cells, 3, 2), 3, 2), 3, 2)

"""SqueezeNet 1.1. Iandola et al. 2016, "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters", Figures 1, 2.

Version 1.1 is the authors' own successor (2016, beside their code): 64 maps of 3x3 in front instead of 96 of 7x7, and
pooling earlier, for 2.4 times less computation at the same accuracy. Layer names are those of public weights.

Differs from the authors' in one place, as public weights do: dropout stands in front of the last convolution.
Poolings round up, as Caffe's do (ceil=False rounds down; at 224 pixels both are the same).
Initialisation: He et al. 2015 (uniform, fan in), the last convolution normal with deviation 0.01, zero biases.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hubel.shapes import windowed
from hubel.zoo.sizes import fitted, scaled


class Fire(nn.Module):
    """1x1 to few maps, then 1x1 and 3x3 side by side: (N, before, H, W) -> (N, 2 expanded, H, W). Figure 1."""

    def __init__(self, before: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(before, squeezed, 1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze_activation(self.squeeze(x))
        return torch.cat(
            [self.expand1x1_activation(self.expand1x1(x)), self.expand3x3_activation(self.expand3x3(x))], 1
        )


class SqueezeNet11(nn.Module):
    """width: factor on the maps;  ceil: how poolings round;  dropout: share, in front of the last convolution"""

    def __init__(
        self, classes: int = 1000, input: Sequence[int] = (3, 224, 224), width: float = 1.0, ceil: bool = True,  # noqa: A002
        dropout: float = 0.5,
    ) -> None:  # fmt: skip
        super().__init__()
        self.ceil = ceil

        def after(size: int) -> int:
            size = windowed(size, 3, 2)
            for _ in range(3):
                size = windowed(size, 3, 2, ceil=ceil)
            return size

        fitted(input, after)
        a, b, c, d, e = (scaled(m, width) for m in (16, 32, 48, 64, 128))
        f, g = scaled(192, width), scaled(256, width)
        # fmt: off
        self.features = nn.Sequential(                                          # (N,   3, 224, 224)
            nn.Conv2d(input[0], d, 3, 2), nn.ReLU(inplace=True),                # (N,  64, 111, 111)
            nn.MaxPool2d(3, 2, ceil_mode=ceil),                                 # (N,  64,  55,  55)
            Fire(d, a, d), Fire(2 * d, a, d),                                   # (N, 128,  55,  55)
            nn.MaxPool2d(3, 2, ceil_mode=ceil),                                 # (N, 128,  27,  27)
            Fire(2 * d, b, e), Fire(2 * e, b, e),                               # (N, 256,  27,  27)
            nn.MaxPool2d(3, 2, ceil_mode=ceil),                                 # (N, 256,  13,  13)
            Fire(2 * e, c, f), Fire(2 * f, c, f),                               # (N, 384,  13,  13)
            Fire(2 * f, d, g), Fire(2 * g, d, g),                               # (N, 512,  13,  13)
        )
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Conv2d(2 * g, classes, 1), nn.ReLU(inplace=True),                # (N,   K,  13,  13)
            nn.AdaptiveAvgPool2d(1), nn.Flatten(),                              # (N,   K)
        )
        # fmt: on
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        nn.init.normal_(self.classifier[1].weight, std=0.01)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))

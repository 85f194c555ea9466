"""A network that repaints any picture in one style. Johnson, Alahi, Fei-Fei 2016, "Perceptual losses for real-time
style transfer and super-resolution", with its supplement's network; instance norm as Ulyanov et al. 2016.

Differs from the paper as the published weights do, which come from TensorFlow: zeros stand around each layer's input
(its SAME padding), where the paper reflects the picture's border once and pads no residual block; the output is
150 tanh(y) + 127.5, cut to 0..255. It is no classifier, and so stands in no list of the zoo. Layers are named as in
the archives.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hubel.errors import ArtifactError, InputError
from hubel.zoo.public_weights import ARCHIVE, STYLE_SOURCE, STYLES
from hubel.zoo.weights import arrays, located

EPS = 1e-3  # of the instance norms
BLOCKS = 5

# At the peak, measured from 512 to 1536 pixels a side: 500 to 670 bytes, of which 256 are 2 x 32 maps in float32.
BYTES_A_PIXEL = 600


class Unit(nn.Module):
    """Convolution without bias, instance norm, and for all but some a ReLU: (N, C, H, W) -> (N, O, ⌈H/s⌉, ⌈W/s⌉).

    weight: (O, C, U, U)   scale, shift: (O,)
    """

    def __init__(self, before: int, after: int, kernel: int, stride: int = 1, relu: bool = True) -> None:
        super().__init__()
        self.kernel, self.stride, self.relu = kernel, stride, relu
        self.weight = nn.Parameter(torch.empty(self.shape(before, after)))
        self.scale, self.shift = nn.Parameter(torch.ones(after)), nn.Parameter(torch.zeros(after))
        nn.init.kaiming_normal_(self.weight)

    def shape(self, before: int, after: int) -> tuple[int, int, int, int]:
        return (after, before, self.kernel, self.kernel)

    def convolved(self, x: Tensor) -> Tensor:
        top, bottom = same(x.shape[2], self.kernel, self.stride)
        left, right = same(x.shape[3], self.kernel, self.stride)
        return F.conv2d(F.pad(x, (left, right, top, bottom)), self.weight, stride=self.stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.instance_norm(self.convolved(x), weight=self.scale, bias=self.shift, eps=EPS)
        return y.relu() if self.relu else y


class Up(Unit):
    """The same with a transposed convolution of stride 2: (N, C, H, W) -> (N, O, 2H, 2W).   weight: (C, O, 3, 3)

    It is the transpose of a convolution with TensorFlow's padding, whose one row and column of zeros stand below and
    right of an even size: so the last row and column of the whole are cut off.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, 3, 2)

    def shape(self, before: int, after: int) -> tuple[int, int, int, int]:
        return (before, after, self.kernel, self.kernel)

    def convolved(self, x: Tensor) -> Tensor:
        return F.conv_transpose2d(x, self.weight, stride=2)[:, :, :-1, :-1]


class Residual(nn.Module):
    """x + b(a(x)), both 3x3 on 128 maps; b without ReLU."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.a, self.b = Unit(maps, maps, 3), Unit(maps, maps, 3, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.b(self.a(x))


class StyleTransfer(nn.Module):
    """(N, 3, H, W) in 0..1, red first   ->   the same, repainted. Any size; an odd one is cut from the next larger."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = Unit(3, 32, 9), Unit(32, 64, 3, 2), Unit(64, 128, 3, 2)
        for number in range(1, BLOCKS + 1):
            self.add_module(f"res{number}", Residual(128))
        self.up1, self.up2 = Up(128, 64), Up(64, 32)
        self.conv_out = Unit(32, 3, 9, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv3(self.conv2(self.conv1(255 * x)))  # (N, 128, ⌈⌈H/2⌉/2⌉, ⌈⌈W/2⌉/2⌉)
        for number in range(1, BLOCKS + 1):
            y = self.get_submodule(f"res{number}")(y)
        y = self.conv_out(self.up2(self.up1(y)))  # (N, 3, H to H+3, W to W+3)
        y = y[:, :, : x.shape[2], : x.shape[3]]  # (N, 3, H, W)
        return ((150 * y.tanh() + 127.5) / 255).clamp(0, 1)  # fmt: skip


def same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's SAME: zeros before and after, so that ⌈size/stride⌉ windows fit; an odd one stands after."""
    missing = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return missing // 2, missing - missing // 2


def is_style(said: str) -> bool:
    """Whether it names a painter, one of STYLES or its archive, and not a picture."""
    path = Path(said)
    if path.exists():
        return path.is_dir() or path.suffix == ".npz"
    return said.removeprefix("style_") in STYLES


def painter(said: str) -> StyleTransfer:
    """The network of a style: a name of STYLES, its archive's folder or .npz file; ready for use.

    Raises InputError where there is none, ArtifactError for a file that is damaged or of something else.
    """
    path, name = Path(said), said.removeprefix("style_")
    if path.is_dir() and not (path / ARCHIVE).is_file():
        raise InputError(
            f"the folder {path} holds no {ARCHIVE}: name one that does, or {' or '.join(STYLES)}"
        )
    if path.exists():
        file = path / ARCHIVE if path.is_dir() else path
    else:
        file = located(f"style_{name}", STYLES[name], STYLE_SOURCE)
    made = StyleTransfer()
    try:
        made.load_state_dict(arrays(file))
    except RuntimeError as e:
        lines = " ".join(line.strip() for line in str(e).splitlines()[1:3])
        raise ArtifactError(f"{file} is not of the style network: {lines}") from e
    return made.eval().requires_grad_(False)

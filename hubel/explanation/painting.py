"""What dreams are painted with: a start whose waves are all alike in power, views that shake it, and its roughness.

The start and the views are those of Olah, Mordvintsev, Schubert 2017, "Feature Visualization" (Distill): a picture is
learnt through its waves and through its principal colours, so that a step changes coarse and fine, light and tint
alike; and it is asked about as seen a little shifted, turned and scaled, so that what only one grid of pixels answers
to does not pay.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

# How the colours of photographs vary together: the square root of the covariance of red, green and blue in 0..1 over
# all pixels of the 45,000 training pictures of CIFAR-10 (mean 0.491, 0.482, 0.446). Light varies most: its deviation is
# 0.41, that of blue against red 0.11, that of green against both 0.05.
COLOURS = (
    (0.1941, 0.1190, 0.0906),
    (0.1190, 0.1723, 0.1226),
    (0.0906, 0.1226, 0.2112),
)
CONTRAST = 4.0  # the sigmoid's slope at one half is 1/4: so a small change of a colour is as large as it says
LEAST, MOST = (
    0.02,
    0.98,
)  # how near to black and white a first guess may lie; beyond, the sigmoid hardly answers


class Canvas:
    """A picture that is learnt through its waves: x = sigmoid(4 M z + logit(ground)), z = the sum of the waves.

    waves: (2, C, H, W//2+1), real and imaginary parts of the spectrum of z, in units of 1/frequency: where these are
    drawn with deviation 1, z has deviation 1 and the power of photographs, 1/f².
    M: the square root of the colours' covariance for three channels, else 1   ground: (C,) in 0..1, where z is 0
    """

    def __init__(self, shape: tuple[int, int, int], ground: Tensor) -> None:
        channels, height, width = shape
        self.size = (height, width)
        self.scale = one_over_f(height, width)
        self.mixing = CONTRAST * (torch.tensor(COLOURS) if channels == 3 else torch.eye(channels))
        self.ground = ground.clamp(LEAST, MOST).logit().view(channels, 1, 1)
        self.waves = torch.zeros(2, channels, *self.scale.shape, requires_grad=True)

    @staticmethod
    def drawn(
        shape: tuple[int, int, int], ground: Tensor, generator: torch.Generator, spread: float = 0.1
    ) -> Canvas:
        """Waves drawn at random, of deviation `spread`."""
        made = Canvas(shape, ground)
        made.waves = (spread * torch.randn(made.waves.shape, generator=generator)).requires_grad_(True)
        return made

    @staticmethod
    def of(x: Tensor) -> Canvas:
        """The waves of a picture, (C, H, W) in 0..1: what is blacker than LEAST or whiter than MOST becomes these."""
        made = Canvas((x.shape[0], x.shape[1], x.shape[2]), torch.full((x.shape[0],), 0.5))
        z = torch.einsum("dc,chw->dhw", torch.linalg.inv(made.mixing), x.clamp(LEAST, MOST).logit())
        waves = torch.fft.rfft2(z, norm="ortho") / made.scale
        made.waves = torch.stack([waves.real, waves.imag]).requires_grad_(True)
        return made

    def flat(self) -> Tensor:
        """z: (C, H, W), before colours and the sigmoid"""
        return torch.fft.irfft2(
            torch.complex(self.waves[0], self.waves[1]) * self.scale, s=self.size, norm="ortho"
        )

    def picture(self) -> Tensor:
        """(1, C, H, W) in 0..1, with a gradient to the waves"""
        return torch.sigmoid(torch.einsum("dc,chw->dhw", self.mixing, self.flat()) + self.ground)[None]


def frequencies(height: int, width: int) -> Tensor:
    """(H, W//2+1): cycles per pixel of each wave of a real picture's spectrum, as irfft2 has them."""
    return torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None])


def one_over_f(height: int, width: int) -> Tensor:
    """(H, W//2+1): a / max(f, 1/max(H, W)), with a such that waves of deviation 1 give a picture of deviation 1.

    The picture's power is the mean of |wave|² over the whole spectrum (Parseval), of which irfft2 is given one half;
    a drawn wave has |w|² = 2. Columns that are their own mirror images lose half of what is drawn, and get it back.
    """
    scale = 1 / frequencies(height, width).clamp(min=1 / max(height, width))
    alone = torch.tensor([column in (0, width / 2) for column in range(width // 2 + 1)])
    power = 2 * (scale.square() * torch.where(alone, 1, 2)).sum() / (height * width)
    return scale / power.sqrt() * torch.where(alone, math.sqrt(2), 1.0)


def total_variation(x: Tensor) -> Tensor:
    """sum |x[i+1,j] - x[i,j]| + |x[i,j+1] - x[i,j]| over C, H, W, per pixel. (N, C, H, W) -> (N,)

    Rudin, Osher, Fatemi 1992, in its anisotropic form: edges along the axes cost what they are high.
    """
    down = (x[:, :, 1:] - x[:, :, :-1]).abs().sum((1, 2, 3))
    right = (x[:, :, :, 1:] - x[:, :, :, :-1]).abs().sum((1, 2, 3))
    return (down + right) / (x.shape[2] * x.shape[3])


def views(
    x: Tensor, ground: Tensor, count: int, generator: torch.Generator, *, jitter: float, turn: float, scaling: float
) -> Tensor:  # fmt: skip
    """(1, C, H, W) -> (count, C, H, W): the picture shifted, turned and scaled at random, bilinear.

    ground: (C,), the colour that lies around it
    jitter: at most so many pixels along each axis   turn: at most so many degrees   scaling: by 1 ± that at most
    """
    N, C, H, W = count, *x.shape[1:]
    drawn = 2 * torch.rand(4, N, generator=generator) - 1  # (4, N) in -1..1
    angle, zoom = math.radians(turn) * drawn[0], 1 + scaling * drawn[1]
    cos, sin = angle.cos() / zoom, angle.sin() / zoom
    # affine_grid's units are half sides, so that a turn by itself would stretch a picture that is not square.
    rows = [
        torch.stack([cos, -sin * H / W, 2 * jitter / W * drawn[2]], 1),
        torch.stack([sin * W / H, cos, 2 * jitter / H * drawn[3]], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), [N, C, H, W], align_corners=False)  # (N, H, W, 2)
    ground = ground.view(1, C, 1, 1)
    return F.grid_sample((x - ground).expand(N, -1, -1, -1), grid, align_corners=False) + ground  # fmt: skip

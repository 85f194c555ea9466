"""Inputs changed a little so that a network errs: FGSM, PGD and DeepFool, in pixels 0..1.

    fgsm       Goodfellow, Shlens, Szegedy 2015, "Explaining and harnessing adversarial examples", section 4
    pgd        Madry et al. 2018, "Towards deep learning models resistant to adversarial attacks", section 2.1
    deepfool   Moosavi-Dezfooli, Fawzi, Frossard 2016, "DeepFool", algorithm 2

All they know of a network is a function from pixels to logits, so that what prepares the pixels, and what is averaged
over mirror images, lies inside. Modes and parameters are the caller's to set; only gradients of the pixels are taken.
N pictures · K classes. x: (N, C, H, W) float32 in 0..1   labels: (N,) int64   eps: largest change of a pixel, in 0..1
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hubel.attacks.settings import Attack

Model = Callable[[Tensor], Tensor]
STEP = 2.5  # of PGD, as a multiple of eps / steps: reaches every place of the ball from every other (Madry et al.)
RIVALS = 10  # classes whose boundaries DeepFool looks at, as the paper does for ImageNet
OVERSHOOT = 0.02  # DeepFool's last step beyond the boundary, as a share of the way (section 2)


@dataclass(frozen=True)
class Ball:
    """The pictures that differ from x by at most eps in each pixel and lie in 0..1: low <= x' <= high.

    The bounds are rounded inwards to the next float32, so that |x' - x| <= eps holds exactly, not up to rounding.
    """

    low: Tensor
    high: Tensor

    @staticmethod
    def around(x: Tensor, eps: float | Tensor) -> Ball:
        """x: in 0..1   eps: one for all, or (N,) float32"""
        e = _each(eps, x) if isinstance(eps, Tensor) else _rounded_down(eps, x)
        # x itself is a bound where eps is less than the next float32 is away.
        low = torch.minimum(torch.nextafter(x - e, x + 1), x)
        high = torch.maximum(torch.nextafter(x + e, x - 1), x)
        return Ball(low.clamp(min=0), high.clamp(max=1))

    def nearest(self, x: Tensor) -> Tensor:
        """The projection: of all in the ball what is nearest to x, pixel by pixel."""
        return torch.minimum(torch.maximum(x, self.low), self.high)


def attacked(
    model: Model, x: Tensor, labels: Tensor, attack: Attack, eps: Tensor | None = None, *, seed: Sequence[int] = (),
    whole: bool = False,
) -> Tensor:  # fmt: skip
    """The pictures as the attack leaves them, whether it succeeds or not.

    labels: of each the class that is to be left; of `targeted` they are not looked at   eps: (N,) instead of attack.eps
    seed: beside attack.seed, such as the number of a batch   whole: PGD takes every step, see there
    """
    within: float | Tensor = attack.eps if eps is None else eps
    if attack.method == "deepfool":
        return deepfool(model, x, steps=attack.steps)
    towards = attack.target is not None
    wanted = torch.full_like(labels, attack.target) if attack.target is not None else labels
    if attack.method == "fgsm":
        return fgsm(model, x, wanted, within)
    return pgd(
        model, x, wanted, within, steps=attack.steps, step=attack.step, restarts=attack.restarts, towards=towards,
        whole=whole, seed=(attack.seed, *seed),
    )  # fmt: skip


def slope(model: Model, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """d/dx of the cross-entropy of each picture, and the logits. -> (N, C, H, W), (N, K)"""
    x = x.detach().requires_grad_(True)
    with torch.enable_grad():
        logits = model(x)
        loss = F.cross_entropy(logits, labels, reduction="sum")  # each picture's own: none sees the others
    (dx,) = torch.autograd.grad(loss, x)
    return dx, logits.detach()


def fgsm(model: Model, x: Tensor, labels: Tensor, eps: float | Tensor) -> Tensor:
    """x + eps sign(dx), in 0..1: one step up the loss of `labels`."""
    dx, _ = slope(model, x, labels)
    return Ball.around(x, eps).nearest(x + _each(eps, x) * dx.sign())


def climbed(
    model: Model, start: Tensor, labels: Tensor, ball: Ball, *, steps: int, step: float | Tensor
) -> Tensor:  # fmt: skip
    """x <- P(x + step sign(dx)), `steps` times, with P the projection into the ball."""
    x = start
    for _ in range(steps):
        dx, _ = slope(model, x, labels)
        x = ball.nearest(x + _each(step, x) * dx.sign())
    return x


def anywhere(x: Tensor, eps: float | Tensor, ball: Ball, seed: Sequence[int]) -> Tensor:
    """A place in the ball: each pixel moved by up to eps either way, evenly, then put into 0..1."""
    drawn = torch.rand(x.shape, generator=generator(seed), dtype=x.dtype).to(
        x.device
    )  # the same on every device
    return ball.nearest(x + _each(eps, x) * (2 * drawn - 1))


def pgd(
    model: Model, x: Tensor, labels: Tensor, eps: float | Tensor, *, steps: int = 40, step: float = 0.0,
    restarts: int = 1, towards: bool = False, whole: bool = False, seed: Sequence[int] = (0,),
) -> Tensor:  # fmt: skip
    """Projected gradient steps from random places of the ball, away from `labels`; `towards` them, down their loss.

    A picture is left as soon as it succeeds, on the way too, or (whole) at the end of a restart that succeeds; where
    none does, the end of the last restart is given.
    """
    found, left = x.clone(), torch.arange(len(x), device=x.device)
    for restart in range(restarts):
        if not len(left):
            break
        within = eps[left] if isinstance(eps, Tensor) else eps
        ball = Ball.around(x[left], within)
        now = anywhere(x[left], within, ball, (*seed, restart))
        size = _each(step or STEP * within / steps, now) * (-1 if towards else 1)
        for _ in range(steps):
            dx, logits = slope(model, now, labels[left])
            there = (logits.argmax(1) == labels[left]) == towards
            if there.any() and not whole:
                found[left[there]] = now[there]
                left, now, dx, ball, size = _without(there, left, now, dx, ball, size)
                if not len(left):
                    break
            now = ball.nearest(now + size * dx.sign())
        found[left] = now
        with torch.no_grad():
            left = left[(model(now).argmax(1) == labels[left]) != towards] if len(left) else left
    return found


def deepfool(
    model: Model, x: Tensor, *, steps: int = 40, rivals: int = RIVALS, overshoot: float = OVERSHOOT
) -> Tensor:
    """Over the nearest boundary of the network taken as linear, again and again, until the answer changes.

    With k0 the answer, w_k = d(z_k - z_k0)/dx and l the k of least |z_k - z_k0| / |w_k|:
        x <- x + |z_l - z_k0| w_l / |w_l|^2
    Differs from the paper: x stays in 0..1. rivals: classes looked at, those of the largest logits
    """
    left = torch.arange(len(x), device=x.device)
    way, found = x.clone(), x.clone()
    with torch.no_grad():
        order = model(x).argsort(1, descending=True)[:, : rivals + 1]  # (N, R+1), the answer first
    for _ in range(steps):
        gaps, slopes = _to_rivals(model, way[left], order[left])  # (n, R), (n, R, C, H, W)
        lengths = slopes.flatten(2).norm(dim=2).clamp(min=1e-12)  # (n, R)
        near = (gaps.abs() / lengths).argmin(1)
        row = torch.arange(len(left), device=x.device)
        share = (gaps[row, near].abs() + 1e-6) / lengths[row, near].square()  # 1e-6: a gap of 0 still moves
        way[left] = (way[left] + _each(share, x) * slopes[row, near]).clamp(0, 1)
        found[left] = (x[left] + (1 + overshoot) * (way[left] - x[left])).clamp(0, 1)
        with torch.no_grad():
            left = left[model(found[left]).argmax(1) == order[left, 0]]
        if not len(left):
            break
    return found


def generator(seed: Sequence[int]) -> torch.Generator:
    """Random numbers that are a function of all of `seed`."""
    state = int(np.random.SeedSequence([*seed]).generate_state(1, np.uint64)[0])
    return torch.Generator().manual_seed(state >> 1)


def _to_rivals(model: Model, x: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
    """z_k - z_k0 and its gradient for every rival. order: (n, R+1)   ->   (n, R), (n, R, C, H, W)"""
    x = x.detach().requires_grad_(True)
    with torch.enable_grad():
        logits = model(x).gather(1, order)
        gaps = logits[:, 1:] - logits[:, :1]  # (n, R)
    slopes = [torch.autograd.grad(gaps[:, k].sum(), x, retain_graph=True)[0] for k in range(gaps.shape[1])]
    return gaps.detach(), torch.stack(slopes, 1)


def _without(
    gone: Tensor, left: Tensor, now: Tensor, dx: Tensor, ball: Ball, size: Tensor
) -> tuple[Tensor, Tensor, Tensor, Ball, Tensor]:
    """All of these without the pictures that are `gone`."""
    stay = ~gone
    size = size[stay] if size.dim() else size
    return left[stay], now[stay], dx[stay], Ball(ball.low[stay], ball.high[stay]), size


def _each(amount: float | Tensor, x: Tensor) -> Tensor:
    """One number for all pictures, or (N,) as (N, 1, 1, 1)."""
    made = torch.as_tensor(amount, dtype=x.dtype, device=x.device)
    return made.view(-1, *[1] * (x.dim() - 1)) if made.dim() == 1 else made


def _rounded_down(eps: float, x: Tensor) -> Tensor:
    """The largest number of x's kind that is not above eps."""
    made = torch.tensor(eps, dtype=x.dtype, device=x.device)
    return made if float(made) <= eps else torch.nextafter(made, torch.zeros_like(made))

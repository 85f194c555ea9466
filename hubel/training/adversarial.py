"""Learning from attacked pictures. Madry et al. 2018, equation 2.1: the best weights against the worst pictures.

    min_w  E[ max_{|d| <= eps} L(w, x + d, y) ]

The inner maximum is sought by PGD from a random place (their section 2.1), or by one long step of FGSM from there
(Wong, Rice, Kolter 2020, "Fast is better than free"), in pixels 0..1 and after augmentation.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from hubel.attacks.methods import STEP, Ball, anywhere, climbed
from hubel.training.recipe import Recipe
from hubel.training.torch_engine import TorchEngine

FGSM_STEP = 1.25  # of fgsm, as a multiple of eps (Wong et al. 2020, section 4.2)


class Adversary:
    """Pictures that the network, as it is at this step, answers worst; all settings are the recipe's.

    The network is asked in eval mode, as it will be in use: without dropout, norms with their running averages, which
    the attack then does not move. The picture is first put into 0..1, which brightness may have left.
    """

    def __init__(self, engine: TorchEngine, recipe: Recipe) -> None:
        self.engine, self.recipe = engine, recipe

    def __call__(self, x: Tensor, target: Tensor, seed: Sequence[int], done: float) -> Tensor:
        """x: (N, C, H, W) about 0..1   done: share of all steps, for the warm-up   ->   the same shape, in 0..1"""
        r = self.recipe
        eps = r.adversarial_eps * min(1.0, done / r.adversarial_warmup if r.adversarial_warmup else 1.0)
        steps, usual = (
            (1, FGSM_STEP) if r.adversarial == "fgsm" else (r.adversarial_steps, STEP / r.adversarial_steps)
        )
        step = min(r.adversarial_step or usual * eps, usual * eps)  # while eps is small, so are the steps
        x = x.clamp(0, 1)
        ball = Ball.around(x, eps)
        self.engine.model.eval()
        return climbed(self._logits, anywhere(x, eps, ball, seed), target, ball, steps=steps, step=step)

    def _logits(self, x: Tensor) -> Tensor:
        (z,) = self.engine.answers(x)
        return z

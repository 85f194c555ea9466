"""How inputs are attacked, as data. Importing this does not import torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hubel.errors import InputError, UnknownName

if TYPE_CHECKING:
    from torch import Tensor

METHODS = ("fgsm", "pgd", "deepfool", "targeted")


@dataclass(frozen=True)
class Attack:
    """How pictures are attacked; saved in what it gives.

    eps: largest change of a pixel, in 0..1   steps: of gradient; of DeepFool at most so many
    step: of PGD, in 0..1; 0 = 2.5 eps / steps   restarts: of PGD from other places, the first that succeeds counts
    target: the class that is wanted, for `targeted`   seed: of the places where PGD begins
    """

    method: str = "pgd"
    eps: float = 8 / 255
    steps: int = 40
    step: float = 0.0
    restarts: int = 1
    target: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UnknownName("attack", self.method, METHODS)
        if not 0 <= self.eps <= 1:
            raise InputError(
                f"eps is a share of the full scale and must lie in 0..1, got {self.eps:g}; 8/255 is usual"
            )
        if self.steps < 1 or self.restarts < 1:
            raise InputError(f"steps and restarts begin at 1, got {self.steps} and {self.restarts}")
        if not 0 <= self.step <= 1:
            raise InputError(f"step is a share of the full scale and must lie in 0..1, got {self.step:g}")
        if (self.method == "targeted") != (self.target is not None):
            raise InputError("a target goes with the attack targeted, and only with it: name both or neither")

    @property
    def measure(self) -> str:
        """How large a change is: the largest of a pixel, or the length of all of it."""
        return "l2" if self.method == "deepfool" else "linf"

    def succeeded(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(N,) bool: the answer is the target, or, where there is none, not the label."""
        answers = logits.argmax(1)
        return answers != labels if self.target is None else answers == self.target


def usual_eps(channels: int) -> float:
    """What the literature attacks with: 0.3 for digits of one channel (Madry et al. 2018), 8/255 for photographs."""
    return 0.3 if channels == 1 else 8 / 255

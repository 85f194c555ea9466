"""A network of one line, built. Layers are named by their places, as in nested nn.Sequentials: "2.body.0".

Initialisation: He et al. 2015 (normal, fan in) where the next activation is of the ReLU kind, else Glorot and Bengio
2010 (uniform); biases 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hubel.zoo.fresh import glorot, he
from hubel.zoo.oneline_sizes import Planned, plan

RECTIFIERS = (nn.ReLU, nn.LeakyReLU, nn.GELU, nn.SiLU)
SQUASHERS = (nn.Tanh, nn.Sigmoid)


class Residual(nn.Module):
    """y = body(x) + shortcut(x)."""

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + self.shortcut(x)


class Branches(nn.Sequential):
    """Each branch sees the same input; their maps are put behind each other.  -> (N, sum of C, H, W)"""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self], 1)


class OneLine(nn.Sequential):
    """The network of a line; see oneline.py for the grammar."""

    def __init__(self, classes: int, input: Sequence[int], line: str) -> None:  # noqa: A002
        super().__init__(*map(_made, plan(line, classes, input)))
        pending: list[nn.Module] = []  # layers with weights that wait for their activation
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                pending.append(module)
            elif isinstance(module, RECTIFIERS + SQUASHERS):
                (he if isinstance(module, RECTIFIERS) else glorot)(pending)
                pending = []
        glorot(pending)


def _made(planned: Planned) -> nn.Module:
    inside = map(_made, planned.inside)
    if planned.type == "Residual":
        return Residual(*inside)
    if planned.type == "Branches":
        return Branches(*inside)
    if planned.type == "Sequential":
        return nn.Sequential(*inside)
    made: nn.Module = getattr(nn, planned.type)(**planned.arguments)
    return made

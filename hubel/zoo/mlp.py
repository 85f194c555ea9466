"""Fully connected layers: one neuron, the lectures' 2-4-1 and 2-3-1, or any other row of sizes.

Rumelhart, Hinton, Williams 1986, "Learning representations by back-propagating errors".
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hubel.errors import InputError, UnknownName

ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "none": nn.Identity}
INITS = {
    "default": lambda _: None,                                       # PyTorch's: uniform within 1/sqrt(fan in)
    "uniform": lambda w: nn.init.uniform_(w, -1, 1),                 # the lectures' 2-4-1
    "normal": lambda w: nn.init.normal_(w, 0, 1),                    # the lectures' 2-3-1
}  # fmt: skip


class Single(nn.Module):
    """One unit z that answers a question with two classes: logits (0, z), so that softmax gives sigmoid(z)."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(z), z], 1)  # (N, 1) -> (N, 2)


class MLP(nn.Module):
    """input -> hidden sizes -> outputs.

    hidden: sizes of the layers between; () for one neuron per output
    activation: between layers: relu, sigmoid, tanh, none
    bias: False for the lectures' networks
    init: of the weights: default, uniform in [-1, 1), normal with deviation 1
    single: two classes from one output unit, as the lectures' 2-4-1 has it
    """

    def __init__(
        self, classes: int = 10, input: Sequence[int] = (1, 28, 28), hidden: Sequence[int] = (100,),  # noqa: A002
        activation: str = "relu", bias: bool = True, init: str = "default", single: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        if activation not in ACTIVATIONS:
            raise UnknownName("activation", activation, ACTIVATIONS)
        if init not in INITS:
            raise UnknownName("initialisation", init, INITS)
        if single and classes != 2:
            raise InputError(f"a single output unit answers for two classes, the data have {classes}")
        sizes = [math.prod(input), *hidden, 1 if single else classes]
        layers: list[nn.Module] = [nn.Flatten()]  # (N, D)
        for before, after in itertools.pairwise(sizes[:-1]):
            layers += [nn.Linear(before, after, bias), ACTIVATIONS[activation]()]
        layers += [nn.Linear(sizes[-2], sizes[-1], bias)] + ([Single()] if single else [])
        self.layers = nn.Sequential(*layers)  # (N, K)
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                INITS[init](layer.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)

"""Layers that do not learn: which, and what follows from it for those that do.

What is frozen computes as the network does in use: norms by their statistics, which stay; dropout lets all through.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hubel.errors import InputError
from hubel.zoo.parts import Parts

MOST = 2 << 30  # bytes of features that are remembered at most; more are computed anew each time


@dataclass(frozen=True)
class Frozen:
    """The front of a network that does not learn.

    layers: how many with parameters   parameters, modules: of the front; the modules stay in eval mode
    front: from input to features; behind, behind_learning: from features to the answer, in use and in training.
    None where the network cannot be cut there.
    """

    layers: int
    parameters: tuple[nn.Parameter, ...]
    modules: tuple[nn.Module, ...]
    front: nn.Module | None = None
    behind: nn.Module | None = None
    behind_learning: nn.Module | None = None


def freeze(network: nn.Module, how: str) -> Frozen:
    """Take the front of `network` out of learning. how: "backbone", all but the head, or a count of layers."""
    parts = Parts(network)
    count = parts.backbone if how == "backbone" else int(how)
    if not 0 < count <= parts.backbone:
        least = "nothing to freeze" if not parts.backbone else f"at most {parts.backbone} can be frozen"
        raise InputError(
            f"--freeze {how}: the network has {parts.backbone} layers with parameters before its last one, "
            f"{parts.head.name!r}, which must learn; so {least}"
        )
    learning = {id(p) for p in parts.learning_behind(count)}
    frozen = tuple(p for p in network.parameters() if id(p) not in learning and p.requires_grad)
    for p in frozen:
        p.requires_grad_(False)
    modules, cut = tuple(parts.modules_up_to(count)), parts.cut(count)
    if cut is None:
        return Frozen(count, frozen, modules)
    sides = (parts.until(cut).eval(), parts.behind(cut), parts.behind(cut, training=True))
    return Frozen(count, frozen, modules, *sides)


def last_layer(network: nn.Module) -> list[nn.Parameter]:
    """The parameters of the last layer, and of heads that only training meets."""
    parts = Parts(network)
    return parts.learning_behind(parts.backbone)


class Memory:
    """What a frozen front makes of each item, computed when it is first asked for.

    front: of inputs (n, …) as they are stored -> (n, …) features;  inputs: all items, (N, …)
    """

    def __init__(self, front: Callable[[Tensor], Tensor], inputs: Tensor, shape: torch.Size) -> None:
        self.front, self.inputs = front, inputs
        self.values = torch.empty(len(inputs), *shape, device=inputs.device)
        self.known = torch.zeros(len(inputs), dtype=torch.bool, device=inputs.device)

    @staticmethod
    def of(front: Callable[[Tensor], Tensor], *parts: Tensor) -> list[Memory] | None:
        """A memory for each part of the data; None where they would take more than MOST bytes."""
        shape = front(next(inputs for inputs in parts if len(inputs))[:1]).shape[1:]
        if 4 * shape.numel() * sum(map(len, parts)) > MOST:
            return None
        return [Memory(front, inputs, shape) for inputs in parts]

    def __getitem__(self, chosen: Tensor) -> Tensor:
        """chosen: (n,) int64 places of items -> (n, …) features, a copy"""
        fresh = chosen[~self.known[chosen]]
        if len(fresh):
            self.values[fresh] = self.front(self.inputs[fresh])
            self.known[fresh] = True
        return self.values[chosen]

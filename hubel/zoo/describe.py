"""A network as a table: each layer's output shape, parameters and multiply-adds, seen by running it once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class Layer:
    """One step of a network. output: without the batch axis. multiply_adds: of one item."""

    name: str
    type: str
    output: tuple[int, ...]
    parameters: int
    multiply_adds: int


def layers(network: nn.Module, shape: Sequence[int]) -> tuple[Layer, ...]:
    """The leaf modules of `network` in the order in which an input of `shape` ((C, H, W) or (D,)) meets them."""
    met: list[Layer] = []
    names = {module: name for name, module in network.named_modules()}

    def note(module: nn.Module, _: Any, output: torch.Tensor) -> None:
        shape = tuple(output.shape[1:])
        parameters = sum(p.numel() for p in module.parameters())
        met.append(
            Layer(names[module], type(module).__name__, shape, parameters, _multiply_adds(module, shape))
        )

    leaves = [m for m in network.modules() if not any(m.children()) and m is not network] or [network]
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    was_training = network.training
    handles = [leaf.register_forward_hook(note) for leaf in leaves]
    try:
        network.eval()
        with torch.inference_mode():
            network(torch.zeros(1, *shape, device=device))
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()
    return tuple(met)


def parameters(network: nn.Module) -> int:
    """How many trainable numbers a network has; shared ones count once."""
    return sum(p.numel() for p in network.parameters())


def _multiply_adds(module: nn.Module, output: tuple[int, ...]) -> int:
    """Each weight of a convolution or matrix product is used once per output position; the rest counts nothing."""
    weight = getattr(module, "weight", None)
    if not isinstance(weight, torch.Tensor) or weight.dim() < 2 or isinstance(module, nn.Embedding):
        return 0
    positions = math.prod(output[1:])  # (O, H, W) -> H * W; (O,) -> 1
    return weight.numel() * positions

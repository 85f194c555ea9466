"""A network in which each use of a nonlinear step is a module of its own, as methods that change its gradient ask for.

DeepLIFT and guided backpropagation set other rules for the gradient of nonlinear steps, by hooks on modules. A ReLU
that is a function has no hook; one that works in place hides what it was given; one module that is used twice has
place for one of the two. Here torch.fx's list of steps is written anew: the same numbers, the same weights.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from hubel.errors import InputError
from hubel.shapes import windowed
from hubel.zoo.fields import called
from hubel.zoo.pixels import Pixels
from hubel.zoo.trace import Step, trace


class Capped(nn.Module):
    """ReLU6 as min(relu(x), 6): the relu takes any rule for ReLUs, above 6 nothing passes."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(x).clamp(max=6)


class Difference(nn.Module):
    """ReLU6 as relu(x) - relu(x - 6): the slopes of both between two inputs differ by ReLU6's own slope."""

    def __init__(self) -> None:
        super().__init__()
        self.zero, self.six = nn.ReLU(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.zero(x.clone()) - self.six(x - 6)  # a copy: see unrolled


class Largest(nn.Module):
    """Max pooling by windows that do not overlap: each is copied out first, a copy that is linear.

    Captum's rule for pooling puts differences back where they came from, and loses those that fall on one place.
    """

    def __init__(
        self, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int], *, ceil: bool
    ) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding, self.ceil = kernel, stride, padding, ceil
        self.pool = nn.MaxPool2d((kernel[0] * kernel[1], 1))

    def forward(self, x: Tensor) -> Tensor:
        (N, C, H, W), (U, V), (s, t), (P, Q) = x.shape, self.kernel, self.stride, self.padding
        h, w = windowed(H, U, s, P, ceil=self.ceil), windowed(W, V, t, Q, ceil=self.ceil)
        low = torch.finfo(x.dtype).min / 4  # never the largest; -inf less -inf would be no number
        # What a last window rounded up needs beyond the padding is there, too; a window more is left out.
        x = nn.functional.pad(x, (Q, Q + t, P, P + s), value=low)
        windows = x.unfold(2, U, s).unfold(3, V, t)[:, :, :h, :w]  # (N, C, h, w, U, V)
        rows = windows.permute(0, 1, 4, 5, 2, 3).reshape(N, C, U * V, h * w)
        return self.pool(rows).view(N, C, h, w)


class Adapted(nn.Module):
    """Adaptive max pooling where the sizes divide: a pooling whose windows follow from what it is given."""

    def __init__(self, cells: int | Sequence[int | None]) -> None:
        super().__init__()
        self.cells = (cells, cells) if isinstance(cells, int) else tuple(cells)
        self.pool = nn.MaxPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        sides = x.shape[2:]
        cells = [side if cell is None else cell for cell, side in zip(self.cells, sides, strict=True)]
        if any(side % cell for side, cell in zip(sides, cells, strict=True)):
            raise InputError(
                f"deeplift has no rule for adaptive max pooling of {sides[0]}x{sides[1]} to {cells[0]}x{cells[1]} "
                "cells, whose windows differ in size: ask by --method integrated-gradients"
            )
        self.pool.kernel_size = self.pool.stride = (sides[0] // cells[0], sides[1] // cells[1])
        return self.pool(x)


Settings = Mapping[str, Any]
Maker = Callable[[Settings], nn.Module | None]


def _pooled(settings: Settings) -> nn.Module | None:
    kernel = _pair(settings["kernel_size"])
    stride = kernel if settings.get("stride") is None else _pair(settings["stride"])
    padding = _pair(settings.get("padding", 0))
    ceil = bool(settings.get("ceil_mode"))
    if _pair(settings.get("dilation", 1)) != (1, 1):
        return None
    apart = kernel == stride and padding == (0, 0) and not ceil
    return nn.MaxPool2d(kernel) if apart else Largest(kernel, stride, padding, ceil=ceil)


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[-1]))


# Kinds of steps whose gradient a method changes, and what stands in their place there; None: it has no rule for it.
GUIDED: Mapping[str, Maker] = {"relu": lambda _: nn.ReLU(), "relu6": lambda _: Capped()}
RESCALED: Mapping[str, Maker] = {
    "relu": lambda _: nn.ReLU(),
    "relu6": lambda _: Difference(),
    "leaky_relu": lambda given: nn.LeakyReLU(given.get("negative_slope", 0.01)),
    "elu": lambda given: nn.ELU(given.get("alpha", 1.0)),
    "softplus": lambda given: nn.Softplus(given.get("beta", 1.0), given.get("threshold", 20.0)),
    "tanh": lambda _: nn.Tanh(),
    "sigmoid": lambda _: nn.Sigmoid(),
    "max_pool2d": _pooled,
    "adaptive_max_pool2d": lambda given: Adapted(given["output_size"]),
}
MODULES = {
    nn.ReLU: "relu", nn.ReLU6: "relu6", nn.LeakyReLU: "leaky_relu", nn.ELU: "elu", nn.Softplus: "softplus",
    nn.Tanh: "tanh", nn.Sigmoid: "sigmoid", nn.MaxPool2d: "max_pool2d", nn.AdaptiveMaxPool2d: "adaptive_max_pool2d",
}  # fmt: skip
# Names of a function's arguments behind the input, in PyTorch's order.
ARGUMENTS = {
    "leaky_relu": ("negative_slope",), "elu": ("alpha",), "softplus": ("beta", "threshold"),
    "max_pool2d": ("kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    "adaptive_max_pool2d": ("output_size",),
}  # fmt: skip

# Steps through which differences go as they are: linear, but for a constant.
LINEAR = (
    nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.Flatten, nn.Identity,
    nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.ZeroPad2d, nn.ConstantPad2d,
)  # fmt: skip
MOVES = (
    "add", "iadd", "sub", "isub", "neg", "avg_pool2d", "adaptive_avg_pool2d", "pad", "flatten",
    "reshape", "view", "permute", "transpose", "squeeze", "unsqueeze", "expand", "chunk", "split", "getitem", "unbind",
    "cat", "concat", "stack", "contiguous", "clone", "flip", "mean", "sum", "dropout", "getattr", "size",
)  # fmt: skip
# Linear where one side alone depends on the input: of a division the upper one.
PRODUCTS, DIVISIONS = ("mul", "imul", "matmul", "conv2d", "linear"), ("truediv", "itruediv", "div")


@dataclass(frozen=True)
class Unrolled:
    """model: the same function, with a module of its own for each step that has a rule   ruled: how many there are

    strange: names of the steps that have no rule, though differences do not go through them as they are
    """

    model: nn.Module
    ruled: int
    strange: tuple[str, ...]


def unrolled(model: Pixels, makers: Mapping[str, Maker]) -> Unrolled:
    """The model written anew, by makers (GUIDED or RESCALED)."""
    traced = trace(model)
    held: dict[str, Any] = {
        **dict(model.named_modules()), **dict(model.named_parameters(remove_duplicate=False)),
        **dict(model.named_buffers(remove_duplicate=False)), **traced.constants,
    }  # fmt: skip
    graph, copied = fx.Graph(), dict[fx.Node, fx.Node]()
    parts: dict[str, Any] = {}
    moving: set[fx.Node] = set()  # what depends on the input
    ruled, strange = 0, []
    for step in traced.steps:
        node = step.node
        if node.op == "placeholder" or any(given in moving for given in node.all_input_nodes):
            moving.add(node)
        calls = node.op.startswith("call") and node in moving
        own = _own(step, makers) if calls else None
        if own is not None:
            ruled += 1
            parts[f"own{ruled}"] = own
            # A copy, as Captum's hooks sit on the tensor that comes in: it must be no other step's, nor an output.
            given = graph.call_method("clone", (copied[node.all_input_nodes[0]],))
            copied[node] = graph.call_module(f"own{ruled}", (given,))
            continue
        if calls and not _linear(step, moving):
            strange.append(step.name.removeprefix("network."))
        if str(node.target) in held:
            parts[str(node.target)] = held[str(node.target)]
        copied[node] = graph.node_copy(node, copied.__getitem__)
    return Unrolled(fx.GraphModule(parts, graph).eval(), ruled, tuple(strange))


def _own(step: Step, makers: Mapping[str, Maker]) -> nn.Module | None:
    module, node = step.module, step.node
    kind = called(node) if module is None else MODULES.get(type(module), "")
    if kind not in makers:
        return None
    if module is not None:
        return makers[kind](vars(module))
    return makers[kind]({**dict(zip(ARGUMENTS.get(kind, ()), node.args[1:], strict=False)), **node.kwargs})


def _linear(step: Step, moving: Collection[fx.Node]) -> bool:
    """Whether the difference of two outputs depends on that of the inputs alone, and linearly."""
    module = step.module
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        return module.running_mean is not None
    if module is not None:
        return isinstance(module, LINEAR)
    arguments, name = (*step.node.args, *step.node.kwargs.values()), called(step.node)
    given = [a for a in arguments if isinstance(a, fx.Node) and a in moving]
    if name in DIVISIONS:
        return given == [step.node.args[0]]
    return name in MOVES or (name in PRODUCTS and len(given) == 1)

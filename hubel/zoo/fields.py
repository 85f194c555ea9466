"""What a cell of each map sees of the picture, along the steps of a network's graph. One Field per axis, H and W.

A window makes the field larger; where branches meet it is the union; what gathers a whole map (flatten, a global
pooling) sees what all its cells together see, clipped to the picture, and has stride 0: the same for all that follows.
A rule per kind of step, in MODULES and FUNCTIONS; None for an axis where a step has no rule, or its cells see pieces of
different sizes (adaptive pooling where the sizes do not divide), until that is gathered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from hubel.shapes import Field, effective

Axis = Field | None  # None: not known
Seen = tuple[Axis, Axis]
UNKNOWN: Seen = (None, None)


@dataclass(frozen=True)
class Given:
    """What a rule gets of one step.

    settings: the layer's attributes or the function's arguments, by PyTorch's names
    shapes, seen: of the inputs that see the picture; output: the shape that the step gives (all with the batch axis)
    picture: height and width
    """

    settings: Mapping[str, Any]
    shapes: Sequence[tuple[int, ...]]
    seen: Sequence[Seen]
    output: tuple[int, ...]
    picture: tuple[int, int]

    def pairs(self, name: str, usual: int = 1) -> tuple[int, int]:
        value = self.settings.get(name, usual)
        return (value, value) if isinstance(value, int) else (int(value[0]), int(value[-1]))


def gathered(seen: Axis, cells: int, side: int) -> Axis:
    """What `cells` neighbours see together of `side` pixels; all of these where more is not known."""
    if seen is None:
        return Field(side, 0, 0)
    begin, end = max(0, seen.offset), min(side, seen.offset + (cells - 1) * seen.stride + seen.size)
    return Field(end - begin, 0, begin)


def joined(a: Axis, b: Axis, side: int) -> Axis:
    """What is seen where two meet, cell by cell."""
    if a is None or b is None:
        return None
    if a.stride != b.stride:
        return Field(side, 0, 0) if Field(side, 0, 0) in (a, b) else None
    begin = min(a.offset, b.offset)
    return Field(max(a.offset + a.size, b.offset + b.size) - begin, a.stride, begin)


def fixed(seen: Seen) -> bool:
    """Whether every cell sees the same, so that it does not matter which is where."""
    return all(axis is not None and axis.stride == 0 for axis in seen)


def keeps(given: Given) -> Seen:
    """Each cell sees what the cells at its place saw; a single cell that is spread over a map sees what it saw."""
    axes: list[Axis] = []
    for axis in (0, 1):
        found: list[Axis] = []
        for shape, seen in zip(given.shapes, given.seen, strict=True):
            spread = len(shape) == len(given.output) == 4 and shape[2 + axis] == 1 < given.output[2 + axis]
            found.append(gathered(seen[axis], 1, given.picture[axis]) if spread else seen[axis])
        whole = found[0]
        for other in found[1:]:
            whole = joined(whole, other, given.picture[axis])
        axes.append(whole)
    return axes[0], axes[1]


def gathers(given: Given) -> Seen:
    """Every cell sees what the whole map sees."""
    if len(given.shapes[0]) != 4:
        return given.seen[0] if fixed(given.seen[0]) else UNKNOWN
    height, width = (
        gathered(seen, cells, side)
        for seen, cells, side in zip(given.seen[0], given.shapes[0][2:], given.picture, strict=True)
    )
    return height, width


def moves(given: Given) -> Seen:
    """Numbers are put elsewhere: into a vector they gather the map, else each keeps what it saw."""
    before, after = given.shapes[0], given.output
    if len(before) == len(after) == 4 and before[2:] != after[2:] and not fixed(given.seen[0]):
        return UNKNOWN  # a part of the map, or axes changed about
    return gathers(given) if len(after) <= 2 < len(before) else keeps(given)


def slides(given: Given) -> Seen:
    """Convolutions and poolings."""
    kernel = given.pairs("kernel_size")
    strides = kernel if given.settings.get("stride", 1) is None else given.pairs("stride")
    dilation = given.pairs("dilation")
    padding = given.settings.get("padding", 0)
    if padding == "same":
        pads = [(effective(k, d) - 1) // 2 for k, d in zip(kernel, dilation, strict=True)]
    else:
        pads = [0, 0] if padding == "valid" else list(given.pairs("padding", 0))
    height, width = (
        None if seen is None else seen.through(k, s, p, d)
        for seen, k, s, p, d in zip(given.seen[0], kernel, strides, pads, dilation, strict=True)
    )
    return height, width


def adapts(given: Given) -> Seen:
    """Adaptive pooling is a plain one where the sizes divide, and sees all where it leaves one cell."""
    made: list[Axis] = []
    for axis in (0, 1):
        seen, before, after = given.seen[0][axis], given.shapes[0][2 + axis], given.output[2 + axis]
        if after == 1 < before:
            made.append(gathered(seen, before, given.picture[axis]))
        else:
            step, rest = divmod(before, after)
            made.append(None if rest or seen is None else seen.through(step, step))
    return made[0], made[1]


def pads(given: Given) -> Seen:
    """Zeros around the map; other paddings repeat pixels, and have no plain field."""
    amounts = given.settings.get("padding", given.settings.get("pad", 0))
    left, _, top, *_ = [amounts] * 4 if isinstance(amounts, int) else (*amounts, 0, 0)
    if given.settings.get("mode", "constant") != "constant":
        return UNKNOWN
    height, width = (
        None if seen is None else seen.through(1, 1, before)
        for seen, before in zip(given.seen[0], (top, left), strict=True)
    )
    return height, width


def averages(given: Given) -> Seen:
    """A mean or maximum over axes: over the channels it keeps, over the map it gathers."""
    axes = given.settings.get("dim")
    rank = len(given.shapes[0])
    over = range(rank) if axes is None else [axes] if isinstance(axes, int) else axes
    return keeps(given) if rank == 4 and {axis % rank for axis in over} == {1} else gathers(given)


def normalises(given: Given) -> Seen:
    """Layer norm over the last axis of tokens keeps them apart; over the axes of a map it gathers."""
    if len(given.settings.get("normalized_shape", ())) > 1:
        return gathers(given)
    return keeps(given) if len(given.shapes[0]) < 4 else UNKNOWN


def scores(given: Given) -> Seen:
    """Softmax over the classes or over the channels."""
    axis = given.settings.get("dim")
    return keeps(given) if len(given.output) == 2 or axis == 1 else UNKNOWN


def attends(given: Given) -> Seen:
    """Every token sees every other, and the tokens are cut from the whole picture."""
    return Field(given.picture[0], 0, 0), Field(given.picture[1], 0, 0)


def dense(given: Given) -> Seen:
    """A matrix product along the last axis: the channels of tokens, or a vector."""
    return keeps(given) if len(given.output) < 4 else UNKNOWN


Rule = Callable[[Given], Seen]
_WINDOW = ("input", "kernel_size", "stride", "padding")
_CONV = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")

MODULES: dict[type[nn.Module], Rule] = {
    **dict.fromkeys((nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d), slides),
    **dict.fromkeys((nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d), adapts),
    **dict.fromkeys((nn.ZeroPad2d, nn.ConstantPad2d), pads),
    **dict.fromkeys((nn.GroupNorm, nn.InstanceNorm2d), gathers),
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d, nn.LocalResponseNorm, nn.Identity), keeps),
    **dict.fromkeys((nn.Dropout, nn.Dropout1d, nn.Dropout2d), keeps),
    **dict.fromkeys((nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SiLU, nn.Mish, nn.GELU), keeps),
    **dict.fromkeys((nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.Softplus, nn.Sigmoid, nn.Tanh), keeps),
    **dict.fromkeys((nn.Softmax, nn.LogSoftmax), scores),
    nn.LayerNorm: normalises,
    nn.Flatten: moves,
    nn.Linear: dense,
}  # fmt: skip

POINTWISE = (
    "add", "iadd", "sub", "mul", "imul", "truediv", "div", "neg", "pow", "square", "sqrt", "exp", "clamp", "relu",
    "relu6", "gelu", "silu", "sigmoid", "tanh", "hardswish", "hardsigmoid", "dropout", "batch_norm",
    "local_response_norm", "cat", "concat", "stack", "contiguous", "clone",
)  # fmt: skip
MOVING = (
    "flatten", "reshape", "view", "permute", "transpose", "squeeze", "unsqueeze", "expand", "chunk", "split", "getitem",
    "unbind",
)  # fmt: skip

# By the name of the function or method: the rule, and the names of its arguments where the rule asks for them.
FUNCTIONS: dict[str, tuple[Rule, tuple[str, ...]]] = {
    "conv2d": (slides, _CONV),
    **dict.fromkeys(("max_pool2d", "avg_pool2d"), (slides, _WINDOW)),
    **dict.fromkeys(("adaptive_avg_pool2d", "adaptive_max_pool2d"), (adapts, ())),
    "pad": (pads, ("input", "pad", "mode")),
    **dict.fromkeys(("mean", "amax", "sum"), (averages, ("input", "dim"))),
    **dict.fromkeys(("softmax", "log_softmax"), (scores, ("input", "dim"))),
    **dict.fromkeys(POINTWISE, (keeps, ())),
    **dict.fromkeys(MOVING, (moves, ())),
    "layer_norm": (normalises, ("input", "normalized_shape")),
    "linear": (dense, ()),
    "scaled_dot_product_attention": (attends, ()),
}


def rule_of(node: torch.fx.Node, module: nn.Module | None) -> tuple[Rule, dict[str, Any]] | None:
    """The rule of a step and its settings; None where there is none."""
    if module is not None:
        kind = next((k for k in type(module).__mro__ if k in MODULES), None)
        if kind is None or type(module).forward is not kind.forward:
            return None
        return MODULES[kind], vars(module)
    found = FUNCTIONS.get(called(node))
    if found is None:
        return None
    rule, names = found
    settings = {**dict(zip(names, node.args, strict=False)), **node.kwargs}
    if "pool2d" in called(node):
        settings.setdefault("stride", None)
    if rule is slides and isinstance(weight := settings.get("weight"), torch.fx.Node):
        settings["kernel_size"] = tuple(weight.meta["value"].shape[2:])
    return rule, settings


def called(node: torch.fx.Node) -> str:
    """The plain name of a function or method: "add" of operator.add, torch.add, Tensor.add_."""
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    return name.strip("_")

"""A network's graph with the shape of every value, found without computing a large one: tensors on PyTorch's `meta`
device have a shape and no numbers, so that the largest network is looked at in moments and in no memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call

from hubel.errors import InputError
from hubel.shapes import Field
from hubel.zoo.fields import UNKNOWN, Given, Seen, called, rule_of
from hubel.zoo.trace import Step, Trace, trace

# A network of fewer numbers, fed with fewer, is run on zeros: the first use of the meta device imports PyTorch's
# compiler and an algebra system, for over a second, which each training's report would pay.
SMALL = 4_000_000


@dataclass(frozen=True)
class Group:
    """Steps that are one layer: a step of its own, or all that happens inside a module that has no parts.

    module: the layer, None where a function is called; its last step gives the output
    """

    name: str
    module: nn.Module | None
    steps: tuple[Step, ...]

    @property
    def output(self) -> fx.Node:
        return self.steps[-1].node


@dataclass(frozen=True)
class Graph:
    """groups: in order; values: of each step, for their shapes; seen: of the picture, None where nothing of it is."""

    groups: tuple[Group, ...]
    values: Mapping[fx.Node, Any]
    seen: Mapping[fx.Node, Seen | None]


def graph(network: nn.Module, shape: Sequence[int]) -> Graph:
    """What `network` does with one input of `shape`, (C, H, W) or (D,), in use."""
    traced = trace(network)
    values = values_of(traced, network, shape)
    seen = _fields(traced, values, shape)
    return Graph(tuple(groups(traced, network)), values, seen)


def values_of(traced: Trace, network: nn.Module, shape: Sequence[int], items: int = 1) -> dict[fx.Node, Any]:
    """What each step gives for so many items of `shape`, run on blanks: tensors without numbers, or few zeros."""
    device = _device(network, shape)
    kind = next((p.dtype for p in network.parameters() if p.is_floating_point()), torch.float32)
    held = {
        **dict(network.named_parameters(remove_duplicate=False)),
        **dict(network.named_buffers(remove_duplicate=False)),
        **traced.constants,
    }
    values: dict[fx.Node, Any] = {}
    with torch.no_grad():
        for step in traced.steps:
            node = step.node
            if node.op == "placeholder":
                first = not values
                value = (
                    torch.zeros(items, *shape, dtype=kind, device=device)
                    if first
                    else next(iter(node.args), None)
                )
            elif node.op == "get_attr":
                value = _blank(held[str(node.target)], device)
            else:
                arguments = fx.node.map_arg((node.args, node.kwargs), values.__getitem__)
                value = _called(step, *arguments, device)
            values[node] = node.meta["value"] = value
    return values


def _called(step: Step, args: Any, kwargs: Any, device: str) -> Any:
    """The value of one call; parameters are replaced by blanks of their shape."""
    node, module = step.node, step.module
    try:
        if module is not None:
            held = (*module.named_parameters(), *module.named_buffers())
            blanks = {name: _blank(tensor, device) for name, tensor in held}
            training, module.training = module.training, False
            try:
                return functional_call(module, blanks, args, kwargs)
            finally:
                module.training = training
        if node.op == "call_method":
            return getattr(args[0], str(node.target))(*args[1:], **kwargs)
        return node.target(*args, **kwargs) if callable(node.target) else args[0]
    except (RuntimeError, ValueError, IndexError) as e:
        shapes = ", ".join("x".join(map(str, a.shape[1:])) for a in args if isinstance(a, Tensor))
        raise InputError(f"the step {step.name!r} cannot take what arrives there ({shapes}): {e}") from e


def _device(network: nn.Module, shape: Sequence[int]) -> str:
    held = [*network.parameters(), *network.buffers()]
    few = max(sum(t.numel() for t in held), math.prod(shape)) < SMALL
    return "cpu" if few and not any(t.is_meta for t in held) else "meta"


def _blank(tensor: Tensor, device: str) -> Tensor:
    """Of its shape; places that are looked up (whole numbers) must be right where they are used."""
    if device == "cpu" and not tensor.is_floating_point():
        return tensor.detach().cpu().clone()
    return torch.zeros_like(tensor, device=device)


def _fields(traced: Trace, values: Mapping[fx.Node, Any], shape: Sequence[int]) -> dict[fx.Node, Seen | None]:
    seen: dict[fx.Node, Seen | None] = {}
    if len(shape) != 3:
        return dict.fromkeys((step.node for step in traced.steps), None)
    for step in traced.steps:
        node = step.node
        looking = [
            n for n in node.all_input_nodes if seen.get(n) is not None and _tensor(values[n]) is not None
        ]
        if node.op == "placeholder":
            seen[node] = None if seen else (Field(), Field())
        elif not looking or _tensor(values[node]) is None:
            seen[node] = None
        else:
            seen[node] = _after(step, looking, values, seen, (shape[1], shape[2]))
    return seen


def _after(
    step: Step, looking: Sequence[fx.Node], values: Mapping[fx.Node, Any], seen: Mapping[fx.Node, Seen | None],
    picture: tuple[int, int],
) -> Seen:  # fmt: skip
    found = rule_of(step.node, step.module)
    if found is None:
        return UNKNOWN
    rule, settings = found
    tensors = [_tensor(values[n]) for n in (*looking, step.node)]
    shapes = [tuple(t.shape) for t in tensors if t is not None]
    return rule(Given(settings, shapes[:-1], [s for n in looking if (s := seen[n])], shapes[-1], picture))


def _tensor(value: Any) -> Tensor | None:
    """A tensor, or the first of several (of a split)."""
    if isinstance(value, tuple | list) and value and isinstance(value[0], Tensor):
        return value[0]
    return value if isinstance(value, Tensor) else None


def groups(traced: Trace, network: nn.Module) -> Iterator[Group]:
    """Steps with those inside of a module without parts put together, in order."""
    modules = dict(network.named_modules())
    taken: dict[str, int] = {}
    inside: list[Step] = []
    path = ""
    for step in (*traced.steps, None):
        within = _path(step.node) if step is not None and step.module is None else ""
        alone = not within or any(modules[within].children())
        if inside and (alone or within != path):
            yield Group(_numbered(path, taken), modules[path], tuple(inside))
            inside = []
        if step is None:
            return
        if alone:
            yield Group(step.name, step.module, (step,))
        else:
            inside.append(step)
            path = within


def _path(node: fx.Node) -> str:
    """The module in which a call stands."""
    return next(reversed([path for path, _ in (node.meta.get("nn_module_stack") or {}).values()]), "")


def _numbered(name: str, taken: dict[str, int]) -> str:
    taken[name] = taken.get(name, 0) + 1
    return name if taken[name] == 1 else f"{name}#{taken[name]}"


def multiply_adds(group: Group, values: Mapping[fx.Node, Any]) -> int:
    """Products that are summed, for one input: each weight once per output position; of two maps, all pairs.

    Norms, activations and sums count nothing, as in the papers.
    """
    output = _tensor(values[group.output])
    weight = getattr(group.module, "weight", None)
    if isinstance(weight, Tensor):
        if weight.dim() < 2 or output is None or isinstance(group.module, nn.Embedding):
            return 0
        return weight.numel() * _positions(group.module, group.steps[0].node, output, values)
    return sum(_work(step.node, values) for step in group.steps if step.module is None)


def _positions(module: nn.Module | None, node: fx.Node, output: Tensor, values: Mapping[fx.Node, Any]) -> int:
    """How often a weight is used: (N, O, H, W) -> H * W; (N, T, O) of a matrix product -> T."""
    if isinstance(module, nn.Linear):
        return math.prod(output.shape[1:-1])
    if isinstance(module, nn.ConvTranspose2d):  # each weight meets each cell that comes in
        output = values[node.all_input_nodes[0]]
    return math.prod(output.shape[2:])


def _work(node: fx.Node, values: Mapping[fx.Node, Any]) -> int:
    if not node.op.startswith("call"):
        return 0
    name, output = called(node), _tensor(values[node])
    tensors = [values[n] for n in node.all_input_nodes if isinstance(values[n], Tensor)]
    if output is None or len(tensors) < 2:
        return 0
    if name == "conv2d":
        return tensors[1].numel() * math.prod(output.shape[2:])
    if name in ("linear", "matmul", "bmm", "mm"):
        return output.numel() * tensors[0].shape[-1]
    if name == "scaled_dot_product_attention":  # scores q k, then their sums of v
        q, k = tensors[0], tensors[1]
        return 2 * q.numel() * k.shape[-2]
    return 0

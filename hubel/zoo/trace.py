"""What a network does, step by step: torch.fx writes down each call that its forward makes, and we give it a name.

A step that is a layer is called after its place, as "features.3"; any other after the module in which it happens and
what it does, as "layer1.0.add". What happens again gets a number, "layer1.0.relu#2".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from hubel.errors import InputError

# Python's names of operators, as a reader of a layer's name would say them.
SAID = {
    "sub": "subtract", "isub": "subtract", "mul": "multiply", "imul": "multiply", "truediv": "divide",
    "iadd": "add", "getitem": "select", "neg": "negate", "matmul": "product",
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One call. node: torch.fx's own record, with target, args and kwargs; module: the layer, where it is one."""

    name: str
    node: fx.Node
    module: nn.Module | None = None


@dataclass(frozen=True)
class Trace:
    """All steps in order; the first is the input, the last the output.

    constants: tensors by name that are neither parameters nor buffers, but made while tracing
    """

    steps: tuple[Step, ...]
    constants: Mapping[str, Tensor]


class _Tracer(fx.Tracer):
    def __init__(self, whole: Collection[type[nn.Module]]) -> None:
        super().__init__()
        self.whole = tuple(whole)

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        """A layer is a step of its own if it has no parts, or is of a type that is to be left whole."""
        return isinstance(module, self.whole) or (
            not any(module.children()) and super().is_leaf_module(module, name)
        )


def trace(network: nn.Module, *, training: bool = False, whole: Collection[type[nn.Module]] = ()) -> Trace:
    """Write down what `network` does in one mode (tracing fixes it: dropout and batch norm differ).

    whole: types of modules that are not looked into. Modes are given back as they were.
    Raises InputError where forward cannot be traced: torch.fx must not need a value to know which way it goes.
    """
    modes = {module: module.training for module in network.modules()}
    attributes = set(vars(network))
    network.train(training)
    try:
        graph = _Tracer(whole).trace(network)
    except (fx.proxy.TraceError, TypeError, RuntimeError) as e:
        raise InputError(
            f"{type(network).__name__} cannot be traced ({e}): its forward must not branch on values; "
            f"torch.fx follows everything else"
        ) from e
    finally:
        for module, mode in modes.items():
            module.training = mode
    # torch.fx hangs constants that forward makes on the network itself; it is not ours to change.
    made = {name: getattr(network, name) for name in set(vars(network)) - attributes}
    for name in made:
        delattr(network, name)
    return Trace(
        tuple(_named(graph, network)), {k: v for k, v in made.items() if isinstance(v, torch.Tensor)}
    )


def _named(graph: fx.Graph, network: nn.Module) -> list[Step]:
    modules = dict(network.named_modules())
    taken: dict[str, int] = {}
    steps = []
    for node in graph.nodes:
        module = modules[str(node.target)] if node.op == "call_module" else None
        name = str(node.target) if node.op in ("call_module", "get_attr") else _called(node)
        taken[name] = taken.get(name, 0) + 1
        steps.append(Step(name if taken[name] == 1 else f"{name}#{taken[name]}", node, module))
    return steps


def _called(node: fx.Node) -> str:
    """The path of the module in which a call stands, and what is called: "layer1.0.add"."""
    if node.op in ("placeholder", "output"):
        return node.op.replace("placeholder", "input")
    what = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    what = SAID.get(what, what)
    inside = [path for path, _ in (node.meta.get("nn_module_stack") or {}).values() if path]
    return ".".join([*inside[-1:], what.strip("_")])

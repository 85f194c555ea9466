"""What a network does, step by step: torch.fx writes down each call that its forward makes, and we give it a name.

A step that is a layer is called after its place, as "features.3"; any other after the module in which it happens and
what it does, as "layer1.0.add". What happens again gets a number, "layer1.0.relu#2".
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn

from hubel.errors import InputError

# Python's names of operators, as a reader of a layer's name would say them.
SAID = {
    "sub": "subtract", "isub": "subtract", "mul": "multiply", "imul": "multiply", "truediv": "divide",
    "itruediv": "divide", "iadd": "add", "getitem": "select", "neg": "negate", "matmul": "product", "ipow": "pow",
    "ifloordiv": "floordiv",
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

    constants: tensors by name that are neither parameters nor buffers: made while tracing, or held as they are
    """

    steps: tuple[Step, ...]
    constants: Mapping[str, Tensor]


def _recorded(operation: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    def method(self: fx.Proxy, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", operation, (self, other), {})

    return method


class _InPlace:
    """torch.fx lets Python make `x = x + y` of `x += y`, where a second name of x would keep its old numbers."""

    __iadd__, __isub__ = _recorded(operator.iadd), _recorded(operator.isub)
    __imul__, __itruediv__ = _recorded(operator.imul), _recorded(operator.itruediv)
    __ipow__, __ifloordiv__ = _recorded(operator.ipow), _recorded(operator.ifloordiv)

    def __setitem__(self: Any, key: Any, value: Any) -> None:
        self.tracer.create_proxy("call_function", operator.setitem, (self, key, value), {})


class _Proxy(_InPlace, fx.Proxy):
    def __getattr__(self, name: str) -> _Attribute:
        return _Attribute(self, name)


class _Attribute(_InPlace, fx.proxy.Attribute):
    """x.T and x.shape."""


# While torch.fx traces, the calls of all modules and the reading of their weights go through its tracer, in every
# thread. One network is traced at a time, and what other threads call meanwhile is called as ever.
_TRACING = threading.Lock()


class _Tracer(fx.Tracer):
    def __init__(self, whole: Collection[type[nn.Module]]) -> None:
        super().__init__()
        self.whole = tuple(whole)
        self.thread = threading.get_ident()

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if threading.get_ident() != self.thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        if threading.get_ident() != self.thread:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:  # noqa: ARG002
        """A layer is a step of its own if it has no parts, or is of a type that is to be left whole."""
        return isinstance(module, self.whole) or self.is_a_layer(module)

    def is_a_layer(self, module: nn.Module) -> bool:
        """One of PyTorch's own, without parts."""
        return not any(module.children()) and super().is_leaf_module(module, "")


def trace(network: nn.Module, *, training: bool = False, whole: Collection[type[nn.Module]] = ()) -> Trace:
    """Write down what `network` does in one mode (tracing fixes it: dropout and batch norm differ).

    whole: types of modules that are not looked into. Modes are given back as they were.
    Raises InputError where forward cannot be traced: torch.fx must not need a value to know which way it goes.
    """
    with _TRACING:
        return _traced(network, training, whole)


def _traced(network: nn.Module, training: bool, whole: Collection[type[nn.Module]]) -> Trace:
    modes = {module: module.training for module in network.modules()}
    attributes = set(vars(network))
    network.train(training)
    tracer = _Tracer(whole)
    try:
        graph = _alone() if type(network) in whole or tracer.is_a_layer(network) else tracer.trace(network)
    except (fx.proxy.TraceError, TypeError, RuntimeError) as e:
        raise InputError(
            f"{type(network).__name__} cannot be traced ({e}): its forward must not branch on values; "
            f"torch.fx follows everything else"
        ) from e
    finally:
        for module, mode in modes.items():
            module.training = mode
    # torch.fx hangs constants that forward makes on the network itself; it is not ours to change.
    constants = {
        str(n.target): operator.attrgetter(str(n.target))(network) for n in graph.nodes if n.op == "get_attr"
    }
    for name in set(vars(network)) - attributes:
        delattr(network, name)
    for named in (network.named_parameters, network.named_buffers):
        for name, _ in named(remove_duplicate=False):
            constants.pop(name, None)
    tensors = {name: value for name, value in constants.items() if isinstance(value, Tensor)}
    return Trace(tuple(_named(graph, network)), tensors)


def _alone() -> fx.Graph:
    """A network that is one layer is one step, as it would be inside another."""
    graph = fx.Graph()
    graph.output(graph.call_module("", (graph.placeholder("input"),)))
    return graph


def _named(graph: fx.Graph, network: nn.Module) -> list[Step]:
    modules = dict(network.named_modules())
    taken: dict[str, int] = {}
    steps = []
    for node in graph.nodes:
        module = modules[str(node.target)] if node.op == "call_module" else None
        name = str(node.target) if node.op in ("call_module", "get_attr") else _called(node)
        name = name or type(network).__name__.lower()  # a network that is one layer has no place of its own
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

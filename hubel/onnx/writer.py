"""A network as an ONNX graph: each step of its trace becomes nodes by a rule of rules.py, under the step's own name.

What does not depend on the input is computed while writing. The batch axis stays open: it is found by comparing the
shapes that one and that two items have.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor, fx, nn

from hubel.errors import InputError
from hubel.zoo.graph import values_of
from hubel.zoo.trace import Step, trace

N = "N"  # in a shape: the batch axis, of any length
Shape = tuple[int | str, ...]


@dataclass(frozen=True)
class Value:
    """A tensor of the graph that depends on the input. shape: with N; () where a rule does not need it."""

    name: str
    shape: Shape = ()


def graph_of(network: nn.Module, shape: Sequence[int], given: str, gives: str) -> GraphProto:
    """The graph of `network` in use, from one input of (N, *shape) float32, named `given`, to one output.

    Names of layers are those of the trace, without the wrapper's "network.".
    Raises InputError where a step has no rule.
    """
    writer = Writer(network, shape)
    with torch.no_grad():
        for step in writer.steps:
            writer.write(step, given)
    (last,) = writer.steps[-1].node.all_input_nodes
    result = writer.values[last]
    writer.nodes.append(helper.make_node("Identity", [result.name], [gives], gives))
    return helper.make_graph(
        writer.nodes, "network", [_told(Value(given, (N, *shape)))], [_told(Value(gives, result.shape))],
        list(writer.constants.values()), value_info=writer.told,
    )  # fmt: skip


class Writer:
    """What the rules write with.

    shape: of what the present step gives; add(): a node; undefined(): the error for what no rule covers
    """

    def __init__(self, network: nn.Module, shape: Sequence[int]) -> None:
        traced = trace(network)
        self.steps = traced.steps
        held = (
            *network.named_parameters(remove_duplicate=False),
            *network.named_buffers(remove_duplicate=False),
        )
        self.held: Mapping[str, Tensor] = {**dict(held), **traced.constants}
        self.names = {id(tensor): _short(name) for name, tensor in held}
        self.shapes = _shapes(values_of(traced, network, shape), values_of(traced, network, shape, items=2))
        self.values: dict[fx.Node, Any] = {}  # a Value, or what does not depend on the input
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, TensorProto] = {}
        self.told: list[Any] = []
        self.taken: set[str] = set()
        self.name = ""
        self.shape: Shape = ()

    def write(self, step: Step, given: str) -> None:
        """One step: the input's name, a number that is known already, or the nodes of its rule."""
        from hubel.onnx.rules import rule_of

        node = step.node
        if node.op == "output":
            return
        if node.op == "get_attr":
            self.values[node] = self.held[str(node.target)]
            return
        self.name, self.shape = _short(step.name), self.shapes.get(node, ())
        if node.op == "placeholder":
            self.values[node] = Value(given, self.shape)
            return
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), self.values.__getitem__)
        if not _depends((args, kwargs)):
            self.values[node] = _computed(step, args, kwargs)
            return
        before = len(self.nodes)
        result = rule_of(self, step)(self, *args, **kwargs)
        if isinstance(result, Value) and len(self.nodes) > before:
            assert self.nodes[-1].output[0] == result.name
            result = self._named()
        self.values[node] = result

    def _named(self) -> Value:
        """The last node's output under the step's name."""
        self.nodes[-1].output[0] = self.nodes[-1].name = self.name
        result = Value(self.name, self.shape)
        self.told.append(_told(result))
        return result

    def add(self, operation: str, *inputs: Any, **settings: Any) -> Value:
        """A node of one output. inputs: Values; tensors and numbers, which are stored; None for one left out."""
        name = self._fresh(f"{self.name}/{operation}")
        names = [self._input(value) for value in inputs]
        while not names[-1]:
            names.pop()
        made = NodeProto(op_type=operation, name=name, input=names, output=[name])
        made.attribute.extend(_attribute(key, value) for key, value in sorted(settings.items()))
        self.nodes.append(made)
        return Value(name)

    def _input(self, value: Any) -> str:
        if value is None or isinstance(value, Value):
            return value.name if value else ""
        name = self.names.get(id(value)) or self._fresh(f"{self.name}/constant")
        if name not in self.constants:
            array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
            kind = np.float32 if array.dtype.kind == "f" or array.ndim == 0 else np.int64
            self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(array, kind), name)
        return name

    def _fresh(self, name: str) -> str:
        number = next(k for k in range(1, len(self.taken) + 2) if f"{name}{k}" not in self.taken)
        self.taken.add(f"{name}{number}")
        return f"{name}{number}"

    def undefined(self, what: str) -> InputError:
        return InputError(f"the step {self.name!r} cannot be written to ONNX: {what}")


def _attribute(key: str, value: Any) -> AttributeProto:
    return helper.make_attribute(key, list(value) if isinstance(value, tuple) else value)


def _told(value: Value) -> Any:
    return helper.make_tensor_value_info(value.name, TensorProto.FLOAT, value.shape)


def _short(name: str) -> str:
    return name.removeprefix("network.")


def _shapes(one: Mapping[fx.Node, Any], two: Mapping[fx.Node, Any]) -> dict[fx.Node, Shape]:
    """N where two items give twice as much as one."""
    return {
        node: tuple(a if a == b else N for a, b in zip(value.shape, two[node].shape, strict=True))
        for node, value in one.items()
        if isinstance(value, Tensor)
    }


def _depends(arguments: Any) -> bool:
    """Whether the input, or the number of items, is among (nested) arguments."""
    if isinstance(arguments, tuple | list):
        return any(map(_depends, arguments))
    if isinstance(arguments, dict):
        return any(map(_depends, arguments.values()))
    return isinstance(arguments, Value) or (isinstance(arguments, str) and arguments == N)


def _computed(step: Step, args: Any, kwargs: Any) -> Any:
    if step.module is not None:
        return step.module(*args, **kwargs)
    if step.node.op == "call_method":
        return operator.methodcaller(str(step.node.target), *args[1:], **kwargs)(args[0])
    return step.node.target(*args, **kwargs)  # type: ignore[operator]

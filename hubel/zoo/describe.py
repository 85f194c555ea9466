"""A network as a table: each layer's output shape, parameters, multiply-adds, memory, and what it sees of the picture.

All of it follows from the graph (graph.py): nothing is computed, so that networks of any size are described at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn

from hubel.zoo.fields import Seen, called
from hubel.zoo.graph import Group, graph, multiply_adds


@dataclass(frozen=True)
class Layer:
    """One step of a network.

    type: the module's class, or the function that is called; settings: of a window, in the words of oneline.py
    output: without the batch axis; multiply_adds, memory: of one item; memory: bytes that are written, 0 where the
    output lies where the input lay
    inputs: names of the layers whose outputs it takes, "input" for the picture
    sees: the receptive field along H and W; None for vectors, an axis None where no rule tells
    idle: whether it works only while training (auxiliary heads); its row stands for all that is inside
    """

    name: str
    type: str
    output: tuple[int, ...]
    parameters: int
    multiply_adds: int
    settings: str = ""
    memory: int = 0
    inputs: tuple[str, ...] = ()
    sees: Seen | None = None
    idle: bool = False

    def to_dict(self) -> dict[str, Any]:
        """For JSON. receptive_field: size, stride and offset, height first; None where no picture or no rule is."""
        known = self.sees is not None and None not in self.sees
        field = {
            name: [getattr(axis, name) for axis in self.sees or ()] for name in ("size", "stride", "offset")
        }
        return {
            "name": self.name, "type": self.type, "settings": self.settings, "inputs": self.inputs,
            "output": self.output, "parameters": self.parameters, "multiply_adds": self.multiply_adds,
            "memory": self.memory, "receptive_field": field if known else None, "only_in_training": self.idle,
        }  # fmt: skip


def layers(network: nn.Module, shape: Sequence[int]) -> tuple[Layer, ...]:
    """What `network` does with an input of `shape`, (C, H, W) or (D,), in order; functions are rows, too."""
    return tuple(_Table(network, shape).rows())


def parameters(network: nn.Module) -> int:
    """How many trainable numbers a network has; shared ones count once."""
    return sum(p.numel() for p in network.parameters())


class _Table:
    def __init__(self, network: nn.Module, shape: Sequence[int]) -> None:
        self.network, self.graph = network, graph(network, shape)
        self.named = dict(network.named_parameters(remove_duplicate=False))
        self.counted: set[int] = set()  # ids of parameters that a row has
        self.sources: dict[fx.Node, tuple[str, ...]] = {}  # which rows a value comes from

    def rows(self) -> list[Layer]:
        made = []
        for group in self.graph.groups:
            row = self.row(group)
            if row is not None:
                made.append(row)
        return made + self.idle()

    def row(self, group: Group) -> Layer | None:
        """The row of a group; None where it gives no tensor, or hands on what it got."""
        value, inputs = self.graph.values[group.output], self.inputs(group)
        first, source = group.steps[0].node, tuple(inputs)
        if first.op == "placeholder":
            source = () if self.sources else ("input",)
        shown = first.op.startswith("call") or self.parameter(first) is not None
        if not shown or not isinstance(value, Tensor) or self.hands_on(group):
            self.sources[group.output] = source if isinstance(value, Tensor | tuple | list) else ()
            return None
        for step in group.steps:
            self.sources[step.node] = (group.name,)
        return Layer(
            group.name, self.type(group), tuple(value.shape[1:]), self.parameters(group),
            multiply_adds(group, self.graph.values), settings(group.module), self.memory(group), source,
            self.graph.seen[group.output],
        )  # fmt: skip

    def inputs(self, group: Group) -> dict[str, None]:
        """Names of the rows that a group takes from, in order, each once."""
        own = {step.node for step in group.steps}
        outside = (n for step in group.steps for n in step.node.all_input_nodes if n not in own)
        return {name: None for node in outside for name in self.sources.get(node, ())}

    def parameter(self, node: fx.Node) -> nn.Parameter | None:
        """The parameter that a step fetches, where it does."""
        if node.op != "get_attr":
            return None
        return self.named.get(str(node.target))

    def hands_on(self, group: Group) -> bool:
        """One of several outputs is picked."""
        node = group.output
        return called(node) == "getitem" and not isinstance(
            self.graph.values[node.all_input_nodes[0]], Tensor
        )

    def type(self, group: Group) -> str:
        if group.module is not None:
            return type(group.module).__name__
        if group.output.op == "get_attr":
            return "Parameter"
        return group.name.rpartition(".")[2].partition("#")[0]  # "layer1.0.add#2": what is called there

    def parameters(self, group: Group) -> int:
        if group.module is not None:
            return self.count(group.module.parameters())
        found = [self.parameter(step.node) for step in group.steps]
        return self.count(p for p in found if p is not None)

    def count(self, found: Any) -> int:
        """Numbers in parameters that no row has counted yet."""
        new = {id(p): p for p in found if id(p) not in self.counted}
        self.counted |= set(new)
        return sum(p.numel() for p in new.values())

    def memory(self, group: Group) -> int:
        """Bytes of the output in float32; none where it lies where an input lies: a view, or done in place."""
        if group.output.op == "get_attr":
            return 0
        place = _place(self.graph.values[group.output])
        given = (n for step in group.steps for n in step.node.all_input_nodes)
        old = {_place(v) for n in given if isinstance(v := self.graph.values[n], Tensor)}
        own = {_place(v) for s in group.steps[:-1] if isinstance(v := self.graph.values[s.node], Tensor)}
        return 0 if place in old - own else 4 * self.graph.values[group.output].numel()

    def idle(self) -> list[Layer]:
        """Rows of the parts with parameters that are not met in use."""
        made = []
        for name, part in self.network.named_children():
            count = self.count(part.parameters())
            if count:
                made.append(Layer(name, type(part).__name__, (), count, 0, idle=True))
        return made


def settings(module: nn.Module | None) -> str:
    """A window's size and what is not usual about it: "3x3/2+1" (stride 2, padding 1), "3x3~2%8" (dilation, groups)."""
    kernel = getattr(module, "kernel_size", None)
    if kernel is None:
        return ""
    usual = 1 if "Conv" in type(module).__name__ else kernel
    said = "x".join(map(str, _pair(kernel)))
    for sign, name, ordinary in (
        ("/", "stride", usual),
        ("+", "padding", 0),
        ("~", "dilation", 1),
        ("%", "groups", 1),
    ):
        value = getattr(module, name, ordinary)
        if isinstance(value, str):
            said += f"{sign}{value}"
        elif value is not None and _pair(value) != _pair(ordinary):
            sides = _pair(value)
            said += sign + (str(sides[0]) if len(set(sides)) == 1 else "x".join(map(str, sides)))
    return said


def _pair(value: Any) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else tuple(value)


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata  # equal where two tensors share their memory

"""Back-propagation on a computational graph: a tape that remembers each step and walks back over them.

A step is one of the pairs of this package, or any f whose f_backward stands beside it. The tape knows no operation
by itself; all that it adds is the chain rule: what a node gets is the sum over the steps that used it.

    tape = Tape()
    apple, count, tax = tape.leaf(10.0, "apple"), tape.leaf(2.0, "count"), tape.leaf(1.1, "tax")
    paid = apple * count * tax
    print(tape.table(paid))

Linnainmaa 1970; Rumelhart, Hinton, Williams 1986; the word tape, and one entry per step, as in Griewank 1989.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hubel.definitions.arithmetic import add, divide, multiply, power, subtract
from hubel.definitions.errors import DefinitionError, ShapeError
from hubel.definitions.windows import Array

Value = Any  # an array, or a tuple of arrays where an operation gives several
Operation = Callable[..., Value]


@dataclass(frozen=True, eq=False, repr=False)  # two nodes are one only if they are the same node
class Node:
    """One value of the graph. A leaf has no operation; an input that was not given (a bias, a mask) is None."""

    tape: Tape
    number: int
    name: str
    value: Value
    operation: Operation | None = None
    inputs: tuple[Node | None, ...] = ()
    settings: Mapping[str, Any] | None = None

    def __repr__(self) -> str:
        return f"<{self.name}: {shown(self.value)}>"

    def __add__(self, other: Node | Array | float) -> Node:
        return self.tape.apply(add, self, other)

    def __radd__(self, other: Array | float) -> Node:
        return self.tape.apply(add, other, self)

    def __sub__(self, other: Node | Array | float) -> Node:
        return self.tape.apply(subtract, self, other)

    def __rsub__(self, other: Array | float) -> Node:
        return self.tape.apply(subtract, other, self)

    def __mul__(self, other: Node | Array | float) -> Node:
        return self.tape.apply(multiply, self, other)

    def __rmul__(self, other: Array | float) -> Node:
        return self.tape.apply(multiply, other, self)

    def __truediv__(self, other: Node | Array | float) -> Node:
        return self.tape.apply(divide, self, other)

    def __rtruediv__(self, other: Array | float) -> Node:
        return self.tape.apply(divide, other, self)

    def __neg__(self) -> Node:
        return self.tape.apply(multiply, self, -1.0)

    def __pow__(self, exponent: float) -> Node:
        return self.tape.apply(power, self, exponent=exponent)

    __array_ufunc__ = None  # array * node asks the node, and not NumPy for an array of nodes


class Tape:
    """The nodes in the order in which they were made: each stands after all that it was made of."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []

    def leaf(self, value: Value, name: str = "") -> Node:
        """A value that comes from outside: an input, a weight, a constant."""
        held = value if isinstance(value, tuple) else np.asarray(value)
        return self._add(Node(self, len(self.nodes), name or self._called(held), held))

    def apply(self, operation: Operation, *inputs: Any, name: str = "", **settings: Any) -> Node:
        """Take one step forward: operation(*inputs, **settings). What is not yet a node becomes a leaf; None stays."""
        nodes = [i if i is None or isinstance(i, Node) else self.leaf(_like(i, inputs)) for i in inputs]
        for node in nodes:
            if node is not None and node.tape is not self:
                raise DefinitionError(f"{operation.__name__}: node {node.name!r} stands on another tape")
        backward_of(operation)  # now, and not after a long way forward
        value = operation(*(n if n is None else n.value for n in nodes), **settings)
        name = name or f"{operation.__name__}#{len(self.nodes)}"
        return self._add(Node(self, len(self.nodes), name, value, operation, tuple(nodes), settings))

    def gradients(self, output: Node, dy: Value = None) -> dict[Node, Value]:
        """d output / d node for every node that the output was made of; with dy, sum of dy * d output instead.

        dy: as the output's value; 1 where that is a single number and none is given.
        """
        if dy is None:
            if isinstance(output.value, tuple):
                raise ShapeError(f"gradients: {output.name!r} is several arrays; say dy, one for each")
            if np.size(output.value) != 1:
                raise ShapeError(
                    f"gradients: {output.name!r} is {np.shape(output.value)}; say dy, of that shape"
                )
            dy = np.ones_like(output.value)
        found = {output: dy}
        for node in reversed(self.nodes[: output.number + 1]):
            if node not in found or node.operation is None:
                continue
            backward = backward_of(node.operation)
            values = (n if n is None else n.value for n in node.inputs)
            given = backward(found[node], *values, **node.settings or {})
            # What stands behind the inputs is for arrays that were not given, as the bias of conv2d.
            for source, gradient in zip(node.inputs, given[: len(node.inputs)], strict=True):
                if source is not None and gradient is not None:
                    # A sum, as a value used twice acts by both ways. Not +=, which would write into an array that
                    # another node may hold: add_backward gives one and the same to both sides.
                    found[source] = _plus(found[source], gradient) if source in found else gradient
        return found

    def table(self, output: Node, dy: Value = None) -> str:
        """A line for each node that the output was made of: its name, how it was made, its value, its derivative."""
        found = self.gradients(output, dy)
        rows = [("node", "made by", "value", f"d {output.name} / d node")]
        rows += [
            (node.name, _made(node), shown(node.value), shown(found[node]))
            for node in self.nodes
            if node in found
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ("  ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True)) for row in rows)
        return "\n".join(line.rstrip() for line in lines)

    def _add(self, node: Node) -> Node:
        self.nodes.append(node)
        return node

    def _called(self, value: Value) -> str:
        alone = not isinstance(value, tuple) and np.size(value) == 1
        return shown(value) if alone else f"leaf#{len(self.nodes)}"


def backward_of(operation: Operation) -> Operation:
    """f_backward, from the module where f stands."""
    name = f"{getattr(operation, '__name__', operation)}_backward"
    found = getattr(sys.modules.get(getattr(operation, "__module__", "")), name, None)
    if found is None:
        raise DefinitionError(f"the tape cannot walk back: there is no {name} in the module of {name[:-9]}")
    return found


def shown(value: Value) -> str:
    """A number with its digits, an array by its shape and its mean size, several arrays one after another."""
    if isinstance(value, tuple):
        return ", ".join(map(shown, value))
    if np.size(value) == 1:
        return f"{np.asarray(value).item():.10g}"  # ten digits: 22, and not 22.000000000000004
    return f"{np.shape(value)} mean |.| {np.abs(value).mean():.3g}"


def _like(value: Value, inputs: tuple[Any, ...]) -> Value:
    """A plain number beside float32 is float32, as it would be in NumPy."""
    dtypes = [i.value.dtype for i in inputs if isinstance(i, Node) and isinstance(i.value, np.ndarray)]
    floats = [t for t in dtypes if np.issubdtype(t, np.floating)]
    return np.asarray(value, floats[0]) if isinstance(value, int | float) and floats else value


def _made(node: Node) -> str:
    if node.operation is None:
        return ""
    inputs = ["none" if n is None else n.name for n in node.inputs]
    settings = [f"{k}={v}" for k, v in (node.settings or {}).items()]
    return f"{node.operation.__name__}({', '.join(inputs + settings)})"


def _plus(a: Value, b: Value) -> Value:
    return tuple(x + y for x, y in zip(a, b, strict=True)) if isinstance(a, tuple) else a + b

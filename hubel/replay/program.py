"""A network as a list of definitions to call, and what comes of calling them.

torch.fx writes down what the network does (hubel.zoo.trace), the table of rules/table.py says which definition each
of these steps is. From then on there is NumPy alone: weights are copied once, and every value stands on a Tape.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import fx, nn

from hubel.definitions import DefinitionError, Node, Tape
from hubel.definitions.windows import Array
from hubel.errors import InputError, ShapeError, UnknownName
from hubel.replay.names import Names
from hubel.replay.rules.scope import Scope
from hubel.replay.rules.table import MODULES, rule_of
from hubel.zoo.pixels import Pixels
from hubel.zoo.trace import Step, trace

_NUMPYS = {"axis": "dim", "keepdims": "keepdim", "other": "b"}  # NumPy's names, which PyTorch takes as well
_DTYPES = {torch.float64: np.float64, torch.float16: np.float16}  # all others compute in float32


class Trained(Protocol):
    """What replay needs of a Run: a model from pixels to logits, and a way from a picture to pixels."""

    model: Any

    def pixels(self, item: Any) -> Array: ...


@dataclass(frozen=True)
class Replay:
    """One pass of a network, with every value that came up.

    heads: what the network gives beside its output: the logits of auxiliary classifiers, in training
    layers: by name in order, what each step gave; parameters: the leaves of the weights that were used, by name
    buffers: by name, as the pass left them: batch norm moves its statistics in training
    """

    tape: Tape
    input: Node
    output: Node
    layers: Mapping[str, Node]
    parameters: Mapping[str, Node]
    buffers: Mapping[str, Array]
    heads: tuple[Node, ...] = ()

    def layer(self, name: str) -> Node:
        """What the layer of that name gave; UnknownName with the nearest one otherwise."""
        if name not in self.layers:
            raise UnknownName("layer", name, self.layers)
        return self.layers[name]

    def gradients(self, output: Node | None = None, dy: Any = None) -> dict[Node, Any]:
        """d output / d node for every node of the tape; see Tape.gradients. output: the network's where None."""
        return self.tape.gradients(output or self.output, dy)

    def slopes(self, output: Node | None = None, dy: Any = None) -> dict[str, Array]:
        """d output / d parameter by name, for all that the pass used; zeros where the output does not depend on it."""
        found = self.gradients(output, dy)
        return {name: found.get(node, np.zeros_like(node.value)) for name, node in self.parameters.items()}


class Program:
    """A network's steps with its weights, ready to run in NumPy.

    parameters, buffers: arrays by name, as in state_dict (a buffer that is not stored has its name too); the values may
        be replaced by others of the same shape between runs
    constants: what forward made while it was traced, and tensors that the network just holds
    dtype: of all floats; that of the weights where None, and where there are no weights that of the input

    Raises InputError for a network that cannot be traced, or a step that has no definition, which it names.
    """

    def __init__(self, network: nn.Module, *, training: bool = False, dtype: Any = None) -> None:
        self.training = training
        floats = [_DTYPES.get(p.dtype, np.float32) for p in network.parameters() if p.is_floating_point()]
        self.dtype = dtype or next(iter(floats), None)
        traced = trace(network, training=training, whole=MODULES)
        # In the wrapper from pixels to logits, names are those of the network that it holds.
        self.prefix = "network." if isinstance(network, Pixels) else ""
        self.steps = [(self._short(step.name), step) for step in traced.steps]
        self.rules = {step.node: rule_of(step) for step in traced.steps if step.node.op.startswith("call")}
        self.parameters = {self._short(n): self._array(p) for n, p in network.named_parameters()}
        self.buffers = {self._short(n): self._array(b) for n, b in network.named_buffers()}
        self.constants = {n: self._array(c) for n, c in traced.constants.items()}
        held = [
            *network.named_parameters(remove_duplicate=False),
            *network.named_buffers(remove_duplicate=False),
        ]
        first = {
            id(t): self._short(n) for n, t in reversed(held)
        }  # a shared weight has the first of its names
        self.names = {id(t): first[id(t)] for _, t in held}
        self.paths = {n: first[id(t)] for n, t in held}
        self.shapes = [{n: a.shape for n, a in held.items()} for held in (self.parameters, self.buffers)]
        self.last = self._last_uses()
        self._takes_one_input(type(network).__name__)

    def run(
        self, x: Array, *, masks: Mapping[str, Array] | None = None, seed: int | tuple[int, ...] = 0
    ) -> Replay:
        """One pass. x: what the network takes, (N, C, H, W) or (N, D).

        masks: for dropout in training, 1 where a unit stays, by layer; where there is none it is drawn from `seed`.
        """
        _fits("parameter", self.parameters, self.shapes[0])
        _fits("buffer", self.buffers, self.shapes[1])
        scope, entered = self._begun(x, masks, seed)
        values = Names(self.last)
        layers: dict[str, Node] = {}
        for name, step in self.steps:
            node = step.node
            if node.op == "placeholder":
                values[node] = entered if not layers else next(iter(node.args), None)
            elif node.op == "get_attr":
                values[node] = self._attribute(scope, str(node.target))
            elif node.op == "output":
                return self._told(scope, entered, fx.node.map_arg(node.args[0], values.__getitem__), layers)
            else:
                values[node] = self._call(scope, name, step, values)
            if isinstance(values[node], Node) and node.op != "get_attr":
                layers[name] = values[node]
            values.forget(node)
        raise AssertionError("a graph ends with its output")

    def step(self, name: str, x: Array, known: Mapping[str, Array]) -> Node:
        """What one step gives, from what those before it gave: the network does not run.

        known: what steps gave, by name; a value that is needed and not known, as a shape, is made of what is
        """
        steps = dict(self.steps)
        if name not in steps:
            raise UnknownName("layer", name, steps)
        names = {step.node: called for called, step in self.steps}
        scope, entered = self._begun(x)
        values = Names({})

        def make(node: fx.Node) -> None:
            called = names[node]
            if node.op == "placeholder":
                values[node] = entered
            elif node.op == "get_attr":
                values[node] = self._attribute(scope, str(node.target))
            elif called in known and called != name:
                values[node] = scope.tape.leaf(self._float(np.asarray(known[called])), called)
            else:
                for needed in node.all_input_nodes:
                    if needed not in values:
                        make(needed)
                values[node] = self._call(scope, called, steps[called], values)

        make(steps[name].node)
        return values[steps[name].node]

    def _begun(
        self, x: Array, masks: Mapping[str, Array] | None = None, seed: int | tuple[int, ...] = 0
    ) -> tuple[Scope, Node]:
        tape = Tape()
        entered = tape.leaf(self._float(np.asarray(x)), "input")
        scope = Scope(
            tape, self.training, self.names, self.parameters, dict(self.buffers), dict(masks or {}),
            np.random.default_rng(seed), self._floating(entered.value),
        )  # fmt: skip
        return scope, entered

    def _call(self, scope: Scope, name: str, step: Step, values: Names) -> Any:
        args, kwargs = fx.node.map_arg((step.node.args, step.node.kwargs), values.__getitem__)
        kwargs = {_NUMPYS.get(k, k): v for k, v in kwargs.items()}
        first = [kwargs.pop("input")] if "input" in kwargs else []
        scope.begin(name)
        try:
            made = self.rules[step.node](scope, *first, *args, **kwargs)
        except DefinitionError as e:
            raise InputError(f"the step {name!r} does not fit what it is given: {e}") from e
        except (TypeError, ValueError, IndexError, AttributeError) as e:
            raise InputError(
                f"the step {name!r} cannot be replayed with what it is given: its rule in hubel/replay/rules/table.py "
                f"says {type(e).__name__}: {e}"
            ) from e
        values.keep(name, step, made)
        return made

    def _attribute(self, scope: Scope, path: str) -> Any:
        if path in self.paths:
            return scope.held(self.paths[path])
        if path not in self.constants:
            raise InputError(
                f"the network's {path!r} cannot be replayed: it is used as a tensor and is none; a layer must be called"
            )
        return scope.tape.leaf(self.constants[path], path.strip("_"))

    def _told(self, scope: Scope, entered: Node, output: Any, layers: dict[str, Node]) -> Replay:
        # Of a dict or of several outputs the first is the answer.
        nodes = [v for v in _leaves(output) if isinstance(v, Node)]
        if not nodes:
            raise InputError(
                f"the network gives {output!r} and no array: its forward must return what it made of its input"
            )
        for unknown in set(scope.masks) - scope.drew:
            hint = "" if self.training else "Only in training something is dropped."
            raise UnknownName("layer that drops", unknown, sorted(scope.drew), hint=hint)
        used = {n: node for n, node in scope.leaves.items() if n in self.parameters}
        return Replay(scope.tape, entered, nodes[0], layers, used, scope.buffers, tuple(nodes[1:]))

    def _takes_one_input(self, network: str) -> None:
        asked = [s.node for _, s in self.steps if s.node.op == "placeholder"]
        needed = [node.target for node in asked[1:] if node.users and not node.args]
        if needed:
            raise InputError(
                f"{network} cannot be replayed: beside {asked[0].target} its forward takes "
                f"{', '.join(map(str, needed))}, and replay gives one input"
            )

    def _floating(self, x: Array) -> Any:
        """The dtype of all floats: where no weight says it, that of the input."""
        return self.dtype or (x.dtype if np.issubdtype(x.dtype, np.floating) else np.float32)

    def _last_uses(self) -> dict[fx.Node, list[fx.Node]]:
        """After which step a value is not needed any more."""
        last: dict[fx.Node, fx.Node] = {}
        for _, step in self.steps:
            for used in step.node.all_input_nodes:
                last[used] = step.node
        ends: dict[fx.Node, list[fx.Node]] = {}
        for used, user in last.items():
            ends.setdefault(user, []).append(used)
        return ends

    def _short(self, name: str) -> str:
        return name.removeprefix(self.prefix)

    def _array(self, tensor: torch.Tensor) -> Array:
        """A copy that is ours."""
        tensor = tensor.detach().cpu()
        return self._float((tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy().copy())

    def _float(self, array: Array) -> Array:
        floating = self.dtype is not None and np.issubdtype(array.dtype, np.floating)
        return array.astype(self.dtype, copy=False) if floating else array


def replay(network: nn.Module | Trained, x: Any, *, training: bool = False, dtype: Any = None) -> Replay:
    """Run a network through the definitions once.

    network: a module, with x an array that it takes; or a Run, with x a picture in any form that Run.predict takes
    dtype: np.float64 for gradients that are right to ten digits; else that of the weights
    """
    if isinstance(network, nn.Module):
        return Program(network, training=training, dtype=dtype).run(x)
    return Program(network.model, training=training, dtype=dtype).run(network.pixels(x))


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for v in value:
            yield from _leaves(v)
    else:
        yield value


def _fits(what: str, held: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """What was put in the place of an array must have its name and its shape."""
    for name in held:
        if name not in shapes:
            raise UnknownName(what, name, shapes)
    for name, shape in shapes.items():
        if name not in held:
            raise InputError(
                f"the {what} {name!r} {shape} was taken away; put an array of that shape in its place"
            )
        if np.shape(held[name]) != shape:
            raise ShapeError(
                f"the {what} {name!r} is {shape} in the network, but was replaced by {np.shape(held[name])}; "
                "give an array of the same shape"
            )

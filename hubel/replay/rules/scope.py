"""What the rules of one run share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from hubel.definitions import Node, Tape
from hubel.definitions.windows import Array
from hubel.errors import InputError

Rule = Callable[..., Any]


@dataclass
class Scope:
    """What the rules of one run share: the tape, the weights, the mode, the draws.

    floating: the dtype of all floats   drew: the steps that dropped something
    """

    tape: Tape
    training: bool
    names: Mapping[int, str]  # id of a tensor of the network -> its name
    parameters: Mapping[str, Array]
    buffers: dict[str, Array]
    masks: Mapping[str, Array]
    rng: np.random.Generator
    floating: Any = np.float32
    drew: set[str] = field(default_factory=set)
    leaves: dict[str, Node] = field(default_factory=dict)
    step: str = ""
    calls: int = 0

    def begin(self, step: str) -> None:
        """The definitions that are called from here on belong to this step."""
        self.step, self.calls = step, 0

    def __call__(self, definition: Callable[..., Any], *inputs: Any, **settings: Any) -> Node:
        """Call a definition. The first one of a step has the step's name, those after it a number too."""
        self.calls += 1
        name = self.step if self.calls == 1 else f"{self.step}:{self.calls}"
        return self.tape.apply(definition, *map(self.node, inputs), name=name, **settings)

    def node(self, value: Any) -> Any:
        """A tensor of the network as the leaf that stands for it; anything else as it is."""
        if not isinstance(value, Tensor):
            return value
        if id(value) not in self.names:
            raise undefined(self.step, "a weight that is computed anew from others")
        return self.held(self.names[id(value)])

    def constant(self, value: Any) -> Node:
        """A leaf with the name of the step: nothing learns through it."""
        return self.tape.leaf(value, self.step)

    def held(self, name: str) -> Node:
        """The leaf of a parameter or buffer; a shared one is one leaf, in which its gradients add up."""
        if name not in self.leaves:
            self.leaves[name] = self.tape.leaf(self.parameters.get(name, self.buffers.get(name)), name)
        return self.leaves[name]

    def mask(self, like: Array, p: float) -> Array:
        """1 where a unit stays."""
        self.drew.add(self.step)
        given = self.masks.get(self.step)
        return (self.rng.random(like.shape) >= p).astype(like.dtype) if given is None else given


def undefined(name: str, what: str) -> InputError:
    return InputError(
        f"the step {name!r} cannot be replayed: {what} has no definition in NumPy. "
        "A rule for it belongs in hubel/replay/rules/table.py"
    )

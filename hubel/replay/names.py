"""Which values of a run are one array under several names.

PyTorch writes in place: after `y = x; y += 1` x is larger too, and so is all that looks into x. A tape never changes a
value, so every other name gets the new one; a name that sees only a part of it cannot, and is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import fx

from hubel.definitions import Node
from hubel.errors import InputError
from hubel.replay.rules.table import copies, looks_into, written_over
from hubel.zoo.trace import Step


class Names(dict[fx.Node, Any]):
    """What each step gave, as long as a later one needs it.

    last: after which step which values are needed no more
    """

    def __init__(self, last: Mapping[fx.Node, list[fx.Node]]) -> None:
        super().__init__()
        self.last = last
        self.memory: dict[
            fx.Node, fx.Node
        ] = {}  # the step that made the array which a name sees, if only in part
        self.whole: dict[fx.Node, fx.Node] = {}  # the same for names that see the whole of it for certain

    def keep(self, name: str, step: Step, made: Any) -> None:
        """What a step gave, under its name and under all others that the same array has."""
        node = step.node
        first = node.args[0] if node.args and isinstance(node.args[0], fx.Node) else None
        over = written_over(step)
        if over is not None and isinstance(self[over], Node):
            self._write(name, step, over, made)
        elif first is not None and looks_into(step):
            self.memory[node] = self.memory.get(first, first)
        elif first is not None and made is self[first] and not copies(step):
            self.memory[node], self.whole[node] = self.memory.get(first, first), self.whole.get(first, first)
        self[node] = made

    def forget(self, step: fx.Node) -> None:
        """Shapes and lists that are needed no more; the tape keeps what counts."""
        for done in self.last.get(step, ()):
            del self[done]

    def _write(self, name: str, step: Step, over: fx.Node, made: Any) -> None:
        before = self[over]
        if over.op == "get_attr":
            raise InputError(
                f"the step {name!r} cannot be replayed: it writes in place to {over.target!r}, which the network holds"
            )
        if made.value.shape != before.value.shape:
            raise InputError(
                f"the step {name!r} writes in place to {before.value.shape}, where its result {made.value.shape} "
                "does not fit"
            )
        memory, whole = self.memory.get(over, over), self.whole.get(over, over)
        done = self.last.get(step.node, ())
        others = [n for n, v in self.items() if n is not over and n not in done and _is_array(v)]
        for other in [n for n in others if self.memory.get(n, n) is memory]:
            if self.whole.get(other, other) is not whole:
                raise InputError(
                    f"the step {name!r} cannot be replayed: it writes in place to an array that is read under another "
                    f"name as well ({other.name!r}), of which one may be a part of the other. "
                    "Write y = y + x in the network, or take a clone() first"
                )
            self[other] = made
        self[over] = made
        self.memory[step.node], self.whole[step.node] = memory, whole


def _is_array(value: Any) -> bool:
    """Or several of them, as of chunk; a shape is none."""
    return isinstance(value, Node) or (isinstance(value, tuple) and any(map(_is_array, value)))

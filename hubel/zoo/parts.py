"""A network taken apart: its layers with parameters, the head, and the two sides of a cut between them.

A layer is a row of `hubel describe`, in the order in which data meets it. The head is the last one with parameters,
which gives the answer; what only training meets (auxiliary classifiers) is none of them. Parts share the weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import fx, nn

from hubel.errors import InputError
from hubel.zoo.fields import called
from hubel.zoo.graph import Group, groups
from hubel.zoo.trace import Trace, trace


class Parts:
    """A network's layers in order. Building one traces the network, in use and in training."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.traces = {training: trace(network, training=training) for training in (False, True)}
        self.layers = tuple(groups(self.traces[False], network))
        self.places = {layer.name: place for place, layer in enumerate(self.layers)}
        self.weighing = self._weighing()

    @property
    def backbone(self) -> int:
        """How many layers with parameters stand before the head."""
        return max(n for n, (layer, _) in enumerate(self.weighing) if layer.steps[0].node.all_input_nodes)

    @property
    def head(self) -> Group:
        """The last layer with parameters that is given something: one that a parameter is added to is it still."""
        return self.weighing[self.backbone][0]

    def before_head(self) -> str:
        """The layer whose output the head is given."""
        given = self.head.steps[0].node.all_input_nodes[0]
        for layer in self.layers:
            if any(step.node is given for step in layer.steps) and given.op != "placeholder":
                return layer.name
        raise InputError(f"no layer stands before {self.head.name!r}, the head: it is given the input itself")

    def learning_behind(self, count: int) -> list[nn.Parameter]:
        """All parameters but those of the first `count` layers that have some."""
        front = {id(p) for _, parameters in self.weighing[:count] for p in parameters}
        return [p for p in self.network.parameters() if id(p) not in front]

    def modules_up_to(self, count: int) -> list[nn.Module]:
        """The layers that are modules, up to the count-th with parameters, without those that come again later."""
        end = self.places[self.weighing[count - 1][0].name] + 1
        later = {id(layer.module) for layer in self.layers[end:]}
        return [m for layer in self.layers[:end] if (m := layer.module) is not None and id(m) not in later]

    def cut(self, count: int) -> str | None:
        """The last layer that is settled by the first `count` with parameters, and that all behind it can do with.

        Dropout behind them is not settled. None where what follows takes from several layers, as inside a shortcut.
        """
        begin, end = (self.places[self.weighing[n][0].name] for n in (count - 1, count))
        found = None
        for layer in self.layers[begin:end]:
            if _drops(layer):
                break
            if self.behind(layer.name) is not None and self.behind(layer.name, training=True) is not None:
                found = layer.name
        return found

    def until(self, layer: str) -> nn.Module:
        """From the network's input to the output of one layer, in use."""
        end = self.layers[self.places[layer]].output
        made, copied = fx.Graph(), dict[fx.Node, fx.Node]()
        for step in self.traces[False].steps:
            copied[step.node] = made.node_copy(step.node, copied.__getitem__)
            if step.node is end:
                break
        made.output(copied[end])
        return self._module(made, self.traces[False])

    def giving(self, names: Sequence[str], *, answer: bool = True) -> nn.Module:
        """From the network's input to (its output, the output of each of these layers), in use.

        answer: without it only the layers' outputs are given, and nothing behind the last of them is run
        Each is as the layer gave it, also where the next one works in place, and lies on the way to the output:
        torch.autograd.grad of anything that follows, by a layer's output, is what it is in the network.
        """
        wanted = {self.layers[self.places[name]].output: name for name in names}
        made, copied, kept = fx.Graph(), dict[fx.Node, fx.Node](), dict[str, fx.Node]()
        for step in self.traces[False].steps:
            node = copied[step.node] = made.node_copy(step.node, copied.__getitem__)
            if step.node.op == "output":
                made.erase_node(node)
                made.output((copied[step.node.all_input_nodes[0]], *(kept[name] for name in names)))
            elif step.node in wanted:
                kept[wanted[step.node]] = node
                copied[step.node] = made.call_method("clone", (node,))
                if not answer and len(kept) == len(wanted):
                    made.output(tuple(kept[name] for name in names))
                    break
        return self._module(made, self.traces[False])

    def behind(self, layer: str, *, training: bool = False) -> nn.Module | None:
        """From the output of one layer to the network's; None where that alone does not suffice."""
        traced = self.traces[training]
        ends = {found.name: found.output for found in groups(traced, self.network)}
        if layer not in ends:
            return None
        nodes = [step.node for step in traced.steps]
        made = fx.Graph()
        copied = {ends[layer]: made.placeholder("given")}
        for node in nodes[nodes.index(ends[layer]) + 1 :]:
            if any(given not in copied for given in node.all_input_nodes):
                return None
            copied[node] = made.node_copy(node, copied.__getitem__)
        return self._module(made, traced)

    def _module(self, graph: fx.Graph, traced: Trace) -> nn.Module:
        held: Mapping[str, Any] = {
            **dict(self.network.named_modules()), **dict(self.network.named_parameters(remove_duplicate=False)),
            **dict(self.network.named_buffers(remove_duplicate=False)), **traced.constants,
        }  # fmt: skip
        used = [str(node.target) for node in graph.nodes if str(node.target) in held]
        return fx.GraphModule({name: held[name] for name in used}, graph)

    def _weighing(self) -> Sequence[tuple[Group, list[nn.Parameter]]]:
        """Layers with parameters that no layer before them has, and these."""
        named = dict(self.network.named_parameters(remove_duplicate=False))
        met: set[int] = set()
        found = []
        for layer in self.layers:
            own = [] if layer.module is None else list(layer.module.parameters())
            fetched = [str(step.node.target) for step in layer.steps if step.node.op == "get_attr"]
            own += [named[name] for name in fetched if name in named]
            new = list({id(p): p for p in own if id(p) not in met}.values())
            met |= {id(p) for p in new}
            if new:
                found.append((layer, new))
        return found


def _drops(layer: Group) -> bool:
    named = [called(step.node) for step in layer.steps] + [type(layer.module).__name__.lower()]
    return any("dropout" in name for name in named)

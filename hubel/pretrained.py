"""Public weights as a run: the network built as its publisher had it, pixels prepared alike, classes named.

Nothing is trained here. `settle` says what weights ask for; `ready` gives a Run that answers with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hubel import zoo
from hubel.data import Preprocess
from hubel.devices import choose_device
from hubel.errors import InputError
from hubel.run import Card, Network, Run
from hubel.zoo import weights as files
from hubel.zoo.public_weights import PublicWeights
from hubel.zoo.weights import Loaded


@dataclass(frozen=True)
class Settled:
    """What weights ask for. said: as the user named them; network: with its arguments;

    known: the table's line, with input, mean, deviation and order; None for a file that it does not list
    """

    said: str
    network: Network
    known: PublicWeights | None

    @property
    def input(self) -> tuple[int, ...]:
        """The shape that the weights were trained on; else the paper's."""
        return self.known.input if self.known else zoo.lookup(self.network.name).input

    def preprocess(self, shape: tuple[int, ...], resize: str = "crop") -> Preprocess:
        """Pixels as the publisher fed them: the centre, by default, in the publisher's units."""
        made = Preprocess.to_fit("picture", shape, shape, resize)
        if self.known is None:
            return made
        return Preprocess(made.kind, made.shape, made.resize, self.known.mean, self.known.std)

    @property
    def order(self) -> str:
        return self.known.order if self.known else "rgb"


@dataclass(frozen=True)
class Ready:
    """A run of public weights, and what became of each tensor. notes: sentences for the user"""

    run: Run
    loaded: Loaded
    notes: tuple[str, ...] = field(default=())

    @property
    def answers(self) -> bool:
        """Whether the weights hold the last layer, without which there are features and no answers."""
        return not self.loaded.missing


def settle(
    weights: str | Path, network: str | None = None, arguments: Mapping[str, Any] | None = None
) -> Settled:  # fmt: skip
    """Which network, built how. network: may be None for known weights; arguments: over the publisher's

    Raises InputError where it is of another network, or nobody says of which.
    """
    _, known = files.find(weights)
    if network is None and known is None:
        raise InputError(f"{weights} does not say what network it is of: name it with --network")
    name = network or known.network  # type: ignore[union-attr]
    zoo.lookup(name)
    if known is not None and name != known.network:
        raise InputError(
            f"the weights {weights} are of {known.network}, not of {name}: name {known.network}, or other weights"
        )
    asked = {**(known.arguments if known else {}), **(arguments or {})}
    return Settled(str(weights), Network(name, asked), known)


def ready(
    weights: str | Path, network: str | None = None, arguments: Mapping[str, Any] | None = None, *, device: str = "cpu",
) -> Ready:  # fmt: skip
    """Public weights as a run. device: where it computes; auto = the fastest there is

    Classes are named by the archive's labels.txt: up to the first comma, where no other begins so. Without one they
    are numbered from 0.
    """
    settled = settle(weights, network, arguments)
    classes = settled.known.classes if settled.known else _counted(settled)
    built = Card(
        "classify", tuple(map(str, range(classes))), classes, settled.network,
        settled.preprocess(settled.input), settled.order,
    )  # fmt: skip
    inside = built.build()
    loaded = files.load(inside, weights)
    notes = list(loaded.notes)
    if loaded.missing:
        notes.append("the last layer is not in these weights: they give features, and no answers")
    elif not loaded.labels:
        notes.append("nothing beside these weights names the classes: they are numbered from 0")
    card = replace(built, classes=short(loaded.labels) or built.classes)
    run = Run(Path(weights), card, card.wrap(inside).to(choose_device(device)), {})
    return Ready(run, loaded, tuple(notes))


def _counted(settled: Settled) -> int:
    """How many classes the file knows; the paper's count where it has no last layer."""
    entry = zoo.lookup(settled.network.name)
    network = zoo.create(settled.network.name, None, settled.input, **settled.network.arguments)
    return files.outputs(network, settled.said) or entry.classes


def short(labels: Sequence[str]) -> tuple[str, ...]:
    """'tabby, tabby cat' -> 'tabby', where no other label begins so; equal labels get their number: 'crane 134'."""
    first = [label.partition(",")[0].strip() for label in labels]
    begin, whole = Counter(first), Counter(labels)
    return tuple(
        name if begin[name] == 1 else label if whole[label] == 1 else f"{label} {k}"
        for k, (name, label) in enumerate(zip(first, labels, strict=True))
    )

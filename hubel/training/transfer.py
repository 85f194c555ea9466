"""What a training begins with instead of fresh weights: public weights, or those of a run.

The network is built as those weights want it, and fed as they were; the last layer begins fresh where the classes are
not the same. A run's classes are matched by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubel import zoo
from hubel.data import Preprocess, Source
from hubel.errors import InputError
from hubel.run import Card, Network, Run, load

if TYPE_CHECKING:
    from torch import Tensor, nn

    from hubel.pretrained import Settled

# What suits weights that know something already: small steps, larger ones for the last layer.
LEARNING: Mapping[str, Any] = {
    "optimizer": "adamw", "lr": 3e-4, "head_lr": 10.0, "bias_lr": 1.0, "weight_decay": 0.05, "schedule": "cosine",
    "warmup": 0.1, "batch": 32, "epochs": 10, "clip": 1.0, "ema": 0.0,
}  # fmt: skip
# Where a front does not learn, pictures stay as they are, so that it need see each of them only once.
PARTLY: Mapping[str, Any] = {
    **LEARNING, "epochs": 20, "rotate": 0.0, "scale": 0.0, "shift": 0.0, "flip": False, "crop": 0,
    "multiscale": 0.0, "elastic": 0.0, "cutout": 0, "brightness": 0.0, "colour_pca": 0.0, "mirror": False,
}  # fmt: skip
# The last layer alone: a convex problem, which bears large steps (other layers without norms die of them).
HEAD: Mapping[str, Any] = {**PARTLY, "lr": 3e-3, "head_lr": 1.0, "epochs": 40}


@dataclass(frozen=True)
class Start:
    """Where a training begins. One of weights (as settled) and run; network, shape: that it asks for"""

    network: Network
    shape: tuple[int, ...]
    weights: Settled | None = None
    run: Run | None = None

    def preprocess(self, made: Preprocess, resize: str, normalize: bool | None) -> Preprocess:
        """`made` in the units of the weights. resize, normalize: as the user has them; theirs where auto and None"""
        theirs = self.run.preprocess if self.run else self.weights.preprocess(made.shape)  # type: ignore[union-attr]
        way = theirs.resize if resize == "auto" else made.resize
        mean, std = (theirs.mean, theirs.std) if normalize is None else ((), ())
        return replace(made, resize=way, mean=mean, std=std, columns=theirs.columns)

    @property
    def order(self) -> str:
        return self.run.card.order if self.run else self.weights.order  # type: ignore[union-attr]

    def put(self, network: nn.Module, card: Card) -> list[str]:
        """Copy the weights into `network`, which was built by `card` -> what became of them, in sentences."""
        return _of_run(network, card, self.run) if self.run else _public(network, self.weights)  # type: ignore[arg-type]


def _shape(settled: Settled, source: Source) -> tuple[int, ...]:
    """The input of known weights; of a file that nobody lists the paper's channels, in the size that suits the data."""
    if settled.known is not None:
        return settled.known.input
    entry = zoo.lookup(settled.network.name)
    return (entry.input[0], *entry.takes(source.shape)[1:])


def recipe_for(begin: Start | None, user: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings that suit such a start, by what the user freezes; none for fresh weights."""
    if begin is None:
        return {}
    alike = {"head_lr": 1.0} if user.get("engine") == "numpy" else {}  # there all layers learn alike
    frozen = "none" if user.get("unfreeze_at") else user.get("freeze", "none")
    return {**{"none": LEARNING, "backbone": HEAD}.get(str(frozen), PARTLY), **alike}


def start(
    source: Source, weights: str | Path | None, run: str | Path | None, network: str | None,
    arguments: Mapping[str, Any],
) -> Start | None:  # fmt: skip
    """Where the user wants to begin; None for fresh weights. InputError where the data or the network do not fit."""
    if weights is not None and run is not None:
        raise InputError("--weights and --from both say where to begin: leave one of them out")
    if weights is not None:
        if source.kind != "picture":
            raise InputError(f"public weights are for pictures, but {source.name} holds {source.kind}s")
        from hubel.pretrained import settle  # imports torch, which fresh weights need later

        settled = settle(weights, network, arguments)
        return Start(settled.network, _shape(settled, source), weights=settled)
    if run is None:
        return None
    found = load(run)
    if source.kind != found.preprocess.kind or source.task != found.task:
        raise InputError(
            f"{source.name} is to {source.task} {source.kind}s, but the run {run} was trained to {found.task} "
            f"{found.preprocess.kind}s"
        )
    if network is not None and network != found.network.name:
        raise InputError(f"the run {run} is of {found.network.name}, not of {network}: leave --network out")
    merged = Network(found.network.name, {**found.network.arguments, **arguments})
    return Start(merged, found.preprocess.shape, run=found)


def _public(network: nn.Module, settled: Settled) -> list[str]:
    from hubel.zoo.weights import load as put

    found = put(network, settled.said)
    names = f", {len(found.renamed)} of them under other names" if found.renamed else ""
    told = [f"{settled.said}: {len(found.loaded)} tensors loaded{names}"]
    if found.known is not None:
        told[0] += f"; {found.known.licence}"
    elif found.missing or found.left_out:
        told += [f"left out {name}: {why}" for name, why in [*found.left_out.items()][:5]]
    told += found.notes
    if found.missing and not any("begins fresh" in note for note in found.notes):
        told.append(f"not in the file, so begun fresh: {', '.join(found.missing)}")
    return told


def _of_run(network: nn.Module, card: Card, run: Run) -> list[str]:
    theirs, ours = run.model.network.state_dict(), network.state_dict()
    heads = _follow_classes(card)
    kept = {name: t for name, t in theirs.items() if name not in heads}
    strange = [n for n in kept if n not in ours or ours[n].shape != kept[n].shape] or sorted(
        ours.keys() - theirs.keys()
    )
    if strange:
        has, wanted = (tuple(s[strange[0]].shape) if strange[0] in s else "nothing" for s in (theirs, ours))
        raise InputError(
            f"the weights of the run {run.path} do not fit: {strange[0]} is {has} there and {wanted} here. "
            f"Leave --arg and --input as they were there"
        )
    order, why = _matched(card, run.card)
    if order is not None:
        kept |= {name: _ordered(theirs[name], order) for name in heads}
    network.load_state_dict({**ours, **kept})
    return [f"of the run {run.path}: {len(kept)} tensors", why]


def _follow_classes(card: Card) -> list[str]:
    """Names of the tensors whose size follows the count of outputs, along their first axis."""
    import torch

    with torch.device("meta"):
        one, other = (replace(card, outputs=card.outputs + more).build().state_dict() for more in (0, 1))
    return [name for name, tensor in one.items() if name not in other or other[name].shape != tensor.shape]


def _matched(ours: Card, theirs: Card) -> tuple[list[int] | None, str]:
    """Which of their outputs each of ours is, and a sentence; None where the last layer begins fresh."""
    if ours.task == "regress":
        same = ours.outputs == theirs.outputs
        return list(range(ours.outputs)) if same else None, _told(
            same, theirs.outputs, ours.outputs, "outputs"
        )
    if sorted(ours.classes) == sorted(theirs.classes):
        place = {name: k for k, name in enumerate(theirs.classes)}
        order = [place[name] for name in ours.classes]
        moved = "" if order == sorted(order) else ", matched by name"
        return order, f"the last layer goes on: the same {len(order)} classes{moved}"
    return None, _told(False, theirs.outputs, ours.outputs, "classes")


def _told(same: bool, theirs: int, ours: int, what: str) -> str:
    if same:
        return f"the last layer goes on: {ours} {what} there and here"
    other = "others" if theirs == ours else f"{theirs:,} there, {ours:,} here"
    return f"the last layer begins fresh: its {what} are not the same ({other})"


def _ordered(tensor: Tensor, order: Sequence[int]) -> Tensor:
    """The rows of a last layer in another order. One with fewer rows than classes (a single unit) stays as it is."""
    return tensor[list(order)] if len(tensor) == len(order) else tensor

"""Slow questions for a page: why, what would change the answer, what a class looks like. On a copy of the network."""

from __future__ import annotations

import base64
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from hubel import attacks
from hubel.errors import InputError
from hubel.explanation.inside import Inside, asking, classes_named
from hubel.explanation.methods import METHODS
from hubel.run import Run
from hubel.serving.opened.network import Looked, Opened, packed, told
from hubel.serving.samples import png

WAY = 21  # answers between the picture and its change, both included
STEPS = 120  # of a dream, where nothing else is said: about as far as the eye tells
LEVELS = 24  # sizes of change that are tried at once


@contextmanager
def working(opened: Opened, seed: int = 0) -> Iterator[Run]:
    """The copy for this thread alone, with what `asking` borrows. Over HTTP a Line lets in one at a time."""
    workshop = opened.workshop
    with workshop.lock, asking(workshop.run, seed):
        yield workshop.run


def explained(
    opened: Opened, looked: Looked, method: str, label: str | None, contrast: str | None, layer: str | None
) -> dict[str, Any]:
    """label: whose evidence, the answer's where None   contrast: rather than which   layer: of Grad-CAM

    heat is (H, W) float32 in units of the logit, of the picture's size. Raises InputError for a class against itself.
    """
    from hubel.explanation.attribution import attribute

    only_classes(opened.run)
    target = classes_named(opened.run, [label])[0] if label is not None else int(looked.logits.argmax())
    other = None if contrast is None else classes_named(opened.run, [contrast])[0]
    if other == target:
        name = opened.run.classes[target]
        whose = f"the answer is {name}" if label is None else f"the class is {name}"
        raise InputError(
            f"{whose}, and there is no evidence for it rather than for itself; contrast it with another class"
        )
    with working(opened) as run:
        found = attribute(run, looked.x, method, target, layer=layer, contrast=other)
    heat = found.heat[0]
    return {
        "method": method, "class": opened.run.classes[target], "layer": found.layer,
        "contrast": None if other is None else opened.run.classes[other],
        "heat": packed(heat if heat.ndim == 2 else heat[None], heat, exact=True),
        "sum": float(found.values[0].sum()), "output": float(found.output[0]),
    }  # fmt: skip


def methods(opened: Opened) -> list[str]:
    """Those that the network allows and that need nothing that is not installed."""
    if opened.run.task != "classify" or importlib.util.find_spec("captum") is None:
        return []
    known = [
        name for name in ("grad-cam", "integrated-gradients", "occlusion", "saliency") if name in METHODS
    ]
    return [name for name in known if name != "grad-cam" or Inside(opened.run).maps]


def changed(
    opened: Opened, looked: Looked, target: str | None, method: str | None = None, eps: float | None = None,
    steps: int = 40, seed: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """A change of the picture that changes the answer, and the answers on the way to it.

    target: the class that is wanted; None: any other than the answer
    method: None for the smallest change that is found: DeepFool's, or towards a target the smallest eps of LEVELS that
        PGD gets there with; fgsm, pgd and targeted change by `eps` at most
    """
    only_classes(opened.run)
    if opened.run.preprocess.kind != "picture":
        raise InputError(
            f"attacks change the pixels of a picture, and {opened.run.network.name} takes rows of numbers: "
            "ask a network that takes pictures"
        )
    answer = int(looked.logits.argmax())
    wanted = None if target is None else classes_named(opened.run, [target])[0]
    if wanted == answer:
        raise InputError(
            f"the network answers {opened.run.classes[answer]} already; name another class to change to"
        )
    x, label = torch.from_numpy(looked.x), torch.tensor([answer])
    with working(opened, seed) as run:
        model = run.model
        if method is not None:
            size = attacks.usual_eps(x.shape[1]) if eps is None else eps
            attack = attacks.Attack(method, eps=size, steps=steps, target=wanted, seed=seed)
            after = attacks.attacked(model, x, label, attack)
        elif wanted is None:
            after = attacks.deepfool(model, x, steps=steps)
        else:
            after = smallest(model, x, label, wanted, steps, seed, together=opened.small)
        way = torch.linspace(0, 1, WAY).view(-1, 1, 1, 1)
        with torch.no_grad():
            logits = model((x + way * (after - x)).clamp(0, 1)).numpy()
    moved = (after - x).numpy()[0]
    last = int(logits[-1].argmax())
    before, last_picture = looked.x[0], after.numpy()[0]
    return {
        "method": method or ("deepfool" if wanted is None else "targeted"),
        "before": packed(before, before, exact=True), "after": packed(last_picture, last_picture, exact=True),
        "largest": float(np.abs(moved).max()),
        "length": float(np.sqrt(np.square(moved).sum())),
        "changed": last == wanted if wanted is not None else last != answer,
        "way": [told(opened.run, row) for row in logits],
    }  # fmt: skip


def smallest(
    model: attacks.Model,
    x: torch.Tensor,
    label: torch.Tensor,
    wanted: int,
    steps: int,
    seed: int,
    *,
    together: bool,
) -> torch.Tensor:
    """Of changes of many sizes towards one class, the smallest that gets there; the largest if none does.

    together: all sizes are tried at once; else by halving, five of them, as if what does less never did more: for
    large networks, which would take minutes
    """
    sizes = torch.logspace(-9, 0, LEVELS, base=2.0)  # of the full scale
    attack = attacks.Attack("targeted", steps=steps, target=wanted, seed=seed)

    def tried(some: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        many = x.expand(len(some), *x.shape[1:]).clone()
        made = attacks.attacked(model, many, label.expand(len(some)), attack, some)
        with torch.no_grad():
            return made, model(made).argmax(1) == wanted

    if together:
        made, there = tried(sizes)
        first = int(there.nonzero()[0]) if there.any() else LEVELS - 1
        return made[first : first + 1]
    low, high, best = 0, LEVELS, x  # sizes below `low` fail; `high` gets there, or is beyond the last
    while low < high:
        middle = (low + high) // 2
        made, there = tried(sizes[middle : middle + 1])
        if there or high == LEVELS:
            best = made
        low, high = (low, middle) if there else (middle + 1, high)
    return best


def dreamt(
    opened: Opened, label: str | None, layer: str | None, number: int | None, steps: int, seed: int
) -> dict[str, Any]:
    """The picture that raises a class, or a map of a layer."""
    from hubel.explanation.dream import Dreaming, dream
    from hubel.explanation.objective import classes_of, layer_of

    if (label is None) == (layer is None):
        raise InputError("name what to dream of: a class, or a layer and one of its maps")
    target = (
        layer_of(opened.run, layer, number) if layer is not None else classes_of(opened.run, [str(label)])[0]
    )
    with working(opened, seed) as run:
        found = dream(run, target, Dreaming(steps=steps, seed=seed))
        with torch.no_grad():
            logits = run.model(torch.from_numpy(found.picture)[None])[0].numpy()
    picture = (found.picture.clip(0, 1) * 255).round().astype(np.uint8)
    shown, values = base64.b64encode(png(picture)).decode("ascii"), picture / np.float32(255)
    return {
        "of": found.target.name, "picture": shown, "pixels": packed(values, values, exact=True),
        "began": found.began, "value": found.value, "answer": told(opened.run, logits),
    }  # fmt: skip


def only_classes(run: Run) -> None:
    if run.task != "classify":
        raise InputError(
            f"{run.network.name} answers with numbers and has no classes: this question is about a class"
        )

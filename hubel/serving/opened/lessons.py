"""One picture as a lesson: the loss, its gradient at every map and kernel, and what steps of gradient descent change.

    L = -log softmax(z)_t        w <- w - lr dL/dw        (a regression: L = mean (z - t)^2)

The weights are copies that last for one answer: the list of steps comes with each question, and is taken anew from the
run's own weights. Batch norm keeps the statistics that training left, so that the network is the one that answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from hubel.errors import InputError
from hubel.explanation.inside import classes_named
from hubel.serving.opened.network import Looked, Opened, as_maps, packed, told

STEPS = 50  # in one lesson


def answered(
    opened: Opened, looked: Looked, label: str, steps: Sequence[float], maps: Sequence[str] = ()
) -> dict[str, Any]:
    """label: the true class, by name or number   steps: learning rates, one per step   maps: whose gradients are shown

    Gradients and norms are those after the last step; `next` is what one more step of each rate in RATES would do.
    """
    run = opened.run
    if run.task != "classify":
        raise InputError(
            f"{run.network.name} gives numbers, not classes: lessons are for networks that name a class"
        )
    if len(steps) > STEPS:
        raise InputError(f"a lesson has at most {STEPS} steps, got {len(steps)}")
    for rate in steps:
        if not 0 < rate <= 100:  # nor is NaN
            raise InputError(f"a learning rate lies above 0 and up to 100, got {rate:g}")
    for name in maps:
        opened.layer(name)
    (true,) = classes_named(run, [label])
    shown, giving = opened.names, opened.giving
    entered = run.model.normalized(torch.from_numpy(looked.x))
    weights = {name: p.detach().clone() for name, p in giving.named_parameters()}
    first = dict(weights)
    path = []
    for rate in steps:
        loss, logits, _, slopes = _backward(giving, weights, entered, true, ())
        path.append(_told(opened, loss, logits, true))
        weights = {name: w - rate * slopes[name] for name, w in weights.items()}
    loss, logits, values, slopes = _backward(giving, weights, entered, true, shown)
    path.append(_told(opened, loss, logits, true))
    return {
        "label": run.classes[true], "path": path,
        "layers": [_layer(name, values, weights, first, slopes, name in maps) for name in shown],
        "next": _next(giving, weights, slopes, entered, true),
    }  # fmt: skip


RATES = (0.001, 0.01, 0.1, 1.0)


def _backward(
    giving: torch.nn.Module, weights: Mapping[str, Tensor], entered: Tensor, true: int, shown: Sequence[str]
) -> tuple[float, np.ndarray, dict[str, tuple[Tensor, Tensor | None]], dict[str, Tensor]]:
    """Loss, logits (K,), (value, gradient) by layer, gradient by parameter; zeros where the loss does not depend."""
    leaves = {name: w.detach().requires_grad_() for name, w in weights.items()}
    with torch.enable_grad():
        logits, *found = functional_call(giving, leaves, (entered,))
        loss = F.cross_entropy(logits, torch.tensor([true]))
        asked = [v for v in found if v.requires_grad] if shown else []
        slopes = torch.autograd.grad(loss, [*leaves.values(), *asked], allow_unused=True)
    of_weights = {
        name: torch.zeros_like(w) if slope is None else slope
        for (name, w), slope in zip(leaves.items(), slopes, strict=False)
    }
    of_maps = iter(slopes[len(leaves) :])
    values = {
        name: (v.detach(), next(of_maps) if v.requires_grad else None)
        for name, v in zip(shown, found, strict=False)
    }
    return float(loss.detach()), logits.detach()[0].numpy(), values, of_weights


def _told(opened: Opened, loss: float, logits: np.ndarray, true: int) -> dict[str, Any]:
    answer = told(opened.run, logits)
    return {
        "loss": loss,
        "p": answer["probabilities"][true],
        **{k: answer[k] for k in ("class", "probabilities")},
    }


def _layer(
    name: str, values: Mapping[str, tuple[Tensor, Tensor | None]], weights: Mapping[str, Tensor],
    first: Mapping[str, Tensor], slopes: Mapping[str, Tensor], shown: bool,
) -> dict[str, Any]:  # fmt: skip
    """The length of the gradient at each map and of each kernel, and how far the kernels have moved."""
    value, slope = values[name]
    gradient = as_maps((torch.zeros_like(value) if slope is None else slope)[0].numpy())
    found: dict[str, Any] = {"name": name, "maps": _lengths(gradient)}
    if shown:
        found["gradient"] = packed(gradient, gradient)
        found["values"] = packed(as_maps(value[0].numpy()), value[0].numpy())
    own = f"{name}.weight"
    if own in weights:
        w = weights[own]
        found["kernels"] = _lengths(slopes[own].numpy())
        found["weight"] = float(w.norm())
        found["moved"] = float((w - first[own]).norm())
    return found


def _lengths(array: np.ndarray) -> list[float]:
    """Of each of the first axis: sqrt of the sum of squares."""
    return [float(v) for v in np.sqrt(np.square(array.reshape(len(array), -1).astype(np.float64)).sum(1))]


def _next(
    giving: torch.nn.Module, weights: Mapping[str, Tensor], slopes: Mapping[str, Tensor], entered: Tensor, true: int
) -> list[dict[str, float]]:  # fmt: skip
    """What one more step of each rate would come to."""
    made = []
    with torch.inference_mode():
        for rate in RATES:
            stepped = {name: w - rate * slopes[name] for name, w in weights.items()}
            logits = functional_call(giving, stepped, (entered,))[0]
            loss = float(F.cross_entropy(logits, torch.tensor([true])))
            made.append({"rate": rate, "loss": loss, "p": float(logits.softmax(1)[0, true])})
    return made

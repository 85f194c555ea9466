"""Cases of what a network learns by: losses, and optimizers over several steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim.adam import adam
from torch.optim.rmsprop import rmsprop
from torch.optim.sgd import sgd

from hubel.verification.case import Case, between, case, exactly, hot, normal, several, shares

CLIP = 1e-7

# Certain and wrong, certain and right, and near the bound on both sides.
SURE = exactly([[0.0, 1.0, 0.02], [0.3, 0.97, 0.06]])
OTHERS = exactly([[0.3, 0.6, 0.1], [0.2, 0.7, 0.1]])


def _binary(q: Tensor, t: Tensor, clip: float = CLIP) -> Tensor:
    """F.binary_cross_entropy bounds the logarithm, ours q as Keras does: so by its formula."""
    return -(t * q.clamp(min=clip).log() + (1 - t) * (1 - q).clamp(min=clip).log()).mean()


def _categorical(q: Tensor, t: Tensor, clip: float = CLIP) -> Tensor:
    return -(t * q.clamp(min=clip).log()).sum(1).mean()


def _labelled(smoothing: float) -> Callable[[Tensor, Tensor], Tensor]:
    """As training calls it: labels, and the smoothing inside."""
    return lambda z, t: F.cross_entropy(z, t.argmax(1), label_smoothing=smoothing)


LOSSES: dict[str, list[Case]] = {
    "mean_squared_error": [
        case("numbers", F.mse_loss, normal(4, 3), normal(4, 3)),
        case("more axes", F.mse_loss, normal(2, 3, 2), normal(2, 3, 2)),
    ],
    "binary_cross_entropy": [
        case("probabilities", _binary, between(0.01, 0.99, 4, 3), between(0, 1, 4, 3)),
        case("certain", partial(_binary, clip=0.05), SURE, OTHERS, clip=0.05),
    ],
    "binary_cross_entropy_with_logits": [
        case("logits", F.binary_cross_entropy_with_logits, normal(4, 3, deviation=3.0), between(0, 1, 4, 3)),
        case("far out", F.binary_cross_entropy_with_logits, normal(4, 3, deviation=300.0), hot(4, 3)),
    ],
    "cross_entropy": [
        case("shares", _categorical, shares(4, 3), shares(4, 3)),
        case("certain", partial(_categorical, clip=0.05), SURE, OTHERS, clip=0.05),
    ],
    "cross_entropy_with_logits": [
        case("shares", F.cross_entropy, normal(4, 3, deviation=3.0), shares(4, 3)),
        case("targets that do not add up to 1", F.cross_entropy, normal(4, 3), between(0, 1, 4, 3)),
        case("labels", _labelled(0.0), normal(4, 3, deviation=3.0), hot(4, 3), blind=(1,)),
        case("smoothed labels", _labelled(0.2), normal(4, 3, deviation=3.0), hot(4, 3, 0.2), blind=(1,)),
        case("far out", _labelled(0.0), normal(4, 3, deviation=300.0), hot(4, 3), blind=(1,)),
    ],
}


# An optimizer's case is a walk of several steps down f = sum a p^4 / 4, with the gradients a p^3, no two alike. Two
# parameters, so that what is remembered of one shows if it is used for the other.
STEPS = 4
BEGIN = several(normal(3, 2), normal(4))
STEEP = several(between(0.2, 1.2, 3, 2), between(0.2, 1.2, 4))

Update = Callable[[list[Tensor], list[Tensor], dict[str, Any]], None]


def _walk(update: Update, **settings: Any) -> Callable[..., tuple[Tensor, ...]]:
    """PyTorch's side: the update functions that training calls, in place on copies. memory: what they remember."""

    def fast(begin: tuple[Tensor, ...], steep: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        with torch.no_grad():
            parameters = [p.clone() for p in begin]
            zeros = [[torch.zeros_like(p) for p in parameters] for _ in range(2)]
            count = [torch.zeros(()) for _ in parameters]
            memory = {
                "velocity": [None] * len(parameters),
                "mean": zeros[0],
                "square": zeros[1],
                "count": count,
            }
            for _ in range(STEPS):
                gradients = [a * p**3 for a, p in zip(steep, parameters, strict=True)]
                update(parameters, gradients, memory | settings)
            return tuple(parameters)

    return fast


def _sgd(parameters: list[Tensor], gradients: list[Tensor], s: dict[str, Any]) -> None:
    sgd(
        parameters, gradients, s["velocity"], fused=True, weight_decay=s["decay"], lr=s["rate"],
        momentum=s.get("momentum", 0.0), dampening=0.0, nesterov=s["nesterov"], maximize=False,
    )  # fmt: skip


def _adam(parameters: list[Tensor], gradients: list[Tensor], s: dict[str, Any]) -> None:
    adam(
        parameters, gradients, s["mean"], s["square"], [], s["count"], fused=True, amsgrad=False, lr=s["rate"],
        beta1=s["beta1"], beta2=s["beta2"], eps=s["eps"], weight_decay=s["decay"], maximize=False,
        decoupled_weight_decay=s["apart"],
    )  # fmt: skip


def _rmsprop_of_pytorch(parameters: list[Tensor], gradients: list[Tensor], s: dict[str, Any]) -> None:
    rmsprop(
        parameters, gradients, s["square"], [], [], s["count"], foreach=False, lr=s["rate"], alpha=s["rho"],
        eps=s["eps"], weight_decay=s["decay"], momentum=0.0, centered=False,
    )  # fmt: skip


def _rmsprop(parameters: list[Tensor], gradients: list[Tensor], s: dict[str, Any]) -> None:
    """s <- rho s + (1 - rho) g^2;  p <- p - rate g / sqrt(s + eps), which PyTorch does not have."""
    for p, g, square in zip(parameters, gradients, s["square"], strict=True):
        g = g + s["decay"] * p
        square.mul_(s["rho"]).add_((1 - s["rho"]) * g**2)
        p.sub_(s["rate"] * g / (square + s["eps"]).sqrt())


def _steps(update: Update, ours: Mapping[str, Any], of: str = "", **theirs: Any) -> list[Case]:
    """ours: the definition's settings; theirs: what only PyTorch's function has to be told."""
    walks = []
    for what, decay in ((f"{STEPS} steps", 0.0), (f"{STEPS} steps with decay", 0.3)):
        settings = {**ours, "rate": 0.05, "decay": decay}
        walks.append(case(f"{what}{of}", _walk(update, **settings, **theirs), BEGIN, STEEP, **settings))
    return walks


OPTIMIZERS: dict[str, list[Case]] = {
    "gd": _steps(_sgd, {}, nesterov=False),
    "momentum": _steps(_sgd, {"momentum": 0.7}, nesterov=False),
    "nesterov": _steps(_sgd, {"momentum": 0.7}, nesterov=True),
    "rmsprop": [
        *_steps(_rmsprop, {"rho": 0.8, "eps": 1e-3}),
        *_steps(_rmsprop_of_pytorch, {"rho": 0.8, "eps": 1e-3, "under_root": False}, ", as in PyTorch"),
    ],
    "adam": _steps(_adam, {"beta1": 0.7, "beta2": 0.9, "eps": 1e-3}, apart=False),
    "adamw": _steps(_adam, {"beta1": 0.7, "beta2": 0.9, "eps": 1e-3}, apart=True),
}

CASES: dict[str, list[Case]] = LOSSES | OPTIMIZERS

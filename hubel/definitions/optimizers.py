"""Optimizers as pure steps: (parameters, gradients, state, settings) -> the parameters and the state after it.

Parameters and gradients are arrays by name; nothing is written to. A state begins as START, which stands for zeros.

    gd        p <- p - rate g                                     Cauchy 1847
    momentum  v <- m v + g;  p <- p - rate v                      Polyak 1964
    nesterov  v <- m v + g;  p <- p - rate (g + m v)              Nesterov 1983, as Sutskever et al. 2013
    rmsprop   s <- rho s + (1 - rho) g^2;  p <- p - rate g / sqrt(s + eps)       Tieleman and Hinton 2012, 6.5
    adam      momentum and rmsprop, each freed from its start at zero            Kingma and Ba 2015, algorithm 1
    adamw     adam, with the decay of the weights kept out of it                 Loshchilov and Hutter 2019

`decay` is weight decay: in all but adamw it adds decay * p to g (the slope of decay |p|^2 / 2).
Defaults are those of the papers, and PyTorch's where it has them; rmsprop's are Keras's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from hubel.definitions.errors import DefinitionError, ShapeError
from hubel.definitions.windows import Array

Arrays = Mapping[str, Array]


@dataclass(frozen=True)
class State:
    """What an optimizer remembers. steps: taken so far; first: of gradients (v, m); second: of their squares (s)."""

    steps: int = 0
    first: Arrays = field(default_factory=dict)
    second: Arrays = field(default_factory=dict)


START = State()  # nothing remembered yet


class Step(NamedTuple):
    """What one step gives."""

    parameters: dict[str, Array]
    state: State


def gd(
    parameters: Arrays, gradients: Arrays, state: State = START, *, rate: float = 0.01, decay: float = 0.0
) -> Step:
    """p <- p - rate g. Batch, stochastic or mini-batch descent: it is the caller who says of how many items g is."""
    g = _slopes(parameters, gradients, decay)
    return Step({n: p - rate * g[n] for n, p in parameters.items()}, State(state.steps + 1))


def momentum(
    parameters: Arrays,
    gradients: Arrays,
    state: State = START,
    *,
    rate: float = 0.01,
    momentum: float = 0.9,
    decay: float = 0.0,
) -> Step:
    """v <- m v + g;  p <- p - rate v. A steady gradient is walked along at rate / (1 - m)."""
    g = _slopes(parameters, gradients, decay)
    v = {n: momentum * state.first.get(n, 0) + g[n] for n in parameters}
    return Step({n: p - rate * v[n] for n, p in parameters.items()}, State(state.steps + 1, v))


def nesterov(
    parameters: Arrays,
    gradients: Arrays,
    state: State = START,
    *,
    rate: float = 0.01,
    momentum: float = 0.9,
    decay: float = 0.0,
) -> Step:
    """v <- m v + g;  p <- p - rate (g + m v): the gradient as it will be where the momentum is about to lead."""
    g = _slopes(parameters, gradients, decay)
    v = {n: momentum * state.first.get(n, 0) + g[n] for n in parameters}
    return Step(
        {n: p - rate * (g[n] + momentum * v[n]) for n, p in parameters.items()}, State(state.steps + 1, v)
    )


def rmsprop(
    parameters: Arrays,
    gradients: Arrays,
    state: State = START,
    *,
    rate: float = 0.01,
    rho: float = 0.9,
    eps: float = 1e-7,
    under_root: bool = True,
    decay: float = 0.0,
) -> Step:
    """s <- rho s + (1 - rho) g^2;  p <- p - rate g / sqrt(s + eps): steps of one size, whatever the gradient's.

    Under the root, as in TensorFlow, Keras and Hubel, eps holds back steps where gradients are below sqrt(eps).
    PyTorch adds it to the root, g / (sqrt(s) + eps): under_root=False.
    """
    g = _slopes(parameters, gradients, decay)
    s = {n: rho * state.second.get(n, 0) + (1 - rho) * np.square(g[n]) for n in parameters}
    root = {n: np.sqrt(v + eps) if under_root else np.sqrt(v) + eps for n, v in s.items()}
    return Step({n: p - rate * g[n] / root[n] for n, p in parameters.items()}, State(state.steps + 1, {}, s))


def adam(
    parameters: Arrays,
    gradients: Arrays,
    state: State = START,
    *,
    rate: float = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    decay: float = 0.0,
) -> Step:
    """m <- b1 m + (1 - b1) g;  s <- b2 s + (1 - b2) g^2;  p <- p - rate m^ / (sqrt(s^) + eps),
    with m^ = m / (1 - b1^t) and s^ = s / (1 - b2^t) at step t = 1, 2, ...: without it the first steps were too small.
    """
    g = _slopes(parameters, gradients, decay)
    t = state.steps + 1
    m = {n: beta1 * state.first.get(n, 0) + (1 - beta1) * g[n] for n in parameters}
    s = {n: beta2 * state.second.get(n, 0) + (1 - beta2) * np.square(g[n]) for n in parameters}
    after = {
        n: p - rate / (1 - beta1**t) * m[n] / (np.sqrt(s[n] / (1 - beta2**t)) + eps)
        for n, p in parameters.items()
    }
    return Step(after, State(t, m, s))


def adamw(
    parameters: Arrays,
    gradients: Arrays,
    state: State = START,
    *,
    rate: float = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    decay: float = 0.01,
) -> Step:
    """p <- (1 - rate decay) p, then a step of adam on the bare gradient."""
    smaller = {n: (1 - rate * decay) * p for n, p in parameters.items()}
    return adam(smaller, gradients, state, rate=rate, beta1=beta1, beta2=beta2, eps=eps)


OPTIMIZERS: dict[str, Callable[..., Step]] = {
    "gd": gd,
    "momentum": momentum,
    "nesterov": nesterov,
    "rmsprop": rmsprop,
    "adam": adam,
    "adamw": adamw,
}


def _slopes(parameters: Arrays, gradients: Arrays, decay: float) -> Arrays:
    """The gradients, decay added, after a look at names and shapes."""
    if parameters.keys() != gradients.keys():
        lone = sorted(parameters.keys() ^ gradients.keys())
        raise DefinitionError(
            f"parameters and gradients must have the same names; only one of them has {lone}"
        )
    for name, p in parameters.items():
        if p.shape != gradients[name].shape:
            raise ShapeError(
                f"parameter {name!r} is {p.shape}, its gradient {gradients[name].shape}: they must have one shape"
            )
    return {n: gradients[n] + decay * p for n, p in parameters.items()} if decay else gradients

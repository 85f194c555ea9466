"""One case: arrays for a definition, and the same computation in PyTorch. And the kinds of arrays that cases draw.

    case("no bias", F.conv2d, normal(2, 3, 7, 6), normal(4, 3, 3, 2), None, stride=2)

draws x and w, and compares conv2d(x, w, None, stride=2) with F.conv2d(x, w, None), to which stride has to be bound.
Settings are those of the definition. Floats are drawn as float64 and rounded to the precision that is asked for, so
that both sides see the same numbers; whole numbers and masks stay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hubel.definitions.windows import Array

Draw = Callable[
    [np.random.Generator], Any
]  # -> an array, or a tuple of arrays where an operation takes several as one


@dataclass(frozen=True)
class Case:
    """what: what this case is there for, in a few words; the name under which a mistake is told
    fast: PyTorch's side, called with one tensor for each array (None where there is none)
    draws: what the arrays are, in the definition's order
    settings: the definition's
    blind: places of arrays of which PyTorch's side gives no gradient, though the definition does
    """

    what: str
    fast: Callable[..., Any]
    draws: tuple[Draw | None, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    blind: tuple[int, ...] = ()


def case(
    what: str, fast: Callable[..., Any], *draws: Draw | None, blind: tuple[int, ...] = (), **settings: Any
) -> Case:
    """A case as its table writes it."""
    return Case(what, fast, draws, settings, blind)


def normal(*shape: int, deviation: float = 1.0, mean: float = 0.0) -> Draw:
    """Of both signs, no two alike."""
    return lambda rng: mean + deviation * rng.standard_normal(shape)


def between(low: float, high: float, *shape: int) -> Draw:
    """Even between two bounds: for what must be positive, or a probability."""
    return lambda rng: rng.uniform(low, high, shape)


def ties(*shape: int) -> Draw:
    """-2, -1 and 0 only: in every window several cells are the largest."""
    return lambda rng: rng.integers(-2, 1, shape).astype(float)


def whole(below: int, *shape: int) -> Draw:
    """Whole numbers 0 .. below - 1: words, labels, places. Some stand twice where there are more than `below`."""
    return lambda rng: rng.integers(0, below, shape)


def kept(share: float, *shape: int) -> Draw:
    """A mask for dropout: 1.0 with probability `share`, else 0.0."""
    return lambda rng: (rng.random(shape) < share).astype(float)


def shares(items: int, classes: int) -> Draw:
    """(N, K), each row positive and adding up to 1."""
    return lambda rng: rng.dirichlet(np.full(classes, 2.0), items)


def hot(items: int, classes: int, smoothing: float = 0.0) -> Draw:
    """(N, K) targets of random labels: 1 - e where the label is, and e / K everywhere besides."""

    def draw(rng: np.random.Generator) -> Array:
        return (1 - smoothing) * np.eye(classes)[rng.integers(0, classes, items)] + smoothing / classes

    return draw


def exactly(values: Any) -> Draw:
    """These values, whatever the seed."""
    return lambda _: np.array(values)


def several(*draws: Draw) -> Draw:
    """Arrays that an operation takes as one value."""
    return lambda rng: tuple(draw(rng) for draw in draws)

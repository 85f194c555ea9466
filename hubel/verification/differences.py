"""How far two arrays are apart: the one measure that `hubel verify` knows.

    error = max |got - wanted| / max |wanted|

Relative to the largest number of the array, and not number by number: where terms cancel, a cell that ends near 0
carries the rounding of terms that are not, and says nothing by its own size. A mistake of a formula shows all the same,
as it moves a cell by a share of what its neighbours are.

Gradients that belong together share a floor: max |wanted| counts as no less than a share of the largest of them all.
The gradient of a bias in front of a batch norm is 0 but for rounding, and has no digits that could agree; neither has
a gradient of one number whose terms happen to cancel.

What cannot be compared is infinitely far apart, with the reason in words: another shape, another dtype, NaN or
infinity, a gradient on one side only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from hubel.definitions.windows import Array


@dataclass(frozen=True)
class Difference:
    """error: as above; where: what is so far apart, in words ("gradient 1", "the value: float32, not float64")."""

    error: float = 0.0
    where: str = ""


@dataclass(frozen=True)
class Found:
    """How far one case is apart in one precision, "float64" or "float32".

    what: the case, in a few words; backward: None where no gradients were compared
    """

    what: str
    precision: str
    forward: Difference
    backward: Difference | None


def difference(where: str, got: Array | None, wanted: Array | None, floor: float = 0.0) -> Difference:
    """How far `got` (the definition's) is from `wanted` (PyTorch's). floor: the least that max |wanted| counts as."""
    if got is None or wanted is None:
        if got is wanted:
            return Difference()
        return Difference(
            math.inf, f"{where}: {'PyTorch' if got is None else 'the definition'} alone gives one"
        )
    if got.shape != wanted.shape:
        return Difference(math.inf, f"{where}: {got.shape}, PyTorch's is {wanted.shape}")
    if got.dtype != wanted.dtype:
        return Difference(math.inf, f"{where}: {got.dtype}, PyTorch's is {wanted.dtype}")
    if not (np.isfinite(got).all() and np.isfinite(wanted).all()):
        side = "PyTorch's" if np.isfinite(got).all() else "the definition's"
        return Difference(math.inf, f"{where}: {side} is not finite")
    apart, size = _size(np.subtract(got, wanted, dtype=float)), max(_size(wanted), floor)
    return Difference(0.0 if not apart else apart / size if size else math.inf, where)


def differences(
    where: Sequence[str], got: Sequence[Array | None], wanted: Sequence[Array | None], share: float
) -> list[Difference]:
    """The same for arrays that belong together, with their common floor: `share` of the largest number of them all."""
    floor = share * max((_size(array) for array in wanted if array is not None), default=0.0)
    return [difference(*each, floor) for each in zip(where, got, wanted, strict=True)]


def largest(found: Iterable[Difference]) -> Difference:
    """The one that is furthest apart; none of none."""
    return max(found, key=lambda each: each.error, default=Difference())


def _size(array: Array) -> float:
    return float(np.abs(array).max(initial=0))

"""Choosing: for each place, one number or the other. Two shapes that differ are broadcast as NumPy does.

What was chosen gets the gradient. Where both are the same neither was, and each convention is PyTorch's.
"""

from __future__ import annotations

import numpy as np

from hubel.definitions.arithmetic import meet, summed_to
from hubel.definitions.errors import DefinitionError
from hubel.definitions.windows import Array


def maximum(a: Array, b: Array) -> Array:
    """y = the larger of a and b, as in maxout (Goodfellow et al. 2013)."""
    meet("maximum", a, b)
    return np.maximum(a, b)


def maximum_backward(dy: Array, a: Array, b: Array) -> tuple[Array, Array]:
    """da = dy where a > b, db = dy where b > a; where they tie, half of dy to each."""
    return _shared(dy, a, b, np.greater)


def minimum(a: Array, b: Array) -> Array:
    """y = the smaller of a and b"""
    meet("minimum", a, b)
    return np.minimum(a, b)


def minimum_backward(dy: Array, a: Array, b: Array) -> tuple[Array, Array]:
    """da = dy where a < b, db = dy where b < a; where they tie, half of dy to each."""
    return _shared(dy, a, b, np.less)


def absolute(a: Array) -> Array:
    """y = |a|, the larger of a and -a"""
    return np.abs(a)


def absolute_backward(dy: Array, a: Array) -> tuple[Array]:
    """da = dy sign(a); at 0, where there is no derivative, 0."""
    return (dy * np.sign(a),)


def clip(a: Array, low: float | None = None, high: float | None = None) -> Array:
    """y = min(max(a, low), high); a side that is None has no limit."""
    _has_a_limit(low, high)
    return np.clip(a, low, high)


def clip_backward(dy: Array, a: Array, low: float | None = None, high: float | None = None) -> tuple[Array]:
    """da = dy where low <= a <= high, else 0: at a limit itself it is dy."""
    _has_a_limit(low, high)
    inside = (low is None or a >= low) & (high is None or a <= high)
    return (dy * inside,)


def where(mask: Array, a: Array, b: Array) -> Array:
    """y = a where the mask is true, else b."""
    meet("where", mask, a, b)
    return np.where(mask, a, b)


def where_backward(dy: Array, mask: Array, a: Array, b: Array) -> tuple[None, Array, Array]:
    """da = dy where the mask is true, db = dy where it is not. The mask is a choice, without a derivative: None."""
    return None, summed_to(np.where(mask, dy, 0), a), summed_to(np.where(mask, 0, dy), b)


def _shared(dy: Array, a: Array, b: Array, beats: np.ufunc) -> tuple[Array, Array]:
    """dy for each of the sides that the other does not beat: half of it where neither does."""
    half = np.where(np.equal(a, b), dy / 2, dy)
    return summed_to(half * ~beats(b, a), a), summed_to(half * ~beats(a, b), b)


def _has_a_limit(low: float | None, high: float | None) -> None:
    if low is None and high is None:
        raise DefinitionError("clip: low or high must be given")

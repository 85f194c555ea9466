"""Numbers as people write them on a command line: 0.03, or 8/255."""

from __future__ import annotations

import math

from hubel.errors import InputError


def amounts(option: str, text: str) -> list[float]:
    """ "0.1,8/255" -> [0.1, 0.0314]. Raises InputError where a piece is no number."""
    try:
        return [divided(piece) for piece in text.split(",")]
    except ValueError:
        raise InputError(
            f"{option} takes a number such as 0.03 or 8/255, or several with commas, got {text!r}"
        ) from None


def divided(text: str) -> float:
    """ "8/255" -> 0.0314. Raises ValueError where it is no number."""
    above, bar, below = str(text).partition("/")
    divisor = float(below) if bar else 1.0
    if divisor == 0 or not math.isfinite(divisor):
        raise ValueError(text)
    return float(above) / divisor

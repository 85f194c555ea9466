"""What a layer costs: its weights, and the multiplications for one input. Biases are counted apart.

fully connected     every unit has a weight for every input
locally connected   every unit has weights for a small field of inputs only
convolution         and all units of a map share them
"""

from __future__ import annotations

import math
from typing import NamedTuple

from hubel.definitions.errors import ShapeError
from hubel.definitions.windows import Padding, Pair, grid


class Cost(NamedTuple):
    """Numbers of a layer. outputs: how many numbers it makes of one input."""

    weights: int
    biases: int
    multiplications: int
    outputs: int


def linear_cost(inputs: int, outputs: int) -> Cost:
    """Fully connected: inputs * outputs weights, each used once."""
    return Cost(inputs * outputs, outputs, inputs * outputs, outputs)


def local_cost(outputs: int, *field: int) -> Cost:
    """Locally connected: each output has a field of its own, of U x V weights, each used once."""
    weights = outputs * math.prod(field)
    return Cost(weights, outputs, weights, outputs)


def conv2d_cost(
    x: tuple[int, int, int],
    w: tuple[int, int, int, int],
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Cost:
    """Shared: O C/G U V weights, each used once in all H' W' windows.   x: (C, H, W)   w: (O, C/G, U, V)"""
    (C, H, W), (O, C_w, U, V) = x, w
    if C_w * groups != C:
        raise ShapeError(f"conv2d_cost: x has {C} channels but w expects {C_w * groups} (x {x}, w {w})")
    places = math.prod(grid("conv2d_cost", (H, W), (U, V), stride, padding, dilation).out)
    return Cost(math.prod(w), O, math.prod(w) * places, O * places)

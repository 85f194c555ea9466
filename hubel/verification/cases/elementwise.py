"""Cases of arithmetic and activations, which act number by number; of matrix products and softmax, along an axis."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from hubel.verification.case import Case, between, case, exactly, normal

# Far from 0 in both directions, where e^x overflows or vanishes; and 0 itself, where ReLU has its corner.
EDGES = exactly([[-800.0, -30.0, -1.0], [0.0, 1.0, 800.0]])
# Both corners of ReLU6, and numbers on either side of them.
CORNERS = exactly([-1.0, 0.0, 0.5, 5.5, 6.0, 7.0])


def _both(fast: Callable[..., Any]) -> list[Case]:
    """Two shapes that broadcast against each other in all ways there are."""
    return [
        case("one shape", fast, normal(2, 3), between(0.3, 2, 2, 3)),
        case("a row and a column", fast, normal(4, 1), between(0.3, 2, 3)),
        case("an axis more", fast, normal(3, 1), between(0.3, 2, 2, 3, 4)),
        case("a number", fast, normal(2, 3), between(0.3, 2)),
    ]


def _alone(fast: Callable[..., Any]) -> list[Case]:
    return [case("both signs", fast, normal(2, 3, 4, deviation=3.0)), case("far out and at 0", fast, EDGES)]


def _hardsigmoid(x: Tensor) -> Tensor:
    """F.hardsigmoid's backward has 1/6 in float32, whatever the precision: in float64 it is off by 3e-8."""
    return F.hardsigmoid(x) if x.dtype == torch.float32 else F.relu6(x + 3) / 6


CASES: dict[str, list[Case]] = {
    "add": _both(torch.add),
    "subtract": _both(torch.sub),
    "multiply": _both(torch.mul),
    "divide": _both(torch.div),
    "power": [
        case("a square", partial(torch.pow, exponent=2), normal(2, 3), exponent=2),
        case("a broken exponent", partial(torch.pow, exponent=2.5), between(0.2, 2, 2, 3), exponent=2.5),
        case("one over", partial(torch.pow, exponent=-1), between(0.3, 2, 2, 3), exponent=-1),
        case("to the nought, of 0 too", lambda a: a**0, exactly([-1.5, 0.0, 2.0]), exponent=0),
    ],
    "exp": [case("both signs", torch.exp, normal(2, 3))],
    "log": [case("positive", torch.log, between(0.1, 3, 2, 3))],
    "sqrt": [case("positive", torch.sqrt, between(0.1, 3, 2, 3))],
    "matmul": [
        case("matrices", torch.matmul, normal(2, 3), normal(3, 4)),
        case("square", torch.matmul, normal(3, 3), normal(3, 3)),  # a transposed one still fits
        case("many, broadcast", torch.matmul, normal(2, 1, 3, 4), normal(5, 4, 2)),
        case("a vector behind", torch.matmul, normal(2, 3, 4), normal(4)),
        case("a vector ahead", torch.matmul, normal(3), normal(2, 3, 4)),
    ],
    "sigmoid": _alone(torch.sigmoid),
    "tanh": _alone(torch.tanh),
    "relu": _alone(torch.relu),
    "leaky_relu": [
        *_alone(F.leaky_relu),
        case("another slope", partial(F.leaky_relu, negative_slope=0.3), normal(2, 3), slope=0.3),
    ],
    "softmax": [
        case("the last axis", partial(torch.softmax, dim=-1), normal(2, 3, 4)),
        case("the channels", partial(torch.softmax, dim=1), normal(2, 3, 4), axis=1),
        case("far apart", partial(torch.softmax, dim=-1), EDGES),
    ],
    "log_softmax": [
        case("the last axis", partial(torch.log_softmax, dim=-1), normal(2, 3, 4)),
        case("the channels", partial(torch.log_softmax, dim=1), normal(2, 3, 4), axis=1),
        case("far apart", partial(torch.log_softmax, dim=-1), EDGES),
    ],
    "relu6": [
        case("on both sides of 6", F.relu6, normal(3, 5, deviation=6.0)),
        case("at the corners", F.relu6, CORNERS),
    ],
    "gelu": _alone(F.gelu),
    "gelu_tanh": [case("both signs", partial(F.gelu, approximate="tanh"), normal(2, 3, 4, deviation=2.0))],
    "silu": _alone(F.silu),
    "mish": _alone(F.mish),
    "softplus": [
        *_alone(F.softplus),
        case("steeper", partial(F.softplus, beta=2.5), normal(2, 3), beta=2.5),
    ],
    "elu": [
        *_alone(F.elu),
        case("another depth", partial(F.elu, alpha=0.4), normal(2, 3), alpha=0.4),
    ],
    "prelu": [
        case("a slope for each channel", F.prelu, normal(2, 3, 4, 5), normal(3)),
        case("one slope", F.prelu, normal(2, 3, 4), normal(1)),
        case("at 0", F.prelu, exactly([[-1.0, 0.0, 2.0]]), normal(3)),
    ],
    "hardsigmoid": [case("on both sides of 3", _hardsigmoid, normal(3, 5, deviation=3.0))],
    "hardswish": [case("on both sides of 3", F.hardswish, normal(3, 5, deviation=3.0))],
}

"""Cases of what acts number by number: arithmetic, activations; and of softmax, which acts along an axis."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.nn import functional as F

from hubel.verification.case import Case, between, case, exactly, normal
from hubel.zoo.lenet5 import ScaledTanh

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
    "sigmoid": _alone(torch.sigmoid),
    "tanh": _alone(torch.tanh),
    "relu": _alone(torch.relu),
    "leaky_relu": [
        *_alone(F.leaky_relu),
        case("another slope", partial(F.leaky_relu, negative_slope=0.3), normal(2, 3), slope=0.3),
    ],
    "relu6": [
        case("on both sides of 6", F.relu6, normal(3, 5, deviation=6.0)),
        case("at the corners", F.relu6, CORNERS),
    ],
    "gelu": _alone(F.gelu),
    "gelu_tanh": [case("both signs", partial(F.gelu, approximate="tanh"), normal(2, 3, 4, deviation=2.0))],
    "scaled_tanh": _alone(ScaledTanh()),
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
}

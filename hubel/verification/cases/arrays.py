"""Cases of what reduces, moves, joins and chooses: sums over axes, other shapes, one number of two."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hubel.verification.case import Case, case, exactly, normal, several, ties

TIES = exactly([[1.0, 3.0, 3.0], [3.0, -2.0, 3.0]])
EQUALS = exactly([[1.0, -3.0, 0.0], [2.0, -2.0, 5.0]])  # equal to TIES in two places


def _reduced(fast: Callable[..., Any], everywhere: Callable[..., Any]) -> list[Case]:
    """everywhere: PyTorch's side where no axes are said."""
    x = normal(2, 3, 4, 5, mean=1.0)  # a mean of 0 would be all rounding
    return [
        case("all axes", everywhere, x),
        case("one axis", partial(fast, dim=1), x, axes=1),
        case("pictures, from the end", partial(fast, dim=(2, 3)), x, axes=(-1, -2)),
        case("axes kept", partial(fast, dim=(0, 2), keepdim=True), x, axes=(0, 2), keepdims=True),
    ]


def _of_two(fast: Callable[..., Any]) -> list[Case]:
    return [
        case("one shape", fast, normal(2, 3), normal(2, 3)),
        case("a row and a column", fast, normal(4, 1), normal(3)),
        case("ties", fast, TIES, EQUALS),
    ]


def _taken(index: int) -> Any:
    """With the others times 0: of what is not used at all autograd says None, and the definition zeros."""
    return lambda values: values[index] + 0 * sum(v.sum() for v in values)


def _clipped(x: Tensor, low: float | None = None, high: float | None = None) -> Tensor:
    return torch.clamp(x, low, high)


LIMITS = exactly([-2.0, -1.5, -1.0, 0.0, 0.5, 0.7])  # -1 and 0.5 are the limits
KEYS: dict[str, Any] = {
    "a number": 1,
    "slices": (slice(None), slice(1, None, 2), slice(0, 2)),
    "the last axis, and a new one": (..., None, -1),
    "places, some twice": np.array([1, 0, 1, 1]),
    "places along two axes": (slice(None), np.array([2, 0, 2]), np.array([1, 3, 1])),
}
WIDTHS = (1, 2), (0, 3)  # rows before and after, columns before and after
IN_TORCH = (0, 3, 1, 2)  # the same in F.pad's order, from the last axis on

CASES: dict[str, list[Case]] = {
    "total": _reduced(torch.sum, torch.sum),
    "mean": _reduced(torch.mean, torch.mean),
    "variance": [
        *_reduced(partial(torch.var, correction=0), partial(torch.var, correction=0)),
        case("of a sample", partial(torch.var, dim=1, correction=1), normal(2, 5), axes=1, ddof=1),
    ],
    "largest": [
        *_reduced(torch.amax, torch.amax),
        case("ties", partial(torch.amax, dim=1), ties(5, 8), axes=1),
    ],
    "maximum": _of_two(torch.maximum),
    "minimum": _of_two(torch.minimum),
    "absolute": [
        case("both signs", torch.abs, normal(2, 3)),
        case("at 0", torch.abs, exactly([-1.0, 0.0, 2.0])),
    ],
    "clip": [
        case("both limits", partial(_clipped, low=-1.0, high=0.5), LIMITS, low=-1.0, high=0.5),
        case("from below", partial(_clipped, low=-1.0), LIMITS, low=-1.0),
        case("from above", partial(_clipped, high=0.5), normal(3, 4), high=0.5),
    ],
    "where": [
        case("one shape", torch.where, exactly([[True, False, True]]), normal(1, 3), normal(1, 3)),
        case("broadcast", torch.where, exactly([[True], [False]]), normal(3), normal(4, 2, 3)),
    ],
    "reshape": [
        case("another shape", partial(torch.reshape, shape=(4, 6)), normal(2, 3, 4), shape=(4, 6)),
        case("what is left over", partial(torch.reshape, shape=(2, -1)), normal(2, 3, 4), shape=(2, -1)),
    ],
    "transpose": [
        # A permutation that is not its own inverse.
        case("channels first", partial(torch.permute, dims=(0, 3, 1, 2)), normal(2, 3, 4, 5), axes=(0, 3, 1, 2)),
        case("from the end", partial(torch.permute, dims=(-1, 0, 1)), normal(2, 3, 4), axes=(-1, 0, 1)),
    ],
    "flip": [
        case("left and right", partial(torch.flip, dims=(3,)), normal(2, 3, 4, 5), axes=3),
        case("two axes", partial(torch.flip, dims=(0, -1)), normal(2, 3, 4), axes=(0, -1)),
    ],
    "select": [case(what, lambda x, key=key: x[key], normal(2, 3, 4), key=key) for what, key in KEYS.items()],
    "broadcast": [
        case("an axis of one", lambda x: x.expand(2, 3, 4), normal(2, 1, 4), shape=(2, 3, 4)),
        case("axes ahead", lambda x: x.expand(5, 2, 3), normal(3), shape=(5, 2, 3)),
    ],
    "pad": [
        case("a constant", partial(F.pad, pad=IN_TORCH, value=1.5), normal(4, 5), widths=WIDTHS, fill=1.5),
        *(
            case(
                mode, partial(F.pad, pad=IN_TORCH, mode=theirs), normal(2, 3, 4, 5),
                widths=((0, 0), (0, 0), *WIDTHS), mode=mode,
            )
            for mode, theirs in (("reflect", "reflect"), ("edge", "replicate"))
        ),
    ],
    "concatenate": [
        case("channels", lambda *a: torch.cat(a, 1), normal(2, 3, 2), normal(2, 1, 2), normal(2, 4, 2)),
        case("another axis", lambda *a: torch.cat(a, 0), normal(2, 3), normal(1, 3), axis=0),
        case("one part", lambda *a: torch.cat(a, 1), normal(2, 3)),
    ],
    "stack": [
        case("ahead", lambda *a: torch.stack(a), normal(2, 3), normal(2, 3), normal(2, 3)),
        case("behind", lambda *a: torch.stack(a, -1), normal(2, 3), normal(2, 3), axis=-1),
    ],
    "part": [
        case("the second", _taken(1), several(normal(2, 3), normal(4)), index=1),
        case("the last but two", _taken(-3), several(normal(2), normal(4), normal(3)), index=-3),
    ],
    "flatten": [
        case("maps", partial(torch.flatten, start_dim=1), normal(2, 3, 4, 5)),
        case("pictures", partial(torch.flatten, start_dim=2), normal(2, 3, 4, 5), start=2),
    ],
}  # fmt: skip

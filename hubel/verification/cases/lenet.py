"""Cases of the parts that LeNet-5 of 1998 alone has, against the zoo's own modules, with the case's weights in them."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from hubel.verification.case import Case, case, exactly, normal
from hubel.zoo.lenet5 import RBF, TABLE, PartialConv2d, ScaledTanh, Subsample

SMALL = ((0, 2), (1,), (0, 1, 2), (2, 1))  # a table not in order, and with rows that are not all alike


def _partial(table: Any, maps: int) -> Any:
    module = PartialConv2d(maps, table, 1)
    return lambda x, w, b: functional_call(module, {"weight": w, "bias": b}, (x,))


def _subsampled(x: Tensor, a: Tensor, b: Tensor) -> Any:
    return functional_call(Subsample(x.shape[1]), {"coefficient": a, "bias": b}, (x,))


def _thirds(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, divisor_override=1) * a[:, None, None] + b[:, None, None]


def _coded(x: Tensor, codes: Tensor) -> Any:
    return functional_call(RBF(len(codes)), {"codes": codes}, (x,))


CASES: dict[str, list[Case]] = {
    "partial_conv2d": [
        case("C3", _partial(TABLE, 6), normal(2, 6, 6, 7), normal(60, 3, 2), normal(16)),
        case(
            "another table", _partial(SMALL, 3), normal(2, 3, 6, 5), normal(8, 3, 2), normal(4), table=SMALL,
        ),
    ],
    "subsample": [
        case("halves", _subsampled, normal(2, 3, 6, 7), normal(3), normal(3)),
        case("thirds", _thirds, normal(2, 3, 6, 7), normal(3), normal(3), kernel=3),
    ],
    "scaled_tanh": [
        case("both signs", ScaledTanh(), normal(2, 3, 4, deviation=2.0)),
        case("far out and at 0", ScaledTanh(), exactly([-800.0, -30.0, 0.0, 800.0])),
    ],
    "rbf": [case("seven classes", _coded, normal(3, 5), normal(7, 5))],
}  # fmt: skip

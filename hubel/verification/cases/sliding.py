"""Cases of windows that slide: convolutions of all kinds, poolings; and pictures of another size.

Pictures are never square, nor are kernels unless they are 1x1 or a rule is about that; strides are there that do not
divide; paddings that differ from side to side.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch.nn import functional as F

from hubel.verification.case import Case, case, normal, ties

Shape = tuple[int, ...]

# what: x, w, settings
PICTURES: dict[str, tuple[Shape, Shape, dict[str, Any]]] = {
    "plain": ((2, 3, 7, 6), (4, 3, 3, 2), {}),
    "stride and padding": ((2, 3, 7, 6), (4, 3, 3, 2), {"stride": 2, "padding": 1}),
    "a stride that does not divide": ((1, 2, 4, 9), (5, 2, 4, 1), {"stride": 3}),
    "each axis its own": ((2, 2, 9, 8), (3, 2, 2, 3), {"stride": (3, 2), "padding": (1, 2)}),
    "dilation": ((1, 2, 9, 10), (3, 2, 3, 2), {"dilation": (2, 3), "stride": (1, 2), "padding": (2, 1)}),
    "two groups": ((2, 4, 6, 5), (6, 2, 3, 2), {"groups": 2, "padding": 1}),
    "each channel alone": ((2, 3, 6, 5), (6, 1, 3, 2), {"groups": 3, "dilation": (1, 2)}),
    "one by one": ((2, 5, 4, 3), (3, 5, 1, 1), {}),
    "as large as the picture": ((2, 3, 4, 5), (2, 3, 4, 5), {}),
    "padding wider than the kernel": ((1, 1, 3, 2), (2, 1, 2, 1), {"padding": (3, 2)}),
}
ROWS: dict[str, tuple[Shape, Shape, dict[str, Any]]] = {
    "plain": ((2, 3, 9), (4, 3, 4), {}),
    "all at once": ((2, 4, 11), (6, 2, 3), {"stride": 2, "padding": 3, "dilation": 2, "groups": 2}),
    "a stride that does not divide": ((1, 2, 10), (3, 2, 2), {"stride": 3}),
}
STAMPS: dict[str, tuple[Shape, Shape, dict[str, Any]]] = {
    "plain": ((2, 3, 4, 5), (3, 4, 3, 2), {}),
    "stride and padding": ((2, 3, 4, 5), (3, 2, 3, 4), {"stride": (2, 3), "padding": (1, 2)}),
    "more at the end": ((1, 2, 4, 3), (2, 3, 2, 3), {"stride": (3, 2), "output_padding": (2, 1)}),
    "dilation": ((1, 2, 4, 3), (2, 3, 3, 2), {"dilation": (2, 3), "stride": 2, "padding": 1}),
    "two groups": ((2, 4, 3, 4), (4, 3, 2, 3), {"groups": 2, "stride": 2}),
}
WINDOWS: dict[str, dict[str, Any]] = {  # settings by our names, on a picture of 7 x 10
    "halves": {"kernel": 2},
    "overlapping": {"kernel": 3, "stride": 2},
    "a rectangle, apart": {"kernel": (2, 1), "stride": (3, 4)},
    "padded": {"kernel": (3, 4), "stride": (2, 3), "padding": (1, 2)},
    "rounded up": {"kernel": 3, "stride": 2, "ceil": True},
    "rounded up and padded": {"kernel": (2, 3), "stride": 2, "padding": 1, "ceil": True},
    "no window begins beyond": {"kernel": (1, 2), "stride": (4, 7), "padding": (0, 1), "ceil": True},
}
UNEVEN: dict[str, Any] = {
    "kernel": 3,
    "stride": 2,
    "padding": ((0, 1), (1, 0)),
}  # (top, bottom), (left, right)
AROUND = (1, 0, 0, 1)  # the same in F.pad's order: left, right, top, bottom


def _named(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The same settings in PyTorch's words."""
    words = {"kernel": "kernel_size", "ceil": "ceil_mode", "count_padding": "count_include_pad"}
    return {words.get(k, k): v for k, v in settings.items()}


def _slid(fast: Any, table: Mapping[str, tuple[Shape, Shape, dict[str, Any]]]) -> list[Case]:
    """With a bias; the first once more without. Of a transposed convolution the maps stand second in w."""
    made = []
    for what, (x, w, settings) in table.items():
        maps = w[1] * settings.get("groups", 1) if table is STAMPS else w[0]
        made.append(case(what, partial(fast, **settings), normal(*x), normal(*w), normal(maps), **settings))
    x, w, _ = next(iter(table.values()))
    return [*made, case("no bias", fast, normal(*x), normal(*w), None)]


def _flipped(fast: Any) -> Any:
    """PyTorch's cross-correlation of the flipped kernel."""
    return lambda x, w, b, **s: fast(x, w.flip(tuple(range(2, w.ndim))), b, **s)


def _pooled(fast: Any, of: str = "", **more: Any) -> list[Case]:
    found = []
    for what, window in WINDOWS.items():
        settings = {**window, **more}
        found.append(case(f"{what}{of}", partial(fast, **_named(settings)), normal(2, 3, 7, 10), **settings))
    return found


def _max_pooled() -> list[Case]:
    below = normal(2, 3, 7, 10, mean=-9.0)  # all below 0, where zeros around would win
    apart: dict[str, Any] = {"kernel": (2, 3), "stride": (2, 1), "padding": 1, "dilation": (3, 2)}
    tied: dict[str, Any] = {"kernel": 3, "stride": 2, "padding": 1}
    around = partial(F.pad, pad=AROUND, value=-torch.inf)
    return [
        *_pooled(F.max_pool2d),
        case("all below 0", partial(F.max_pool2d, **_named(tied)), below, **tied),
        case("ties", partial(F.max_pool2d, **_named(tied)), ties(2, 3, 7, 10), **tied),
        case("dilation", partial(F.max_pool2d, **_named(apart)), normal(2, 3, 7, 10), **apart),
        case("each side its own", lambda x: F.max_pool2d(around(x), 3, 2), below, **UNEVEN),
    ]


def _sum_pooled() -> list[Case]:
    each = partial(F.avg_pool2d, divisor_override=1)
    return [case(c.what, partial(each, **_named(c.settings)), *c.draws, **c.settings) for c in _pooled(each)]


def _pooled_rows(fast: Any) -> list[Case]:
    windows = {
        "halves": {"kernel": 2},
        "overlapping": {"kernel": 3, "stride": 2, "padding": 1},
        "rounded up": {"kernel": 4, "stride": 3, "padding": 2, "ceil": True},
    }
    return [case(what, partial(fast, **_named(s)), normal(2, 3, 10), **s) for what, s in windows.items()]  # type: ignore[arg-type]


def _adaptive(fast: Any) -> list[Case]:
    outs = (
        1,
        (7, 10),
        (3, 4),
        (9, 5),
    )  # one part; every cell its own; parts that overlap; more parts than cells
    return [
        case(f"7 x 10 to {out}", partial(fast, output_size=out), normal(2, 3, 7, 10), out=out) for out in outs
    ]


def _resized(mode: str, **more: Any) -> list[Case]:
    """Twice as large, not a multiple, and smaller. more: align_corners, which both sides call so."""
    of = ", corners aligned" if more.get("align_corners") else ""
    return [
        case(
            f"4 x 5 to {size}{of}",
            partial(F.interpolate, size=size, mode=mode, **more),
            normal(2, 3, 4, 5),
            size=size,
            **more,
        )
        for size in ((8, 10), (7, 9), (3, 2))
    ]


CASES: dict[str, list[Case]] = {
    "conv2d": [
        *_slid(F.conv2d, PICTURES),
        case(
            "each side its own", lambda x, w, b: F.conv2d(F.pad(x, AROUND), w, b, 2),
            normal(2, 3, 7, 6), normal(4, 3, 3, 2), normal(4), stride=2, padding=UNEVEN["padding"],
        ),
    ],
    "conv1d": [
        *_slid(F.conv1d, ROWS),
        case(
            "each end its own", lambda x, w, b: F.conv1d(F.pad(x, (2, 1)), w, b),
            normal(2, 3, 9), normal(4, 3, 4), normal(4), padding=(2, 1),
        ),
    ],
    "convolve2d": _slid(_flipped(F.conv2d), PICTURES),
    "convolve1d": _slid(_flipped(F.conv1d), ROWS),
    "conv_transpose2d": _slid(F.conv_transpose2d, STAMPS),
    "max_pool2d": _max_pooled(),
    "avg_pool2d": [
        *_pooled(F.avg_pool2d),
        *_pooled(F.avg_pool2d, ", of the picture alone", count_padding=False),
        case("each side its own", lambda x: F.avg_pool2d(F.pad(x, AROUND), 3, 2), normal(2, 3, 7, 10), **UNEVEN),
    ],
    "sum_pool2d": _sum_pooled(),
    "max_pool1d": [
        *_pooled_rows(F.max_pool1d),
        case("ties", partial(F.max_pool1d, kernel_size=4), ties(2, 3, 10), kernel=4),
    ],
    "avg_pool1d": [
        *_pooled_rows(F.avg_pool1d),
        case(
            "of the row alone", partial(F.avg_pool1d, kernel_size=4, stride=3, padding=2, count_include_pad=False),
            normal(2, 3, 10), kernel=4, stride=3, padding=2, count_padding=False,
        ),
    ],
    "global_avg_pool2d": [case("a rectangle", partial(F.adaptive_avg_pool2d, output_size=1), normal(2, 3, 4, 7))],
    "adaptive_avg_pool2d": _adaptive(F.adaptive_avg_pool2d),
    "adaptive_max_pool2d": [
        *_adaptive(F.adaptive_max_pool2d),
        case("ties", partial(F.adaptive_max_pool2d, output_size=(3, 4)), ties(2, 3, 7, 10), out=(3, 4)),
    ],
    "max_over_time": [
        case("no two alike", lambda x: F.max_pool1d(x, 7)[:, :, 0], normal(2, 3, 7)),
        case("ties", lambda x: F.max_pool1d(x, 9)[:, :, 0], ties(4, 3, 9)),
    ],
    "upsample_nearest": _resized("nearest"),
    "upsample_bilinear": [*_resized("bilinear"), *_resized("bilinear", align_corners=True)],
}  # fmt: skip

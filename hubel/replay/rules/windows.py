"""Rules for what slides over a picture: convolutions, poolings, padding, enlarging. Signatures are PyTorch's."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hubel import definitions as d
from hubel.definitions import Node
from hubel.definitions.windows import span
from hubel.replay.rules.scope import Rule, Scope, undefined


def conv(definition: Callable[..., Any]) -> Rule:
    def rule(
        do: Scope, x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
        groups: int = 1,
    ) -> Node:  # fmt: skip
        w = do.node(weight)
        if definition is d.conv1d:
            stride, dilation = _one(stride), _one(dilation)
        kernel = w.value.shape[2:]
        ends = _ends(padding, kernel, dilation)
        return do(
            definition, x, w, bias, stride=_plain(stride), padding=ends[0] if len(kernel) == 1 else ends,
            dilation=_plain(dilation), groups=groups,
        )  # fmt: skip

    return rule


conv1d, conv2d = conv(d.conv1d), conv(d.conv2d)


def conv_module(rule: Rule) -> Rule:
    def of(do: Scope, m: Any, x: Node) -> Node:
        if m.padding_mode == "zeros":
            return rule(do, x, m.weight, m.bias, m.stride, m.padding, m.dilation, m.groups)
        ends = _ends(m.padding, m.kernel_size, m.dilation)
        mode = {"reflect": "reflect", "replicate": "edge"}.get(m.padding_mode)
        if mode is None:
            raise undefined(do.step, f"the padding {m.padding_mode}")
        x = do(d.pad, x, widths=((0, 0), (0, 0), *ends), mode=mode)
        return rule(do, x, m.weight, m.bias, m.stride, 0, m.dilation, m.groups)

    return of


def conv_transpose2d(
    do: Scope, x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
    groups: int = 1, dilation: Any = 1,
) -> Node:  # fmt: skip
    return do(
        d.conv_transpose2d, x, weight, bias, stride=_plain(stride), padding=_plain(padding),
        output_padding=_plain(output_padding), groups=groups, dilation=_plain(dilation),
    )  # fmt: skip


def max_pool(definition: Callable[..., Any]) -> Rule:
    def rule(
        do: Scope, x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
        ceil_mode: bool = False, return_indices: bool = False,
    ) -> Node:  # fmt: skip
        if return_indices:
            raise undefined(do.step, "max pooling that gives indices")
        plain = _one if definition is d.max_pool1d else _plain
        return do(
            definition, x, kernel=plain(kernel_size), stride=plain(stride) or plain(kernel_size),
            padding=plain(padding), dilation=plain(dilation), ceil=ceil_mode,
        )  # fmt: skip

    return rule


def avg_pool(definition: Callable[..., Any]) -> Rule:
    def rule(
        do: Scope, x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
        count_include_pad: bool = True, divisor_override: int | None = None,
    ) -> Node:  # fmt: skip
        plain = _one if definition is d.avg_pool1d else _plain
        kernel = plain(kernel_size)
        settings = {"stride": plain(stride) or kernel, "padding": plain(padding), "ceil": ceil_mode}
        if divisor_override:
            return do(d.divide, do(d.sum_pool2d, x, kernel=kernel, **settings), float(divisor_override))
        return do(definition, x, kernel=kernel, count_padding=count_include_pad, **settings)

    return rule


max_pool1d, max_pool2d = max_pool(d.max_pool1d), max_pool(d.max_pool2d)
avg_pool1d, avg_pool2d = avg_pool(d.avg_pool1d), avg_pool(d.avg_pool2d)


def adaptive(definition: Callable[..., Any]) -> Rule:
    def rule(do: Scope, x: Node, output_size: Any, return_indices: bool = False) -> Node:
        if return_indices:
            raise undefined(do.step, "max pooling that gives indices")
        wanted = output_size if isinstance(output_size, Sequence) else (output_size, output_size)
        out = tuple(n or size for n, size in zip(wanted, x.value.shape[2:], strict=True))
        return do(definition, x, out=out)

    return rule


adaptive_avg_pool2d, adaptive_max_pool2d = adaptive(d.adaptive_avg_pool2d), adaptive(d.adaptive_max_pool2d)


def pad(do: Scope, x: Node, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Node:
    """F.pad names the last axis first: (left, right, top, bottom). Below 0 it cuts."""
    known = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}
    if mode not in known:
        raise undefined(do.step, f"padding in the mode {mode}")
    ends = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)][::-1]
    ends = [(0, 0)] * (x.value.ndim - len(ends)) + ends
    if any(min(two) < 0 for two in ends):
        inside = (slice(max(0, -a), n - max(0, -b)) for (a, b), n in zip(ends, x.value.shape, strict=True))
        x = do(d.select, x, key=tuple(inside))
    widths = tuple((max(0, a), max(0, b)) for a, b in ends)
    return do(d.pad, x, widths=widths, mode=known[mode], fill=float(value or 0))


def upsample(
    do: Scope, x: Node, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: bool | None = None, recompute_scale_factor: Any = None, antialias: bool = False,
) -> Node:  # fmt: skip
    """PyTorch goes back from cell to cell by the factor where one is given, and the definitions by H / H'."""
    if mode not in ("nearest", "bilinear") or antialias:
        raise undefined(do.step, f"enlarging in the mode {mode}{', antialiased' * antialias}")
    H, W = x.value.shape[2:]
    if size is None:
        sh, sw = scale_factor if isinstance(scale_factor, Sequence) else (scale_factor, scale_factor)
        size = (math.floor(H * sh), math.floor(W * sw))
        whole = np.allclose(size, (H * sh, W * sw), rtol=1e-9, atol=0)
        if not (whole or recompute_scale_factor or align_corners):
            raise undefined(
                do.step, f"enlarging {H} x {W} cells by {scale_factor}, which gives no whole number,"
            )
    size = tuple(size) if isinstance(size, Sequence) else (size, size)
    if mode == "nearest":
        return do(d.upsample_nearest, x, size=size)
    return do(d.upsample_bilinear, x, size=size, align_corners=bool(align_corners))


def pixel_shuffle(do: Scope, x: Node, upscale_factor: int) -> Node:
    """(N, C r r, H, W) -> (N, C, H r, W r). Shi et al. 2016."""
    (N, C, H, W), r = x.value.shape, upscale_factor
    apart = do(d.reshape, x, shape=(N, C // (r * r), r, r, H, W))
    return do(
        d.reshape, do(d.transpose, apart, axes=(0, 1, 4, 2, 5, 3)), shape=(N, C // (r * r), H * r, W * r)
    )


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, Sequence) else value


def _one(value: Any) -> Any:
    """A setting of a one-dimensional layer: PyTorch keeps it as (3,)."""
    return value[0] if isinstance(value, Sequence) else value


def _ends(padding: Any, kernel: Sequence[int], dilation: Any) -> tuple[tuple[int, int], ...]:
    """(before, after) along each axis. "same" puts the odd cell after, as PyTorch does."""
    if padding == "valid":
        padding = 0
    many = len(kernel)
    dilations = dilation if isinstance(dilation, Sequence) else (dilation,) * many
    if padding == "same":
        whole = [span(U, apart) - 1 for U, apart in zip(kernel, dilations, strict=True)]
        return tuple((n // 2, n - n // 2) for n in whole)
    each = padding if isinstance(padding, Sequence) else (padding,) * many
    return tuple((p, p) for p in each)

"""Rules for plain arithmetic, over sizes as over arrays, and for sums over axes. Signatures are PyTorch's."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hubel import definitions as d
from hubel.definitions import Node
from hubel.replay.rules.moving import flat
from hubel.replay.rules.scope import Rule, Scope, undefined


def either(definition: Callable[..., Any], python: Callable[..., Any]) -> Rule:
    """A definition where one side is a node; Python's own arithmetic for sizes."""

    def rule(do: Scope, a: Any, b: Any, *, alpha: float = 1, rounding_mode: None = None) -> Any:
        if rounding_mode is not None:
            raise undefined(do.step, "division that rounds")
        b = do(d.multiply, b, alpha) if alpha != 1 else b
        return do(definition, a, b) if isinstance(a, Node) or isinstance(b, Node) else python(a, b)

    return rule


def swapped(rule: Rule) -> Rule:
    return lambda do, a, b: rule(do, b, a)


def floordiv(do: Scope, a: Any, b: Any) -> Any:
    if isinstance(a, Node) or isinstance(b, Node):
        raise undefined(do.step, "division that rounds")
    return a // b


def neg(do: Scope, x: Any) -> Any:
    return do(d.multiply, x, -1.0) if isinstance(x, Node) else -x


def power(do: Scope, x: Any, exponent: Any) -> Any:
    if isinstance(exponent, Node):
        raise undefined(do.step, "a power with an exponent that is computed")
    return do(d.power, x, exponent=exponent) if isinstance(x, Node) else x**exponent


def over_axes(definition: Callable[..., Any]) -> Rule:
    def rule(do: Scope, x: Node, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Node:  # noqa: ARG001
        axes = tuple(range(x.value.ndim)) if dim is None else flat((dim,))
        return do(definition, x, axes=axes, keepdims=keepdim)

    return rule


total, mean, amax = over_axes(d.total), over_axes(d.mean), over_axes(d.largest)


def var(
    do: Scope, x: Node, dim: Any = None, unbiased: bool = True, keepdim: bool = False, *, correction: int | None = None
) -> Node:  # fmt: skip
    axes = tuple(range(x.value.ndim)) if dim is None else flat((dim,))
    return do(
        d.variance, x, axes=axes, keepdims=keepdim, ddof=int(unbiased) if correction is None else correction
    )


def clamp(do: Scope, x: Any, min: Any = None, max: Any = None) -> Node:  # noqa: A002 - PyTorch's names
    return do(d.clip, x, low=-math.inf if min is None else min, high=math.inf if max is None else max)


def where(do: Scope, condition: Any, a: Any, b: Any) -> Node:
    return do(d.where, condition, a, b)


def compare(python: Callable[..., Any]) -> Rule:
    def rule(do: Scope, a: Any, b: Any) -> Any:  # noqa: ARG001
        a, b = (v.value if isinstance(v, Node) else v for v in (a, b))
        return python(a, b)

    return rule


def zeros_like(do: Scope, x: Node, **_: Any) -> Node:
    return do.tape.leaf(np.zeros_like(x.value), do.step)


def ones_like(do: Scope, x: Node, **_: Any) -> Node:
    return do.tape.leaf(np.ones_like(x.value), do.step)


def unchanged(do: Scope, x: Any, *_: Any, **__: Any) -> Any:  # noqa: ARG001
    return x


def detach(do: Scope, x: Node) -> Node:
    return do.tape.leaf(x.value, do.step)

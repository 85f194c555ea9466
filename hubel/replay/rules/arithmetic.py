"""Rules for plain arithmetic, over sizes as over arrays, and for sums over axes. Signatures are PyTorch's."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from hubel import definitions as d
from hubel.definitions import Node
from hubel.replay.rules.moving import flat
from hubel.replay.rules.scope import Rule, Scope, undefined


def either(definition: Callable[..., Any], python: Callable[..., Any]) -> Rule:
    """A definition where one side is a node; Python's own arithmetic for sizes."""

    def rule(do: Scope, a: Any, b: Any, *, alpha: float = 1) -> Any:
        if not isinstance(a, Node) and not isinstance(b, Node):
            return python(a, b * alpha if alpha != 1 else b)
        a, b = _beside(do, a, b), _beside(do, b, a)
        return do(definition, a, do(d.multiply, b, alpha) if alpha != 1 else b)

    return rule


def _beside(do: Scope, a: Any, b: Any) -> Any:
    """Whole numbers beside floats are floats of the network's dtype, as in PyTorch; NumPy would go to float64."""
    a, b = do.node(a), do.node(b)
    floats = isinstance(b, float) or (isinstance(b, Node) and np.issubdtype(b.value.dtype, np.floating))
    return do.constant(a.value.astype(do.floating)) if floats and _whole(a) else a


def _whole(value: Any) -> bool:
    return isinstance(value, Node) and value.value.dtype.kind in "biu"


def divide(do: Scope, a: Any, b: Any, *, rounding_mode: str | None = None) -> Any:
    """Whole numbers have a quotient that is not."""
    if rounding_mode is not None:
        raise undefined(do.step, "division that rounds")
    a, b = do.node(a), do.node(b)
    if _whole(a):
        a = do.constant(a.value.astype(do.floating))
    return either(d.divide, operator.truediv)(do, a, b)


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
    def rule(do: Scope, x: Node, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Node:
        x = x if dtype is None else cast(do, x, dtype)
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
    if any(limit is not None and not isinstance(limit, int | float) for limit in (min, max)):
        raise undefined(do.step, "clipping at limits that are arrays")
    return do(d.clip, x, low=min, high=max)


def where(do: Scope, condition: Any, a: Any, b: Any) -> Node:
    a, b = (np.asarray(v, do.floating) if isinstance(v, float) else v for v in (a, b))
    return do(d.where, condition, a, b)


def compare(python: Callable[..., Any]) -> Rule:
    """True and false, without a slope."""

    def rule(do: Scope, a: Any, b: Any) -> Any:
        values = [v.value if isinstance(v, Node) else v for v in map(do.node, (a, b))]
        found = python(*values)
        return do.constant(found) if isinstance(a, Node) or isinstance(b, Node) else found

    return rule


def cast(do: Scope, x: Any, *given: Any, **more: Any) -> Any:
    """Between floats nothing changes, as all floats of a replay have one dtype; whole numbers are cut off, not rounded.

    given: a dtype, an array that has one, a device (which NumPy has not), in any order.
    """
    wanted = [v for v in (*given, *more.values()) if isinstance(v, torch.dtype | np.dtype | Node)]
    if not wanted:
        return x
    dtype = wanted[0].value.dtype if isinstance(wanted[0], Node) else wanted[0]
    name, own = str(dtype).removeprefix("torch."), x.value.dtype
    if name in ("float32", "float64", np.dtype(do.floating).name):
        return x if own.kind == "f" else do.constant(x.value.astype(do.floating))
    if name not in ("int64", "int32", "bool"):
        raise undefined(do.step, f"a cast to {name}")
    return x if own.name == name else do.constant(x.value.astype(name))


def zeros_like(do: Scope, x: Node, *, dtype: Any = None, **_: Any) -> Node:
    made = do.constant(np.zeros_like(x.value))
    return made if dtype is None else cast(do, made, dtype)


def ones_like(do: Scope, x: Node, *, dtype: Any = None, **_: Any) -> Node:
    made = do.constant(np.ones_like(x.value))
    return made if dtype is None else cast(do, made, dtype)


def unchanged(do: Scope, x: Any, *_: Any, **__: Any) -> Any:  # noqa: ARG001
    return x


def detach(do: Scope, x: Node) -> Node:
    return do.constant(x.value)

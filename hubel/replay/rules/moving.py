"""Rules for what moves numbers about and changes none: views, selections, joining. Signatures are PyTorch's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import fx

from hubel import definitions as d
from hubel.definitions import Node
from hubel.replay.rules.scope import Scope, undefined


def flatten(do: Scope, x: Node, start_dim: int = 0, end_dim: int = -1) -> Node:
    shape = x.value.shape
    first, last = start_dim % len(shape), end_dim % len(shape)
    if first and last == len(shape) - 1:
        return do(d.flatten, x, start=first)
    return do(d.reshape, x, shape=(*shape[:first], -1, *shape[last + 1 :]))


def reshape(do: Scope, x: Any, *shape: Any) -> Node:
    return do(d.reshape, x, shape=flat(shape))


def permute(do: Scope, x: Any, *dims: Any) -> Node:
    axes = flat(dims)
    return do(d.transpose, x, axes=tuple(a % x.value.ndim for a in axes))


def transpose(do: Scope, x: Node, dim0: int, dim1: int) -> Node:
    axes = list(range(x.value.ndim))
    axes[dim0], axes[dim1] = axes[dim1], axes[dim0]
    return do(d.transpose, x, axes=tuple(axes))


def unsqueeze(do: Scope, x: Node, dim: int) -> Node:
    sizes = list(x.value.shape)
    sizes.insert(dim if dim >= 0 else len(sizes) + 1 + dim, 1)
    return do(d.reshape, x, shape=tuple(sizes))


def squeeze(do: Scope, x: Node, dim: int | Sequence[int] | None = None) -> Node:
    ndim = x.value.ndim
    gone = range(ndim) if dim is None else [axis % ndim for axis in flat((dim,))]
    return do(d.reshape, x, shape=tuple(n for i, n in enumerate(x.value.shape) if n != 1 or i not in gone))


def expand(do: Scope, x: Node, *sizes: Any) -> Node:
    wanted = flat(sizes)
    own = (1,) * (len(wanted) - x.value.ndim) + x.value.shape
    return do(d.broadcast, x, shape=tuple(m if n == -1 else n for n, m in zip(wanted, own, strict=True)))


def item(do: Scope, x: Any, key: Any) -> Any:
    """x[key]: of an array a selection, of a tuple or a shape an element."""
    if not isinstance(x, Node):
        return x[key]
    if isinstance(x.value, tuple):
        return do(d.part, x, index=key)
    return do(d.select, x, key=fx.node.map_aggregate(key, lambda k: k.value if isinstance(k, Node) else k))


def chunk(do: Scope, x: Node, chunks: int, dim: int = 0) -> tuple[Node, ...]:
    return split(do, x, -(-x.value.shape[dim] // chunks), dim)


def split(do: Scope, x: Node, split_size_or_sections: Any, dim: int = 0) -> tuple[Node, ...]:
    size, sections = x.value.shape[dim], split_size_or_sections
    counted = isinstance(sections, int)
    ends = list(range(sections, size, sections)) if counted else list(np.cumsum(sections)[:-1])
    ahead = (slice(None),) * (dim % x.value.ndim)
    return tuple(
        do(d.select, x, key=(*ahead, slice(a, b))) for a, b in zip([0, *ends], [*ends, size], strict=True)
    )


def concatenate(do: Scope, tensors: Sequence[Any], dim: int = 0) -> Node:
    return do(d.concatenate, *tensors, axis=dim)


def stack(do: Scope, tensors: Sequence[Any], dim: int = 0) -> Node:
    return do(d.stack, *tensors, axis=dim)


def flip(do: Scope, x: Any, *dims: Any) -> Node:
    return do(d.flip, x, axes=flat(dims))


def shape(do: Scope, x: Node, dim: int | None = None) -> Any:  # noqa: ARG001
    return x.value.shape if dim is None else x.value.shape[dim]


def attribute(do: Scope, x: Node, name: str) -> Any:
    if name in ("T", "mT"):
        return transpose(do, x, -2, -1)
    known = {"shape": x.value.shape, "ndim": x.value.ndim, "dtype": x.value.dtype, "device": None}
    if name not in known:
        raise undefined(do.step, f"the attribute {name}")
    return known[name]


def flat(given: tuple[Any, ...]) -> tuple[int, ...]:
    """view(2, -1) and view((2, -1)) alike."""
    return tuple(given[0]) if len(given) == 1 and isinstance(given[0], Sequence) else given

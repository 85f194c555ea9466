"""Rules for the other layers: normalisation, dropout, dense, attention, activations. Signatures are PyTorch's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hubel import definitions as d
from hubel.definitions import Node
from hubel.replay.rules.arithmetic import cast
from hubel.replay.rules.scope import Rule, Scope, undefined


def batch_norm(
    do: Scope, x: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None,
    training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Node:  # fmt: skip
    if not training and running_mean is not None:
        return do(d.batch_norm_inference, x, running_mean, running_var, weight, bias, eps=eps)
    if running_mean is not None:
        mean, variance = do.node(running_mean), do.node(running_var)
        moved = d.running_statistics(x.value, mean.value, variance.value, momentum)
        do.buffers[mean.name] = moved.mean.astype(mean.value.dtype)
        do.buffers[variance.name] = moved.variance.astype(variance.value.dtype)
    return do(d.batch_norm, x, weight, bias, eps=eps)


def batch_norm_module(do: Scope, m: Any, x: Node) -> Node:
    momentum, count = m.momentum, m.num_batches_tracked
    if do.training and count is not None:
        name = do.names[id(count)]
        do.buffers[name] = do.buffers[name] + 1
        momentum = (
            1 / float(do.buffers[name]) if momentum is None else momentum
        )  # None: the plain mean of all
    training = do.training or m.running_mean is None
    return batch_norm(do, x, m.running_mean, m.running_var, m.weight, m.bias, training, momentum, m.eps)


def instance_norm_module(do: Scope, m: Any, x: Node) -> Node:
    if m.track_running_stats:
        raise undefined(do.step, "instance norm with running statistics")
    return do(d.instance_norm, x, m.weight, m.bias, eps=m.eps)


def layer_norm(
    do: Scope, x: Any, normalized_shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Node:  # fmt: skip
    return do(d.layer_norm, x, weight, bias, axes=len(normalized_shape), eps=eps)


def rms_norm(
    do: Scope, x: Node, normalized_shape: Sequence[int], weight: Any = None, eps: float | None = None
) -> Node:
    small = float(np.finfo(x.value.dtype).eps) if eps is None else eps
    return do(d.rms_norm, x, weight, axes=len(normalized_shape), eps=small)


def group_norm(
    do: Scope, x: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Node:  # fmt: skip
    return do(d.group_norm, x, weight, bias, groups=num_groups, eps=eps)


def local_response_norm(
    do: Scope, x: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Node:
    return do(d.local_response_norm, x, size=size, alpha=alpha, beta=beta, k=k)


def dropout(do: Scope, x: Node, p: float = 0.5, training: bool = True, inplace: bool = False) -> Node:  # noqa: ARG001
    if not training or p == 0:
        return x
    return do(d.dropout, x, do.mask(x.value, p), p=p)


def dropout2d(do: Scope, x: Node, p: float = 0.5, training: bool = True, inplace: bool = False) -> Node:  # noqa: ARG001
    """Whole maps are dropped. Tompson et al. 2015."""
    if not training or p == 0:
        return x
    mask = do.mask(x.value[:, :, :1, :1], p)
    return do(d.dropout, x, np.broadcast_to(mask, x.value.shape), p=p)


def linear(do: Scope, x: Any, weight: Any, bias: Any = None) -> Node:
    return do(d.linear, x, weight, bias)


def embedding(
    do: Scope, ids: Any, weight: Any, padding_idx: int | None = None, max_norm: float | None = None,
    norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False,  # noqa: ARG001
) -> Node:  # fmt: skip
    """The word padding_idx has a vector that does not learn."""
    if max_norm is not None or scale_grad_by_freq:
        raise undefined(do.step, "an embedding with max_norm or scale_grad_by_freq")
    y = do(d.embedding, ids, weight)
    if padding_idx is None:
        return y
    ids, words = do.node(ids).value, len(do.node(weight).value)
    return do(d.where, (ids == padding_idx % words)[..., None], y.value, y)


def attention(
    do: Scope, q: Node, k: Node, v: Node, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
    scale: float | None = None, enable_gqa: bool = False,
) -> Node:  # fmt: skip
    if dropout_p or scale is not None or enable_gqa:
        raise undefined(do.step, "attention with dropout, a scale of its own or grouped queries")
    if is_causal:
        attn_mask = np.tril(np.ones((q.value.shape[-2], k.value.shape[-2]), bool))
    return do(d.scaled_dot_product_attention, q, k, v, attn_mask)


def each(definition: Callable[..., Any]) -> Rule:
    """A function of one array without settings; how PyTorch may write it (in place) changes no number."""
    return lambda do, x, inplace=False: do(definition, x)  # noqa: ARG005


relu, sigmoid, tanh, relu6 = map(each, (d.relu, d.sigmoid, d.tanh, d.relu6))
silu, mish, hardswish, hardsigmoid = map(each, (d.silu, d.mish, d.hardswish, d.hardsigmoid))
exp, log, sqrt, absolute = map(each, (d.exp, d.log, d.sqrt, d.absolute))


def leaky_relu(do: Scope, x: Any, negative_slope: float = 0.01, inplace: bool = False) -> Node:  # noqa: ARG001
    return do(d.leaky_relu, x, slope=negative_slope)


def elu(do: Scope, x: Any, alpha: float = 1.0, inplace: bool = False) -> Node:  # noqa: ARG001
    return do(d.elu, x, alpha=alpha)


def prelu(do: Scope, x: Any, weight: Any) -> Node:
    return do(d.prelu, x, weight)


def softplus(do: Scope, x: Any, beta: float = 1.0, threshold: float = 20.0) -> Node:
    """PyTorch writes x where beta x > threshold; from 20 on that is the same to 2e-9."""
    y = do(d.softplus, x, beta=beta)
    return y if threshold >= 20 else do(d.where, beta * x.value > threshold, x, y)


def gelu(do: Scope, x: Any, approximate: str = "none") -> Node:
    return do(d.gelu_tanh if approximate == "tanh" else d.gelu, x)


def hardtanh(do: Scope, x: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Node:  # noqa: ARG001
    """As clip, but at the limits themselves PyTorch has the slope 0, and 1 in clamp."""
    inside = (x.value > min_val) & (x.value < max_val)
    return do(d.where, inside, x, d.clip(x.value, min_val, max_val))


def softmax(definition: Callable[..., Any]) -> Rule:
    def rule(do: Scope, x: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Node:
        x = x if dtype is None else cast(do, x, dtype)
        first = x.value.ndim in (0, 1, 3)  # PyTorch's choice where none is said
        return do(definition, x, axis=(0 if first else 1) if dim is None else dim)

    return rule

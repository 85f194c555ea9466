"""The table: which nodes of ONNX (operator set 17 on) each layer, function and method of PyTorch is.

A rule takes the writer and the arguments that PyTorch would get, with Values where tensors stood that depend on the
input; of a layer, the layer first. To teach export a new layer: one rule, one line below.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from hubel.onnx.writer import N, Value, Writer
from hubel.zoo.trace import Step

Rule = Callable[..., Any]


def rule_of(w: Writer, step: Step) -> Rule:
    """The rule of a step; InputError naming it if there is none."""
    node, module = step.node, step.module
    if module is not None:
        if type(module) not in MODULES:
            raise w.undefined(f"there is no rule for the layer type {type(module).__name__}")
        rule = MODULES[type(module)]
        return lambda w, x: rule(w, module, x)
    rules: dict[Any, Rule] = METHODS if node.op == "call_method" else FUNCTIONS
    if node.target in rules:
        return rules[node.target]
    what = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", node.target)
    raise w.undefined(f"there is no rule for the {node.op.removeprefix('call_')} {what}")


# ---- windows


def conv2d(
    w: Writer, x: Value, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Value:  # fmt: skip
    kernel, dilation = tuple(weight.shape[2:]), _pair(dilation)
    if padding == "same":
        before = [d * (k - 1) // 2 for k, d in zip(kernel, dilation, strict=True)]
        after = [d * (k - 1) - b for k, d, b in zip(kernel, dilation, before, strict=True)]
    else:
        before = after = list((0, 0) if padding == "valid" else _pair(padding))
    return w.add(
        "Conv", x, weight, bias, kernel_shape=kernel, strides=_pair(stride), pads=[*before, *after], dilations=dilation,
        group=groups,
    )  # fmt: skip


def _sides(value: Value | Writer) -> tuple[int, int]:
    """H and W, which are known where only the batch axis is open."""
    _, _, H, W = value.shape
    return int(H), int(W)


def _pair(value: Any) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else tuple(value)


def _conv2d(w: Writer, m: nn.Conv2d, x: Value) -> Value:
    if m.padding_mode != "zeros":
        raise w.undefined(f"a convolution padded by {m.padding_mode!r}")
    return conv2d(w, x, m.weight, m.bias, m.stride, m.padding, m.dilation, m.groups)


def _reach(w: Writer, x: Value, kernel: Any, stride: Any, padding: Any, dilation: Any = 1) -> dict[str, Any]:
    """A pooling's settings. Behind the picture stands as much padding as its output needs, whichever way it rounded."""
    rows, before = (_pair(kernel), _pair(stride), _pair(dilation)), _pair(padding)
    after = [
        max(p, (cells - 1) * s + d * (k - 1) + 1 - size - p)
        for k, s, d, p, size, cells in zip(*rows, before, _sides(x), _sides(w), strict=True)
    ]
    return {"kernel_shape": rows[0], "strides": rows[1], "pads": [*before, *after]}


def _max_pool(w: Writer, m: nn.MaxPool2d, x: Value) -> Value:
    if m.return_indices:
        raise w.undefined("a maximum pooling that gives places")
    reach = _reach(w, x, m.kernel_size, m.stride, m.padding, m.dilation)
    return w.add("MaxPool", x, **reach, dilations=_pair(m.dilation))


def avg_pool2d(
    w: Writer, x: Value, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,  # noqa: ARG001
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Value:  # fmt: skip
    """Zeros that count are put there first; what a window that was rounded up reaches beyond them does not count."""
    if divisor_override is not None:
        raise w.undefined("a mean pooling with a divisor of its own")
    padding = _pair(padding)
    if count_include_pad and any(padding):
        sides = [size + 2 * p for size, p in zip(_sides(x), padding, strict=True)]
        x = Value(_padded(w, x, [0, 0, *padding, 0, 0, *padding]).name, (*x.shape[:2], *sides))
        padding = (0, 0)
    stride = kernel_size if stride is None else stride
    return w.add("AveragePool", x, **_reach(w, x, kernel_size, stride, padding), count_include_pad=0)


def _avg_pool(w: Writer, m: nn.AvgPool2d, x: Value) -> Value:
    return avg_pool2d(
        w, x, m.kernel_size, m.stride, m.padding, m.ceil_mode, m.count_include_pad, m.divisor_override
    )


def _adaptive_mean(w: Writer, _: nn.Module, x: Value) -> Value:
    """Each output cell is a mean of rows and columns: a matrix from the left, one from the right."""
    (H, W), (rows, columns) = _sides(x), _sides(w)
    if (rows, columns) == (1, 1):
        return w.add("GlobalAveragePool", x)
    return w.add("MatMul", w.add("MatMul", _means(rows, H), x), _means(columns, W).T)


def _means(cells: int, size: int) -> np.ndarray:
    """(cells, size): cell i is the mean of floor(i size / cells) up to ceil((i + 1) size / cells)."""
    made = np.zeros((cells, size), np.float32)
    for i in range(cells):
        begin, end = i * size // cells, -(-(i + 1) * size // cells)
        made[i, begin:end] = 1 / (end - begin)
    return made


def _adaptive_max(w: Writer, m: nn.AdaptiveMaxPool2d, x: Value) -> Value:
    sizes, cells = _sides(x), _sides(w)
    if cells == (1, 1):
        return w.add("GlobalMaxPool", x)
    if m.return_indices or any(size % cell for size, cell in zip(sizes, cells, strict=True)):
        raise w.undefined(f"an adaptive maximum pooling of {sizes} to {cells}, windows of several sizes")
    window = [size // cell for size, cell in zip(sizes, cells, strict=True)]
    return w.add("MaxPool", x, kernel_shape=window, strides=window)


def _zero_pad(w: Writer, m: nn.ZeroPad2d, x: Value) -> Value:
    left, right, top, bottom = m.padding
    return _padded(w, x, [0, 0, top, left, 0, 0, bottom, right])


def _padded(w: Writer, x: Value, around: Sequence[int]) -> Value:
    return w.add("Pad", x, np.array(around))


# ---- layers


def _linear(w: Writer, m: nn.Linear, x: Value) -> Value:
    if len(x.shape) == 2:
        return w.add("Gemm", x, m.weight, m.bias, transB=1)
    y = w.add("MatMul", x, w.add("Transpose", m.weight, perm=[1, 0]))
    return y if m.bias is None else w.add("Add", y, m.bias)


def _batch_norm(w: Writer, m: nn.BatchNorm2d, x: Value) -> Value:
    if m.running_mean is None or m.running_var is None:
        raise w.undefined("a batch norm that keeps no statistics")
    scale = torch.ones_like(m.running_mean) if m.weight is None else m.weight
    shift = torch.zeros_like(m.running_mean) if m.bias is None else m.bias
    return w.add("BatchNormalization", x, scale, shift, m.running_mean, m.running_var, epsilon=m.eps)


def _layer_norm(w: Writer, m: nn.LayerNorm, x: Value) -> Value:
    scale = torch.ones(m.normalized_shape) if m.weight is None else m.weight
    return w.add("LayerNormalization", x, scale, m.bias, axis=-len(m.normalized_shape), epsilon=m.eps)


def _local_response(w: Writer, m: nn.LocalResponseNorm, x: Value) -> Value:
    if m.size % 2 == 0:
        raise w.undefined(f"a local response norm over {m.size} maps: ONNX centres an even number otherwise")
    return w.add("LRN", x, size=m.size, alpha=float(m.alpha), beta=float(m.beta), bias=float(m.k))


def _gelu(w: Writer, x: Value, approximate: str = "none") -> Value:
    """x/2 (1 + erf(x / sqrt 2)); an operator of its own only from set 20 on."""
    if approximate != "none":
        raise w.undefined(f"a GELU approximated by {approximate}")
    share = w.add("Add", w.add("Erf", w.add("Mul", x, math.sqrt(0.5))), 1.0)
    return w.add("Mul", w.add("Mul", x, 0.5), share)


def _attention(w: Writer, q: Value, k: Value, v: Value) -> Value:
    """softmax(q k' / sqrt(E)) v  of (..., L, E) each."""
    axes = len(k.shape)
    turned = w.add("Transpose", k, perm=[*range(axes - 2), axes - 1, axes - 2])
    scores = w.add("Mul", w.add("MatMul", q, turned), 1 / math.sqrt(int(q.shape[-1])))
    return w.add("MatMul", w.add("Softmax", scores, axis=-1), v)


# ---- moving, adding


def _reshape(w: Writer, x: Value, *_: Any, **__: Any) -> Value:
    """flatten, view, unsqueeze: the numbers stay in order, and the output's shape is known."""
    return w.add("Reshape", x, np.array([-1 if size == N else size for size in w.shape]))


def _expand(w: Writer, x: Any, *_: Any) -> Value:
    sizes: list[Any] = [np.array([size]) for size in w.shape if size != N]
    if N in w.shape:
        count = w.add("Shape", w.values[w.steps[0].node], end=1, start=0)
        sizes.insert(w.shape.index(N), count)
    return w.add("Expand", x, w.add("Concat", *sizes, axis=0))


def _permute(w: Writer, x: Value, *axes: Any) -> Value:
    order = axes[0] if isinstance(axes[0], tuple | list) else axes
    return w.add("Transpose", x, perm=[axis % len(x.shape) for axis in order])


def _transpose(w: Writer, x: Value, a: int, b: int) -> Value:
    order = list(range(len(x.shape)))
    order[a], order[b] = order[b], order[a]
    return w.add("Transpose", x, perm=order)


def _cat(w: Writer, tensors: Sequence[Any], dim: int = 0) -> Value:
    return w.add("Concat", *tensors, axis=dim)


def _flip(w: Writer, x: Value, *dims: int) -> Value:
    least, ones = -(2**63) + 1, np.ones(len(dims), np.int64)  # backwards, to before the beginning
    return w.add("Slice", x, -ones, least * ones, np.array(dims), -ones)


def _select(w: Writer, x: Any, key: Any) -> Any:
    """x[key]: sizes of a shape; or of a Value: whole numbers, which take their axis away, and whole axes."""
    if not isinstance(x, Value):
        return x[key]
    axis = 0
    for place in key if isinstance(key, tuple) else (key,):
        if isinstance(place, int):
            indices = np.array([place])
            x = w.add("Squeeze", w.add("Gather", x, indices, axis=axis), np.array([axis]))
        elif place == slice(None):
            axis += 1
        else:
            raise w.undefined(f"an indexing by {place}")
    return x


def _sum(w: Writer, x: Value, dim: Any, keepdim: bool = False) -> Value:
    dims = dim if isinstance(dim, tuple | list) else [dim]
    return w.add("ReduceSum", x, np.array(dims), keepdims=int(keepdim))


def _attribute_of(w: Writer, x: Value, name: str) -> Any:
    if name != "shape":
        raise w.undefined(f"there is no rule for the attribute {name}")
    return x.shape


def _as(operation: str, **settings: Any) -> Rule:
    """The operator that does the same."""
    return lambda w, *inputs: w.add(operation, *inputs, **settings)


def _layer(operation: str, **attributes: str) -> Rule:
    """The operator that does what a layer does. attributes: ONNX's name = the layer's"""
    return lambda w, m, x: w.add(operation, x, **{name: getattr(m, its) for name, its in attributes.items()})


def _nothing(_: Writer, __: nn.Module, x: Value) -> Value:
    """What does nothing in use."""
    return x


MODULES: dict[type[nn.Module], Rule] = {
    nn.Conv2d: _conv2d, nn.MaxPool2d: _max_pool, nn.AvgPool2d: _avg_pool, nn.AdaptiveAvgPool2d: _adaptive_mean,
    nn.AdaptiveMaxPool2d: _adaptive_max, nn.ZeroPad2d: _zero_pad, nn.Linear: _linear, nn.BatchNorm2d: _batch_norm,
    nn.LayerNorm: _layer_norm, nn.LocalResponseNorm: _local_response, nn.ReLU: _layer("Relu"),
    nn.ReLU6: lambda w, _, x: w.add("Clip", x, 0.0, 6.0), nn.LeakyReLU: _layer("LeakyRelu", alpha="negative_slope"),
    nn.Sigmoid: _layer("Sigmoid"), nn.Tanh: _layer("Tanh"), nn.GELU: lambda w, m, x: _gelu(w, x, m.approximate),
    nn.SiLU: lambda w, _, x: w.add("Mul", x, w.add("Sigmoid", x)), nn.Flatten: lambda w, _, x: _reshape(w, x),
    nn.Dropout: _nothing, nn.Identity: _nothing,
}  # fmt: skip
FUNCTIONS: dict[Any, Rule] = {
    operator.add: _as("Add"), operator.sub: _as("Sub"), operator.mul: _as("Mul"), operator.truediv: _as("Div"),
    operator.neg: _as("Neg"), operator.getitem: _select, getattr: _attribute_of, torch.tanh: _as("Tanh"),
    torch.sigmoid: _as("Sigmoid"), torch.relu: _as("Relu"), F.relu: lambda w, x, inplace=False: w.add("Relu", x),  # noqa: ARG005
    F.gelu: _gelu, torch.cat: _cat, F.conv2d: conv2d, F.avg_pool2d: avg_pool2d,
    F.scaled_dot_product_attention: _attention,
}  # fmt: skip
METHODS: dict[str, Rule] = {
    "flatten": _reshape, "view": _reshape, "reshape": _reshape, "unsqueeze": _reshape, "expand": _expand,
    "permute": _permute, "transpose": _transpose, "flip": _flip, "sum": _sum,
    "square": lambda w, x: w.add("Mul", x, x), "relu": _as("Relu"), "sigmoid": _as("Sigmoid"), "tanh": _as("Tanh"),
}  # fmt: skip

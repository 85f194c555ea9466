"""The table: which definition each layer, function and method of PyTorch is.

A rule takes the scope of a run and the arguments that PyTorch would get, with nodes of the tape where tensors stood,
and calls definitions: do(conv2d, x, w, b, stride=2) is a node. To teach replay a new layer: one rule, one line below.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional as F

from hubel import definitions as d
from hubel.replay.rules import arithmetic, layers, moving, windows
from hubel.replay.rules.scope import Rule, undefined
from hubel.zoo.lenet5 import RBF, PartialConv2d, ScaledTanh, Subsample
from hubel.zoo.trace import Step


def rule_of(step: Step) -> Rule:
    """The rule of a step; InputError naming it if there is none."""
    node, module = step.node, step.module
    if module is not None:
        for kind in type(module).__mro__:
            if kind in MODULES and type(module).forward is kind.forward:
                rule = MODULES[kind]
                return lambda do, *inputs, **more: rule(do, module, *inputs, **more)
        raise undefined(step.name, f"the layer type {type(module).__name__}")
    if node.op == "call_method" and node.target in METHODS:
        return METHODS[str(node.target)]
    if node.op == "call_function" and node.target in FUNCTIONS:
        return FUNCTIONS[node.target]
    what = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", node.target)
    raise undefined(step.name, f"the {node.op.removeprefix('call_')} {what}")


def written_over(step: Step) -> fx.Node | None:
    """The value that a step changes in place, if it does."""
    node, arguments = step.node, [a for a in step.node.args if isinstance(a, fx.Node)]
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    ends = name.endswith("_") and not name.endswith("__") and step.module is None
    inplace = getattr(step.module, "inplace", False) or node.kwargs.get("inplace", False) or ends
    return arguments[0] if arguments and (inplace or node.target in AUGMENTED) else None


def looks_into(step: Step) -> bool:
    """Whether what a step gives may be a view of its first argument, so that to write to one changes the other."""
    return (step.module is None and step.node.target in VIEWS) or isinstance(step.module, nn.Flatten)


def copies(step: Step) -> bool:
    """Whether what a step gives has the numbers of its argument, and a memory of its own."""
    return step.node.target in ("clone", torch.clone)


def _with(rule: Rule, *attributes: str) -> Rule:
    """A layer as the function that it calls: its input, then these attributes of it."""
    return lambda do, m, x: rule(do, x, *(getattr(m, a) for a in attributes))


def _dropping(rule: Rule) -> Rule:
    return lambda do, m, x: rule(do, x, m.p, do.training)


def _padding(mode: str) -> Rule:
    return lambda do, m, x: windows.pad(do, x, m.padding, mode, getattr(m, "value", 0.0))


AUGMENTED = {
    operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ipow, operator.ifloordiv,
}  # fmt: skip
# "contiguous" and casts copy at times, and at times do not.
VIEWS = {
    torch.flatten, "flatten", torch.reshape, "view", "reshape", torch.permute, "permute", torch.transpose,
    torch.swapaxes, "transpose", "swapaxes", torch.t, "t", torch.unsqueeze, "unsqueeze", torch.squeeze, "squeeze",
    "expand", torch.broadcast_to, "broadcast_to", operator.getitem, torch.chunk, "chunk", torch.split, "split",
    getattr, "contiguous", "to", "float", "double", "type_as", "detach",
}  # fmt: skip

_POOL = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
_AVERAGE = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")

MODULES: dict[type[nn.Module], Rule] = {
    nn.Identity: lambda _do, _m, x: x,
    nn.Conv1d: windows.conv_module(windows.conv1d),
    nn.Conv2d: windows.conv_module(windows.conv2d),
    nn.ConvTranspose2d: _with(windows.conv_transpose2d, "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation"),
    nn.Linear: _with(layers.linear, "weight", "bias"),
    nn.Embedding: _with(layers.embedding, "weight", "padding_idx", "max_norm", "norm_type", "scale_grad_by_freq"),
    nn.MaxPool1d: _with(windows.max_pool1d, *_POOL),
    nn.MaxPool2d: _with(windows.max_pool2d, *_POOL),
    nn.AvgPool1d: _with(windows.avg_pool1d, *_AVERAGE),
    nn.AvgPool2d: _with(windows.avg_pool2d, *_AVERAGE, "divisor_override"),
    nn.AdaptiveAvgPool2d: _with(windows.adaptive_avg_pool2d, "output_size"),
    nn.AdaptiveMaxPool2d: _with(windows.adaptive_max_pool2d, "output_size", "return_indices"),
    nn.ZeroPad2d: _padding("constant"),
    nn.ConstantPad2d: _padding("constant"),
    nn.ReflectionPad2d: _padding("reflect"),
    nn.ReplicationPad2d: _padding("replicate"),
    nn.Upsample: _with(windows.upsample, "size", "scale_factor", "mode", "align_corners", "recompute_scale_factor"),
    nn.PixelShuffle: _with(windows.pixel_shuffle, "upscale_factor"),
    nn.BatchNorm1d: layers.batch_norm_module,
    nn.BatchNorm2d: layers.batch_norm_module,
    nn.InstanceNorm2d: layers.instance_norm_module,
    nn.LayerNorm: _with(layers.layer_norm, "normalized_shape", "weight", "bias", "eps"),
    nn.RMSNorm: _with(layers.rms_norm, "normalized_shape", "weight", "eps"),
    nn.GroupNorm: _with(layers.group_norm, "num_groups", "weight", "bias", "eps"),
    nn.LocalResponseNorm: _with(layers.local_response_norm, "size", "alpha", "beta", "k"),
    nn.Dropout: _dropping(layers.dropout),
    nn.Dropout2d: _dropping(layers.dropout2d),
    nn.ReLU: _with(layers.relu),
    nn.ReLU6: _with(layers.relu6),
    nn.LeakyReLU: _with(layers.leaky_relu, "negative_slope"),
    nn.PReLU: _with(layers.prelu, "weight"),
    nn.ELU: _with(layers.elu, "alpha"),
    nn.SiLU: _with(layers.silu),
    nn.Mish: _with(layers.mish),
    nn.GELU: _with(layers.gelu, "approximate"),
    nn.Hardswish: _with(layers.hardswish),
    nn.Hardsigmoid: _with(layers.hardsigmoid),
    nn.Hardtanh: _with(layers.hardtanh, "min_val", "max_val"),
    nn.Softplus: _with(layers.softplus, "beta", "threshold"),
    nn.Sigmoid: _with(layers.sigmoid),
    nn.Tanh: _with(layers.tanh),
    nn.Softmax: _with(layers.softmax(d.softmax), "dim"),
    nn.LogSoftmax: _with(layers.softmax(d.log_softmax), "dim"),
    nn.Flatten: _with(moving.flatten, "start_dim", "end_dim"),
    # Layers of our own zoo that a definition says whole.
    ScaledTanh: lambda do, _, x: do(d.scaled_tanh, x),
    Subsample: lambda do, m, x: do(d.subsample, x, m.coefficient, m.bias),
    PartialConv2d: lambda do, m, x: do(d.partial_conv2d, x, m.weight, m.bias, table=m.table),
    RBF: lambda do, m, x: do(d.rbf, x, m.codes),
}  # fmt: skip

# A rule, and all that PyTorch calls it: functions, and methods by name.
_CALLED: list[tuple[Rule, tuple[Any, ...]]] = [
    (windows.conv1d, (F.conv1d, torch.conv1d)),
    (windows.conv2d, (F.conv2d, torch.conv2d)),
    (windows.conv_transpose2d, (F.conv_transpose2d, torch.conv_transpose2d)),
    (layers.linear, (F.linear,)),
    (layers.embedding, (F.embedding,)),
    (windows.max_pool1d, (F.max_pool1d,)),
    (windows.max_pool2d, (F.max_pool2d, torch.max_pool2d)),
    (windows.avg_pool1d, (F.avg_pool1d,)),
    (windows.avg_pool2d, (F.avg_pool2d,)),
    (windows.adaptive_avg_pool2d, (F.adaptive_avg_pool2d,)),
    (windows.adaptive_max_pool2d, (F.adaptive_max_pool2d,)),
    (windows.pad, (F.pad,)),
    (windows.upsample, (F.interpolate,)),
    (windows.pixel_shuffle, (F.pixel_shuffle, torch.pixel_shuffle)),
    (layers.batch_norm, (F.batch_norm,)),
    (layers.layer_norm, (F.layer_norm,)),
    (layers.group_norm, (F.group_norm,)),
    (layers.local_response_norm, (F.local_response_norm,)),
    (layers.dropout, (F.dropout, torch.dropout)),
    (layers.dropout2d, (F.dropout2d,)),
    (layers.attention, (F.scaled_dot_product_attention,)),
    (layers.relu, (F.relu, F.relu_, torch.relu, torch.relu_, "relu", "relu_")),
    (layers.relu6, (F.relu6,)),
    (layers.leaky_relu, (F.leaky_relu,)),
    (layers.elu, (F.elu,)),
    (layers.prelu, (F.prelu,)),
    (layers.silu, (F.silu,)),
    (layers.mish, (F.mish,)),
    (layers.gelu, (F.gelu,)),
    (layers.hardswish, (F.hardswish,)),
    (layers.hardsigmoid, (F.hardsigmoid,)),
    (layers.hardtanh, (F.hardtanh,)),
    (layers.softplus, (F.softplus,)),
    (layers.sigmoid, (F.sigmoid, torch.sigmoid, "sigmoid", "sigmoid_")),
    (layers.tanh, (F.tanh, torch.tanh, "tanh", "tanh_")),
    (layers.softmax(d.softmax), (F.softmax, torch.softmax, "softmax")),
    (layers.softmax(d.log_softmax), (F.log_softmax, torch.log_softmax, "log_softmax")),
    (arithmetic.either(d.add, operator.add), (operator.add, operator.iadd, torch.add, "add", "add_")),
    (arithmetic.either(d.subtract, operator.sub), (operator.sub, operator.isub, torch.sub, torch.subtract, "sub", "sub_")),
    (arithmetic.swapped(arithmetic.either(d.subtract, operator.sub)), (torch.rsub,)),
    (arithmetic.either(d.multiply, operator.mul), (operator.mul, operator.imul, torch.mul, torch.multiply, "mul", "mul_")),
    (arithmetic.divide, (operator.truediv, operator.itruediv, torch.div, torch.divide, torch.true_divide, "div", "div_")),
    (arithmetic.either(d.matmul, operator.matmul), (operator.matmul, torch.matmul, torch.bmm, torch.mm, "matmul", "bmm", "mm")),
    (arithmetic.either(d.maximum, max), (torch.maximum, "maximum")),
    (arithmetic.either(d.minimum, min), (torch.minimum, "minimum")),
    (arithmetic.floordiv, (operator.floordiv, operator.ifloordiv)),
    (arithmetic.neg, (operator.neg, torch.neg, "neg")),
    (arithmetic.power, (operator.pow, operator.ipow, torch.pow, "pow")),
    (lambda do, x: do(d.power, x, exponent=2), (torch.square, "square")),
    (layers.exp, (torch.exp, "exp")),
    (layers.log, (torch.log, "log")),
    (layers.sqrt, (torch.sqrt, "sqrt")),
    (layers.absolute, (torch.abs, operator.abs, abs, "abs")),
    (arithmetic.total, (torch.sum, "sum")),
    (arithmetic.mean, (torch.mean, "mean")),
    (arithmetic.amax, (torch.amax, "amax")),
    (arithmetic.var, (torch.var, "var")),
    (arithmetic.clamp, (torch.clamp, torch.clip, "clamp", "clamp_", "clip")),
    (arithmetic.where, (torch.where,)),
    (moving.flatten, (torch.flatten, "flatten")),
    (moving.reshape, (torch.reshape, "view", "reshape")),
    (moving.permute, (torch.permute, "permute")),
    (moving.transpose, (torch.transpose, torch.swapaxes, "transpose", "swapaxes")),
    (lambda do, x: moving.transpose(do, x, 0, 1), (torch.t, "t")),
    (moving.unsqueeze, (torch.unsqueeze, "unsqueeze")),
    (moving.squeeze, (torch.squeeze, "squeeze")),
    (moving.expand, ("expand", torch.broadcast_to, "broadcast_to")),
    (moving.item, (operator.getitem,)),
    (moving.chunk, (torch.chunk, "chunk")),
    (moving.split, (torch.split, "split")),
    (moving.concatenate, (torch.cat, torch.concat, torch.concatenate)),
    (moving.stack, (torch.stack,)),
    (moving.flip, (torch.flip, "flip")),
    (moving.shape, ("size",)),
    (lambda _, x: x.value.ndim, ("dim",)),
    (moving.attribute, (getattr,)),
    (arithmetic.zeros_like, (torch.zeros_like,)),
    (arithmetic.ones_like, (torch.ones_like,)),
    (arithmetic.unchanged, ("contiguous", "clone", torch.clone)),
    (arithmetic.cast, ("to", "type_as")),
    (lambda do, x: arithmetic.cast(do, x, torch.float32), ("float",)),
    (lambda do, x: arithmetic.cast(do, x, torch.float64), ("double",)),
    (lambda do, x: arithmetic.cast(do, x, torch.int64), ("long",)),
    (lambda do, x: arithmetic.cast(do, x, torch.int32), ("int",)),
    (lambda do, x: arithmetic.cast(do, x, torch.bool), ("bool",)),
    (arithmetic.detach, ("detach",)),
    *((arithmetic.compare(f), (f,)) for f in (operator.gt, operator.ge, operator.lt, operator.le, operator.eq, operator.ne)),
]  # fmt: skip

FUNCTIONS: dict[Any, Rule] = {f: rule for rule, called in _CALLED for f in called if not isinstance(f, str)}
METHODS: dict[str, Rule] = {f: rule for rule, called in _CALLED for f in called if isinstance(f, str)}

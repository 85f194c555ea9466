"""Whether an ONNX file is one that `hubel export` could have written; asked before ONNX Runtime sees it.

The runtime itself folds constants, calls what functions a file defines and reads what other files it names. So a file
may have only the operations that our rules write, with its numbers inside, one input and one output; and no map of one
item may be larger than MOST numbers, as far as the shapes can be told, which they must be.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubel.data.pictures import printable
from hubel.errors import ArtifactError, MissingExtra

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

OPERATIONS = frozenset((
    "Add", "AveragePool", "BatchNormalization", "Clip", "Concat", "Conv", "Div", "Erf", "Expand", "Gather", "Gemm",
    "GlobalAveragePool", "GlobalMaxPool", "Identity", "LRN", "LayerNormalization", "LeakyRelu", "MatMul", "MaxPool",
    "Mul", "Neg", "Pad", "ReduceSum", "Relu", "Reshape", "Shape", "Sigmoid", "Slice", "Softmax", "Squeeze", "Sub",
    "Tanh", "Transpose",
))  # fmt: skip
MOST = 1 << 28  # numbers of one map of one item: 1 GB
WORK = 10**12  # multiply-adds of one item; the largest networks of the zoo take a fiftieth
NODES, SETTING = 20_000, 1 << 16  # steps; whole numbers among their settings


def check(content: bytes, path: Path) -> None:
    """Raises ArtifactError for any other file."""
    try:
        from onnx import ModelProto
        from onnx import shape_inference as shapes
    except ImportError as e:
        raise MissingExtra("onnx", "onnx", "answering by an ONNX file") from e
    try:
        model = ModelProto.FromString(content)
    except Exception as e:  # protobuf's error has no public base
        raise refused(path, f"it is no ONNX file, or damaged ({printable(str(e))[:100]})") from e
    for reason in reasons(model):
        raise refused(path, reason)
    # Asked of one item; what the file itself says of its maps is not believed.
    del model.graph.value_info[:]
    model.graph.output[0].type.tensor_type.ClearField("shape")
    shape = model.graph.input[0].type.tensor_type.shape.dim
    if shape:
        shape[0].dim_value = 1
    try:
        told = shapes.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True).graph
    except Exception as e:  # its errors have no base of their own
        first = str(e).partition("\n")[0].rpartition("Error] ")[2]
        raise refused(path, f"its shapes do not fit together ({printable(first)[:120]})") from e
    for reason in too_large(told):
        raise refused(path, reason)


def refused(path: Path, reason: str) -> ArtifactError:
    return ArtifactError(
        f"{path} is not a file that `hubel export` wrote, and others are not run: {reason}. Export the run again"
    )


def reasons(model: ModelProto) -> Iterator[str]:
    """What such a file does not have."""
    graph = model.graph
    if model.functions or model.training_info or any(used.domain for used in model.opset_import):
        yield "it brings operations of its own"
    if graph.sparse_initializer:
        yield "it has sparse numbers"
    if len(graph.node) > NODES:
        yield f"it has {len(graph.node):,} steps"
    if len(graph.input) != 1 or len(graph.output) != 1:
        yield f"it has {len(graph.input)} inputs and {len(graph.output)} outputs"
    for tensor in graph.initializer:
        yield from wrong_numbers(tensor)
    for node in graph.node:
        if node.domain or node.op_type not in OPERATIONS:
            yield f"it has the operation {printable(node.op_type)[:40]!r}"
        for setting in node.attribute:
            kinds = setting.AttributeType
            if setting.type not in (kinds.INT, kinds.INTS, kinds.FLOAT, kinds.FLOATS, kinds.STRING):
                yield f"its step {printable(node.name)[:40]!r} has a setting that is no number"
            if any(abs(value) > SETTING for value in (setting.i, *setting.ints)):
                yield f"its step {printable(node.name)[:40]!r} has a setting beyond {SETTING:,}"


def wrong_numbers(tensor: Any) -> Iterator[str]:
    """Of a stored tensor: its numbers are in the file, as many as its shape says."""
    from onnx import TensorProto

    sizes = {TensorProto.FLOAT: 4, TensorProto.INT64: 8}
    if tensor.data_location != TensorProto.DEFAULT or tensor.external_data:
        yield "its numbers lie in another file"
    elif tensor.data_type not in sizes:
        yield "it has numbers of a kind that is not written"
    elif (
        min(tensor.dims, default=0) < 0
        or len(tensor.raw_data) != math.prod(tensor.dims) * sizes[tensor.data_type]
    ):
        yield f"{printable(tensor.name)[:40]!r} {tuple(tensor.dims)} has {len(tensor.raw_data):,} bytes of numbers"


def too_large(graph: GraphProto) -> Iterator[str]:
    """Maps beyond MOST, work beyond WORK, and maps whose shape nobody can tell. graph: with its shapes inferred"""
    known = {value.name: sides(value) for value in (*graph.value_info, *graph.input, *graph.output)}
    stored = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    work = 0
    for node in graph.node:
        for name in node.output:
            shape = known.get(name)
            if shape is None or min(shape, default=1) < 0:
                yield f"nobody can tell how large {printable(name)[:40]!r} will be"
                return
            if math.prod(shape) > MOST:
                yield f"its map {printable(name)[:40]!r} would have {math.prod(shape):,} numbers"
            kernel: Any = next((s.ints for s in node.attribute if s.name == "kernel_shape"), [])
            weights = (
                math.prod(stored.get(node.input[1], [1])[1:]) if node.op_type == "Conv" else math.prod(kernel)
            )
            work += math.prod(shape) * weights
    if work > WORK:
        yield f"one item would take {work:,} steps"


def sides(value: Any) -> list[int] | None:
    """The shape of a value; None where it is not known."""
    shape = value.type.tensor_type.shape.dim
    known = value.type.tensor_type.HasField("shape") and all(axis.HasField("dim_value") for axis in shape)
    return [axis.dim_value for axis in shape] if known else None

"""How was this cell computed? From any node of a tape and an index into its value to every number that went in.

    found = replay(network, x)
    print(cell(found.layers["features.0"], (0, 4, 5, 7)).sum)         # the window, the kernel, each product, the bias

RULES has a function for each operation; one that is not in it is answered by its backward, which knows the slope of the
cell by every number. A new operation needs a line only if a reader wants to see more than that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hubel.definitions.tape import Node
from hubel.replay.cells import numbers, windows
from hubel.replay.cells.moves import MOVES, by_slopes, moved
from hubel.replay.cells.record import Asked, Cell, pointed_at

RULES: dict[str, Callable[[Asked], Cell]] = {
    "conv2d": windows.convolution,
    "convolve2d": windows.convolution,
    "conv1d": windows.convolution_of_a_row,
    "convolve1d": windows.convolution_of_a_row,
    "conv_transpose2d": windows.transposed_convolution,
    "partial_conv2d": windows.partial_convolution,
    "max_pool2d": windows.max_pooling,
    "max_pool1d": windows.max_pooling,
    "avg_pool2d": windows.average_pooling,
    "avg_pool1d": windows.average_pooling,
    "sum_pool2d": windows.sum_pooling,
    "subsample": windows.subsampling,
    "global_avg_pool2d": windows.global_average,
    "adaptive_avg_pool2d": windows.adaptive_average,
    "adaptive_max_pool2d": windows.adaptive_maximum,
    "max_over_time": windows.maximum_over_time,
    "linear": numbers.linear,
    "matmul": numbers.matmul,
    "scaled_dot_product_attention": numbers.attention,
    "rbf": numbers.rbf,
    "prelu": numbers.prelu,
    "total": numbers.reduction,
    "mean": numbers.reduction,
    "where": numbers.chosen,
    "dropout": numbers.dropout,
    "softmax": numbers.softmax,
    "log_softmax": numbers.softmax,
    "batch_norm": numbers.normalisation,
    "instance_norm": numbers.normalisation,
    "layer_norm": numbers.normalisation,
    "group_norm": numbers.normalisation,
    "rms_norm": numbers.rms_normalisation,
    "batch_norm_inference": numbers.remembered_normalisation,
    "local_response_norm": numbers.local_response,
    "mean_squared_error": numbers.mean_squared_error,
    "cross_entropy": numbers.cross_entropy,
    "cross_entropy_with_logits": numbers.cross_entropy,
    "binary_cross_entropy": numbers.binary_cross_entropy,
    "binary_cross_entropy_with_logits": numbers.binary_cross_entropy,
    **dict.fromkeys(numbers.ALONE, numbers.alone),
    **dict.fromkeys(numbers.TWO, numbers.two),
    **dict.fromkeys(MOVES, moved),
}


def cell(node: Node, index: Sequence[int]) -> Cell:
    """How the number at `index` of the node's value came about.

    index: one number for each axis; before them, where the value is several arrays (as of lstm_cell), which of them.
    Negative numbers count from the end. Raises ShapeError for an index that points at nothing.
    """
    at = pointed_at("cell", node, index)
    if node.operation is None:
        number = float(np.asarray(node.value)[at])
        return Cell("", node.name, at, number, number, "given from outside")
    return RULES.get(node.operation.__name__, by_slopes)(Asked.about(node, at))

"""What every operation means, forward and backward, in NumPy alone.

Each operation is a pair of pure functions: f(*arrays, settings), and right under it f_backward(dy, *arrays, settings),
which gives a tuple: one gradient for each array of f, in f's order, and None for one that has no derivative (labels,
masks, word numbers). Any float dtype is kept. What is fast in Hubel answers to these; read them when in doubt.

    from hubel.definitions import conv2d, conv2d_backward

A mistake of the caller raises a DefinitionError, or its kind ShapeError, whose text names both sides.
"""

# fmt: off
# isort: off
from hubel.definitions.activations import (
    leaky_relu, leaky_relu_backward, log_softmax, log_softmax_backward, relu, relu_backward, sigmoid,
    sigmoid_backward, softmax, softmax_backward, tanh, tanh_backward,
)
from hubel.definitions.adaptive_pooling import (
    adaptive_avg_pool2d, adaptive_avg_pool2d_backward, adaptive_max_pool2d,
    adaptive_max_pool2d_backward, global_avg_pool2d, global_avg_pool2d_backward, max_over_time,
    max_over_time_backward,
)
from hubel.definitions.arithmetic import (
    add, add_backward, divide, divide_backward, exp, exp_backward, log, log_backward, matmul,
    matmul_backward, multiply, multiply_backward, power, power_backward, sqrt, sqrt_backward, subtract,
    subtract_backward,
)
from hubel.definitions.attention import scaled_dot_product_attention, scaled_dot_product_attention_backward
from hubel.definitions.choosing import (
    absolute, absolute_backward, clip, clip_backward, maximum, maximum_backward, minimum,
    minimum_backward, where, where_backward,
)
from hubel.definitions.convolution import conv1d, conv1d_backward, conv2d, conv2d_backward
from hubel.definitions.counting import Cost, conv2d_cost, linear_cost, local_cost
from hubel.definitions.dense import (
    dropout, dropout_backward, embedding, embedding_backward, linear, linear_backward,
)
from hubel.definitions.errors import DefinitionError, ShapeError, UnknownKernel
from hubel.definitions.joining import (
    concatenate, concatenate_backward, flatten, flatten_backward, part, part_backward, stack,
    stack_backward,
)
from hubel.definitions.kernels import KERNELS, filtered, kernel
from hubel.definitions.later_activations import (
    elu, elu_backward, gelu, gelu_backward, gelu_tanh, gelu_tanh_backward, hardsigmoid,
    hardsigmoid_backward, hardswish, hardswish_backward, mish, mish_backward, prelu, prelu_backward,
    relu6, relu6_backward, silu, silu_backward, softplus, softplus_backward,
)
from hubel.definitions.lenet import (
    partial_conv2d, partial_conv2d_backward, rbf, rbf_backward, scaled_tanh, scaled_tanh_backward,
    subsample, subsample_backward,
)
from hubel.definitions.local_response import local_response_norm, local_response_norm_backward
from hubel.definitions.losses import (
    binary_cross_entropy, binary_cross_entropy_backward, binary_cross_entropy_with_logits,
    binary_cross_entropy_with_logits_backward, cross_entropy, cross_entropy_backward,
    cross_entropy_with_logits, cross_entropy_with_logits_backward, mean_squared_error,
    mean_squared_error_backward, one_hot,
)
from hubel.definitions.moving import (
    broadcast, broadcast_backward, flip, flip_backward, pad, pad_backward, reshape, reshape_backward,
    select, select_backward, transpose, transpose_backward,
)
from hubel.definitions.normalisation import (
    Statistics, batch_norm, batch_norm_backward, batch_norm_inference, batch_norm_inference_backward,
    group_norm, group_norm_backward, instance_norm, instance_norm_backward, layer_norm,
    layer_norm_backward, rms_norm, rms_norm_backward, running_statistics, standardise,
    standardise_backward,
)
from hubel.definitions.optimizers import (
    OPTIMIZERS, START, State, Step, adam, adamw, gd, momentum, nesterov, rmsprop,
)
from hubel.definitions.pooling import (
    avg_pool1d, avg_pool1d_backward, avg_pool2d, avg_pool2d_backward, max_pool1d, max_pool1d_backward,
    max_pool2d, max_pool2d_backward, sum_pool2d, sum_pool2d_backward,
)
from hubel.definitions.recurrent import LSTMState, gru_cell, gru_cell_backward, lstm_cell, lstm_cell_backward
from hubel.definitions.reducing import (
    largest, largest_backward, mean, mean_backward, total, total_backward, variance, variance_backward,
)
from hubel.definitions.resampling import (
    upsample_bilinear, upsample_bilinear_backward, upsample_nearest, upsample_nearest_backward,
)
from hubel.definitions.spectrum import Bands, bands, convolve_by_fft, correlate_by_fft, response
from hubel.definitions.tape import Node, Tape, backward_of
from hubel.definitions.transposed import conv_transpose2d, conv_transpose2d_backward
from hubel.definitions.true_convolution import (
    convolve1d, convolve1d_backward, convolve2d, convolve2d_backward,
)
from hubel.definitions.windows import narrow, output_size, same, span, wide

__all__ = [
    "KERNELS", "OPTIMIZERS", "START", "Bands", "Cost", "DefinitionError", "LSTMState", "Node",
    "ShapeError", "State", "Statistics", "Step", "Tape", "UnknownKernel", "absolute",
    "absolute_backward", "adam", "adamw", "adaptive_avg_pool2d", "adaptive_avg_pool2d_backward",
    "adaptive_max_pool2d", "adaptive_max_pool2d_backward", "add", "add_backward", "avg_pool1d",
    "avg_pool1d_backward", "avg_pool2d", "avg_pool2d_backward", "backward_of", "bands", "batch_norm",
    "batch_norm_backward", "batch_norm_inference", "batch_norm_inference_backward",
    "binary_cross_entropy", "binary_cross_entropy_backward", "binary_cross_entropy_with_logits",
    "binary_cross_entropy_with_logits_backward", "broadcast", "broadcast_backward", "clip",
    "clip_backward", "concatenate", "concatenate_backward", "conv1d", "conv1d_backward", "conv2d",
    "conv2d_backward", "conv2d_cost", "conv_transpose2d", "conv_transpose2d_backward", "convolve1d",
    "convolve1d_backward", "convolve2d", "convolve2d_backward", "convolve_by_fft", "correlate_by_fft",
    "cross_entropy", "cross_entropy_backward", "cross_entropy_with_logits",
    "cross_entropy_with_logits_backward", "divide", "divide_backward", "dropout", "dropout_backward",
    "elu", "elu_backward", "embedding", "embedding_backward", "exp", "exp_backward", "filtered",
    "flatten", "flatten_backward", "flip", "flip_backward", "gd", "gelu", "gelu_backward", "gelu_tanh",
    "gelu_tanh_backward", "global_avg_pool2d", "global_avg_pool2d_backward", "group_norm",
    "group_norm_backward", "gru_cell", "gru_cell_backward", "hardsigmoid", "hardsigmoid_backward",
    "hardswish", "hardswish_backward", "instance_norm", "instance_norm_backward", "kernel", "largest",
    "largest_backward", "layer_norm", "layer_norm_backward", "leaky_relu", "leaky_relu_backward",
    "linear", "linear_backward", "linear_cost", "local_cost", "local_response_norm",
    "local_response_norm_backward", "log", "log_backward", "log_softmax", "log_softmax_backward",
    "lstm_cell", "lstm_cell_backward", "matmul", "matmul_backward", "max_over_time",
    "max_over_time_backward", "max_pool1d", "max_pool1d_backward", "max_pool2d", "max_pool2d_backward",
    "maximum", "maximum_backward", "mean", "mean_backward", "mean_squared_error",
    "mean_squared_error_backward", "minimum", "minimum_backward", "mish", "mish_backward", "momentum",
    "multiply", "multiply_backward", "narrow", "nesterov", "one_hot", "output_size", "pad",
    "pad_backward", "part", "part_backward", "partial_conv2d", "partial_conv2d_backward", "power",
    "power_backward", "prelu", "prelu_backward", "rbf", "rbf_backward", "relu", "relu6",
    "relu6_backward", "relu_backward", "reshape", "reshape_backward", "response", "rms_norm",
    "rms_norm_backward", "rmsprop", "running_statistics", "same", "scaled_dot_product_attention",
    "scaled_dot_product_attention_backward", "scaled_tanh", "scaled_tanh_backward", "select",
    "select_backward", "sigmoid", "sigmoid_backward", "silu", "silu_backward", "softmax",
    "softmax_backward", "softplus", "softplus_backward", "span", "sqrt", "sqrt_backward", "stack",
    "stack_backward", "standardise", "standardise_backward", "subsample", "subsample_backward",
    "subtract", "subtract_backward", "sum_pool2d", "sum_pool2d_backward", "tanh", "tanh_backward",
    "total", "total_backward", "transpose", "transpose_backward", "upsample_bilinear",
    "upsample_bilinear_backward", "upsample_nearest", "upsample_nearest_backward", "variance",
    "variance_backward", "where", "where_backward", "wide",
]

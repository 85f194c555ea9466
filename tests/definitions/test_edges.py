"""Cases at the very edge, where a comparison that is off by one, or an argument that is lost, first shows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from oracle import assert_matches
from torch.nn import functional as F

import hubel.definitions as d
from hubel.definitions import DefinitionError, ShapeError

rng = np.random.default_rng(5)


def draw(*shape, dtype=np.float64):
    return rng.standard_normal(shape).astype(dtype)


def test_each_row_of_a_softmax_is_safe_by_its_own_maximum():
    x = np.array(
        [[1000.0, 1001.0], [0.0, 1.0], [-1000.0, -999.0]]
    )  # one maximum for all would leave 0 / 0 below
    one = 1 / (1 + np.e)
    np.testing.assert_allclose(d.softmax(x), [[one, 1 - one]] * 3)
    np.testing.assert_allclose(d.log_softmax(x), np.log([[one, 1 - one]] * 3))


def test_one_word_alone_is_looked_up():
    w = draw(4, 3)
    assert np.array_equal(d.embedding(np.array([2, 2]), w), w[[2, 2]])


def test_a_transposed_convolution_may_leave_one_cell():
    x, w = draw(1, 2, 1, 2), draw(2, 3, 3, 2)
    y = d.conv_transpose2d(x, w, padding=((1, 1), (1, 1)))  # 3 - 2 = 1 row; 2 + 2 - 1 - 2 = 1 column
    assert y.shape == (1, 3, 1, 1)


def test_what_hangs_over_in_ceil_mode_may_begin_in_the_padding_before_and_not_behind():
    # 5 cells, windows of 2, stride 3: the second begins at 3; a third would begin at 6, behind 5 cells and 1 before.
    x = draw(1, 1, 5, 5)
    assert d.max_pool2d(x, 2, 3, ((1, 0), (0, 1)), ceil=True).shape == (1, 1, 2, 2)
    assert d.max_pool2d(x, 2, 2, ((1, 0), (0, 1)), ceil=True).shape == (1, 1, 3, 3)
    assert d.max_pool2d(x, 2, 5, ((0, 1), (0, 1)), ceil=True).shape == (
        1,
        1,
        1,
        1,
    )  # a second would begin at 5


def test_a_window_may_be_as_large_as_the_frequencies_asked_for():
    h = draw(3, 4)
    np.testing.assert_allclose(d.response(h, (3, 4)), np.fft.fft2(h))


def test_a_picture_of_one_cell_has_one_window():
    assert d.output_size(1, 1) == (1, 1)


def test_axes_are_counted_from_the_end_down_to_the_first():
    parts = [draw(2, 3), draw(2, 3)]
    assert d.concatenate(*parts, axis=-2).shape == (4, 3)
    assert d.stack(*parts, axis=-3).shape == (2, 2, 3)
    with pytest.raises(ShapeError, match="axis -4"):
        d.stack(*parts, axis=-4)


@pytest.mark.parametrize("size", [2, 4, 5])
def test_even_neighbourhoods_reach_further_back(size):
    x = draw(2, 7, 3, 2)
    settings = {"size": size, "alpha": 0.3, "beta": 0.6, "k": 1.5}
    fast = torch.nn.LocalResponseNorm(size, 0.3, 0.6, 1.5)
    assert_matches(d.local_response_norm, d.local_response_norm_backward, fast, x, **settings)


@pytest.mark.parametrize(
    ("operation", "arrays", "settings"),
    [
        ("embedding", (np.array([1, 1, 0]), draw(4, 3, dtype=np.float32)), {}),
        ("max_pool2d", (draw(1, 2, 5, 4, dtype=np.float32),), {"kernel": 3, "stride": 2, "padding": 1}),
        ("sum_pool2d", (draw(1, 2, 5, 4, dtype=np.float32),), {"kernel": 2}),
        ("avg_pool2d", (draw(1, 2, 5, 4, dtype=np.float32),), {"kernel": 3, "padding": 1}),
        ("adaptive_max_pool2d", (draw(1, 2, 5, 4, dtype=np.float32),), {"out": (2, 3)}),
        ("adaptive_avg_pool2d", (draw(1, 2, 5, 4, dtype=np.float32),), {"out": (2, 3)}),
        ("max_over_time", (draw(2, 3, 5, dtype=np.float32),), {}),
        ("conv_transpose2d", (draw(1, 2, 3, 2, dtype=np.float32), draw(2, 3, 2, 3, dtype=np.float32)), {"stride": 2}),
        ("partial_conv2d", (draw(1, 2, 5, 4, dtype=np.float32), draw(3, 2, 3, dtype=np.float32)), {"table": ((0,), (0, 1))}),
        ("pad", (draw(2, 3, dtype=np.float32),), {"widths": ((1, 0), (0, 2))}),
        ("select", (draw(4, 3, dtype=np.float32),), {"key": (np.array([1, 1]),)}),
        ("upsample_bilinear", (draw(1, 2, 3, 4, dtype=np.float32),), {"size": (5, 6)}),
    ],
)  # fmt: skip
def test_single_precision_stays_single_both_ways(operation, arrays, settings):
    y = getattr(d, operation)(*arrays, **settings)
    gradients = getattr(d, f"{operation}_backward")(np.ones_like(y), *arrays, **settings)
    assert {a.dtype for a in (y, *gradients) if a is not None} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("call", "error"),
    [  # a vector of another length, in each place where one may stand
        (lambda v: d.batch_norm_inference(draw(2, 3, 4), v, np.ones(3)), ShapeError),
        (lambda v: d.batch_norm_inference(draw(2, 3, 4), np.ones(3), v), ShapeError),
        (lambda v: d.batch_norm_inference(draw(2, 3, 4), np.ones(3), np.ones(3), v), ShapeError),
        (lambda v: d.batch_norm_inference(draw(2, 3, 4), np.ones(3), np.ones(3), None, v), ShapeError),
        (lambda v: d.running_statistics(draw(2, 3, 4), v, np.ones(3)), ShapeError),
        (lambda v: d.running_statistics(draw(2, 3, 4), np.ones(3), v), ShapeError),
        (lambda v: d.instance_norm(draw(2, 3, 4), v), ShapeError),
        (lambda v: d.instance_norm(draw(2, 3, 4), None, v), ShapeError),
        (lambda v: d.group_norm(draw(2, 3, 4), v, None, 3), ShapeError),
        (lambda v: d.group_norm(draw(2, 3, 4), None, v, 3), ShapeError),
        (lambda v: d.conv1d(draw(2, 3, 4), draw(3, 3, 2), v), ShapeError),
        (lambda v: d.conv1d_backward(draw(2, 3, 3), draw(2, 3, 4), draw(3, 3, 2), v), ShapeError),
        (lambda v: d.conv_transpose2d_backward(draw(1, 3, 4, 4), draw(1, 2, 3, 3), draw(2, 3, 2, 2), v), ShapeError),
        (lambda v: d.convolve1d_backward(draw(2, 3, 3), draw(2, 3, 4), draw(3, 3, 2), v), ShapeError),
        (lambda v: d.lstm_cell_backward((draw(2, 1), draw(2, 1)), draw(2, 3), draw(2, 1), draw(2, 1), draw(4, 3), draw(4, 1), v), ShapeError),
        (lambda v: d.gru_cell_backward(draw(2, 1), draw(2, 3), draw(2, 1), draw(3, 3), draw(3, 1), None, v), ShapeError),
    ],
)  # fmt: skip
def test_a_vector_that_does_not_fit_is_refused_in_every_place(call, error):
    with pytest.raises(error, match=r"\(5,\)"):
        call(np.ones(5))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: d.conv_transpose2d(draw(1, 2, 3, 3), draw(2, 3, 2, 2), stride=0), "conv_transpose2d: stride must be at least 1"),
        (lambda: d.conv_transpose2d(draw(1, 2, 3, 3), draw(2, 3, 2, 2), dilation=0), "conv_transpose2d: dilation must be at least 1"),
        (lambda: d.conv_transpose2d(draw(1, 2, 3, 3), draw(2, 3, 2, 2), output_padding=-1), "conv_transpose2d: output_padding must be at least 0"),
        (lambda: d.conv_transpose2d(draw(1, 2, 3, 3), draw(2, 3, 2, 2), padding=-1), "conv_transpose2d: padding must be at least 0"),
        (lambda: d.conv1d(draw(1, 2, 5), draw(3, 2, 2), dilation=0), "conv1d: dilation must be at least 1"),
        (lambda: d.max_pool1d(draw(1, 2, 5), 0), "max_pool1d: kernel must be at least 1"),
        (lambda: d.max_pool1d(draw(1, 2, 5), 2, dilation=0), "max_pool1d: dilation must be at least 1"),
        (lambda: d.max_pool1d(draw(1, 2, 5), 2, 0), "max_pool1d: stride must be at least 1"),
        (lambda: d.avg_pool1d(draw(1, 2, 5), 2, padding=-1), "avg_pool1d: padding must be at least 0"),
        (lambda: d.output_size(0, 3), "output_size: size must be at least 1"),
    ],
)  # fmt: skip
def test_a_setting_that_makes_no_sense_is_named_with_its_operation(call, said):
    with pytest.raises(DefinitionError, match=f"^{said}"):
        call()


def test_pooling_on_a_line_with_every_setting():
    x = draw(2, 3, 11)
    over = {"stride": 1, "padding": 1, "dilation": 2}
    assert_matches(
        d.max_pool1d, d.max_pool1d_backward, lambda x: F.max_pool1d(x, 2, **over), x, kernel=2, **over
    )
    assert_matches(
        d.avg_pool1d, d.avg_pool1d_backward, lambda x: F.avg_pool1d(x, 1, 3), x, kernel=1, stride=3
    )

"""Poolings: against PyTorch, against finite differences, and their laws."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from oracle import assert_matches, assert_slopes
from torch.nn import functional as F

from hubel.definitions import (
    DefinitionError,
    ShapeError,
    adaptive_avg_pool2d,
    adaptive_avg_pool2d_backward,
    adaptive_max_pool2d,
    adaptive_max_pool2d_backward,
    avg_pool1d,
    avg_pool1d_backward,
    avg_pool2d,
    avg_pool2d_backward,
    global_avg_pool2d,
    global_avg_pool2d_backward,
    max_over_time,
    max_over_time_backward,
    max_pool1d,
    max_pool1d_backward,
    max_pool2d,
    max_pool2d_backward,
    sum_pool2d,
    sum_pool2d_backward,
)

rng = np.random.default_rng(5)
X = rng.standard_normal((2, 3, 7, 10))

WINDOWS = {  # settings by our names; ceil is PyTorch's ceil_mode
    "halves": {"kernel": 2},
    "a rectangle": {"kernel": (3, 2)},
    "overlapping": {"kernel": 3, "stride": 2},
    "apart": {"kernel": 2, "stride": (3, 4)},
    "padded": {"kernel": (3, 4), "stride": (2, 3), "padding": (1, 2)},
    "rounded up": {"kernel": 3, "stride": 2, "ceil": True},
    "rounded up and padded": {"kernel": (2, 3), "stride": (2, 2), "padding": (1, 1), "ceil": True},
    "rounded up, but no window may begin beyond": {
        "kernel": (1, 2),
        "stride": (4, 7),
        "padding": (0, 1),
        "ceil": True,
    },
    "one cell": {"kernel": 1},
}


def named(settings):
    """The same settings in PyTorch's words."""
    words = {"kernel": "kernel_size", "ceil": "ceil_mode", "count_padding": "count_include_pad"}
    return {words.get(k, k): v for k, v in settings.items()}


@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("shift", [0, -5])  # all below nought: padding of zeros would win
def test_max_pooling_is_pytorchs(name, shift):
    s = WINDOWS[name]
    assert_matches(max_pool2d, max_pool2d_backward, partial(F.max_pool2d, **named(s)), X + shift, **s)
    assert_slopes(max_pool2d, max_pool2d_backward, X + shift, **s)


@pytest.mark.parametrize("name", WINDOWS)
def test_of_ties_the_first_wins_as_in_pytorch(name):
    s = WINDOWS[name]
    ties = rng.integers(-2, 1, X.shape).astype(float)
    assert_matches(max_pool2d, max_pool2d_backward, partial(F.max_pool2d, **named(s)), ties, **s)
    assert_matches(
        max_pool2d, max_pool2d_backward, partial(F.max_pool2d, **named(s)), np.zeros_like(ties), **s
    )


def test_of_four_equal_cells_the_first_in_reading_order_gets_it_all():
    x = np.array([[1.0, 3, 3], [3, 3, 2]])[None, None]
    (dx,) = max_pool2d_backward(np.array([[[[5.0]]]]), x, (2, 3))
    assert dx.tolist() == [[[[0, 5, 0], [0, 0, 0]]]]


def test_a_cell_that_wins_two_windows_gets_both():
    x = np.array([[1.0, 9, 2]])[None, None]
    (dx,) = max_pool2d_backward(np.array([[[[5.0, 7.0]]]]), x, (1, 2), 1)
    assert dx.tolist() == [[[[0, 12, 0]]]]


@pytest.mark.parametrize("dilation", [2, (1, 3), (3, 2)])
def test_dilated_max_pooling_is_pytorchs(dilation):
    s = {"kernel": (2, 3), "stride": (2, 1), "padding": 1, "dilation": dilation}
    assert_matches(max_pool2d, max_pool2d_backward, partial(F.max_pool2d, **named(s)), X, **s)


def test_max_pooling_with_unequal_padding():
    fast = lambda x: F.max_pool2d(F.pad(x, (1, 0, 0, 1), value=-torch.inf), 3, 2)  # noqa: E731
    assert_matches(max_pool2d, max_pool2d_backward, fast, X - 5, kernel=3, stride=2, padding=((0, 1), (1, 0)))


@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("count", [True, False])
def test_average_pooling_is_pytorchs(name, count):
    s = {**WINDOWS[name], "count_padding": count}
    assert_matches(avg_pool2d, avg_pool2d_backward, partial(F.avg_pool2d, **named(s)), X, **s)
    assert_slopes(avg_pool2d, avg_pool2d_backward, X, **s)


def test_padding_counts_unless_told_otherwise():
    x = np.full((1, 1, 2, 2), 12.0)
    # a 2x2 window at the corner of the padding sees one cell of 12 and three zeros
    assert avg_pool2d(x, 2, padding=1).tolist() == [[[[3, 3], [3, 3]]]]
    assert avg_pool2d(x, 2, padding=1, count_padding=False).tolist() == [[[[12, 12], [12, 12]]]]


def test_average_pooling_with_unequal_padding():
    fast = lambda x: F.avg_pool2d(F.pad(x, (1, 0, 0, 1)), 3, 2)  # noqa: E731
    assert_matches(avg_pool2d, avg_pool2d_backward, fast, X, kernel=3, stride=2, padding=((0, 1), (1, 0)))


@pytest.mark.parametrize("name", WINDOWS)
def test_a_sum_is_an_average_times_its_cells(name):
    s = WINDOWS[name]
    fast = lambda x: F.avg_pool2d(x, **named(s), divisor_override=1)  # noqa: E731
    assert_matches(sum_pool2d, sum_pool2d_backward, fast, X, **s)
    assert_slopes(sum_pool2d, sum_pool2d_backward, X, **s)


@pytest.mark.parametrize("out", [1, 7, (3, 4), (7, 10), (2, 3), (9, 5)])  # 9: more parts than cells
def test_adaptive_pooling_is_pytorchs(out):
    fast = partial(F.adaptive_avg_pool2d, output_size=out)
    assert_matches(adaptive_avg_pool2d, adaptive_avg_pool2d_backward, fast, X, out=out)
    assert_slopes(adaptive_avg_pool2d, adaptive_avg_pool2d_backward, X, out=out)


@pytest.mark.parametrize("out", [1, 7, (3, 4), (7, 10), (2, 3), (9, 5)])
def test_adaptive_max_pooling_is_pytorchs(out):
    pair, fast = (
        (adaptive_max_pool2d, adaptive_max_pool2d_backward),
        partial(F.adaptive_max_pool2d, output_size=out),
    )
    assert_matches(*pair, fast, X, out=out)
    assert_matches(*pair, fast, X.astype(np.float32), out=out)
    assert_slopes(*pair, X, out=out)
    for ties in (rng.integers(-2, 1, X.shape).astype(float), np.zeros_like(X)):
        assert_matches(*pair, fast, ties, out=out)


def test_adaptive_pooling_where_the_parts_are_even_is_pooling():
    x = X[..., :6, :]  # (2, 3, 6, 10)
    np.testing.assert_array_equal(adaptive_max_pool2d(x, (2, 5)), max_pool2d(x, (3, 2)))
    np.testing.assert_allclose(adaptive_avg_pool2d(x, (2, 5)), avg_pool2d(x, (3, 2)), rtol=1e-12)


LINES = {
    "halves": {"kernel": 2},
    "overlapping": {"kernel": 3, "stride": 2},
    "apart": {"kernel": 2, "stride": 4},
    "padded": {"kernel": 4, "stride": 3, "padding": 2},
    "rounded up": {"kernel": 3, "stride": 2, "ceil": True},
    "rounded up and padded": {"kernel": 3, "stride": 4, "padding": 1, "ceil": True},
}


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize(
    "x", [X[:, 1] - 5, np.zeros((2, 3, 8)), rng.integers(-2, 1, (2, 3, 9)).astype(float)]
)
def test_max_pooling_along_a_line_is_pytorchs(name, x):
    s = LINES[name]
    assert_matches(max_pool1d, max_pool1d_backward, partial(F.max_pool1d, **named(s)), x, **s)
    assert_matches(
        max_pool1d, max_pool1d_backward, partial(F.max_pool1d, **named(s)), x.astype(np.float32), **s
    )


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("count", [True, False])
def test_average_pooling_along_a_line_is_pytorchs(name, count):
    s, pair = {**LINES[name], "count_padding": count}, (avg_pool1d, avg_pool1d_backward)
    assert_matches(*pair, partial(F.avg_pool1d, **named(s)), X[0], **s)
    assert_matches(*pair, partial(F.avg_pool1d, **named(s)), X[0].astype(np.float32), tol=1e-6, **s)
    assert_slopes(*pair, X[0], **s)


def test_max_pooling_along_a_line_with_holes_and_unequal_ends():
    s = {"kernel": 3, "stride": 2, "dilation": 2}
    assert_matches(max_pool1d, max_pool1d_backward, partial(F.max_pool1d, **named(s)), X[0], **s)
    assert_slopes(max_pool1d, max_pool1d_backward, X[0], **s)
    fast = lambda x: F.max_pool1d(F.pad(x, (0, 1), value=-torch.inf), 2)  # noqa: E731
    assert_matches(max_pool1d, max_pool1d_backward, fast, X[0, :, :9] - 5, kernel=2, padding=(0, 1))
    fast = lambda x: F.avg_pool1d(F.pad(x, (1, 0)), 3, 2)  # noqa: E731
    assert_matches(avg_pool1d, avg_pool1d_backward, fast, X[0], kernel=3, stride=2, padding=(1, 0))


def test_global_pooling_is_pytorchs():
    fast = partial(F.adaptive_avg_pool2d, output_size=1)
    assert_matches(global_avg_pool2d, global_avg_pool2d_backward, fast, X)
    assert_slopes(global_avg_pool2d, global_avg_pool2d_backward, X)
    np.testing.assert_allclose(global_avg_pool2d(X), adaptive_avg_pool2d(X, 1), rtol=1e-12)


@pytest.mark.parametrize("x", [X[..., 0], np.zeros((2, 3, 4)), rng.integers(0, 2, (4, 3, 6)).astype(float)])
def test_max_over_time_is_pytorchs(x):
    fast = lambda x: F.max_pool1d(x, x.shape[2])[:, :, 0]  # noqa: E731
    assert_matches(max_over_time, max_over_time_backward, fast, x)


def test_max_over_time_does_not_ask_when():
    x = X[..., 0]
    np.testing.assert_array_equal(max_over_time(x), max_over_time(x[:, :, ::-1]))
    assert_slopes(max_over_time, max_over_time_backward, x)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize(
    ("pool", "settings"),
    [
        ("max_pool2d", {"kernel": 3, "stride": 2, "padding": 1}),
        ("avg_pool2d", {"kernel": 3, "stride": 2, "padding": 1, "ceil": True, "count_padding": False}),
        ("sum_pool2d", {"kernel": 2}),
        ("global_avg_pool2d", {}),
        ("adaptive_avg_pool2d", {"out": (3, 2)}),
    ],
)
def test_the_dtype_stays(pool, settings, dtype):
    import hubel.definitions as d

    x = X.astype(dtype)
    y = getattr(d, pool)(x, **settings)
    assert y.dtype == dtype
    assert getattr(d, f"{pool}_backward")(y, x, **settings)[0].dtype == dtype
    tol = 1e-5 if dtype == np.float32 else 2e-2
    np.testing.assert_allclose(y, getattr(d, pool)(X, **settings), rtol=tol, atol=tol)


def test_an_average_hands_back_what_it_got():
    """The shares of a gradient add up to it, when no padding takes any."""
    dy = rng.standard_normal(avg_pool2d(X, 3, 2).shape)
    assert avg_pool2d_backward(dy, X, 3, 2)[0].sum() == pytest.approx(dy.sum())
    assert max_pool2d_backward(dy, X, 3, 2)[0].sum() == pytest.approx(dy.sum())


def test_the_maximum_is_above_the_average():
    assert (max_pool2d(X, 3, 2) >= avg_pool2d(X, 3, 2)).all()


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: max_pool2d(X[0], 2), ShapeError, r"max_pool2d: x must be \(N, C, H, W\), got \(3, 7, 10\)"),
        (lambda: avg_pool2d(X[0], 2), ShapeError, r"avg_pool2d: x must be \(N, C, H, W\), got"),
        (
            lambda: max_pool2d(X, (8, 2)),
            ShapeError,
            "max_pool2d: along H a window of 8 does not fit into 7 cells",
        ),
        (
            lambda: max_pool2d(X, (4, 2), padding=(2, 2)),
            DefinitionError,
            r"max_pool2d: along W padding \(2, 2\) is more than half of the window's 2 cells",
        ),
        (
            lambda: avg_pool2d(X, 3, padding=((1, 2), 1)),
            DefinitionError,
            r"avg_pool2d: along H padding \(1, 2\) is more than half",
        ),
        (lambda: max_pool2d(np.zeros((1, 1, 4, 4), int), 2), DefinitionError, "x must be float, got int64"),
        (lambda: global_avg_pool2d(X[0]), ShapeError, r"global_avg_pool2d: x must be \(N, C, H, W\), got"),
        (
            lambda: adaptive_avg_pool2d(X[0], 2),
            ShapeError,
            r"adaptive_avg_pool2d: x must be \(N, C, H, W\), got",
        ),
        (
            lambda: adaptive_avg_pool2d(X, (2, 0)),
            DefinitionError,
            r"adaptive_avg_pool2d: out must be at least 1, got \(2, 0\)",
        ),
        (lambda: max_pool1d(X, 2), ShapeError, r"max_pool1d: x must be \(N, C, L\), got \(2, 3, 7, 10\)"),
        (lambda: avg_pool1d_backward(X, X, 2), ShapeError, r"avg_pool1d: x must be \(N, C, L\), got"),
        (
            lambda: max_pool1d(X[0], 11),
            ShapeError,
            r"max_pool1d: a window of 11 does not fit into 10 cells with padding \(0, 0\)",
        ),
        (
            lambda: avg_pool1d(X[0], 3, padding=(1, 2)),
            DefinitionError,
            r"avg_pool1d: padding \(1, 2\) is more than half of the window's 3 cells",
        ),
        (
            lambda: adaptive_max_pool2d(X[0], 2),
            ShapeError,
            r"adaptive_max_pool2d: x must be \(N, C, H, W\), got \(3, 7, 10\)",
        ),
        (
            lambda: adaptive_max_pool2d_backward(X, X[:, :, :0], 2),
            ShapeError,
            r"adaptive_max_pool2d: H and W must be above 0, got x \(2, 3, 0, 10\)",
        ),
        (
            lambda: adaptive_max_pool2d(X, (0, 2)),
            DefinitionError,
            r"adaptive_max_pool2d: out must be at least 1, got \(0, 2\)",
        ),
        (
            lambda: max_over_time(X),
            ShapeError,
            r"max_over_time: x must be \(N, C, L\) with L > 0, got \(2, 3, 7, 10\)",
        ),
        (lambda: max_over_time(X[:, :, 0, :0]), ShapeError, r"with L > 0, got \(2, 3, 0\)"),
    ],
)
def test_bad_input_is_told(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_dilation_widens_what_padding_may_be():
    assert max_pool2d(X, 3, padding=2, dilation=2).shape == (
        2,
        3,
        3,
        4,
    )  # (7 + 4 - 5) // 3 + 1, (10 + 4 - 5) // 3 + 1

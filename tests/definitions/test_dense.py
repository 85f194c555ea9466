"""Fully connected layers, words, dropout; arithmetic, joining and flattening."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from oracle import assert_matches, assert_slopes
from torch.nn import functional as F

import hubel.definitions as d
from hubel.definitions import DefinitionError, ShapeError
from hubel.definitions.arithmetic import summed_to

rng = np.random.default_rng(13)


def draw(*shapes, dtype=np.float64):
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


@pytest.mark.parametrize("ahead", [(4,), (), (2, 3)])
def test_linear_is_pytorchs(ahead):
    arrays = draw((*ahead, 5), (3, 5), (3,))
    assert_matches(d.linear, d.linear_backward, F.linear, *arrays)
    assert_slopes(d.linear, d.linear_backward, *arrays)


def test_linear_without_a_bias_and_in_float32():
    x, w = draw((4, 5), (3, 5), dtype=np.float32)
    assert_matches(d.linear, lambda *a: d.linear_backward(*a)[:2], F.linear, x, w, tol=1e-5)


def test_linear_by_hand():
    # 1*1 + 2*3 + 10 = 17,  1*2 + 2*4 + 20 = 30
    assert d.linear(np.array([[1.0, 2]]), np.array([[1.0, 3], [2, 4]]), np.array([10.0, 20])).tolist() == [
        [17, 30]
    ]


def test_embedding_is_pytorchs():
    ids, w = np.array([[1, 3, 1], [0, 1, 4]]), draw((5, 3))[0]  # word 1 three times, word 2 never
    assert_matches(d.embedding, d.embedding_backward, F.embedding, ids, w)


def test_embedding_is_linear_on_one_hot_words():
    ids, w = np.array([2, 0, 2]), draw((4, 3))[0]
    hot = d.one_hot(ids, 4)
    np.testing.assert_array_equal(d.embedding(ids, w), hot @ w)
    dy = draw((3, 3))[0]
    none, dw = d.embedding_backward(dy, ids, w)
    assert none is None
    np.testing.assert_allclose(dw, hot.T @ dy, rtol=1e-14)


@pytest.mark.parametrize("p", [0.5, 0.2, 0.0])
def test_dropout_divides_by_what_stays(p):
    x = draw((3, 4))[0]
    mask = (rng.random(x.shape) >= p).astype(np.int64)
    assert_matches(d.dropout, d.dropout_backward, lambda x, m: x * m / (1 - p), x, mask, p=p)


def test_dropout_keeps_the_mean():
    x, mask = np.ones(100_000), rng.random(100_000) >= 0.3
    # the mean of 0 or 1/0.7 has a standard deviation of sqrt(0.3 / 0.7 / 100000) = 0.0021
    assert d.dropout(x, mask, 0.3).mean() == pytest.approx(1, abs=0.01)
    assert d.dropout(x, mask).max() == 2  # p = 1/2 where none is said
    assert d.dropout(x.astype(np.float32), mask).dtype == np.float32


BINARY = {"add": torch.add, "subtract": torch.sub, "multiply": torch.mul, "divide": torch.div}


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((2, 3), (2, 3)),
        ((2, 3), (3,)),
        ((3,), (2, 3)),
        ((2, 1, 4), (3, 1)),
        ((), (2, 3)),
        ((2, 3), ()),
        ((1, 3), (2, 1)),
        ((1,), (1,)),
    ],
)
def test_arithmetic_is_pytorchs_however_it_is_broadcast(name, a, b):
    a, b = (np.asarray(v + 3 * np.sign(v)) for v in draw(a, b))  # away from dividing by nought
    pair = getattr(d, name), getattr(d, f"{name}_backward")
    assert_matches(*pair, BINARY[name], a, b)
    assert_slopes(*pair, a, b)


@pytest.mark.parametrize("exponent", [2, 3, 0.5, -1, 0, 1])
def test_powers_are_pytorchs(exponent):
    a = np.abs(draw((3, 4))[0]) + 0.1
    fast = partial(torch.pow, exponent=exponent)
    assert_matches(d.power, d.power_backward, fast, a, exponent=exponent)
    assert_slopes(d.power, d.power_backward, a, exponent=exponent)


def test_the_power_of_nought_has_no_slope_anywhere():
    assert d.power_backward(np.ones(1), np.zeros(1), 0)[0].tolist() == [0]


@pytest.mark.parametrize(("name", "fast"), [("exp", torch.exp), ("log", torch.log), ("total", torch.sum)])
def test_functions_of_one_array_are_pytorchs(name, fast):
    a = np.abs(draw((3, 4))[0]) + 0.1
    assert_matches(getattr(d, name), getattr(d, f"{name}_backward"), fast, a)
    assert_slopes(getattr(d, name), getattr(d, f"{name}_backward"), a)
    small = a.astype(np.float32)
    assert getattr(d, name)(small).dtype == np.float32


def test_what_was_broadcast_is_summed():
    dy = np.arange(24.0).reshape(2, 3, 4)
    assert summed_to(dy, np.zeros((3, 1))).tolist() == [[60], [92], [124]]  # 0+1+2+3 + 12+13+14+15 = 60, ...
    assert summed_to(dy, np.zeros((2, 3, 4))) is dy
    assert summed_to(dy, np.zeros((1, 1, 1))).tolist() == [[[276]]]


@pytest.mark.parametrize("axis", [1, 0, -1])
def test_concatenation_is_pytorchs(axis):
    shapes = [[2, 3, 4], [2, 3, 4], [2, 3, 4]]
    for k, shape in enumerate(shapes):
        shape[axis] = k + 1  # parts of three different widths
    parts = draw(*shapes)
    fast = lambda *parts: torch.cat(parts, axis)  # noqa: E731
    assert_matches(d.concatenate, d.concatenate_backward, fast, *parts, axis=axis)
    assert_slopes(d.concatenate, d.concatenate_backward, *parts, axis=axis)


def test_channels_are_what_is_joined_where_nothing_is_said():
    assert d.concatenate(*draw((2, 1, 3, 3), (2, 4, 3, 3))).shape == (2, 5, 3, 3)


@pytest.mark.parametrize("start", [0, 1, 2, 3])
def test_flattening_is_pytorchs(start):
    fast = partial(torch.flatten, start_dim=start)
    assert_matches(d.flatten, d.flatten_backward, fast, *draw((2, 3, 4, 5)), start=start)


def test_flattening_begins_after_the_items():
    x = draw((2, 3, 4, 5))[0]
    assert d.flatten(x).shape == (2, 60)
    assert d.flatten(x.transpose(0, 2, 3, 1)).tolist() == x.transpose(0, 2, 3, 1).reshape(2, -1).tolist()
    assert d.flatten(np.zeros((0, 3, 4))).shape == (0, 12)


def test_a_part_is_one_of_several():
    values = tuple(draw((2, 3), (2, 4)))
    assert d.part(values, 1) is values[1]
    ((first, second),) = d.part_backward(np.ones((2, 4)), values, -1)
    assert first.tolist() == np.zeros((2, 3)).tolist() and second.tolist() == np.ones((2, 4)).tolist()


X, W = np.zeros((4, 5)), np.zeros((3, 5))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: d.linear(X, W.T),
            ShapeError,
            r"linear: x and w must be \(..., D\) and \(O, D\) with one D, got \(4, 5\) and \(5, 3\)",
        ),
        (lambda: d.linear(np.float64(1), W), ShapeError, r"linear: x and w must be .* got \(\) and \(3, 5\)"),
        (lambda: d.linear(X, W[0]), ShapeError, r"got \(4, 5\) and \(5,\)"),
        (
            lambda: d.linear(X, W, X[0]),
            ShapeError,
            r"linear: w makes 3 outputs, so b must be \(3,\), got \(5,\)",
        ),
        (lambda: d.linear_backward(X, X, W, X[0]), ShapeError, "linear: w makes 3 outputs"),
        (
            lambda: d.embedding(np.array([1, 3]), W),
            DefinitionError,
            "embedding: w has words 0 to 2, ids go from 1 to 3",
        ),
        (
            lambda: d.embedding(np.array([-1, 2]), W),
            DefinitionError,
            "embedding: w has words 0 to 2, ids go from -1 to 2",
        ),
        (
            lambda: d.embedding(np.array([1.0]), W),
            ShapeError,
            r"embedding: ids must be whole numbers and w \(V, D\), got float64 and \(3, 5\)",
        ),
        (lambda: d.embedding(np.array([1]), W[0]), ShapeError, r"got int64 and \(5,\)"),
        (lambda: d.dropout(X, X, 1.0), DefinitionError, "dropout: p must be at least 0 and below 1, got 1.0"),
        (lambda: d.dropout(X, X, -0.1), DefinitionError, "below 1, got -0.1"),
        (
            lambda: d.dropout(X, W),
            ShapeError,
            r"dropout: the mask must have the shape of x, got \(3, 5\) and \(4, 5\)",
        ),
        (lambda: d.add(X, W), ShapeError, r"add: \(4, 5\) and \(3, 5\) cannot be broadcast together"),
        (lambda: d.multiply(X, W), ShapeError, "multiply: "),
        (lambda: d.subtract(X, W), ShapeError, "subtract: "),
        (lambda: d.divide(X, W), ShapeError, "divide: "),
        (
            lambda: d.concatenate(X, W),
            ShapeError,
            r"concatenate: parts may differ along axis 1 only, got \(4, 5\), \(3, 5\)",
        ),
        (lambda: d.concatenate(X, X[0]), ShapeError, r"concatenate: no axis 1 in parts of \(4, 5\), \(5,\)"),
        (lambda: d.concatenate(X, W, axis=-3), ShapeError, "concatenate: no axis -3"),
        (lambda: d.concatenate(), DefinitionError, "concatenate: there must be at least one part"),
        (lambda: d.flatten(X, 2), ShapeError, r"flatten: x \(4, 5\) has axes 0 to 1, got start 2"),
        (lambda: d.flatten(X, -1), ShapeError, "got start -1"),
    ],
)
def test_bad_input_is_told(call, error, text):
    with pytest.raises(error, match=text):
        call()

"""Matrix products, roots, and the choice of one number or the other: PyTorch, finite differences, ties."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from oracle import assert_matches, assert_slopes

import hubel.definitions as d
from hubel.definitions import DefinitionError, ShapeError

rng = np.random.default_rng(71)


def draw(*shapes, dtype=np.float64):
    return [np.asarray(rng.standard_normal(shape), dtype) for shape in shapes]


def pair(name):
    return getattr(d, name), getattr(d, f"{name}_backward")


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((2, 3), (3, 4)),
        ((5, 2, 3), (5, 3, 4)),
        ((5, 2, 3), (3, 4)),
        ((2, 3), (5, 3, 4)),
        ((6, 1, 2, 3), (5, 3, 4)),
        ((1, 2, 3), (5, 3, 1)),
        ((3,), (3,)),
        ((3,), (3, 4)),
        ((2, 3), (3,)),
        ((3,), (5, 3, 4)),
        ((5, 2, 3), (3,)),
    ],
)
def test_matrix_products_are_pytorchs(a, b):
    arrays = draw(a, b)
    assert_matches(*pair("matmul"), torch.matmul, *arrays)
    assert_matches(*pair("matmul"), torch.matmul, *(v.astype(np.float32) for v in arrays), tol=1e-5)
    assert_slopes(*pair("matmul"), *arrays)


def test_a_matrix_product_by_hand():
    # 1*1 + 2*3 = 7, 1*2 + 2*4 = 10
    assert d.matmul(np.array([[1.0, 2]]), np.array([[1.0, 2], [3, 4]])).tolist() == [[7, 10]]


def test_roots_are_pytorchs():
    a = np.abs(draw((3, 4))[0]) + 0.1
    assert_matches(*pair("sqrt"), torch.sqrt, a)
    assert_matches(*pair("sqrt"), torch.sqrt, a.astype(np.float32), tol=1e-6)
    assert_slopes(*pair("sqrt"), a)


BINARY = {"maximum": torch.maximum, "minimum": torch.minimum}
SHAPES = [((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 1, 4), (3, 1)), ((), (2, 3)), ((2, 3), ()), ((1, 3), (2, 1))]


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_the_larger_and_the_smaller_are_pytorchs(name, a, b):
    arrays = draw(a, b)
    assert_matches(*pair(name), BINARY[name], *arrays)
    assert_matches(*pair(name), BINARY[name], *(v.astype(np.float32) for v in arrays), tol=1e-6)
    assert_slopes(*pair(name), *arrays)


@pytest.mark.parametrize("name", BINARY)
def test_ties_are_halved_as_in_pytorch(name):
    a, b = (rng.integers(-1, 2, (5, 6)).astype(float) for _ in "ab")
    assert_matches(*pair(name), BINARY[name], a, b)
    da, db = getattr(d, f"{name}_backward")(np.ones(1), np.zeros(1), -np.zeros(1))
    assert (da.item(), db.item()) == (0.5, 0.5)


def test_sizes_without_sign_are_pytorchs():
    a = np.array([-2.0, -0.0, 0, 0.5, 3])
    assert_matches(*pair("absolute"), torch.abs, a)
    assert_matches(*pair("absolute"), torch.abs, a.astype(np.float32))
    assert_slopes(*pair("absolute"), a[[0, 3, 4]])


@pytest.mark.parametrize(("low", "high"), [(-1.0, 2.0), (None, 0.5), (0.5, None), (0, 3), (2.0, -1.0)])
def test_clipping_is_pytorchs(low, high):
    a = np.array([-2.0, -1, -0.0, 0, 0.5, 1.7, 2, 3, 4])  # on the limits, too
    fast = partial(torch.clamp, min=low, max=high)
    assert_matches(*pair("clip"), fast, a, low=low, high=high)
    assert_matches(*pair("clip"), fast, a.astype(np.float32), low=low, high=high)
    assert_slopes(*pair("clip"), a + 0.01, low=low, high=high)


@pytest.mark.parametrize(
    ("m", "a", "b"),
    [
        ((2, 3), (2, 3), (2, 3)),
        ((2, 1), (3,), (2, 3)),
        ((4, 2, 3), (2, 3), (4, 1, 1)),
        ((3,), (), (2, 3)),
        ((), (2, 3), (3,)),
    ],
)
def test_choosing_by_a_mask_is_pytorchs(m, a, b):
    mask, (a, b) = np.asarray(rng.random(m) > 0.5), draw(a, b)
    assert_matches(*pair("where"), torch.where, mask, a, b)
    assert_matches(*pair("where"), torch.where, mask, a.astype(np.float32), b.astype(np.float32), tol=1e-6)
    assert_slopes(partial(d.where, mask), lambda dy, a, b: d.where_backward(dy, mask, a, b)[1:], a, b)


def test_the_larger_less_the_smaller_is_the_size_of_the_difference():
    a, b = draw((4, 5), (5,))
    np.testing.assert_allclose(d.maximum(a, b) - d.minimum(a, b), d.absolute(a - b), rtol=1e-15)


X, W = np.zeros((4, 5)), np.zeros((3, 5))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: d.matmul(X, W),
            ShapeError,
            r"matmul: the rows of a have 5 numbers but the columns of b 3 \(a \(4, 5\), b \(3, 5\)\)",
        ),
        (lambda: d.matmul_backward(X, X, W), ShapeError, "matmul: the rows of a have 5"),
        (lambda: d.matmul(X[0], W[:, 0]), ShapeError, r"5 numbers .* b 3 \(a \(5,\), b \(3,\)\)"),
        (
            lambda: d.matmul(np.zeros(()), X),
            ShapeError,
            r"matmul: a and b must have at least one axis, got \(\) and \(4, 5\)",
        ),
        (
            lambda: d.matmul(np.zeros((2, 4, 5)), np.zeros((3, 5, 4))),
            ShapeError,
            r"matmul: what is ahead of the matrices cannot be broadcast together \(a \(2, 4, 5\), b \(3, 5, 4\)\): "
            "counted from the third last, axes must be equal or 1$",
        ),
        (
            lambda: d.maximum(X, W),
            ShapeError,
            r"maximum: \(4, 5\) and \(3, 5\) cannot be broadcast together: counted from the last, axes must be equal or 1$",
        ),
        (lambda: d.minimum(X, W), ShapeError, r"minimum: \(4, 5\) and \(3, 5\)"),
        (
            lambda: d.where(X > 0, X, W),
            ShapeError,
            r"where: \(4, 5\) and \(4, 5\) and \(3, 5\) cannot be broadcast together",
        ),
        (lambda: d.clip(X), DefinitionError, "clip: low or high must be given"),
        (lambda: d.clip_backward(X, X), DefinitionError, "clip: low or high must be given"),
    ],
)
def test_bad_input_is_told(call, error, text):
    with pytest.raises(error, match=text):
        call()

"""Moving numbers: against PyTorch, against finite differences, and the laws of going there and back."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from oracle import assert_matches, assert_slopes
from torch.nn import functional as F

import hubel.definitions as d
from hubel.definitions import DefinitionError, ShapeError

rng = np.random.default_rng(61)
X = rng.standard_normal((2, 3, 4, 5))


def pair(name):
    return getattr(d, name), getattr(d, f"{name}_backward")


def holds(name, fast, x, **settings):
    assert_matches(*pair(name), fast, x, **settings)
    assert_matches(*pair(name), fast, x.astype(np.float32), tol=1e-6, **settings)
    assert_slopes(*pair(name), x, **settings)


@pytest.mark.parametrize("shape", [(6, 20), (2, -1), (-1,), (5, 4, 3, 2), (2, 3, 1, 4, -1)])
@pytest.mark.parametrize("x", [X, X.transpose(3, 1, 0, 2)], ids=["in order", "out of order"])
def test_reshaping_is_pytorchs(shape, x):
    holds("reshape", partial(torch.reshape, shape=shape), x, shape=shape)


@pytest.mark.parametrize("axes", [(0, 2, 3, 1), (3, 0, 1, 2), (0, 1, 3, 2), (-1, 0, -2, 1), (0, 1, 2, 3)])
def test_transposing_is_pytorchs(axes):
    holds("transpose", partial(torch.permute, dims=axes), X, axes=axes)


@pytest.mark.parametrize("axes", [0, -1, (1,), (2, 3), (0, -2, 3)])
def test_flipping_is_pytorchs(axes):
    dims = axes if isinstance(axes, tuple) else (axes,)
    holds("flip", partial(torch.flip, dims=dims), X, axes=axes)


KEYS = {
    "a number": 1,
    "a number from the end": -1,
    "a slice": slice(0, 1),
    "numbers and slices": (slice(None), 1, slice(1, None, 2)),
    "a new axis": (slice(None), None, 2),
    "dots": (..., slice(0, 3), -2),
    "places": np.array([1, 0]),
    "a place twice": np.array([1, 1, 0, 1]),
    "a list": [0, 0, 1],
    "places along two axes": (slice(None), np.array([2, 0, 2]), np.array([1, 3, 1])),
    "places in a square": (0, np.array([[2, 0], [2, 2]])),
    "yes and no": X[:, :, 0, 0] > 0,
    "one number of all": (1, 2, 3, 4),
}


@pytest.mark.parametrize("name", KEYS)
def test_selecting_is_pytorchs(name):
    key = KEYS[name]
    theirs = torch.tensor(key) if isinstance(key, np.ndarray) else key
    holds("select", lambda x: x[theirs], X, key=key)


def test_slices_that_go_backwards():
    key = (slice(None, None, -1), slice(2, 0, -1))  # PyTorch has no such slices
    holds("select", lambda x: x.flip(0, 1)[:, :2], X, key=key)


def test_a_place_that_is_asked_for_three_times_gets_three_gradients():
    (dx,) = d.select_backward(np.array([1.0, 10, 100, 1000]), np.zeros(3), np.array([2, 0, 2, 2]))
    assert dx.tolist() == [10, 0, 1101]


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        ((3, 1), (3, 4)),
        ((3,), (2, 3)),
        ((1,), (2, 3)),
        ((), (2, 3)),
        ((2, 1, 3), (4, 2, 5, 3)),
        ((2, 3), (2, 3)),
    ],
)
def test_broadcasting_is_pytorchs(size, shape):
    x = np.asarray(rng.standard_normal(size))
    holds("broadcast", partial(torch.broadcast_to, size=shape), x, shape=shape)


AROUND = [
    ((0, 0), (0, 0), (1, 2), (3, 0)),
    ((0, 0), (0, 0), (0, 3), (0, 0)),
    ((0, 0), (0, 0), (0, 0), (4, 2)),
]


def theirs(widths):
    """Our widths in PyTorch's order: the last axis first, as far as anything is added."""
    return [n for width in widths[:1:-1] for n in width]


@pytest.mark.parametrize("widths", AROUND)
@pytest.mark.parametrize(
    ("mode", "word"), [("constant", "constant"), ("reflect", "reflect"), ("edge", "replicate")]
)
def test_padding_is_pytorchs(widths, mode, word):
    holds("pad", partial(F.pad, pad=theirs(widths), mode=word), X, widths=widths, mode=mode)


def test_padding_every_axis_with_a_number():
    widths = ((1, 0), (0, 2), (2, 1), (0, 3))
    fast = partial(F.pad, pad=[0, 3, 2, 1, 0, 2, 1, 0], value=-2.5)
    holds("pad", fast, X, widths=widths, fill=-2.5)


def test_zeros_are_what_is_padded_where_nothing_is_said():
    assert d.pad(np.ones(2), [(1, 2)]).tolist() == [0, 1, 1, 0, 0]


def test_padding_by_hand():
    x, dy = np.array([1.0, 2, 3]), np.array([1.0, 10, 100, 1000, 10_000, 100_000])
    assert d.pad(x, [(2, 1)], "reflect").tolist() == [3, 2, 1, 2, 3, 2]
    assert d.pad_backward(dy, x, [(2, 1)], "reflect")[0].tolist() == [100, 10 + 1000 + 100_000, 1 + 10_000]
    assert d.pad(x, [(2, 1)], "edge").tolist() == [1, 1, 1, 2, 3, 3]
    assert d.pad_backward(dy, x, [(2, 1)], "edge")[0].tolist() == [111, 1000, 110_000]


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
def test_stacking_is_pytorchs(axis):
    parts = [rng.standard_normal((2, 3)) for _ in range(4)]
    fast = lambda *parts: torch.stack(parts, axis)  # noqa: E731
    for tol, dtype in ((1e-10, np.float64), (1e-6, np.float32)):
        assert_matches(*pair("stack"), fast, *(p.astype(dtype) for p in parts), tol=tol, axis=axis)
    assert_slopes(*pair("stack"), *parts, axis=axis)


def test_parts_are_stacked_ahead_where_nothing_is_said():
    assert d.stack(np.zeros((2, 3)), np.ones((2, 3))).shape == (2, 2, 3)
    assert d.stack(np.zeros(3), np.ones(3)).tolist() == [[0, 0, 0], [1, 1, 1]]


def test_there_and_back():
    """A backward is the transpose of its forward, <f(x), y> = <x, f'(y)>: all of these are linear."""
    moves = [
        ("reshape", {"shape": (8, 15)}),
        ("transpose", {"axes": (2, 0, 3, 1)}),
        ("select", {"key": np.array([[1, 1], [0, 1]])}),
        ("broadcast", {"shape": (3, 2, 3, 4, 5)}),
        ("pad", {"widths": ((1, 1), (2, 0), (0, 3), (4, 1)), "mode": "reflect"}),
    ]
    for name, settings in moves:
        f, b = pair(name)
        y = rng.standard_normal(f(X, **settings).shape)
        there, back = (f(X, **settings) * y).sum(), (X * b(y, X, **settings)[0]).sum()
        assert there == pytest.approx(back, rel=1e-12), name


V = np.zeros((2, 3))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: d.reshape(V, (4, 2)),
            ShapeError,
            r"reshape: x \(2, 3\) has 6 numbers, which shape \(4, 2\) cannot hold",
        ),
        (lambda: d.reshape(V, (-1, 4)), ShapeError, r"shape \(-1, 4\) cannot hold"),
        (lambda: d.reshape(V, (-1, -1)), ShapeError, r"shape \(-1, -1\) cannot hold"),
        (
            lambda: d.transpose(V, (0,)),
            ShapeError,
            r"transpose: x \(2, 3\) has 2 axes, and axes \(0,\) orders 1",
        ),
        (
            lambda: d.transpose(V, (0, 0)),
            DefinitionError,
            r"transpose: axes \(0, 0\) of .* name one axis twice",
        ),
        (lambda: d.transpose(V, (0, 2)), ShapeError, r"transpose: an array of \(2, 3\) has no axes \(0, 2\)"),
        (
            lambda: d.transpose_backward(V, V, (0,)),
            ShapeError,
            r"transpose: x \(2, 3\) has 2 axes, and axes \(0,\) orders 1",
        ),
        (lambda: d.flip(V, 2), ShapeError, r"flip: an array of \(2, 3\) has no axes 2"),
        (
            lambda: d.select(V, 2),
            ShapeError,
            r"select: x \(2, 3\) has nothing at \[2\]: index 2 is out of bounds for axis 0 with size 2",
        ),
        (lambda: d.select(V, (0, 0, 0)), ShapeError, r"has nothing at \[\(0, 0, 0\)\]: too many indices"),
        (lambda: d.select(V, slice("a", None)), ShapeError, "select: .* slice indices must be integers"),
        (lambda: d.select(V, [[0], [0, 1]]), ShapeError, "select: "),
        (
            lambda: d.broadcast(V, (3, 3)),
            ShapeError,
            r"broadcast: x \(2, 3\) cannot be broadcast to shape \(3, 3\): counted from the last, each axis of x must be "
            "as there, or 1$",
        ),
        (lambda: d.broadcast(V, (3,)), ShapeError, r"to shape \(3,\)"),
        (
            lambda: d.pad(V, ((1, 1),)),
            ShapeError,
            r"pad: x \(2, 3\) wants 2 pairs \(before, after\), got 1: \(\(1, 1\),\)",
        ),
        (
            lambda: d.pad(V, ((0, 0), (1, -1))),
            DefinitionError,
            r"pad: along axis 1 widths must be at least 0, got \(1, -1\)",
        ),
        (
            lambda: d.pad(V, ((0, 0), (1, 3)), "reflect"),
            ShapeError,
            r"pad: along axis 1 3 cells have 2 to reflect, which is less than \(1, 3\)",
        ),
        (
            lambda: d.pad_backward(V, V, ((2, 0), (0, 0)), "reflect"),
            ShapeError,
            r"along axis 0 2 cells have 1 to reflect",
        ),
        (
            lambda: d.pad(V[:0], ((1, 0), (0, 0)), "edge"),
            ShapeError,
            r"pad: along axis 0 of x \(0, 3\) there is no edge to repeat",
        ),
        (
            lambda: d.pad(V, ((1, 1), (1, 1)), "wrap"),
            DefinitionError,
            "pad: mode must be one of constant, reflect, edge, got 'wrap'",
        ),
        (lambda: d.stack(), DefinitionError, "stack: there must be at least one part"),
        (lambda: d.stack(V, V.T), ShapeError, r"stack: parts must have one shape, got \(2, 3\), \(3, 2\)"),
        (
            lambda: d.stack(V, V, axis=3),
            ShapeError,
            r"stack: parts of \(2, 3\) have no place for an axis 3",
        ),
        (lambda: d.stack(V, V, axis=-4), ShapeError, "no place for an axis -4"),
    ],
)
def test_bad_input_is_told(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_nothing_is_reflected_in_nothing():
    assert d.pad(V[:0], ((0, 0), (1, 2)), "reflect").shape == (0, 6)

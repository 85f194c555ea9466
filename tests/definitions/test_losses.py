"""Losses against PyTorch, at their edges, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from oracle import assert_matches, assert_slopes
from torch.nn import functional as F

import hubel.definitions as d
from hubel.definitions import DefinitionError, ShapeError

rng = np.random.default_rng(29)
Z = 3 * rng.standard_normal((4, 3))
Q = d.softmax(Z)
T = d.softmax(rng.standard_normal((4, 3)))  # targets that are shares, not just ones
HARD = np.eye(3)[[0, 2, 1, 1]]


def log_from(clip):
    return lambda q: q.clamp(min=clip).log()


def binary(q, t, clip=1e-7):
    log = log_from(clip)
    return -(t * log(q) + (1 - t) * log(1 - q)).mean()


def categorical(q, t, clip=1e-7):
    return -(t * log_from(clip)(q)).sum(1).mean()


FAST = {
    "mean_squared_error": (F.mse_loss, Z),
    "binary_cross_entropy": (binary, Q),
    "binary_cross_entropy_with_logits": (F.binary_cross_entropy_with_logits, Z),
    "cross_entropy": (categorical, Q),
    "cross_entropy_with_logits": (F.cross_entropy, Z),
}


def pair(name):
    return getattr(d, name), getattr(d, f"{name}_backward")


@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("t", [T, HARD, 0.9 * HARD + 0.1 / 3], ids=["shares", "one-hot", "smoothed"])
def test_losses_are_pytorchs(name, t):
    fast, y = FAST[name]
    assert_matches(*pair(name), fast, y, t)
    assert_slopes(*pair(name), y, t)


@pytest.mark.parametrize("name", FAST)
def test_losses_in_float32_and_float16(name):
    fast, y = FAST[name]
    assert_matches(*pair(name), fast, y.astype(np.float32), T.astype(np.float32), tol=2e-6)
    forward, backward = pair(name)
    y, t = y.astype(np.float16), T.astype(np.float16)
    loss = forward(y, t)
    assert {loss.dtype, *(g.dtype for g in backward(loss, y, t))} == {np.dtype(np.float16)}


@pytest.mark.parametrize(
    "name", ["mean_squared_error", "binary_cross_entropy", "binary_cross_entropy_with_logits"]
)
def test_losses_per_number_take_any_shape(name):
    fast, y = FAST[name]
    assert_matches(*pair(name), fast, y.reshape(2, 3, 2), T.reshape(2, 3, 2))


@pytest.mark.parametrize("name", ["binary_cross_entropy", "cross_entropy"])
@pytest.mark.parametrize("clip", [1e-7, 0.05])
def test_what_is_clipped_learns_nothing(name, clip):
    q = np.array([[0.0, 1.0, 0.02], [0.3, 0.97, 0.05]])
    t = np.array([[0.3, 0.6, 0.1], [0.2, 0.7, 0.1]])
    fast = lambda q, t: FAST[name][0](q, t, clip)  # noqa: E731
    assert_matches(*pair(name), fast, q, t, clip=clip)
    assert np.isfinite(pair(name)[0](q, t, clip))


def test_certain_and_wrong_costs_sixteen_nats_and_no_more():
    q, t = np.array([[0.0, 1.0]]), np.array([[1.0, 0.0]])
    assert d.cross_entropy(q, t) == d.binary_cross_entropy(q, t) == pytest.approx(-math.log(1e-7))
    assert d.cross_entropy(t, t) == d.binary_cross_entropy(t, t) == 0


@pytest.mark.parametrize("t", [T, HARD])
def test_logits_and_probabilities_say_the_same(t):
    assert d.cross_entropy_with_logits(Z, t) == pytest.approx(d.cross_entropy(Q, t), rel=1e-12)
    assert d.binary_cross_entropy_with_logits(Z, t) == pytest.approx(
        d.binary_cross_entropy(d.sigmoid(Z), t), rel=1e-12
    )


def test_logits_never_overflow():
    z, t = np.array([[1e4, -1e4]]), np.array([[0.0, 1.0]])
    with np.errstate(all="raise", under="ignore"):
        assert d.cross_entropy_with_logits(z, t) == 2e4
        assert d.binary_cross_entropy_with_logits(z, t) == 1e4
        np.testing.assert_array_equal(d.cross_entropy_with_logits_backward(1.0, z, t)[0], [[1, -1]])
        np.testing.assert_array_equal(
            d.binary_cross_entropy_with_logits_backward(1.0, z, t)[0], [[0.5, -0.5]]
        )


def test_answer_minus_target():
    dz, _ = d.cross_entropy_with_logits_backward(4.0, Z, HARD)  # times 4, over N = 4
    np.testing.assert_allclose(dz, Q - HARD, atol=1e-14)


def test_targets_need_not_add_up_to_one():
    assert_matches(*pair("cross_entropy_with_logits"), F.cross_entropy, Z, 3 * T - 0.5)


def test_squared_error_by_hand():
    # (1 - 0)^2 + (3 - 1)^2 + 0 + 0 = 5, over 4 numbers; slopes 2 * 1 / 4 and 2 * 2 / 4
    y, t = np.array([[1.0, 3], [2, 2]]), np.array([[0.0, 1], [2, 2]])
    assert d.mean_squared_error(y, t) == 1.25
    dy, dt = d.mean_squared_error_backward(1.0, y, t)
    assert dy.tolist() == [[0.5, 1], [0, 0]] and dt.tolist() == [[-0.5, -1], [0, 0]]


def test_the_entropy_is_the_least():
    """No answer is cheaper than the targets themselves."""
    entropy = d.cross_entropy(T, T)
    assert all(d.cross_entropy(d.softmax(rng.standard_normal((4, 3))), T) > entropy for _ in range(20))


def test_one_hot():
    assert d.one_hot(np.array([2, 0]), 3).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert d.one_hot([1], 2, np.float32).dtype == np.float32
    assert d.one_hot(np.zeros(0, int), 3).shape == (0, 3)
    want = F.one_hot(torch.tensor([3, 1, 1]), 5).numpy()
    np.testing.assert_array_equal(d.one_hot([3, 1, 1], 5), want)


@pytest.mark.parametrize("name", FAST)
def test_answers_and_targets_of_two_shapes_are_told(name):
    text = rf"^{name}: answers and targets must have one shape, got \(4, 3\) and \(4, 2\)"
    for call in (pair(name)[0], lambda y, t: pair(name)[1](1.0, y, t)):
        with pytest.raises(ShapeError, match=text):
            call(Z, T[:, :2])


@pytest.mark.parametrize("name", ["cross_entropy", "cross_entropy_with_logits"])
def test_classes_stand_in_columns(name):
    with pytest.raises(ShapeError, match=rf"^{name}: answers and targets must be \(N, K\), got \(4,\)"):
        pair(name)[0](Z[:, 0], T[:, 0])


@pytest.mark.parametrize(
    ("labels", "text"), [([0, 3], "labels go from 0 to 3"), ([-1, 1], "labels go from -1 to 1")]
)
def test_a_label_that_is_no_class_is_told(labels, text):
    with pytest.raises(DefinitionError, match=f"one_hot: classes are 0 to 2, {text}"):
        d.one_hot(labels, 3)

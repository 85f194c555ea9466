"""Attention against PyTorch, with every kind of mask, and its laws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from oracle import assert_matches, assert_slopes
from torch.nn import functional as F

from hubel.definitions import ShapeError
from hubel.definitions import scaled_dot_product_attention as attend
from hubel.definitions import scaled_dot_product_attention_backward as attend_backward

rng = np.random.default_rng(19)
Q, K, V = (rng.standard_normal(s) for s in ((2, 3, 4, 5), (2, 3, 6, 5), (2, 3, 6, 7)))
SOME = rng.random((4, 6)) < 0.6
SOME[:, 0] = True


def without_mask(dy, q, k, v):
    return attend_backward(dy, q, k, v)[:3]


@pytest.mark.parametrize("ahead", [(0, 0), (0,), ()])
def test_attention_is_pytorchs(ahead):
    arrays = [a[ahead] if ahead else a for a in (Q, K, V)]
    assert_matches(attend, without_mask, F.scaled_dot_product_attention, *arrays)
    assert_slopes(attend, without_mask, *arrays)


def test_attention_in_float32():
    arrays = [a.astype(np.float32) for a in (Q, K, V)]
    assert_matches(attend, without_mask, F.scaled_dot_product_attention, *arrays, tol=1e-5)


@pytest.mark.parametrize("mask", [SOME, rng.random((2, 1, 4, 6)) < 0.8, np.tril(np.ones((4, 6), bool))])
def test_a_mask_of_yes_and_no_is_pytorchs(mask):
    mask = mask | (np.arange(6) == 0)
    assert_matches(attend, attend_backward, F.scaled_dot_product_attention, Q, K, V, mask)


@pytest.mark.parametrize("shape", [(4, 6), (3, 4, 6), (2, 1, 1, 6), (2, 3, 4, 1)])
def test_a_mask_that_is_added_has_a_gradient(shape):
    mask = rng.standard_normal(shape)
    assert_matches(attend, attend_backward, F.scaled_dot_product_attention, Q, K, V, mask)
    assert_slopes(attend, attend_backward, Q, K, V, mask)


def test_who_may_look_nowhere_gets_zeros():
    mask = SOME.copy()
    mask[2] = False
    y = attend(Q, K, V, mask)
    assert (y[:, :, 2] == 0).all()
    np.testing.assert_allclose(
        y, F.scaled_dot_product_attention(*map(torch.tensor, (Q, K, V, mask))), atol=1e-12
    )
    dq, dk, dv, dmask = attend_backward(np.ones_like(y), Q, K, V, mask)
    assert dmask is None and (dq[:, :, 2] == 0).all() and all(np.isfinite(g).all() for g in (dq, dk, dv))
    np.testing.assert_array_equal(attend(Q, K, V, np.where(mask, 0.0, -np.inf)), y)


def test_equal_keys_are_asked_alike():
    np.testing.assert_allclose(
        attend(Q, np.ones_like(K), V), np.broadcast_to(V.mean(2, keepdims=True), (2, 3, 4, 7))
    )


def test_the_order_of_keys_is_no_matter():
    order = rng.permutation(6)
    np.testing.assert_allclose(attend(Q, K[:, :, order], V[:, :, order]), attend(Q, K, V), atol=1e-12)


def test_attention_by_hand():
    # q k = (0, 2 ln 3), over sqrt(4) = (0, ln 3): weights 1/4 and 3/4 of the values 4 and 8
    q, k = np.array([[1.0, 0, 0, 0]]), np.array([[0.0, 0, 0, 0], [2 * np.log(3), 0, 0, 0]])
    assert attend(q, k, np.array([[4.0], [8.0]])) == pytest.approx(np.array([[7.0]]))


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        (
            (Q[..., :4], K, V),
            r"q has 4 features but k has 5 \(q \(2, 3, 4, 4\), k \(2, 3, 6, 5\), v \(2, 3, 6, 7\)\)",
        ),
        ((Q, K, V[:, :, :5]), r"there are 6 keys but 5 values \(.*k \(2, 3, 6, 5\), v \(2, 3, 5, 7\)\)"),
        ((Q[:1], K, V), "q, k and v must agree in all axes but the last two"),
        ((Q, K, V[:1]), r"q, k and v must agree in all axes .* v \(1, 3, 6, 7\)\)"),
        ((Q[0, 0, 0], K[0, 0], V[0, 0]), "q, k and v must agree in all axes"),
        ((Q, K, V, SOME.T), r"the mask must broadcast to \(..., L, S\) = \(2, 3, 4, 6\), got \(6, 4\)"),
        ((Q, K, V, np.ones((9, 2, 3, 4, 6))), r"the mask must broadcast .* got \(9, 2, 3, 4, 6\)"),
    ],
)
def test_shapes_that_disagree_are_told(arrays, text):
    with pytest.raises(ShapeError, match=f"scaled_dot_product_attention: {text}"):
        attend(*arrays)

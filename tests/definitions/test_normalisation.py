"""Normalisations against PyTorch, against finite differences, and their laws."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from oracle import assert_matches, assert_slopes
from torch.nn import functional as F

import hubel.definitions as d
from hubel.definitions import DefinitionError, ShapeError

rng = np.random.default_rng(17)
X = 2 * rng.standard_normal((3, 4, 5, 2)) + 1.5
GAMMA, BETA, MEAN = (rng.standard_normal(4) for _ in range(3))
VARIANCE = rng.random(4) + 0.1


def batch(x, gamma=None, beta=None, eps=1e-5):
    return F.batch_norm(x, None, None, gamma, beta, training=True, eps=eps)


def instance(x, gamma=None, beta=None, eps=1e-5):
    return F.instance_norm(x, weight=gamma, bias=beta, eps=eps)


@pytest.mark.parametrize(("name", "fast"), [("batch_norm", batch), ("instance_norm", instance)])
@pytest.mark.parametrize("x", [X, X[..., 0]], ids=["pictures", "lines"])
@pytest.mark.parametrize("eps", [1e-5, 0.3])
def test_batch_and_instance_norm_are_pytorchs(name, fast, x, eps):
    pair = getattr(d, name), getattr(d, f"{name}_backward")
    assert_matches(*pair, partial(fast, eps=eps), x, GAMMA, BETA, eps=eps)
    assert_slopes(*pair, x, GAMMA, BETA, eps=eps)
    bare = pair[0], lambda dy, x, eps: pair[1](dy, x, eps=eps)[:1]
    assert_matches(*bare, partial(fast, eps=eps), x, eps=eps)
    assert_matches(
        *pair, partial(fast, eps=eps), *(a.astype(np.float32) for a in (x, GAMMA, BETA)), tol=2e-5, eps=eps
    )


def test_batch_norm_of_vectors():
    assert_matches(d.batch_norm, d.batch_norm_backward, batch, X[:, :, 0, 0], GAMMA, BETA)


@pytest.mark.parametrize(
    "name", ["batch_norm", "instance_norm", "layer_norm", "group_norm", "batch_norm_inference", "standardise"]
)
def test_a_small_epsilon_where_none_is_said(name):
    tiny = 1e-3 * X[..., 0]  # eps = 1e-5 is as large as the variance here
    more = {"batch_norm_inference": (MEAN, 0 * MEAN), "standardise": ((0,),)}.get(name, ())
    f, b = getattr(d, name), getattr(d, f"{name}_backward")
    np.testing.assert_array_equal(f(tiny, *more), f(tiny, *more, eps=1e-5))
    np.testing.assert_array_equal(b(tiny, tiny, *more)[0], b(tiny, tiny, *more, eps=1e-5)[0])


def test_a_gradient_is_given_for_scale_and_shift_that_are_not():
    dy = rng.standard_normal(X.shape)
    one, nought = np.ones(4), np.zeros(4)
    for f in (d.batch_norm_backward, d.instance_norm_backward):
        for got, want in zip(f(dy, X), f(dy, X, one, nought), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-12)


def test_batch_norms_output_has_mean_0_and_variance_1():
    y = d.batch_norm(X, eps=0.0)
    np.testing.assert_allclose(y.mean((0, 2, 3)), 0, atol=1e-14)
    np.testing.assert_allclose(y.var((0, 2, 3)), 1, rtol=1e-12)
    np.testing.assert_allclose(d.batch_norm(X, GAMMA, BETA, 0.0).mean((0, 2, 3)), BETA, atol=1e-14)


def test_batch_norm_is_blind_to_scale_and_shift_of_its_input():
    np.testing.assert_allclose(d.batch_norm(7 * X + 3, eps=0.0), d.batch_norm(X, eps=0.0), atol=1e-12)
    # so no gradient flows along either
    (dx,) = d.standardise_backward(rng.standard_normal(X.shape), X, (0, 2, 3), 0.0)
    np.testing.assert_allclose(dx.sum((0, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose((dx * X).sum((0, 2, 3)), 0, atol=1e-12)


@pytest.mark.parametrize("momentum", [0.1, 0.7])
def test_running_statistics_are_pytorchs(momentum):
    mean, variance = torch.tensor(MEAN), torch.tensor(VARIANCE)
    F.batch_norm(torch.tensor(X), mean, variance, training=True, momentum=momentum)
    got = d.running_statistics(X, MEAN, VARIANCE, momentum)
    np.testing.assert_allclose(got.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(got.variance, variance, rtol=1e-12)
    assert d.running_statistics(X, MEAN, VARIANCE).mean == pytest.approx(0.9 * MEAN + 0.1 * X.mean((0, 2, 3)))


def test_running_statistics_by_hand():
    # 1, 2, 3, 6: mean 3, squares 4 + 1 + 0 + 9 = 14, over n - 1 = 3; half of the old, half of the new
    got = d.running_statistics(np.array([[1.0], [2], [3], [6]]), np.array([1.0]), np.array([0.0]), 0.5)
    assert got.mean.tolist() == [2] and got.variance == pytest.approx([7 / 3])


@pytest.mark.parametrize("eps", [1e-5, 0.3])
def test_batch_norm_in_use_is_pytorchs(eps):
    def fast(x, mean, variance, gamma, beta):
        return F.batch_norm(x, mean.detach(), variance.detach(), gamma, beta, training=False, eps=eps)

    arrays = X, MEAN, VARIANCE, GAMMA, BETA
    pair = d.batch_norm_inference, d.batch_norm_inference_backward
    assert_matches(*pair, fast, *arrays, eps=eps)
    assert_slopes(*pair, *arrays, eps=eps)
    assert_matches(*pair, fast, *(a.astype(np.float32) for a in arrays), tol=2e-5, eps=eps)


def test_in_use_the_other_items_do_not_matter():
    y = d.batch_norm_inference(X, MEAN, VARIANCE, GAMMA, BETA)
    np.testing.assert_allclose(y[1:2], d.batch_norm_inference(X[1:2], MEAN, VARIANCE, GAMMA, BETA))


def test_batch_norm_in_use_without_scale_and_shift():
    y = d.batch_norm_inference(X, MEAN, VARIANCE)
    np.testing.assert_allclose(y, d.batch_norm_inference(X, MEAN, VARIANCE, np.ones(4), np.zeros(4)))
    dy = rng.standard_normal(X.shape)
    bare, scaled = (d.batch_norm_inference_backward(dy, X, MEAN, VARIANCE, g) for g in (None, np.ones(4)))
    for got, want in zip(bare, scaled, strict=True):
        assert (got is None) == (want is None)
        if got is not None:
            np.testing.assert_allclose(got, want)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("eps", [1e-5, 0.3])
def test_layer_norm_is_pytorchs(axes, eps):
    shape = X.shape[-axes:]
    gamma, beta = rng.standard_normal(shape), rng.standard_normal(shape)
    fast = lambda x, g=None, b=None: F.layer_norm(x, shape, g, b, eps)  # noqa: E731
    pair = d.layer_norm, d.layer_norm_backward
    assert_matches(*pair, fast, X, gamma, beta, axes=axes, eps=eps)
    assert_slopes(*pair, X, gamma, beta, axes=axes, eps=eps)
    bare = lambda dy, x, axes, eps: pair[1](dy, x, None, None, axes, eps)[:1]  # noqa: E731
    assert_matches(d.layer_norm, bare, fast, X, axes=axes, eps=eps)


def test_layer_norm_takes_the_last_axis_where_none_is_said():
    np.testing.assert_array_equal(d.layer_norm(X), d.layer_norm(X, None, None, 1))
    np.testing.assert_allclose(d.layer_norm(X, eps=0.0).mean(-1), 0, atol=1e-12)


def test_layer_norm_in_float32():
    arrays = [a.astype(np.float32) for a in (X[:, 0], X[0, 0, 0], X[0, 0, 1])]
    fast = lambda x, g, b: F.layer_norm(x, (2,), g, b, 0.1)  # noqa: E731
    assert_matches(d.layer_norm, d.layer_norm_backward, fast, *arrays, tol=2e-5, eps=0.1)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("x", [X, X[..., 0]], ids=["pictures", "lines"])
@pytest.mark.parametrize("eps", [1e-5, 0.3])
def test_group_norm_is_pytorchs(groups, x, eps):
    fast = lambda x, g=None, b=None: F.group_norm(x, groups, g, b, eps)  # noqa: E731
    pair, settings = (d.group_norm, d.group_norm_backward), {"groups": groups, "eps": eps}
    assert_matches(*pair, fast, x, GAMMA, BETA, **settings)
    assert_slopes(*pair, x, GAMMA, BETA, **settings)
    small = [a.astype(np.float32) for a in (x, GAMMA, BETA)]
    assert_matches(*pair, fast, *small, tol=5e-5, **settings)
    bare = lambda dy, x, groups, eps: pair[1](dy, x, None, None, groups, eps)[:1]  # noqa: E731
    assert_matches(pair[0], bare, fast, x, **settings)


def test_group_norm_of_vectors():
    fast = lambda x, g, b: F.group_norm(x, 2, g, b, 0.1)  # noqa: E731
    assert_matches(d.group_norm, d.group_norm_backward, fast, X[:, :, 0, 0], GAMMA, BETA, groups=2, eps=0.1)


def test_groups_lie_between_instances_and_layers():
    np.testing.assert_allclose(d.group_norm(X, GAMMA, BETA, groups=4), d.instance_norm(X, GAMMA, BETA))
    np.testing.assert_allclose(d.group_norm(X), d.layer_norm(X, axes=3))  # one group where none are said


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("eps", [None, 1e-5, 0.3])
def test_rms_norm_is_pytorchs(axes, eps):
    shape = X.shape[-axes:]
    gamma = rng.standard_normal(shape)
    fast = lambda x, g=None: F.rms_norm(x, shape, g, eps)  # noqa: E731
    pair = d.rms_norm, d.rms_norm_backward
    assert_matches(*pair, fast, X, gamma, axes=axes, eps=eps)
    assert_matches(*pair, fast, X.astype(np.float32), gamma.astype(np.float32), tol=2e-5, axes=axes, eps=eps)
    assert_slopes(*pair, X, gamma, axes=axes, eps=eps)
    bare = lambda dy, x, axes, eps: pair[1](dy, x, None, axes, eps)[:1]  # noqa: E731
    assert_matches(pair[0], bare, fast, X, axes=axes, eps=eps)


def test_rms_norm_by_hand():
    # mean(3^2, 4^2) = 12.5
    np.testing.assert_allclose(d.rms_norm(np.array([3.0, 4.0])), np.array([3, 4]) / 12.5**0.5, rtol=1e-12)


def test_the_eps_of_rms_norm_where_none_is_said_is_the_smallest_step():
    tiny = np.full((2, 3), 1e-5, np.float32)  # squared 1e-10, and the step of float32 is 1.2e-7
    np.testing.assert_allclose(d.rms_norm(tiny), 1e-5 / np.sqrt(1e-10 + 2.0**-23), rtol=1e-6)


def test_rms_norm_of_what_has_mean_nought_is_layer_norm():
    centred = X - X.mean(-1, keepdims=True)
    np.testing.assert_allclose(d.rms_norm(centred, eps=1e-5), d.layer_norm(X), rtol=1e-9)


@pytest.mark.parametrize(
    "size", [1, 2, 3, 5, 6, 11]
)  # even: one more before than behind; 11: wider than the maps
@pytest.mark.parametrize("more", [{}, {"alpha": 0.3, "beta": 0.6, "k": 2.0}])
def test_local_response_norm_is_pytorchs(size, more):
    x = rng.standard_normal((2, 7, 3, 4))
    fast = partial(F.local_response_norm, size=size, **more)
    pair = d.local_response_norm, d.local_response_norm_backward
    assert_matches(*pair, fast, x, size=size, **more)
    assert_slopes(*pair, x, size=size, **more)
    assert_matches(*pair, fast, x.astype(np.float32), tol=1e-5, size=size, **more)


def test_local_response_norm_by_hand():
    # three maps of 1, 2, 3, two neighbours seen (c - 1 and c), alpha / size = 1, beta = 1, k = 1:
    # 1 / (1 + 1), 2 / (1 + 1 + 4), 3 / (1 + 4 + 9)
    x = np.array([1.0, 2, 3]).reshape(1, 3, 1)
    y = d.local_response_norm(x, 2, alpha=2.0, beta=1.0, k=1.0)
    np.testing.assert_allclose(y[0, :, 0], [1 / 2, 2 / 6, 3 / 14])


def test_alexnets_neighbours_are_five():
    x = rng.standard_normal((1, 9, 2))
    np.testing.assert_array_equal(d.local_response_norm(x), d.local_response_norm(x, 5, 1e-4, 0.75, 1.0))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: d.batch_norm(X, MEAN[:3]),
            ShapeError,
            r"batch_norm: x has 4 channels \(x \(3, 4, 5, 2\)\), but one of its vectors is \(3,\), not \(4,\)$",
        ),
        (lambda: d.batch_norm(X, MEAN, MEAN[:2]), ShapeError, r"one of its vectors is \(2,\)"),
        (lambda: d.batch_norm(MEAN), ShapeError, r"batch_norm: x must be \(N, C, ...\), got \(4,\)"),
        (
            lambda: d.batch_norm(X[:1, :, 0, 0]),
            ShapeError,
            r"batch_norm: one number per channel has no variance \(x \(1, 4\)\): give at least two items or positions$",
        ),
        (lambda: d.running_statistics(X, MEAN, MEAN[:1]), ShapeError, "running_statistics: x has 4 channels"),
        (
            lambda: d.batch_norm_inference(X, MEAN, MEAN, None, MEAN[:1]),
            ShapeError,
            "batch_norm_inference: x has 4 channels",
        ),
        (lambda: d.instance_norm(X, MEAN[:1]), ShapeError, "instance_norm: x has 4 channels"),
        (
            lambda: d.instance_norm(X[:, :, :1, :1]),
            ShapeError,
            r"instance_norm: a picture of one number has no variance \(x \(3, 4, 1, 1\)\): give at least two positions$",
        ),
        (
            lambda: d.layer_norm(X, MEAN),
            ShapeError,
            r"layer_norm: gamma must be \(2,\), the last axes of x \(3, 4, 5, 2\), got \(4,\)",
        ),
        (lambda: d.layer_norm(X, X[0, 0], MEAN, 2), ShapeError, r"beta must be \(5, 2\), .* got \(4,\)"),
        (
            lambda: d.layer_norm(X, axes=5),
            DefinitionError,
            r"layer_norm: x \(3, 4, 5, 2\) has 1 to 4 last axes, got 5",
        ),
        (lambda: d.layer_norm(X, axes=0), DefinitionError, "last axes, got 0"),
        (
            lambda: d.group_norm(X, groups=3),
            DefinitionError,
            r"group_norm: 3 groups must divide the 4 channels of x \(3, 4, 5, 2\)",
        ),
        (lambda: d.group_norm(X, groups=0), DefinitionError, "group_norm: 0 groups must divide"),
        (lambda: d.group_norm(X, MEAN[:2], groups=2), ShapeError, "group_norm: x has 4 channels"),
        (lambda: d.group_norm_backward(X, X, MEAN, MEAN[:1]), ShapeError, "group_norm: x has 4 channels"),
        (
            lambda: d.group_norm(X[:, :, 0, 0], groups=4),
            ShapeError,
            r"group_norm: one number in each of 4 groups has no variance \(x \(3, 4\)\): make fewer groups$",
        ),
        (
            lambda: d.rms_norm(X, MEAN),
            ShapeError,
            r"rms_norm: gamma must be \(2,\), the last axes of x \(3, 4, 5, 2\), got \(4,\)",
        ),
        (lambda: d.rms_norm_backward(X, X, axes=5), DefinitionError, "rms_norm: .* 1 to 4 last axes, got 5"),
        (
            lambda: d.local_response_norm(X[:, :, 0, 0]),
            ShapeError,
            r"local_response_norm: x must be \(N, C, ...\) with a picture, got \(3, 4\)",
        ),
        (
            lambda: d.local_response_norm(X, 0),
            DefinitionError,
            "local_response_norm: size must be at least 1, got 0",
        ),
    ],
)
def test_bad_input_is_told(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_two_numbers_are_enough_for_a_variance():
    assert d.batch_norm(X[:2, :, 0, 0]).shape == (2, 4)
    assert d.instance_norm(X[:, :, :1]).shape == (3, 4, 1, 2)

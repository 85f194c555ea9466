"""Every definition is PyTorch's; and each of these mistakes, made on purpose, turns the row of its operation red."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import hubel.definitions as d
from hubel.definitions import windows
from hubel.verification import rows, verify
from hubel.verification.cases import CASES
from hubel.verification.operations import compared, operation


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", [0, 5])
def test_every_definition_is_pytorchs(name, seed):
    (row,) = verify([name], seed=seed)
    assert row.wrong == ""
    assert (row.name, row.cases) == (name, len(CASES[name]))


def test_the_tolerances_are_those_that_are_asked_for():
    (row,) = verify(["conv2d"])
    assert row.within["float64"] == rows.Errors(1e-10, 1e-10)
    assert row.within["float32"].forward <= 1e-4 and row.within["float32"].backward <= 1e-4
    assert 0 < row.errors["float64"].forward < 1e-14 < 1e-8 < row.errors["float32"].backward < 1e-5


# ---- mistakes, each a wrong version of one definition ----

Mistake = Callable[..., Any]


def flipped_kernel(f: Mistake) -> Mistake:
    return lambda x, w, *rest, **s: f(x, w[:, :, ::-1, ::-1], *rest, **s)


def height_for_width(f: Mistake) -> Mistake:
    def wrong(x, w, b=None, stride=1, **s):
        return f(x, w, b, stride[::-1] if isinstance(stride, tuple) else stride, **s)

    return wrong


def sides_exchanged(f: Mistake) -> Mistake:
    """(top, bottom) taken for (bottom, top)."""

    def wrong(x, w, b=None, stride=1, padding=0, *rest, **s):
        uneven = isinstance(padding, tuple) and isinstance(padding[0], tuple)
        return f(x, w, b, stride, tuple(p[::-1] for p in padding) if uneven else padding, *rest, **s)

    return wrong


def without(*settings: str) -> Callable[[Mistake], Mistake]:
    """A setting that is accepted and ignored."""
    return lambda f: lambda *a, **s: f(*a, **{k: v for k, v in s.items() if k not in settings})


def transposed_gradient(f: Mistake) -> Mistake:
    def wrong(dy, x, w, b=None):
        dx, dw, db = f(dy, x, w, b)
        return dx, dw.T if dw.shape[0] == dw.shape[1] else dw, db

    return wrong


def no_gradient(place: int) -> Callable[[Mistake], Mistake]:
    def of(f: Mistake) -> Mistake:
        return lambda *a, **s: tuple(None if i == place else g for i, g in enumerate(f(*a, **s)))

    return of


def times(factor: float) -> Callable[[Mistake], Mistake]:
    """Every gradient by the same factor, as a forgotten 1 / N gives it."""
    return lambda f: lambda *a, **s: tuple(None if g is None else g * factor for g in f(*a, **s))


def written_once(_: Mistake) -> Mistake:
    """= where += is meant: the last of the places that share a word wins."""

    def wrong(dy, ids, w):
        dw = np.zeros(w.shape, dy.dtype)
        dw[ids] = dy
        return None, dw

    return wrong


def to_every_tied_cell(_: Mistake) -> Mistake:
    def wrong(dy, x, kernel, stride=None, padding=0, dilation=1, ceil=False):
        over = windows.grid("", x.shape[2:], kernel, stride or kernel, padding, dilation, ceil=ceil)
        y, dx = d.max_pool2d(x, kernel, stride, padding, dilation, ceil), over.pad(np.zeros_like(x))
        for (_, _, cell), (_, _, dcell) in zip(over.cells(over.pad(x, -np.inf)), over.cells(dx), strict=True):
            dcell += dy * (cell == y)
        return (over.inside(dx),)

    return wrong


def zeros_around(_: Mistake) -> Mistake:
    """A maximum over a padding of zeros."""

    def wrong(x, kernel, stride=None, padding=0, dilation=1, ceil=False):
        over = windows.grid("", x.shape[2:], kernel, stride or kernel, padding, dilation, ceil=ceil)
        return over.windows(over.pad(x)).max((4, 5))

    return wrong


def eps_beside_the_root(_: Mistake) -> Mistake:
    def wrong(x, axes, eps=1e-5):
        return (x - x.mean(axes, keepdims=True)) / (x.std(axes, keepdims=True) + eps)

    return wrong


def of_the_batch_itself(_: Mistake) -> Mistake:
    """The variance over n, where n - 1 is meant."""

    def wrong(x, mean, variance, momentum=0.1):
        axes = (0, *range(2, x.ndim))
        new = x.mean(axes), x.var(axes)
        return tuple(
            (1 - momentum) * old + momentum * n for old, n in zip((mean, variance), new, strict=True)
        )

    return wrong


def in_place(_: Mistake) -> Mistake:
    return lambda x: np.maximum(x, 0, out=x)


def into_dy(_: Mistake) -> Mistake:
    """A backward that works in the gradient that it was handed, which others may hold too."""

    def wrong(dy, x):
        dy *= x > 0
        return (dy,)

    return wrong


def doubled(f: Mistake) -> Mistake:
    """Always float64."""
    return lambda *a, **s: np.asarray(f(*a, **s), np.float64)


def raising(_: Mistake) -> Mistake:
    def wrong(*_, **__):
        raise IndexError("no axis 7")

    return wrong


def by_its_own_order(_: Mistake) -> Mistake:
    return lambda dy, x, axes: (np.transpose(dy, axes),)


def without_correction(_: Mistake) -> Mistake:
    """Adam that is not freed from its start at zero."""
    return lambda p, g, state=d.START, *, beta2=0.999, beta1=0.9, rate, eps, decay=0.0: d.Step(
        {n: v - rate * (1 - beta1) * g[n] / (np.sqrt((1 - beta2) * g[n] ** 2) + eps) for n, v in p.items()},
        state,
    )


def as_momentum(_: Mistake) -> Mistake:
    return d.momentum


def decay_in_the_gradient(_: Mistake) -> Mistake:
    return d.adam


def reset_before(_: Mistake) -> Mistake:
    """The paper's GRU, whose reset acts on h and not behind its matrix."""

    def wrong(x, h, w_x, w_h, b_x=0, b_h=0):
        a, K = x @ w_x.T + b_x, h.shape[1]
        e = h @ w_h.T + b_h
        r, z = (d.sigmoid(a[:, i : i + K] + e[:, i : i + K]) for i in (0, K))
        n = np.tanh(a[:, 2 * K :] + ((r * h) @ w_h.T + b_h)[:, 2 * K :])
        return (1 - z) * n + z * h

    return wrong


def without_the_others(_: Mistake) -> Mistake:
    """softmax's slope as if it were sigmoid's."""

    def wrong(dy, x, axis=-1):
        y = d.softmax(x, axis)
        return (dy * y * (1 - y),)

    return wrong


MISTAKES = {  # definition, mistake; what the complaint must name
    "the kernel is flipped": ("conv2d", flipped_kernel, "'plain' in float64: the value is off by"),
    "H is taken for W": ("conv2d", height_for_width, "'each axis its own' in float64: the value"),
    "top is taken for bottom": ("conv2d", sides_exchanged, "'each side its own' in float64: the value"),
    "dilation is ignored": ("conv2d", without("dilation"), "'dilation' in float64: the value: (1, "),
    "the bias learns nothing": ("conv2d_backward", no_gradient(2), "'plain' in float64: db: PyTorch alone gives one"),
    "a gradient is transposed": ("linear_backward", transposed_gradient, "'square' in float64: dw is off by"),
    "a word learns from one place": ("embedding_backward", written_once, "'words that stand twice' in float64: dw"),
    "every tied cell wins": ("max_pool2d_backward", to_every_tied_cell, "'ties' in float64: dx is off by"),
    "zeros win": ("max_pool2d", zeros_around, "'padded' in float64: the value is off by"),
    "ceil is ignored": ("avg_pool2d", without("ceil"), "'rounded up' in float64: the value: (2, 3, "),
    "padding counts": ("avg_pool2d", without("count_padding"), "'padded, of the picture alone' in float64: the value"),
    "eps is beside the root": ("standardise", eps_beside_the_root, "'over a batch' in float64: the value"),
    "n - 1 is n": ("running_statistics", of_the_batch_itself, "'pictures' in float64: value 1 is off by"),
    "an input is written to": ("relu", in_place, "'both signs' in float64: an input is written to"),
    "the gradient from above is written to": ("relu_backward", into_dy, "'both signs' in float64: an input of the backward is"),
    "float32 is not kept": ("tanh", doubled, "'both signs' in float32: the value: float64, PyTorch's is float32"),
    "it raises": ("gelu", raising, "'both signs' in float64: IndexError is raised: no axis 7"),
    "a backward raises": ("gelu_backward", raising, "'both signs' in float64: IndexError is raised: no axis 7"),
    "the order is not inverted": ("transpose_backward", by_its_own_order, "'channels first' in float64: dx: (2, "),
    "the mean is a sum": ("cross_entropy_with_logits_backward", times(4), "'shares' in float64: "),
    "dropout does not divide": ("dropout", lambda _: lambda x, mask, p=0.5: x * mask, "'a half' in float64: the value"),
    "classes do not compete": ("softmax_backward", without_the_others, "'the last axis' in float64: dx"),
    "corners are not aligned": ("upsample_bilinear", without("align_corners"), "corners aligned' in float64: the value"),
    "the reset is the paper's": ("gru_cell", reset_before, "'biases' in float64: the value"),
    "adam begins too small": ("adam", without_correction, "'4 steps' in float64: value"),
    "nesterov is momentum": ("nesterov", as_momentum, "'4 steps' in float64: value"),
    "adamw decays as adam": ("adamw", decay_in_the_gradient, "'4 steps with decay' in float64: value"),
    "eps leaves the root": ("rmsprop", without("under_root"), "'4 steps, as in PyTorch' in float64: value"),
}  # fmt: skip


def make(monkeypatch, name: str, mistake: Callable[[Mistake], Mistake]) -> None:
    right = getattr(d, name)
    wrong = functools.wraps(right)(mistake(right))
    monkeypatch.setattr(sys.modules[right.__module__], name, wrong)


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_turns_its_row_red(monkeypatch, what):
    name, mistake, said = MISTAKES[what]
    make(monkeypatch, name, mistake)
    (row,) = verify([name.removesuffix("_backward")])
    assert not row.ok and said in row.wrong


def test_a_mistake_deep_inside_is_seen_by_all_that_stand_on_it(monkeypatch):
    """= where += is meant, in the sum over windows that overlap."""

    def spread(over, columns):
        (N, G, most, _), (U, V) = columns.shape, over.kernel
        seen = columns.reshape(N, G * most // (U * V), U, V, *over.out)
        canvas = np.zeros((*seen.shape[:2], *over.canvas), columns.dtype)
        for u, v, cell in over.cells(canvas):
            cell[:] = seen[:, :, u, v]
        return canvas

    monkeypatch.setattr(windows.Grid, "spread", spread)
    found = {row.name: row.ok for row in verify(with_networks=False)}
    red = {"conv2d", "conv1d", "convolve2d", "convolve1d", "conv_transpose2d", "partial_conv2d"}
    assert {name for name, ok in found.items() if not ok} == red


def test_eps_in_the_wrong_place_is_seen_in_every_norm(monkeypatch):
    make(monkeypatch, "standardise", eps_beside_the_root)
    norms = ["batch_norm", "layer_norm", "instance_norm", "group_norm", "batch_norm_inference"]
    red = {row.name for row in verify(norms) if not row.ok}
    assert red == set(norms) - {"batch_norm_inference"}  # which has a root of its own


def test_a_wrong_case_is_told_too():
    """PyTorch's side may fail as well: nothing is skipped."""
    case = replace(CASES["relu"][0], fast=lambda x: x.softmax(9))
    found = list(compared(operation("relu"), [case], 0))
    assert len(found) == 2 and all(
        "IndexError is raised: Dimension out of range" in f.forward.where for f in found
    )


def test_the_seed_draws_the_numbers_whatever_else_is_verified():
    one, other = verify(["linear"], seed=3)[0], verify(["linear"], seed=4)[0]
    assert one == verify(["conv2d", "linear"], seed=3)[1]
    assert one.errors != other.errors


def test_progress_goes_up_to_the_number_of_rows():
    told = []
    verify(["relu", "tanh", "add"], progress=lambda *at: told.append(at))
    assert told == [(0, 3), (1, 3), (2, 3)]

"""Optimizers against PyTorch's over several steps, by hand, and as pure functions."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch

from hubel.definitions import (
    OPTIMIZERS,
    START,
    DefinitionError,
    ShapeError,
    adam,
    adamw,
    gd,
    momentum,
    nesterov,
    rmsprop,
)
from hubel.training.steps import rmsprop as trained_by
from hubel.training.steps import rmsprop_start

rng = np.random.default_rng(31)
BEGIN = {"w": rng.standard_normal((3, 2)), "b": rng.standard_normal(3)}
A = {
    "w": rng.random((3, 2)) + 0.2,
    "b": rng.random(3),
}  # f = sum a p^4 / 4: gradients a p^3, never twice the same

FAST = {  # name: (PyTorch's, our word -> its word)
    "gd": (torch.optim.SGD, {}),
    "momentum": (torch.optim.SGD, {"momentum": "momentum"}),
    "nesterov": (torch.optim.SGD, {"momentum": "momentum"}),
    "rmsprop": (torch.optim.RMSprop, {"rho": "alpha", "eps": "eps"}),
    "adam": (torch.optim.Adam, {"eps": "eps"}),
    "adamw": (torch.optim.AdamW, {"eps": "eps"}),
}
SETTINGS = {
    "gd": {},
    "momentum": {"momentum": 0.7},
    "nesterov": {"momentum": 0.7},
    "rmsprop": {"rho": 0.8, "eps": 1e-3, "under_root": False},
    "adam": {"beta1": 0.7, "beta2": 0.9, "eps": 1e-3},
    "adamw": {"beta1": 0.7, "beta2": 0.9, "eps": 1e-3},
}


def walk(step, steps, begin=BEGIN, **settings):
    parameters, state = begin, START
    for _ in range(steps):
        gradients = {n: A[n].astype(p.dtype) * p**3 for n, p in parameters.items()}
        parameters, state = step(parameters, gradients, state, **settings)
    return parameters, state


def pytorch(make, steps, **settings):
    leaves = {n: torch.tensor(p, requires_grad=True) for n, p in BEGIN.items()}
    made = make(leaves.values(), **settings)
    for _ in range(steps):
        made.zero_grad()
        sum((torch.tensor(A[n]) * p**4 / 4).sum() for n, p in leaves.items()).backward()
        made.step()
    return {n: p.detach().numpy() for n, p in leaves.items()}


@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("steps", [1, 2, 7])
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_optimizers_are_pytorchs(name, steps, decay):
    make, words = FAST[name]
    given = SETTINGS[name]
    theirs = {words[k]: v for k, v in given.items() if k in words}
    if "beta1" in given:
        theirs["betas"] = (given["beta1"], given["beta2"])
    if name == "nesterov":
        theirs["nesterov"] = True
    want = pytorch(make, steps, lr=0.05, weight_decay=decay, **theirs)
    got, state = walk(OPTIMIZERS[name], steps, rate=0.05, decay=decay, **given)
    assert state.steps == steps and got.keys() == want.keys()
    for n in want:
        np.testing.assert_allclose(got[n], want[n], rtol=1e-10)


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_what_is_not_said_is_pytorchs(name):
    want = pytorch(FAST[name][0], 3)
    for n, p in walk(OPTIMIZERS[name], 3)[0].items():
        np.testing.assert_allclose(p, want[n], rtol=1e-10)


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_rmsprop_is_hubels_with_eps_under_the_root(decay):
    leaves = [torch.tensor(a) for a in BEGIN.values()]
    squares = [torch.full_like(p, rmsprop_start(0.9)) for p in leaves]
    counts = [torch.zeros(()) for _ in leaves]
    for _ in range(4):
        slopes = [torch.tensor(a) * p**3 for a, p in zip(A.values(), leaves, strict=True)]
        trained_by(leaves, slopes, squares, counts, 0.05, 0.9, decay)
    for got, want in zip(walk(rmsprop, 4, rate=0.05, decay=decay)[0].values(), leaves, strict=True):
        np.testing.assert_allclose(got, want.numpy(), rtol=1e-10)


def test_eps_under_the_root_holds_back_small_gradients():
    # g = 1e-4, s = 0.1 g^2 = 1e-9: g / sqrt(1e-9 + 1e-7) = 0.3147 is a tenth of g / sqrt(1e-9) = 3.162
    assert one(rmsprop, 0.0, 1e-4, rate=1.0)[0] == pytest.approx(-1e-4 / (1.01e-7) ** 0.5)
    assert one(rmsprop, 0.0, 1e-4, rate=1.0, under_root=False)[0] == pytest.approx(-1e-4 / (1e-9**0.5 + 1e-7))


def test_what_pytorch_leaves_open():
    for step in (gd, momentum, nesterov):
        defaults = {
            k: p.default for k, p in inspect.signature(step).parameters.items() if p.kind == p.KEYWORD_ONLY
        }
        assert defaults == {"rate": 0.01, "decay": 0.0} | ({} if step is gd else {"momentum": 0.9})


@pytest.mark.parametrize("name", FAST)
def test_a_step_writes_to_nothing_and_keeps_the_dtype(name):
    small = {n: p.astype(np.float32) for n, p in BEGIN.items()}
    parameters, state = walk(OPTIMIZERS[name], 2, small)
    before = [{n: a.copy() for n, a in d.items()} for d in (parameters, state.first, state.second)]
    gradients = {n: p.copy() for n, p in parameters.items()}
    after = OPTIMIZERS[name](parameters, gradients, state, decay=0.1)
    for was, now in zip(before, (parameters, state.first, state.second), strict=True):
        assert was.keys() == now.keys()
        for n in was:
            np.testing.assert_array_equal(was[n], now[n])
    held = [*after.parameters.values(), *after.state.first.values(), *after.state.second.values()]
    assert {a.dtype for a in held} == {np.dtype(np.float32)}
    assert not any(np.shares_memory(a, g) for a in held for g in gradients.values())
    assert START.steps == 0 and not START.first and not START.second


@pytest.mark.parametrize("name", FAST)
def test_a_walk_can_be_taken_up_again(name):
    """State and parameters are all there is: two steps and three are five."""
    whole, _ = walk(OPTIMIZERS[name], 5)
    parameters, state = walk(OPTIMIZERS[name], 2)
    for _ in range(3):
        parameters, state = OPTIMIZERS[name](
            parameters, {n: A[n] * p**3 for n, p in parameters.items()}, state
        )
    assert all((whole[n] == parameters[n]).all() for n in whole)


def one(step, p, g, state=START, **settings):
    parameters, state = step({"p": np.array([p])}, {"p": np.array([g])}, state, **settings)
    return parameters["p"][0], state


def test_steps_by_hand():
    assert one(gd, 5.0, 2.0, rate=0.1)[0] == pytest.approx(4.8)  # 5 - 0.1 * 2
    assert one(gd, 5.0, 2.0, rate=0.1, decay=0.4)[0] == pytest.approx(4.6)  # 5 - 0.1 * (2 + 0.4 * 5)
    p, state = one(momentum, 5.0, 2.0, rate=0.1, momentum=0.5)  # v = 2: 4.8
    assert one(momentum, p, 2.0, state, rate=0.1, momentum=0.5)[0] == pytest.approx(4.5)  # v = 1 + 2 = 3
    assert one(nesterov, 5.0, 2.0, rate=0.1, momentum=0.5)[0] == pytest.approx(4.7)  # 2 + 0.5 * 2 = 3
    assert one(rmsprop, 5.0, 2.0, rate=0.1, rho=0.75, eps=0.0)[0] == pytest.approx(4.8)  # s = 0.25 * 4 = 1
    assert one(adam, 5.0, 2.0, rate=0.1, eps=0.0)[0] == pytest.approx(4.9)  # the first step is of size rate
    assert one(adamw, 5.0, 2.0, rate=0.1, eps=0.0, decay=0.4)[0] == pytest.approx(4.7)  # 0.96 * 5 - 0.1


@pytest.mark.parametrize("name", ["gd", "momentum", "nesterov", "rmsprop", "adam", "adamw"])
def test_every_optimizer_comes_down_a_valley(name):
    p, state = {"p": np.array([3.0, -2.0])}, START
    for _ in range(300):
        p, state = OPTIMIZERS[name](p, {"p": np.array([1.0, 10.0]) * p["p"]}, state, rate=0.03)
    assert np.abs(p["p"]).max() < 0.1


def test_a_rate_that_is_too_large_climbs():
    # f = p^2 / 2: p <- (1 - rate) p, which shrinks for rates below 2 only
    for rate, ends in ((0.1, True), (1.9, True), (2.1, False)):
        p, state = {"p": np.array([1.0])}, START
        for _ in range(50):
            p, state = gd(p, p, state, rate=rate)
        assert (abs(p["p"][0]) < 1) == ends


def test_names_and_shapes_that_disagree_are_told():
    w = np.zeros((3, 2))
    for step in OPTIMIZERS.values():
        with pytest.raises(
            DefinitionError, match=r"must have the same names; only one of them has \['b', 'v'\]"
        ):
            step({"w": w, "b": w}, {"w": w, "v": w})
        with pytest.raises(
            ShapeError, match=r"parameter 'w' is \(3, 2\), its gradient \(2, 3\): they must have one shape"
        ):
            step({"w": w}, {"w": w.T})


def test_optimizers_by_name():
    assert {
        "gd": gd,
        "momentum": momentum,
        "nesterov": nesterov,
        "rmsprop": rmsprop,
        "adam": adam,
        "adamw": adamw,
    } == OPTIMIZERS


def test_without_settings_a_step_is_taken_with_the_papers():
    """Every default, by what one or two steps come to when nothing is said: p = 1, g = 2."""
    p, g = {"p": np.array([1.0])}, {"p": np.array([2.0])}
    twice = {}
    for name, step in OPTIMIZERS.items():
        first = step(p, g)
        twice[name] = step(first.parameters, g, first.state).parameters["p"].item()
    assert twice["gd"] == pytest.approx(1 - 2 * 0.01 * 2)
    assert twice["momentum"] == pytest.approx(1 - 0.01 * (2 + (0.9 * 2 + 2)))
    assert twice["nesterov"] == pytest.approx(1 - 0.01 * ((2 + 0.9 * 2) + (2 + 0.9 * 3.8)))
    s1, s2 = 0.1 * 4, 0.9 * 0.4 + 0.1 * 4
    assert twice["rmsprop"] == pytest.approx(
        1 - 0.01 * (2 / np.sqrt(s1 + 1e-7) + 2 / np.sqrt(s2 + 1e-7)), abs=1e-12
    )
    assert twice["adam"] == pytest.approx(
        1 - 2 * 0.001, abs=1e-10
    )  # freed from its start, each step is the rate
    assert twice["adamw"] == pytest.approx((1 - 1e-5) * ((1 - 1e-5) - 0.001) - 0.001, abs=1e-10)

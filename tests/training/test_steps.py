"""Losses, optimizers and schedules, step by step against a few lines of NumPy."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from hubel.training.recipe import Recipe
from hubel.training.steps import Average, Loss, Optimizer, balanced, learning_rate

Z = np.array([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0], [1.0, 1.0, 1.0], [-4.0, 0.0, 2.5]])  # (4, 3) logits
T = np.array([0, 1, 2, 1])


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def loss(name, z, t, **options):
    return Loss(name, 3, regress=False, **options)(torch.tensor(z), torch.tensor(t)).item()


def smoothed(e):
    return np.eye(3)[T] * (1 - e) + e / 3


@pytest.mark.parametrize("e", [0.0, 0.2])
def test_cross_entropy_is_the_mean_of_minus_log_p(e):
    expected = -(smoothed(e) * np.log(softmax(Z))).sum(1).mean()
    assert loss("auto", Z, T, smoothing=e) == pytest.approx(expected, rel=1e-12)


def test_the_lectures_cross_entropies():
    # p = (1, 0): q = (0.6, 0.4) gives 0.511 nats, 0.222 in base 10; q = (0.8, 0.2) gives 0.223 and 0.097
    for q, nats, tens in ((0.6, 0.511, 0.222), (0.8, 0.223, 0.097)):
        got = Loss("cross-entropy", 2, regress=False)(
            torch.log(torch.tensor([[q, 1 - q]])), torch.tensor([0])
        ).item()
        assert got == pytest.approx(nats, abs=5e-4) and got / math.log(10) == pytest.approx(tens, abs=5e-4)


@pytest.mark.parametrize("e", [0.0, 0.1])
def test_binary_cross_entropy_has_a_sigmoid_per_class(e):
    t, q = smoothed(e), 1 / (1 + np.exp(-Z))
    assert loss("bce", Z, T, smoothing=e) == pytest.approx(
        -(t * np.log(q) + (1 - t) * np.log(1 - q)).mean(), rel=1e-12
    )


def test_mse_is_the_squared_error_on_one_hot_targets():
    assert loss("mse", Z, T) == pytest.approx(((softmax(Z) - np.eye(3)[T]) ** 2).mean(), rel=1e-12)


def test_regression_takes_the_output_itself():
    target = np.array([[1.0, 2.0, 0.0]] * 4)
    got = Loss("auto", 3, regress=True)(torch.tensor(Z), torch.tensor(target)).item()
    assert got == pytest.approx(((Z - target) ** 2).mean(), rel=1e-12)


@pytest.mark.parametrize("e", [0.0, 0.3])
@pytest.mark.parametrize("name", ["bce", "mse"])
def test_the_slope_of_a_loss_is_that_of_the_written_out_target(name, e):
    t = torch.tensor(smoothed(e))
    z, same = (torch.tensor(Z, requires_grad=True) for _ in range(2))
    Loss(name, 3, regress=False, smoothing=e)(z, torch.tensor(T)).backward()
    each = F.binary_cross_entropy_with_logits if name == "bce" else lambda z, t: F.mse_loss(z.softmax(1), t)
    each(same, t).backward()
    torch.testing.assert_close(z.grad, same.grad, rtol=1e-10, atol=1e-12)


class Rows(TorchDispatchMode):
    """What has a number for each item and class, as it is made, and in how many places it is not 0."""

    def __init__(self, shape):
        super().__init__()
        self.shape, self.filled = shape, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor) and tuple(made.shape) == self.shape:
            self.filled.append(int(made.count_nonzero()))
        return made


@pytest.mark.parametrize("name", ["cross-entropy", "bce", "mse"])
def test_no_target_is_written_out_for_all_classes(name):
    z, target = torch.randn(4, 50), torch.tensor([3, 0, 49, 3])
    with Rows((4, 50)) as seen:
        Loss(name, 50, regress=False, smoothing=0.1)(z, target)
    assert seen.filled and min(seen.filled) > 4  # a one-hot target has four ones, and is else empty
    with Rows((4, 50)) as seen:
        F.one_hot(target, 50)
    assert min(seen.filled) <= 4


@pytest.mark.parametrize("name", ["cross-entropy", "bce", "mse"])
def test_balanced_classes_weigh_alike(name):
    # Class 1 twice as often: its two items together weigh what each of the others weighs.
    weight = balanced(torch.tensor(T), 3)
    assert weight.tolist() == pytest.approx([4 / 3, 2 / 3, 4 / 3])
    each = [loss(name, Z[i : i + 1], T[i : i + 1]) for i in range(4)]
    expected = (each[0] + (each[1] + each[3]) / 2 + each[2]) / 3
    assert loss(name, Z, T, weight=weight.double()) == pytest.approx(expected, rel=1e-6)


def test_a_class_without_items_weighs_nothing():
    assert balanced(torch.tensor([0, 0, 2]), 3).tolist() == pytest.approx([0.5, 0.0, 1.0])


class Quadratic(nn.Module):
    """f(w, b) = sum a w^2 / 2 + sum b: gradient a w and 1, so that an optimizer can be followed by hand."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64))
        self.bias = nn.Parameter(torch.tensor([3.0], dtype=torch.float64))
        self.a = torch.tensor([[1.0, 10.0, 0.1]], dtype=torch.float64)

    def forward(self):
        return (self.a * self.w.square()).sum() / 2 + self.bias.sum()


def numpy_steps(recipe, steps=7):
    """The same by the textbook's lines; weight decay acts on w only, and b has a rate of its own."""
    a = np.array([1.0, 10.0, 0.1])
    w, b = np.array([1.0, -2.0, 0.5]), np.array([3.0])
    states = {k: [np.zeros_like(p) for p in (w, b)] for k in ("v", "m", "s")}
    for t in range(1, steps + 1):
        for i, (p, decay) in enumerate(((w, recipe.weight_decay), (b, 0.0))):
            g = a * p if i == 0 else np.ones(1)
            lr = recipe.lr if i == 0 else recipe.lr * recipe.bias_lr
            v, m, s = (states[k][i] for k in ("v", "m", "s"))
            if recipe.optimizer == "adamw":
                p *= 1 - lr * decay  # decoupled: Loshchilov and Hutter 2019
            else:
                g = g + decay * p
            match recipe.optimizer:
                case "gd" | "sgd":
                    p -= lr * g
                case "momentum":
                    v[:] = recipe.momentum * v + g
                    p -= lr * v
                case "nesterov":
                    v[:] = recipe.momentum * v + g
                    p -= lr * (g + recipe.momentum * v)
                case "rmsprop":
                    s[:] = recipe.rho * s + (1 - recipe.rho) * g * g
                    p -= lr * g / np.sqrt(s + 1e-7)
                case "adam" | "adamw":
                    m[:] = recipe.beta1 * m + (1 - recipe.beta1) * g
                    s[:] = recipe.beta2 * s + (1 - recipe.beta2) * g * g
                    p -= lr * (m / (1 - recipe.beta1**t)) / (np.sqrt(s / (1 - recipe.beta2**t)) + 1e-8)
    return w, b


@pytest.mark.parametrize("optimizer", ["gd", "sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_every_optimizer_walks_as_its_formula_says(optimizer, weight_decay):
    recipe = Recipe(
        optimizer=optimizer,
        lr=0.03,
        weight_decay=weight_decay,
        momentum=0.8,
        beta1=0.7,
        beta2=0.95,
        rho=0.85,
        bias_lr=2.5,
    )
    net = Quadratic()
    made = Optimizer(net, recipe)
    for _ in range(7):
        made.zero_grad()
        net().backward()
        made.step(recipe.lr)
    w, b = numpy_steps(recipe)
    np.testing.assert_allclose(net.w.detach().numpy()[0], w, rtol=1e-9)
    np.testing.assert_allclose(net.bias.detach().numpy(), b, rtol=1e-9)


def rates(steps=20, **settings):
    recipe = Recipe(lr=2.0, **settings)
    return [learning_rate(recipe, i, steps) for i in range(steps)]


def test_constant_stays():
    assert set(rates(schedule="constant")) == {2.0}


def test_step_falls_at_its_milestones():
    got = rates(schedule="step", milestones=(0.5, 0.8), gamma=0.1)
    assert got == pytest.approx([2.0] * 10 + [0.2] * 6 + [0.02] * 4)


def test_cosine_is_half_way_down_in_the_middle():
    got = rates(schedule="cosine")
    assert (
        got[0] == 2.0
        and got[10] == pytest.approx(1.0)
        and got == sorted(got, reverse=True)
        and 0 < got[-1] < 0.05
    )
    assert got[5] == pytest.approx(1 + math.cos(math.pi / 4))


def test_warm_up_rises_linearly_whatever_follows():
    for schedule in ("constant", "step", "cosine", "one-cycle"):
        assert rates(schedule=schedule, warmup=0.2)[:4] == pytest.approx([0.5, 1.0, 1.5, 2.0])


def test_one_cycle_is_a_triangle():
    got = rates(schedule="one-cycle", warmup=0.5)
    assert max(got) == got[9] == 2.0
    assert np.diff(got[:10]) == pytest.approx([0.2] * 9) and np.diff(got[10:]) == pytest.approx([-0.2] * 9)
    assert rates(schedule="one-cycle")[4] == 2.0  # a quarter of 20 steps where no warm-up is set


def test_the_average_is_the_one_of_its_formula_and_is_given_back():
    net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    average = Average(net, decay=0.25)
    expected = None
    for n, value in enumerate((1.0, 5.0, -3.0), 1):
        with torch.no_grad():
            before = net[0].weight.item() if expected is None else expected
            net[0].weight.fill_(value)
            net[1].running_mean.fill_(10 * value)
        average.update()
        d = min(0.25, (1 + n) / (10 + n))  # 2/11, 3/12 = 0.25, 0.25
        expected = d * before + (1 - d) * value
    average.swap()
    assert net[0].weight.item() == pytest.approx(expected, rel=1e-6)
    assert net[1].running_mean.item() != -30  # statistics of batch norm are averaged too
    average.swap()
    assert net[0].weight.item() == -3.0 and net[1].running_mean.item() == -30


def test_a_decay_of_nought_is_no_average():
    assert replace(Recipe(), ema=0.0).ema == 0

"""Attacks on networks whose answers a pencil finds: one linear layer; and laws that hold for every network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hubel.attacks import METHODS, Attack, Ball, attacked, deepfool, fgsm, pgd, usual_eps
from hubel.attacks.methods import climbed, slope
from hubel.errors import InputError, UnknownName
from hubel.replay import Program


def linear(w, b=0.0, shape=(1, 1, 2, 2)):
    """Logits (w.x + b, 0) of x (N, *shape[1:]): class 0 on the side to which w points."""
    layer = nn.Linear(int(np.prod(shape[1:])), 2)
    with torch.no_grad():
        layer.weight[:] = torch.stack([torch.tensor(w), torch.zeros(len(w))])
        layer.bias[:] = torch.tensor([b, 0.0])
    return nn.Sequential(nn.Flatten(), layer)


@pytest.fixture(scope="module")
def network():
    """A small network with curves in it: 5x4 pixels of 2 channels, 3 classes."""
    torch.manual_seed(3)
    made = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(80, 3))
    with torch.no_grad():
        for p in made.parameters():
            p *= 3
    return made


@pytest.fixture
def pictures():
    return torch.rand((6, 2, 5, 4), generator=torch.Generator().manual_seed(1))


def test_fgsm_by_hand():
    # z = (x1 - 2 x2 + 3 x3 + 0 x4, 0), class 0: dL/dx = -(1 - p) w, so each pixel goes against the sign of its weight.
    x = torch.tensor([[[[0.2, 0.5], [0.05, 0.4]]]])
    found = fgsm(linear([1.0, -2.0, 3.0, 0.0]), x, torch.tensor([0]), 0.1)
    # The third would be -0.05: no pixel is darker than black. The fourth has no weight, and stays.
    assert found.flatten().tolist() == pytest.approx([0.1, 0.6, 0.0, 0.4], abs=1e-6)


def test_a_step_of_pgd_by_hand():
    x, start = torch.tensor([[[[0.2, 0.5], [0.9, 0.4]]]]), torch.tensor([[[[0.25, 0.45], [0.85, 0.4]]]])
    ball = Ball.around(x, 0.1)
    model, label = linear([1.0, -2.0, -3.0, 0.0]), torch.tensor([0])
    once = climbed(model, start, label, ball, steps=1, step=0.08)
    assert once.flatten().tolist() == pytest.approx([0.17, 0.53, 0.93, 0.4], abs=1e-6)
    # From there 0.09, 0.61 and 1.01 would be next: the ball ends at 0.1 and 0.6, the scale at 1.
    twice = climbed(model, start, label, ball, steps=2, step=0.08)
    assert twice.flatten().tolist() == pytest.approx([0.1, 0.6, 1.0, 0.4], abs=1e-6)


def test_the_slope_is_that_of_the_definitions(network, pictures):
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    found, logits = slope(network, pictures, labels)
    replay = Program(network).run(pictures.numpy())
    powers = np.exp(replay.output.value)
    dz = powers / powers.sum(1, keepdims=True) - np.eye(3)[labels]  # of the cross-entropy by the logits
    dx = replay.gradients(replay.output, dz.astype(np.float32))[replay.input]
    np.testing.assert_allclose(found.numpy(), dx, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(logits.numpy(), replay.output.value, rtol=1e-4, atol=1e-5)
    # An FGSM step is then the sign of what NumPy found, wherever that is clear.
    moved = fgsm(network, pictures, labels, 0.05).numpy()
    clear = np.abs(dx) > 1e-5
    by_hand = np.clip(pictures.numpy() + 0.05 * np.sign(dx), 0, 1)
    np.testing.assert_allclose(moved[clear], by_hand[clear], atol=1e-6)


def test_deepfool_goes_straight_to_the_plane():
    # |w.x + b| / |w|: w = (3, -4, 0, 0), x in the middle of the scale, so that no pixel meets its end.
    x = torch.tensor([[[[0.6, 0.4], [0.5, 0.5]]], [[[0.5, 0.45], [0.2, 0.9]]]])
    model = linear([3.0, -4.0, 0.0, 0.0], -0.1)  # w.x + b = 0.1 and -0.4: one on each side
    way = deepfool(model, x, overshoot=0.0) - x
    lengths = way.flatten(1).norm(dim=1)
    assert lengths.tolist() == pytest.approx([0.1 / 5, 0.4 / 5], rel=1e-4)
    np.testing.assert_allclose(way[1].flatten() / lengths[1], [0.6, -0.8, 0, 0], atol=1e-5)
    assert model(deepfool(model, x)).argmax(1).tolist() == [
        1,
        0,
    ]  # with the overshoot the other side is reached


def test_deepfool_takes_the_nearest_of_several_planes():
    # Logits (0.3, x1, 4 x2): boundaries at x1 = 0.3 and x2 = 0.075, from (0.1, 0.02) 0.2 and 0.055 away. The gap of
    # the logits is 0.2 to the first and 0.22 to the second: the smaller gap is the farther plane.
    layer = nn.Linear(2, 3)
    with torch.no_grad():
        layer.weight[:] = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 4.0]])
        layer.bias[:] = torch.tensor([0.3, 0.0, 0.0])
    model, x = nn.Sequential(nn.Flatten(), layer), torch.tensor([[[[0.1, 0.02]]]])
    found = deepfool(model, x)
    assert model(found).argmax(1).item() == 2
    assert (found - x).norm().item() == pytest.approx(1.02 * 0.055, rel=1e-3)


def test_deepfool_goes_round_the_end_of_the_scale():
    # w.x + b = 3 x1 - 2 x2 + 0.75 = 0.3 at (0.05, 0.3). The straight way would take x1 to -0.02; black stops it at 0,
    # where 0.15 are left, and x2 alone can make up for them: up to 0.375.
    x = torch.tensor([[[[0.05, 0.3]]]])
    model = linear([3.0, -2.0], 0.75, (1, 1, 1, 2))
    found = deepfool(model, x, overshoot=0.0)
    assert found.flatten().tolist() == pytest.approx([0.0, 0.375], abs=1e-3)
    assert model(deepfool(model, x)).argmax(1).item() == 1


FLOATS = st.floats(0, 1, width=32)


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(FLOATS, min_size=12, max_size=12), eps=st.floats(0, 1),
    method=st.sampled_from([m for m in METHODS if m != "deepfool"]), seed=st.integers(0, 99), each=st.booleans(),
)  # fmt: skip
def test_an_attack_stays_inside_eps_and_inside_the_scale(values, eps, method, seed, each):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    x = torch.tensor(values).view(2, 1, 2, 3)
    attack = Attack(method, eps, steps=5, restarts=2, target=1 if method == "targeted" else None, seed=seed)
    sizes = torch.tensor([eps, eps / 3], dtype=torch.float32) if each else None
    found = attacked(model, x, torch.tensor([0, 2]), attack, sizes)
    # No tolerance: the bounds are rounded inwards. The difference of two float32 is exact enough in float64.
    allowed = torch.tensor([eps, eps], dtype=torch.float64) if sizes is None else sizes.double()
    assert ((found.double() - x.double()).abs().flatten(1).amax(1) <= allowed).all()
    assert found.min() >= 0 and found.max() <= 1


@settings(max_examples=30, deadline=None)
@given(values=st.lists(FLOATS, min_size=6, max_size=6), seed=st.integers(0, 99))
def test_deepfool_stays_inside_the_scale(values, seed):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    found = deepfool(model, torch.tensor(values).view(1, 1, 2, 3), steps=5)
    assert found.isfinite().all() and found.min() >= 0 and found.max() <= 1


@pytest.mark.parametrize("eps", [0.3, 8 / 255, 1e-9, 0.0])
def test_the_ball_is_inside_eps_and_no_smaller_than_rounding_asks(eps):
    x = torch.cat(
        [torch.linspace(0, 1, 1001), torch.tensor([eps])]
    )  # at eps itself, float32(0.3) - 0.3 is too much
    ball = Ball.around(x, eps)
    double = x.double()
    assert (double - ball.low.double() <= eps).all() and (ball.high.double() - double <= eps).all()
    # Within two float32 steps of the exact bounds, and never without the picture itself.
    step = torch.nextafter(torch.tensor(1.0), torch.tensor(2.0)).item() - 1
    assert ((double - eps).clamp(min=0) >= ball.low.double() - 2 * step).all()
    assert (ball.low.double() - (double - eps).clamp(min=0) <= 2 * step).all()
    assert ((double + eps).clamp(max=1) - ball.high.double() <= 2 * step).all()
    assert (ball.low <= x).all() and (x <= ball.high).all()


def test_pgd_reaches_the_corner_of_the_ball_of_a_linear_network():
    # The worst of a linear network's ball is where FGSM steps to: PGD from anywhere ends there as well.
    x, label = torch.tensor([[[[0.5, 0.5], [0.5, 0.5]]]]), torch.tensor([0])
    model = linear([1.0, -2.0, 3.0, 4.0], 5.0)  # the answer stays class 0, so that every step is taken
    assert torch.equal(pgd(model, x, label, 0.1, steps=10), fgsm(model, x, label, 0.1))


def test_towards_a_class_is_down_its_loss():
    x, eps = torch.full((1, 1, 2, 2), 0.5), 0.1
    model = linear([1.0, -2.0, 3.0, 4.0], -5.0)  # class 1, and stays so
    attack = Attack("targeted", eps, target=0)
    found = attacked(model, x, torch.tensor([1]), attack)
    np.testing.assert_allclose(found.flatten(), [0.6, 0.4, 0.6, 0.6], atol=1e-6)  # with w, towards class 0


@pytest.mark.parametrize("whole", [False, True])
def test_more_beginnings_lose_nothing_and_find_more(network, whole):
    pictures = torch.rand((60, 2, 5, 4), generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        labels = network(pictures).argmax(1)
    before = torch.zeros(60, dtype=torch.bool)
    counts = []
    for restarts in (1, 2, 3, 5, 8):
        found = pgd(network, pictures, labels, 0.3, steps=1, step=0.03, restarts=restarts, whole=whole)
        with torch.no_grad():
            fooled = network(found).argmax(1) != labels
        assert (fooled >= before).all()  # the first beginnings are the same ones
        before = fooled
        counts.append(int(fooled.sum()))
    assert 0 < counts[0] < counts[-1] < 60


def test_a_picture_is_left_where_it_first_succeeds_unless_the_whole_way_is_asked_for(network, pictures):
    with torch.no_grad():
        labels = network(pictures).argmax(1)
    first = pgd(network, pictures, labels, 0.3, steps=20)
    whole = pgd(network, pictures, labels, 0.3, steps=20, whole=True)
    with torch.no_grad():
        p = [network(x).softmax(1).gather(1, labels[:, None]).mean() for x in (first, whole)]
        assert (network(first).argmax(1) != labels).all() and (network(whole).argmax(1) != labels).all()
    assert p[1] < p[0] / 2


def test_the_seed_says_where_pgd_begins(network, pictures):
    labels = torch.zeros(6, dtype=torch.int64)
    one, same, other = (pgd(network, pictures, labels, 0.1, steps=1, seed=(s,)) for s in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    attack = Attack("pgd", 0.1, steps=1, seed=1)
    first, second = (attacked(network, pictures, labels, attack, seed=(piece,)) for piece in (0, 250))
    assert not torch.equal(first, second)  # each piece of the data begins elsewhere


def test_no_picture_sees_the_others(network, pictures):
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    together = fgsm(network, pictures, labels, 0.1)
    alone = torch.cat([fgsm(network, pictures[n : n + 1], labels[n : n + 1], 0.1) for n in range(6)])
    torch.testing.assert_close(together, alone)


def test_sizes_of_their_own_are_those_one_by_one(network, pictures):
    labels, sizes = torch.tensor([0, 1, 2, 0, 1, 2]), torch.linspace(0.01, 0.3, 6)
    together = fgsm(network, pictures, labels, sizes)
    for n, size in enumerate(sizes.tolist()):
        torch.testing.assert_close(
            together[n], fgsm(network, pictures[n : n + 1], labels[n : n + 1], size)[0]
        )


def test_no_parameter_gets_a_gradient(network, pictures):
    fgsm(network, pictures, torch.zeros(6, dtype=torch.int64), 0.1)
    assert all(p.grad is None for p in network.parameters())


@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        ({"method": "pdg"}, UnknownName, r"no attack named 'pdg'. Did you mean 'pgd'\?"),
        ({"eps": 8.0}, InputError, r"must lie in 0..1, got 8; 8/255 is usual"),
        ({"eps": float("nan")}, InputError, "got nan"),
        ({"steps": 0}, InputError, "steps and restarts begin at 1, got 0 and 1"),
        ({"step": 2.0}, InputError, "step is a share of the full scale"),
        ({"method": "targeted"}, InputError, "name both or neither"),
        ({"target": 3}, InputError, "name both or neither"),
    ],
)
def test_a_wrong_setting_is_named(wrong, error, text):
    with pytest.raises(error, match=text):
        Attack(**wrong)


def test_digits_bear_more_than_photographs():
    assert (usual_eps(1), usual_eps(3)) == (0.3, 8 / 255)

"""The curve and the least change that flips, on a linear network, whose margins are exact."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hubel.attacks import Attack
from hubel.data import Preprocess
from hubel.errors import InputError
from hubel.explanation.robustness import TOLERANCE, Level, chunks, curve, smallest
from hubel.run import Card, Network, Run
from hubel.zoo.pixels import Pixels

W = np.array([3.0, -4.0, 0.0, 1.0, 0.0, 2.0])  # |w|_1 = 10, |w|_2 = sqrt(30)
SHAPE = (1, 2, 3)


def plane(b):
    """Logits (w.x + b, 0)."""
    layer = nn.Linear(6, 2)
    with torch.no_grad():
        layer.weight[:] = torch.stack([torch.tensor(W, dtype=torch.float32), torch.zeros(6)])
        layer.bias[:] = torch.tensor([b, 0.0])
    return nn.Sequential(nn.Flatten(), layer)


@pytest.fixture
def run(tmp_path):
    card = Card("classify", ("yes", "no"), 2, Network("mlp"), Preprocess("picture", SHAPE))
    return Run(tmp_path, card, Pixels(plane(-0.8)), {})


def greys(*levels):
    """A flat picture of each level: w.x = 2 level."""
    return torch.stack([torch.full(SHAPE, float(level)) for level in levels])


@pytest.mark.parametrize("method", ["fgsm", "pgd"])
def test_bisection_finds_the_exact_eps_of_a_linear_network(method):
    # w.x + b over |w|_1: flat 0.6 gives 1.2 - 0.8 = 0.4, so eps 0.04; flat 0.3 is on the other side by 0.2, eps 0.02.
    x = greys(0.6, 0.3)
    model, labels = plane(-0.8).eval(), torch.tensor([0, 1])
    found = smallest(model, x, labels, Attack(method, steps=10))
    assert found.size == pytest.approx([0.04, 0.02], abs=TOLERANCE)
    assert (
        found.size >= np.array([0.04, 0.02]) - 1e-6
    ).all()  # what is found does flip: it is never below the truth
    with torch.no_grad():
        assert model(found.x).argmax(1).tolist() == [1, 0]
    used = (found.x - x).abs().flatten(1).amax(1)
    np.testing.assert_allclose(used, found.size)


def test_the_tolerance_is_kept():
    found = smallest(plane(-0.8), greys(0.6), torch.tensor([0]), Attack("fgsm"), tolerance=1e-5)
    assert found.size == pytest.approx([0.04], abs=1e-5)


def test_what_is_wrong_already_needs_no_change_and_what_cannot_fall_has_none():
    found = smallest(plane(-0.8), greys(0.6), torch.tensor([1]), Attack("fgsm"))
    assert found.size.tolist() == [0.0]
    firm = smallest(plane(100.0), greys(0.6), torch.tensor([0]), Attack("fgsm"))
    assert np.isnan(firm.size).all()


def test_the_least_towards_a_class_is_that_at_which_it_is_answered():
    attack = Attack("targeted", steps=10, target=0)
    found = smallest(plane(-0.8), greys(0.3, 0.6), torch.tensor([1, 0]), attack)
    assert found.size == pytest.approx([0.02, 0.0], abs=TOLERANCE)  # the second answers it already


def test_deepfool_says_its_length():
    found = smallest(plane(-0.8), greys(0.6), torch.tensor([0]), Attack("deepfool"))
    assert found.size == pytest.approx([1.02 * 0.4 / np.sqrt(30)], rel=1e-3)  # with its overshoot of 2 %


def test_the_curve_counts_whose_margin_is_larger(run):
    # Levels of 51 k: w.x + b = 0.4 k - 0.8, so margins over |w|_1 of 0.04 (k = 1, 3), 0 (k = 2) and 0.08 (k = 4);
    # the last is answered `no` but labelled `yes`, wrong from the start.
    inputs = np.stack([np.full(SHAPE, 51 * k, np.uint8) for k in (1, 3, 4, 0)])
    labels = np.array([1, 0, 0, 0])
    found = curve(run, inputs, labels, Attack("pgd", steps=10), [0.03, 0.05, 0.09])
    assert [(level.size, level.right, level.n) for level in found.levels] == [
        (0.0, 3, 4), (0.03, 3, 4), (0.05, 1, 4), (0.09, 0, 4),
    ]  # fmt: skip


def test_a_curve_of_lengths_by_deepfool(run):
    inputs = np.stack([np.full(SHAPE, 51 * k, np.uint8) for k in (1, 3, 4)])  # 0.4, 0.4, 0.8 over sqrt(30)
    found = curve(run, inputs, np.array([1, 0, 0]), Attack("deepfool"), [0.07, 0.08, 0.14, 0.15])
    assert [level.right for level in found.levels] == [3, 3, 1, 1, 0]
    assert found.to_dict()["measure"] == "l2"


def test_items_of_unknown_class_and_of_the_target_are_left_out(run):
    inputs = np.stack(
        [np.full(SHAPE, 51 * k, np.uint8) for k in (1, 3, 4, 1)]
    )  # the first and last fall at 0.04
    found = curve(run, inputs, np.array([1, -1, 0, 1]), Attack("targeted", steps=10, target=0), [0.03, 0.05])
    assert [(level.right, level.reached, level.n) for level in found.levels] == [
        (2, 0, 2),
        (2, 0, 2),
        (0, 2, 2),
    ]
    with pytest.raises(InputError, match="nothing to attack"):
        curve(run, inputs, np.full(4, -1), Attack(), [0.1])


def test_pieces_do_not_change_what_fgsm_finds(run, monkeypatch):
    rng = np.random.default_rng(0)
    inputs = rng.integers(60, 200, (20, *SHAPE), np.uint8)
    labels = run.logits(inputs).argmax(1)
    whole = curve(run, inputs, labels, Attack("fgsm"), [0.02, 0.1])
    monkeypatch.setattr("hubel.explanation.robustness.TOGETHER", 3)
    assert curve(run, inputs, labels, Attack("fgsm"), [0.02, 0.1]) == whole
    assert len({level.right for level in whole.levels}) == 3


def test_pieces_cover_everything_and_large_pictures_go_few_at_a_time():
    assert [(c.start, c.stop) for c in chunks(600, (1, 28, 28))] == [(0, 250), (250, 500), (500, 750)]
    assert chunks(2, (3, 2000, 2000)) == [slice(0, 1), slice(1, 2)]


def test_a_level_says_its_interval():
    level = Level(0.1, 0, 500)  # Wilson at 0 of n: z^2 / (n + z^2) = 3.8415 / 503.8415
    assert level.to_dict()["accuracy_high"] == pytest.approx(3.8415 / 503.8415, rel=1e-4)


def test_what_is_borrowed_is_given_back_after_a_failure(run):
    run.model.train()

    def fail(done, of):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        curve(run, np.zeros((2, *SHAPE), np.uint8), np.array([0, 1]), Attack(steps=1), [0.1], fail)
    assert run.model.training and all(p.requires_grad for p in run.model.parameters())


def test_rows_of_numbers_and_regressions_have_nothing_to_attack(tmp_path):
    vectors = Card("classify", ("a", "b"), 2, Network("mlp"), Preprocess("vector", (6,)))
    with pytest.raises(InputError, match="takes rows of numbers"):
        curve(
            Run(tmp_path, vectors, Pixels(plane(0.0), picture=False), {}),
            np.zeros((1, 6)),
            np.zeros(1),
            Attack(),
            [],
        )
    regress = Card("regress", (), 1, Network("mlp"), Preprocess("picture", SHAPE))
    with pytest.raises(InputError, match="was trained to regress"):
        curve(
            Run(tmp_path, regress, Pixels(plane(0.0)), {}), np.zeros((1, *SHAPE)), np.zeros(1), Attack(), []
        )

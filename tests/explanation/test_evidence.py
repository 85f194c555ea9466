"""Deletion, insertion and spoilt weights: on networks where it is known what they must show."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from explanation.by_hand import linear
from planted import planted
from scipy.stats import spearmanr
from torch import nn

from hubel.explanation import heat as heats
from hubel.explanation.attribution import attribute, explain
from hubel.explanation.evidence import _moved, blurred, curves, likeness_of, spoilt
from hubel.explanation.finding import Item, Question
from hubel.explanation.heat import Method


@pytest.fixture
def x(run):
    return run.dataset().test.inputs[:3].astype(np.float32) / 255


def one_pixel(place):
    """A run that answers b where the pixel at `place` of 4 x 5 is bright, surely."""
    w = torch.zeros(2, 1, 4, 5)
    w[(1, 0, *place)] = 100
    return planted(linear(w), (1, 4, 5))


def test_curves_by_hand():
    run, x = one_pixel((2, 1)), np.ones((1, 1, 4, 5), np.float32)
    right = np.arange(20, dtype=np.float32).reshape(1, 4, 5)
    right[0, 2, 1] = 99
    gone = curves(run, x, right, "deletion", 1, repeats=4)
    # The pixel is the first of 20 to go: p is 1, and from one twentieth on what logits of 0 and 0 give, a half.
    np.testing.assert_allclose(gone.followed[0], [1] + [0.5] * 20, atol=1e-6)
    assert gone.area[0] == pytest.approx(0.5 + 0.5 * 0.5 / 20)  # the trapezoid of the first step
    last = curves(run, x, -right, "deletion", 1, repeats=4)
    np.testing.assert_allclose(last.followed[0], [1] * 20 + [0.5], atol=1e-6)
    assert gone.gain(gone.random_areas)[0] > 0 > last.gain(last.random_areas)[0]


def test_insertion_begins_with_the_blur_and_ends_with_the_picture():
    run, x = one_pixel((2, 1)), np.zeros((1, 1, 4, 5), np.float32)
    x[0, 0, 2, 1] = 0.05
    right = np.zeros((1, 4, 5), np.float32)
    right[0, 2, 1] = 1
    come = curves(run, x, right, "insertion", 1)
    blurred_pixel = float(blurred(torch.from_numpy(x))[0, 0, 2, 1])
    assert 0 < blurred_pixel < 0.04
    both = 1 / (1 + np.exp(-100 * np.array([blurred_pixel, 0.05])))
    np.testing.assert_allclose(come.followed[0], [both[0]] + [both[1]] * 20, rtol=1e-4)
    assert come.gain(come.random_areas)[0] > 0


def test_of_a_contrast_the_answer_is_among_the_two(run, x):
    logits = run.logits(run.dataset().test.inputs[:3])
    found = curves(run, x, x[:, 0], "deletion", [1, 2, 3], contrast=[4, 4, 4])
    expected = 1 / (1 + np.exp(logits[range(3), 4] - logits[range(3), [1, 2, 3]]))
    np.testing.assert_allclose(found.followed[:, 0], expected, rtol=1e-3)


def test_every_order_begins_and_ends_alike_and_the_seed_says_which(run, x):
    found, again, other = (curves(run, x, x[:, 0], "deletion", 7, seed=seed) for seed in (3, 3, 4))
    for lines in (found.random, found.moved):
        assert lines.shape == (6, 3, 21)
        np.testing.assert_allclose(lines[..., 0], np.tile(found.followed[:, 0], (6, 1)), rtol=1e-4)
        np.testing.assert_allclose(lines[..., -1], np.tile(found.followed[:, -1], (6, 1)), rtol=1e-4)
    assert np.array_equal(found.random, again.random) and not np.array_equal(found.random, other.random)
    assert np.array_equal(found.followed, again.followed)


def test_pictures_are_asked_together_as_alone(run, x):
    evidence = np.random.default_rng(0).random(
        (3, 8, 8)
    )  # no two cells alike, so that chance has no part in it
    together = curves(run, x, evidence, "insertion", [1, 5, 7], repeats=1).followed
    for n, target in enumerate([1, 5, 7]):
        alone = curves(run, x[n : n + 1], evidence[n : n + 1], "insertion", target, repeats=1).followed
        np.testing.assert_allclose(alone[0], together[n], rtol=1e-3, atol=1e-6)


def test_moved_evidence_is_the_same_elsewhere():
    heat = np.arange(35.0).reshape(5, 7)
    for seed in range(20):
        moved = _moved(heat, np.random.default_rng(seed))
        assert sorted(moved.ravel()) == sorted(heat.ravel())
        row, column = np.argwhere(moved == 0)[0]
        assert 2 <= row <= 3 and 2 <= column <= 5  # by at least a quarter of each side, either way round


def test_a_blur_keeps_what_is_even_and_spreads_what_is_not_by_its_deviation():
    even = torch.full((2, 3, 9, 14), 0.3)
    torch.testing.assert_close(blurred(even), even)
    point = torch.zeros(1, 1, 41, 48)
    point[0, 0, 20, 24] = 1
    spread = blurred(point)[0, 0].numpy()
    rows, columns = spread.sum(1), spread.sum(0)
    # A deviation of 48 / 8 = 6 pixels along both sides; the bell is cut off at two of them, which leaves 0.88 of it.
    for line, middle in ((rows, 20), (columns, 24)):
        deviation = np.sqrt((line * (np.arange(len(line)) - middle) ** 2).sum())
        assert deviation == pytest.approx(0.88 * 6, rel=0.02)


def test_likeness_is_spearmans_of_the_cells_that_count():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 4, (6, 7)), rng.integers(0, 4, (6, 7))  # many ties
    some = (a != 0) | (b != 0)
    assert some.sum() < a.size
    assert likeness_of(a, b) == pytest.approx(spearmanr(a[some], b[some]).statistic)
    assert likeness_of(a, a**3) == pytest.approx(1)
    assert likeness_of(a, np.ones_like(a)) == 0
    assert likeness_of(0 * a, 0 * b) == 0
    # The order of a few cells says little; of two it is 1 or -1.
    assert np.isnan(likeness_of(a.ravel()[:7], b.ravel()[:7]))


def test_what_ignores_the_weights_stays_as_it_was_and_the_gradient_does_not(run, x, monkeypatch):
    methods = {**heats.METHODS, "edges": Method(lambda q: q.inputs, lambda _, values: values[:, 0])}
    monkeypatch.setattr(heats, "METHODS", methods)
    stays = list(spoilt(run, x, "edges", 3, x[:, 0]))
    assert all((s.likeness > 1 - 1e-6).all() for s in stays)
    heat = attribute(run, x, "saliency", 3).heat
    changes = list(spoilt(run, x, "saliency", 3, heat))
    assert np.mean([s.likeness for s in changes]) < 0.6
    assert changes[0].layer == "classifier" and changes[-1].layer == "features.0"
    assert [s.layers for s in changes] == sorted({s.layers for s in changes})


def test_weights_are_spoilt_from_the_head_down_in_a_copy():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 12, 2))
    run, x = planted(network, (1, 4, 8)), torch.rand(2, 1, 4, 8).numpy()
    held = {name: value.clone() for name, value in network.state_dict().items()}
    seen = []

    def watched(q):
        seen.append({name: value.clone() for name, value in q.run.model.network.state_dict().items()})
        return q.inputs

    methods = {"watched": Method(watched, lambda _, values: values[:, 0])}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(heats, "METHODS", methods)
        assert [s.layer for s in spoilt(run, x, "watched", 0, x[:, 0])] == ["3", "0"]
    assert all(torch.equal(value, held[name]) for name, value in network.state_dict().items())
    assert torch.equal(seen[0]["0.weight"], held["0.weight"]) and not torch.equal(
        seen[0]["3.weight"], held["3.weight"]
    )
    for name in ("0.weight", "3.weight"):  # shuffled: the same numbers in other places
        assert not torch.equal(seen[1][name], held[name])
        assert torch.equal(seen[1][name].flatten().sort().values, held[name].flatten().sort().values)


def test_a_check_is_told_in_numbers_beside_the_picture(run, x):
    item = Item("picture", x[0])
    (plain,) = explain(run, [item], Question(), method="integrated-gradients")
    (checked,) = explain(run, [item], Question(check=True), method="integrated-gradients")
    assert checked.image.height > plain.image.height + 200
    answer = next(iter(checked.arrays))
    expected = attribute(run, x[:1], "integrated-gradients", list(run.classes).index(answer))
    assert checked.numbers[answer]["sum is off by"] == pytest.approx(float(expected.incomplete[0]), abs=1e-5)
    told = checked.numbers["deletion"]
    gone = curves(run, x[:1], expected.heat, "deletion", list(run.classes).index(answer))
    assert told["area"] == pytest.approx(float(gone.area[0]), abs=1e-6)
    assert told["better than random"] == bool(gone.area[0] < gone.random_areas.mean())
    assert next(iter(checked.numbers["weights shuffled down to"])) == "classifier"

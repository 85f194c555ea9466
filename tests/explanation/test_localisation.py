"""Evidence on MNIST: in its place on pictures of four digits, complete, and better than chance. A minute of training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from needs import data

import hubel
from hubel.explanation.attribution import attribute
from hubel.explanation.evidence import curves
from hubel.explanation.inside import Inside
from hubel.run import Run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    data("mnist")
    return hubel.train("mnist", out=tmp_path_factory.mktemp("runs") / "mnist")


@pytest.fixture(scope="module")
def test_part(run):
    test = run.dataset().test
    return test.inputs[:3000].astype(np.float32) / 255, test.targets[:3000]


def for_56(run):
    """The same weights, applied to pictures of 56 x 56: the network ends in a global maximum."""
    card = replace(run.card, preprocess=replace(run.preprocess, shape=(1, 56, 56)))
    network = card.build()
    network.load_state_dict(run.model.network.state_dict())
    return Run(run.path, card, card.wrap(network), run.settings)


def fours(x, labels, count):
    """(count, 1, 56, 56) of digits of four classes, which quarter is asked for, and the class that stands there."""
    rng = np.random.default_rng(5)
    pictures = np.zeros((count, 1, 56, 56), np.float32)
    quarters = rng.integers(0, 4, count)
    classes = np.zeros(count, np.int64)
    for n in range(count):
        for quarter, k in enumerate(rng.permutation(10)[:4]):
            top, left = 28 * (quarter // 2), 28 * (quarter % 2)
            pictures[n, :, top : top + 28, left : left + 28] = x[rng.choice(np.flatnonzero(labels == k))]
            if quarter == quarters[n]:
                classes[n] = k
    return pictures, quarters, classes


def energy(heat, quarters):
    """(N,): how much of the squares of what is > 0 lies in the quarter that is asked for."""
    found = []
    for picture, quarter in zip(np.maximum(heat, 0).astype(np.float64) ** 2, quarters, strict=True):
        top, left = 28 * (quarter // 2), 28 * (quarter % 2)
        found.append(picture[top : top + 28, left : left + 28].sum() / max(picture.sum(), 1e-30))
    return np.array(found)


def test_grad_cam_finds_the_digit_that_it_is_asked_for(run, test_part):
    large = for_56(run)
    pictures, quarters, classes = fours(*test_part, 200)
    shares = {
        layer.name: energy(
            attribute(large, pictures, "grad-cam", classes, layer=layer.name).heat, quarters
        ).mean()
        for layer in Inside(large).maps
    }
    assert max(shares.values()) >= 0.6
    assert shares[Inside(large).last_maps.name] > 0.55  # the layer that is chosen where none is named
    # Asked for another digit of the four, it looks elsewhere; and noise lies everywhere.
    wrong = attribute(large, pictures, "grad-cam", classes).heat
    assert energy(wrong, (quarters + 1) % 4).mean() < 0.25
    assert 0.2 < energy(np.random.default_rng(0).random(wrong.shape), quarters).mean() < 0.3


def test_sums_come_out_and_orders_beat_chance(run, test_part):
    x, labels = test_part[0][:100], test_part[1][:100]
    found = attribute(run, x, "integrated-gradients", labels)
    assert found.incomplete.max() <= 0.01
    gone = curves(run, x, found.heat, "deletion", labels)
    come = curves(run, x, found.heat, "insertion", labels)
    assert (gone.gain(gone.random_areas) > 0).mean() >= 0.95
    assert (come.gain(come.random_areas) > 0).mean() >= 0.9
    assert gone.gain(gone.moved_areas).mean() > 0 and come.gain(come.moved_areas).mean() > 0
    assert attribute(run, x, "deeplift", labels).incomplete.max() < 1e-3

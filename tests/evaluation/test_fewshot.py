"""Nearest class means against the sums written out, and episodes whose accuracy is known beforehand."""

from __future__ import annotations

import numpy as np
import pytest

import hubel
from hubel.data import open_source
from hubel.errors import InputError
from hubel.evaluation.fewshot import episodes, labelled, prototypes, units


def test_features_have_length_one_and_maps_are_averaged():
    # The mean of the maps is (3, 4), of length 5.
    maps = np.array([[[[2.0, 4.0]], [[5.0, 3.0]]]], np.float32)
    assert units(maps).tolist() == [[0.6, 0.8]]
    assert units(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist() == [[0.6, 0.8], [0, 0]]


def test_distances_are_to_the_mean_of_each_class():
    found = units(np.array([[1.0, 0], [0, 1], [0, 2], [-3, 0]]))
    known = prototypes(found, np.array([0, 0, 1, 2]), ("a", "b", "c"))
    assert known.means.tolist() == [[0.5, 0.5], [0, 1], [-1, 0]] and known.examples == (2, 1, 1)
    asked = units(np.array([[4.0, 3.0], [0, -1]]))  # (0.8, 0.6) and (0, -1)
    wanted = [
        [np.hypot(0.3, 0.1), np.hypot(0.8, 0.4), np.hypot(1.8, 0.6)],
        [np.hypot(0.5, 1.5), 2, np.sqrt(2)],
    ]
    np.testing.assert_allclose(known.distances(asked), wanted, rtol=1e-12)


def test_a_class_without_an_example_is_named():
    with pytest.raises(InputError, match="there is no example of 'b'"):
        prototypes(np.eye(2), np.array([0, 2]), ("a", "b", "c"))


def test_classes_apart_are_always_told_apart_and_noise_never():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(8), 12)
    apart = units(np.eye(8)[labels] + rng.normal(0, 0.01, (96, 8)))
    found = episodes(apart, labels, ways=5, shots=1, count=50)
    assert (found.accuracy, found.interval, found.count) == (1.0, 0.0, 50)
    noise = episodes(units(rng.normal(size=(96, 40))), labels, ways=4, shots=3, queries=5, count=400)
    assert (
        abs(noise.accuracy - 1 / 4) < 3 * noise.interval / 1.96 + 0.03
    )  # each item has one place: a little bias
    # 20 queries an episode: sd of a share about sqrt(1/4 3/4 / 20) = 0.097, so 1.96 sd / sqrt(400) = 0.0095.
    assert noise.interval == pytest.approx(0.0095, rel=0.3) and noise.to_dict()["chance"] == 1 / 4


def test_more_examples_tell_more():
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(6), 20)
    found = units(rng.normal(size=(6, 5))[labels] + rng.normal(0, 1, (120, 5)))
    one, five = (episodes(found, labels, shots=shots, count=200) for shots in (1, 5))
    assert five.accuracy > one.accuracy + 3 * one.interval
    assert episodes(found, labels, count=200).accuracy == one.accuracy  # of the seed alone
    assert episodes(found, labels, count=200, seed=1).accuracy != one.accuracy


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"ways": 4}, "4 ways need as many classes of 2 items or more, and at least 2; here are 3"),
        ({"shots": 5, "ways": 2}, "2 ways need as many classes of 6 items or more, and at least 2; here are 1"),
        ({"ways": 1}, "and at least 2; here are 3"),
        ({"ways": 2, "shots": 0}, "shots and queries begin at 1 and episodes at 2, got 0, 15 and 600"),
    ],
)  # fmt: skip
def test_episodes_that_cannot_be_drawn_are_told(settings, text):
    labels = np.repeat(np.arange(4), (1, 2, 5, 6))
    with pytest.raises(InputError) as e:
        episodes(np.ones((14, 2)), labels, **settings)
    assert text in str(e.value)


def test_every_item_of_a_place_is_looked_at_by_the_layer_before_the_head(tmp_path):
    run = hubel.train("digits", network="mlp", arguments={"hidden": (6,)}, epochs=0, out=tmp_path / "run")
    found, labels = labelled(run, open_source("digits"))
    assert found.shape == (1797, 6) and len(labels) == 1797
    assert np.linalg.norm(found, axis=1).max() == pytest.approx(1)
    own, _ = labelled(run, open_source("digits"), "layers.3")
    assert own.shape == (1797, 10)


def test_numbers_to_be_found_are_no_classes(tmp_path):
    run = hubel.train("points", network="mlp", epochs=0, out=tmp_path / "run")
    (tmp_path / "t.csv").write_text("a,b,y\n" + "".join(f"{n},1,{n / 7}\n" for n in range(9)))
    with pytest.raises(
        InputError, match=r"^t holds numbers to be found, but classes are wanted: name a place of them$"
    ):
        labelled(run, open_source(tmp_path / "t.csv"))

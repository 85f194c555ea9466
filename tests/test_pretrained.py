"""Public weights as a run: the archives' known answers by the way that a user goes, names of classes, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from needs import data
from safetensors.torch import save_file

import hubel
from hubel.data.published import Published
from hubel.errors import InputError
from hubel.pretrained import ready, settle, short
from hubel.zoo.public_weights import PUBLIC, PublicWeights

# The three top answers with their probabilities on pictures that are not square, as the archive's README has them.
KNOWN = {
    "chelsea.png": [("Egyptian cat", 0.358), ("tabby", 0.14), ("banded gecko", 0.105)],
    "coffee.png": [("espresso", 0.742), ("consomme", 0.064), ("soup bowl", 0.039)],
    "astronaut.png": [("barbell", 0.466), ("reel", 0.049), ("torch", 0.033)],
    "rocket.jpg": [("mosque", 0.465), ("missile", 0.106), ("obelisk", 0.096)],
    "china.jpg": [("stupa", 0.118), ("harvester", 0.116), ("boathouse", 0.1)],
    "flower.jpg": [("golf ball", 0.231), ("sea urchin", 0.129), ("acorn", 0.128)],
}
SMALL = "mobilenet_v1_0.25_128"


def test_the_photos_are_answered_as_the_archives_readme_says():
    data("weights")
    run, photos = ready(SMALL).run, data("photos")
    for photo, wanted in KNOWN.items():
        (found,) = run.predict(photos / photo, top=3)
        assert [name for name, _ in found.top] == [name for name, _ in wanted], photo
        assert [p for _, p in found.top] == pytest.approx([p for _, p in wanted], abs=0.0006), photo


def test_a_run_of_public_weights_is_built_and_fed_as_its_publisher_had_it():
    data("weights")
    made = ready(SMALL)
    card = made.run.card
    assert card.network.name == "mobilenet-v1"
    assert card.network.arguments == {"padding": "tensorflow", "norm": False, "width": 0.25}
    assert card.preprocess.shape == (3, 128, 128) and card.preprocess.resize == "crop"
    assert card.preprocess.mean == card.preprocess.std == (0.5, 0.5, 0.5)
    assert card.outputs == 1001 and card.classes[:2] == ("background", "tench") and made.answers
    assert made.notes == ()
    caffe = ready("squeezenet1_1_features")
    assert caffe.run.card.order == "bgr" and not caffe.answers and "no answers" in caffe.notes[0]


def test_a_file_of_ones_own_counts_its_classes(tmp_path):
    network = hubel.create("resnet18", 7, (3, 32, 32), width=0.125).eval()
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    run = ready(tmp_path / "w.safetensors", "resnet18", {"width": 0.125}).run
    assert run.classes == tuple("0123456") and run.preprocess.mean == ()
    x = np.random.default_rng(0).integers(0, 256, (2, 3, 32, 32), np.uint8)
    with torch.no_grad():
        wanted = network(torch.from_numpy(x) / 255)
    np.testing.assert_allclose(run.logits(x), wanted, rtol=1e-4, atol=1e-5)


def test_mean_and_deviation_of_the_publisher_are_each_in_their_place(tmp_path, monkeypatch):
    # In the archives at hand both are 0.5.
    mean, std = (0.1, 0.2, 0.3), (0.4, 0.5, 2.0)
    file = Published("made-up.safetensors", 0, "", ())
    known = PublicWeights("resnet18", file, "us", "any", {"width": 0.125}, (3, 33, 40), 7, mean, std, "bgr")
    monkeypatch.setitem(PUBLIC, "made-up", known)
    network = hubel.create("resnet18", 7, (3, 33, 40), width=0.125).eval()
    save_file(network.state_dict(), tmp_path / file.name)
    run = ready(tmp_path / file.name).run
    assert run.preprocess.shape == (3, 33, 40) and run.classes == tuple("0123456")
    x = np.random.default_rng(0).integers(0, 256, (2, 3, 33, 40), np.uint8)
    planes = [(x[:, 2 - k] / 255 - mean[k]) / std[k] for k in range(3)]  # blue first
    with torch.no_grad():
        wanted = network(torch.from_numpy(np.stack(planes, 1)).float())
    np.testing.assert_allclose(run.logits(x), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("weights", "network", "text"),
    [
        (SMALL, "mobilenet-v2", "are of mobilenet-v1, not of mobilenet-v2: name mobilenet-v1, or other weights"),
        ("own", None, "does not say what network it is of: name it with --network"),
        (SMALL, "mobilenetv1", "no network named 'mobilenetv1'. Did you mean 'mobilenet-v1'?"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_told(tmp_path, weights, network, text):
    if weights == "own":
        weights = tmp_path / "w.safetensors"
        save_file({"a": torch.zeros(1)}, weights)
    else:
        data("weights")
    with pytest.raises(InputError) as e:
        settle(weights, network)
    assert text in str(e.value)


def test_labels_are_short_where_that_tells_them_apart():
    assert short(["tabby, tabby cat", "maillot", "maillot, tank suit", "crane", "crane", "ski"]) == (
        "tabby", "maillot", "maillot, tank suit", "crane 3", "crane 4", "ski",
    )  # fmt: skip
    assert short([]) == ()

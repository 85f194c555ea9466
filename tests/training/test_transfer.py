"""A training that begins with weights: what goes over, what begins fresh, what is told, what is refused."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest
from needs import data
from safetensors.torch import save_file

import hubel
from hubel.errors import InputError
from hubel.evaluation.report import train_command
from hubel.pretrained import ready
from hubel.training import prepare

LINE = "conv4x3 relu pool2 fc6 tanh fc"


def pictures(path, classes, channels=1, side=12, seed=0):
    """An .npz of ten noisy pictures of each class, whose mean grey tells the class by its name."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(classes)), 10)
    level = np.array([40 + 60 * (ord(name) - ord("a")) for name in classes])
    x = np.clip(level[y, None, None, None] + rng.normal(0, 10, (len(y), channels, side, side)), 0, 255)
    np.savez(path, x=x.astype(np.uint8), y=y, classes=np.array(list(classes)))
    return path


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first")
    return hubel.train(
        pictures(folder / "abc.npz", "abc"), network=LINE, epochs=30, lr=0.02, optimizer="adam", out=folder / "run"
    )  # fmt: skip


def begun(path, tmp_path, **options):
    """Nothing is learnt: the run has the weights that it begins with."""
    job = prepare(path, out=tmp_path / "run", epochs=0, **options)
    job.begin()
    for _ in job.epochs():
        pass
    return job, job.run()


def test_the_same_classes_in_another_order_are_matched_by_name(first, tmp_path):
    job, run = begun(pictures(tmp_path / "x.npz", "cab", seed=1), tmp_path, from_run=first.path)
    assert run.classes == ("c", "a", "b") and run.network == first.network
    x = run.dataset().train.inputs
    np.testing.assert_allclose(run.logits(x), first.logits(x)[:, [2, 0, 1]], rtol=1e-5, atol=1e-5)
    assert hubel.evaluate(run).accuracy == 1
    assert job.told[1] == "the last layer goes on: the same 3 classes, matched by name"


def test_other_classes_begin_with_a_fresh_last_layer(first, tmp_path):
    job, run = begun(pictures(tmp_path / "x.npz", "abd", seed=1), tmp_path, from_run=first.path, seed=5)
    theirs, ours = first.model.network.state_dict(), run.model.network.state_dict()
    differ = [name for name in ours if not np.array_equal(ours[name], theirs[name])]
    head = list(ours)[-2:]
    assert differ == head and {name.rpartition(".")[2] for name in head} == {"weight", "bias"}
    assert job.told[1] == "the last layer begins fresh: its classes are not the same (others)"
    job, run = begun(pictures(tmp_path / "y.npz", "abcd"), tmp_path / "more", from_run=first.path)
    assert "(3 there, 4 here)" in job.told[1] and run.card.outputs == 4


def test_pictures_are_prepared_as_in_the_run_that_it_begins_with(first, tmp_path):
    _, run = begun(pictures(tmp_path / "x.npz", "abc", side=30, seed=2), tmp_path, from_run=first.path)
    assert run.preprocess.shape == (1, 12, 12) and run.preprocess.mean == first.preprocess.mean
    _, own = begun(
        pictures(tmp_path / "x.npz", "abc", seed=2), tmp_path / "own", from_run=first.path, normalize=True
    )
    assert own.preprocess.mean != first.preprocess.mean
    _, none = begun(tmp_path / "x.npz", tmp_path / "none", from_run=first.path, normalize=False)
    assert none.preprocess.mean == ()


def test_the_run_says_where_it_began(first, tmp_path):
    _, run = begun(pictures(tmp_path / "x.npz", "abd"), tmp_path, from_run=first.path, freeze="backbone")
    settings = tomllib.loads((run.path / "run.toml").read_text())
    assert settings["asked"]["from"] == str(first.path) and settings["recipe"]["freeze"] == "backbone"
    assert settings["recipe"]["optimizer"] == "adamw" and "optimizer" not in settings["set_by_user"]
    assert f"--from {first.path}" in train_command(run) and "--freeze backbone" in train_command(run)


def test_what_was_learnt_makes_a_good_beginning(first, tmp_path):
    path = pictures(tmp_path / "x.npz", "abc", seed=3)
    settings = {"network": LINE, "epochs": 1, "lr": 1e-4, "optimizer": "sgd", "head_lr": 1.0}
    fresh = hubel.train(path, out=tmp_path / "fresh", **settings)
    begun = hubel.train(path, out=tmp_path / "begun", from_run=first.path, **settings)
    assert begun.history[0]["train_loss"] < fresh.history[0]["train_loss"] / 2


def test_public_weights_bring_their_network_and_its_food(tmp_path):
    data("weights")
    path = pictures(tmp_path / "x.npz", "abc", channels=3, side=20)
    job, run = begun(path, tmp_path, weights="mobilenet_v1_0.25_128")
    theirs = ready("mobilenet_v1_0.25_128").run
    assert run.network == theirs.network and run.card.outputs == 3
    assert run.preprocess == theirs.preprocess and run.card.order == theirs.card.order
    x = run.dataset().train.inputs[:2]
    np.testing.assert_allclose(run.features(x), theirs.features(x), rtol=1e-5, atol=1e-5)
    assert "54 tensors loaded, 54 of them under other names; Apache-2.0" in job.told[0]
    assert "1,001 classes, the network has 3: its last layer begins fresh" in job.told[1]
    caffe = begun(path, tmp_path / "caffe", weights="squeezenet1_1_features", input_size=(64, 48))[1]
    assert caffe.card.order == "bgr" and caffe.preprocess.shape == (3, 64, 48)
    assert caffe.preprocess.mean[0] == pytest.approx(103.939 / 255)


def test_grey_pictures_are_shown_to_networks_for_colour(tmp_path):
    data("weights")
    _, run = begun(pictures(tmp_path / "x.npz", "abc"), tmp_path, weights="mobilenet_v1_0.25_128")
    x = run.dataset().train.inputs
    assert x.shape[1:] == (3, 128, 128) and np.array_equal(x[:, 0], x[:, 2])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"weights": "resnet18", "from_run": "runs/x"}, "--weights and --from both say where to begin"),
        ({"from_run": "FIRST", "network": "lenet5"}, "not of lenet5: leave --network out"),
        ({"from_run": "FIRST", "input_size": (20, 20)}, "do not fit: "),
        ({"weights": "resnet19"}, "no weights or file named 'resnet19'. Did you mean 'resnet18'?"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_told(first, tmp_path, options, text):
    options = {k: first.path if v == "FIRST" else v for k, v in options.items()}
    with pytest.raises(InputError) as e:
        hubel.train(pictures(tmp_path / "x.npz", "abc"), out=tmp_path / "run", **options)
    assert text in str(e.value) and not (tmp_path / "run").exists()


def test_numbers_have_no_public_weights_and_tasks_must_agree(first, tmp_path):
    with pytest.raises(InputError, match="public weights are for pictures, but points holds vectors"):
        prepare("points", weights="resnet18")
    with pytest.raises(
        InputError, match=r"is to classify vectors, but the run .* was trained to classify pictures"
    ):
        prepare("points", from_run=first.path)


def test_a_file_of_ones_own_is_built_in_the_size_of_the_data(tmp_path):
    theirs = hubel.create("resnet18", 4, (3, 40, 40), width=0.125)
    save_file(theirs.state_dict(), tmp_path / "w.safetensors")
    job, run = begun(
        pictures(tmp_path / "x.npz", "abc", channels=3, side=40), tmp_path, weights=tmp_path / "w.safetensors",
        network="resnet18", arguments={"width": 0.125},
    )  # fmt: skip
    assert (
        run.preprocess.shape == (3, 40, 40) and len(run.preprocess.mean) == 3
    )  # of the data: nobody says theirs
    assert np.array_equal(run.model.network.conv1.weight.detach(), theirs.conv1.weight.detach())
    assert any("left out fc.weight: 4 classes there, 3 here" in line for line in job.told)


def test_the_recipe_follows_what_is_frozen(first, tmp_path):
    path = pictures(tmp_path / "x.npz", "abc")

    def recipe(name, **settings):
        return prepare(path, from_run=first.path, out=tmp_path / name, **settings).recipe

    whole, part, head = recipe("a"), recipe("b", freeze="1"), recipe("c", freeze="backbone")
    assert (whole.lr, whole.head_lr) == (part.lr, part.head_lr) == (3e-4, 10) and (head.lr, head.head_lr) == (
        3e-3,
        1,
    )
    assert recipe("d", freeze="backbone", unfreeze_at=2).lr == whole.lr
    assert recipe("e", freeze="backbone", lr=0.5, head_lr=2.0).lr == 0.5
    assert recipe("f", engine="numpy").head_lr == 1
    assert part.shift == head.shift == 0

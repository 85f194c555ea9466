"""A whole training: what it writes, what it keeps, and that nothing is lost when it ends before its time."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib

import numpy as np
import pytest
import torch
from safetensors import safe_open

import hubel
from hubel import zoo
from hubel.data import Dataset
from hubel.errors import (
    ArtifactError,
    Diverged,
    InputError,
    Interrupted,
    MissingExtra,
    ShapeError,
    StoppedEarly,
    UnknownName,
)
from hubel.training import prepare
from hubel.zoo.entry import Preset

QUICK = {"network": "mlp", "epochs": 2, "precision": "fp32"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return hubel.train("digits", out=tmp_path_factory.mktemp("runs") / "run", **QUICK)


def contents(folder, *names):
    return [(folder / name).read_bytes() for name in names]


@pytest.mark.parametrize(
    "settings",
    [
        {"network": "fast-digits", "epochs": 2},
        {"network": "lenet5", "epochs": 2, "precision": "fp32"},
        {
            "network": "lenet-tf",
            "epochs": 1,
            "input_size": (12, 12),
            "shift": 1.0,
            "rotate": 10.0,
            "cutout": 2,
            "ema": 0.9,
        },
        {
            "network": "lenet-keras",
            "epochs": 1,
            "input_size": (12, 12),
            "optimizer": "nesterov",
            "precision": "bf16",
        },
    ],
    ids=lambda s: s["network"],
)
def test_equal_seeds_are_equal_bytes(settings, tmp_path):
    files = ("model.safetensors", "history.jsonl")
    a, b = (hubel.train("digits", out=tmp_path / name, seed=3, **settings).path for name in "ab")
    assert contents(a, *files) == contents(b, *files)
    c = hubel.train("digits", out=tmp_path / "c", seed=4, **settings).path
    assert all(x != y for x, y in zip(contents(a, *files), contents(c, *files), strict=True))


def test_the_folder_holds_what_the_design_says(run):
    assert {p.name for p in run.path.iterdir()} == {
        "run.toml",
        "model.safetensors",
        "history.jsonl",
        "timing.jsonl",
    }
    settings = tomllib.loads((run.path / "run.toml").read_text())
    assert settings["format"] == 1 and settings["task"] == "classify" and settings["network"]["name"] == "mlp"
    assert settings["recipe"]["epochs"] == 2 and settings["set_by_user"] == ["epochs", "network", "precision"]
    assert {"location": "digits", "train": 1258, "val": 180, "test": 359}.items() <= settings["data"].items()
    assert [row["epoch"] for row in run.history] == [1, 2] == [row["epoch"] for row in run.timing]
    assert set(run.history[0]) == {"epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr"}
    assert set(run.timing[0]) == {"epoch", "seconds", "images_per_second"}


def test_the_metadata_alone_rebuilds_the_network_and_holds_no_time_or_place(run, tmp_path):
    with safe_open(run.path / "model.safetensors", "pt") as stored:
        metadata = stored.metadata()
    assert set(metadata) == {"hubel"}
    card = json.loads(metadata["hubel"])
    assert metadata["hubel"] == json.dumps(card, sort_keys=True, ensure_ascii=False)
    assert str(run.path) not in metadata["hubel"] and "20" + "26" not in metadata["hubel"]
    alone = shutil.copy(run.path / "model.safetensors", tmp_path / "alone.safetensors")
    loaded, x = hubel.load(alone), run.dataset().val.inputs
    assert loaded.classes == run.classes == tuple("0123456789")
    np.testing.assert_array_equal(loaded.logits(x), run.logits(x))


def test_what_is_trained_is_what_is_loaded(tmp_path):
    job = prepare(
        "digits", out=tmp_path / "run", ema=0.9, mirror=True, **QUICK | {"network": "lenet5", "epochs": 1}
    )
    job.begin()
    (epoch,) = job.epochs()
    loss, accuracy = job.trainer.validate()
    assert (epoch.val_loss, epoch.val_accuracy) == (loss, accuracy)
    run, val = job.run(), job.dataset.val
    z = run.logits(val.inputs)
    assert (z.argmax(1) == val.targets).mean() == pytest.approx(accuracy, abs=1e-9)
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    assert -np.log(p[np.arange(len(z)), val.targets]).mean() == pytest.approx(loss, rel=1e-4)


def test_the_test_part_stays_closed_in_training(tmp_path, monkeypatch):
    def opened(self):
        raise AssertionError("training opened the test part")

    monkeypatch.setattr(Dataset, "test", property(opened))
    run = hubel.train("digits", out=tmp_path / "run", **QUICK)
    assert len(run.history) == 2
    with pytest.raises(AssertionError, match="opened the test part"):
        hubel.evaluate(run)


def test_no_epochs_save_the_fresh_network(tmp_path):
    run = hubel.train("digits", network="mlp", epochs=0, seed=5, out=tmp_path / "run")
    torch.manual_seed(5)
    fresh = hubel.create("mlp", 10, (1, 8, 8)).state_dict()
    assert all(torch.equal(fresh[k], v) for k, v in run.model.network.state_dict().items())


def test_a_run_moved_away_from_its_data_still_predicts(tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    for part, n in (("train", 12), ("test", 4)):
        for name, level in (("dark", 40), ("light", 200)):
            folder = tmp_path / "data" / part / name
            folder.mkdir(parents=True)
            for i in range(n):
                noise = rng.integers(-20, 20, (9, 7, 3))
                Image.fromarray((level + noise).astype(np.uint8)).save(folder / f"{i}.png")
    hubel.train(tmp_path / "data", network="mlp", epochs=30, out=tmp_path / "run")
    shutil.copy(tmp_path / "data/test/light/0.png", tmp_path / "picture.png")
    shutil.rmtree(tmp_path / "data")
    moved = (tmp_path / "run").rename(tmp_path / "elsewhere")
    (answer,) = hubel.load(moved).predict(tmp_path / "picture.png")
    assert answer.answer == "light" and answer.p > 0.9 and [c for c, _ in answer.top] == ["light", "dark"]
    assert sum(p for _, p in answer.top) == pytest.approx(1)


def test_a_loss_that_is_not_finite_keeps_the_last_good_weights(tmp_path):
    job = prepare("digits", out=tmp_path / "run", **QUICK | {"epochs": 3})
    job.begin()
    epochs = job.epochs()
    next(epochs)
    good = {k: v.clone() for k, v in job.trainer.engine.model.network.state_dict().items()}
    with torch.no_grad():
        next(job.trainer.engine.model.parameters()).fill_(float("inf"))
    with pytest.raises(Diverged) as told:
        next(epochs)
    assert told.value.exit_code == 4
    for part in (
        "at step 11 of 30 (epoch 2)",
        "at learning rate",
        "--lr",
        "--clip 1",
        "(of epoch 1)",
        str(tmp_path / "run"),
    ):
        assert part in str(told.value)
    saved = job.run().model.network.state_dict()
    assert all(torch.equal(good[k], saved[k]) for k in good)


def test_two_epochs_show_every_picture_both_ways(tmp_path, monkeypatch):
    from hubel.data.augment import Augment

    seen = {}
    real = Augment.__call__

    def spy(self, x, seed, mirrored, of=None):
        seen[seed[1:3]] = mirrored
        return real(self, x, seed, mirrored)

    monkeypatch.setattr(Augment, "__call__", spy)
    hubel.train("digits", out=tmp_path / "run", flip=True, shuffle=False, **QUICK)
    first, second = (np.concatenate([seen[epoch, i] for i in range(10)]) for epoch in (1, 2))
    assert len(first) == 1258 and (first ^ second).all() and first.any() and second.any()


@pytest.mark.parametrize("engine", ["torch", "numpy"])
@pytest.mark.parametrize(
    ("number", "error", "code"), [(signal.SIGINT, Interrupted, 130), (signal.SIGTERM, StoppedEarly, 4)]
)
def test_a_signal_ends_the_loop_after_the_step_and_saves(tmp_path, number, error, code, engine):
    before = signal.getsignal(number)
    job = prepare("digits", out=tmp_path / "run", engine=engine, **QUICK | {"epochs": 50})
    job.begin()

    def progress(step, steps):
        if step == 13:
            os.kill(os.getpid(), number)

    with pytest.raises(error, match=r"at step 13 of 500; what was learnt is saved in") as told:
        list(job.epochs(progress))
    assert told.value.exit_code == code and signal.getsignal(number) == before
    live = job.trainer.weights()
    assert all(torch.equal(live[k], v) for k, v in job.run().model.network.state_dict().items())
    assert [row["epoch"] for row in job.run().history] == [1]  # the second one was cut short


def test_patience_stops_and_the_best_is_kept(tmp_path, monkeypatch):
    from hubel.training.loop import Trainer

    losses = iter([3.0, 1.0, 2.0, 1.5, 0.1])
    seen = {}

    def validate(self):
        loss = next(losses)
        seen[loss] = {k: v.clone() for k, v in self.engine.model.network.state_dict().items()}
        return loss, 0.5

    monkeypatch.setattr(Trainer, "validate", validate)
    run = hubel.train("digits", out=tmp_path / "run", patience=2, **QUICK | {"epochs": 9})
    assert [row["val_loss"] for row in run.history] == [3.0, 1.0, 2.0, 1.5]
    assert all(torch.equal(seen[1.0][k], v) for k, v in run.model.network.state_dict().items())


def test_the_last_is_kept_unless_asked(tmp_path, monkeypatch):
    from hubel.training.loop import Trainer

    losses = iter([1.0, 2.0] * 2)
    monkeypatch.setattr(Trainer, "validate", lambda self: (next(losses), 0.5))
    last, best = (
        hubel.train("digits", out=tmp_path / keep, keep=keep, **QUICK).model.network.state_dict()
        for keep in ("auto", "best")
    )
    assert not all(torch.equal(last[k], best[k]) for k in last)


def test_training_and_its_report_do_not_import_the_compiler(tmp_path):
    # It and its algebra take over a second, which is a tenth of a whole training on small pictures.
    code = f"import sys, hubel; run = hubel.train('digits', network='fast-digits', epochs=1, out={str(tmp_path / 'run')!r}); "
    code += "assert hubel.evaluate(run).report.is_file(); sys.exit(' '.join({'torch._dynamo', 'sympy'} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr.strip().splitlines()[-1:]) == (0, [])


def test_event_files_are_written_when_asked(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = hubel.train("digits", out=tmp_path / "run", tensorboard=True, **QUICK)
    board = EventAccumulator(str(run.path / "tensorboard"))
    board.Reload()
    told = [s.value for s in board.Scalars("val_accuracy")]
    assert told == pytest.approx([row["val_accuracy"] for row in run.history])


def test_every_epoch_is_handed_on(tmp_path):
    seen, steps = [], []
    run = hubel.train(
        "digits", out=tmp_path / "run", on_epoch=seen.append, progress=lambda *a: steps.append(a), **QUICK
    )
    assert [e.row() for e in seen] == run.history
    assert steps == [(i, 20) for i in range(1, 21)]  # 1,258 pictures in batches of 128: 10 steps


def test_the_lectures_linear_network_learns_as_their_program_does(tmp_path):
    # 2-3-1 without bias or activation, MSE, batches of 8 in order, learning rate 0.001: followed here in NumPy.
    settings = {
        "network": "mlp", "arguments": {"hidden": (3,), "activation": "none", "bias": False, "init": "normal"},
        "task": "regress", "optimizer": "sgd", "lr": 0.001, "schedule": "constant", "batch": 8, "shuffle": False,
    }  # fmt: skip
    fresh = hubel.train("sum-below-one", out=tmp_path / "fresh", epochs=0, **settings)
    run = hubel.train("sum-below-one", out=tmp_path / "run", epochs=25, **settings)
    split = run.dataset().train
    x, y = np.asarray(split.inputs, np.float64), np.asarray(split.targets, np.float64)
    assert x.shape == (32, 2) and np.array_equal(y[:, 0], (x.sum(1) < 1).astype(float))
    np.testing.assert_allclose(x, np.random.RandomState(23455).rand(32, 2), atol=1e-7)
    w1, w2 = (p.detach().numpy().astype(np.float64).T for p in fresh.model.network.parameters())
    for _ in range(25):
        for i in range(0, 32, 8):
            a, b = x[i : i + 8], y[i : i + 8]
            dz = 2 * (a @ w1 @ w2 - b) / 8
            w1, w2 = w1 - 0.001 * a.T @ dz @ w2.T, w2 - 0.001 * (a @ w1).T @ dz
    got1, got2 = (p.detach().numpy().T for p in run.model.network.parameters())
    np.testing.assert_allclose(got1, w1, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(got2, w2, rtol=1e-4, atol=1e-6)


def test_the_lectures_2_4_1_tells_their_points_apart(tmp_path):
    run = hubel.train(
        "points", network="mlp", arguments={"hidden": (4,), "activation": "sigmoid", "bias": False, "init": "uniform", "single": True},
        loss="mse", optimizer="gd", lr=0.1, schedule="constant", epochs=10_000, out=tmp_path / "run",
    )  # fmt: skip
    assert run.recipe["batch"] == 0 and len(run.history) <= 500
    points = run.dataset().train
    assert points.inputs.tolist() == [[3, 1], [2, 5], [1, 8], [6, 4], [5, 2], [3, 5], [4, 7], [4, -1]]
    assert points.targets.tolist() == [0, 1, 1, 0, 0, 1, 1, 0]
    assert run.logits(points.inputs).argmax(1).tolist() == points.targets.tolist()
    assert run.history[-1]["train_loss"] < run.history[0]["train_loss"] / 2


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"network": "lennet5"}, UnknownName, r"no network named 'lennet5'. Did you mean 'lenet5'\?"),
        ({"preset": "fats", "network": "mlp"}, UnknownName, "no preset of mlp named 'fats'"),
        ({"epochz": 3}, UnknownName, r"no setting named 'epochz'. Did you mean 'epochs'\?"),
        ({"device": "cuda:9"}, InputError, "the device 'cuda:9' cannot be used here .*try --device auto"),
        ({"network": "lenet5", "input_size": (9, 9)}, ShapeError, "a window of 5 does not fit into 2 cells"),
        ({"network": "mlp", "arguments": {"hiden": (3,)}}, UnknownName, r"Did you mean 'hidden'\?"),
    ],
)
def test_a_wrong_choice_is_named_and_leaves_nothing_behind(tmp_path, options, error, text):
    with pytest.raises(error, match=text):
        hubel.train("digits", out=tmp_path / "run", **{"epochs": 1, "network": "mlp"} | options)
    assert not (tmp_path / "run").exists()


def test_a_preset_may_be_another_network_and_the_user_still_wins(tmp_path, monkeypatch):
    entry = zoo.lookup("fast-digits")
    wide = Preset({"epochs": 0, "lr": 0.3}, {"width": 0.5, "stride": 1})
    long = Preset({}, longer=1.5)
    monkeypatch.setitem(
        zoo.ZOO, "fast-digits", dataclasses.replace(entry, presets={"wide": wide, "long": long})
    )
    job = prepare("digits", preset="wide", arguments={"width": 0.25}, lr=0.01, out=tmp_path / "run")
    assert dict(job.network.arguments) == {"width": 0.25, "stride": 1}
    assert (job.recipe.epochs, job.recipe.lr) == (0, 0.01)
    usual, longer, said = (
        prepare("digits", out=tmp_path / str(n), **how).recipe.epochs
        for n, how in enumerate(({}, {"preset": "long"}, {"preset": "long", "epochs": 3}))
    )
    assert (longer, said) == (usual * 3 // 2, 3) and usual == 44  # of as few items as these
    run = hubel.train("digits", preset="wide", out=tmp_path / "trained")
    assert run.model.network.classifier.in_features == 32  # half of 64
    with pytest.raises(InputError, match="the preset wide begins with fresh weights"):
        prepare("digits", preset="wide", from_run=tmp_path / "trained", out=tmp_path / "next")


def test_a_folder_with_something_in_it_is_left_alone(run):
    before = {p.name: p.stat().st_mtime_ns for p in run.path.iterdir()}
    with pytest.raises(
        InputError, match=r"exists and is not empty: name another --out, or move it away. Nothing was changed"
    ):
        hubel.train("digits", out=run.path, **QUICK)
    assert {p.name: p.stat().st_mtime_ns for p in run.path.iterdir()} == before


def test_default_folders_never_collide(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = {hubel.train("digits", **QUICK | {"epochs": 0}).path for _ in range(3)}
    assert len(folders) == 3 and all(
        f.parent.name == "runs" and f.name.startswith("digits-mlp-") for f in folders
    )


def test_damaged_runs_are_named(run, tmp_path):
    with pytest.raises(InputError, match=r"no run at .*nowhere.*`hubel train DATA` makes one"):
        hubel.load(tmp_path / "nowhere")
    copy = shutil.copytree(run.path, tmp_path / "copy")
    model = copy / "model.safetensors"
    whole = model.read_bytes()
    model.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArtifactError, match="is not a model that can be read"):
        hubel.load(copy)
    model.write_bytes(whole.replace(b'\\"format\\": 1', b'\\"format\\": 9'))
    with pytest.raises(
        ArtifactError, match="has format 9, this version of hubel reads up to 1: upgrade hubel"
    ):
        hubel.load(copy)
    model.write_bytes(whole.replace(b'\\"name\\": \\"mlp\\"', b'\\"name\\": \\"mlq\\"'))
    with pytest.raises(ArtifactError, match="do not fit the network 'mlq'"):
        hubel.load(copy)
    model.unlink()
    with pytest.raises(ArtifactError, match="its training ended before the first epoch was done"):
        hubel.load(copy)


def test_a_model_of_somebody_else_is_no_run(tmp_path):
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ArtifactError, match=r"the metadata of .*other.safetensors is not a run's"):
        hubel.load(tmp_path / "other.safetensors")


@pytest.mark.parametrize(
    ("network", "batch", "epochs", "rate", "rotate"),
    [
        # 1,258 digits are 39 batches of 32, and 44 passes over them the 1,700 steps that such a set takes.
        ("fast-digits", 32, 44, 0.05, 15.0),  # all of its recipe is ours, and made for that
        ("lenet5", 32, 44, 1e-3, 0.0),  # Adam keeps its rate, and the paper's digits were not moved about
        ("conv4x3 relu fc", 32, 44, 3e-3, 0.0),
        ("lenet-keras", 32, 2, 1e-3, 0.0),  # the lectures' program as it is
    ],
)
def test_what_changes_where_there_are_few_items(tmp_path, network, batch, epochs, rate, rotate):
    recipe = prepare("digits", network=network, out=tmp_path / "run", input_size=(28, 28)).recipe
    assert (recipe.batch, recipe.epochs, recipe.lr, recipe.rotate) == (batch, epochs, rate, rotate)


def test_without_tensorboard_the_line_that_installs_it_is_said(tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *at: None if name == "tensorboard" else find(name, *at)
    )
    with pytest.raises(
        MissingExtra, match=r'--tensorboard needs tensorboard, .* pip install .*"\.\[tensorboard\]"'
    ):
        hubel.train("digits", **QUICK, tensorboard=True, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()

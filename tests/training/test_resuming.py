"""A training that is killed and gone on with gives, byte for byte, what it would have given."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tomllib

import numpy as np
import pytest
import tomli_w

import hubel
from hubel.errors import ArtifactError, Diverged, InputError, StoppedEarly, Unfinished
from hubel.training import prepare, resumed
from hubel.training.checkpoint import KEPT, Checkpoints, Every, State, duration, named, unfinished
from hubel.training.torch_engine import TorchEngine

FILES = ("model.safetensors", "history.jsonl", "predictions.csv")
QUICK = {"network": "mlp", "epochs": 3, "precision": "fp32"}  # 10 steps an epoch

# (settings, the steps after which it dies): whatever a step remembers of those before it.
TRAININGS = {
    "gd": ({"optimizer": "gd", "network": "mlp", "epochs": 9}, (4,)),
    "sgd": ({**QUICK, "optimizer": "sgd", "schedule": "step", "clip": 1.0}, (13,)),
    "momentum": ({**QUICK, "optimizer": "momentum", "weight_decay": 0.01}, (7, 23)),
    "nesterov": ({**QUICK, "optimizer": "nesterov"}, (1, 2)),
    "rmsprop": ({**QUICK, "optimizer": "rmsprop"}, (10,)),
    "adam": ({**QUICK, "optimizer": "adam"}, (29,)),
    "adamw": ({**QUICK, "optimizer": "adamw", "weight_decay": 0.1}, (20, 21)),
    "average, dropout, statistics of norms, augmentation": (
        {"network": "fast-digits", "epochs": 2, "ema": 0.9, "rotate": 10.0, "shift": 1.0, "cutout": 2, "batch": 200}, (5,),
    ),
    "dropout": ({"network": "conv4x3 relu drop0.5 fc", "epochs": 2, "batch": 300}, (6,)),
    "patience": ({**QUICK, "optimizer": "sgd", "lr": 2.0, "epochs": 20, "patience": 2}, (15,)),
    "best": ({**QUICK, "keep": "best", "lr": 0.05}, (25,)),
    "no validation": ({**QUICK, "val": 0}, (12,)),
    "frozen": ({**QUICK, "network": "lenet5", "freeze": "backbone"}, (5, 17)),
    "frozen for a while": ({**QUICK, "network": "lenet5", "freeze": "backbone", "unfreeze_at": 2}, (9, 11)),
    "frozen until just now": ({**QUICK, "network": "lenet5", "freeze": "1", "unfreeze_at": 2, "optimizer": "adam"}, (10,)),
    "adversarial": ({**QUICK, "network": "lenet5", "epochs": 2, "adversarial": "pgd", "adversarial_steps": 2}, (14,)),
    "numpy": ({"network": "conv4x3 bn relu pool2 fc", "epochs": 1, "engine": "numpy", "optimizer": "momentum", "ema": 0.9}, (6,)),
    "numpy, adam": ({**QUICK, "engine": "numpy", "optimizer": "adam", "weight_decay": 0.01}, (13,)),
    "bf16": ({"network": "lenet-keras", "input_size": (12, 12), "precision": "bf16", "epochs": 2}, (11,)),
}  # fmt: skip


class Killed(BaseException):
    """Nothing in the product catches it, and nothing is saved on its way."""


def die_at(job, step):
    """Learn until so many steps in all are done, and end as SIGKILL does: without another word."""

    def progress(done, _):
        if done == step:
            raise Killed

    with pytest.raises(Killed):
        list(job.epochs(progress))


def contents(run, files=FILES):
    return {name: (run / name).read_bytes() for name in files}


@pytest.fixture
def begun(tmp_path):
    """A run of 30 steps that died at step 17; states are of steps 10 and 15."""
    job = prepare("digits", out=tmp_path / "run", checkpoint_every="5steps", **QUICK)
    job.begin()
    die_at(job, 17)
    return tmp_path / "run"


@pytest.mark.parametrize("name", TRAININGS)
def test_it_ends_in_the_bytes_of_an_uninterrupted_training(name, tmp_path):
    settings, deaths = TRAININGS[name]
    whole = hubel.train("digits", out=tmp_path / "whole", **settings).path
    hubel.evaluate(whole)
    job = prepare("digits", out=tmp_path / "killed", checkpoint_every="3steps", **settings)
    job.begin()
    for step in deaths:
        die_at(job, step)
        job = resumed(tmp_path / "killed", checkpoint_every="3steps")
        job.begin()
    list(job.epochs())
    hubel.evaluate(job.run())
    assert contents(tmp_path / "killed") == contents(whole)
    assert not (tmp_path / "killed/checkpoint").exists()


def test_the_curves_lose_what_came_after_the_state(begun, tmp_path):
    # States of steps 10 and 15 are kept; line 1 is of step 10. A line of an epoch that the state does not know goes.
    with (begun / "history.jsonl").open("a") as out:
        out.write('{"epoch": 2, "half a line')
    whole = hubel.train("digits", out=tmp_path / "whole", **QUICK).path
    run = hubel.train(resume=begun)
    assert contents(run.path, FILES[:2]) == contents(whole, FILES[:2])
    assert [row["epoch"] for row in run.timing] == [1, 2, 3]


def test_the_last_two_states_are_kept_and_go_when_it_ends(begun):
    assert sorted(p.name for p in (begun / "checkpoint").glob("*.safetensors")) == [
        "000000010.safetensors", "000000015.safetensors",
    ]  # fmt: skip
    assert KEPT == 2 and unfinished(begun)
    hubel.train(resume=begun)
    assert not unfinished(begun) and not (begun / "checkpoint").exists()


@pytest.mark.parametrize("harm", ["cut", "bits", "empty", "half"])
def test_a_damaged_state_is_left_out_and_the_one_before_it_taken(begun, harm, tmp_path):
    newest = begun / "checkpoint/000000015.safetensors"
    content = bytearray(newest.read_bytes())
    content[-9] ^= 1  # in the last tensor
    newest.write_bytes(
        {"cut": content[:-5], "bits": content, "empty": b"", "half": content[: len(content) // 2]}[harm]
    )
    (begun / "checkpoint/.000000020.safetensors.77.part").write_bytes(b"killed while writing")
    job = resumed(begun)
    job.begin()
    assert job.trainer.step == 10
    damaged, where = job.resuming
    assert "000000015.safetensors is damaged and left out" in damaged and where.startswith(
        "from step 10 of 30"
    )
    assert not list((begun / "checkpoint").glob(".*.part"))
    list(job.epochs())
    whole = hubel.train("digits", out=tmp_path / "whole", **QUICK).path
    assert contents(begun, FILES[:2]) == contents(whole, FILES[:2])


def test_a_state_of_a_newer_version_is_not_guessed_at(begun):
    for path in (begun / "checkpoint").glob("*.safetensors"):
        path.write_bytes(path.read_bytes().replace(b'{\\"format\\": 1,', b'{\\"format\\": 2,'))
    with pytest.raises(ArtifactError, match=r"has format 2, this version of hubel reads 1: upgrade hubel"):
        Checkpoints(begun).newest()


def test_without_a_state_it_begins_anew(tmp_path):
    job = prepare("digits", out=tmp_path / "run", checkpoint_every="1h", **QUICK)
    job.begin()
    die_at(job, 17)
    assert (tmp_path / "run/history.jsonl").is_file()  # of the first epoch
    again = resumed(tmp_path / "run")
    again.begin()
    assert again.trainer.step == 0 and again.resuming == ["nothing was saved yet: it begins anew"]
    list(again.epochs())
    whole = hubel.train("digits", out=tmp_path / "whole", **QUICK).path
    assert contents(tmp_path / "run", FILES[:2]) == contents(whole, FILES[:2])


def test_a_training_that_has_ended_is_loaded(tmp_path):
    run = hubel.train("digits", out=tmp_path / "run", **QUICK)
    before = contents(run.path, FILES[:2])
    assert hubel.train(resume=run.path).path == run.path and contents(run.path, FILES[:2]) == before


def test_the_same_place_offers_to_go_on(begun):
    with pytest.raises(
        Unfinished, match=rf"has not ended. Go on with it: hubel train --resume {begun}; or name"
    ):
        hubel.train("digits", out=begun, **QUICK)
    assert unfinished(begun)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"lr": 0.5}, r"--lr [\d.e-]+, now 0.5"),
        ({"epochs": 4}, "--epochs 3, now 4"),
        ({"val": 100}, "--val nothing, now 100; data train 1258, now"),
        ({"recipe": {"batch": 64}}, "--batch 128, now 64"),
        ({"network": "lenet5"}, "network name mlp, now lenet5"),
        ({"data": "points"}, "data location digits, now points"),
    ],
)
def test_what_differs_is_said_and_needs_force(begun, changed, said):
    before = {p: p.read_bytes() for p in begun.rglob("*") if p.is_file()}
    with pytest.raises(InputError, match=f"{said}.* or say --force") as told:
        hubel.train(resume=begun, **changed)
    assert str(begun) in str(told.value)
    assert {p: p.read_bytes() for p in begun.rglob("*") if p.is_file()} == before


def test_another_version_needs_force_and_force_goes_on(begun):
    settings = tomllib.loads((begun / "run.toml").read_text())
    settings["versions"]["numpy"] = "1.0"
    (begun / "run.toml").write_text(tomli_w.dumps(settings))
    with pytest.raises(InputError, match=rf"versions numpy 1.0, now {np.__version__}.*--force"):
        resumed(begun)
    run = hubel.train(resume=begun, force=True, epochs=4)
    assert [row["epoch"] for row in run.history] == [1, 2, 3, 4] and run.recipe["epochs"] == 4
    assert run.versions["numpy"] == np.__version__ and "epochs" in run.set_by_user


def test_a_force_that_cannot_be_says_so(begun):
    with pytest.raises(InputError, match="of another network or optimizer than is asked for"):
        hubel.train(resume=begun, force=True, optimizer="sgd")
    assert unfinished(begun) and hubel.train(resume=begun).history[-1]["epoch"] == 3


def test_other_items_in_the_data_need_force(tmp_path):
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.normal(size=(60, 3)), rng.integers(0, 2, 60)])
    table = tmp_path / "data.csv"

    def written(values):
        text = "\n".join(",".join([*(f"{v:.4f}" for v in row[:3]), "ab"[int(row[3])]]) for row in values)
        table.write_text(f"x,y,z,label\n{text}\n")

    written(rows)
    job = prepare(table, out=tmp_path / "run", network="mlp", epochs=4, checkpoint_every="1steps")
    job.begin()
    die_at(job, 3)
    rows[:, 1] += 0.5
    written(rows)
    with pytest.raises(InputError, match=r"data.csv holds other items than when .*run was begun.*--force"):
        hubel.train(resume=tmp_path / "run")
    assert hubel.train(resume=tmp_path / "run", force=True).history[-1]["epoch"] == 4


def test_another_arithmetic_needs_force(begun, monkeypatch):
    made = TorchEngine.__init__

    def elsewhere(self, *given, **named):
        made(self, *given, **named)
        self.arithmetic = "bf16 on cuda"

    monkeypatch.setattr(TorchEngine, "__init__", elsewhere)
    with pytest.raises(
        InputError,
        match=r"run was begun in fp32 on cpu, and this would go on in bf16 on cuda\. Go on .*, or say --force",
    ):
        hubel.train(resume=begun)
    assert unfinished(begun) and hubel.train(resume=begun, force=True).history[-1]["epoch"] == 3


def test_only_one_process_trains_in_a_folder(tmp_path):
    job = prepare("digits", out=tmp_path / "run", **QUICK)
    job.begin()
    with pytest.raises(InputError, match="another process is training in "):
        hubel.train(resume=tmp_path / "run")
    list(job.epochs())


def test_a_time_limit_saves_and_ends_and_nothing_is_lost(tmp_path):
    job = prepare("digits", out=tmp_path / "run", time_limit="1s", **QUICK)
    job.begin()
    job.began -= 1  # the second is over
    with pytest.raises(StoppedEarly, match=r"the time limit was reached at step .* --resume") as told:
        list(job.epochs())
    assert told.value.exit_code == 4
    whole = hubel.train("digits", out=tmp_path / "whole", **QUICK).path
    assert contents(hubel.train(resume=tmp_path / "run").path, FILES[:2]) == contents(whole, FILES[:2])


@pytest.mark.parametrize("at", ["learning", "validating"])
def test_a_stop_saves_the_place_and_nothing_is_lost(tmp_path, at, monkeypatch):
    from hubel.training.loop import Trainer

    job = prepare("digits", out=tmp_path / "run", checkpoint_every="1h", **QUICK)
    job.begin()
    validate = Trainer.validate

    def asked_while_validating(self):
        self.stop = self.stop or at == "validating"
        return validate(self)

    def progress(step, _):
        if step == 14 and at == "learning":
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Trainer, "validate", asked_while_validating)
    with pytest.raises(StoppedEarly, match="asked to end"):
        list(job.epochs(progress))
    monkeypatch.undo()
    again = resumed(tmp_path / "run")
    again.begin()
    assert again.trainer.step == (14 if at == "learning" else 10)
    list(again.epochs())
    whole = hubel.train("digits", out=tmp_path / "whole", **QUICK).path
    assert contents(tmp_path / "run", FILES[:2]) == contents(whole, FILES[:2])


def test_after_a_diverged_training_smaller_steps_can_go_on(tmp_path):
    settings = {**QUICK, "network": "conv4x3 relu fc", "optimizer": "sgd", "lr": 1e6, "warmup": 0.9}
    with pytest.raises(Diverged):
        hubel.train("digits", out=tmp_path / "run", checkpoint_every="1steps", **settings)
    assert unfinished(tmp_path / "run")


def test_what_is_no_run_is_told(tmp_path):
    with pytest.raises(InputError, match="no run at"):
        hubel.train(resume=tmp_path / "nothing")
    with pytest.raises(
        InputError, match=r"to go on with at .*nothing: .*run\.toml is not there\. Name the folder of a run$"
    ):
        resumed(tmp_path / "nothing")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/run.toml").write_text("format = 1\n")
    with pytest.raises(ArtifactError, match="is not what `hubel train` writes"):
        hubel.train(resume=tmp_path / "run")
    with pytest.raises(InputError, match="leave --out out"):
        shutil.rmtree(tmp_path / "run")
        job = prepare("digits", out=tmp_path / "run", **QUICK)
        job.begin()
        job.checkpoints.let_go()
        resumed(tmp_path / "run", out="elsewhere")


@pytest.mark.parametrize(
    ("text", "every"),
    [
        ("30s", Every(seconds=30)), ("1.5m", Every(seconds=90)), ("1h", Every(seconds=3600)), ("50steps", Every(steps=50)),
        ("1 step", Every(steps=1)), ("epoch", Every(epochs=1)), ("5epochs", Every(epochs=5)), ("EPOCH", Every(epochs=1)),
    ],
)  # fmt: skip
def test_when_a_state_is_written(text, every):
    assert Every.of(text) == every


@pytest.mark.parametrize(
    "text", ["", "0s", "0steps", "often", "-5s", "1e3s", "5 apples", "nan", "inf", "9" * 12]
)
def test_what_is_no_time_is_told(text):
    with pytest.raises(InputError, match="--checkpoint-every takes"):
        Every.of(text)
    with pytest.raises(InputError, match="--time-limit takes"):
        prepare("digits", time_limit=text)


def test_durations():
    assert [duration(t) for t in ("90", "90s", "1h30m", "0.5m", " 2H ")] == [90, 90, 5400, 30, 7200]


def test_a_state_is_read_as_it_was_written(tmp_path):
    import torch

    shared = torch.arange(6.0).reshape(2, 3)
    state = State(
        named("x", {"a": shared, "b": shared.t(), "none": torch.zeros(0)}),
        {"step": 3, "lr": 0.1, "inf": float("inf")},
    )
    states = Checkpoints(tmp_path)
    states.hold()
    states.write(state)
    found, damaged = states.newest()
    assert not damaged and found.numbers == state.numbers and found.tensors.keys() == state.tensors.keys()
    assert all(torch.equal(found.tensors[k], t) for k, t in state.tensors.items())
    assert torch.equal(found.tensors["x.b"], shared.t())
    json.dumps(found.numbers)

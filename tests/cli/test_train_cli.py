"""`hubel train`: what the user sets wins and is written down, first of all; and it can be ended at any time."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import hubel
from hubel.run import load
from hubel.training.recipe import Recipe
from hubel.zoo import lookup

TINY = ("train", "digits", "--network", "mlp", "--hidden", "8")

# One value per setting, each another than the default of Recipe and of the network.
FLAGS = {
    "epochs": 1, "batch": 300, "seed": 7, "shuffle": False,
    "optimizer": "nesterov", "lr": 0.0123, "momentum": 0.8, "beta1": 0.85, "beta2": 0.99, "rho": 0.95,
    "bias_lr": 2.0, "weight_decay": 0.002, "clip": 1.5,
    "schedule": "step", "warmup": 0.25, "milestones": (0.25, 0.6, 0.9), "gamma": 0.3,
    "loss": "bce", "label_smoothing": 0.05, "balance": True,
    "patience": 4, "keep": "best", "ema": 0.7,
    "engine": "numpy", "precision": "fp32", "device": "cpu", "threads": 1, "sync_bn": True, "deterministic": True,
    "shift": 1.5, "rotate": 11.0, "scale": 0.1, "flip": True, "crop": 1, "multiscale": 0.2, "elastic": 0.7, "cutout": 3,
    "brightness": 0.15, "colour_pca": 0.05,
    "mirror": True,
}  # fmt: skip
FREEZING = {"freeze": "backbone", "unfreeze_at": 1, "head_lr": 0.5}  # not with NumPy
AGAINST = {
    "adversarial": "pgd", "adversarial_eps": 0.05, "adversarial_steps": 2, "adversarial_step": 0.02,
    "adversarial_warmup": 0.5, "epochs": 1,
}  # fmt: skip


def flag(name: str, value: object) -> list[str]:
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{option}" if value else f"--no-{option}"]
    return [f"--{option}", ",".join(map(str, value)) if isinstance(value, tuple) else str(value)]


def settings(run) -> dict:
    return tomllib.loads((run / "run.toml").read_text("utf-8"))


def as_stored(value):
    return list(value) if isinstance(value, tuple) else value


def test_there_is_a_flag_for_every_setting_and_none_is_a_default():
    assert {*FLAGS, *FREEZING, *AGAINST} == set(Recipe.__dataclass_fields__), (
        "give FLAGS a value for each setting, so that it is tried"
    )
    defaults = {**Recipe().to_dict(), **lookup("mlp").recipe}
    assert [
        name for name, value in {**FLAGS, **FREEZING, **AGAINST}.items() if as_stored(value) == defaults[name]
    ] == []


@pytest.mark.parametrize("flags", [FLAGS, FREEZING, AGAINST], ids=["all", "freezing", "against"])
def test_every_flag_arrives_in_the_run(cli, tmp_path, flags):
    chosen = [word for name, value in flags.items() for word in flag(name, value)]
    said = cli(*TINY, *chosen, "--no-evaluate", "--out", tmp_path / "run")
    assert said.code == 0, said.err
    stored = settings(tmp_path / "run")
    assert {k: v for k, v in stored["recipe"].items() if k in flags} == {
        k: as_stored(v) for k, v in flags.items()
    }
    assert set(flags) <= set(stored["set_by_user"])


def test_flags_win_over_the_file_and_the_file_over_the_network(cli, tmp_path):
    (tmp_path / "my.toml").write_text("epochs = 2\nlr = 0.02\nbatch = 64\nweight-decay = 0.01\n")
    said = cli(
        *TINY, "--recipe", tmp_path / "my.toml", "--lr", 0.5, "--epochs", 1, "--no-evaluate", "--out", tmp_path / "run"
    )  # fmt: skip
    assert said.code == 0, said.err
    stored = settings(tmp_path / "run")
    recipe = stored["recipe"]
    assert (recipe["lr"], recipe["epochs"], recipe["batch"], recipe["weight_decay"]) == (0.5, 1, 64, 0.01)
    assert recipe["optimizer"] == lookup("mlp").recipe["optimizer"]  # nobody chose it: the network's own
    assert set(stored["set_by_user"]) == {"network", "hidden", "lr", "epochs", "batch", "weight_decay"}


def test_a_run_can_be_repeated_from_its_own_settings(cli, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    assert cli(*TINY, "--epochs", 2, "--lr", 0.02, "--no-evaluate", "--out", first).code == 0
    assert cli(*TINY, "--recipe", first / "run.toml", "--no-evaluate", "--out", second).code == 0
    assert (first / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()


def test_it_tells_what_was_reached_and_what_to_do_next(cli, tmp_path):
    run = tmp_path / "run"
    said = cli(*TINY, "--epochs", 3, "--out", run)
    assert said.code == 0
    assert [line.split()[1] for line in said.err.splitlines() if line.startswith("epoch")] == [
        "1/3",
        "2/3",
        "3/3",
    ]
    right = sum(row.split(",")[1] == row.split(",")[2] for row in rows(run / "predictions.csv"))
    items = len(rows(run / "predictions.csv"))
    assert f"accuracy {100 * right / items:.2f} %" in said.out and f"{items - right:,} mistakes" in said.out
    assert str(run / "report.html") in said.out
    following = said.out.partition("Try next:")[2].split("\n")
    commands = [line.strip() for line in following if line.startswith("  hubel ")]
    assert commands[0] == f"hubel explain {run}" and len(set(commands)) == 3
    assert commands[1:] == ["hubel data digits -o pictures.png", "hubel train digits --network lenet5"]
    assert (run / "report.html").is_file()


def rows(csv) -> list[str]:
    return csv.read_text("utf-8").splitlines()[1:]


def test_it_says_who_computes_and_what_does_not_go_together(cli, tmp_path):
    said = cli(*TINY, "--engine", "numpy", "--epochs", 1, "--out", tmp_path / "run")
    assert said.code == 0 and "fp32 in NumPy" in said.out and "accuracy " in said.out, said.err
    assert settings(tmp_path / "run")["recipe"]["engine"] == "numpy"
    said = cli(*TINY, "--engine", "numpy", "--device", "cuda", "--out", tmp_path / "none")
    assert said.code == 2 and "--engine numpy does not go with --device cuda" in said.err
    assert not (tmp_path / "none").exists()


def test_json_and_nothing_else(cli, tmp_path):
    said = cli(*TINY, "--epochs", 1, "--out", tmp_path / "run", "--json")
    assert said.code == 0 and said.err == ""
    right = sum(row.split(",")[1] == row.split(",")[2] for row in rows(tmp_path / "run" / "predictions.csv"))
    assert said.json["run"] == str(tmp_path / "run")
    assert (
        said.json["accuracy"]
        == right / said.json["items"]
        == right / len(rows(tmp_path / "run" / "predictions.csv"))
    )


def test_without_evaluation_the_test_part_stays_closed(cli, tmp_path, monkeypatch):
    opened = []
    original = hubel.data.Dataset.part
    monkeypatch.setattr(
        hubel.data.Dataset, "part", lambda self, name: opened.append(name) or original(self, name)
    )
    assert cli(*TINY, "--epochs", 1, "--no-evaluate", "--out", tmp_path / "run").code == 0
    assert set(opened) == {"train", "val"}
    assert not (tmp_path / "run" / "predictions.csv").exists()
    assert cli("evaluate", tmp_path / "run").code == 0
    assert "test" in opened  # the probe sees it where it is opened


def test_the_settings_stand_before_torch_is_imported(tmp_path):
    """A process whose `import torch` ends it at once: what it leaves behind was written before."""
    (tmp_path / "torch.py").write_text("import os; os._exit(77)")
    command = [sys.executable, "-m", "hubel", *TINY, "--epochs", "5", "--out", str(tmp_path / "run")]
    done = subprocess.run(command, env=with_path(tmp_path), capture_output=True)
    assert done.returncode == 77
    stored = settings(tmp_path / "run")
    assert stored["recipe"]["epochs"] == 5 and stored["network"]["name"] == "mlp" and stored["format"] == 1
    assert {p.name for p in (tmp_path / "run").iterdir()} == {"run.toml", "checkpoint"}


def test_a_training_that_never_began_leaves_no_folder(tmp_path):
    """Ctrl-C while the data are read."""
    (tmp_path / "torch.py").write_text("raise KeyboardInterrupt")
    command = [sys.executable, "-m", "hubel", *TINY, "--out", str(tmp_path / "run")]
    done = subprocess.run(command, env=with_path(tmp_path), capture_output=True, text=True)
    assert done.returncode != 0 and not (tmp_path / "run").exists()


def with_path(first) -> dict[str, str]:
    """The environment in which modules are first looked for in `first`."""
    package = Path(hubel.__file__).parent.parent
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(first), str(package)])}


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [(signal.SIGINT, 130, "interrupted at step "), (signal.SIGTERM, 4, "asked to end (SIGTERM) at step ")],
    ids=["Ctrl-C", "SIGTERM"],
)
def test_ended_by_a_signal_what_was_learnt_is_saved(tmp_path, number, code, words):
    run = tmp_path / "run"
    command = [sys.executable, "-m", "hubel", *TINY, "--epochs", "400", "--out", str(run)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        told = next(line for line in child.stderr if line.startswith("epoch "))
        child.send_signal(number)
        rest = child.stderr.read()
        child.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        child.stderr.close()
    assert told.startswith("epoch   1/400") and child.returncode == code
    last = rest.splitlines()[-1]
    assert last.startswith(f"hubel: {words}") and f"what was learnt is saved in {run}. Go on with:" in last
    assert last.endswith(f": hubel train --resume {run}")
    history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    ended = int(re.search(r"step (\d+) of 4000", last)[1])
    assert len(history) == ended // 10 < 400  # 1,258 items in batches of 128: ten steps make a whole epoch
    assert load(run).classes == tuple("0123456789")


def test_a_killed_training_is_gone_on_with_to_the_same_bytes(cli, tmp_path):
    """SIGKILL after the second line; 8 epochs in all, a state every 3 steps."""
    run, options = tmp_path / "run", ("--epochs", 8, "--checkpoint-every", "3steps")
    command = [sys.executable, "-m", "hubel", *TINY, *map(str, options), "--out", str(run)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    with child:
        for line in child.stderr:
            if line.startswith("epoch 2"):
                child.kill()
    again = cli(*TINY, *options, "--out", run)  # no terminal: the offer is a sentence
    assert again.code == 2 and f"has not ended. Go on with it: hubel train --resume {run}" in again.err
    done = cli("train", "--resume", run)
    assert done.code == 0 and "\nresumed  from step " in done.out and "\nreport   " in done.out
    assert cli(*TINY, *options, "--out", tmp_path / "whole").code == 0
    for name in ("model.safetensors", "history.jsonl", "predictions.csv", "probabilities.npy"):
        assert (run / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_going_on_with_what_has_ended_measures_it_where_that_is_missing(cli, tmp_path):
    run = tmp_path / "run"
    assert cli(*TINY, "--epochs", 1, "--no-evaluate", "--out", run).code == 0
    measured = cli("train", "--resume", run)
    assert measured.code == 0 and "has ended: 1 epoch\n" in measured.out and (run / "report.html").is_file()
    again = cli("train", "--resume", run)
    assert again.code == 0 and again.out.endswith("has ended: 1 epoch\nNothing is left to do\n")
    assert json.loads(cli("train", "--resume", run, "--json").out) == {"run": str(run)}
    longer = cli("train", "--resume", run, "--epochs", 5)
    assert longer.code == 2 and f"hubel train digits --from {run}" in longer.err


def test_a_time_limit_ends_with_what_to_do_next(cli, tmp_path):
    done = cli(*TINY, "--epochs", 2000, "--time-limit", "1s", "--out", tmp_path / "run")
    assert done.code == 4 and "the time limit was reached at step" in done.err
    assert done.err.rstrip().endswith(f"hubel train --resume {tmp_path / 'run'}")
    refused = cli("train", "--resume", tmp_path / "run", "--lr", 0.5)
    assert refused.code == 2 and "--lr 0.001, now 0.5" in refused.err and "--force" in refused.err


def test_a_launcher_that_begins_again_measures_what_had_ended(cli, tmp_path, monkeypatch):
    """The process was lost after the training, before the report: the same words go on there."""
    words = (*TINY, "--epochs", 1, "--out", tmp_path / "run")
    assert cli(*words, "--no-evaluate").code == 0
    assert cli(*words).code == 2  # by hand it is a mistake
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert cli(*words).code == 0 and (tmp_path / "run/report.html").is_file()
    assert cli(*words).code == 0

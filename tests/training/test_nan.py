"""A loss that is not finite: exit code 4, the last good weights, curves without a number that JSON does not know."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from faults import command

import hubel
from hubel.errors import Diverged
from hubel.evaluation.evaluate import evaluate
from hubel.run import load
from hubel.training.torch_engine import TorchEngine

MLP = {"network": "mlp", "arguments": {"hidden": (8,)}, "epochs": 4}


@pytest.fixture
def spoilt(monkeypatch):
    """spoilt(step): the step number `step`, from 1, puts NaN into the first weight that learns."""
    real = TorchEngine.step

    def at(number: int) -> None:
        steps = [0]

        def step(self, lr):
            real(self, lr)
            steps[0] += 1
            if steps[0] == number:
                with torch.no_grad():
                    next(p for p in self.model.parameters() if p.requires_grad).view(-1)[0] = float("nan")

        monkeypatch.setattr(TorchEngine, "step", step)

    return at


# 1,258 digits by 128 are 10 steps an epoch: in the middle of the third epoch, at its first step, at its last.
@pytest.mark.parametrize(("step", "good"), [(25, 2), (21, 2), (30, 2)])
@pytest.mark.parametrize("engine", ["torch"])
def test_the_last_good_weights_are_kept(tmp_path, spoilt, step, good, engine):
    spoilt(step)
    with pytest.raises(
        Diverged, match=rf"loss became nan .*last good weights \(of epoch {good}\) are in .*run"
    ):
        hubel.train("digits", **MLP, engine=engine, out=tmp_path / "run")
    run = load(tmp_path / "run")
    assert all(p.isfinite().all() for p in run.model.parameters())
    assert [row["epoch"] for row in run.history] == [1, 2]
    for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_a_report_can_be_made_of_what_is_kept(tmp_path, spoilt):
    spoilt(25)
    with pytest.raises(Diverged):
        hubel.train("digits", **MLP, out=tmp_path / "run")
    found = evaluate(tmp_path / "run")
    assert found.n == 359 and np.isfinite(found.to_dict()["accuracy"])
    assert found.report.read_text("utf-8").startswith("<!doctype html>")


def test_without_validation_the_last_step_is_looked_at_too(tmp_path, spoilt):
    """Its loss was computed before the weights became NaN, and 1,438 digits are 12 steps an epoch: of 48 the last."""
    spoilt(48)
    with pytest.raises(Diverged, match=r"the weights became nan .*last good weights \(of epoch 3\)"):
        hubel.train("digits", **MLP, val=0, out=tmp_path / "run")
    assert all(p.isfinite().all() for p in load(tmp_path / "run").model.parameters())


def test_the_command_line_says_what_to_try(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = command(
        "train", "digits", "-n", "mlp", "--optimizer", "sgd", "--lr", "1e30", "--epochs", "2", "--out", "run"
    )
    assert said.code == 4 and "Traceback" not in said.err
    assert "Try a smaller --lr (say 1e+29), --clip 1, or --warmup 0.1" in said.err.splitlines()[-1]

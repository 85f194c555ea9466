"""A batch that does not fit: the size that does is named, and what was learnt before stays."""

from __future__ import annotations

import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
from faults import bytes_below, command

import hubel as h
from hubel.errors import OutOfMemory
from hubel.training.distributed import Ranks
from hubel.training.fitting import fitting
from hubel.training.recipe import Recipe
from hubel.training.torch_engine import TorchEngine

TOO_MUCH = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 984064000 bytes."
MLP = {"network": "mlp", "arguments": {"hidden": (8,)}}


@pytest.fixture
def memory(monkeypatch):
    """memory(holds, after): from the call number `after` on, a batch of more than `holds` items does not fit."""
    real = TorchEngine.forward

    def limit(holds: int, after: int = 0) -> None:
        calls = [0]

        def forward(self, x, target, *rest):
            calls[0] += 1
            if calls[0] > after and len(x) > holds:
                raise RuntimeError(TOO_MUCH)
            return real(self, x, target, *rest)

        monkeypatch.setattr(TorchEngine, "forward", forward)

    return limit


@pytest.mark.parametrize(
    ("batch", "holds", "fits"), [(100, 99, 50), (100, 18, 12), (100, 17, 6), (1000, 93, 62), (3, 1, 1)]
)
def test_the_batch_that_fits_is_named(tmp_path, memory, batch, holds, fits):
    """Halved, rounding down: 100 50 25 12 6; 1000 500 250 125 62; 3 1. Half as many more must fit: 18 for 12, 93 for 62."""
    memory(holds)
    with pytest.raises(
        OutOfMemory, match=rf"^a batch of {batch:,} items .* one of {fits:,} does: say --batch {fits}$"
    ):
        h.train("digits", **MLP, epochs=1, batch=batch, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_whole_train_part_is_a_batch_too(tmp_path, memory):
    memory(943)
    with pytest.raises(OutOfMemory, match=r"a batch of 1,258 items .* --batch 629"):
        h.train("digits", **MLP, epochs=1, batch=0, out=tmp_path / "run")


def test_where_not_even_one_item_fits_it_is_said(tmp_path, memory):
    memory(0)
    with pytest.raises(
        OutOfMemory, match=r"not even one does. End other programs, or take a smaller network"
    ):
        h.train("digits", **MLP, epochs=1, batch=4, out=tmp_path / "run")


def test_what_was_learnt_before_it_ran_out_stays_and_goes_on(tmp_path, memory, monkeypatch):
    """10 steps an epoch: the eleventh fails; gone on with where there is memory, the weights are those of no failure."""
    settings = {**MLP, "epochs": 2, "checkpoint_every": "epoch"}
    with monkeypatch.context():
        memory(12, after=10)
        with pytest.raises(
            OutOfMemory, match=r"--batch 8\. What was saved before is in .*train --resume .*run"
        ):
            h.train("digits", **settings, out=tmp_path / "run")
    monkeypatch.undo()
    h.train(resume=tmp_path / "run")
    h.train("digits", **settings, out=tmp_path / "whole")
    assert (
        bytes_below(tmp_path / "run")["model.safetensors"]
        == bytes_below(tmp_path / "whole")["model.safetensors"]
    )


def test_another_error_keeps_its_traceback(tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(TorchEngine, "forward", broken)
    with pytest.raises(RuntimeError, match="mat1"):
        h.train("digits", **MLP, epochs=1, out=tmp_path / "run")


def test_validation_takes_smaller_pieces_by_itself(tmp_path, monkeypatch):
    """180 items to validate, and memory for 50 at once: the run has the same numbers, up to the order of sums."""
    whole = h.train("digits", **MLP, epochs=1, out=tmp_path / "whole").history
    real, sizes = TorchEngine.examine, []

    def examine(self, x, target):
        if len(x) > 50:
            raise RuntimeError(TOO_MUCH)
        sizes.append(len(x))
        return real(self, x, target)

    monkeypatch.setattr(TorchEngine, "examine", examine)
    found = h.train("digits", **MLP, epochs=1, out=tmp_path / "pieces").history
    assert sizes == [45, 45, 45, 45]
    assert found[0]["val_accuracy"] == whole[0]["val_accuracy"]
    assert found[0]["val_loss"] == pytest.approx(whole[0]["val_loss"], rel=1e-6)


# Imports take most of the addresses; the limit stands 600 MB above them.
LIMITED = """
import re, resource, sys
import hubel.evaluation.evaluate, hubel.training.loop
from hubel.cli.main import entry
size = int(re.search(r"VmSize:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (size + (600 << 20),) * 2)
sys.argv = ["hubel", *sys.argv[1:]]
entry()
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is Linux's")
def test_a_process_of_little_memory_names_a_batch_that_it_can_train(tmp_path):
    """Two maps of 64 × 62 × 62 floats are 2 MB an item, and the way back needs as much again: 1,000 items are 8 GB."""
    typed = [
        "train",
        "digits",
        "-n",
        "conv64x3 relu conv64x3 relu pool2 fc",
        "--input",
        "64x64",
        "--epochs",
        "1",
    ]

    def run(batch: int) -> subprocess.CompletedProcess[str]:
        more = ["--batch", str(batch), "--no-evaluate", "--out", str(tmp_path / f"run{batch}")]
        return subprocess.run([sys.executable, "-c", LIMITED, *typed, *more], capture_output=True, text=True)

    said = run(1000)
    assert said.returncode == 2 and "Traceback" not in said.stderr
    found = re.search(r"a batch of 1,000 items does not fit in the memory, one of (\d+) does", said.stderr)
    assert found, said.stderr
    assert run(int(found[1])).returncode == 0


def test_the_command_line_exits_with_2(tmp_path, memory, monkeypatch):
    memory(24)
    monkeypatch.chdir(tmp_path)
    said = command("train", "digits", "--network", "mlp", "--epochs", "1", "--batch", "64", "--out", "run")
    assert said.code == 2 and said.err.splitlines()[-1].endswith("one of 16 does: say --batch 16")
    assert list(tmp_path.iterdir()) == []


def test_one_of_several_processes_names_its_share():
    """It cannot try smaller ones: the others wait for its share of this one."""
    trainer = SimpleNamespace(ranks=Ranks(1, 3), recipe=Recipe(batch=4096))
    said = r"^the share of process 1 in a batch of 4,096 items does not fit in its memory: say a smaller --batch, or"
    with pytest.raises(OutOfMemory, match=said), fitting(trainer):
        raise MemoryError

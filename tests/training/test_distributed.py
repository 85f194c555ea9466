"""One training in several processes: the same losses, no item twice, and nobody waits for one who has gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from ranks import together
from torch import nn

import hubel
from hubel.data.augment import Augment
from hubel.errors import InputError, StoppedEarly
from hubel.training import launching, prepare
from hubel.training.distributed import ALONE, Ranks, told_ranks
from hubel.training.shared_memory import SharedMean
from hubel.training.synced_norm import synchronize

PROC = Path("/proc")
LENET = {
    "data": "digits",
    "network": "lenet5",
    "precision": "fp32",
    "batch": 50,
    "epochs": 2,
}  # 26 steps an epoch


@pytest.mark.parametrize(
    ("settings", "processes"),
    [
        (LENET, 2),
        # 1,258 items in batches of 419: the last one holds 1 and joins the one before it. Three shares are not equal.
        ({**LENET, "batch": 419, "epochs": 8, "rotate": 10.0, "shift": 1.0, "flip": True, "cutout": 2, "balance": True}, 3),
        ({**LENET, "network": "conv6x3 bn relu pool2 conv8x3 bn relu fc", "sync_bn": True, "ema": 0.9}, 2),
        ({**LENET, "data": "points", "network": "mlp", "batch": 3, "epochs": 4}, 2),  # 8 points: the last batch holds 2
    ],
    ids=["lenet5", "uneven, augmented, weighted", "norms over all", "few"],
)  # fmt: skip
def test_several_processes_learn_what_one_learns(settings, processes, tmp_path):
    alone = together(1, **settings, out=str(tmp_path / "alone"))
    many = together(processes, **settings, out=str(tmp_path / "many"))
    assert len(many["losses"]) == len(alone["losses"]) >= 12
    np.testing.assert_allclose(many["losses"], alone["losses"], rtol=1e-5)
    for one, other in zip(many["rows"], alone["rows"], strict=True):
        assert one["lr"] == other["lr"] and one["train_accuracy"] == other["train_accuracy"]
        assert one["val_accuracy"] == other["val_accuracy"]
        if one["val_loss"] is not None:
            assert one["val_loss"] == pytest.approx(other["val_loss"], rel=1e-4)
    assert sorted(p.name for p in (tmp_path / "many").iterdir()) == sorted(
        p.name for p in (tmp_path / "alone").iterdir()
    )


@pytest.mark.parametrize("apart", [False, True], ids=["one machine", "several"])
def test_gradients_are_averaged_alike_through_memory_and_through_sockets(apart, tmp_path):
    """Three, whose shares are unlike; 1e-5 over all weights tells a lost piece or a wrong divisor."""
    settings = {**LENET, "batch": 200, "epochs": 2}
    alone = together(1, **settings, out=str(tmp_path / "alone"))
    many = together(3, apart=apart, **settings, out=str(tmp_path / "many"))
    np.testing.assert_allclose(many["losses"], alone["losses"], rtol=1e-5)


def test_the_mean_goes_through_memory_piece_by_piece():
    """Threads in place of processes, and room for four numbers of eleven."""
    rows, meeting = torch.zeros(3, 4), threading.Barrier(3)
    values = [torch.arange(11.0) * 10**rank for rank in range(3)]

    def bring(rank):
        mean = SharedMean(Ranks(rank, 3), rows)
        mean._wait = meeting.wait
        mean(values[rank])

    threads = [threading.Thread(target=bring, args=(rank,)) for rank in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for found in values:
        torch.testing.assert_close(found, torch.arange(11.0) * 111 / 3)


def test_what_a_frozen_front_makes_is_seen_again_in_the_shares_it_was_seen_in(tmp_path):
    """A resumed process knows the features of its own items, and of no others."""
    settings = {**LENET, "freeze": "backbone", "out": tmp_path / "run", "checkpoint_every": "1h"}
    job = prepare(**settings)
    job.begin()
    tensors, numbers = job.trainer.state()
    job.trainer.ranks = Ranks(1, 2)
    job.trainer.restore(tensors, {**numbers, "epoch": 2})
    known = job.trainer.memories[0].known.numpy()
    theirs = np.concatenate([batch[Ranks(0, 2).share(len(batch))] for batch in job.trainer._order(1)])
    assert not known[theirs].any() and known.sum() == len(known) - len(theirs)
    job.checkpoints.let_go()


def test_without_sync_each_process_norms_its_own_share(tmp_path):
    """Else the test above would not tell whether sync_bn does anything."""
    settings = {**LENET, "network": "conv6x3 bn relu pool2 fc", "epochs": 1}
    alone = together(1, **settings, out=str(tmp_path / "alone"))
    many = together(2, **settings, out=str(tmp_path / "many"))
    assert not np.allclose(many["losses"], alone["losses"], rtol=1e-4)
    assert many["losses"][-1] < many["losses"][0]


class Mirrored(Ranks):
    """As if another process had the very same share."""

    def total(self, values):
        return values.mul_(2)


@pytest.mark.parametrize(
    ("norm", "shape"),
    [(nn.BatchNorm2d(3), (4, 3, 5, 2)), (nn.BatchNorm1d(6, momentum=None), (7, 6)), (nn.BatchNorm2d(3, affine=False), (2, 3, 1, 4))],
)  # fmt: skip
def test_the_norm_over_all_is_that_of_the_whole_batch(norm, shape):
    torch.manual_seed(0)
    theirs = type(norm)(norm.num_features, momentum=norm.momentum, affine=norm.affine).double()
    ours = type(norm)(norm.num_features, momentum=norm.momentum, affine=norm.affine)
    assert synchronize(nn.Sequential(ours), Mirrored(0, 2)) == 1
    x, dy = torch.randn(shape) * 3 + 1, torch.randn(shape)
    half, whole = x.clone().requires_grad_(), torch.cat([x, x]).double().requires_grad_()
    for _ in range(2):
        y, wanted = ours(half), theirs(whole)
    torch.testing.assert_close(y.double(), wanted[: len(x)], rtol=1e-5, atol=1e-6)
    y.backward(dy)
    wanted.backward(torch.cat([dy, dy]).double())
    torch.testing.assert_close(half.grad.double(), whole.grad[: len(x)], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.running_mean.double(), theirs.running_mean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours.running_var.double(), theirs.running_var, rtol=1e-5, atol=1e-6)
    if norm.affine:  # each process has the slope of its own share
        torch.testing.assert_close(2 * ours.weight.grad.double(), theirs.weight.grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.eval()(x).double(), theirs.eval()(x.double()), rtol=1e-5, atol=1e-6)


def test_what_happens_to_a_share_of_a_batch_is_what_happens_to_it_there():
    x = torch.rand(7, 3, 6, 5)
    augment = Augment(
        shift=2, rotate=10, scale=0.1, flip=True, crop=1, multiscale=0.2, elastic=0.5, cutout=3, brightness=0.1,
        colour_pca=0.1, components=((0.1, 0.2), (0.3, 0.1), (0.2, 0.2)),
    )  # fmt: skip
    whole = augment(x, (1, 2, 3))
    for rank in range(3):
        places = Ranks(rank, 3).share(7)
        torch.testing.assert_close(augment(x[places], (1, 2, 3), of=(places, 7)), whole[places])
    assert sorted(np.concatenate([Ranks(r, 3).share(7) for r in range(3)])) == [*range(7)]


@pytest.mark.parametrize(
    "told", [{"RANK": "2", "WORLD_SIZE": "2"}, {"WORLD_SIZE": "2"}, {"RANK": "x", "WORLD_SIZE": "2"}]
)
def test_an_environment_that_makes_no_sense_is_told(told, monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert told_ranks() == ALONE
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=r"name no process among several.*hubel launch"):
        told_ranks()


TRAIN = ("train", "digits", "--network", "lenet5", "--batch", "50", "--precision", "fp32", "--checkpoint-every", "10steps",
         "--no-evaluate")  # fmt: skip


def killed_when(line, run, *more):
    """`hubel launch` of two, whose second process is killed when the first one says `line` -> exit code, what was said."""
    command = [
        sys.executable,
        "-m",
        "hubel",
        "launch",
        "-n",
        "2",
        *more,
        *TRAIN,
        "--epochs",
        "40",
        "--out",
        str(run),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as child:
        # Whoever still waits after a minute has not noticed: the test ends, and red.
        watch = threading.Timer(60, child.kill)
        watch.start()
        lines, done = [], False
        for said in child.stderr:
            lines.append(said)
            if said.startswith(line) and not done:
                done = True
                os.kill(second_child_of(child.pid), 9)
        watch.cancel()
    return child.returncode, "".join(lines)


def second_child_of(pid):
    for process in PROC.iterdir():
        if process.name.isdigit():
            try:
                environment = (process / "environ").read_text().split("\0")
                parent = (process / "stat").read_text().rsplit(")", 1)[1].split()[1]
            except OSError:
                continue
            if parent == str(pid) and "RANK=1" in environment:
                return int(process.name)
    raise AssertionError("there is no second process")


@pytest.mark.skipif(not PROC.is_dir(), reason="finds the process in /proc")
def test_a_lost_process_ends_the_others_and_nothing_is_lost(tmp_path):
    code, said = killed_when("epoch  2", tmp_path / "run")
    assert code == 4 and said.endswith("hubel: process 1 of 2 was killed by SIGKILL; the others were ended\n")
    assert not subprocess.run(["pgrep", "-f", str(tmp_path / "run")], capture_output=True).stdout
    resumed = launching.launch(["train", "--resume", str(tmp_path / "run"), "--no-evaluate"], 2)
    assert resumed.code == 0
    whole = launching.launch([*TRAIN, "--epochs", "40", "--out", str(tmp_path / "whole")], 2)
    assert whole.code == 0
    for name in ("model.safetensors", "history.jsonl"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(not PROC.is_dir(), reason="finds the process in /proc")
def test_with_restarts_they_begin_again_where_they_were(tmp_path):
    code, said = killed_when("epoch  2", tmp_path / "run", "--restarts", "1")
    assert code == 0 and "killed by SIGKILL; the others were ended. Beginning again, 1 of 1" in said
    assert [row["epoch"] for row in hubel.load(tmp_path / "run").history] == [*range(1, 41)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-n", "0", "train", "digits"], "--processes must be at least 1"),
        (["evaluate", "x"], "is train, not evaluate"),
        (["--restarts", "1", "train", "digits"], "--out RUN"),
        (["--restarts", "1", "train", "--resume", "nothing"], "no run at nothing"),
        (["train", "digits", "--network", "nonesuch"], "no network named 'nonesuch'"),
        (["train", "digits", "--engine", "numpy", "--epochs", "1"], "--engine numpy computes in one process"),
    ],
)
def test_what_cannot_be_launched_is_told_once(words, said, tmp_path):
    command = [sys.executable, "-m", "hubel", "launch", *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr
    assert done.stderr.count(said) == 1


def test_one_who_has_lost_another_says_so(monkeypatch):
    def gone(*_):
        raise RuntimeError("[gloo/pair.cc:548] Connection closed by peer [10.0.0.2]:1234\nand more")

    monkeypatch.setattr(torch.distributed, "all_reduce", gone)
    with pytest.raises(
        StoppedEarly,
        match=r"^process 1 of 2 has lost one of the others: .* closed by peer \[10\.0\.0\.2\]:1234\. What was saved can "
        "be gone on with: --resume$",
    ):
        Ranks(1, 2).total(torch.ones(2))


def test_the_numpy_engine_is_one_process(monkeypatch, tmp_path):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    job = prepare("digits", network="mlp", engine="numpy", epochs=1, out=tmp_path / "run")
    with pytest.raises(
        InputError, match=r"^--engine numpy computes in one process: leave `hubel launch` or --engine out$"
    ):
        job.begin()
    job.abandon()


def test_sums_are_those_of_one_process_where_it_is_alone():
    x = torch.tensor([1.0, 2.0])
    assert ALONE.total(x) is x and ALONE.told(b"word") == b"word" and ALONE.share(3).tolist() == [0, 1, 2]
    with ALONE.in_turn():
        pass
    assert json.dumps(partial(ALONE.share, 2)().tolist()) == "[0, 1]"

"""The same command gives the same bytes: in another process, with another order of hashes, for every way to train."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from faults import bytes_below
from making import png

import hubel
from hubel.data.feedback import Correction, Store
from hubel.devices import repeatable
from hubel.errors import InputError

# What a training is held to; timing.jsonl has seconds, run.toml the time at which it was begun.
SAME = ("model.safetensors", "history.jsonl", "predictions.csv", "probabilities.npy")
QUICK = {
    "digits --network mlp --epochs 2": "pictures",
    "points --epochs 30": "two numbers, by a network for them",
    "sum-below-one --epochs 3": "numbers that the lectures made",
}
COMMANDS = {
    "digits --epochs 2": "the default network: augmentation, batch norm",
    "digits --network lenet5 --epochs 2": "a paper's",
    "digits --network lenet5 --epochs 2 --threads 2": "two threads",
    "digits --network lenet5 --epochs 1 --engine numpy": "by the definitions",
    "digits --network lenet5 --epochs 1 --adversarial fgsm": "against attacks",
    "digits --network mlp --epochs 2 --optimizer rmsprop --ema 0.9 --clip 1 --balance": "with averages",
    "digits --network mlp --epochs 4 --patience 2 --flip --rotate 10 --scale 0.1 --cutout 2": "augmented",
    "digits --network 'conv8x3 relu pool2 drop0.5 fc' --epochs 1": "with dropout, in one line",
    "digits --epochs 2 --precision bf16": "in bfloat16",
    "digits --network lenet5 --epochs 2 --deterministic": "asked for by name",
    "digits --from FRONT --freeze backbone --epochs 2": "transfer, the backbone frozen",
    "digits --from FRONT --freeze 1 --unfreeze-at 2 --head-lr 5 --epochs 2": "transfer, thawed",
    "digits --network mlp --epochs 1 --with-feedback KEPT": "with people's corrections",
    "PICTURES --epochs 2": "a folder of pictures, decoded by threads",
    "TABLE --epochs 2": "a regression",
}


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> dict[str, Path]:
    """What the commands name in capitals."""
    root, draw = tmp_path_factory.mktemp("places"), np.random.default_rng(0)
    hubel.train("digits", network="lenet5", epochs=1, out=root / "front")
    store = Store(str(root / "kept"), make=True)
    for n in range(3):
        store.keep(Correction(png(draw.integers(0, 256, (8, 8))), f"{n}", f"{n + 1}", "mine", ""))
    store.close()
    for n in range(60):
        folder = root / "pictures" / ("dark", "light")[n % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{n}.png").write_bytes(png(draw.integers(0, 128, (40, 36, 3)) + 120 * (n % 2)))
    rows = draw.standard_normal((200, 3))
    lines = [",".join(f"{v:.6f}" for v in (*row, row.sum() + 0.1 * row[0])) for row in rows]
    (root / "table.csv").write_text("a,b,c,target\n" + "\n".join(lines) + "\n")
    return {
        "FRONT": root / "front", "KEPT": root / "kept", "PICTURES": root / "pictures", "TABLE": root / "table.csv",
    }  # fmt: skip


def trained(typed: str, places: dict[str, Path], out: Path, hashes: str) -> dict[str, bytes]:
    """A process of its own; hashes: decides in which order sets are gone through."""
    words = [str(places.get(word, word)) for word in shlex.split(typed)]
    env = {**os.environ, "PYTHONHASHSEED": hashes, "HUBEL_CACHE": str(out.parent / f"cache{hashes}")}
    done = subprocess.run(
        [sys.executable, "-m", "hubel", "train", *words, "--out", str(out)],
        capture_output=True,
        text=True,
        env=env,
    )
    assert done.returncode == 0, done.stderr
    return {name: content for name, content in bytes_below(out).items() if name in SAME}


def assert_twice_the_same(typed: str, places: dict[str, Path], tmp_path: Path) -> None:
    first, second = (trained(typed, places, tmp_path / name, seed) for name, seed in (("a", "1"), ("b", "2")))
    assert {"model.safetensors", "history.jsonl", "predictions.csv"} <= first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


@pytest.mark.parametrize("typed", QUICK)
def test_a_training_gives_the_same_bytes_twice(places, tmp_path, typed):
    assert_twice_the_same(typed, places, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("typed", COMMANDS)
def test_every_training_gives_the_same_bytes_twice(places, tmp_path, typed):
    assert_twice_the_same(typed, places, tmp_path)


def test_another_seed_gives_other_bytes(places, tmp_path):
    """Else the comparison above could not fail."""
    first = trained("digits --network mlp --epochs 2", places, tmp_path / "a", "1")
    second = trained("digits --network mlp --epochs 2 --seed 1", places, tmp_path / "b", "1")
    assert all(first[name] != second[name] for name in first)


# ---- --deterministic ----


def test_inside_it_pytorch_takes_deterministic_ways_alone_and_after_it_all_is_as_before():
    states = []
    with repeatable(True):
        states.append((torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark))
    assert states == [(True, False)]
    assert not torch.are_deterministic_algorithms_enabled()


def test_where_it_is_not_asked_for_nothing_changes():
    with repeatable(False):
        assert not torch.are_deterministic_algorithms_enabled()


def test_it_holds_while_a_network_learns(tmp_path, monkeypatch):
    from hubel.training.torch_engine import TorchEngine

    real, seen = TorchEngine.step, []

    def step(self, lr):
        seen.append(torch.are_deterministic_algorithms_enabled())
        real(self, lr)

    monkeypatch.setattr(TorchEngine, "step", step)
    for asked in (True, False):
        hubel.train("digits", network="mlp", epochs=1, deterministic=asked, out=tmp_path / str(asked))
    assert seen == [True] * 10 + [False] * 10


def test_an_operation_that_has_no_such_way_is_named():
    """PyTorch's own words for one; others of its errors pass."""
    with (
        pytest.raises(
            InputError, match=r"--deterministic cannot be kept here: put_ does not have a deterministic"
        ),
        repeatable(True),
    ):
        raise RuntimeError(
            "put_ does not have a deterministic implementation, but you set 'torch.use_...'. You can"
        )
    with pytest.raises(RuntimeError, match="mat1"), repeatable(True):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_a_gpu_gives_the_same_bytes_where_it_is_asked_for(places, tmp_path):
    assert_twice_the_same("digits --epochs 2 --device cuda --deterministic", places, tmp_path)

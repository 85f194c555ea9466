"""Every call with which a command changes the disk is refused once: a clear error, and what stood there still stands."""

from __future__ import annotations

import errno
import io
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from faults import Attempt, Disk, attempts, bytes_below, command
from making import tree, zoo
from PIL import Image

from hubel.data import Dataset, Preprocess, open_source
from hubel.errors import CannotWrite
from hubel.files import append_line, read_lines, write_atomically, write_together

FULL, READ_ONLY = errno.ENOSPC, errno.EROFS


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two trained and measured runs, one with other files in place of its results, and two pictures."""
    import hubel

    root = tmp_path_factory.mktemp("prepared")
    run = hubel.train("digits", network="mlp", arguments={"hidden": (8,)}, out=root / "run", epochs=1)
    hubel.evaluate(run)
    for name in ("one", "two"):
        shutil.copytree(root / "run", root / name)
    for name in ("predictions.csv", "probabilities.npy", "report.html"):
        (run.path / name).write_bytes(b"earlier")
    for n in range(2):
        Image.fromarray(np.full((8, 8), 90 * n, np.uint8)).save(root / f"{n}.png")
    return root


def refused(found: list[Attempt]) -> list[Attempt]:
    """Those where the command ended; every answer is a clear one."""
    assert [a.complaint for a in found if a.complaint] == []
    return [a for a in found if a.said.code]


# The command, how many of its calls must at least be met, and files that it may have finished before another failed.
COMMANDS = {
    "evaluate run": (12, ()),
    "evaluate run --part val": (14, ()),
    "export run": (4, ()),
    "explain run --items 0,1 --method saliency -o seen": (9, (".png",)),
    "attack run --items 0,1 -o attacked": (9, (".png",)),
    "dream run --class 3 --steps 4 -o dreamt": (9, (".png",)),
    "predict run 0.png 1.png --features layers.2 -o features.npz": (4, ()),
    "walk kernel sobel-x 1.png -o edges.png": (4, ()),
    "compare one two -o compared.html": (4, ()),
    "describe run --svg run.svg": (4, ()),
    "data digits -o sheet.png": (4, ()),
}


@pytest.mark.parametrize("typed", COMMANDS)
def test_no_write_fails_without_a_word_and_earlier_results_stay(place, tmp_path, typed):
    least, finished = COMMANDS[typed]
    found = list(attempts(place, tmp_path / "work", *typed.split()))
    assert len({a.call.kind for a in found}) >= least
    ended = refused(found)
    assert {a.reason for a in ended} == {FULL, READ_ONLY}
    for a in ended:
        fresh = {name for name in a.after if name not in a.before and not name.endswith(finished)}
        if a.call.what != "replace":  # the last step, one file after the other
            assert fresh == set()
            assert {name: a.after[name] for name in a.before} == a.before
        assert a.before.keys() <= a.after.keys()


# The settings of a training whose every write is met: states, curves, weights, results.
SETTINGS = ["--network", "mlp", "--hidden", "8", "--epochs", "2", "--checkpoint-every", "epoch"]
TRAIN = ["train", "digits", *SETTINGS, "--out", "run"]


def assert_nothing_lost(a: Attempt, root: Path, whole: dict[str, bytes]) -> None:
    """The file that was there is; what is left of the run goes on to the bytes of a training that met no fault."""
    assert a.after["other"] == a.before["other"]
    if not any(name.startswith("run/") for name in a.after):
        return
    was = Path.cwd()
    os.chdir(root)
    try:
        said = command("train", "--resume", "run")
    finally:
        os.chdir(was)
    assert said.code == 0, (a.call, said)
    found = bytes_below(root)
    for name in ("run/model.safetensors", "run/history.jsonl", "run/predictions.csv"):
        assert found[name] == whole[name], (a.call, name)
    if "What was saved before" in a.said.err:
        assert "resumed  from step " in said.out


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder with one file, and every file of the training that meets no fault there."""
    root = tmp_path_factory.mktemp("training")
    tree(root / "prepared", {"other": b"of somebody else"})
    for _ in attempts(root / "prepared", root / "work", *TRAIN):
        break  # before it, the whole command was run once
    shutil.rmtree(root / "work")
    shutil.copytree(root / "prepared", root / "work")
    process(*TRAIN, cwd=root / "work")
    return root / "prepared", bytes_below(root / "work")


@pytest.mark.slow
def test_no_write_of_a_training_fails_without_a_word_and_what_is_left_goes_on(whole, tmp_path):
    found = []
    for a in attempts(whole[0], tmp_path / "work", *TRAIN):
        assert a.complaint == ""
        if a.said.code:
            assert_nothing_lost(a, tmp_path / "work", whole[1])
        found.append(a)
    assert len({a.call.kind for a in found}) >= 30
    assert {a.reason for a in refused(found)} == {FULL, READ_ONLY}


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("run.toml", ""),
        ("history.jsonl", ""),
        ("000000010.safetensors", ""),
        ("000000020.safetensors", "What was saved before is in run. Go on with: hubel train --resume run"),
        ("model.safetensors", "What was saved before is in run. Go on with: hubel train --resume run"),
        ("predictions.csv", "The trained network is in run; measure it with: hubel evaluate run"),
    ],
)
def test_a_training_says_what_is_left_of_it(whole, tmp_path, file, says):
    """The same for a few files, and what the message leads to."""
    for a in attempts(whole[0], tmp_path / "work", *TRAIN, only=lambda call: file in call.path):
        assert a.complaint == "" and a.said.code == 2
        assert a.said.err.rstrip().endswith(says)
        assert any(name.startswith("run/") for name in a.after) == bool(says)
        assert_nothing_lost(a, tmp_path / "work", whole[1])
        return
    raise AssertionError(f"no call has {file}")


def test_a_fault_that_is_swallowed_would_be_seen(place, tmp_path):
    """The harness itself: where nothing is said, or not the reason, it complains."""
    found = next(attempts(place, tmp_path / "work", "export", "run"))
    silent = replace(found, said=found.said._replace(err="hubel: no\n"))
    crashed = replace(found, said=found.said._replace(code=1, err="Traceback (most recent call last):\n"))
    left = replace(found, after={**found.after, ".model.onnx.1.part": b""})
    assert found.complaint == ""
    assert "the reason, the place, the next step" in silent.complaint
    assert "an exit code of ours, no traceback" in crashed.complaint
    assert "no half file" in left.complaint


# ---- the decoded pixels on disk: worth having, never needed ----


def test_pixels_that_cannot_be_kept_are_decoded_all_the_same(tmp_path, monkeypatch):
    """A folder of pictures gives the same, whichever call of the cache is refused, and no half of a file stays."""
    folder, cache = tree(tmp_path / "data", zoo("cat", "dog", each=10)), tmp_path / "cache"
    monkeypatch.setenv("HUBEL_CACHE", str(cache))
    source = open_source(folder)

    def decoded(disk: Disk) -> np.ndarray:
        shutil.rmtree(cache, ignore_errors=True)
        with disk.in_use():
            return Dataset(source, Preprocess("picture", (1, 4, 6))).train.inputs

    whole = Disk(cache)
    pixels = decoded(whole).copy()
    assert {call.what for call in whole.calls} >= {
        "mkdir",
        "open",
        "truncate",
        "fallocate",
        "mmap",
        "write",
        "replace",
    }
    for number, call in enumerate(whole.calls):
        for reason, lasting in ((FULL, True), (READ_ONLY, False)):
            np.testing.assert_array_equal(decoded(Disk(cache, number, reason, lasting)), pixels, str(call))
            assert [name for name in bytes_below(cache) if not name.endswith(".pixels")] == []


# ---- files.py ----


@pytest.mark.parametrize(
    ("reason", "helps"),
    [
        (FULL, "Make room on that disk"),
        (errno.EDQUOT, "Make room on that disk"),
        (READ_ONLY, "Name a place that may be written to"),
        (errno.EACCES, "Name a place that may be written to"),
        (errno.EIO, "Check that its disk works"),
    ],
)
def test_the_reason_decides_what_helps(tmp_path, reason, helps):
    with Disk(tmp_path, 0, reason).in_use(), pytest.raises(CannotWrite) as caught:
        write_atomically(tmp_path / "model", b"new")
    assert str(caught.value).startswith(f"cannot write {tmp_path / 'model'}: {os.strerror(reason)}. {helps}")
    assert caught.value.exit_code == 2


def test_a_folder_that_is_not_there_or_is_a_file_is_said(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CannotWrite, match="Make its folder, or name another place"):
        write_atomically(tmp_path / "no" / "model", b"")
    with pytest.raises(CannotWrite, match="Name a place below a folder"):
        write_atomically(tmp_path / "file" / "model", b"")
    with pytest.raises(CannotWrite, match="Name a place below a folder"):
        write_together(tmp_path / "file" / "below", {"model": b""})


@pytest.mark.parametrize("fails", range(6))
def test_files_that_belong_together_stay_the_old_ones_together(tmp_path, fails):
    """Two files are open, write, fsync each: six calls before the first of them is replaced."""
    (tmp_path / "a").write_bytes(b"old a"), (tmp_path / "b").write_bytes(b"old b")
    with Disk(tmp_path, fails, FULL).in_use() as disk, pytest.raises(CannotWrite):
        write_together(tmp_path, {"a": b"new a", "b": b"new b", "gone": None})
    assert "replace" not in {call.what for call in disk.calls}
    assert bytes_below(tmp_path) == {"a": b"old a", "b": b"old b"}


def test_a_folder_made_for_nothing_goes_again(tmp_path):
    with Disk(tmp_path, 3, FULL).in_use(), pytest.raises(CannotWrite):  # after two of mkdir and one of open
        write_together(tmp_path / "new" / "er", {"a": b"new a"})
    assert list(tmp_path.iterdir()) == []


def test_half_a_line_is_taken_back(tmp_path):
    """The disk takes 10 bytes of a line of 27, then no more; the line that comes when there is room again is whole."""
    file = tmp_path / "history.jsonl"
    append_line(file, {"epoch": 1, "loss": 0.5})
    whole = file.read_bytes()

    class Filling(io.FileIO):
        def write(self, content):
            return super().write(bytes(content)[:10])

    filling = mock.patch("io.open", lambda path, mode, *rest: Filling(path, mode.replace("b", "")))
    with filling, pytest.raises(CannotWrite, match="No space left on device"):
        append_line(file, {"epoch": 2, "loss": 0.25})
    assert file.read_bytes() == whole
    append_line(file, {"epoch": 2, "loss": 0.25})
    assert read_lines(file) == [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}]


def test_a_number_that_json_does_not_know_becomes_null(tmp_path):
    append_line(tmp_path / "history.jsonl", {"epoch": 1, "loss": float("nan"), "val_loss": float("-inf")})
    assert (tmp_path / "history.jsonl").read_text() == '{"epoch": 1, "loss": null, "val_loss": null}\n'


# ---- a disk that is really small ----


@pytest.fixture
def small(tmp_path):
    """small(kilobytes) -> a folder on a disk of its own; skipped where none may be mounted."""
    mounted: list[Path] = []

    def mount(kilobytes: int) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", folder],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            pytest.skip(f"no disk may be mounted here: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    if not shutil.which("mount"):
        pytest.skip("there is no `mount` here")
    yield mount
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)


def process(*argv: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hubel", *map(str, argv)], capture_output=True, text=True, cwd=cwd
    )


@pytest.mark.slow
def test_a_disk_that_is_really_full_is_said_and_keeps_the_run(place, small):
    """Room for the run alone, for it and half of what is written, and for all: refused, refused, done."""
    size = sum(len(content) for name, content in bytes_below(place / "one").items() if name != "report.html")
    for kilobytes, code in ((size // 1000 + 30, 2), (size // 1000 + 80, 2), (2000, 0)):
        folder = small(kilobytes)
        shutil.copytree(
            place / "one", folder / "run", ignore=shutil.ignore_patterns("report.html", "evaluations")
        )
        before = bytes_below(folder)
        done = process("evaluate", folder / "run")
        assert done.returncode == code, done
        if code:
            assert "No space left on device. Make room on that disk" in done.stderr.splitlines()[-1]
            assert bytes_below(folder) == before

"""Processes beside this one decode what it would have decoded; whatever becomes of them, the result is the same."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from making import flat, tar, tree

from hubel.data import Dataset, Preprocess, helpers, open_source, resident
from hubel.errors import DataError

AS_IS = Preprocess("picture", (1, 4, 6))
LEVELS = {f"train/{c}/{n:03d}.png": 3 * n + k for k, c in enumerate("ab") for n in range(60)}
BAD = ("train/a/007.png", "train/b/031.png")
FILES = {name: flat(level) for name, level in LEVELS.items()} | dict.fromkeys(BAD, b"bad")
FILES |= {"test/a/0.png": flat(0), "test/b/0.png": flat(0)}  # so that all the others are in train


@pytest.fixture
def begun(monkeypatch):
    """Two helpers from a few pictures on, five pictures a chunk; the processes that were begun."""
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    monkeypatch.setattr(helpers, "WORTH_A_HELPER", 20)
    monkeypatch.setattr(resident, "CHUNK", 5)
    found, true = [], subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: found.append(true(*a, **k)) or found[-1])
    return found


@pytest.fixture
def answered(monkeypatch):
    """How many pictures helpers gave an answer for."""
    found, true = [], helpers.Helper.__call__

    def call(self, chunk):
        reasons = true(self, chunk)
        found.append(len(chunk))
        return reasons

    monkeypatch.setattr(helpers.Helper, "__call__", call)
    return found


def folder(root):
    return tree(root / "data", FILES)


def tarred(root):
    return tar(root / "data.tar", FILES)


def decoded(place, **how):
    """What train holds: pixels, names, and what was left out, which is told in the order of the source."""
    data = Dataset(open_source(place), AS_IS, val=0, **how)
    split = data.train
    return np.array(split.inputs).tolist(), list(split.items), data.problems


def check(found):
    pixels, items, problems = found
    assert items == [name for name in LEVELS if name not in BAD]
    assert [picture[0][0][0] for picture in pixels] == [LEVELS[name] for name in items]
    assert [problem.item for problem in problems] == list(BAD)


@pytest.mark.parametrize("place", [folder, tarred], ids=["paths", "bytes"])
def test_helpers_decode_as_this_process_does(tmp_path, begun, answered, monkeypatch, place):
    told = []
    found = decoded(place(tmp_path), progress=lambda *p: told.append(p))
    check(found)
    assert len(begun) == 2 and sum(answered) >= 5, (
        "the second chunk is a helper's: this process has the first"
    )
    assert told == [(n, 120) for n in range(5, 121, 5)]
    monkeypatch.setattr(helpers, "WORTH_A_HELPER", 1000)
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path / "another"))
    assert decoded(tmp_path / "data" if place is folder else tmp_path / "data.tar") == found
    assert len(begun) == 2


@pytest.mark.parametrize(
    "begin",
    [
        "raise SystemExit(1)",
        "print('no', flush=True); input()",
        "import sys; sys.path[:] = {path!r}; from hubel.data import resident as r; true = r.serve\n"
        "r.serve = lambda decode: true(lambda chunk: decode(chunk) if chunk[0][0] < 20 else sys.exit())\n"
        "r.help_out(sys.argv[1])",
    ],
    ids=["at once", "talks nonsense", "after some"],
)
def test_helpers_that_end_are_done_without(tmp_path, begun, monkeypatch, begin):
    monkeypatch.setattr(helpers, "BEGIN", begin)
    check(decoded(folder(tmp_path)))
    assert len(begun) == 2 and all(process.returncode is not None for process in begun)


def test_a_helper_that_has_failed_is_not_asked_again(tmp_path, begun, monkeypatch):
    monkeypatch.setattr(helpers, "BEGIN", "raise SystemExit(1)")
    asked, done, true = [], [], helpers.Helper.__call__
    monkeypatch.setattr(
        helpers.Helper, "__call__", lambda self, chunk: asked.append(chunk) or true(self, chunk)
    )
    pixels = np.memmap(tmp_path / "pixels", np.uint8, "w+", 0, (60, 1, 4, 6))
    with helpers.helped(lambda chunk: done.append(chunk) or [], pixels, AS_IS, 60) as (decode, threads):
        assert threads == 3
        for n in range(9):
            assert decode([(n, b"")]) == []
    assert done == [[(n, b"")] for n in range(9)]
    assert asked == done[1:3], "in turn: this process, the one helper, the other; then this process alone"


def test_without_another_process_it_is_all_done_here(tmp_path, begun, monkeypatch):
    def none(*_, **__):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", none)
    check(decoded(folder(tmp_path)))


def test_pixels_in_memory_are_filled_here(tmp_path, begun, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path / "file"))
    check(decoded(folder(tmp_path)))
    assert begun == []


def test_no_helper_outlives_an_interrupt(tmp_path, begun, own_cache):
    def interrupt(done, _):
        if done >= 25:  # each has answered once; a terminal's Ctrl-C reaches them as well
            for process in begun:
                process.send_signal(signal.SIGINT)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        decoded(folder(tmp_path), progress=interrupt)
    assert len(begun) == 2 and all(process.returncode == 0 for process in begun)
    assert not list((own_cache / "pixels").iterdir())


def test_helpers_run_nothing_from_the_folder_they_are_in(tmp_path, begun, answered, monkeypatch):
    trap = tree(tmp_path / "here", {"json.py": b"open('touched', 'w')", "numpy.py": b"open('touched', 'w')"})
    monkeypatch.chdir(trap)
    check(decoded(folder(tmp_path)))
    assert sum(answered) and not (trap / "touched").exists()


def test_what_cannot_be_reached_is_told_beside_what_a_helper_says(tmp_path):
    pixels = np.memmap(tmp_path / "pixels", np.uint8, "w+", 0, (4, 1, 4, 6))
    helper = helpers.Helper(pixels, AS_IS)
    told = helper([(3, flat(7)), (1, DataError("is gone")), (0, str(tmp_path / "none")), (2, b"")])
    helper.close()
    reasons = dict(told)
    assert reasons[1] == "is gone" and reasons[0] == "there is no such file" and "is no picture" in reasons[2]
    assert len(told) == 3 and pixels[:, 0, 0, 0].tolist() == [0, 0, 0, 7]


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes")
def test_a_name_that_is_no_text_reaches_a_helper(tmp_path, begun, answered):
    odd = os.fsdecode(b"train/a/\xff.png")
    place = folder(tmp_path)
    (place / odd).write_bytes(flat(9))
    source = open_source(place)
    names = np.array([n for n, item in enumerate(source.items) if "\\" in item])
    assert len(names) == 1
    out = np.zeros((1, 1, 4, 6), np.uint8)
    out.tofile(tmp_path / "pixels")
    mapped = np.memmap(tmp_path / "pixels", np.uint8, "r+", 0, out.shape)
    helper = helpers.Helper(mapped, AS_IS)
    assert helper(list(source.rows.stream(names))) == []
    helper.close()
    assert (mapped == 9).all() and answered == [1]


@pytest.mark.parametrize(
    "cores, pictures, expected",
    [(1, 10**6, 0), (2, 10**6, 1), (8, 10**6, 7), (8, 12_000, 2), (8, 4_000, 0), (2, 0, 0)],
)
def test_helpers_are_as_many_as_have_work(monkeypatch, cores, pictures, expected):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert helpers.wanted(pictures) == expected
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert helpers.wanted(pictures) == 0

"""Data that vanishes or changes after it was listed: the message names what, and nothing half read is learnt from."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from making import flat, idx, tar, tree, zipped, zoo

from hubel.data import Dataset, Preprocess, open_source
from hubel.errors import DataError

PICTURES = zoo("cat", "dog", each=30)


def folder(root: Path) -> Path:
    return tree(root / "animals", PICTURES)


def tarred(root: Path) -> Path:
    return tar(root / "animals.tar", PICTURES)


def packed(root: Path) -> Path:
    return tar(root / "animals.tar.gz", PICTURES, "w:gz")


def zip_file(root: Path) -> Path:
    return zipped(root / "animals.zip", PICTURES)


def numbers(root: Path) -> Path:
    draw = np.random.default_rng(0)
    x = draw.integers(0, 256, (60, 4, 6), np.uint8)
    np.savez(root / "animals.npz", x_train=x, y_train=np.arange(60) % 2, x_test=x, y_test=np.arange(60) % 2)
    return root / "animals.npz"


def mnist_like(root: Path) -> Path:
    (root / "animals").mkdir()
    for part in ("train", "t10k"):
        idx(root / "animals" / f"{part}-images-idx3-ubyte", np.zeros((60, 4, 6), np.uint8))
        idx(root / "animals" / f"{part}-labels-idx1-ubyte", np.arange(60, dtype=np.uint8) % 2)
    return root / "animals"


def files_of(place: Path) -> list[Path]:
    """All that pixels come from."""
    return (
        [place]
        if place.is_file()
        else [p for p in place.rglob("*") if p.is_file() and "labels" not in p.name]
    )


def vanished(file: Path) -> None:
    file.unlink()


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def halved(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def overwritten(file: Path) -> None:
    file.write_bytes(b"\x7f" * file.stat().st_size)


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def a_link_to_nowhere(file: Path) -> None:
    file.unlink()
    file.symlink_to("nowhere")


def a_pipe(file: Path) -> None:
    """Whose reader would wait for ever."""
    file.unlink()
    os.mkfifo(file)


CHANGES = [vanished, emptied, halved, overwritten, a_folder, a_link_to_nowhere, a_pipe]
PLACES = [folder, tarred, packed, zip_file, numbers, mnist_like]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("change", CHANGES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("place", PLACES, ids=lambda f: f.__name__)
def test_what_is_no_longer_there_is_named(tmp_path, place, change):
    source = open_source(place(tmp_path))
    for file in files_of(Path(source.location)):
        change(file)
    with pytest.raises(DataError) as caught:
        _ = Dataset(source, Preprocess("picture", (1, 4, 6))).train
    assert "animals" in str(caught.value)
    assert not list((tmp_path / "cache").rglob("*.part"))


def test_one_picture_that_vanishes_is_left_out_and_named(tmp_path):
    """One of 42: the others are learnt from, each with its own label."""
    source = open_source(folder(tmp_path))
    dataset = Dataset(source, Preprocess("picture", (1, 4, 6)), val=0)
    gone = dataset.part("test").items[0]
    (Path(source.location) / gone).unlink()
    shutil.rmtree(tmp_path / "cache")
    again = Dataset(source, Preprocess("picture", (1, 4, 6)), val=0)
    with pytest.raises(DataError, match=rf"1 of the \d+ items .*{gone} \(there is no such file\)"):
        _ = again.test  # one of 12 is over 5 %
    kept = again.train
    learnt = next(iter(kept.items))
    (Path(source.location) / learnt).unlink()
    shutil.rmtree(tmp_path / "cache")
    once_more = Dataset(source, Preprocess("picture", (1, 4, 6)), val=0)
    found = once_more.train
    assert list(found.items) == list(kept.items)[1:] and (found.targets == kept.targets[1:]).all()
    np.testing.assert_array_equal(found.inputs, kept.inputs[1:])
    assert [(p.item, p.reason) for p in once_more.problems] == [(learnt, "there is no such file")]


def test_a_picture_that_changes_is_learnt_as_it_is_when_it_is_read(tmp_path):
    """And not found again in the cache under the time and size that it had when it was listed."""
    place = folder(tmp_path)
    Dataset(open_source(place), Preprocess("picture", (1, 4, 6))).part("train")
    for file in files_of(place):
        file.write_bytes(flat(200) + b"longer")  # bytes after a PNG's end are nobody's
    found = Dataset(open_source(place), Preprocess("picture", (1, 4, 6))).train
    assert (found.inputs == 200).all()


@pytest.mark.parametrize(
    "damage", [emptied, halved, overwritten, a_folder, a_link_to_nowhere, a_pipe], ids=lambda f: f.__name__
)
def test_damaged_pixels_in_the_cache_are_decoded_anew(tmp_path, damage):
    source = open_source(folder(tmp_path))
    whole = np.array(Dataset(source, Preprocess("picture", (1, 4, 6))).train.inputs)
    (stored,) = (tmp_path / "cache").rglob("*.pixels")
    damage(stored)
    np.testing.assert_array_equal(Dataset(source, Preprocess("picture", (1, 4, 6))).train.inputs, whole)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("inside", ["", "cat"])
def test_a_folder_that_may_not_be_read_is_named(tmp_path, inside):
    place = folder(tmp_path)
    (place / inside).chmod(0)
    try:
        with pytest.raises(DataError, match=r"animals.* (may not|cannot) be read"):
            open_source(place)
    finally:
        (place / inside).chmod(0o755)

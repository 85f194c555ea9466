"""Places that cannot be read or written to are told; files that are cut off while written: tests/test_write_faults.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hubel.errors import ArtifactError, InputError
from hubel.files import must_be_file, must_have_a_folder, new_folder


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_what_is_no_file_is_not_opened(tmp_path, make):
    make(tmp_path / "predictions.csv")
    with pytest.raises(
        ArtifactError,
        match=r"predictions\.csv is a folder, a pipe or a device where a file should be: take it away$",
    ):
        must_be_file(tmp_path / "predictions.csv")
    assert must_be_file(tmp_path / "absent") is None


def test_a_folder_for_a_file_must_be_there(tmp_path):
    with pytest.raises(
        InputError,
        match=r"^the folder .*nowhere for x\.svg does not exist: make it first, or name another place$",
    ):
        must_have_a_folder(tmp_path / "nowhere/x.svg")
    assert must_have_a_folder(tmp_path / "x.svg") is None


def test_names_that_are_all_taken_ask_for_another(monkeypatch):
    asked = []

    def taken(folder, **_):
        asked.append(folder.name)
        raise FileExistsError(folder)

    monkeypatch.setattr(Path, "mkdir", taken)
    with pytest.raises(InputError, match=r"^runs is full of runs named mnist: name one with --out$"):
        new_folder(None, "mnist")
    assert asked[:2] + asked[-1:] == ["mnist", "mnist-2", "mnist-9999"]

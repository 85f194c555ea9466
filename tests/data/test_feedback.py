"""Feedback that cannot be kept or read: what is missing or damaged is named. What it is good for: tests/serving."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing

import pytest
from making import flat

from hubel.data.feedback import FILE, Correction, Store, learnt_from
from hubel.data.preprocess import Preprocess
from hubel.errors import ArtifactError, InputError, MissingExtra


@pytest.fixture
def kept(tmp_path):
    """A folder with two corrections."""
    store = Store(str(tmp_path), make=True)
    for n in range(2):
        store.keep(Correction(flat(n), "ant", "bee", "m"))
    store.close()
    return tmp_path


@pytest.mark.parametrize("harm, said", [
    ("UPDATE corrections SET picture = 'text' WHERE id = 2", r"is damaged: its correction 2 is no picture with names\. "
     "Take that row out, or leave this feedback out$"),
    ("UPDATE corrections SET label = x'00ff' WHERE id = 1", r"is damaged: its correction 1 is no picture with names"),
    ("ALTER TABLE corrections DROP COLUMN answer", r"cannot be read: no such column: corrections\.answer"),
])  # fmt: skip
def test_damaged_feedback_is_named(kept, harm, said):
    with closing(sqlite3.connect(kept / FILE)) as open_, open_:
        open_.execute(harm)
    with pytest.raises(ArtifactError, match=rf"^the feedback at .* {said}"):
        learnt_from(str(kept), ("ant", "bee"), Preprocess("picture", (1, 4, 6)))


def test_a_view_is_no_table(kept):
    """It is a program of whoever made the file, and could run for ever."""
    with closing(sqlite3.connect(kept / FILE)) as open_, open_:
        open_.execute("ALTER TABLE corrections RENAME TO others")
        open_.execute("CREATE VIEW corrections AS SELECT * FROM others")
    with pytest.raises(InputError, match=r"its corrections are a view and no table\. Name the database that"):
        Store(str(kept))


def test_a_driver_that_is_missing_is_named_without_the_password(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymysql", None)
    with pytest.raises(
        InputError, match=r"^mysql\+pymysql://me:…@host/db needs the driver pymysql, .*or name a folder"
    ):
        Store("mysql+pymysql://me:s3cret@host/db")


def test_without_sqlalchemy_the_line_that_installs_it_is_said(kept, monkeypatch):
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(
        MissingExtra, match=r'reading feedback needs sqlalchemy, .* pip install .*"\.\[serve\]"'
    ):
        Store(str(kept))

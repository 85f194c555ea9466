"""Corrections: kept only where asked for, and learnt from, but for pictures of the test part."""

from __future__ import annotations

import itertools
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from making import png
from online import told
from postgres import server

import hubel
from hubel.data.feedback import Correction, Store, joined, learnt_from, shown
from hubel.errors import DataError, InputError, MissingExtra


@pytest.fixture(scope="module")
def postgres():
    with server() as url:
        yield url


@pytest.fixture(params=["folder", "PostgreSQL"])
def place(request, tmp_path):
    """Where corrections are kept: a folder that is not there yet; a new database of a server of our own."""
    if request.param == "folder":
        return str(tmp_path / "kept")
    url = request.getfixturevalue("postgres")
    import psycopg

    name = f"d{next(NUMBERS)}"
    with psycopg.connect(url.format("postgres"), autocommit=True) as open_:
        open_.execute(f"CREATE DATABASE {name}")
    return url.format(name)


NUMBERS = itertools.count()
PIXELS = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4


def test_nothing_is_kept_unless_asked(client, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert told(client.get("/v1/feedback")) == {"kept": False, "count": 0}
    told(client.post("/v1/feedback?label=3", content=png(PIXELS)), 403)
    assert list(tmp_path.iterdir()) == []


def test_a_correction_is_kept_and_replaced(serving, place):
    with serving(feedback=place) as client:
        assert told(client.get("/v1/feedback")) == {"kept": True, "count": 0}
        told(client.post("/v1/feedback?label=3&answer=8", content=png(PIXELS)), 201)
        told(
            client.post("/v1/feedback", json={"pixels": PIXELS.tolist(), "label": "5"}), 201
        )  # the same picture again
        told(client.post("/v1/feedback", json={"sample": 7, "label": "2"}), 201)
        told(client.post("/v1/predictions", content=png(PIXELS + 1)))  # is not stored
        assert told(client.get("/v1/feedback"))["count"] == 2
        item = client.service.default.samples.split.items[7]
    store = Store(place)
    first, second = store.corrections()
    store.close()
    assert (first.label, first.answer, first.model, first.sample) == ("5", "", "digits", "")
    assert (second.label, second.sample) == ("2", item)


@pytest.mark.parametrize("query, message", [
    ("label=3&lable=4", "no option named 'lable'. Did you mean 'label'? Known: label, answer"),
    ("label=eleven", "label must be one of 0, 1"), ("", "one picture and its label"), ("label=3&answer=x", "answer must be one of"),
])  # fmt: skip
def test_a_correction_that_says_nothing_is_refused(serving, tmp_path, query, message):
    with serving(feedback=str(tmp_path)) as client:
        assert message in told(client.post(f"/v1/feedback?{query}", content=png(PIXELS)), 422)


@pytest.fixture
def kept(place):
    """Two corrections of drawings, and one of a picture of the test part."""
    store = Store(place, make=True)
    for level, label, sample in ((10, "3", ""), (20, "9", ""), (30, "1", "00007")):
        store.keep(Correction(png(np.full((8, 8), level)), label, "0", "m", sample))
    store.close()
    return place


def test_training_gets_the_corrections_after_its_own_pictures(kept):
    run = hubel.train("digits", network="mlp", epochs=0)
    found = learnt_from(kept, run.classes, run.preprocess)
    assert found.left_out == 1
    assert found.items.inputs[:, 0, 0, 0].tolist() == [10, 20] and found.items.targets.tolist() == [3, 9]
    train = run.dataset().train
    both = joined(train, found.items)
    assert len(both) == len(train) + 2
    assert (both.inputs[: len(train)] == train.inputs).all() and both.targets[-2:].tolist() == [3, 9]


def test_hubel_train_learns_from_them_and_measures_on_the_same_test_part(kept, tmp_path):
    from hubel.training import prepare

    job = prepare("digits", network="mlp", epochs=1, out=tmp_path / "run", feedback=kept)
    job.begin()
    plain = job.dataset.counts()
    assert len(job.trainer.inputs) == plain["train"] + 2
    assert job.learnt_too == "2 learnt, too; 1 left out: of a test part, which is there to measure"
    list(job.epochs())
    assert job.run().dataset().counts() == plain


def test_a_label_that_the_data_has_not_is_named(kept):
    with pytest.raises(DataError, match="has the label '9', the data has '3', '4'"):
        learnt_from(kept, ("3", "4"), hubel.train("digits", network="mlp", epochs=0).preprocess)


def test_a_place_without_feedback_says_how_some_comes_there(tmp_path):
    with pytest.raises(InputError, match=r"there is no feedback at .*--feedback"):
        Store(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_corrections_of_one_picture_at_one_moment_are_one_in_the_end(place):
    """Eight who begin together: each first deletes what is there, and only one can be the first to insert."""
    store, begin = Store(place, make=True), threading.Barrier(8)
    picture = png(PIXELS)

    def keep(label):
        begin.wait(60)
        return store.keep(Correction(picture, label, "0", "m"))

    with ThreadPoolExecutor(8) as several:
        numbers = list(several.map(keep, "01234567"))
    (left,) = store.corrections()
    store.close()
    assert left.label in "01234567" and left.picture == picture and all(numbers)


def test_a_database_that_began_anew_is_asked_again(postgres):
    import psycopg

    store = Store(postgres.format("postgres"), make=True)
    with psycopg.connect(postgres.format("postgres"), autocommit=True) as open_:
        ended = open_.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = 'hubel'"
        ).fetchall()
    assert ended
    assert store.keep(Correction(png(PIXELS), "3", "0", "m")) and store.count() == 1
    store.close()


def test_a_database_that_is_gone_is_503(serving, tmp_path):
    with serving(feedback=str(tmp_path / "kept")) as client:
        client.service.feedback._engine.dispose()
        (tmp_path / "kept/feedback.sqlite").write_bytes(b"no database any more, for whatever reason" * 99)
        assert "corrections could not be counted" in told(client.get("/v1/feedback"), 503)
        said = told(client.post("/v1/feedback?label=3", content=png(PIXELS)), 503)
        assert "corrections could not be kept at" in said


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_a_missing_driver_is_named_with_the_line_that_installs_it(monkeypatch, scheme):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtra, match=r"me:…@.* needs psycopg, .*\[postgres\]"):
        Store(f"{scheme}://me:s3cret@127.0.0.1:1/db")


def test_a_password_is_never_shown():
    assert shown("postgresql://me:s3cret@host/db") == "postgresql://me:…@host/db"
    with pytest.raises(InputError) as e:
        Store("postgresql://me:s3cret@127.0.0.1:1/db")
    assert "s3cret" not in str(e.value) and "me:…@" in str(e.value)


def test_a_file_that_is_no_database_is_told(tmp_path):
    (tmp_path / "feedback.sqlite").write_bytes(b"no database, but long enough to be looked at" * 99)
    with pytest.raises(InputError, match="no feedback can be kept at, or read from"):
        Store(str(tmp_path))

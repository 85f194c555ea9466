"""A training from shards is that from memory in the same order; killed, shared out or grouped otherwise it stays so."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from ranks import together

import hubel
from hubel.data import Split, open_source
from hubel.data.packing import pack
from hubel.errors import DataError, InputError
from hubel.training import feeds, prepare, resumed
from hubel.training.feeds import Resident, Streamed

FILES = ("model.safetensors", "history.jsonl", "predictions.csv")
LENET = {"network": "lenet5", "precision": "fp32", "batch": 50, "epochs": 2}  # 26 steps an epoch


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Digits as seven tars of train."""
    return pack(
        open_source("digits"), tmp_path_factory.mktemp("packed") / "digits", shard_size=400_000
    ).folder


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Blocks and groups that are much smaller than the data: an epoch has windows, and groups that straddle them."""
    monkeypatch.setattr(feeds, "BLOCK_BYTES", 8_000)  # 3 digits of 2,048 bytes in a tar
    monkeypatch.setattr(feeds, "GROUP_BYTES", 120_000)  # 58 items: two batches


def learnt(job) -> tuple[list[dict], dict]:
    job.begin()
    rows = [epoch.row() for epoch in job.epochs()]
    return rows, job.trainer.weights()


def contents(run):
    return {name: (run / name).read_bytes() for name in FILES}


def test_streamed_is_resident_in_the_same_order(shards, tmp_path, monkeypatch):
    settings = {**LENET, "rotate": 10.0, "flip": True, "ema": 0.9}
    job = prepare(shards, out=tmp_path / "streamed", **settings)
    streamed = learnt(job)
    assert isinstance(job.trainer.train, Streamed) and isinstance(job.trainer.val, Streamed)
    assert 1 < job.trainer.train.block < 10

    def held(engine, split, seed):
        made = Resident(engine, Split(np.asarray(split.inputs), split.targets, split.items), seed)
        made.block = job.trainer.train.block
        monkeypatch.setattr(made, "mirrored", lambda places: Streamed.mirrored(made, places))
        monkeypatch.setattr(made, "piece", lambda most, recipe: Streamed.piece(made, most, recipe))
        return made

    monkeypatch.setattr("hubel.training.loop.feed", held)
    other = prepare(shards, out=tmp_path / "resident", **settings)
    resident = learnt(other)
    assert isinstance(other.trainer.train, Resident) and streamed[0] == resident[0]
    assert all(torch.equal(streamed[1][name], t) for name, t in resident[1].items())


def test_how_much_is_decoded_together_changes_nothing(shards, tmp_path, monkeypatch):
    a = learnt(prepare(shards, out=tmp_path / "a", **LENET))
    monkeypatch.setattr(feeds, "GROUP_BYTES", 1)
    b = learnt(prepare(shards, out=tmp_path / "b", **LENET))
    assert a[0] == b[0] and all(torch.equal(a[1][name], t) for name, t in b[1].items())


class Killed(BaseException):
    """Nothing in the product catches it."""


@pytest.mark.parametrize(
    "settings", [LENET, {**LENET, "flip": True, "crop": 1, "ema": 0.9, "keep": "best"}, {**LENET, "freeze": "backbone", "unfreeze_at": 2}],
    ids=["plain", "mirrored", "frozen for a while"],
)  # fmt: skip
def test_killed_in_the_middle_of_an_epoch_it_ends_in_the_same_bytes(shards, tmp_path, settings):
    whole = hubel.train(shards, out=tmp_path / "whole", **settings).path
    hubel.evaluate(whole)
    job = prepare(shards, out=tmp_path / "killed", checkpoint_every="3steps", **settings)
    for step in (4, 25, 40):  # the last is in the second epoch
        job.begin()

        def progress(done, _, step=step):
            if done == step:
                raise Killed

        with pytest.raises(Killed):
            list(job.epochs(progress))
        job = resumed(tmp_path / "killed", checkpoint_every="3steps")
    job.begin()
    assert job.trainer.step == 39 and job.trainer.batch == 13
    list(job.epochs())
    hubel.evaluate(job.run())
    assert contents(tmp_path / "killed") == contents(whole)


@pytest.mark.parametrize(
    "batch", [50, 419]
)  # 1,258 in batches of 419: the last item joins; three shares are not equal
def test_several_processes_learn_what_one_learns(shards, tmp_path, batch):
    settings = {**LENET, "data": str(shards), "batch": batch, "rotate": 5.0, "flip": True}
    alone = together(1, **settings, out=str(tmp_path / "alone"))
    many = together(3, **settings, out=str(tmp_path / "many"))
    np.testing.assert_allclose(many["losses"], alone["losses"], rtol=1e-5)
    for one, other in zip(many["rows"], alone["rows"], strict=True):
        assert one["val_accuracy"] == other["val_accuracy"]


def test_a_process_decodes_its_share_alone(shards, tmp_path, monkeypatch):
    from hubel.data.streams import Stream

    seen = []
    original = Stream.taken
    monkeypatch.setattr(Stream, "taken", lambda self, places: seen.append(places) or original(self, places))
    job = prepare(shards, out=tmp_path / "run", **LENET)
    job.begin()
    feed, seen[:] = job.trainer.train, []
    order = list(feed.order(job.recipe, 1))
    for batch in feed.ahead(iter(order), lambda batch: batch[1::4]):
        feed.take(batch[1::4])
    assert sorted(np.concatenate(seen)) == sorted(np.concatenate([batch[1::4] for batch in order]))
    assert 3 < len(seen) < len(order)  # several batches at a time, and not all at once


def test_no_more_than_a_few_groups_are_ahead(shards, tmp_path):
    job = prepare(shards, out=tmp_path / "run", **LENET)
    job.begin()
    feed = job.trainer.train
    most = 0
    for batch in feed.ahead(feed.order(job.recipe, 1), lambda batch: batch):
        most = max(most, sum(len(asked) for asked, _, _ in feed.coming))
        feed.take(batch)
    assert most <= (feeds.AHEAD + 1) * (feed.group + 50) and not feed.coming


def test_val_is_streamed_in_pieces_and_gives_the_means_of_all(shards, tmp_path, monkeypatch):
    job = prepare(shards, out=tmp_path / "run", **LENET)
    job.begin()
    whole = job.trainer.validate()
    monkeypatch.setattr("hubel.training.loop.EVALUATION_CHUNK", 32)  # 180 are six pieces
    pieces = job.trainer.validate()
    assert pieces[1] == whole[1] and pieces[0] == pytest.approx(whole[0], rel=1e-6)


def test_other_shards_need_force(shards, tmp_path):
    place = tmp_path / "data"
    pack(open_source(shards), place)
    job = prepare(place, out=tmp_path / "run", checkpoint_every="3steps", **LENET)
    job.begin()

    def progress(done, _):
        if done == 7:
            raise Killed

    with pytest.raises(Killed):
        list(job.epochs(progress))
    job.checkpoints.let_go()
    for file in place.iterdir():
        file.unlink()
    place.rmdir()
    pack(open_source(shards), place, seed=1)  # the same pictures in another order
    with pytest.raises(InputError, match="holds other items than when"):
        hubel.train(resume=tmp_path / "run")


def test_statistics_are_of_a_sample_that_is_near_to_all(shards, tmp_path, monkeypatch):
    from hubel.data import streams

    monkeypatch.setattr(streams, "SOME", 400)
    job = prepare(shards, out=tmp_path / "run", **LENET)
    job.begin()
    held = prepare("digits", out=tmp_path / "held", **LENET)
    held.begin()
    (mean,), (exact,) = job.card.preprocess.mean, held.card.preprocess.mean
    assert mean != exact and abs(mean - exact) < 0.02


def test_evaluate_and_predict_answer_as_for_the_same_pictures_in_memory(shards, tmp_path):
    run = hubel.train(shards, out=tmp_path / "run", **LENET)
    there, here = hubel.evaluate(run), hubel.evaluate(run, "digits")
    assert there.part == "test" and len(there.predictions) == 359
    by_name = dict(zip(here.predictions.items, here.predictions.p, strict=True))
    for item, p in zip(there.predictions.items, there.predictions.p, strict=True):
        assert by_name[item] == pytest.approx(p, abs=1e-5)


def test_corrections_cannot_be_added(shards, tmp_path):
    job = prepare(shards, out=tmp_path / "run", **LENET)
    job.feedback = str(tmp_path)
    with pytest.raises(InputError, match="is read from shards, to which corrections cannot be added"):
        job.begin()


def test_a_damaged_picture_ends_the_training_with_its_name(shards, tmp_path):
    place = tmp_path / "data"
    pack(open_source(shards), place)
    job = prepare(place, out=tmp_path / "run", **LENET)
    job.begin()
    tar = place / "train-000000.tar"
    with tar.open("r+b") as file:  # the picture in the middle of it: its first bytes are those of no format
        row = open_source(place).rows.shards[0].rows[600]
        file.seek(int(row["at"]))
        file.write(b"no picture")
    with pytest.raises(DataError, match=r"is no picture.*`hubel data pack` leaves out"):
        list(job.epochs())


def test_which_half_is_mirrored_is_told_without_an_array_of_all():
    feed = Streamed.__new__(Streamed)
    feed.seed = 0
    first = feed.mirrored(np.arange(10_000))
    feed.seed = 1
    second = feed.mirrored(np.arange(10_000))
    # Fair and independent coins: 5,000 heads each, and as many places where they agree, sd 50.
    assert abs(first.sum() - 5000) < 250 and abs((first == second).sum() - 5000) < 250
    assert abs((first[1:] == first[:-1]).sum() - 5000) < 250
    assert np.array_equal(feed.mirrored(np.array([7, 3])), second[[7, 3]])


def test_predict_answers_for_shards_one_line_each(shards, tmp_path, capsys, monkeypatch):
    import sys

    from hubel.cli.main import main

    run = hubel.train(shards, out=tmp_path / "run", **LENET)
    monkeypatch.setattr(sys, "argv", ["hubel", "predict", str(run.path), str(shards), "--json"])
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main()
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    source = open_source(shards)
    assert [row["item"] for row in found] == [*source.items]
    wanted = run.answers(
        [*source.items],
        run.logits(np.stack([run.prepared(bytes(c)) for c in source.rows.read(np.arange(1797))])),
    )
    assert [row["answer"] for row in found] == [answer.answer for answer in wanted]
    monkeypatch.setattr(sys, "argv", ["hubel", "predict", str(run.path), str(shards)])
    with pytest.raises(SystemExit):
        main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1797 and lines[0].split()[:2] == [found[0]["item"], found[0]["answer"]]

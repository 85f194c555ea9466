"""The pictures of the test part by number, their facts, and who is like whom."""

from __future__ import annotations

import io

import numpy as np
import pytest
from online import told
from PIL import Image

import hubel
from hubel.data import open_source


@pytest.fixture(scope="module")
def split(runs):
    return hubel.load(runs["digits"]).dataset().test


def test_a_sample_is_its_picture_where_a_picture_is_wanted(client, split):
    for number in (0, 17, len(split) - 1):
        response = client.get(f"/v1/samples/{number}", headers={"Accept": "image/png"})
        assert response.headers["content-type"] == "image/png"
        assert (np.asarray(Image.open(io.BytesIO(response.content))) == split.inputs[number, 0]).all()


def test_a_sample_that_is_not_square_comes_upright(client, runs):
    inputs = hubel.load(runs["oblong"]).dataset().test.inputs
    response = client.get("/v1/models/oblong/samples/0", headers={"Accept": "image/png"})
    assert Image.open(io.BytesIO(response.content)).size == (9, 6)
    assert (np.asarray(Image.open(io.BytesIO(response.content))) == inputs[0, 0]).all()


def test_a_sample_s_facts_are_what_the_run_says(client, runs, split):
    run = hubel.load(runs["digits"])
    names = open_source("digits").classes
    for number in (0, 1, 100):
        facts = told(client.get(f"/v1/samples/{number}"))
        (wanted,) = run.predict([split.inputs[number, 0]])
        assert (facts["id"], facts["item"]) == (number, split.items[number])
        assert facts["label"] == names[split.targets[number]]
        assert facts["answer"] == wanted.answer and facts["p"] == pytest.approx(wanted.p, rel=1e-4)
        assert facts["right"] == (facts["label"] == facts["answer"])
        in_all = dict(run.predict([split.inputs[number, 0]], top=10)[0].top)
        assert facts["loss"] == pytest.approx(-np.log(in_all[facts["label"]]), rel=1e-3, abs=1e-5)


def test_pages_join_to_the_whole(client, split):
    whole = []
    for offset in range(0, len(split) + 100, 100):
        page = told(client.get(f"/v1/samples?offset={offset}&limit=100"))
        assert page["total"] == len(split)
        whole += page["samples"]
    assert [one["id"] for one in whole] == list(range(len(split)))


def test_mistakes_are_the_wrong_ones_the_worst_first(client):
    whole = told(client.get("/v1/samples?limit=500"))["samples"]
    wrong = [one for one in whole if one["label"] != one["answer"]]
    assert wrong  # else the test says nothing
    page = told(client.get("/v1/samples?limit=500&mistakes=true"))
    assert page["total"] == len(wrong)
    assert [one["id"] for one in page["samples"]] == [
        o["id"] for o in sorted(wrong, key=lambda o: -o["loss"])
    ]


def test_a_filter_keeps_what_it_names(client):
    whole = told(client.get("/v1/samples?limit=500"))["samples"]
    label, answered = whole[0]["label"], whole[0]["answer"]
    page = told(client.get("/v1/samples", params={"limit": 500, "label": label, "answered": answered}))
    assert [one["id"] for one in page["samples"]] == [
        o["id"] for o in whole if (o["label"], o["answer"]) == (label, answered)
    ]


def test_the_most_alike_have_the_largest_cosines_of_the_last_features(client, runs, split):
    run = hubel.load(runs["digits"])
    features = run.features(split.inputs).reshape(len(split), -1).astype(np.float64)
    for number in (0, 42):
        found = told(client.get(f"/v1/similar/{number}?limit=7"))  # data: [id, id, …], as in the lectures
        assert len(found) == 7 and number not in found
        a = features[number]
        cosines = {
            n: f @ a / np.linalg.norm(f) / np.linalg.norm(a) for n, f in enumerate(features) if n != number
        }
        best = sorted(cosines.values(), reverse=True)[:7]
        assert [cosines[n] for n in found] == pytest.approx(best, abs=1e-6)


def test_a_run_whose_data_is_gone_still_answers_pictures(client, service, runs, tmp_path):
    import shutil

    from making import flat
    from online import on_line

    from hubel.serving.app import make_app
    from hubel.serving.service import open_service

    shutil.copytree(runs["oblong"], tmp_path / "moved")
    text = (tmp_path / "moved/run.toml").read_text()
    (tmp_path / "moved/run.toml").write_text(text.replace("pictures", "pictures-that-are-gone"))
    made = open_service([str(tmp_path / "moved")], engine="auto")
    assert "noise" in made.default.engine.compared
    with on_line(make_app(made)) as address:
        assert "cannot be opened here" in told(client.get(f"{address}/v1/samples/0"), 404)
        assert told(client.post(f"{address}/v1/predictions", content=flat(9)))["predictions"]

"""Several runs by name, and what becomes of one that cannot be read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from making import flat
from online import on_line, told

from hubel.errors import ArtifactError, InputError
from hubel.serving.app import make_app
from hubel.serving.service import named, open_service


@pytest.mark.parametrize("places, names", [
    (["runs/a", "runs/b"], ["a", "b"]),
    (["runs/a/", "/other/a"], ["a", "a-2"]),
    (["x=runs/a", "runs/x"], ["x", "x-2"]),
    (["runs/a/model.safetensors"], ["a"]),
    (["./runs/lr=0.1"], ["lr=0.1"]),                       # a sign in a path is no name
])  # fmt: skip
def test_runs_are_called_by_their_folders_or_as_said(places, names):
    assert [name for name, _ in named(places)] == names


def test_two_runs_cannot_have_one_name():
    with pytest.raises(InputError, match="two runs are to be called 'x': a and b"):
        named(["x=a", "x=b"])
    with pytest.raises(InputError, match="name a run folder"):
        named([])


def test_each_run_answers_under_its_name_and_the_first_under_v1(client, runs):
    assert told(client.get("/v1/model")) == told(client.get("/v1/models/digits/model"))
    for name in runs:
        card = told(client.get(f"/v1/models/{name}/model"))
        assert card["name"] == name
    listed = told(client.get("/v1/models"))
    assert [one["name"] for one in listed["models"]] == ["digits", "oblong", "points"]


def test_the_card_of_a_run_tells_all(client, service):
    card, run = told(client.get("/v1/model")), service.default.run
    assert card["parameters"] == run.parameters == 61_706  # LeNet-5
    assert sum(row["parameters"] for row in card["layers"]) == 61_706
    assert [row["name"] for row in card["layers"]] == [row.name for row in run.layers()]
    assert card["classes"] == list("0123456789") and card["input"] == list(run.preprocess.shape)
    assert card["recipe"]["epochs"] == 1 and card["preprocess"]["mean"] == list(run.preprocess.mean)
    assert card["engine"]["name"] == "torch" and len(card["history"]) == 1


@pytest.fixture
def damaged(runs, tmp_path) -> Path:
    shutil.copytree(runs["oblong"], tmp_path / "damaged")
    file = tmp_path / "damaged/model.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    return tmp_path / "damaged"


def test_a_run_that_cannot_be_read_leaves_the_others_up(runs, damaged):
    service = open_service([str(damaged), runs["oblong"]], engine="torch")
    with on_line(make_app(service)) as address:
        import httpx

        with httpx.Client(base_url=address) as client:
            ready = told(client.get("/readyz"))
            assert ready == {"models": ["oblong"], "broken": ["damaged"]}
            why = told(client.get("/v1/models"))["broken"]["damaged"]
            assert "not a model that can be read" in why
            assert told(client.post("/v1/predictions", content=flat(9)))["model"] == "oblong"
            response = client.get("/v1/models/damaged/model")
            assert "could not be read" in told(response, 503) and response.headers["retry-after"]


def test_where_no_run_can_be_read_there_is_no_service(damaged):
    with pytest.raises(ArtifactError, match="not a model that can be read"):
        open_service([str(damaged)])


def test_questions_wait_in_line_and_too_many_are_refused(serving):
    from hubel.serving.limits import Limits, Refused

    with serving(Limits(workers=1, deadline=0.05)) as client:
        served = client.service.default
        with (
            served.work(),
            pytest.raises(Refused, match="1 questions to digits wait already") as refused,
            served.work(),
        ):
            pass
        assert refused.value.http_status == 503
        with served.work():
            pass  # given back

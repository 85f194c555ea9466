"""evaluate() answers, measures and writes; each thing lands where the design says."""

import json

import numpy as np
import pytest

from hubel.errors import ArtifactError, DataError, InputError
from hubel.evaluation.evaluate import evaluate, folder_name, match_classes, read_predictions
from hubel.evaluation.scores import Classification, Regression

NAMES = ("ant", "bee", "cat", "dog")


@pytest.fixture
def labels():
    return np.repeat(np.arange(4), 5)


@pytest.fixture
def answers(labels):
    answers = labels.copy()
    answers[[0, 1, 7]] = [1, 1, 3]  # two ants answered bee, a bee answered dog
    return answers


@pytest.fixture
def mine(make_source, pictures_that_answer, labels, answers):
    return make_source(pictures_that_answer(answers, 4), labels, NAMES)


def test_what_is_measured_is_what_was_answered(make_run, mine):
    told = []
    found = evaluate(make_run(NAMES), mine, progress=lambda done, total: told.append((done, total)))
    assert isinstance(found, Classification)
    assert (found.n, found.mistakes, found.accuracy) == (20, 3, 17 / 20)
    assert found.confusions(2) == [(0, 1, 2), (1, 3, 1)]
    assert found.interval.low < 0.85 < found.interval.high
    assert (found.top, found.part, told[-1]) == (2, "test", (20, 20))
    assert found.report.read_text().startswith("<!doctype html>")


def test_the_runs_own_test_part_is_written_into_its_folder_and_reads_back(make_run, mine, answers):
    run = make_run(NAMES)
    found = evaluate(run, mine)
    assert found.folder == run.path
    assert read_predictions(run).answers.tolist() == answers.tolist()


def test_other_data_never_overwrites_the_test_predictions(
    make_run, make_source, mine, labels, pictures_that_answer
):
    run = make_run(NAMES)
    evaluate(run, mine)
    before = {f.name: f.read_bytes() for f in run.path.glob("*.*")}
    other = make_source(
        pictures_that_answer(labels[::-1], 4), labels, NAMES, name="other", location="/far/other"
    )
    found = evaluate(run, other)
    assert found.folder.parent == run.path / "evaluations"
    assert {f.name: f.read_bytes() for f in run.path.glob("*.*")} == before
    assert read_predictions(run, found.folder.name).answers.tolist() == labels[::-1].tolist()


def test_a_part_that_is_not_there_is_replaced_and_said(make_run, make_source, labels, pictures_that_answer):
    pictures = pictures_that_answer(labels, 4)
    run, parts = make_run(NAMES), ["val" if i % 5 == 0 else "train" for i in range(20)]
    found = evaluate(run, make_source(pictures, labels, NAMES, parts=parts))
    assert (found.part, found.n, found.folder.name) == ("val", 4, "mine-val")
    assert "Measured on the val part, not on a test part" in found.report.read_text()
    with pytest.raises(InputError, match="no part named 'tests': it is one of train, val, test"):
        evaluate(run, part="tests")


@pytest.mark.parametrize(("said", "part", "n"), [("", "all", 20), ("test", "test", 4)])
def test_other_data_is_measured_whole_unless_it_says_what_is_test(
    make_run, make_source, labels, pictures_that_answer, said, part, n
):
    parts = [said if i % 5 == 0 else "" if not said else "train" for i in range(20)]
    other = make_source(pictures_that_answer(labels, 4), labels, NAMES, name="other", parts=parts)
    found = evaluate(make_run(NAMES), other)
    assert (found.part, found.n, found.folder.name) == (part, n, "other")
    assert "has learnt from" not in found.report.read_text()


def test_items_that_were_learnt_from_are_called_so(make_run, make_source, labels, pictures_that_answer):
    run, pictures = make_run(NAMES), pictures_that_answer(labels, 4)
    caution = "has learnt from these very items"
    assert caution in evaluate(run, make_source(pictures, labels, NAMES, shared=True)).report.read_text()
    parts = ["train", "test"] * 10
    source = make_source(pictures, labels, NAMES, parts=parts)
    assert caution in evaluate(run, source, part="train").report.read_text()
    assert caution not in evaluate(run, source, part="test").report.read_text()


def test_classes_are_matched_by_name(make_run, make_source, labels, pictures_that_answer):
    theirs = ("dog", "bee", "ant")  # another order, and no cat
    targets = np.array([0, 1, 2, 2])
    pictures = pictures_that_answer(np.array([3, 1, 0, 1]), 4)  # dog, bee, ant, bee in the run's order
    found = evaluate(make_run(NAMES), make_source(pictures, targets, theirs, name="other"))
    assert found.predictions.labels.tolist() == [3, 1, 0, 0]
    assert found.accuracy == 3 / 4


def test_a_class_that_the_run_does_not_know_is_named_with_those_it_knows():
    message = (
        r"has the class 'cats', which the run does not know. Did you mean 'cat'\? .* 'ant', 'bee', 'cat'"
    )
    with pytest.raises(InputError, match=message):
        match_classes(np.array([0, 1]), ("ant", "cats"), NAMES)
    # A strange class without items does no harm, nor does an unknown label.
    assert match_classes(np.array([0, -1]), ("bee", "cats"), NAMES).tolist() == [1, -1]


def test_folder_names_are_safe_and_tell_places_apart(make_source):
    def named(name, location):
        return make_source(np.zeros((1, 1, 2, 2), np.uint8), [0], ["k"], name=name, location=location)

    assert folder_name(named("mnist", "mnist"), False, "test") == "mnist"
    assert folder_name(named("mnist", "mnist"), True, "val") == "mnist-val"
    a, b = (folder_name(named("../x y", place), False, "test") for place in ("/a/x", "/b/x"))
    assert a != b and a.startswith("x-y-") and "/" not in a


def test_to_dict_is_json_and_says_the_scores(make_run, mine):
    found = evaluate(make_run(NAMES), mine)
    said = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert (said["accuracy"], said["mistakes"], said["items"], said["data"]) == (0.85, 3, 20, "mine")
    assert said["classes"][0] == {"name": "ant", "precision": 1.0, "recall": 0.6, "f1": 0.75, "support": 5}
    assert said["confusions"][0] == {"label": "ant", "answer": "bee", "count": 2}


def test_two_evaluations_write_the_same_bytes(make_run, mine):
    run = make_run(NAMES)
    first = {f.name: f.read_bytes() for f in evaluate(run, mine).folder.iterdir() if f.is_file()}
    assert {"predictions.csv", "probabilities.npy", "report.html"} <= first.keys()
    evaluate(run, mine)
    assert {name: (run.path / name).read_bytes() for name in first} == first


def test_a_regression_is_measured_in_its_own_terms(make_run, make_source):
    inputs = np.random.default_rng(0).standard_normal((30, 3)).astype(np.float32)
    targets = inputs[:, :1] * 10 + np.where(np.arange(30) % 2, 1, -1)[:, None]  # the reader answers 10 * x0
    run = make_run((), (3,), task="regress", outputs=1)
    found = evaluate(run, make_source(inputs, targets.astype(np.float32), (), task="regress"))
    assert isinstance(found, Regression)
    assert found.loss == pytest.approx(1, rel=1e-5) and found.mae == pytest.approx(1, rel=1e-5)
    assert found.r2 == pytest.approx(1 - 30 / ((targets - targets.mean()) ** 2).sum(), rel=1e-5)
    assert read_predictions(run).answers == pytest.approx(10 * inputs[:, :1], rel=1e-6)
    assert "R²" in found.report.read_text()


def test_data_of_another_kind_is_refused(make_run, make_source):
    rows = make_source(np.zeros((4, 3), np.float32), np.array([0, 1, 0, 1]), ("ant", "bee"), name="rows")
    with pytest.raises(
        InputError,
        match=r"rows holds vectors, but the run .*run was trained on pictures: name data of that kind$",
    ):
        evaluate(make_run(("ant", "bee")), rows)


@pytest.mark.parametrize("location", ["mine", "another"])
def test_data_without_items_are_told(make_run, make_source, location):
    none = make_source(
        np.zeros((0, 1, 6, 5), np.uint8), np.zeros(0, int), NAMES, name="none", location=location
    )
    with pytest.raises(DataError, match=r"^none has no item to evaluate on: name data that has$"):
        evaluate(make_run(NAMES), none)


def test_as_many_targets_as_the_run_gives_are_wanted(make_run, make_source):
    run = make_run((), (3,), task="regress", outputs=1)
    source = make_source(np.zeros((4, 3), np.float32), np.zeros((4, 2), np.float32), (), task="regress")
    with pytest.raises(InputError, match=r"has 2 targets an item, the run gives 1: name data with as many$"):
        evaluate(run, source)


def test_an_evaluation_that_was_not_made_names_the_command(make_run):
    with pytest.raises(
        ArtifactError, match=r"run/evaluations/others is not there: `hubel evaluate` writes it$"
    ):
        read_predictions(make_run(NAMES), "others")

"""predictions.csv says what the network answered, reads back to the same bits; damage is noticed."""

import csv
from pathlib import Path

import numpy as np
import pytest

from hubel.errors import ArtifactError, InputError
from hubel.evaluation import predictions as module
from hubel.evaluation.predictions import HEADER, Predictions, Values

HOSTILE = [
    "=1+1",
    'say "no", twice',
    "two\nlines",
    "carriage\rreturn",
    " space ",
    "猫",
    "</script>",
    "\u202eneko",
]


@pytest.fixture
def some():
    rng = np.random.default_rng(1)
    items = [f"{name}/{i}" for i in range(5) for name in HOSTILE]
    logits = rng.standard_normal((40, 8)).astype(np.float32) * 5
    labels = rng.integers(-1, 8, 40)
    return Predictions.from_logits(items, labels, logits, HOSTILE)


def same(a, b):
    assert tuple(a.items) == tuple(b.items) and a.classes == b.classes
    for name in ("labels", "top", "top_p", "loss", "probabilities"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


def test_hostile_names_and_every_bit_come_back(some, tmp_path):
    some.save(tmp_path)
    same(Predictions.load(tmp_path, HOSTILE), some)
    assert (some.labels == -1).any() and np.isnan(some.loss[some.labels == -1]).all()


def test_a_file_name_that_is_no_unicode_keeps_its_bytes(tmp_path):
    name = b"caf\xe9.png".decode("utf-8", "surrogateescape")
    made = Predictions.from_logits([name], np.array([1]), np.zeros((1, 2)), ["a", "b"])
    made.save(tmp_path)
    assert b"caf\xe9.png" in (tmp_path / "predictions.csv").read_bytes()
    same(Predictions.load(tmp_path, ["a", "b"]), made)


def test_the_table_is_what_the_design_says(tmp_path):
    # softmax(log 1, log 2, log 5) = 1/8, 2/8, 5/8; the loss of class "a" is log 8
    z = np.log([[1, 2, 5]])
    Predictions.from_logits(["x.png"], np.array([0]), z, ["a", "b", "c"]).save(tmp_path)
    header, row = csv.reader((tmp_path / "predictions.csv").read_text().splitlines())
    assert header == ["item", "label", "answer", "p", "loss", "top2", "top3", "top4", "top5"]
    assert row[:3] == ["x.png", "a", "c"] and row[5:] == ["b", "a", "", ""]
    assert (float(row[3]), float(row[4])) == pytest.approx((5 / 8, np.log(8)))
    np.testing.assert_allclose(np.load(tmp_path / "probabilities.npy"), [[1 / 8, 2 / 8, 5 / 8]], rtol=1e-6)


def test_pieces_of_logits_give_what_the_whole_gives():
    rng = np.random.default_rng(0)
    z, labels, items = (
        rng.standard_normal((10, 6)).astype(np.float32),
        rng.integers(0, 6, 10),
        list("abcdefghij"),
    )
    whole = Predictions.from_logits(items, labels, z, list("uvwxyz"))
    same(Predictions.from_logits(items, labels, iter([z[:3], z[3:4], z[4:]]), list("uvwxyz")), whole)
    with pytest.raises(InputError, match="9 rows of logits for 10 items"):
        Predictions.from_logits(items, labels, z[:9], list("uvwxyz"))
    with pytest.raises(InputError, match="20 rows of logits for 10 items and 10 labels"):
        Predictions.from_logits(items, labels, iter([z, z]), list("uvwxyz"))


def test_many_classes_are_kept_without_the_matrix(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "DENSE_CLASSES", 7)
    names = [f"class {k}" for k in range(8)]
    z = np.random.default_rng(0).standard_normal((5, 8))
    (tmp_path / "probabilities.npy").write_bytes(b"of an earlier run")
    made = Predictions.from_logits(list("abcde"), np.arange(5), z, names)
    made.save(tmp_path)
    assert made.probabilities is None and not (tmp_path / "probabilities.npy").exists()
    back = Predictions.load(tmp_path, names)
    np.testing.assert_array_equal(back.top, made.top)
    np.testing.assert_array_equal(back.p, made.p)
    assert np.isnan(back.top_p[:, 1:]).all()


def test_a_network_that_answers_nan_is_named_with_its_item():
    z = np.zeros((2, 2))
    z[1, 0] = np.nan
    with pytest.raises(ArtifactError, match="1 items with NaN or infinity, first 'b'"):
        Predictions.from_logits(["a", "b"], np.zeros(2, dtype=int), z, ["k", "l"])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda rows: [], "is empty"),
        (
            lambda rows: [["item", "label"], *rows[1:]],
            "line 1: the header is 'item,label', not 'item,label,answer",
        ),
        (lambda rows: [*rows[:2], rows[2][:4]], "line 3: 4 fields instead of 9"),
        (lambda rows: [*rows[:2], [*rows[2][:2], "cat", *rows[2][3:]]], "line 3: the run has no class 'cat'"),
        (lambda rows: [*rows[:3], [*rows[3][:3], "0.9x", *rows[3][4:]]], "line 4: could not convert"),
        (
            lambda rows: [*rows[:3], [*rows[3][:3], "1.5", *rows[3][4:]]],
            "line 4: p is '1.5', not a probability",
        ),
        (
            lambda rows: rows[:-1],
            r"probabilities.npy holds \(6, 4\) float32, but predictions.csv says \(5, 4\)",
        ),
    ],
)
def test_a_damaged_table_is_named_with_its_line(tmp_path, damage, message):
    names = ["k", "l", "m", "n"]
    z = np.random.default_rng(0).standard_normal((6, 4))
    Predictions.from_logits(list("abcdef"), np.zeros(6, dtype=int), z, names).save(tmp_path)
    file = tmp_path / "predictions.csv"
    rows = list(csv.reader(file.read_text().splitlines()))
    assert rows[0] == list(HEADER)
    with file.open("w", newline="") as out:
        csv.writer(out).writerows(damage(rows))
    with pytest.raises(ArtifactError, match=message):
        Predictions.load(tmp_path, names)


def test_tables_of_two_evaluations_are_told_apart(tmp_path):
    """Equal in everything but the numbers: killed between the two writes, or copied together."""

    def saved(seed):
        z = np.random.default_rng(seed).standard_normal((6, 4))
        Predictions.from_logits(list("abcdef"), np.zeros(6, dtype=int), z, list("klmn")).save(tmp_path)
        return (tmp_path / "probabilities.npy").read_bytes()

    others = saved(1)
    saved(0)
    (tmp_path / "probabilities.npy").write_bytes(others)
    with pytest.raises(
        ArtifactError,
        match=r"probabilities\.npy and predictions\.csv are not of one evaluation: `hubel evaluate` writes both anew$",
    ):
        Predictions.load(tmp_path, list("klmn"))


@pytest.mark.parametrize("name", ["predictions.csv", "probabilities.npy"])
def test_a_file_that_cannot_be_opened_is_named(tmp_path, monkeypatch, name):
    Predictions.from_logits(["a"], np.array([0]), np.zeros((1, 2)), ["k", "l"]).save(tmp_path)
    ours = Path.open

    def locked(path, *how, **more):
        if path.name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return ours(path, *how, **more)

    monkeypatch.setattr(Path, "open", locked)
    with pytest.raises(
        ArtifactError,
        match=rf"cannot read .*{name}: Permission denied\. `hubel evaluate` writes it anew$",
    ):
        Predictions.load(tmp_path, ["k", "l"])


def test_a_damaged_number_of_a_regression_is_named_with_its_line(tmp_path):
    Values(("a", "b"), np.zeros((2, 1), np.float32), np.zeros((2, 1), np.float32)).save(tmp_path)
    file = tmp_path / "predictions.csv"
    file.write_text(file.read_text().replace("b,0.0,", "b,0.x,"))
    with pytest.raises(
        ArtifactError,
        match=r"line 3: could not convert string to float: '0\.x'\. `hubel evaluate` writes it anew$",
    ):
        Values.load(tmp_path, 1)


def test_logits_and_names_that_do_not_fit_are_told():
    with pytest.raises(
        InputError, match=r"gives logits \(2, 3\), but \(2, 4\) are wanted, one for each class"
    ):
        Predictions.from_logits(["a", "b"], np.zeros(2, dtype=int), np.zeros((2, 3)), list("klmn"))
    made = Predictions.from_logits(["a"], np.array([0]), np.zeros((1, 2)), ["k", ""])
    with pytest.raises(InputError, match=r"class 1 has an empty name, as unknown ones have: give it another"):
        made.files()


def test_a_table_that_ends_in_the_middle_of_a_name_is_noticed(tmp_path):
    Predictions.from_logits(["a", "b"], np.zeros(2, int), np.zeros((2, 2)), ["k", 'l, "m"']).save(tmp_path)
    file = tmp_path / "predictions.csv"
    file.write_bytes(file.read_bytes()[: -len('m"""\r\n,,,')])
    with pytest.raises(ArtifactError, match="line 3: unexpected end of data"):
        Predictions.load(tmp_path, ["k", 'l, "m"'])


def test_nothing_is_executed_when_probabilities_are_read(tmp_path):
    Predictions.from_logits(["a"], np.array([0]), np.zeros((1, 2)), ["k", "l"]).save(tmp_path)
    np.save(tmp_path / "probabilities.npy", np.array([[print, print]], dtype=object), allow_pickle=True)
    with pytest.raises(ArtifactError, match="holds Python objects, which only a pickle can restore"):
        Predictions.load(tmp_path, ["k", "l"])


@pytest.mark.parametrize("columns", [1, 3])
def test_values_come_back(tmp_path, columns):
    t, y = np.random.default_rng(0).standard_normal((2, 5, columns)).astype(np.float32)
    Values(tuple(HOSTILE[:5]), t, y).save(tmp_path)
    back = Values.load(tmp_path, columns)
    assert back.items == tuple(HOSTILE[:5])
    np.testing.assert_array_equal(back.targets, t)
    np.testing.assert_array_equal(back.answers, y)
    with pytest.raises(ArtifactError, match="line 1: the header"):
        Values.load(tmp_path, columns + 1)


FORMULAS = [
    "=1+2",
    "+x",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(A1)",
    "\tx",
    "\rx",
    "＝1",
    "'=1",
    "''=1",
    "'",
    "'x",
    "'-1",
    "-",
    "-1 ",
]


def test_no_name_begins_a_formula_and_all_come_back(tmp_path):
    """A spreadsheet runs what begins so; behind a quote it is text. Numbers, as the label -1, are no formulas."""
    classes = [*FORMULAS, "-1", "+2.5", "1e-5"]
    n = len(classes)
    logits = np.eye(n, dtype=np.float32) * 9
    Predictions.from_logits(classes, np.arange(n), logits, classes).save(tmp_path)
    with (tmp_path / "predictions.csv").open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    dangerous = [c for c in cells if c[:1] in tuple("=+-@\t\r＝") and c]
    assert set(dangerous) == {"-1", "+2.5"}
    back = Predictions.load(tmp_path, classes)
    assert list(back.items) == classes
    assert back.labels.tolist() == back.answers.tolist() == list(range(n))


def test_a_table_of_probabilities_is_believed_only_by_its_size(tmp_path):
    """A header of 128 bytes that declares 80 GB; and a zip, which numpy.load would take for another kind of file."""
    Predictions.from_logits(["a"], np.array([0]), np.zeros((1, 2)), ["k", "l"]).save(tmp_path)
    file = tmp_path / "probabilities.npy"
    sound = file.read_bytes()
    file.write_bytes(sound.replace(b"(1, 2)", b"(10_000_000, 2_000)", 1)[: len(sound)])
    with pytest.raises(ArtifactError, match=r"probabilities\.npy is damaged|needs 80,000,000,000 bytes"):
        Predictions.load(tmp_path, ["k", "l"])
    np.savez(file.with_suffix(".npz"), np.zeros((1, 2), np.float32))
    file.write_bytes(file.with_suffix(".npz").read_bytes())
    with pytest.raises(
        ArtifactError, match=r"probabilities\.npy is damaged: the magic string is not correct"
    ):
        Predictions.load(tmp_path, ["k", "l"])

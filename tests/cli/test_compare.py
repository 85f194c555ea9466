"""`hubel compare`: its numbers against the files it read, its test against SciPy's, its curves against the history."""

from __future__ import annotations

import csv
import json
import shutil

import pytest
from scipy.stats import binomtest

from hubel.evaluation.charts import axis
from hubel.evaluation.compare import letter, mcnemar
from hubel.evaluation.curves import Chart, Curve, apart, plain, whole


def answers(run) -> dict[str, bool]:
    """item -> whether the answer is right, read without hubel."""
    with (run / "predictions.csv").open(newline="", encoding="utf-8") as file:
        return {row["item"]: row["label"] == row["answer"] for row in csv.DictReader(file)}


def lines(file) -> list[dict]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


# ---- the numbers ----


def test_every_number_is_that_of_the_files(cli, trained):
    said = cli("compare", trained["a"], trained["b"], "--json")
    assert said.code == 0 and said.err == "" and said.json["warnings"] == []
    for found, name, epochs in zip(said.json["runs"], "ab", (3, 5), strict=True):
        run = trained[name]
        right = answers(run)
        assert found["run"] == str(run) and found["letter"] == name.upper()
        assert found["accuracy"] == sum(right.values()) / len(right) and found["n"] == len(right)
        assert found["low"] < found["accuracy"] < found["high"]
        assert found["epochs"] == epochs and found["history"] == lines(run / "history.jsonl")
        assert found["parameters"] == cli("describe", run, "--json").json["parameters"]
        assert found["seconds"] == pytest.approx(sum(row["seconds"] for row in lines(run / "timing.jsonl")))


def test_runs_with_the_same_test_items_are_paired(cli, trained):
    said = cli("compare", trained["a"], trained["b"], "--json").json
    a, b = answers(trained["a"]), answers(trained["b"])
    assert a.keys() == b.keys()
    better, other = ("A", "B") if sum(a.values()) > sum(b.values()) else ("B", "A")
    first, second = (a, b) if better == "A" else (b, a)
    only_first = sum(first[item] and not second[item] for item in first)
    only_second = sum(second[item] and not first[item] for item in first)
    assert said["best"] == better
    (pair,) = said["pairs"]
    assert (pair["a"], pair["b"]) == (better, other)
    assert (pair["only_a"], pair["only_b"]) == (only_first, only_second)
    assert pair["both"] + pair["neither"] + only_first + only_second == len(a)
    assert pair["p"] == pytest.approx(binomtest(only_first, only_first + only_second, 0.5).pvalue)


def test_the_order_of_the_items_does_not_matter(cli, trained, tmp_path):
    shuffled = shutil.copytree(trained["b"], tmp_path / "shuffled")
    head, *rows = (shuffled / "predictions.csv").read_bytes().splitlines(keepends=True)
    (shuffled / "predictions.csv").write_bytes(head + b"".join(reversed(rows)))
    (shuffled / "probabilities.npy").unlink()
    plainly = cli("compare", trained["a"], trained["b"], "--json").json["pairs"]
    assert cli("compare", trained["a"], shuffled, "--json").json["pairs"] == plainly != []


@pytest.mark.parametrize(
    ("b", "c"), [(0, 0), (1, 0), (0, 5), (7, 7), (21, 4), (160, 9), (900, 1100), (3000, 10)]
)
def test_p_is_the_exact_binomial_one(b, c):
    want = binomtest(b, b + c, 0.5).pvalue if b + c else 1.0
    assert mcnemar(b, c) == pytest.approx(want, rel=1e-9, abs=1e-300)
    assert mcnemar(b, c) == mcnemar(c, b)


def test_p_by_hand():
    # Five heads of five tosses, or five tails: 2 / 32. One of two: certain.
    assert mcnemar(5, 0) == 2 / 32 and mcnemar(1, 1) == 1.0


def test_other_test_items_are_warned_of_and_not_paired(cli, trained):
    said = cli("compare", trained["a"], trained["c"], "--json").json
    assert answers(trained["a"]).keys() != answers(trained["c"]).keys()
    assert said["pairs"] == [] and said["best"] is None
    (warning,) = said["warnings"]
    assert (
        "different test items (A on 359 of digits; C" in warning.replace("B on", "C on") and "seed" in warning
    )
    assert (
        "Note: The runs were measured on different test items"
        in cli("compare", trained["a"], trained["c"]).out
    )


def test_the_same_items_with_other_labels_are_other_items(cli, trained, tmp_path):
    """Two data sets may name their items alike: test/00001 of one is not test/00001 of the other."""
    other = shutil.copytree(trained["b"], tmp_path / "other")
    text = (other / "predictions.csv").read_text("utf-8").splitlines()
    cells = text[1].split(",")
    cells[1] = str((int(cells[1]) + 1) % 10)
    (other / "predictions.csv").write_text("\r\n".join([text[0], ",".join(cells), *text[2:]]) + "\r\n")
    assert cli("compare", trained["a"], other, "--json").json["pairs"] == []


def test_a_run_without_a_result_is_listed_with_the_command_that_makes_one(cli, trained):
    said = cli("compare", trained["a"], trained["bare"])
    assert said.code == 0 and f"B has no test result yet: hubel evaluate {trained['bare']}" in said.out
    found = cli("compare", trained["a"], trained["bare"], "--json").json["runs"][1]
    assert found["accuracy"] is None and found["n"] == 0 and found["epochs"] == 1


def test_what_cannot_be_compared(cli, trained):
    assert "two runs or more, got 1" in cli("compare", trained["a"]).err
    said = cli("compare", trained["a"], trained["b"], f"{trained['a']}/")
    assert said.code == 2 and "is named twice" in said.err
    said = cli("compare", trained["a"], trained["b"], "-o", "x.pdf")
    assert said.code == 2 and "--out writes .svg, .png or .html by the file's ending, got 'x.pdf'" in said.err
    said = cli("compare", trained["a"], trained["b"], "-o", "no/such.svg")
    assert said.code == 2 and "the folder no for such.svg does not exist: make it first" in said.err
    assert cli("compare", trained["a"], trained["a"].parent / "nobody").code == 2


# ---- settings ----


def test_only_settings_that_differ_are_shown(cli, trained):
    found = cli("compare", trained["a"], trained["b"], "--json").json["differences"]
    assert found == {"epochs": ["3", "5"], "lr": ["0.003", "0.0003"]}
    assert "seed" in cli("compare", trained["a"], trained["c"], "--json").json["differences"]


def test_equal_runs_differ_in_nothing(cli, trained, tmp_path):
    twin = shutil.copytree(trained["a"], tmp_path / "twin")
    found = cli("compare", trained["a"], twin, "--json").json
    assert found["differences"] == {}
    (pair,) = found["pairs"]
    assert (pair["only_a"], pair["only_b"], pair["p"]) == (0, 0, 1.0)
    assert "all alike" in cli("compare", trained["a"], twin).out


# ---- curves ----


def test_the_terminal_gets_eighty_columns(cli, trained):
    said = cli("compare", trained["a"], trained["b"], trained["c"])
    assert said.code == 0
    charts = said.out.partition("validation loss")[2].partition("\nNote")[0].splitlines()
    assert max(map(len, charts)) <= 80 and "validation accuracy" in charts
    assert all(letter in "\n".join(charts) for letter in "ABC")


def chart(*curves: tuple[str, list[float]]) -> list[str]:
    """The lines between title and axis, of curves that have a value per epoch."""
    values = [v for _, ys in curves for v in ys]
    longest = max(len(ys) for _, ys in curves)
    drawn = Chart(
        "t", whole(1, longest), axis(min(values), max(values)),
        tuple(Curve(name, name, tuple(map(float, range(1, len(ys) + 1))), tuple(ys)) for name, ys in curves),
    )  # fmt: skip
    return [line.partition("│")[2] for line in plain(drawn, width=60).splitlines()[1:-2]]


def test_a_falling_curve_falls_and_a_level_one_is_level():
    falling = chart(("A", [4.0, 3.0, 2.0, 1.0]))
    columns = [next(k for k, c in enumerate(line) if c not in " A") for line in falling if line.strip(" A")]
    assert columns == sorted(columns) and len(columns) > 5
    level = [line for line in chart(("A", [2.0, 2.0, 2.0])) if line.strip()]
    assert len(level) == 1 and level[0].endswith(" A")


def test_each_letter_stands_at_the_height_of_its_end():
    rows = chart(("A", [1.0, 5.0]), ("B", [5.0, 1.0]), ("C", [5.0, 5.0]))
    ends = {name: next(k for k, line in enumerate(rows) if line.rstrip().endswith(name)) for name in "BC"}
    assert ends["C"] < ends["B"] == len(rows) - 1
    assert rows[ends["C"]].rstrip().endswith("A C")  # both end there, one behind the other


@pytest.mark.parametrize("form", ["svg", "png", "html"])
def test_the_picture_is_written_and_is_the_same_again(cli, trained, tmp_path, form):
    first, second = tmp_path / f"1.{form}", tmp_path / f"2.{form}"
    for out in (first, second):
        said = cli("compare", trained["a"], trained["b"], "-o", out)
        assert said.code == 0 and f"written  {out}" in said.out
    content = first.read_bytes()
    assert content == second.read_bytes()
    if form == "png":
        assert content.startswith(b"\x89PNG")
        return
    text = content.decode()
    assert all(words in text for words in ("validation loss", "validation accuracy", "A  a", "B  b", "epoch"))
    assert "http://" not in text.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )


def test_without_a_validation_part_there_is_no_picture_but_a_page(cli, trained, tmp_path):
    runs = [shutil.copytree(trained[name], tmp_path / name) for name in "ab"]
    for run in runs:
        rows = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
        none = {"val_loss": None, "val_accuracy": None}
        (run / "history.jsonl").write_text("".join(json.dumps(row | none) + "\n" for row in rows))
    said = cli("compare", *runs, "-o", tmp_path / "x.svg")
    assert said.code == 2 and "none of these runs has a validation loss or accuracy, so there are" in said.err
    assert "leave --out out, or name an .html" in said.err and not (tmp_path / "x.svg").exists()
    assert cli("compare", *runs, "-o", tmp_path / "x.html").code == 0
    assert "<svg" not in (tmp_path / "x.html").read_text()


def test_a_name_cannot_escape_into_the_page(cli, trained, tmp_path):
    evil = shutil.copytree(trained["b"], tmp_path / "<script>alert(1)<script>")
    assert cli("compare", trained["a"], evil, "-o", tmp_path / "page.html").code == 0
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "<script" not in page and "&lt;script&gt;alert(1)" in page


def test_labels_are_moved_apart_and_no_more():
    assert apart([0.1, 0.9], 0.1) == [0.1, 0.9]
    moved = apart([0.5, 0.52, 0.1], 0.1)
    assert moved[1] - moved[0] == pytest.approx(0.1, abs=1e-4) and moved[0] + moved[1] == pytest.approx(1.02)
    assert moved[2] == 0.1


def test_letters():
    assert [letter(n) for n in (0, 25, 26, 51, 52)] == ["A", "Z", "A2", "Z2", "A3"]

"""`hubel attack`: pictures in a page, a curve over data, and errors that name what there is."""

from __future__ import annotations

import numpy as np
import pytest
from making import png, tree
from PIL import Image
from sklearn.datasets import load_digits

import hubel
from hubel.cli.amounts import amounts, divided
from hubel.cli.attack import drawn, is_data
from hubel.errors import InputError


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "mine"
    hubel.train("digits", network="fast-digits", epochs=4, out=folder, precision="fp32", threads=1)
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Twelve digits, each in a folder called like its class."""
    images, labels = load_digits(return_X_y=True)
    files = {
        f"{labels[n]}/{n}.png": png(np.round(images[n].reshape(8, 8) * 255 / 16).astype(np.uint8))
        for n in range(12)
    }
    return tree(tmp_path_factory.mktemp("pictures"), files)


def width(path):
    with Image.open(path) as image:
        return image.width


def test_pictures_are_attacked_and_shown(cli, run, pictures, tmp_path):
    said = cli(
        "attack",
        run,
        pictures / "3" / "3.png",
        pictures / "7",
        "--eps",
        "0.4",
        "--steps",
        "8",
        "-o",
        tmp_path / "out",
    )
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert any(line.split()[:2] == ["3.png", "3"] for line in lines) and any(
        "7.png" in line for line in lines
    )
    assert "pgd, eps 0.4: 8 steps of 0.125, 1 random beginning, seed 0" in said.out
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["3.png", "7.png", "index.html"]
    assert width(tmp_path / "out" / "3.png") > 600
    assert "7.png" in (tmp_path / "out" / "index.html").read_text()


def test_items_of_the_test_part_as_json_write_nothing(cli, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = cli("attack", run, "--items", "0,3", "--method", "fgsm", "--eps", "102/255", "--json").json
    assert len(said["findings"]) == 2 and said["attack"]["eps"] == pytest.approx(0.4)
    one = said["findings"][0]
    off = np.abs(np.array(one["arrays"]["after"]) - np.array(one["arrays"]["before"])).max()
    assert off == pytest.approx(one["numbers"]["linf"]) and off <= 0.4
    assert list(tmp_path.iterdir()) == []


def test_a_curve_over_the_runs_own_test_part(cli, run, tmp_path):
    said = cli("attack", run, "--limit", "40", "--steps", "5", "--eps", "0.1,0.3", "-o", tmp_path / "out")
    assert said.code == 0, said.err
    rows = [line.split() for line in said.out.splitlines() if "%" in line and "interval" not in line]
    assert [row[0] for row in rows] == ["0", "0.1", "0.3"]
    falling = [float(row[1]) for row in rows]
    assert falling == sorted(falling, reverse=True) and falling[2] < falling[0]
    assert "40 of the 359 items of the test part of digits" in said.out
    assert width(tmp_path / "out" / "robustness.png") > 600


def test_a_curve_over_a_folder_of_class_folders(cli, run, pictures):
    said = cli("attack", run, pictures, "--steps", "3", "--eps", "0.2", "--json").json
    assert said["part"] == "all" and [round(row["eps"], 3) for row in said["levels"]] == [
        0,
        0.05,
        0.1,
        0.15,
        0.2,
    ]
    assert {row["items"] for row in said["levels"]} == {12}
    assert said["measure"] == "linf" and said["attack"]["seed"] == 0


def test_towards_a_class_and_by_length(cli, run):
    aimed = cli(
        "attack",
        run,
        "-m",
        "targeted",
        "--target",
        "8",
        "--limit",
        "30",
        "--steps",
        "8",
        "--eps",
        "0.5",
        "--json",
    ).json
    reached = [row["reached"] for row in aimed["levels"]]
    assert reached == sorted(reached) and reached[-1] > reached[0]
    far = cli("attack", run, "-m", "deepfool", "--limit", "30", "--eps", "0.5,3", "--json").json
    assert far["measure"] == "l2" and [row["eps"] for row in far["levels"]] == [0, 0.5, 3]
    assert far["levels"][2]["right"] < far["levels"][1]["right"]


def test_the_seed_decides(cli, run):
    def levels(seed):
        return cli(
            "attack", run, "--limit", "30", "--steps", "2", "--eps", "0.15", "--seed", seed, "--json"
        ).json["levels"]

    assert levels(1) == levels(1) != levels(2)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ["--method", "pdg"],
            "no attack named 'pdg'. Did you mean 'pgd'? Known: fgsm, pgd, deepfool, targeted",
        ),
        (
            ["--eps", "eight"],
            "--eps takes a number such as 0.03 or 8/255, or several with commas, got 'eight'",
        ),
        (["--eps", "8"], "must lie in 0..1, got 8; 8/255 is usual"),
        (["--eps", "8/0"], "--eps takes a number"),
        (["--items", "0", "--eps", "0.1,0.2"], "--eps takes several sizes for data only"),
        (["-m", "targeted"], "name both or neither"),
        (["-m", "targeted", "--target", "ten"], "no class named 'ten'"),
        (
            ["-m", "deepfool", "--eps=-1"],
            "--eps of deepfool takes lengths of the whole change from 0, as 0.5,1,2, got -1",
        ),
        (["--items", "9999"], "the test part has 359 items"),
        (["--limit", "-1"], "--limit and --seed begin at 0, got -1 and 0"),
        (["nowhere"], "no data set named 'nowhere'"),
        (["nowhere.png"], "nowhere.png"),
    ],
)
def test_a_wrong_question_is_answered_by_what_there_is(cli, run, arguments, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = cli("attack", run, *arguments)
    assert said.code == 2 and text in said.err, said.err
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_overwritten(cli, run, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    said = cli("attack", run, "--items", "0", "--steps", "1", "-o", tmp_path)
    assert said.code == 2 and "not empty" in said.err and [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_rows_of_numbers_are_refused(cli, tmp_path):
    hubel.train("points", epochs=1, out=tmp_path / "points", precision="fp32")
    said = cli("attack", tmp_path / "points")
    assert said.code == 2 and "takes rows of numbers" in said.err


def test_data_and_pictures_are_told_apart(pictures):
    assert is_data("mnist") and is_data(str(pictures)) and is_data("some/archive.tar")
    assert not is_data(str(pictures / "3")) and not is_data("a.png") and not is_data("-")


def test_a_sample_is_drawn_by_its_seed():
    assert drawn(10, 0, 0).tolist() == drawn(10, 99, 0).tolist() == list(range(10))
    one = drawn(1000, 50, 1)
    assert len(set(one.tolist())) == 50 and (np.diff(one) > 0).all() and one.max() > 500
    assert one.tolist() == drawn(1000, 50, 1).tolist() != drawn(1000, 50, 2).tolist()


def test_a_number_may_be_divided():
    assert amounts("--eps", "8/255, 0.1") == [8 / 255, 0.1] and divided("1e-3") == 1e-3
    with pytest.raises(InputError, match=r"--eps takes a number such as 0.03 or 8/255"):
        amounts("--eps", "1/2/3")


def test_training_takes_a_divided_number(cli, tmp_path):
    said = cli(
        "train",
        "digits",
        "--adversarial",
        "pgd",
        "--adversarial-eps",
        "8/255",
        "--epochs",
        "0",
        "--no-evaluate",
        "-o",
        tmp_path / "run",
    )
    assert said.code == 0 and hubel.load(tmp_path / "run").recipe["adversarial_eps"] == 8 / 255
    assert (
        "attacks  pgd within eps 0.0314, 7 steps; loss and train accuracy are of the attacked pictures"
        in said.out
    )
    wrong = cli("train", "digits", "--lr", "fast", "-o", tmp_path / "other")
    assert wrong.code == 2 and "--lr" in wrong.err and "fast" in wrong.err


def test_spoilt_pictures_are_measured_and_kept(cli, run):
    said = cli("evaluate", run, "--corruptions")
    assert said.code == 0 and "359 spoilt pictures" in said.out
    found = cli("evaluate", run, "--corruptions", "--json").json["corruptions"]
    assert (
        set(found["means"]) == {"noise", "blur", "contrast", "shift", "rotation", "jpeg"}
        and len(found["rows"]) == 30
    )
    assert (run / "corruptions.json").is_file()
    for kind, mean in found["means"].items():
        each = [f"{100 * row['accuracy']:.2f}" for row in found["rows"] if row["kind"] == kind]
        assert [kind, *each, f"{100 * mean:.2f}"] in [line.split() for line in said.out.splitlines()]

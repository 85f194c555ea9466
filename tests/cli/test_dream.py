"""`hubel dream`: pictures, sheets, pages, animations and JSON; what is wrong is named; Ctrl-C keeps what stands."""

from __future__ import annotations

import numpy as np
import pytest
from needs import data
from PIL import Image

import hubel
from hubel.explanation import dream as dreams


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "cnn"
    hubel.train("digits", out=out, epochs=1, precision="fp32")
    return out


def size(file):
    with Image.open(file) as image:
        return image.size


@pytest.fixture
def photo(tmp_path):
    file = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 44, 3), np.uint8)).save(file)
    return file


def test_one_picture_has_its_own_pixels_and_is_what_predict_sees(cli, run, tmp_path):
    said = cli("dream", run, "--class", "6", "--steps", "40", "-o", tmp_path / "six.png")
    assert said.code == 0 and "class 6" in said.out and "log-odds" in said.out
    assert size(tmp_path / "six.png") == (8, 8)
    p = said.out.split("class 6")[1].split("%")[0].split()[-1]
    answer = cli("predict", run, tmp_path / "six.png", "--json").json["predictions"][0]
    assert answer["answer"] == "6" and f"{100 * answer['p']:.2f}" == p


def test_all_classes_make_a_page_with_a_picture_each(cli, run, tmp_path):
    said = cli(
        "dream",
        run,
        "--all-classes",
        "--steps",
        "2",
        "-o",
        tmp_path / "all",
        "--animate",
        tmp_path / "way.gif",
    )
    assert said.code == 0 and said.out.count("log-odds") == 10
    assert sorted(f.name for f in (tmp_path / "all").iterdir()) == [
        *(f"class-{k}.png" for k in range(10)),
        "index.html",
    ]
    with Image.open(tmp_path / "way.gif") as film:
        assert film.format == "GIF" and film.n_frames == 3  # two steps, and what they led to


def test_a_photograph_is_dreamt_on_at_its_size(cli, run, photo, tmp_path):
    said = cli(
        "dream", run, photo, "--layer", "features.2", "--steps", "2", "--octaves", "2", "-o", tmp_path / "deep.png",
        "--animate", tmp_path / "way.png",
    )  # fmt: skip
    assert said.code == 0 and size(tmp_path / "deep.png") == (44, 30)
    with Image.open(tmp_path / "way.png") as film:
        assert film.format == "PNG" and film.n_frames == 4


def test_json_has_numbers_and_the_picture_and_writes_nothing(cli, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = cli(
        "dream", run, "--layer", "features.0", "--map", "3", "--size", "10x14", "--steps", "2", "--json"
    )
    (found,) = said.json["dreams"]
    assert found["title"] == "features.0 map 3" and found["numbers"]["raised"] == "mean"
    assert np.shape(found["arrays"]["picture"]) == (1, 10, 14) and said.err == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "of what? Name a --class, --all-classes, or a --layer"),
        (["--class", "ten"], "no class named 'ten'"),
        (["--class", "1", "--layer", "features.0"], "one of the three"),
        (["--map", "3"], "--map 3 of which layer"),
        (["--layer", "features.0", "--map", "99"], "has 16 maps, 0 to 15: there is no map 99"),
        (["--layer", "features.99"], "no layer named 'features.99'"),
        (["--class", "1", "--size", "big"], "--size takes pixels up to 4096"),
        (["--class", "1", "--steps", "0"], "--steps must be at least 1, got 0"),
        (["--class", "1", "--octaves", "2"], "--octaves are for a photograph"),
        (["--class", "1", "--animate", "way.mp4"], "an animation ends in .png or .gif"),
    ],
)
def test_what_is_wrong_is_named(cli, run, arguments, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = cli("dream", run, *arguments)
    assert (said.code, said.out) == (2, "") and text in said.err
    assert list(tmp_path.iterdir()) == []


def test_weights_without_a_last_layer_know_no_classes(cli, tmp_path):
    data("weights")
    said = cli(
        "dream",
        "squeezenet1_1",
        "--weights",
        "squeezenet1_1_features",
        "--class",
        "cat",
        "-o",
        tmp_path / "x",
    )
    assert (said.code, said.out) == (2, "") and not (tmp_path / "x").exists()
    assert (
        "squeezenet1_1 are without their last layer, and so know no classes: name --layer and --map"
        in said.err
    )


def test_nothing_is_overwritten(cli, run, tmp_path):
    (tmp_path / "six.png").write_bytes(b"mine")
    for argument in ("--out", "--animate"):
        said = cli("dream", run, "--class", "6", argument, tmp_path / "six.png")
        assert said.code == 2 and f"six.png exists: name another {argument}" in said.err
    assert (tmp_path / "six.png").read_bytes() == b"mine"
    same = cli("dream", run, "--class", "6", "--out", tmp_path / "a.png", "--animate", tmp_path / "a.png")
    assert same.code == 2 and "name two files" in same.err


def test_ctrl_c_keeps_the_picture_as_it_stands_and_says_where(cli, run, tmp_path, monkeypatch):
    true = dreams.total_variation
    calls = []

    def interrupted(x):
        calls.append(1)
        if len(calls) > 5:
            raise KeyboardInterrupt
        return true(x)

    monkeypatch.setattr(dreams, "total_variation", interrupted)
    said = cli("dream", run, "--class", "6", "--steps", "50", "-o", tmp_path / "six.png")
    assert said.code == 130 and size(tmp_path / "six.png") == (8, 8)
    assert (
        f"interrupted while dreaming of class 6, at step 5 of 50: what stood then is {tmp_path / 'six.png'}"
        in said.err
    )

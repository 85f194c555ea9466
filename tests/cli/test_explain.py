"""`hubel explain`: pictures and a page, or JSON; the run's own items, or pictures that are named."""

from __future__ import annotations

import numpy as np
import pytest
from making import png, tree, zoo
from PIL import Image
from sklearn.datasets import load_digits

import hubel


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A convolutional network that is right on some digits and wrong on others."""
    made = hubel.train("digits", out=tmp_path_factory.mktemp("runs") / "cnn", epochs=1, precision="fp32")
    return made.path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Two digits in folders that are called as their classes, and one that is no picture."""
    folder = tmp_path_factory.mktemp("pictures")
    for k in (3, 7):
        (folder / str(k)).mkdir()
        pixels = np.round(load_digits().images[k] * (255 / 16)).astype(np.uint8)
        (folder / str(k) / f"a digit {k}.png").write_bytes(png(pixels))
    return folder


def test_a_picture_becomes_a_png_and_a_page(cli, run, pictures, tmp_path):
    out = tmp_path / "seen"
    said = cli("explain", run, pictures, "--method", "maps", "-o", out)
    assert said.code == 0
    assert {p.name for p in out.iterdir()} == {"index.html", "a-digit-3.png", "a-digit-7.png"}
    with Image.open(out / "a-digit-3.png") as drawn:
        assert drawn.width > 900
    lines = [line for line in said.out.splitlines() if "a digit" in line]
    assert (
        len(lines) == 2
        and "label" in said.out
        and said.out.strip().endswith(f"page     {out / 'index.html'}")
    )
    assert "Feature maps · cnn" in (out / "index.html").read_text()


def test_json_has_the_arrays_and_nothing_is_written(cli, run, pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = cli("explain", run, pictures, "--method", "maps", "--layer", "features.0", "--json")
    assert said.code == 0 and said.err == "" and list(tmp_path.iterdir()) == []
    assert [row["label"] for row in said.json["items"]] == ["3", "7"]
    loaded = hubel.load(run)
    direct = loaded.features(np.stack([loaded.prepared(pictures / "3" / "a digit 3.png")]), "features.0")
    np.testing.assert_allclose(said.json["findings"][0]["arrays"]["features.0"], direct[0], atol=1e-5)
    said = cli("explain", run, pictures, "--method", "maps", "--json", "--out", "kept")
    assert said.json["page"] == "kept/index.html" and (tmp_path / "kept" / "index.html").is_file()


def test_without_a_place_a_new_folder_is_made_each_time(cli, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert cli("explain", run, "--method", "filters").code == 0
    assert {p.name for p in (tmp_path / "explained").iterdir()} == {"cnn-filters", "cnn-filters-2"}


def test_what_is_there_is_never_overwritten(cli, run, tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    said = cli("explain", run, "--method", "filters", "-o", tmp_path)
    assert said.code == 2 and "is not empty" in said.err
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_items_of_the_test_part_are_asked_for_by_number(cli, run):
    test = hubel.load(run).dataset().test
    said = cli("explain", run, "--method", "maps", "--items", "5,0", "--json").json
    assert [row["item"] for row in said["items"]] == [test.items[5], test.items[0]]
    assert [row["label"] for row in said["items"]] == [str(test.targets[5]), str(test.targets[0])]


def test_a_spread_of_the_test_part_has_right_answers_and_mistakes(cli, run):
    one, same, other = (
        cli("explain", run, "--method", "maps", "--layer", "features.0", "--json", "--seed", seed).json[
            "items"
        ]
        for seed in (0, 0, 1)
    )
    right = [row["label"] == row["answer"] for row in one]
    assert right == [True] * 3 + [False] * 3
    assert len({row["label"] for row in one[:3]}) == 3  # of different classes
    assert one == same != other


def test_what_cannot_be_read_is_named_and_the_others_are_shown(cli, run, pictures, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG and then nothing")
    files = (tmp_path / "broken.png", pictures / "3" / "a digit 3.png")
    said = cli("explain", run, *files, "--method", "maps", "-o", tmp_path / "out")
    assert (
        said.code == 0
        and "broken.png is left out" in said.err
        and (tmp_path / "out" / "a-digit-3.png").is_file()
    )
    said = cli("explain", run, files[0], "--method", "maps", "-o", tmp_path / "none")
    assert said.code == 2 and "nothing could be read" in said.err and not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        (("--method", "map"), "no method named 'map'. Did you mean 'maps'? Known: maps, filters"),
        (("--method", "maps", "--layer", "features.99"), "no layer named 'features.99'. Did you mean"),
        (("--method", "maps", "--layer", "classifier"), "not maps; layers with maps: features.0"),
        (("--method", "maps", "--map", "64", "--layer", "features.0"), "0 to 15; there is no 64"),
        (
            ("--method", "maps", "--items", "1,x"),
            "--items takes numbers of items with commas, as 0,5,17, got '1,x'",
        ),
        (("--method", "maps", "--items", "9999"), "--items 9999: the test part has 359 items, 0 to 358"),
        (("--method", "maps", "--items", "1", "."), "one of the two"),
        (
            ("--method", "maps", "--class", "3"),
            "--method maps takes no --class: leave it out, or ask by saliency",
        ),
        (("--method", "saliency", "--map", "3"), "takes no --map: leave it out, or ask by maps, filters"),
        (("--method", "frequency", "--layer", "features.0"), "--method frequency takes no --layer"),
        (("--top", "0"), "--top must be at least 1, got 0"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(cli, run, tmp_path, monkeypatch, asked, complaint):
    monkeypatch.chdir(tmp_path)
    said = cli("explain", run, *asked)
    assert said.code == 2 and complaint in said.err and said.out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_run_of_data_without_a_test_part_wants_pictures_named(cli, tmp_path):
    files = {
        f"{part}/{name}": content for part in ("train", "val") for name, content in zoo("a", "b").items()
    }
    tree(tmp_path / "data", files)
    run = hubel.train(tmp_path / "data", network="conv2x3 relu fc", epochs=0, out=tmp_path / "run").path
    said = cli("explain", run, "--method", "maps")
    assert (said.code, said.out) == (2, "")
    assert f"{tmp_path / 'data'} has no test part: name pictures, or folders of them" in said.err.replace(
        "\n", " "
    )


def test_a_network_without_maps_says_what_can_be_asked(cli, trained, tmp_path):
    said = cli("explain", trained["a"], "--method", "maps", "-o", tmp_path / "out")
    assert said.code == 2 and "no layer with maps" in said.err and "saliency" in said.err
    assert not (tmp_path / "out").exists()


def test_kernels_of_a_dense_layer_are_pictures_too(cli, trained, tmp_path):
    said = cli("explain", trained["a"], "--method", "filters", "-o", tmp_path / "out")
    assert said.code == 0 and "kernels of 1×8×8" in said.out


@pytest.mark.parametrize(
    ("command", "work"),
    [
        (("explain",), "hubel.explanation.methods.function"),
        (("attack", "--items", "0"), "hubel.explanation.attack.findings"),
        (("attack",), "hubel.explanation.robustness.curve"),
        (("dream", "--class", "3"), "hubel.explanation.dream.dream"),
    ],
)
def test_a_folder_that_is_taken_is_told_before_the_work(cli, run, tmp_path, monkeypatch, command, work):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine").write_text("precious")
    monkeypatch.setattr(work, lambda *_, **__: pytest.fail("work whose result has no place"))
    said = cli(command[0], run, *command[1:], "--out", tmp_path / "taken")
    assert said.code == 2 and "not empty: name another --out" in said.err


def test_what_cannot_be_counted_is_said_when_it_begins(cli, run, tmp_path):
    said = cli("explain", run, "--method", "embed", "--out", tmp_path / "out")
    assert said.code == 0
    assert said.err == "placing 359 items by t-SNE, which takes longest and cannot be counted\n"
    assert cli("explain", run, "--method", "embed", "--json").err == ""


def test_a_seed_begins_at_0(cli, run):
    said = cli("explain", run, "--seed", -1)
    assert said.code == 2 and "--seed begins at 0, got -1" in said.err

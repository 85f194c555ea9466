"""`hubel predict`: pictures, folders, standard input, rows of numbers; what cannot be read is named."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from making import png, tar
from needs import data
from sklearn.datasets import load_digits

import hubel


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Ten digits as PNG files that lose nothing, one of each class, in a folder and one below it."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "below").mkdir()
    digits = load_digits()
    for k in range(10):
        pixels = np.round(digits.images[k] * (255 / 16)).astype(np.uint8)
        (folder / ("below" if k > 7 else "") / f"{k}.png").write_bytes(png(pixels))
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden.png").write_bytes(png(pixels))
    return folder


def test_the_answers_are_those_of_the_library(cli, trained, pictures):
    said = cli("predict", trained["a"], pictures / "3.png", "--json", "--top", 10)
    assert said.code == 0 and said.err == "" and said.json["problems"] == []
    (answer,) = said.json["predictions"]
    top = {row["class"]: row["p"] for row in answer["top"]}
    assert set(top) == set("0123456789") and sum(top.values()) == pytest.approx(1, abs=1e-5)
    assert list(top.values()) == sorted(top.values(), reverse=True)
    assert (answer["answer"], answer["p"]) == (answer["top"][0]["class"], answer["top"][0]["p"])
    (direct,) = hubel.load(trained["a"]).predict(str(pictures / "3.png"))
    assert answer["answer"] == direct.answer and answer["p"] == pytest.approx(direct.p)


def test_a_folder_is_looked_through_without_what_is_hidden_or_no_picture(cli, trained, pictures):
    said = cli("predict", trained["a"], pictures, "--json")
    names = [p["item"] for p in said.json["predictions"]]
    assert names == [str(pictures / f"{k}.png") for k in range(8)] + [
        str(pictures / "below" / f"{k}.png") for k in (8, 9)
    ]


def test_the_table_has_a_line_per_picture(cli, trained, pictures):
    said = cli("predict", trained["a"], pictures / "0.png", pictures / "1.png", "--top", 2)
    assert said.code == 0 and said.err == ""
    lines = [line for line in said.out.splitlines() if ".png" in line]
    assert len(lines) == 2 and "answer" in said.out


def long_names(folder, pictures):
    """The same picture under two long names."""
    inside = folder / ("a folder of a name that is longer than most" * 2)
    for name in ("first.png", "below/second.png"):
        (inside / name).parent.mkdir(parents=True, exist_ok=True)
        (inside / name).write_bytes((pictures / "3.png").read_bytes())
    return inside


def test_a_long_folder_is_said_once_above_the_table(cli, trained, pictures, tmp_path):
    inside = long_names(tmp_path, pictures)
    said = cli("predict", trained["a"], inside)
    first, *rows = said.out.splitlines()
    assert first == f"in {inside}/"
    assert [row.split()[0] for row in rows[-3:-1]] == ["below/second.png", "first.png"]
    assert max(map(len, rows)) <= 100 and str(inside) not in "".join(rows)


def test_names_without_a_common_folder_stay_whole_where_they_are_too_long(
    cli, trained, pictures, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    long = long_names(tmp_path, pictures).relative_to(tmp_path) / "first.png"
    for top in (1, 3):
        said = cli("predict", trained["a"], long, pictures / "1.png", "--top", top)
        assert any(f" {long} " in line for line in said.out.splitlines())
        assert any(f" {pictures / '1.png'} " in line for line in said.out.splitlines())


def test_what_comes_next_stands_below_where_it_does_not_fit_beside(cli, trained, pictures, monkeypatch):
    (answer,) = cli("predict", trained["a"], pictures / "3.png", "--json", "--top", 9).json["predictions"]
    said = cli("predict", trained["a"], pictures / "3.png", "--top", 9)
    lines = [line.split() for line in said.out.splitlines()[4:] if line.strip()]
    ranked = [[row["class"], f"{row['p']:.4f}"] for row in answer["top"]]
    assert said.out.startswith(f"in {pictures}/\n")
    assert lines == [["3.png", *ranked[0], *ranked[1]], *ranked[2:]]


def test_what_cannot_be_read_is_named_and_the_others_are_answered(cli, trained, pictures, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG and then nothing")
    files = (tmp_path / "broken.png", pictures / "1.png", tmp_path / "absent.png")
    said = cli("predict", trained["a"], *files)
    assert said.code == 0 and "1.png" in said.out
    assert said.err.splitlines() == [  # each is named once
        f"hubel: {files[0]} is left out: it is no picture, or damaged at its start (read are PNG, JPEG, WEBP, GIF, "
        "BMP, TIFF, PPM)",
        f"hubel: {files[2]} is left out: there is no such file",
    ]
    problems = cli("predict", trained["a"], *files, "--json").json["problems"]
    assert [p["item"] for p in problems] == [str(files[0]), str(files[2])]
    assert problems[1]["reason"] == "there is no such file"


def test_where_nothing_can_be_read_it_fails(cli, trained, tmp_path):
    said = cli("predict", trained["a"], tmp_path / "absent.png")
    assert said.code == 2 and "nothing could be read, so there is no answer" in said.err
    assert cli("predict", trained["a"], tmp_path).code == 2
    assert cli("predict", trained["a"], tmp_path / "absent.png", "--top", 0).code == 2


def test_shards_of_which_nothing_can_be_read_fail_after_naming_each(cli, trained, tmp_path):
    files = {"a.png": b"no picture", "a.cls": b"0", "b.png": b"none either", "b.cls": b"1"}
    said = cli("predict", trained["a"], tar(tmp_path / "x.tar", files))
    lines = said.err.splitlines()
    assert (said.code, said.out) == (2, "") and [line.split(" is left out")[0] for line in lines[:-1]] == [
        "hubel: a",
        "hubel: b",
    ]
    assert lines[-1] == "hubel: nothing could be read, so there is no answer: name other items"


def test_features_of_shards_are_refused_before_anything_is_answered(cli, trained, tmp_path):
    place = tar(tmp_path / "x.tar", {"a.png": png(np.zeros((8, 8))), "a.cls": b"0"})
    said = cli("predict", trained["a"], place, "--features", "layers.1", "-o", tmp_path / "x.npz")
    assert (said.code, said.out) == (
        2,
        "",
    ) and "more than the memory holds: name folders of pictures" in said.err
    assert not (tmp_path / "x.npz").exists()


def test_a_picture_from_standard_input(cli, trained, pictures, monkeypatch):
    content = io.TextIOWrapper(io.BytesIO((pictures / "5.png").read_bytes()))
    monkeypatch.setattr(sys, "stdin", content)
    (piped,) = cli("predict", trained["a"], "-", "--json").json["predictions"]
    (named,) = cli("predict", trained["a"], pictures / "5.png", "--json").json["predictions"]
    assert piped["item"] == "-" and piped["top"] == named["top"]


def test_rows_of_numbers(cli, tmp_path, monkeypatch):
    run = hubel.train("points", network="mlp", epochs=1, out=tmp_path / "run").path
    (tmp_path / "rows.csv").write_text("x,y\n3,1\n2 5\n\n1,8\n")
    said = cli("predict", run, tmp_path / "rows.csv", "--json")
    assert [p["item"].rpartition(":")[2] for p in said.json["predictions"]] == ["2", "3", "5"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("3,1\n"))
    (piped,) = cli("predict", run, "-", "--json").json["predictions"]
    assert piped["top"] == said.json["predictions"][0]["top"]
    (tmp_path / "rows.csv").write_text("3,1\n2,five\n")
    assert (
        "rows.csv, line 2: not a row of numbers: '2,five'" in cli("predict", run, tmp_path / "rows.csv").err
    )
    said = cli("predict", run, tmp_path / "gone.csv")
    assert (
        said.code == 2
        and "gone.csv cannot be read: No such file or directory. This run answers for rows" in said.err
    )
    (tmp_path / "rows.csv").write_bytes(png(np.zeros((2, 2))))
    assert (
        "rows.csv is not text, but this run answers for rows"
        in cli("predict", run, tmp_path / "rows.csv").err
    )


def test_a_model_alone_answers_too(cli, trained, pictures, tmp_path):
    (tmp_path / "model.safetensors").write_bytes((trained["a"] / "model.safetensors").read_bytes())
    alone = cli("predict", tmp_path / "model.safetensors", pictures / "2.png", "--json")
    beside = cli("predict", trained["a"], pictures / "2.png", "--json")
    assert alone.code == 0 and alone.json == beside.json


def test_features_go_to_a_file_with_items_and_answers(cli, trained, pictures, tmp_path):
    out = tmp_path / "x.npz"
    said = cli(
        "predict", trained["a"], pictures / "3.png", pictures / "1.png", "--features", "layers.1", "-o", out
    )
    assert said.code == 0 and f"features {out}: layers.1, 2×" in said.out
    run = hubel.load(trained["a"])
    with np.load(out) as stored:
        assert stored["items"].tolist() == [str(pictures / "3.png"), str(pictures / "1.png")]
        assert stored["features"].dtype == np.float32 and stored["layer"] == "layers.1"
        (first,) = run.predict(str(pictures / "3.png"))
        assert stored["answers"][0] == first.answer and stored["classes"].tolist() == list("0123456789")
        # The weights behind that layer, by hand, give the logits.
        state = run.model.network.state_dict()
        behind = max(name for name in state if name.endswith("weight")).removesuffix("weight")
        assert behind == "layers.3."
        hidden = np.maximum(stored["features"], 0)  # layers.2 is a ReLU
        logits = hidden @ state[f"{behind}weight"].numpy().T + state[f"{behind}bias"].numpy()
        np.testing.assert_allclose(logits, stored["logits"], rtol=1e-4, atol=1e-4)


def test_a_wrong_layer_is_told_the_nearest(cli, trained, pictures, tmp_path):
    said = cli("predict", trained["a"], pictures / "3.png", "--features", "layer.1", "-o", tmp_path / "x.npz")
    assert said.code == 2 and "no layer named 'layer.1'. Did you mean 'layers.1'?" in said.err
    assert not (tmp_path / "x.npz").exists()
    alone = cli("predict", trained["a"], pictures / "3.png", "--features", "layers.1")
    assert alone.code == 2 and "--features LAYER and --out FILE.npz go together" in alone.err


def test_a_networks_name_with_public_weights_answers(cli):
    data("weights")
    photo = data("photos") / "coffee.png"
    said = cli("predict", "mobilenet-v1", photo, "--weights", "mobilenet_v1_0.25_128", "--json")
    (found,) = said.json["predictions"]
    # As the archive's README has it.
    assert [row["class"] for row in found["top"]] == ["espresso", "consomme", "soup bowl"]
    without = cli("predict", "mobilenet-v1", photo)
    assert without.code == 2 and "mobilenet-v1 is a network, and its weights are not said" in without.err


def test_weights_without_a_last_layer_give_features_only(cli, tmp_path):
    data("weights")
    command = (
        "predict",
        "squeezenet1_1",
        data("photos") / "coffee.png",
        "--weights",
        "squeezenet1_1_features",
    )
    said = cli(*command)
    assert said.code == 2 and "are without their last layer, so there is no answer" in said.err
    said = cli(*command, "--features", "features.12.cat", "-o", tmp_path / "x.npz")
    assert said.code == 0 and "answer" not in said.out
    with np.load(tmp_path / "x.npz") as stored:
        assert stored["features"].shape == (1, 512, 13, 13) and set(stored) == {"features", "items", "layer"}


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_the_device_is_the_users_to_choose(cli, trained, pictures, command, monkeypatch):
    words = (command, trained["a"], *([pictures / "3.png"] if command == "predict" else []), "--json")
    said = cli(*words, "--device", "abacus")
    assert said.code == 2 and "the device 'abacus' cannot be used here" in said.err
    assert cli(*words, "--device", "cpu").json == cli(*words).json
    asked = []
    monkeypatch.setattr("hubel.run.choose_device", lambda name: asked.append(name) or "cpu")
    cli(*words)
    cli(*words, "--device", "cuda:1")
    assert asked == ["auto", "cuda:1"]

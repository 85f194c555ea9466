"""One cell of a trained network, from its sum back to its pixels; held against the network itself in PyTorch."""

from __future__ import annotations

import shlex

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

import hubel
from hubel.cli.walk import EXAMPLES
from hubel.cli.walk.network import _cell, _suggested
from hubel.definitions import Tape, variance
from hubel.replay import replay
from hubel.replay.cells import cell, receptive
from hubel.run import load


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A LeNet and a network with batch norm that also answers for the mirror image, both hardly trained."""
    root = tmp_path_factory.mktemp("walked")
    hubel.train("digits", network="lenet5", out=root / "lenet", epochs=1, precision="fp32")
    hubel.train(
        "digits", network="fast-digits", out=root / "mirrored", epochs=1, precision="fp32", mirror=True
    )
    hubel.train("points", network="mlp", out=root / "points", epochs=1, precision="fp32")
    Image.fromarray((load_digits().images[3] * 15).astype(np.uint8)).save(root / "digit.png")
    return root


def layer_values(run, path, picture):
    """What PyTorch gives in the layer at `path`."""
    seen = []
    handle = run.model.network.get_submodule(path).register_forward_hook(lambda *a: seen.append(a[2]))
    try:
        with torch.inference_mode():
            run.model(torch.from_numpy(run.pixels(picture)))
    finally:
        handle.remove()
    return seen[0].numpy()


@pytest.mark.parametrize(
    ("layer", "index"),
    [
        ("features.3", (4, 5, 7)),
        ("features.5", (2, 4, 1)),
        ("features.1", (5, 0, 27)),
        ("classifier.1", (60,)),
    ],
)
def test_the_cell_is_that_of_the_network(cli, runs, layer, index):
    picture = runs / "digit.png"
    where = ["--map", index[0], "--at", f"{index[1]},{index[2]}"] if len(index) == 3 else ["--at", index[0]]
    said = cli("walk", runs / "lenet", picture, "--layer", layer, *where, "--json").json
    torch_value = layer_values(load(runs / "lenet"), layer, picture)[(0, *index)]
    assert said["cell"]["index"] == [0, *index]
    assert said["cell"]["value"] == pytest.approx(torch_value, abs=1e-5)
    assert said["cell"]["computed"] == pytest.approx(torch_value, abs=1e-5)
    assert said["answer"] in "0123456789" and said["chosen"] == "as asked"


def test_the_way_back_ends_at_the_pixels_that_the_cell_sees(cli, runs):
    said = cli(
        "walk", runs / "lenet", runs / "digit.png", "--layer", "features.3", "--map", "4", "--at", "5,7"
    )
    # a 5x5 window at (5, 7) of the halved maps: rows 10 to 19; under a 5x5 kernel: 10 to 23, and 14 to 27 along columns
    assert "It sees rows 10 to 23 and columns 14 to 27 of the picture" in said.out
    steps = cli(
        "walk", runs / "lenet", runs / "digit.png", "--layer", "features.3", "--at", "5,7", "--json"
    ).json["receptive"]["steps"]
    assert steps[0]["layer"] == "features.3" and steps[-1] == {
        "layer": "input", "operation": "", "box": [[0, 0], [0, 0], [10, 23], [14, 27]], "count": 14 * 14,
    }  # fmt: skip


def test_the_window_the_kernel_and_the_sum_are_printed(cli, runs):
    said = cli(
        "walk", runs / "lenet", runs / "digit.png", "--layer", "features.0", "--map", "2", "--at", "14,14"
    ).out
    run = load(runs / "lenet")
    kernel = run.model.network.get_submodule("features.0").weight[2, 0].detach().numpy()
    bias = float(run.model.network.get_submodule("features.0").bias[2].detach())
    for weight in kernel[3]:
        assert any(abs(float(number) - weight) < 1e-3 for number in _numbers(said))
    assert f"{bias:.6g} (bias)".removeprefix("-") in said and "the 25 products sum to" in said


def _numbers(text):
    for word in text.split():
        try:
            yield float(word)
        except ValueError:
            continue


@pytest.mark.parametrize("width", [60, 80, 120])
def test_every_product_is_shown_however_narrow_the_terminal(cli, runs, monkeypatch, width):
    typed = ("walk", "lenet", "digit.png", "--layer", "features.3", "--map", "4", "--at", "5,7")
    monkeypatch.chdir(runs)
    monkeypatch.setenv("COLUMNS", str(width))
    for more, channels in (((), 3), (("--all",), 6)):
        said = cli(*typed, *more).out
        window, grids = cli(*typed, "--json").json["cell"], said.split("The way back")[0]
        assert grids.count("products\n") == channels and max(map(len, said.split("\n"))) <= width
        written = set(_numbers(grids))
        order = np.argsort(-np.abs(np.sum(window["products"], (1, 2))))[:channels]
        for product in np.array(window["products"])[order].ravel():
            assert any(abs(n - product) < 1e-3 for n in written), product
    assert "-0.0000 " not in said


@pytest.mark.parametrize("width", [60, 80, 120])
def test_names_of_layers_are_never_broken(cli, runs, monkeypatch, width):
    monkeypatch.chdir(runs)
    monkeypatch.setenv("COLUMNS", str(width))
    said = cli("walk", "mirrored", "digit.png").out
    names = [row["layer"] for row in cli("walk", "mirrored", "digit.png", "--json").json["layers"]]
    lines = said.split("\n")
    assert [n for n in names if not any(line.startswith(f" {n} ") for line in lines)] == []
    assert max(map(len, lines)) <= width and ("batch_norm_inference " in said or "No room for" in said)


def test_of_columns_without_room_the_spare_ones_are_left_out_and_named(cli, monkeypatch, capsys):
    from hubel.cli.walk import draw

    rows = [("blocks.11.attn.scaled_dot_product_attention", "attention", "3×65×64", "2")]
    wide = 1 + sum(3 + n for n in (43, 9, 7, 5))
    for width, left in ((wide, ""), (wide - 1, "c"), (wide - 9, "c, b"), (50, "c, b")):
        monkeypatch.setenv("COLUMNS", str(width))
        draw.table(["layer", "b", "shape", "c"], [(*rows[0][:3], "22222")], right="", spare=["c", "b"])
        said = capsys.readouterr().out
        assert rows[0][0] in said and (f"No room for {left};" in said if left else "No room" not in said)


def test_the_cell_that_is_suggested_can_be_walked(cli, runs):
    for run, item in (("lenet", "digit.png"), ("mirrored", "digit.png"), ("points", "0.3 0.2")):
        item = runs / item if item.endswith("png") else item
        line = cli("walk", runs / run, item).out.rstrip().split("\n")[-1]
        said = cli("walk", runs / run, item, *line.removeprefix("One of them: ").split(), "--json").json
        assert said["cell"]["products"], line
    assert _suggested([{"layer": "a", "shape": [1, 3, 4], "shown_as": "as given"}]) == "--layer a --at 0,0"


def test_what_a_cell_was_read_from_is_written_as_cells_are_asked_for(cli, runs):
    typed = ("walk", runs / "lenet", runs / "digit.png", "--layer")
    # number 152 of the 16 maps of 5×5: 152 = 6 * 25 + 0 * 5 + 2
    assert "y = features.5[6,0,2] = " in cli(*typed, "classifier.0", "--at", "152").out
    assert "input[0,3,3] = " in (said := cli(*typed, "input", "--map", "0", "--at", "3,3").out)
    assert "   1×32×32\n" in said
    listed = cli("walk", *typed[1:3]).out
    assert "two numbers in" in listed and "moved" in listed


def test_a_negative_row_of_numbers_is_no_option(cli, runs):
    assert cli("walk", runs / "points", "-0.3 0.2").code == 0


def test_without_a_layer_the_layers_are_listed(cli, runs):
    said = cli("walk", runs / "lenet", runs / "digit.png")
    assert (
        said.code == 0 and " features.3     conv2d       16×10×10 " in said.out and "window, sum" in said.out
    )
    listed = cli("walk", runs / "lenet", runs / "digit.png", "--json").json["layers"]
    strongest = next(x for x in listed if x["layer"] == "features.3")
    values = layer_values(load(runs / "lenet"), "features.3", runs / "digit.png")
    assert abs(strongest["value"]) == pytest.approx(np.abs(values).max(), abs=1e-5)
    assert tuple(strongest["strongest"]) == np.unravel_index(np.abs(values).argmax(), values.shape)


def test_without_a_place_the_strongest_is_taken_and_said(cli, runs):
    values = np.abs(layer_values(load(runs / "lenet"), "features.3", runs / "digit.png")[0])
    best = np.unravel_index(values[7].argmax(), values[7].shape)
    said = cli("walk", runs / "lenet", runs / "digit.png", "--layer", "features.3", "--map", "7").out
    assert f"features.3[7,{best[0]},{best[1]}] = " in said and "the strongest in the map" in said
    best = values[:, 2, 3].argmax()
    said = cli("walk", runs / "lenet", runs / "digit.png", "--layer", "features.3", "--at", "2,3").out
    assert f"features.3[{best},2,3] = " in said and "the strongest at this place" in said


@pytest.mark.parametrize(
    ("name", "item"), [("lenet", "digit.png"), ("mirrored", "digit.png"), ("points", [0.3, 0.2])]
)
def test_the_working_of_every_layer_comes_to_its_value(runs, name, item):
    found = replay(load(runs / name), runs / item if isinstance(item, str) else item)
    assert len(found.layers) > 4
    for layer, node in found.layers.items():
        index = np.unravel_index(np.abs(node.value).argmax(), node.value.shape)
        made = cell(node, index)
        assert made.computed == pytest.approx(made.value, rel=1e-4, abs=1e-5), layer
        assert receptive(node, index, found.input).steps[-1].node is found.input


def test_every_layer_can_be_walked(cli, runs):
    run = load(runs / "mirrored")
    for layer in [n for n in replay(run, runs / "digit.png").layers if not n.endswith("#2")]:
        said = cli("walk", runs / "mirrored", runs / "digit.png", "--layer", layer)
        assert (said.code, said.err) == (0, "") and f"\n{layer}[" in said.out, layer


def test_an_operation_without_a_rule_shows_its_steepest_numbers(capsys):
    """By 3, 7 and 8 the slope of the variance is 2/3 (a - 6): -2, 2/3 and 4/3; an item's axis is that of a parameter, too."""
    tape = Tape()
    a = tape.leaf(np.array([[3.0, 7.0, 8.0]]), "a")
    node = tape.apply(variance, a, axes=(1,), name="spread")
    _cell(cell(node, (0,)), node, "spread", "", False)
    said = capsys.readouterr().out
    assert "spread[] = 4.66667 " in said and "a, 3 numbers; the steepest:" in said
    assert "  [0,0] 3   slope -2\n" in said and "  [0,2] 8   slope 1.33333\n" in said


def test_an_item_of_the_runs_own_validation_part(cli, runs):
    said = cli("walk", runs / "points", "--item", "3", "--layer", "layers.1", "--at", "0", "--json").json
    run = load(runs / "points")
    x, first = run.dataset().val.inputs[3], run.model.network.get_submodule("layers.1")
    assert said["item"] == "item 3 of val"
    assert said["cell"]["value"] == pytest.approx(
        float(first(torch.tensor(np.asarray(x))[None])[0, 0].detach()), abs=1e-5
    )


def test_the_examples_of_the_help_are_understood(cli, runs, monkeypatch):
    monkeypatch.chdir(runs)
    for example in EXAMPLES["network"]:
        typed = example.replace("runs/digits-1", "lenet").replace("photo.png", "digit.png")
        assert cli("walk", *shlex.split(typed)).code == 0, example


WRONG = {
    "lenet digit.png --layer features.33": "no layer named 'features.33'. Did you mean 'features.3'?",
    "lenet digit.png --layer features.3 --map 16": "--map is from 0 to 15 in features.3, got 16",
    "lenet digit.png --layer features.3 --at 10,0": "--at 10,0 is outside of features.3, which is 10×10",
    "lenet digit.png --layer features.3 --at 3": "--at takes 2 whole numbers parted by commas, got '3'",
    "lenet digit.png --layer classifier.1 --map 3": "classifier.1 has no maps, its output is 120",
    "lenet digit.png --at 1,1": "--map and --at need a --layer",
    "lenet": "name a picture, or an item of the run's own data with --item N",
    "lenet digit.png --item 3": "not both",
    "lenet --item 100000": "--item is from 0 to ",
    "lenet .": ". is a folder, not a picture; name a file in it",
    "lenet nope.png": "nope.png: there is no such file",
    "no/run digit.png": "no run at no/run: ",
    "lennet digit.png": "no walk named 'lennet'.",
    "points 1,2,3": "the row has 3 numbers, the network expects 2",
    "points a,b": "the row: 'a' is no number",
}


@pytest.mark.parametrize("typed", WRONG)
def test_what_is_wrong_is_said(cli, runs, monkeypatch, typed):
    monkeypatch.chdir(runs)
    said = cli("walk", *typed.split())
    assert (said.code, said.out) == (2, "") and WRONG[typed] in said.err and said.err.count("\n") == 1

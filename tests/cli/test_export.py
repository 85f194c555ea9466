"""`hubel export`, and `hubel predict` with what it wrote: the same answers, from a process without PyTorch."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from making import png
from needs import data

import hubel
from hubel.export import TOLERANCE, export


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    """A seven, or nearly: larger than the network's pictures, not square, and in colour."""
    pixels = np.zeros((40, 30, 3), np.uint8)
    pixels[4:9, 5:25] = pixels[4:36, 20:25] = (250, 200, 255)
    file = tmp_path_factory.mktemp("pictures") / "seven.png"
    file.write_bytes(png(pixels))
    return file


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """The file of run a."""
    file = tmp_path_factory.mktemp("exported") / "model.onnx"
    export(hubel.load(trained["a"]), file)
    return file


def test_it_tells_what_it_wrote(cli, trained, tmp_path):
    out = tmp_path / "model.onnx"
    said = cli("export", trained["a"], "-o", out)
    assert said.code == 0 and said.err == "" and out.is_file()
    lines = said.out.splitlines()
    assert lines[0].startswith(f"file     {out}: 0.") and lines[0].endswith("MB, operator set 17")
    assert lines[1] == "gives    pixels N×1×8×8 (float32, in 0 to 1)  ->  logits N×10"
    assert lines[2].startswith("checked  ONNX Runtime's logits are PyTorch's up to ")
    assert lines[3] == "         on test pictures of digits, one by one and as a batch"
    assert lines[-1] == f"Try next: hubel predict {out} PICTURES…"


def test_for_programs(cli, trained, tmp_path):
    said = cli("export", trained["a"], "-o", tmp_path / "m.onnx", "--opset", 20, "--json")
    assert said.code == 0 and said.err == ""
    assert said.json["opset"] == 20 and said.json["bytes"] == (tmp_path / "m.onnx").stat().st_size
    assert 0 <= said.json["difference"] <= TOLERANCE * said.json["largest"]


def test_a_file_that_is_there_stays(cli, trained, exported):
    before = exported.read_bytes()
    said = cli("export", trained["b"], "-o", exported)
    assert said.code == 2 and f"{exported} exists: name another file with -o" in said.err
    assert exported.read_bytes() == before


def test_a_file_gives_the_runs_table_and_json(cli, trained, exported, picture):
    by_run, by_file = (cli("predict", run, picture, "--top", 4) for run in (trained["a"], exported))
    assert by_file.code == 0 and by_file.err == "" and by_file.out == by_run.out
    by_run, by_file = (cli("predict", run, picture, "--json").json for run in (trained["a"], exported))
    (mine,), (its,) = by_file["predictions"], by_run["predictions"]
    assert [row["class"] for row in mine["top"]] == [row["class"] for row in its["top"]]
    assert [row["p"] for row in mine["top"]] == pytest.approx([row["p"] for row in its["top"]], abs=1e-5)


def test_a_file_answers_without_pytorch(exported, picture):
    code = f"import sys; sys.argv = ['hubel', 'predict', {str(exported)!r}, {str(picture)!r}]\n"
    code += "from hubel.cli.main import main; main(); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "seven.png" in done.stdout


def test_what_a_file_has_not_is_told(cli, exported, picture, tmp_path):
    said = cli("predict", exported, picture, "--features", "layers.1", "-o", tmp_path / "x.npz")
    assert (
        said.code == 2 and "is an ONNX file, which has its weights inside and gives no features" in said.err
    )
    said = cli("predict", exported, picture, "--weights", "w.npz")
    assert said.code == 2 and "leave out --weights and --features" in said.err
    said = cli("predict", exported, picture, "--device", "cuda")
    assert said.code == 2 and "is computed on the processor: leave out --device cuda" in said.err
    (tmp_path / "damaged.onnx").write_bytes(exported.read_bytes()[:3000])
    said = cli("predict", tmp_path / "damaged.onnx", picture)
    assert said.code == 3 and "it is no ONNX file, or damaged" in said.err
    said = cli("evaluate", exported)
    assert said.code == 2 and "name the run that it was exported from" in said.err


def test_rows_of_numbers(cli, tmp_path):
    run = hubel.train("points", network="mlp", epochs=1, out=tmp_path / "run").path
    said = cli("export", run, "-o", tmp_path / "m.onnx")
    assert "gives    numbers N×2 (float32)" in said.out and said.out.endswith("m.onnx ROWS.csv\n")
    (tmp_path / "rows.csv").write_text("x,y\n3,1\n2 5\n")
    by_run, by_file = (cli("predict", place, tmp_path / "rows.csv") for place in (run, tmp_path / "m.onnx"))
    assert by_file.code == 0 and by_file.out == by_run.out


def test_a_networks_name_with_public_weights(cli, tmp_path):
    data("weights")
    out = tmp_path / "m.onnx"
    said = cli("export", "mobilenet-v1", "--weights", "mobilenet_v1_0.25_128", "-o", out)
    assert said.code == 0 and "batch (public weights come without data)" in said.out
    said = cli("predict", out, data("photos") / "coffee.png", "--json")
    # As the archive's README has it.
    assert [row["class"] for row in said.json["predictions"][0]["top"]] == [
        "espresso",
        "consomme",
        "soup bowl",
    ]
    said = cli("export", "squeezenet1_1", "--weights", "squeezenet1_1_features", "-o", tmp_path / "s.onnx")
    assert said.code == 2 and "without their last layer" in said.err

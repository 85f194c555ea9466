"""Two thousand classes, from folders of pictures to a report, by the commands that people use."""

import csv
import json

import numpy as np
import pytest
from making import png, tree

K, EACH, SIDE = 2000, 5, 16
NAMES = [f"species {k:04d}" for k in range(K)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder for each class, in it five pictures of one pattern under noise."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 256, (K, SIDE, SIDE, 1))
    noise = rng.normal(0, 10, (EACH, K, SIDE, SIDE, 1))
    pixels = np.clip(patterns + noise, 0, 255).astype(np.uint8).repeat(3, 4)
    files = {f"{NAMES[k]}/{n}.png": png(pixels[n, k]) for k in range(K) for n in range(EACH)}
    return tree(tmp_path_factory.mktemp("species"), files)


@pytest.mark.parametrize("loss", ["cross-entropy", pytest.param("bce", marks=pytest.mark.slow)])
def test_two_thousand_classes_are_learnt_and_reported(cli, folder, tmp_path, loss):
    run = tmp_path / "run"
    settings = ("--network", "mlp", "--hidden", "256", "--optimizer", "adam", "--lr", "3e-3", "--epochs", "8")
    said = cli("train", folder, *settings, "--batch", "64", "--loss", loss, "--balance", "--out", run)
    assert said.code == 0, said.err
    assert "2,000 classes" in said.out + said.err

    with (run / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    right = np.mean([row["label"] == row["answer"] for row in rows])
    assert len(rows) == K and {row["label"] for row in rows} == set(NAMES)  # one of five of each is test
    assert right > 0.5  # by chance 0.0005

    html = (run / "report.html").read_text("utf-8")
    data = json.loads(html.split('<script type="application/json" id="data">')[1].split("</script>")[0])
    assert data["classes"] == NAMES and data["matrix"] is False
    assert sum(cell[2] for cell in data["cells"]) == round((1 - right) * K)
    assert not (run / "probabilities.npy").exists() and len(html) < 5e6


def test_the_listing_counts_classes_instead_of_naming_each(cli, folder):
    said = cli("data", folder)
    assert "2,000 classes" in said.out and len(said.out.splitlines()) < 25

"""`hubel fewshot`: classes that the run has never seen, from a folder of examples."""

from __future__ import annotations

import numpy as np
import pytest
from making import png
from sklearn.datasets import load_digits

import hubel


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A run that knows the digits 0 to 4, two examples each of 6, 7 and 9, and three pictures to be told apart."""
    folder = tmp_path_factory.mktemp("places")
    digits = load_digits()
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)
    known = digits.target < 5
    np.savez(folder / "known.npz", x=pixels[known], y=digits.target[known])
    for k in (6, 7, 9):
        first = np.flatnonzero(digits.target == k)[:3]
        (folder / "examples" / f"nr{k}").mkdir(parents=True)
        for n in first[:2]:
            (folder / "examples" / f"nr{k}" / f"{n}.png").write_bytes(png(pixels[n]))
        (folder / "asked").mkdir(exist_ok=True)
        (folder / "asked" / f"{k}.png").write_bytes(png(pixels[first[2]]))
    run = hubel.train(folder / "known.npz", network="mlp", epochs=15, out=folder / "run")
    return run.path, folder / "examples", folder / "asked"


def test_new_classes_are_told_apart(cli, places):
    run, examples, asked = places
    said = cli("fewshot", run, examples, asked, "--json")
    assert said.code == 0 and said.json["examples"] == {"nr6": 2, "nr7": 2, "nr9": 2}
    assert [p["answer"] for p in said.json["predictions"]] == ["nr6", "nr7", "nr9"]
    for p in said.json["predictions"]:
        distances = [t["distance"] for t in p["top"]]
        assert distances == sorted(distances) and p["distance"] == distances[0] and len(distances) == 3
    table = cli("fewshot", run, examples, asked, "--top", 2)
    assert table.code == 0 and "examples: nr6 2, nr7 2, nr9 2" in table.out and table.out.count("nr9") >= 3


def test_another_layer_gives_other_distances(cli, places):
    run, examples, asked = places
    usual, other = (
        cli("fewshot", run, examples, asked, "--json", *more).json["predictions"][0]["distance"]
        for more in ((), ("--layer", "layers.1"))
    )
    assert usual != other
    said = cli("fewshot", run, examples, asked, "--layer", "layer.1")
    assert said.code == 2 and "Did you mean 'layers.1'?" in said.err


def test_what_cannot_be_read_is_named(cli, places, tmp_path):
    run, examples, asked = places
    said = cli("fewshot", run, examples, asked / "6.png", tmp_path / "absent.png")
    assert said.code == 0 and "absent.png is left out: there is no such file" in said.err
    said = cli("fewshot", run, examples, tmp_path / "absent.png")
    assert said.code == 2 and "absent.png is left out" in said.err
    assert said.err.endswith("hubel: nothing could be read, so there is no answer: name other items\n")


def test_episodes_are_measured(cli, places):
    run, *_ = places
    command = ("fewshot", run, "digits", "--episodes", 40, "--ways", 4, "--shots", 5)
    said = cli(*command)
    assert said.code == 0 and said.out.startswith("4-way 5-shot: ") and "40 episodes, chance 25 %" in said.out
    found = cli(*command, "--json").json
    assert (
        found["accuracy"] > 0.6
        and f"{100 * found['accuracy']:.2f} ± {100 * found['interval']:.2f} %" in said.out
    )


def test_queries_or_episodes_and_not_both(cli, places):
    run, examples, asked = places
    for command in ((run, examples), (run, examples, asked, "--episodes", 10)):
        said = cli("fewshot", *command)
        assert said.code == 2 and "one of the two" in said.err

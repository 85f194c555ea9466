"""Public weights on the command line beside `predict`: described, and told when a training begins with them."""

from __future__ import annotations

import numpy as np
from needs import data


def test_public_weights_are_described_as_their_publisher_built_the_network(cli):
    data("weights")
    said = cli("describe", "mobilenet-v1", "--weights", "mobilenet_v1_0.25_128")
    assert said.code == 0 and "norm=False, width=0.25" in said.out and "Apache-2.0" in said.out
    assert "loaded   56 tensors" in said.out and "background, tench" in said.out
    found = cli("describe", "mobilenet-v1", "--weights", "mobilenet_v1_0.25_128", "--json").json
    assert found["input"] == [3, 128, 128] and found["parameters"] == 467_593  # as the archive's README says
    other = cli("describe", "mobilenet-v2", "--weights", "mobilenet_v1_0.25_128")
    assert other.code == 2 and "are of mobilenet-v1, not of mobilenet-v2" in other.err


def test_what_became_of_the_weights_is_told_before_training_begins(cli, tmp_path):
    data("weights")
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "x.npz", x=rng.integers(0, 256, (30, 9, 9, 3), np.uint8), y=np.arange(30) % 3)
    command = ("train", tmp_path / "x.npz", "--weights", "mobilenet_v1_0.25_128", "--input", "32x32")
    frozen = ("--freeze", "backbone", "--epochs", 2, "--no-evaluate", "--out", tmp_path / "run")
    said = cli(*command, *frozen)
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    (loaded, fresh) = (line for line in lines if line.startswith("weights  "))
    assert "54 tensors loaded, 54 of them under other names" in loaded and "begins fresh" in fresh
    # The last layer has 256 features and 3 classes: 256 * 3 + 3.
    (what,) = (line for line in lines if line.startswith("frozen   "))
    assert "771 parameters learn; what it makes of each item is computed once" in what
    said = cli("train", tmp_path / "x.npz", "--from", tmp_path / "run", "--freeze", 3, "--unfreeze-at", 2, *frozen[2:4],
               "--no-evaluate", "--out", tmp_path / "more")  # fmt: skip
    assert said.code == 0, said.err
    assert "the last layer goes on: the same 3 classes" in said.out
    assert "the first 3 layers with parameters until epoch 2" in said.out


def test_weights_without_their_last_layer_are_asked_for_their_maps(cli, tmp_path):
    photo = data("photos") / "chelsea.png"
    command = ("explain", "squeezenet1_1", photo, "--weights", "squeezenet1_1_features")
    said = cli(*command, "--out", tmp_path / "maps")  # no answer, so no evidence for one
    assert said.code == 0 and "Dead maps" in said.out, said.err
    refused = cli(*command, "--method", "saliency", "--out", tmp_path / "none")
    assert refused.code == 2 and "ask by --method maps, filters, embed, frequency" in refused.err
    assert not (tmp_path / "none").exists()

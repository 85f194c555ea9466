"""`hubel verify`: the table, its summary, and what a disagreement becomes."""

from __future__ import annotations

import re

import pytest

from hubel.cli.verify import _names
from hubel.definitions import convolution, pooling
from hubel.verification import known
from hubel.verification.cases import CASES


def lines(said):
    return [line.rstrip() for line in said.out.splitlines()]


def test_operations_and_networks_stand_under_their_files(cli):
    said = cli("verify", "lenet5", "tanh", "conv2d", "relu")
    assert (said.code, said.err) == (0, "")
    found = lines(said)
    assert [line.split()[0] for line in found if line] == [
        "float64", "operation", "─" * 80, "activations", "tanh", "relu", "convolution", "conv2d", "networks", "lenet5",
        "3", "largest",
    ]  # fmt: skip
    conv2d = next(line for line in found if line.startswith("conv2d"))
    assert re.fullmatch(rf"conv2d +{len(CASES['conv2d'])}( +\de-1\d){{2}}( +\de-\d){{2}}  ✓", conv2d)
    count = 2 + sum(len(CASES[n]) for n in ("tanh", "relu", "conv2d"))
    assert f"3 operations and 1 network, {count} cases: all within tolerance" in found
    assert re.fullmatch(r"largest error \de-1\d in float64 \(\S+\), \de-\d in float32 \(\S+\)", found[-1])


def test_tolerances_stand_where_they_begin_to_hold(cli):
    found = lines(cli("verify", "tanh", "conv2d", "lenet5"))
    (activations, convolution_, networks) = (
        next(line for line in found if line.startswith(name))
        for name in ("activations", "convolution", "networks")
    )
    assert activations.split("≤ ")[1:] == ["1e-10   ", "1e-10   ", "1e-5    ", "1e-5"]
    assert convolution_ == "convolution"  # the same, and not said again
    assert re.sub(" +", " ", networks) == "networks ≤ 1e-8 ≤ 1e-8 ≤ 1e-4 –"


@pytest.mark.parametrize("columns", [80, 120])
def test_the_table_fits_with_the_longest_names(cli, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    said = cli("verify", "binary_cross_entropy_with_logits", "scaled_dot_product_attention", "adam")
    assert max(map(len, said.out.splitlines()[:-2])) == 80
    assert "binary_cross_entropy_with_logits  " in said.out
    assert max(map(len, known())) <= 32


def test_what_has_no_backward_has_a_dash(cli):
    adam = next(line for line in lines(cli("verify", "adam")) if line.startswith("adam"))
    assert re.fullmatch(r"adam +2 +\de-1\d +– +\de-\d +–  ✓", adam)


def test_without_networks_there_are_none(cli):
    said = cli("verify", "--no-networks", "--json")
    assert [row["name"] for row in said.json["rows"]] == list(CASES)


def test_json_says_what_the_table_says(cli):
    said = cli("verify", "relu", "mlp", "--json", "--seed", "7")
    assert said.code == 0 and said.json["ok"] is True and said.json["seed"] == 7 and said.json["torch"]
    relu, mlp = said.json["rows"]
    assert (relu["name"], relu["module"], relu["cases"]) == ("relu", "activations", len(CASES["relu"]))
    assert relu["errors"]["float64"] == {"forward": 0, "backward": 0} and relu["ok"] and relu["wrong"] == ""
    assert mlp["module"] == "networks" and mlp["within"]["float32"] == {"forward": 1e-4, "backward": None}


@pytest.fixture
def broken(monkeypatch):
    """Two mistakes: a gradient that is twice what it is, and a maximum that raises."""
    right = convolution.conv1d_backward

    def doubled(*arrays, **settings):
        dx, dw, db = right(*arrays, **settings)
        return dx, 2 * dw, db

    monkeypatch.setattr(convolution, "conv1d_backward", doubled)

    def raising(*_, **__):
        raise IndexError("no axis 7")

    monkeypatch.setattr(pooling, "max_pool2d", raising)


def test_a_disagreement_is_our_bug_and_is_named_first(cli, broken):
    said = cli("verify", "relu", "max_pool2d", "conv1d")
    assert said.code == 1
    found = {line.split()[0]: line for line in lines(said) if line}
    assert found["relu"].endswith("✓") and found["conv1d"].endswith("✗") and found["max_pool2d"].endswith("✗")
    assert found["conv1d"].split()[3] == found["conv1d"].split()[5] == "1"  # of dw, by its own size
    assert found["max_pool2d"].count("∞") == 4 and "within tolerance" not in said.out
    # dw is twice what it is: off by as much as its largest number
    assert said.err.startswith(
        "hubel: conv1d: case 'plain' in float64: dw is off by 1, of which 1e-10 is allowed. "
        "2 of 3 are beyond their tolerance with PyTorch "
    )
    assert (
        "Also beyond: max_pool2d." in said.err and "`hubel verify conv1d --seed 0` shows it again" in said.err
    )
    assert said.err.count("\n") == 1 and "Traceback" not in said.err


def test_a_disagreement_in_json_says_so_and_exits_alike(cli, broken):
    said = cli("verify", "conv1d", "max_pool2d", "--json")
    assert said.code == 1 and said.json["ok"] is False and "conv1d: case 'plain'" in said.err
    conv1d, pool = said.json["rows"]
    assert (conv1d["ok"], pool["ok"]) == (False, False)
    assert (
        pool["errors"]["float64"]["forward"] is None and "IndexError is raised" in pool["wrong"]
    )  # infinite


def test_a_seed_below_nought_is_told(cli):
    said = cli("verify", "relu", "--seed", "-1")
    assert (said.code, said.out, said.err) == (2, "", "hubel: --seed must be at least 0, got -1\n")


def test_names_are_completed():
    assert _names("conv2") == ["conv2d"] and _names("lenet-") == ["lenet-keras", "lenet-tf"]
    assert set(_names("")) <= set(known()) and "adamw" in _names("")

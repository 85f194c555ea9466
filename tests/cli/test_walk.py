"""The terminal classroom: the lectures' worked numbers as they are printed, and the same numbers in JSON."""

from __future__ import annotations

import io
import math
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from hubel import definitions

PICTURE, KERNEL = "1 2 3 0; 0 1 2 3; 3 0 1 2; 2 3 0 1", "2 0 1; 0 1 2; 1 0 2"
BINARY, CROSS = "1 1 1 0 0; 0 1 1 1 0; 0 0 1 1 1; 0 0 1 1 0; 0 1 1 0 0", "1 0 1; 0 1 0; 1 0 1"
FLIPPED = "1 1 1 1 1; -1 0 -3 0 1; 2 1 1 -1 0; 0 -1 1 2 1; 1 2 1 1 1"
POOLED = "1 2 1 0; 0 1 2 3; 3 0 1 2; 2 4 0 1"
# What is typed after `hubel walk` -> the output, and lines that must be printed as they stand. LECTURES, section 1.
LECTURES = {
    ("conv1d", "-i", "1 2 3 0 1 0", "-k", "1 2 1", "--padding", "full"): (
        [1, 4, 8, 8, 4, 2, 1, 0], ["y[2] = 1*1 + 2*2 + 1*3 = 8", "cells  floor((6 + 2*2 - 3) / 1) + 1 = 8"],
    ),
    ("conv1d", "-i", "1 2 3 0 1 0", "-k", "1 2 1", "--padding", "same"): (
        [4, 8, 8, 4, 2, 1], ["y[0] = 1*· + 2*1 + 1*2 = 4"],
    ),
    ("conv1d", "-i", "1 2 3 0 1 0", "-k", "1 2 1", "--padding", "valid"): ([8, 8, 4, 2], ["8 8 4 2"]),
    ("convolve1d", "-i", "1 0 0 0", "-k", "1 1/2 1/4", "--padding", "full"): (
        [1, 0.5, 0.25, 0, 0, 0], ["y[2] = 0.25*1 + 0.5*0 + 1*0 = 0.25"],  # an echo that decays
    ),
    ("conv2d", "-i", PICTURE, "-k", KERNEL): (
        [[15, 16], [6, 15]], ["y[0,1] = 2*2 + 0*3 + 1*0 + 0*1 + 1*2 + 2*3 + 1*0 + 0*1 + 2*2 = 16"],
    ),
    ("conv2d", "-i", PICTURE, "-k", KERNEL, "--padding", "1"): (
        [[7, 12, 10, 2], [4, 15, 16, 10], [10, 6, 15, 6], [8, 10, 4, 3]],
        ["rows     floor((4 + 2*1 - 3) / 1) + 1 = 4", "10  6 15  6"],
    ),
    # Every second cell of the padded output, and 1 more.
    ("conv2d", "-i", PICTURE, "-k", KERNEL, "--padding", "1", "--stride", "2", "--bias", "1"): (
        [[8, 11], [11, 16]], ["y[1,1] = 2*1 + 0*2 + 1*3 + 0*0 + 1*1 + 2*2 + 1*3 + 0*0 + 2*1 + 1 = 16",
                              "rows     floor((4 + 2*1 - 3) / 2) + 1 = 2"],
    ),
    ("convolve2d", "-i", FLIPPED, "-k", "1 0 0; 0 0 0; 0 0 -1"): (
        [[0, -2, -1], [2, 2, 4], [-1, 0, 0]],
        ["y[1,2] = -1*(-3) + 0*0    + 0*1    + 0*1    + 0*(-1) + 0*0    + 0*1    + 0*2    + 1*1    = 4"],
    ),
    ("conv2d", "-i", BINARY, "-k", CROSS): ([[4, 3, 4], [2, 4, 3], [2, 3, 4]], ["4 3 4", "2 4 3", "2 3 4"]),
    ("max_pool2d", "-i", POOLED): ([[2, 3], [4, 2]], ["y[1,0] = max(3, 0, 2, 4) = 4"]),
    ("avg_pool2d", "-i", POOLED): ([[1, 1.5], [2.25, 1]], ["y[0,1]  sum = 1 + 0 + 2 + 3 = 6", "        y   = 6 / 4 = 1.5"]),
    # A picture of flat lines: 3 rows (1, 5, 1) answer 2*3*5 - 6*1 = 24 to the flat template and 0 to the upright one.
    ("conv2d", "-i", "1 1 1 1; 5 5 5 5; 1 1 1 1", "-k", "line-horizontal"): ([[24, 24]], ["24 24"]),
    ("conv2d", "-i", "1 1 1 1; 5 5 5 5; 1 1 1 1", "-k", "line-vertical"): ([[0, 0]], ["0 0"]),
}  # fmt: skip


@pytest.mark.parametrize("typed", LECTURES, ids=lambda t: f"{t[0]} {t[-1]}")
def test_the_numbers_of_the_lectures_are_printed(cli, typed):
    output, lines = LECTURES[typed]
    said = cli("walk", *typed)
    assert (said.code, said.err) == (0, "")
    assert [line for line in lines if line not in said.out.split("\n")] == []
    found = np.array(cli("walk", *typed, "--json").json["output"])
    np.testing.assert_allclose(found.reshape(np.shape(output)), output, atol=1e-12)


@pytest.mark.parametrize(("q", "nats", "base_10"), [("0.6 0.4", 0.511, 0.222), ("0.8 0.2", 0.223, 0.097)])
def test_cross_entropy_in_nats_and_in_base_10_as_the_lectures_have_it(cli, q, nats, base_10):
    said = cli("walk", "cross_entropy", "--answer", q, "--target", "1 0").out.split("\n")
    total = float(next(line for line in said if line.startswith("   L")).split("= ")[-1])
    tens = float(next(line for line in said if line.startswith("in base 10")).split("= ")[-1])
    assert (round(total, 3), round(tens, 3)) == (nats, base_10)


def test_a_walk_as_a_student_sees_it(cli):
    assert (
        cli("walk", "conv2d", "--padding", "1", "--stride", "2", "--bias", "1").out
        == """\
conv2d   y[n,o,i,j] = b[o] + sum_{c,u,v} x[n,c,i*s+u*d-p,j*s+v*d-p] w[o,c,u,v]
Networks call it convolution; the kernel is not flipped, so it is a cross-correlation.
stride 2 · padding 1

x  4×4     w  3×3    b
1 2 3 0    2 0 1     1
0 1 2 3    0 1 2
3 0 1 2    1 0 2
2 3 0 1

rows     floor((4 + 2*1 - 3) / 2) + 1 = 2
columns  floor((4 + 2*1 - 3) / 2) + 1 = 2

· stands for padding: 0
y[0,0] = 2*· + 0*· + 1*· + 0*· + 1*1 + 2*2 + 1*· + 0*0 + 2*1 + 1 = 8
y[0,1] = 2*· + 0*· + 1*· + 0*2 + 1*3 + 2*0 + 1*1 + 0*2 + 2*3 + 1 = 11
y[1,0] = 2*· + 0*0 + 1*1 + 0*· + 1*3 + 2*0 + 1*· + 0*2 + 2*3 + 1 = 11
y[1,1] = 2*1 + 0*2 + 1*3 + 0*0 + 1*1 + 2*2 + 1*3 + 0*0 + 2*1 + 1 = 16

y  2×2
 8 11
11 16
"""
    )


def test_a_sum_that_is_too_long_is_broken_at_the_rows_of_its_kernel(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    x, w = " | ".join(["10 20 30; 40 50 60; 70 80 90"] * 2), " | ".join(["11 12 13; 14 15 16; 17 18 19"] * 2)
    said = cli("walk", "conv2d", "-i", x, "-k", w).out
    # 2 (11*10 + 12*20 + ... + 19*90) = 2 * 7350
    assert (
        """
y[0,0] = 11*10 + 12*20 + 13*30 + 14*40 + 15*50 + 16*60 + 17*70 + 18*80 + 19*90
       + 11*10 + 12*20 + 13*30 + 14*40 + 15*50 + 16*60 + 17*70 + 18*80 + 19*90
       = 14700
"""
        in said
    )
    assert max(map(len, said.split("\n"))) <= 80


def test_of_a_very_long_sum_the_largest_terms_are_said_and_the_rest_as_one_number(cli):
    x, w = " ".join(["1"] * 98 + ["5", "-7"]), " ".join(["1"] * 100)
    said = cli("walk", "linear", "-i", x, "-w", w, "--bias", "").out
    # the largest nine: -7, 5 and seven of 1; then 91 of 1; 98 + 5 - 7 = 96
    assert (
        "y[0] = 1*(-7) + 1*5 + 1*1 + 1*1 + 1*1 + 1*1 + 1*1 + 1*1 + 1*1 + 91 (91 smaller terms) = 96" in said
    )


def test_one_cell_at_a_time_marks_its_window_in_brackets(cli):
    said = cli("walk", "conv2d", "--padding", "1,0,2,0", "--step", "-i", "1 2; 3 4", "-k", "1 2; 3 4").out
    assert (
        """\
cell 2 of 6   y[0,1]
x               w
 · [·][·] ·     1 2
 · [·][1] 2     3 4
 ·  ·  3  4

y[0,1] = 1*· + 2*· + 3*· + 4*1 = 4
"""
        in said
    )


def test_on_a_terminal_enter_goes_on_and_q_ends(cli, monkeypatch):
    monkeypatch.setattr("hubel.cli.walk.lesson._interactive", lambda: True)
    monkeypatch.setattr("sys.stdin", io.StringIO("\nq\n"))
    said = cli("walk", "conv2d", "--step").out
    assert "cell 2 of 4" in said and "cell 3 of 4" not in said and "\ny  2×2" not in said
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))  # then the end, as of Ctrl-D
    said = cli("walk", "conv2d", "--step").out
    assert "cell 2 of 4" in said and "cell 3 of 4" not in said


def test_of_a_large_output_the_first_cells_are_shown_and_the_others_counted(cli):
    x = "; ".join(["1 2 3 4 5"] * 5)
    said = cli("walk", "conv2d", "-i", x, "-k", "1").out
    assert "… 9 more cells. All of them: --all; one of them: --at 3,0" in said and "y[4,4]" not in said
    assert "y[4,4] = 1*5 = 5" in cli("walk", "conv2d", "-i", x, "-k", "1", "--all").out
    one = cli("walk", "conv2d", "-i", x, "-k", "1", "--at", "4,3").out
    assert "y[4,3] = 1*4 = 4" in one and "y[0,0]" not in one


def test_a_large_matrix_is_cut_to_the_terminal(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    said = cli(
        "walk", "conv2d", "-i", "; ".join([" ".join(["100"] * 40)] * 30), "-k", "1", "--at", "15,20"
    ).out
    lines = said.split("\n")
    # 19 numbers of 3 letters and a space, then the sign that there are more: 78 columns
    assert lines.count(f"{'100 ' * 19}…") == 2 * 20 and lines.count("… 10 more rows") == 2
    assert max(map(len, lines)) <= 80
    assert " 100  100 [100] 100  100" in lines  # two cells around the window


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize(
    "typed",
    [("conv2d", "--padding", "1", "--backward"), ("conv_transpose2d",), ("batch_norm",), ("local_response_norm",),
     ("binary_cross_entropy", "--backward"), ("scaled_dot_product_attention",), ("dropout",), ("adamw", "--steps", "3"), ("kernel",), ("graph",), ()],
    ids=str,
)  # fmt: skip
def test_nothing_is_wider_than_the_terminal(cli, monkeypatch, typed, width):
    monkeypatch.setenv("COLUMNS", str(width))
    said = cli("walk", *typed)
    assert said.code == 0 and max(map(len, said.out.split("\n"))) <= width


# ---- JSON against the definitions ----

X, W = "1 -2 3; 0 5 -1; 2 2 1 | 0 1 0; -3 1 2; 1 1 0", "1 2; 0 -1 | 3 0; 1 1 || 0 1; 1 0 | -1 -1; 2 0.5"
AS_ARRAYS = {
    "x": np.array([[[[1, -2, 3], [0, 5, -1], [2, 2, 1]], [[0, 1, 0], [-3, 1, 2], [1, 1, 0]]]], float),
    "w": np.array([[[[1, 2], [0, -1]], [[3, 0], [1, 1]]], [[[0, 1], [1, 0]], [[-1, -1], [2, 0.5]]]], float),
    "b": np.array([0.5, -1]),
}


@pytest.mark.parametrize(
    ("name", "typed", "settings"),
    [
        ("conv2d", "--padding 1,0,0,2 --stride 2,1 --dilation 2", {"padding": ((1, 0), (0, 2)), "stride": (2, 1), "dilation": 2}),
        ("convolve2d", "--padding full", {"padding": 1}),
        ("conv_transpose2d", "--stride 2 --padding 1 --output-padding 1", {"stride": 2, "padding": 1, "output_padding": 1}),
    ],
)  # fmt: skip
def test_json_holds_the_output_every_cell_and_the_gradients(cli, name, typed, settings):
    arrays = tuple(AS_ARRAYS.values())
    y = getattr(definitions, name)(*arrays, **settings)
    dy = np.arange(y.size, dtype=float).reshape(y.shape)
    text = " | ".join("; ".join(" ".join(map(str, row)) for row in plane) for plane in dy[0])
    said = cli(
        "walk", name, "-i", X, "-k", W, "--bias", "0.5 -1", *typed.split(), "--dy", text, "--all", "--json"
    ).json
    assert said["output"] == y.tolist() and said["cells_left_out"] == 0
    assert [c["value"] for c in said["cells"]] == y.ravel().tolist()
    assert said["backward"]["dy"] == dy.tolist()
    np.testing.assert_allclose([c["sum"] for c in said["cells"]], y.ravel(), atol=1e-12)
    for found, slopes in zip(
        "xwb", getattr(definitions, f"{name}_backward")(dy, *arrays, **settings), strict=True
    ):
        np.testing.assert_allclose(said["backward"][f"d{found}"], slopes, atol=1e-12)


NUMBERS = "-1.5 0 2; 3 -0.25 1"
ROWS = np.array([[-1.5, 0, 2], [3, -0.25, 1]])


@pytest.mark.parametrize(
    ("typed", "settings"),
    [("sigmoid", {}), ("tanh", {}), ("relu", {}), ("leaky_relu --slope 0.2", {"slope": 0.2}),
     ("softmax --axis 0", {"axis": 0}), ("log-softmax", {})],
)  # fmt: skip
def test_activations_forward_and_backward(cli, typed, settings):
    name, *options = typed.split()
    said = cli("walk", name, "-i", NUMBERS, *options, "--dy", "1 2 3; 4 5 6", "--json").json
    operation = name.replace("-", "_")
    np.testing.assert_allclose(said["output"], getattr(definitions, operation)(ROWS, **settings))
    slopes = getattr(definitions, f"{operation}_backward")(np.arange(1.0, 7).reshape(2, 3), ROWS, **settings)
    np.testing.assert_allclose(said["backward"]["dx"], slopes[0], atol=1e-12)


@pytest.mark.parametrize(
    ("typed", "computed"),
    [
        ("mean_squared_error -a 1,2,4 -t 1,1,1", 10 / 3),  # (0 + 1 + 9) / 3
        ("binary_cross_entropy -a 0.5,0.25 -t 1,0", (math.log(2) + math.log(4 / 3)) / 2),
        ("binary_cross_entropy_with_logits -a 0,0 -t 1,0", math.log(2)),
        ("cross_entropy_with_logits -a 0,0,0,0 -t 0,0,1,0", math.log(4)),
        ("cross_entropy -a 0.25,0.75 -t 1,0", math.log(4)),
    ],
)
def test_losses(cli, typed, computed):
    said = cli("walk", *typed.split(), "--backward", "--json").json
    assert said["output"] == pytest.approx(computed, rel=1e-9)
    assert said["cells"][0]["computed"] == pytest.approx(computed, rel=1e-9)
    assert set(said["backward"]) >= {"dL", "dt"}


def test_activations_of_newer_networks(cli):
    # Phi(1) = 0.841345 of any table of the normal distribution, and Phi(-1) = 1 - Phi(1)
    gelu = cli("walk", "gelu", "-i", "1 -1 0", "--json").json["output"]
    assert gelu == pytest.approx([0.841345, -0.158655, 0], abs=1e-6)
    relu6 = cli("walk", "relu6", "-i", "-1 3 8 6", "--backward", "--json").json
    assert relu6["output"] == [0, 3, 6, 6] and relu6["backward"]["dx"] == [0, 1, 0, 0]


def test_a_row_is_normalised_by_itself(cli):
    # row 1: mean 5, variance 9, so (8 - 5) / 3 = 1, times 2, plus 1; row 0: mean 2, variance 1
    typed = ("layer_norm", "-i", "1 3; 2 8", "--gamma", "1 2", "--beta", "0 1", "--eps", "0")
    said = cli("walk", *typed, "--json").json
    assert said["output"] == [[-1, 3], [-1, 3]]
    assert "mean     = mean of 2 numbers = 5" in cli("walk", *typed, "--at", "1,1").out


def test_attention_gives_the_values_by_the_shares_of_their_keys(cli):
    # q . k = (2 ln 3, 0), over sqrt(4) = (ln 3, 0): softmax is (3/4, 1/4), and 3/4 * 8 + 1/4 * (-4) = 5
    q, k = f"{2 * math.log(3)!r} 0 0 0", "1 0 0 0; 0 1 0 0"
    typed = ("scaled_dot_product_attention", "--q", q, "--k", k, "--v", "8 0; -4 2")
    said = cli("walk", *typed, "--json").json
    assert said["output"][0] == pytest.approx([5, 0.5])
    assert said["cells"][0]["sum"] == pytest.approx(5)
    assert "y[0] = 0.75*8 + 0.25*(-4) = 5" in cli("walk", *typed).out
    back = cli("walk", "scaled_dot_product_attention", "--dy", "1 2; 3 -1", "--json").json["backward"]
    arrays = [
        np.array(rows, float)
        for rows in ([[1, 0], [0, 2]], [[1, 0], [0, 1], [1, 1]], [[10, 0], [0, 10], [2, 3]])
    ]
    slopes = definitions.scaled_dot_product_attention_backward(np.array([[1.0, 2], [3, -1]]), *arrays)
    for name, slope in zip("qkv", slopes, strict=False):
        np.testing.assert_allclose(back[f"d{name}"], slope, atol=1e-12)


def test_dropout_and_the_mean_of_a_channel(cli):
    said = cli(
        "walk", "dropout", "-i", "1 2 3", "--mask", "1 0 1", "--p", "0.75", "--backward", "--json"
    ).json
    assert said["output"] == [4, 0, 12] and said["backward"]["dx"] == [4, 0, 4]
    mean = cli("walk", "global_avg_pool2d", "-i", "1 2 3; 4 5 9 | 0 0 6; 0 0 0", "--backward", "--json").json
    assert np.ravel(mean["output"]).tolist() == [4, 1]
    assert np.ravel(mean["backward"]["dx"]) == pytest.approx([1 / 6] * 12)


def test_a_negative_number_after_an_operator_stands_in_brackets(cli):
    said = cli("walk", "linear", "-i", "252 -3 2", "-w", "-2 -1 -4", "--bias", "").out
    assert "y[0] = -2*252 + (-1)*(-3) + (-4)*2 = -509" in said  # -504 + 3 - 8
    pooled = cli("walk", "avg_pool2d", "-i", "-1 -2; 3 -4").out
    assert "sum = -1 + (-2) + 3 + (-4) = -4" in pooled
    loss = cli("walk", "cross_entropy_with_logits", "-a", "0 0", "-t", "1 0").out
    assert "L  sum = -1*(-0.693147) - 0*(-0.693147) = 0.693147" in loss


def test_what_begins_with_a_sign_is_no_option(cli):
    graph = cli("walk", "graph", "-2**2", "--json").json
    assert graph["result"] == -4 and graph["expression"] == "-2**2"
    assert cli("walk", "graph", "-x*3", "--let", "x=-2", "--json").json["result"] == 6
    assert "-1 -1 -1\n 2  2  2" in cli("walk", "kernel", "-1 -1 -1; 2 2 2; -1 -1 -1").out
    assert cli("walk", "kernel", " sobel-x ").out == cli("walk", "kernel", "sobel-x").out
    assert cli("walk", "linear", "-i", "-1 2 0.5", "--at", "-1,0").code == 0
    said = cli("walk", "graph", "2*3", "-j")
    assert said.code == 2 and "No such option" in said.err
    assert "walk kernel '-1 2 -1' PICTURE" in cli("walk", "kernel", "-1 2 -1").out
    assert "--at -3,0 is outside" in cli("walk", "conv2d", "--at", "-3,0").err


def test_one_thing_is_said_in_the_singular(cli):
    assert "… 1 more cell. All" in cli("walk", "relu", "-i", " ".join(["1"] * 17)).out
    assert "… 1 more row\n" in cli("walk", "relu", "-i", "; ".join(["1"] * 21)).out
    long = cli("walk", "linear", "-i", " ".join(["1"] * 61), "-w", " ".join(["1"] * 61), "--bias", "").out
    assert "(52 smaller terms)" in long


def test_a_small_negative_number_is_no_minus_nought(cli):
    from hubel.cli.walk import draw

    lines = [
        line.plain for line in draw.matrix("", np.array([[-0.00001, 0.1], [0.0, -0.25]]), even=True).lines
    ]
    assert lines == ["0.000  0.100", "    0 -0.250"]


def test_layers(cli):
    linear = cli("walk", "linear", "-i", "1 2; 3 4", "-w", "1 -1; 0.5 2", "--bias", "1 0", "--json").json
    assert linear["output"] == [[0, 4.5], [0, 9.5]]  # 1 - 2 + 1, 0.5 + 4; 3 - 4 + 1, 1.5 + 8
    # in use: 2 (3 - 1) / sqrt(4 + 0) + 1 = 3
    norm = cli(
        "walk",
        "batch_norm",
        "-i",
        "3",
        "--mean",
        "1",
        "--variance",
        "4",
        "--gamma",
        "2",
        "--beta",
        "1",
        "--eps",
        "0",
        "--json",
    )
    assert norm.json["output"] == [[[[3]]]] and norm.json["operation"] == "batch_norm_inference"
    # alpha / size = 1: 3 / (1 + 4 + 9 + 1)^1
    lrn = cli("walk", "local_response_norm", "-i", "2 | 3 | 1", "--alpha", "3", "--beta", "1", "--json")
    assert lrn.json["output"][0][1] == [[0.2]]


# ---- optimizers ----


@pytest.mark.parametrize("name", definitions.OPTIMIZERS)
def test_every_optimizer_walks_as_its_definition(cli, name):
    said = cli(
        "walk",
        name,
        "-p",
        "1 -2",
        "-g",
        "0.5 0.1; -0.2 0.3; 0.1 0",
        "--rate",
        "0.1",
        "--decay",
        "0.01",
        "--steps",
        "3",
        "--json",
    ).json
    p, state = {"p": np.array([1.0, -2])}, definitions.START
    for g in ([0.5, 0.1], [-0.2, 0.3], [0.1, 0]):
        p, state = definitions.OPTIMIZERS[name](p, {"p": np.array(g)}, state, rate=0.1, decay=0.01)
    np.testing.assert_allclose(said["parameters"], p["p"], rtol=1e-12)
    assert said["steps"][-1]["p[1]"]["p"] == said["parameters"][1]


def test_a_step_of_adam_line_by_line(cli):
    # m = 0.1 * 0.5, s = 0.001 * 0.25, freed 0.5 and 0.25, so that the first step is the rate: 1 - 0.1
    assert (
        """\
step 1
p[0]  m    = 0.9 * 0 + 0.1 * 0.5           = 0.05
      s    = 0.999 * 0 + 0.001 * 0.5^2     = 0.00025
      m^   = 0.05 / (1 - 0.9^1)            = 0.5
      s^   = 0.00025 / (1 - 0.999^1)       = 0.25
      root = sqrt(0.25)                    = 0.5
      p    = 1 - 0.1 * 0.5 / (0.5 + 1e-08) = 0.9
"""
        in cli("walk", "adam", "--parameters", "1 -2", "--gradients", "0.5 0.1", "--rate", "0.1").out
    )


# ---- files ----


def test_input_from_files(cli, tmp_path):
    (tmp_path / "x.csv").write_text("1,2,3\n4,5,6\n")
    np.save(tmp_path / "x.npy", np.arange(8.0).reshape(2, 2, 2))
    Image.fromarray(np.array([[0, 255], [10, 20]], np.uint8)).save(tmp_path / "x.png")
    read = {
        end: cli("walk", "max_pool2d", "-i", tmp_path / f"x.{end}", "--size", "1", "--json").json["output"]
        for end in ("csv", "npy", "png")
    }
    assert read == {
        "csv": [[[[1, 2, 3], [4, 5, 6]]]],
        "npy": [[[[0, 1], [2, 3]], [[4, 5], [6, 7]]]],
        "png": [[[[0, 255], [10, 20]]]],
    }


# ---- the list, the help and what they cost ----


def test_the_list_names_every_walk_and_every_walk_has_help_and_an_example_that_runs(
    cli, tmp_path, monkeypatch
):
    from hubel.cli.walk import WALKS

    monkeypatch.chdir(tmp_path)
    names = [name for walks in WALKS.values() for name in walks]
    said = cli("walk")
    assert said.code == 0 and [n for n in names if f"  {n} " not in said.out] == []
    for name in names:
        helped = cli("walk", name, "--help")
        assert helped.code == 0 and f"hubel walk {name}" in helped.out
    for name in (n for n in names if n != "network"):
        assert cli("walk", name).code == 0


def test_every_example_of_the_help_is_understood(cli, tmp_path, monkeypatch):
    """As in a shell. Those on a picture find one; those on a run stand in test_walk_network."""
    import shlex

    from hubel.cli.walk import EXAMPLES

    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.arange(40 * 30, dtype=np.uint8).reshape(30, 40)).save(tmp_path / "photo.png")
    wrong = {}
    for name, examples in EXAMPLES.items():
        for example in examples if name != "network" else ():
            said = cli("walk", name, *shlex.split(example))
            if said.code:
                wrong[f"{name} {example}"] = said.err
    assert wrong == {}


@pytest.mark.parametrize(
    ("typed", "absent"),
    [
        (["walk"], {"torch"}),
        (["walk", "conv2d", "--help"], {"numpy", "torch"}),
        (["walk", "conv2d"], {"torch"}),
        (["walk", "graph", "2*10*1.1"], {"torch"}),
        (["walk", "adam"], {"torch"}),
    ],
    ids=str,
)
def test_a_walk_waits_for_nothing_heavy(typed, absent):
    code = (
        "import sys; from hubel.cli.main import main\n"
        f"sys.argv = ['hubel', *{typed!r}]\n"
        "try:\n    main()\nexcept SystemExit: pass\n"
        "sys.stderr.write(' '.join({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert absent & set(done.stderr.split()) == set() and "hubel" in done.stderr

"""What is wrong with a walk is said in one line that names both sides: no traceback, no warning, nothing half printed."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

WRONG = {
    "conv2dd": "no walk named 'conv2dd'. Did you mean 'conv2d'?",
    "conv2d -i 1,2;3": "--input: row 0 has 2 numbers, but row 1 has 1",
    "conv2d -i 1,x": "--input: 'x' is no number",
    "conv2d -i 1,1/0": "--input: '1/0' is no number",
    "conv2d -i 1;;2": "has a row without numbers",
    "conv2d -i 1|2,3": "every channel must have one size, got 1×1 and 1×2",
    "conv2d -k 1|2||3": "--kernel: parts between || must have equally many channels, got [2, 1]",
    "conv2d -i 1||2": "--input is one item, its channels parted by |, but || parts it into 2",
    "linear -i 1|2": "--input is one matrix, rows parted by ;, but | parts it into 2",
    "linear --bias 1;2": "--bias is one row of numbers, got 2 rows parted by ;",
    "conv2d -k 1,2|3,4": "conv2d: x has 1 channel but w expects 2 (x (1, 1, 4, 4), w (1, 2, 1, 2))",
    "conv2d -k 1,2,3,4,5": "columns: a window of 5 does not fit into 4 cells",
    "conv2d -k 1,2;3,4 --padding same": "same: a window of 2 needs 1 cell of padding in all",
    "conv2d -k sobell-x": "no kernel named 'sobell-x'. Did you mean 'sobel-x'?",
    "conv2d --padding odd": "--padding is valid, same, full or numbers, got 'odd'",
    "conv2d --padding 1,2,3": "--padding takes 1 or 2 or 4 whole numbers",
    "conv2d --stride 0": "--stride must be at least 1, got '0'",
    "conv2d --stride 1.5": "--stride takes 1 or 2 whole numbers parted by commas, got '1.5'",
    "conv2d --groups 3": "conv2d: 3 groups must divide both the 1 channel of x and the 1 of w",
    "conv2d --bias 1,2": "conv2d: w makes 1 map, so b must be (1,), got (2,)",
    "conv2d --at 2,0": "--at 2,0 is outside of the output, which is 2×2",
    "conv2d --dy 1,2": "--dy must be as the output, 2×2, got 1×2",
    "conv2d -i nope.csv": "nope.csv cannot be read: No such file or directory",
    "conv2d -i nope.png": "nope.png: there is no such file",
    "conv2d --padding 99999999": "numbers at once, more than the 40,000,000 of a walk",
    "conv1d --padding 999999999": "this takes 6,000,000,012 numbers at once",  # 3 (2 * 999,999,999 + 6)
    "conv2d --padding 99999999 --stride 99999999": "numbers at once, more than the 40,000,000 of a walk",
    "conv2d --padding full --dilation 99999999": "numbers at once, more than the 40,000,000 of a walk",
    "conv_transpose2d --stride 99999999": "numbers at once, more than the 40,000,000 of a walk",
    "conv1d -i 1,2;3,4": "--input takes one row for each channel, parted by |, got 2 rows",
    "max_pool2d --padding 2": "max_pool2d: along H padding (2, 2) is more than half of the window's 2 cells",
    "max_pool2d --no-count-padding": "--no-count-padding is of avg_pool2d",
    "avg_pool2d --dilation 2": "--dilation is of max_pool2d; avg_pool2d has none",
    "softmax --axis 1": "--axis must be from -1 to 0 for an input of 1 axes, got 1",
    "linear -w 1,2": "linear: x and w must be (..., D) and (O, D) with one D, got (1, 3) and (1, 2)",
    "batch_norm --mean 1,2": "--mean and --variance go together",
    "batch_norm --gamma 1,2,3": "batch_norm: x has 2 channels",
    "mean_squared_error -a 1,2 -t 1,2,3": "answers and targets must have one shape, got (2,) and (3,)",
    "cross_entropy -a 2,1": "--answer must be probabilities, from 0 to 1, got 2; for others there is cross_entropy_with_logits",
    "adam -g 1": "--parameters has 2 numbers, but a row of --gradients has 1",
    "adam -g 1,2;3,4 --steps 3": "--gradients has 2 rows, but there are 3 steps",
    "adam --beta1 1": "--beta1 must be at least 0 and below 1, got 1",
    "conv1d --dilation x": "--dilation takes one whole number, got 'x'",
    "conv2d --at 1,2,0,0": "--at 1,2,0,0 is outside of the output, which is 1×1×2×2",
    "conv2d --kernel sobelx": "no kernel named 'sobelx'. Did you mean 'sobel-x'?",
    "conv2d -i 1e200,1e200 -k 1e200,-1e200": "conv2d: y[0,0] is no finite number, but ",
    "mean_squared_error -a 1e200 -t 0": "mean_squared_error: L is no finite number, but inf",
    "conv2d -i 1e200 -k 1 --dy 1e200 -k 1e200": "no finite number, but inf",
    "leaky_relu --slope nan": "--slope must be a finite number, got nan",
    "batch_norm --eps -1": "--eps must be at least 0, got -1",
    "batch_norm --eps nan": "--eps must be a finite number, got nan",
    "batch_norm --eps 0 -i 1,1": "batch_norm: y[0,0] is no finite number, but nan; with --eps 0 one divides by 0",
    "batch_norm --mean 0,0 --variance -1,1": "--variance must be at least 0, got -1",
    "layer_norm --eps -1": "--eps must be at least 0, got -1",
    "layer_norm --gamma 1,2": "layer_norm: ",
    "local_response_norm --alpha -5": "--alpha must be at least 0, got -5",
    "local_response_norm --beta inf": "--beta must be a finite number, got inf",
    "local_response_norm --k 0 -i 0|0": "local_response_norm: y[0,0,0] is no finite number, but nan; with --k 0",
    "dropout --p 1": "dropout: p must be at least 0 and below 1",
    "dropout --mask 1,0.5,1,1,1": "--mask is 1 where a unit stays and 0 where it is left out, got 0.5",
    "dropout --mask 1,0": "dropout: the mask must have the shape of x, got (2,) and (5,)",
    "scaled_dot_product_attention --q 1,2,3": "q has 3 features but k has 2",
    "cross_entropy --clip 0": "--clip must lie between 0 and 1, got 0",
    "binary_cross_entropy --clip 1": "--clip must lie between 0 and 1, got 1",
    "cross_entropy -t 5,-3": "--target must be from 0 to 1, 1 for what is right, got -3",
    "cross_entropy -t 1,1": "--target: a row must sum to 1, but row 0 sums to 2",
    "binary_cross_entropy -t 2,0": "--target must be from 0 to 1, 1 for what is right, got 2",
    "gd --rate -1": "--rate must be at least 0, got -1",
    "gd --decay -1": "--decay must be at least 0, got -1",
    "rmsprop --rate nan": "--rate must be a finite number, got nan",
    "rmsprop --eps -1": "--eps must be at least 0, got -1",
    "adam --eps 0 -g 0,0": "p[0] is no finite number after step 1, but nan; one divides by 0: make --eps larger",
    "kernel 1e200,0,-1e200 x.png": "are too large for a picture: make its numbers smaller, the largest is 1e+200",
    "kernel blur .": ". is a folder, not a picture; name a file in it",
    "conv2d -i 1;2,3": "--input: row 0 has 1 number, but row 1 has 2",
    "kernel sobelx": "no kernel named 'sobelx'. Did you mean 'sobel-x'?",
    "kernel 1,2;3,4 nope.png": "sides are odd; this one is 2×2",
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("typed", WRONG)
def test_what_is_wrong_is_said(cli, tmp_path, monkeypatch, typed):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.array([[0, 255], [10, 20]], np.uint8)).save("x.png")
    said = cli("walk", *typed.split())
    assert (said.code, said.out) == (2, "") and said.err.startswith("hubel: ") and "Traceback" not in said.err
    assert WRONG[typed] in said.err


FILES = {
    "text.csv": (
        b"\xff1,2",
        "is no text in UTF-8 (invalid start byte at byte 0): a .csv is rows of numbers, as 1,2,3",
    ),
    "halves.npy": (np.ones(3) * 1j, "numbers with 1 to 4 axes, none of them empty, got complex128 (3,)"),
    "words.npy": (np.array(["a", "bc"]), "numbers with 1 to 4 axes, none of them empty, got <U2 (2,)"),
    "deep.npy": (
        np.ones((1, 1, 1, 1, 2)),
        "numbers with 1 to 4 axes, none of them empty, got float64 (1, 1, 1, 1, 2)",
    ),
    "alone.npy": (np.array(3.0), "numbers with 1 to 4 axes, none of them empty, got float64 ()"),
    "empty.npy": (np.ones((2, 0)), "numbers with 1 to 4 axes, none of them empty, got float64 (2, 0)"),
    "nan.npy": (
        np.array([[1, 2], [np.nan, 3]]),
        "has 1 number that is not finite, first at [1,0]: a walk needs",
    ),
    "inf.npy": (
        np.array([1, np.inf, -np.inf]),
        "has 2 numbers that are not finite, first at [1]: a walk needs",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_what_is_wrong_with_a_file_is_said(cli, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    content, words = FILES[name]
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    else:
        np.save(name, content)
    said = cli("walk", "conv2d", "--input", name)
    assert (said.code, said.out) == (2, "") and said.err.startswith(f"hubel: --input: {name} ")
    assert words in said.err and said.err.count("\n") == 1


def test_a_large_csv_is_refused_before_it_is_read(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with (tmp_path / "long.csv").open("wb") as file:
        file.truncate(
            128_000_001
        )  # 32 characters for each of 4,000,000 numbers, and one more; a hole takes no room
    said = cli("walk", "conv2d", "--input", "long.csv")
    assert (said.code, said.out) == (2, "")
    assert (
        "--input: long.csv has 128,000,001 bytes, more than a walk can show: at most 4,000,000 numbers"
        in said.err
    )

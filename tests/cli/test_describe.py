"""`hubel describe` against numbers worked out by hand, and `hubel zoo` against the networks themselves."""

from __future__ import annotations

import pytest

from hubel import zoo

# LeNet-5 in its modern form on 1×32×32, 10 classes: weights + biases, and each weight once per output position.
#          output         parameters               multiply-adds
LENET5 = {
    "conv1": ((6, 28, 28), 6 * (1 * 25) + 6, 6 * 25 * 28 * 28),  # 156, 117,600
    "conv2": ((16, 10, 10), 16 * (6 * 25) + 16, 16 * 150 * 10 * 10),  # 2,416, 240,000
    "120": ((120,), 120 * 400 + 120, 120 * 400),  # 48,120
    "84": ((84,), 84 * 120 + 84, 84 * 120),  # 10,164
    "10": ((10,), 10 * 84 + 10, 10 * 84),  # 850
}


def test_lenet5_is_what_the_pencil_says(cli):
    said = cli("describe", "lenet5", "--json")
    assert said.code == 0 and said.err == ""
    weighing = [layer for layer in said.json["layers"] if layer["parameters"]]
    got = [(tuple(row["output"]), row["parameters"], row["multiply_adds"]) for row in weighing]
    # A convolution of 5×5 over the whole 5×5 map is the same as a full connection: (120, 1, 1) is (120,).
    got = [((output[0],) if output[1:] == (1, 1) else output, p, m) for output, p, m in got]
    assert got == list(LENET5.values())
    assert said.json["parameters"] == 156 + 2416 + 48120 + 10164 + 850 == 61_706
    assert said.json["multiply_adds"] == 117_600 + 240_000 + 48_000 + 10_080 + 840


def test_the_table_says_the_same(cli):
    said = cli("describe", "lenet5")
    assert said.code == 0
    for text in (
        "61,706",
        "156",
        "2,416",
        "48,120",
        "10,164",
        "850",
        "6×28×28",
        "16×10×10",
        "LeCun et al. 1998",
    ):
        assert text in said.out


@pytest.mark.parametrize(
    ("argv", "parameters"),
    [
        (("mlp", "--input", "2", "--hidden", "4", "--classes", "1"), 2 * 4 + 4 + 4 * 1 + 1),
        (("mlp", "--input", "2", "--hidden", "4", "--classes", "1", "--arg", "bias=false"), 2 * 4 + 4 * 1),
        (("mlp", "--input", "3x5x7", "--hidden", "none", "--classes", "3"), 3 * 5 * 7 * 3 + 3),
        (("lenet5", "--input", "3x32x32", "--classes", "43"), 61_706 + 2 * 25 * 6 + 33 * (84 + 1)),
    ],
)
def test_options_change_the_network(cli, argv, parameters):
    assert cli("describe", *argv, "--json").json["parameters"] == parameters


def test_a_run_is_described_as_it_was_trained(cli, trained):
    said = cli("describe", trained["a"])
    assert said.code == 0
    parameters = cli("describe", "mlp", "--input", "1x8x8", "--json").json["parameters"]
    assert (
        f"{parameters:,}" in said.out and "0, 1, 2, 3, 4, 5, 6, 7, 8, 9" in said.out and "1×8×8" in said.out
    )


def test_the_zoo_lists_every_network_with_its_claims(cli):
    listed = cli("zoo", "--json").json
    assert list(listed) == zoo.names()
    assert listed["lenet5"]["parameters"] == 61_706 and listed["lenet5"]["input"] == [1, 32, 32]
    table = cli("zoo").out
    assert [name for name in zoo.names() if name not in table] == []

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


def test_a_line_is_described_like_a_network(cli):
    said = cli("describe", "conv20x5 relu pool2 conv50x5 relu pool2 fc500 relu fc", "--json").json
    assert said["parameters"] == 431_080 and said["network"].startswith("conv20x5 relu")
    rows = {row["name"]: row for row in said["layers"]}
    # 5x5, then 2x2 by steps of 2: 6; then 5x5 of cells 2 apart: 6 + 4*2 = 14
    assert rows["3"]["receptive_field"] == {"size": [14, 14], "stride": [2, 2], "offset": [0, 0]}
    assert rows["3"]["settings"] == "5x5" and rows["3"]["inputs"] == ["2"]
    assert rows["0"]["memory"] == 4 * 20 * 24 * 24


def test_a_line_that_does_not_fit_is_pointed_at(cli):
    said = cli("describe", "conv8x3 pool2 conv9x5 fc", "--input", "2x8x10")
    assert said.code == 2 and said.out == ""
    assert said.err == (
        "hubel: a window of 5x5 does not fit: 8x3x4 arrives. Windows up to 3x4 fit; else pad more (+same), pool or "
        "stride less before, or take a larger --input\n  conv8x3 pool2 conv9x5 fc\n                ^^^^^^^\n"
    )


@pytest.mark.parametrize("columns", [60, 80, 100, 160])
@pytest.mark.parametrize("name", ["lenet5", "googlenet", "vit-tiny", "conv8x3 relu pool2 fc"])
def test_the_table_fits_the_window(cli, monkeypatch, columns, name):
    lines = table(cli, monkeypatch, columns, name)
    assert max(map(len, lines)) <= max(columns, 80)  # under 80 columns nothing more is cut
    assert len(lines) == len(cli("describe", name, "--json").json["layers"]) + 5  # no cell takes two lines
    known = "layer type output parameters params multiply-adds mult-adds memory sees step from"
    assert set(lines[1].split()) <= set(known.split())


def table(cli, monkeypatch, columns, name):
    """The lines of the table alone: heading, rule, input, layers, total, between two empty ones."""
    from hubel.cli import show

    wide = show.console

    def console(**options):
        made = wide(**options)
        made.width = columns
        return made

    monkeypatch.setattr(show, "console", console)
    lines = [line.rstrip() for line in cli("describe", name).out.splitlines()]
    begin = next(n for n, line in enumerate(lines) if line.startswith(" layer"))
    return lines[begin - 1 : lines.index("", begin)]


def test_what_there_is_no_room_for_is_named(cli, monkeypatch):
    from hubel.cli import describe, show

    assert "step" in table(cli, monkeypatch, 160, "googlenet")[1]
    narrow = table(cli, monkeypatch, 80, "googlenet")[1]
    assert "params" in narrow and "step" not in narrow
    said = cli("describe", "googlenet").out
    assert "No room for memory, step, from; numbers are rounded. --json has all." in said
    counts = [
        show.rounded(n) for n in (0, 156, 999, 1000, 2416, 99_949, 99_950, 999_499, 999_500, 15_470_264_320)
    ]
    assert counts == ["", "156", "999", "1.00 k", "2.42 k", "99.9 k", "100 k", "999 k", "1.00 M", "15.5 G"]
    sizes = [describe._bytes(n) for n in (0, 40, 999, 1000, 18_816, 602_112, 3_211_264, 2**30)]
    assert sizes == ["", "40 B", "999 B", "1.0 KiB", "18.4 KiB", "588 KiB", "3.1 MiB", "1.0 GiB"]
    assert describe._cut("inception3a.branch1.conv", 12) == "inc…nch1.conv"[:4] + "ch1.conv"


def test_a_field_that_differs_by_axis_shows_both(cli, monkeypatch):
    lines = table(cli, monkeypatch, 120, "conv8x3x5/2x1+1x0 fc")
    row = next(line for line in lines if " 0 " in line)
    assert row.split()[-3:] == ["3×5", "2×1", "-1,0"]


def test_the_picture_is_written_and_said(cli, tmp_path):
    file = tmp_path / "lenet5.svg"
    said = cli("describe", "lenet5", "--svg", file)
    assert said.out.splitlines()[-1] == f"picture  {file}"
    assert file.read_text("utf-8").startswith("<svg ")
    json_ = cli("describe", "lenet5", "--svg", file, "--json")
    assert json_.json["parameters"] == 61_706


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

"""`hubel data`: what is counted, measured and found, against folders made here; and what the contact sheet shows."""

from __future__ import annotations

import io

import needs
import numpy as np
import pytest
from making import flat, png, tree, zoo
from PIL import Image

from hubel.data import open_source
from hubel.data.sheet import contact_sheet
from hubel.data.survey import survey

RED, BLUE = (220, 20, 20), (20, 20, 220)


def painted(colour, h=10, w=10) -> bytes:
    return png(np.broadcast_to(np.array(colour, np.uint8), (h, w, 3)))


@pytest.fixture
def place(tmp_path):
    """Two classes with given parts; other sizes in test, a damaged picture in each part, a file that is no picture."""
    files = {f"train/red/{k}.png": painted(RED) for k in range(6)}
    files |= {f"train/blue/{k}.png": painted(BLUE) for k in range(4)}
    files |= {
        f"test/{name}/{k}.png": painted((0, 255, 0), 20, 30) for name in ("red", "blue") for k in range(3)
    }
    files |= {
        "train/red/bad.png": b"no picture",
        "test/blue/worse.png": painted(RED)[:-40],
        "train/red/notes.txt": b"x",
    }
    return tree(tmp_path / "colours", files)


def test_classes_are_counted_per_part(cli, place):
    said = cli("data", place, "--json")
    assert said.code == 0
    found = said.json
    assert (found["name"], found["kind"], found["task"], found["classes"]) == (
        "colours",
        "picture",
        "classify",
        ["blue", "red"],
    )
    assert found["counts"]["test"] == {"blue": 4, "red": 3}
    learnt = {name: found["counts"]["train"][name] + found["counts"]["val"][name] for name in ("blue", "red")}
    assert learnt == {"blue": 4, "red": 7}
    assert found["drawn"] == ["val"] and found["items"] == 18 and found["checked"] is False


def test_sizes_are_those_outside_of_test(cli, place):
    assert {(s["height"], s["width"]) for s in cli("data", place, "--json").json["sizes"]} == {(10, 10)}


def test_problems_are_named_and_with_check_all_of_them(cli, place):
    listed = cli("data", place, "--json").json["problems"]
    assert [p["item"].rpartition("/")[2] for p in listed] == ["notes.txt"]
    found = cli("data", place, "--check", "--json").json
    assert found["checked"] is True
    assert sorted(p["item"].rpartition("/")[2] for p in found["problems"]) == [
        "bad.png",
        "notes.txt",
        "worse.png",
    ]
    said = cli("data", place, "--check")
    assert "3 problems" in said.out and "worse.png" in said.out
    assert "--check" not in said.out and "--check" in cli("data", place).out  # the advice, while it is one


def test_without_check_no_test_picture_is_decoded(place, monkeypatch):
    """Those of test are 30 wide and 20 high, as no other is: so they are told, however their files are read."""
    opened = []
    real = Image.open

    def noted(*given, **named):
        image = real(*given, **named)
        opened.append(image.size)
        return image

    monkeypatch.setattr(Image, "open", noted)
    source = open_source(place)
    contact_sheet(source)
    survey(source)
    assert opened and (30, 20) not in opened
    survey(source, check=True)
    assert (30, 20) in opened  # the probe sees them where they are opened


def test_the_table_has_a_line_per_class(cli, place):
    lines = [line.split() for line in cli("data", place).out.splitlines()]
    train = {name: survey(open_source(place)).counts["train"][name] for name in ("blue", "red")}
    assert ["class", "train", "val", "test"] in lines
    assert next(row for row in lines if row[:1] == ["blue"])[1] == str(train["blue"])


def test_hundreds_of_classes_are_told_by_their_extremes(cli, tmp_path):
    files = {
        f"class{k:03}/{i}.png": flat(k) for k in range(120) for i in range(3 + 5 * (k == 77) - 2 * (k == 5))
    }
    said = cli("data", tree(tmp_path / "many", files))
    assert said.code == 0 and "items in each of the 120 classes" in said.out
    assert "largest in train: class077 (" in said.out and "smallest in train: " in said.out
    assert "class033" not in said.out.partition("smallest")[0]


def test_columns_of_numbers_are_measured_in_train(cli, tmp_path):
    rows = np.array([[k, 10 - 3 * k] for k in range(10)], float)
    part = ["train"] * 8 + ["test"] * 2
    lines = ["height,width,label,split"] + [
        f"{a},{b},{'xy'[i % 2]},{part[i]}" for i, (a, b) in enumerate(rows)
    ]
    (tmp_path / "sizes.csv").write_text("\n".join(lines))
    found = cli("data", tmp_path / "sizes.csv", "--json").json
    source = open_source(tmp_path / "sizes.csv")
    assert found["kind"] == "vector" and [c["name"] for c in found["columns"]] == list(source.columns)
    height = {c["name"]: c for c in found["columns"]}["height"]
    assert height["high"] <= 7  # 8 and 9 stand in the test part
    said = cli("data", tmp_path / "sizes.csv")
    assert "columns, in the train part" in said.out and "--out" not in said.out  # no sheet of numbers


def test_digits_are_described_without_any_file(cli):
    found = cli("data", "digits", "--json").json
    assert (
        found["shape"] == [1, 8, 8] and found["items"] == 1797 and found["drawn"] == ["train", "val", "test"]
    )
    assert sum(sum(part.values()) for part in found["counts"].values()) == 1797


def test_the_split_follows_the_seed(cli):
    counts = [cli("data", "digits", "--seed", seed).out for seed in (0, 0, 1)]
    assert counts[0] == counts[1] and "drawn with seed 0" in counts[0] and "drawn with seed 1" in counts[2]


def test_without_a_name_the_known_ones_are_listed(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("HUBEL_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "mine").mkdir()
    listed = cli("data", "--json").json
    by_name = {k["name"]: k for k in listed["known"]}
    assert by_name["digits"] == {"name": "digits", "folder": None, "download": 0}
    # The four files of MNIST: 9,912,422 + 28,881 + 1,648,877 + 4,542 bytes.
    assert by_name["mnist"] == {"name": "mnist", "folder": None, "download": 11_594_722}
    assert "mine" in listed["folders"]
    said = cli("data").out
    assert "comes with hubel" in said and "to be downloaded, 12 MB" in said


def test_where_a_known_one_lies_is_said(cli):
    folder = needs.data("mnist")
    known = {k["name"]: k["folder"] for k in cli("data", "--json").json["known"]}
    assert known["mnist"] == str(folder)
    assert f"where    {folder}" in cli("data", "mnist").out


# ---- the contact sheet ----


def pixels(png_bytes: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png_bytes)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")).astype(int)


def near(sheet: np.ndarray, colour) -> np.ndarray:
    """(H, W) bool: where the sheet has this colour."""
    return (np.abs(sheet - np.array(colour)) <= 2).all(2)


def test_the_sheet_has_a_row_per_class_and_a_cell_per_picture(cli, place, tmp_path):
    out = tmp_path / "sheet.png"
    said = cli("data", place, "-o", out)
    assert said.code == 0 and f"sheet    {out}" in said.out
    sheet = pixels(out.read_bytes())
    train = survey(open_source(place)).counts["train"]
    blue, red = near(sheet, BLUE), near(sheet, RED)
    assert blue.any() and red.any()
    assert blue.any(1).nonzero()[0].max() < red.any(1).nonzero()[0].min()  # class order, one row each
    # 10 × 10 pictures are drawn ten times as large; the damaged one is left out. (No more than 3 spare ones are tried.)
    readable = {"blue": train["blue"], "red": int(near(sheet, RED).sum() / 100**2)}
    assert blue.sum() == train["blue"] * 100**2
    assert readable["red"] in (train["red"], train["red"] - 1) and red.sum() % 100**2 == 0
    assert not near(sheet, (0, 255, 0)).any()  # nothing of the test part


def test_there_is_no_sheet_of_a_test_part(cli, tmp_path):
    tree(tmp_path / "zoo", {f"test/{name}": content for name, content in zoo("ant", "bee").items()})
    said = cli("data", tmp_path / "zoo", "-o", tmp_path / "sheet.png")
    assert (
        said.code == 2
        and "zoo has no train part, and a contact sheet shows nothing of the others" in said.err
    )
    assert "name data to train on" in said.err and not (tmp_path / "sheet.png").exists()


def test_a_pixel_becomes_a_square(tmp_path):
    checks = np.indices((8, 8)).sum(0) % 2 * 255
    files = {f"{name}/{k}.png": png(checks) for name in "ab" for k in range(5)}
    sheet = pixels(contact_sheet(open_source(tree(tmp_path / "checks", files))))
    columns = np.flatnonzero((sheet == 0).all(2).any(0))
    rows = np.flatnonzero((sheet == 0).all(2).any(1))
    tile = sheet[rows[0] : rows[0] + 96, columns[0] : columns[0] + 96, 0]
    np.testing.assert_array_equal(tile, np.kron(checks, np.ones((12, 12), int)))


def test_pictures_keep_their_proportions(tmp_path):
    files = {f"{name}/{k}.png": painted(RED, 40, 80) for name in "ab" for k in range(4)}
    sheet = near(pixels(contact_sheet(open_source(tree(tmp_path / "wide", files)))), RED)
    heights, widths = sheet.sum(0), sheet.sum(1)
    assert heights.max() == 2 * 40 and widths.max() % 80 == 0  # two rows of 40 × 80, at their own size


def test_at_most_thirty_classes_are_shown_evenly(tmp_path):
    files = {f"class{k:02}/{i}.png": painted((2 * k, 255, 0), 8, 8) for k in range(90) for i in range(4)}
    sheet = pixels(contact_sheet(open_source(tree(tmp_path / "many", files))))
    shown = np.unique(sheet[(sheet[..., 1] == 255) & (sheet[..., 2] == 0)][:, 0]) // 2
    assert len(shown) == 30 and shown[0] == 0 and shown[-1] == 89
    assert set(np.diff(shown)) <= {3, 4}  # 89 / 29 = 3.07


def test_the_same_data_give_the_same_sheet(place):
    assert contact_sheet(open_source(place)) == contact_sheet(open_source(place))


def test_names_of_any_script_and_length_fit(tmp_path):
    names = ("猫与狗", "a" * 200, "Ω", "x")
    files = {f"{name}/{k}.png": painted(RED, 96, 96) for name in names for k in range(4)}
    sheet = pixels(contact_sheet(open_source(tree(tmp_path / "names", files))))
    first = int(near(sheet, RED).any(0).nonzero()[0].min())
    assert (
        sheet[80:, first - 8 : first] == sheet[80:, first - 8 : first][:, :1]
    ).all()  # no letter reaches the pictures


def test_pack_writes_shards_and_says_what_they_hold(cli, tmp_path):
    files = zoo("ant", "bee", each=30) | {"ant/bad.png": b"no picture"}
    place, out = tree(tmp_path / "zoo", files), tmp_path / "shards"
    said = cli("data", "pack", place, "-o", out, "--shard-size", "30KB")
    assert said.code == 0 and f"hubel train {out}" in said.out
    assert "1 picture was left out" in said.out and "ant/bad.png" in said.out
    found = cli("data", out, "--json").json
    assert found["items"] == 60 and found["drawn"] == [] and found["classes"] == ["ant", "bee"]
    told = cli("data", "pack", place, "-o", tmp_path / "again", "--json").json
    assert {part: n["pictures"] for part, n in told["parts"].items()} == {
        part: sum(n.values()) for part, n in found["counts"].items()
    }
    assert [p["item"] for p in told["problems"]] == ["ant/bad.png"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pack", "digits"], "pack needs a data set and a new folder: hubel data pack SOURCE -o FOLDER"),
        (["pack", "digits", "-o", "x", "--check"], "leave --check out"),
        (["pack", "digits", "-o", "x", "--shard-size", "much"], "takes a size as 256MB"),
        (
            ["pack", "digits", "-o", "x", "--shard-size", "100"],
            "--shard-size is at least 512 bytes, got '100'",
        ),
        (["digits", "mnist"], "'mnist' belongs behind pack"),
        (["digits", "--shard-size", "1MB"], "--shard-size belongs behind pack"),
    ],
)
def test_what_pack_does_not_take_is_told(cli, words, said):
    told = cli("data", *words)
    assert told.code == 2 and said in told.err

"""CSV: manifests of pictures, and tables of numbers."""

import numpy as np
import pytest
from making import flat, tree, zoo

from hubel.data import Dataset, Preprocess, Problem, open_source
from hubel.data.survey import damaged
from hubel.errors import DataError, ShapeError


@pytest.fixture
def write(tmp_path):
    def write(text, name="t.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


# ---- manifests ----


@pytest.fixture
def pictures(tmp_path):
    return tree(tmp_path, {f"pics/{k}": v for k, v in zoo("a", "b", each=6).items()})


def lines(split=False):
    rows = [f"pics/{c}/{n:02d}.png,{'ant' if c == 'a' else 'bee'}" for c in "ab" for n in range(6)]
    return [f"{row},{['train', 'val', 'TEST'][n % 3]}" for n, row in enumerate(rows)] if split else rows


def test_a_manifest_names_pictures_relative_to_itself(write, pictures):
    source = open_source(write("\n".join(["path,label", *lines()])))
    assert source.kind == "picture" and source.classes == ("ant", "bee") and source.shape == (1, 4, 6)
    assert source.items[7] == "pics/b/01.png" and source.targets[7] == 1 and set(source.parts) == {""}
    data = Dataset(source, Preprocess("picture", (1, 4, 6)))
    found = {
        i: int(x[0, 0, 0])
        for s in (data.train, data.val, data.test)
        for i, x in zip(s.items, s.inputs, strict=True)
    }
    assert found == {f"pics/{c}/{n:02d}.png": 10 * k + n for k, c in enumerate("ab") for n in range(6)}


@pytest.mark.parametrize("head", ["path,label,split", "Filename,Class,Set", None])
def test_a_manifest_may_say_the_parts_and_have_no_header(write, pictures, head):
    source = open_source(write("\n".join(([head] if head else []) + lines(split=True))))
    assert source.parts.tolist() == ["train", "val", "test"] * 4
    assert Dataset(source, Preprocess("picture", (1, 4, 6))).counts() == {"train": 4, "val": 4, "test": 4}


def test_semicolons_tabs_and_a_byte_order_mark_are_understood(write, pictures):
    assert len(open_source(write("\ufeff" + "\n".join(["path;label", *lines()]).replace(",", ";")))) == 12
    assert len(open_source(write("\n".join(["path\tlabel", *lines()]).replace(",", "\t"), "t.tsv"))) == 12


def test_a_picture_that_is_not_there_is_dropped_and_named(write, tmp_path):
    tree(tmp_path, zoo("a", "b", each=30))
    rows = [f"{c}/{n:02d}.png,{c}" for c in "ab" for n in range(30)]
    data = Dataset(
        open_source(write("\n".join(["path,label", *rows, "gone.png,a"]))), Preprocess("picture", (1, 4, 6))
    )
    kept = [*data.train.items, *data.val.items, *data.test.items]
    assert len(kept) == 60 and "gone.png" not in kept
    (problem,) = data.problems
    assert problem.item == "gone.png" and problem.reason.endswith("there is no such file")


def test_a_path_listed_twice_is_one_item_unless_its_labels_differ(write, pictures):
    source = open_source(write("\n".join(["path,label", *lines(), lines()[0]])))
    assert len(source) == 12
    assert source.problems == (Problem("pics/a/00.png", "listed twice, in lines 2 and 14"),)
    with pytest.raises(DataError, match=r"pics/a/00\.png has two labels, in lines 2 and 14"):
        open_source(write("\n".join(["path,label", *lines(), "pics/a/00.png,bee"])))


def test_a_manifest_of_numbers_is_a_regression(write, pictures):
    rows = [f"pics/a/{n:02d}.png,{n / 2}" for n in range(6)]
    source = open_source(write("\n".join(["path,y", *rows])))
    assert source.task == "regress" and source.targets.tolist() == [[n / 2] for n in range(6)]
    whole = "\n".join(["path,label", *(f"pics/a/{n:02d}.png,{n}" for n in range(6))])
    assert open_source(write(whole)).task == "classify"
    assert open_source(write(whole), task="regress").targets.tolist() == [[n] for n in range(6)]
    two = "\n".join(["path,y1,y2", *(f"pics/a/{n:02d}.png,{n},{-n}" for n in range(6))])
    assert open_source(write(two)).targets.tolist() == [[n, -n] for n in range(6)]


@pytest.mark.parametrize(
    "text, message",
    [
        (
            "path,label,split\na.png,x,trian\n",
            r"t\.csv, line 2: the split 'trian' is none of train, val, test",
        ),
        ("path,label\na.png\n", r"t\.csv, line 2: 1 columns, where the first line has 2"),
        ("path,label\na.png,\n", r"t\.csv, line 2: the label is empty"),
        ("path\na.png\n", "has paths but no labels: a column `label` is needed"),
        ("path,label,label\n", "has two columns called 'label'"),
        ("path,label\n", "has a header and no rows"),
        ("", "is empty"),
    ],
)
def test_a_broken_table_is_answered_with_its_line(write, text, message):
    with pytest.raises(DataError, match=message):
        open_source(write(text))


def test_a_table_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "t.csv").write_bytes("path,label\nä.png,x\n".encode("latin1"))
    with pytest.raises(DataError, match=r"cannot be read as a table in UTF-8"):
        open_source(tmp_path / "t.csv")


# ---- numbers ----


def test_the_last_column_is_the_target(write):
    source = open_source(write("height,width,kind\n1,2.5,cat\n3,4,dog\n5,-6e1,cat\n"))
    assert (
        source.kind == "vector" and source.columns == ("height", "width") and source.classes == ("cat", "dog")
    )
    assert source.rows.take(np.arange(3)).tolist() == [[1, 2.5], [3, 4], [5, -60]]
    assert source.targets.tolist() == [0, 1, 0] and source.items == ["line 2", "line 3", "line 4"]


def test_a_named_target_may_stand_anywhere(write):
    source = open_source(write("Label,a,split,b\n7,1,train,2\n5,3,test,4\n"))
    assert source.columns == ("a", "b") and source.classes == ("5", "7") and source.targets.tolist() == [1, 0]
    assert source.parts.tolist() == ["train", "test"]


def test_numbers_need_no_header(write):
    source = open_source(write("1,2,0\n3,4,1\n"))
    assert len(source) == 2 and source.columns == ("x1", "x2") and source.targets.tolist() == [0, 1]


def test_real_targets_are_a_regression(write):
    assert open_source(write("a,y\n1,0.5\n2,1\n")).targets.tolist() == [[0.5], [1]]
    several = open_source(write("y1,a,y2\n1,2,3\n4,5,6\n"))
    assert several.columns == ("a",) and several.targets.tolist() == [[1, 3], [4, 6]]
    assert open_source(write("a,y\n1,0\n2,1\n"), task="regress").targets.dtype == np.float32
    with pytest.raises(
        DataError, match=r"a target must be a number, but one is 'cat'. For classes leave out --task"
    ):
        open_source(write("a,y\n1,cat\n2,1\n"), task="regress")
    with pytest.raises(DataError, match=r"has 2 target columns; to classify, one column `label` is needed"):
        open_source(write("y1,a,y2\n1,2,3\n4,5,6\n"), task="classify")


def test_rows_with_gaps_are_dropped_and_named_up_to_one_in_twenty(write):
    rows = [f"{n},{n},{n % 2}" for n in range(38)]
    source = open_source(write("\n".join(["a,b,y", *rows, "1,,0", "x,1,0"])))
    assert len(source) == 38
    assert source.problems == (
        Problem("line 40", "column 'b' is empty"), Problem("line 41", "column 'a' is 'x', no number"),
    )  # fmt: skip
    with pytest.raises(
        DataError,
        match=r"3 of 41 rows cannot be used, more than 5%: line 40 \(column 'b' is empty\); line 41",
    ):
        open_source(write("\n".join(["a,b,y", *rows, "1,,0", "x,1,0", "1,nan,0"])))


def test_a_number_that_float32_cannot_hold_is_no_number(write):
    with pytest.raises(DataError, match=r"column 'a' is '1e39', no number"):
        open_source(write("a,y\n1e39,0\n1,1\n"))


def test_a_table_without_features_says_what_is_needed(write):
    with pytest.raises(
        DataError, match=r"has the columns 'label': a table of numbers needs features and a target"
    ):
        open_source(write("label\ncat\ndog\n"))


def test_the_networks_columns_are_found_by_name(write):
    data = Dataset(
        open_source(write("b,c,a,y\n" + "\n".join(f"{n},0,{-n},{n % 2}" for n in range(20)))),
        Preprocess("vector", (2,), columns=("a", "b")),
        val=0,
    )
    assert (data.train.inputs[:, 0] == -data.train.inputs[:, 1]).all() and data.train.inputs[:, 1].max() > 0
    with pytest.raises(
        DataError, match=r"lacks the columns 'd' that the network takes; it has 'b', 'c', 'a'"
    ):
        Dataset(data.source, Preprocess("vector", (2,), columns=("a", "d")))
    with pytest.raises(ShapeError, match=r"has 3 columns, the network takes 2"):
        Dataset(data.source, Preprocess("vector", (2,)))


def test_a_line_without_a_picture_is_named(tmp_path):
    table = tree(tmp_path, {"t.csv": b"path,label\ny.png,b\n,a\n", "y.png": flat(5)}) / "t.csv"
    with pytest.raises(
        DataError, match=r"t\.csv, line 3: the path is empty: name a picture there, or take the line"
    ):
        open_source(table)


@pytest.mark.parametrize("way", ["{outside}/x.png", "../{name}/x.png", "./.././{name}/x.png"])
def test_a_table_leads_to_nothing_outside_of_its_folder(tmp_path, monkeypatch, way):
    """A stranger's table could otherwise put this machine's pictures into a report. $HUBEL_DATA is the user's own word."""
    outside = tree(tmp_path / "outside", {"x.png": flat(5)})
    table = tree(tmp_path / "home", {"t.csv": b""}) / "t.csv"
    table.write_text(f"path,label\ny.png,b\n{way.format(outside=outside, name=outside.name)},a\n")
    monkeypatch.setenv("HUBEL_DATA", str(tmp_path / "another"))
    with pytest.raises(
        DataError, match=r"line 3: \S+x\.png lies outside of \S+home, the folder of the table.*HUBEL_DATA"
    ):
        open_source(table)
    monkeypatch.setenv("HUBEL_DATA", str(tmp_path))
    assert open_source(table).shape == (1, 4, 6)


def test_a_table_of_a_hundred_thousand_columns_is_read_at_once(write):
    """Comparing each name with each other would take minutes, and the suite would stand still."""
    names = [f"x{n}" for n in range(100_000)]
    assert open_source(
        write(",".join(names) + "\n" + "\n".join([",".join(["1"] * len(names))] * 2))
    ).shape == (99_999,)
    with pytest.raises(DataError, match="two columns called 'x7'"):
        open_source(write(",".join([*names, "x7"]) + "\n"))


def test_a_path_with_a_zero_byte_is_a_picture_that_is_not_there(write, pictures):
    source = open_source(write("path,label\n" + "\n".join(lines()) + "\npics/a\0.png,ant\n"))
    assert damaged(source) == [Problem("pics/a\\x00.png", "cannot be decoded: embedded null byte")]

"""Class folders on disk: what is an item, of which class, in which part; and what is skipped and named."""

import os

import numpy as np
import pytest
from making import flat, png, tree, zoo
from PIL import Image

from hubel.data import Dataset, Preprocess, Problem, open_source
from hubel.errors import DataError


def whole(source):
    """Item -> (class, part)."""
    labels = [source.classes[t] for t in source.targets]
    return dict(zip(source.items, zip(labels, source.parts.tolist(), strict=True), strict=True))


def test_class_folders_are_classes(tmp_path):
    source = open_source(tree(tmp_path / "pets", zoo("dog", "cat", each=3)))
    assert (source.name, source.kind, source.task) == ("pets", "picture", "classify")
    assert source.location == str(tmp_path / "pets")
    assert source.classes == ("cat", "dog")
    assert source.shape == (1, 4, 6) and source.uniform
    assert whole(source) == {f"{c}/{n:02d}.png": (c, "") for c in ("cat", "dog") for n in range(3)}
    assert source.counts() == {"": {"cat": 3, "dog": 3}}
    assert source.problems == ()


@pytest.mark.parametrize(
    "train, val, test",
    [("train", "val", "test"), ("Training", "Validation", "TEST"), ("TRAIN", "valid", "Testing")],
)
def test_parts_may_be_folders_in_any_case(tmp_path, train, val, test):
    files = {f"{part}/{name}": b for part in (train, val, test) for name, b in zoo("a", "b", each=2).items()}
    source = open_source(tree(tmp_path, files))
    assert source.classes == ("a", "b")
    assert source.counts() == {part: {"a": 2, "b": 2} for part in ("train", "val", "test")}
    assert whole(source)[f"{val}/b/01.png"] == ("b", "val")


def test_a_class_may_be_called_test(tmp_path):
    source = open_source(tree(tmp_path, zoo("test", "quiz", each=2)))
    assert source.classes == ("quiz", "test") and set(source.parts) == {""}


def test_a_folder_around_everything_is_looked_through(tmp_path):
    source = open_source(tree(tmp_path, {f"dataset/v2/{k}": v for k, v in zoo("a", "b", each=2).items()}))
    assert source.classes == ("a", "b") and source.items[0] == "dataset/v2/a/00.png"
    files = {f"dataset/{part}/{k}": v for part in ("train", "test") for k, v in zoo("a", "b", each=2).items()}
    assert open_source(tree(tmp_path / "2", files)).counts()["test"] == {"a": 2, "b": 2}
    beside = open_source(tree(tmp_path / "2", {"README.txt": b"", "dataset/README.txt": b""}))
    assert beside.counts()["test"] == {"a": 2, "b": 2} and beside.problems == ()


def test_numbers_as_class_names_are_in_order_of_value(tmp_path):
    assert open_source(tree(tmp_path / "1", zoo("10", "9", "0", each=2))).classes == ("0", "9", "10")
    assert open_source(tree(tmp_path / "2", zoo("10", "9", "x", each=2))).classes == ("10", "9", "x")


def test_pictures_below_a_class_belong_to_it(tmp_path):
    files = zoo("a", "b", each=2) | {"a/more/deep/x.png": flat(1)}
    assert whole(open_source(tree(tmp_path, files)))["a/more/deep/x.png"] == ("a", "")


def test_hidden_files_are_not_mentioned_and_others_are_named(tmp_path):
    files = zoo("a", "b", each=2) | {
        ".git/x/y.png": b"", "a/.DS_Store": b"", "a/._00.png": b"", "b/Thumbs.db": b"",
        "README.txt": b"", "a/notes.txt": b"", "loose.png": flat(1),
    }  # fmt: skip
    source = open_source(tree(tmp_path, files))
    assert len(source) == 4
    assert set(source.problems) == {
        Problem("a/notes.txt", "not a picture by its name"),
        Problem("loose.png", "not in a class folder"),
    }


def test_what_lies_beside_the_parts_is_named(tmp_path):
    files = {f"{part}/{k}": v for part in ("train", "test") for k, v in zoo("a", "b", each=2).items()}
    source = open_source(tree(tmp_path, files | {"extra/a/1.png": flat(1), "train/1.png": flat(1)}))
    assert len(source) == 8
    assert set(source.problems) == {
        Problem("extra/a/1.png", "beside the folders train, val and test"),
        Problem("train/1.png", "not in a class folder"),
    }


def test_an_empty_class_folder_is_no_class_and_is_named(tmp_path):
    tree(tmp_path, zoo("a", "b", each=2))
    (tmp_path / "c").mkdir()
    source = open_source(tmp_path)
    assert source.classes == ("a", "b") and source.problems == (Problem("c", "an empty folder"),)


def test_a_class_of_one_picture_is_named_and_trained_on(tmp_path):
    source = open_source(tree(tmp_path, zoo("a", "b") | {"solo/1.png": flat(1)}))
    assert source.problems == (
        Problem("solo", "a class of one picture: it can be learnt from, but nothing tests it"),
    )
    assert "solo/1.png" in Dataset(source, Preprocess("picture", (1, 4, 6))).train.items


def test_class_names_that_differ_by_case_are_an_error(tmp_path):
    with pytest.raises(DataError, match=r"the classes 'Cat' and 'cat' differ only by case. Rename one"):
        open_source(tree(tmp_path, zoo("Cat", "cat", "dog", each=2)))
    files = {"train/Cat/1.png": flat(1), "train/dog/1.png": flat(1), "test/cat/1.png": flat(1)}
    with pytest.raises(DataError, match=r"differ only by case"):
        open_source(tree(tmp_path / "parts", files))


def test_an_empty_folder_says_what_it_should_hold(tmp_path):
    with pytest.raises(
        DataError, match=r"holds nothing. Expected are class folders of pictures \(cat/1.png\)"
    ):
        open_source(tmp_path)
    tree(tmp_path, {f"{n}.png": flat(n) for n in range(3)})
    with pytest.raises(
        DataError, match=r"holds 3 pictures but no class folders. Put each class into its own"
    ):
        open_source(tmp_path)
    with pytest.raises(DataError, match=r"holds 2 files, but no picture in a class folder"):
        open_source(tree(tmp_path / "text", {"a/1.txt": b"", "b/2.txt": b""}))


def test_one_colour_picture_makes_three_channels(tmp_path):
    grey = tree(tmp_path / "g", zoo("a", "b"))
    assert open_source(grey).shape == (1, 4, 6)
    (grey / "a/colour.png").write_bytes(png(np.arange(72).reshape(4, 6, 3)))
    assert open_source(grey).shape == (3, 4, 6)


def test_a_grey_palette_counts_as_grey(tmp_path):
    image = Image.fromarray(np.zeros((4, 6), np.uint8))
    image.putpalette([5, 5, 5, 9, 9, 9])
    tree(tmp_path, zoo("a", "b"))
    image.save(tmp_path / "a/p.png")
    assert open_source(tmp_path).shape[0] == 1
    image.putpalette([5, 5, 5, 9, 9, 8])
    image.save(tmp_path / "a/p.png")
    assert open_source(tmp_path).shape[0] == 3


def test_the_natural_shape_is_the_commonest_size_or_a_median_square(tmp_path):
    mostly = tree(tmp_path / "m", zoo("a", "b", each=10) | {"a/big.png": flat(0, 40, 60)})
    assert open_source(mostly).shape == (1, 4, 6) and not open_source(mostly).uniform
    mixed = {f"{c}/{n}.png": flat(0, 20 + n, 90) for n in range(10) for c in "ab"}
    # shorter sides 20..29, median 24.5, in steps of 8
    assert open_source(tree(tmp_path / "x", mixed)).shape == (1, 24, 24)
    huge = {f"{c}/{n}.png": flat(0, 300 + n, 900) for n in range(4) for c in "ab"}
    assert open_source(tree(tmp_path / "h", huge)).shape == (1, 224, 224)


def test_listing_opens_no_picture_of_the_test_part(tmp_path):
    files = {f"{part}/{k}": v for part in ("train", "test") for k, v in zoo("a", "b", each=3).items()}
    # a look at any header of these would make it three channels of another size
    files |= {k: png(np.zeros((9, 9, 3))) for k in files if k.startswith("test/")}
    source = open_source(tree(tmp_path, files))
    assert source.shape == (1, 4, 6) and source.uniform
    assert len(Dataset(source, Preprocess("picture", (1, 4, 6))).train) == 4  # two thirds: val took its share


def test_links_that_go_in_circles_end(tmp_path):
    tree(tmp_path, zoo("a", "b", each=2))
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    assert len(open_source(tmp_path)) == 4


def test_a_name_that_commands_a_terminal_is_shown_written_out(tmp_path):
    source = open_source(tree(tmp_path, zoo("\x1b[31mred", "b", each=2)))
    assert source.classes == ("\\x1b[31mred", "b")
    assert all(item.isprintable() for item in source.items)
    assert len(Dataset(source, Preprocess("picture", (1, 4, 6))).train) == 2


def test_numbers_as_folders_can_be_regressed(tmp_path):
    source = open_source(tree(tmp_path, zoo("2.5", "-1", each=2)), task="regress")
    assert source.classes == () and source.targets.dtype == np.float32
    assert dict(zip(source.items, source.targets[:, 0].tolist(), strict=True))["2.5/00.png"] == 2.5
    with pytest.raises(DataError, match=r"a target must be a number, but one is 'cat'"):
        open_source(tree(tmp_path / "c", zoo("cat", "1", each=2)), task="regress")


def test_names_that_are_one_when_they_are_written_out_are_refused(tmp_path):
    """What may steer a terminal is written out, and then is the name of the other file."""
    files = zoo("a", "b", each=2) | {"a/\x1b.png": flat(1), "a/\\x1b.png": flat(2)}
    with pytest.raises(DataError, match=r"several items are called 'a/.*x1b\.png'\. Give each its own name"):
        open_source(tree(tmp_path, files))


def test_a_folder_within_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    scandir = os.scandir

    def locked(place):
        if str(place).endswith("b"):
            raise PermissionError(13, "Permission denied", str(place))
        return scandir(place)

    tree(tmp_path / "pets", zoo("a", "b", each=2))
    monkeypatch.setattr(os, "scandir", locked)
    with pytest.raises(DataError, match=r"the folder .*pets/b cannot be read: Permission denied"):
        open_source(tmp_path / "pets")

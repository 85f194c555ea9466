"""IDX against files packed by struct: what they hold, and each way in which they lie."""

import gzip
import struct

import numpy as np
import pytest
from making import idx

from hubel.data import Dataset, Preprocess, open_source
from hubel.errors import DataError

rng = np.random.default_rng(2)
X, X_TEST = rng.integers(0, 256, (60, 5, 7), np.uint8), rng.integers(0, 256, (12, 5, 7), np.uint8)
Y, Y_TEST = np.arange(60, dtype=np.uint8) % 3, np.arange(12, dtype=np.uint8) % 3
AS_IS = Preprocess("picture", (1, 5, 7))


@pytest.fixture
def folder(tmp_path):
    return four(tmp_path / "mine", ".gz")


def four(folder, ending="", test="t10k", dot="-"):
    folder.mkdir()
    for part, x, y in (("train", X, Y), (test, X_TEST, Y_TEST)):
        idx(folder / f"{part}-images{dot}idx3-ubyte{ending}", x)
        idx(folder / f"{part}-labels{dot}idx1-ubyte{ending}", y)
    return folder


@pytest.mark.parametrize("ending, test, dot", [(".gz", "t10k", "-"), ("", "t10k", "."), (".gz", "test", "-")])
def test_pixels_labels_and_parts_are_those_of_the_file(tmp_path, ending, test, dot):
    source = open_source(four(tmp_path / "f", ending, test, dot))
    assert source.shape == (1, 5, 7) and source.classes == ("0", "1", "2")
    assert source.counts() == {"train": dict.fromkeys("012", 20), "test": dict.fromkeys("012", 4)}
    data = Dataset(source, AS_IS)
    assert np.array_equal(data.test.inputs[:, 0], X_TEST) and data.test.targets.tolist() == Y_TEST.tolist()
    assert data.test.items[11] == "test/00011"
    for split in (data.train, data.val):
        rows = [int(item.removeprefix("train/")) for item in split.items]
        assert np.array_equal(split.inputs[:, 0], X[rows]) and np.array_equal(split.targets, Y[rows])
    assert len(data.train) == 54 and len(data.val) == 6


def test_the_test_images_stay_closed_until_they_are_asked_for(folder):
    (folder / "t10k-images-idx3-ubyte.gz").write_bytes(b"not opened")
    data = Dataset(open_source(folder), AS_IS)
    assert len(data.train) == 54 and len(data.val) == 6
    with pytest.raises(
        DataError, match=r"t10k-images-idx3-ubyte.gz is no IDX file: it begins with 6e 6f 74 20"
    ):
        _ = data.test


def test_labels_with_gaps_are_the_classes_that_occur(tmp_path):
    tmp_path = four(tmp_path / "f")
    idx(tmp_path / "train-labels-idx1-ubyte", Y * 5 + 1)
    idx(tmp_path / "t10k-labels-idx1-ubyte", Y_TEST * 5 + 1)
    assert open_source(tmp_path).classes == ("1", "6", "11")


def test_fashion_mnist_has_the_names_of_its_classes(tmp_path):
    source = open_source(four(tmp_path / "Fashion_MNIST"))
    assert (
        source.classes[0] == "T-shirt/top" and source.classes[9] == "Ankle boot" and len(source.classes) == 10
    )
    idx(tmp_path / "Fashion_MNIST" / "t10k-labels-idx1-ubyte", Y_TEST + 8)
    with pytest.raises(
        DataError, match=r"label 10 of item 62 is outside of 0\.\.9 \(10 classes: 'T-shirt/top'"
    ):
        open_source(tmp_path / "Fashion_MNIST")


def test_colour_images_have_a_fourth_axis(tmp_path):
    colour = rng.integers(0, 256, (60, 5, 7, 3), np.uint8)
    folder = four(tmp_path / "f")
    idx(folder / "train-images-idx3-ubyte", colour)
    source = open_source(folder)
    assert source.shape == (3, 5, 7)
    assert np.array_equal(source.rows.take(np.array([7, 2])), colour[[7, 2]].transpose(0, 3, 1, 2))


def fails(folder, match):
    with pytest.raises(DataError, match=match):
        _ = Dataset(open_source(folder), AS_IS).train


def test_a_truncated_file_says_what_it_promised(tmp_path):
    folder = four(tmp_path / "f")
    images = folder / "train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:-1])
    fails(
        folder,
        r"train-images-idx3-ubyte is truncated: its header promises 2,100 bytes of values, it holds 2,099",
    )
    images.write_bytes(images.read_bytes()[:10])
    fails(folder, r"is truncated: it ends inside its header of 16 bytes")
    images.write_bytes(b"")
    fails(folder, r"is no IDX file: it begins with nothing")


def test_a_truncated_gzip_is_named(folder):
    images = folder / "train-images-idx3-ubyte.gz"
    images.write_bytes(images.read_bytes()[:-400])
    fails(
        folder, r"train-images-idx3-ubyte\.gz is truncated or damaged after [\d,]+ of 2,100 bytes of values: "
    )
    idx(images, X[:-1], sizes=X.shape)
    fails(folder, r"is truncated: its header \(60, 5, 7\) promises 2,100 bytes of values, it holds 2,065")


def test_a_file_that_goes_on_is_named(folder):
    idx(folder / "train-images-idx3-ubyte.gz", X, sizes=(60, 5, 6))
    with pytest.raises(
        DataError, match=r"goes on after its end: its header \(60, 5, 6\) promises 1,800 bytes"
    ):
        _ = Dataset(open_source(folder), Preprocess("picture", (1, 5, 6))).train


def test_a_wrong_magic_number_is_shown(folder):
    images = folder / "train-images-idx3-ubyte.gz"
    images.write_bytes(gzip.compress(b"\x89PNG" + bytes(20)))
    fails(
        folder, r"it begins with 89 50 4e 47, expected is 00 00, a type \(08 = uint8\) and the number of axes"
    )
    idx(images, X.astype(">f4"), kind=13)
    fails(folder, r"has values of float32 and axes \(60, 5, 7\); pictures are uint8")
    idx(folder / "train-labels-idx1-ubyte.gz", X)
    idx(images, X)
    fails(
        folder, r"train-labels-idx1-ubyte\.gz has 3 axes \(60, 5, 7\), expected 1 \(labels are magic 2049\)"
    )


def test_a_file_damaged_in_its_first_bytes_is_named(folder):
    images = folder / "train-images-idx3-ubyte.gz"
    images.write_bytes(images.read_bytes()[:12] + b"\xff" * 50)
    fails(folder, r"train-images-idx3-ubyte\.gz is damaged: Error -3 .*\. Copy or download it again$")


def test_axes_that_hold_no_channels_are_told(folder):
    idx(folder / "train-images-idx3-ubyte.gz", np.zeros((60, 5, 7, 9), np.uint8))
    fails(
        folder,
        r"idx3-ubyte\.gz has axes \(60, 5, 7, 9\): neither the second nor the last is a number of channels \(1 or 3\)",
    )


def test_a_bomb_is_refused_by_its_header_before_memory_is_taken(folder):
    huge = struct.pack(">BBBB3I", 0, 0, 8, 3, 60, 40_000, 40_000)  # 96 GB
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(huge + bytes(1000)))
    data = Dataset(open_source(folder), Preprocess("picture", (1, 40_000, 40_000)))
    with pytest.raises(
        DataError, match=r"declares 96,000,000,000 bytes of values, more than the 17,179,869,184"
    ):
        data.source.rows.open(0)
    large = struct.pack(">BBBB3I", 0, 0, 8, 3, 60, 3_000, 3_000)  # 540 MB from a few bytes
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(large + bytes(1000)))
    with pytest.raises(
        DataError, match=r"refused as a decompression bomb: [\d,]+ bytes declare 540,000,000 bytes"
    ):
        open_source(folder).rows.open(0)


def test_images_and_labels_must_agree(folder):
    idx(folder / "train-labels-idx1-ubyte.gz", Y[:-1])
    fails(folder, r"train-images-idx3-ubyte\.gz declares 60 images, but its labels are 59")


def test_test_pictures_of_another_size_are_an_error(folder):
    idx(folder / "t10k-images-idx3-ubyte.gz", X_TEST[:, :, :6])
    with pytest.raises(DataError, match=r"has pictures of \(1, 5, 6\), the train part has \(1, 5, 7\)"):
        _ = Dataset(open_source(folder), AS_IS).test


def test_a_missing_file_is_named(folder):
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"has t10k-images-idx3-ubyte.gz but not the labels of the test part"):
        open_source(folder)
    (folder / "train-images-idx3-ubyte.gz").unlink()
    (folder / "train-labels-idx1-ubyte.gz").unlink()
    idx(folder / "t10k-labels-idx1-ubyte.gz", Y_TEST)
    with pytest.raises(DataError, match=r"has no train images, only those of test"):
        open_source(folder)


def test_two_sets_in_one_folder_are_told_apart_by_the_user(folder):
    idx(folder / "emnist-letters-train-images-idx3-ubyte", X)
    with pytest.raises(
        DataError, match=r"holds several IDX data sets \(one without a prefix, emnist-letters\)"
    ):
        open_source(folder)


def test_a_single_idx_file_is_answered_with_its_folder(folder):
    with pytest.raises(DataError, match=r"is no data set by its name; .* Give the folder that it lies in"):
        open_source(folder / "train-images-idx3-ubyte.gz")


def test_a_packed_file_is_known_by_its_bytes_not_by_its_name(folder):
    packed = folder / "train-images-idx3-ubyte.gz"
    packed.write_bytes(gzip.decompress(packed.read_bytes()))
    assert len(Dataset(open_source(folder), AS_IS).train) == 54

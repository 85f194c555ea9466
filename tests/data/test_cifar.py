"""CIFAR-10's python version, pickled here as its authors did; and pickles that want to do more."""

import io
import os
import pickle
import struct
import tarfile

import numpy as np
import pytest
from making import tree

from hubel.data import Dataset, Preprocess, cifar, open_source
from hubel.errors import DataError

rng = np.random.default_rng(4)
FILES = [f"data_batch_{n}" for n in range(1, 6)] + ["test_batch"]
AS_IS = Preprocess("picture", (3, 32, 32))
PIXELS = {file: rng.integers(0, 256, (20, 3072), np.uint8) for file in FILES}
LABELS = [n % 10 for n in range(20)]


def batch(file, protocol=2):
    held = {b"batch_label": b"x", b"labels": LABELS, b"data": PIXELS[file], b"filenames": [b"a.png"] * 20}
    return pickle.dumps(held, protocol)


def whole(protocol=2):
    return {f"cifar-10-batches-py/{file}": batch(file, protocol) for file in FILES}


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("packed", [False, True])
def test_pixels_and_labels_come_back(tmp_path, packed, protocol):
    if packed:
        with tarfile.open(tmp_path / "cifar-10-python.tar.gz", "w:gz") as out:
            for name, content in whole(protocol).items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                out.addfile(info, io.BytesIO(content))
    else:
        tree(tmp_path, whole(protocol))
    source = open_source(tmp_path)
    assert source.shape == (3, 32, 32) and source.classes[3] == "cat" and source.classes[9] == "truck"
    assert {p: sum(c.values()) for p, c in source.counts().items()} == {"train": 100, "test": 20}
    train = np.concatenate([PIXELS[file] for file in FILES[:5]])
    data = Dataset(source, AS_IS)
    for split in (data.train, data.val):
        rows = [int(item.removeprefix("train/")) for item in split.items]
        # red plane first, then green, then blue, each row by row
        assert np.array_equal(split.inputs.reshape(-1, 3072), train[rows])
        assert np.array_equal(split.targets, np.array(LABELS * 5)[rows])
    assert np.array_equal(data.test.inputs[:, 1, 0, 0], PIXELS["test_batch"][:, 1024])


def test_the_very_opcodes_of_python_2_are_read():
    """Its str is bytes without an encoding (U, T), and its numpy is at numpy.core: written out by hand."""
    pixels = rng.integers(0, 256, (2, 3072), np.uint8)
    content = (
        b"\x80\x02}(U\x06labels](K\x01K\x07eU\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
        b"K\x00\x85U\x01b\x87R(K\x01K\x02M\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + struct.pack("<i", pixels.size) + pixels.tobytes() + b"tbu."
    )  # fmt: skip
    found = cifar.load(content, "x")
    assert cifar.labels_of(found, "x").tolist() == [1, 7]
    assert np.array_equal(cifar.pixels_of(found, "x").reshape(2, 3072), pixels)


def test_an_array_saved_column_by_column_is_the_same():
    turned = {b"labels": LABELS, b"data": np.asfortranarray(PIXELS["test_batch"])}
    found = cifar.load(pickle.dumps(turned, 2), "x")
    assert np.array_equal(cifar.pixels_of(found, "x").reshape(20, 3072), PIXELS["test_batch"])


class Call:
    def __init__(self, function, *arguments):
        self.what = function, arguments

    def __reduce__(self):
        return self.what


@pytest.mark.parametrize(
    "trap, name",
    [
        (Call(os.system, "touch owned"), "posix.system"),
        (Call(eval, "1"), "__builtin__.eval"),
        (Call(getattr, "a", "b"), "__builtin__.getattr"),
        (Call(np.load, "x"), "numpy.load"),
    ],
)
def test_a_pickle_that_calls_anything_else_is_refused_unexecuted(tmp_path, monkeypatch, trap, name):
    monkeypatch.chdir(tmp_path)
    tree(
        tmp_path,
        whole() | {"cifar-10-batches-py/data_batch_3": pickle.dumps({b"labels": LABELS, b"data": trap}, 2)},
    )
    with pytest.raises(
        DataError, match=rf"data_batch_3 is not CIFAR-10's: it asks to call {name}. Nothing is executed"
    ):
        open_source(tmp_path)
    assert not (tmp_path / "owned").exists()


def test_names_with_dots_do_not_reach_through(tmp_path):
    # protocol 4 may name an attribute of an allowed class: numpy.ndarray.tofile
    content = b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93."
    with pytest.raises(DataError, match=r"it asks to call numpy\.ndarray\.tofile"):
        cifar.load(content, "x")


@pytest.mark.parametrize(
    "content, message",
    [
        (pickle.dumps([1, 2]), "is no CIFAR-10 batch: it holds a list, not a dict"),
        (pickle.dumps({b"data": 1}), r"b'labels' is not a list of whole numbers"),
        (pickle.dumps({b"labels": [0, 10], b"data": 1}), r"label 10 is outside of 0\.\.9"),
        (b"garbage", "is damaged: "),
        (b"", "is damaged: it is no pickle, or damaged at byte 0"),
    ],
)
def test_what_is_no_batch_is_said_to_be_none(tmp_path, content, message):
    tree(tmp_path, whole() | {"cifar-10-batches-py/data_batch_2": content})
    with pytest.raises(DataError, match=rf"data_batch_2.*{message}"):
        open_source(tmp_path)


def test_pixels_of_another_size_are_refused(tmp_path):
    files = whole() | {
        "cifar-10-batches-py/test_batch": pickle.dumps(
            {b"labels": LABELS, b"data": PIXELS["test_batch"][:, 1:]}, 2
        )
    }
    data = Dataset(open_source(tree(tmp_path, files)), AS_IS)
    with pytest.raises(DataError, match=r"test_batch is no CIFAR-10 batch: b'data' is not 20 × 3072 bytes"):
        _ = data.test


def test_a_missing_batch_is_named(tmp_path):
    files = whole()
    del files["cifar-10-batches-py/data_batch_4"]
    with pytest.raises(DataError, match=r"is not whole: data_batch_4 are missing"):
        open_source(tree(tmp_path, files))


def test_a_pickle_that_its_reader_cannot_build_is_damaged(tmp_path):
    # _codecs.encode, which Python 3 writes bytes by, of another encoding than the one it uses
    content = b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00ascii\x86R."
    with pytest.raises(
        DataError,
        match=r"^data_batch_1 is damaged: UnpicklingError: encode\(str, 'ascii'\)\. Download it again$",
    ):
        cifar.load(content, "data_batch_1")


def test_a_batch_that_is_far_too_large_is_not_read(tmp_path):
    tree(tmp_path, whole())
    with (tmp_path / "cifar-10-batches-py/data_batch_2").open("r+b") as file:
        file.truncate(cifar.AT_MOST + 1)  # zeros that take no room
    with pytest.raises(
        DataError,
        match=rf"data_batch_2 has {cifar.AT_MOST + 1:,} bytes; a CIFAR-10 batch has about 31 million\. Download it again",
    ):
        open_source(tmp_path)

"""Names and paths: which wins, what is found where, and what is not imported or opened on the way."""

import hashlib
import subprocess
import sys

import needs
import numpy as np
import pytest
from making import idx, tar, tree, zoo

from hubel.data import Dataset, Preprocess, download, open_source, sources
from hubel.errors import DataError, InputError, MissingExtra, UnknownName


def as_it_is(source, **how):
    return Dataset(source, Preprocess.to_fit(source.kind, source.shape, source.shape), **how)


def small_mnist(folder, level):
    folder.mkdir(parents=True)
    for part, n in (("train", 40), ("t10k", 8)):
        idx(folder / f"{part}-images-idx3-ubyte.gz", np.full((n, 28, 28), level, np.uint8))
        idx(folder / f"{part}-labels-idx1-ubyte.gz", np.arange(n, dtype=np.uint8) % 4)
    return folder


@pytest.fixture
def places(tmp_path, monkeypatch):
    """HUBEL_DATA and the user's cache, both empty; a download is a failure; here is an empty folder."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HUBEL_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(download, "cache_folder", lambda name: tmp_path / "cache" / name)
    monkeypatch.setattr(download, "fetch", lambda name: pytest.fail(f"{name} would be downloaded"))
    return tmp_path


def level(source):
    return int(source.rows.take(np.array([0])).max())


def test_a_name_is_looked_for_in_hubel_data_then_in_the_cache_then_fetched(places, monkeypatch):
    monkeypatch.setattr(download, "fetch", lambda name: small_mnist(places / "fetched", 3))
    assert level(open_source("mnist")) == 3
    small_mnist(places / "cache/mnist", 2)
    assert level(open_source("mnist")) == 2
    small_mnist(places / "data/mnist", 1)
    assert level(open_source("mnist")) == 1
    (places / "data/mnist/t10k-labels-idx1-ubyte.gz").unlink()
    (places / "data/mnist/t10k-images-idx3-ubyte.gz").unlink()
    assert level(open_source("mnist")) == 2, "a part of the files is none"


def test_a_known_name_means_the_data_set_and_a_path_says_so(places):
    small_mnist(places / "data/mnist", 1)
    small_mnist(places / "here/mnist", 9)
    source = open_source("mnist")
    assert level(source) == 1 and (source.name, source.location) == ("mnist", "mnist")
    mine = open_source("./mnist")
    assert level(mine) == 9 and mine.location == str(places / "here/mnist")


def test_a_folder_of_hubel_data_has_a_name_unless_one_is_here(places):
    tree(places / "data/things", zoo("a", "b"))
    assert open_source("things").location == str(places / "data/things")
    tree(places / "here/things", zoo("c", "d"))
    assert open_source("things").classes == ("c", "d")


def test_what_is_neither_a_name_nor_a_path_gets_both_answers(places):
    with pytest.raises(
        UnknownName,
        match=r"no data set named 'mnits'. Did you mean 'mnist'\? Known: digits, .*Nor is there a file",
    ):
        open_source("mnits")
    with pytest.raises(DataError, match=r"there is no file or folder \S+/here/pics/cats"):
        open_source("pics/cats")
    with pytest.raises(DataError, match=r"there is no file or folder \S+/here/signs\.tar"):
        open_source("signs.tar")


def test_a_file_of_another_kind_is_told_what_is_read(places):
    (places / "here/a.xlsx").write_bytes(b"")
    with pytest.raises(
        DataError, match=r"a\.xlsx is no data set by its name; read are folders, \.tar\.gz, \.tgz, \.tar"
    ):
        open_source("a.xlsx")


@pytest.mark.parametrize(
    "path, name",
    [
        ("signs-64.tar", "signs-64"),
        ("my cats & dogs.tar.gz", "my-cats-dogs"),
        ("v1.2.tgz", "v1.2"),
        ("Ünïcode.zip", "Ünïcode"),
    ],
)
def test_a_name_for_run_folders_comes_from_the_path(places, path, name):
    from making import zipped

    make = (
        zipped if path.endswith("zip") else lambda p, f: tar(p, f, "w" if path.endswith(".tar") else "w:gz")
    )
    assert open_source(make(places / path, zoo("a", "b"))).name == name


def test_a_source_is_taken_as_it_is():
    source = open_source("points")
    assert open_source(source) is source


def test_an_unreadable_folder_is_named(places, monkeypatch):
    monkeypatch.setattr(sources.os, "access", lambda *_: False)
    with pytest.raises(DataError, match=r"here may not be read: its permissions forbid it"):
        open_source(places / "here")


def test_without_pyarrow_the_line_that_installs_it_is_said(tmp_path, monkeypatch):
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtra, match=r'Parquet files needs pyarrow, .* pip install .*"\.\[parquet\]"'):
        open_source(tmp_path / "x.parquet")


def test_an_address_whose_package_is_missing_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(
        InputError, match=r"^s3://key:…@bucket/x/\S+ needs a package that is not installed: Install s3fs"
    ):
        open_source("s3://key:secret@bucket/x")


def test_nothing_heavy_is_imported_for_listing(tmp_path):
    folder = tree(tmp_path, zoo("a", "b"))
    code = f"""
import sys
from hubel.data import open_source, Dataset, Preprocess
assert "PIL.Image" not in sys.modules, "Pillow"
source = open_source({str(folder)!r})
open_source("points")
Dataset(source, Preprocess("picture", (1, 4, 6))).train
found = {{"torch", "sklearn", "matplotlib", "pandas", "scipy", "urllib.request"}} & set(sys.modules)
assert not found, found
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# ---- what comes along ----


def test_digits_are_scikit_learns_stretched_to_255():
    from sklearn.datasets import load_digits

    source = open_source("digits")
    assert source.shape == (1, 8, 8) and source.classes == tuple("0123456789") and len(source) == 1797
    taken = source.rows.take(np.arange(1797))[:, 0]
    assert taken.max() == 255 and np.abs(taken - load_digits().images * 255 / 16).max() <= 0.5
    assert as_it_is(source).counts() == {"train": 1258, "val": 180, "test": 359}


def test_the_points_are_the_lectures_and_in_every_part():
    data = as_it_is(open_source("points"))
    for split in (data.train, data.val, data.test):
        assert split.inputs.tolist() == [[3, 1], [2, 5], [1, 8], [6, 4], [5, 2], [3, 5], [4, 7], [4, -1]]
        assert split.targets.tolist() == [0, 1, 1, 0, 0, 1, 1, 0]
    assert data.counts() == {"train": 8, "val": 8, "test": 8}
    assert data.class_counts()["test"] == {"0": 4, "1": 4}


def test_sum_below_one_is_the_lectures_draw():
    source = open_source("sum-below-one", task="regress")
    x = as_it_is(source).train.inputs
    assert x.shape == (32, 2) and x.dtype == np.float32
    # RandomState(23455).rand(32, 2) begins so (NumPy's Mersenne Twister does not change)
    assert np.allclose(x[0], np.random.RandomState(23455).rand(2), atol=1e-7)
    assert source.task == "regress" and (source.targets[:, 0] == (x.sum(1) < 1)).all()
    assert 0 < source.targets.sum() < 32


# ---- the real data ----


def test_mnist_is_55000_5000_10000_and_has_its_published_mean(monkeypatch):
    monkeypatch.setenv("HUBEL_DATA", str(needs.data("mnist").parent))
    data = as_it_is(open_source("mnist"))
    assert data.counts() == {"train": 55_000, "val": 5_000, "test": 10_000}
    # the mean and deviation that everybody normalises MNIST's train images by: 0.1307, 0.3081
    both = np.concatenate([data.train.inputs, data.val.inputs])
    found = data.preprocess.with_statistics(both)
    assert round(found.mean[0], 4) == 0.1307 and round(found.std[0], 4) == 0.3081
    assert data.test.targets[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


def test_fashion_mnist_has_its_published_mean(monkeypatch):
    monkeypatch.setenv("HUBEL_DATA", str(needs.data("fashion-mnist").parent))
    data = as_it_is(open_source("fashion-mnist"), val=0)
    found = data.preprocess.with_statistics(data.train.inputs)
    assert round(found.mean[0], 4) == 0.2860 and round(found.std[0], 4) == 0.3530
    assert data.classes[data.test.targets[0]] == "Ankle boot"


def test_cifar10_as_jpegs_is_45000_5000_10000(monkeypatch):
    monkeypatch.setenv("HUBEL_DATA", str(needs.data("cifar10").parent))
    source = open_source("cifar10")
    assert (
        source.shape == (3, 32, 32)
        and source.classes[:2] == ("airplane", "automobile")
        and source.problems == ()
    )
    assert source.counts() == {
        p: dict.fromkeys(source.classes, n) for p, n in (("train", 5000), ("test", 1000))
    }
    data = as_it_is(source)
    assert data.counts() == {"train": 45_000, "val": 5_000, "test": 10_000}
    assert data.test.inputs.shape == (10_000, 3, 32, 32) and data.problems == ()


@pytest.mark.parametrize(
    "name, file, shape, counts",
    [
        ("signs", "signs-64.tar", (3, 64, 64), {"train": 1486, "val": 165, "test": 411}),
        ("lfw_faces", "lfw-dev.tar", (3, 112, 112), {"train": 986, "val": 265, "test": 0}),
        ("orl_faces", "orl_faces.tar", (1, 112, 92), {"train": 280, "val": 40, "test": 80}),
    ],
)
def test_archives_of_the_real_data_have_what_their_readme_says(name, file, shape, counts):
    source = open_source(needs.data(name) / file)
    assert source.shape == shape and source.uniform and source.problems == ()
    data = as_it_is(source)
    assert data.counts() == counts
    assert len(data.train) == counts["train"] and data.problems == ()


def test_orl_faces_are_decoded_without_loss():
    split = as_it_is(open_source(needs.data("orl_faces") / "orl_faces.tar"), val=0).test
    # the README: 400 of the 400 images are distinct byte for byte
    assert len({hashlib.sha256(x.tobytes()).digest() for x in split.inputs}) == len(split) == 80

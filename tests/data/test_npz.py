"""Arrays in an .npz: what numpy saved comes back as pictures or numbers; nothing of it is unpickled."""

import io
import zipfile

import numpy as np
import pytest

from hubel.data import Dataset, Preprocess, limits, open_source
from hubel.errors import DataError

rng = np.random.default_rng(3)
X = rng.integers(0, 256, (30, 5, 7), np.uint8)
Y = np.arange(30) % 3


def saved(path, **arrays):
    np.savez_compressed(path, **arrays)
    return path


@pytest.fixture
def at(tmp_path):
    return tmp_path / "a.npz"


@pytest.mark.parametrize("x, y", [("x", "y"), ("X", "labels"), ("images", "target"), ("data", "Y")])
def test_pictures_and_classes_come_back(at, x, y):
    source = open_source(saved(at, **{x: X, y: Y + 4}))
    assert (source.name, source.kind, source.task) == ("a", "picture", "classify")
    assert source.shape == (1, 5, 7) and source.classes == ("4", "5", "6") and set(source.parts) == {""}
    assert np.array_equal(source.rows.take(np.array([9, 2])), X[[9, 2]][:, None])


def test_kerass_own_names_are_parts_and_test_stays_closed(at, monkeypatch):
    saved(at, x_train=X, y_train=Y, x_test=X[:6] // 2, y_test=Y[:6])
    data = Dataset(open_source(at), Preprocess("picture", (1, 5, 7)))
    assert data.counts() == {"train": 27, "val": 3, "test": 6}
    read = []
    npz, ours = type(data.source.rows.file), data.source.rows.file.read
    monkeypatch.setattr(npz, "read", lambda self, key: read.append(key) or ours(key))
    assert len(data.train) == 27 and len(data.val) == 3 and read == ["x_train"]
    assert np.array_equal(data.test.inputs[:, 0], X[:6] // 2) and read == ["x_train", "x_test"]
    assert data.test.items[5] == "test/00005"


@pytest.mark.parametrize("shape", [(30, 5, 7, 3), (30, 3, 5, 7)])
def test_colour_may_be_first_or_last(at, shape):
    x = rng.integers(0, 256, shape, np.uint8)
    source = open_source(saved(at, x=x, y=Y))
    assert source.shape == (3, 5, 7)
    first = x if shape[1] == 3 else np.moveaxis(x, 3, 1)
    assert np.array_equal(source.rows.take(np.arange(30)), first)


@pytest.mark.parametrize(
    "x", [X / 255, (X / 255).astype(np.float32), X.astype(np.int64), X.astype(np.uint16)]
)
def test_pixels_of_other_types_become_uint8(at, x):
    assert np.array_equal(open_source(saved(at, x=x, y=Y)).rows.take(np.arange(30))[:, 0], X)


def test_booleans_are_black_and_white(at):
    taken = open_source(saved(at, x=X > 99, y=Y)).rows.take(np.arange(30))
    assert np.array_equal(taken[:, 0], np.where(X > 99, 255, 0))


def test_pixels_out_of_range_are_refused(at):
    with pytest.raises(
        DataError, match=r"x: float pixels must lie in 0\.\.1, but here .* to 255. Divide by 255"
    ):
        open_source(saved(at, x=np.full((3, 5, 7), 255.0), y=Y[:3])).rows.take(np.arange(3))
    with pytest.raises(DataError, match=r"x are pixels of int64 from -1 to -1, expected are 0\.\.255"):
        open_source(saved(at, x=np.full((3, 5, 7), -1), y=Y[:3])).rows.take(np.arange(3))


def test_two_axes_are_numbers(at):
    x = rng.standard_normal((30, 4))
    source = open_source(saved(at, x=x, y=Y))
    assert source.kind == "vector" and source.shape == (4,) and source.columns == ("x1", "x2", "x3", "x4")
    assert np.array_equal(source.rows.take(np.array([3, 1])), x[[3, 1]].astype(np.float32))


def test_real_targets_are_a_regression(at):
    y = rng.standard_normal((30, 2))
    source = open_source(saved(at, x=X, y=y))
    assert source.task == "regress" and source.classes == ()
    assert source.targets.dtype == np.float32 and np.array_equal(source.targets, y.astype(np.float32))
    whole = open_source(saved(at, x=X, y=Y), task="regress")
    assert whole.targets.shape == (30, 1) and whole.targets[4, 0] == 1
    assert open_source(saved(at, x=X, y=Y.astype(float)), task="classify").classes == ("0", "1", "2")
    with pytest.raises(DataError, match=r"must be \(N,\) whole numbers or text, not float64 \(30, 2\)"):
        open_source(saved(at, x=X, y=y), task="classify")


def test_labels_may_be_text_or_have_names(at):
    text = np.array(["cat", "dog", "10"])[Y]
    assert open_source(saved(at, x=X, y=text)).classes == ("10", "cat", "dog")
    names = np.array(["ant", "bee", "cow", "doe"])
    source = open_source(saved(at, x=X, y=Y[:, None], class_names=names))
    assert source.classes == tuple(names) and source.targets.tolist() == Y.tolist()
    with pytest.raises(
        DataError, match=r"label 4 of item 0 is outside of 0\.\.3 \(4 classes: .*30 of 30 labels are"
    ):
        open_source(saved(at, x=X, y=Y + 4, class_names=names))


NO_TEXT = np.array([0x110000] * 30, np.uint32).view("U1")  # one behind the last letter of Unicode, U+10FFFF


@pytest.mark.parametrize("x, y, task, message", [
    (X, np.full((30, 2, 2), 0.5), None, r"a\.npz: to regress, targets must be numbers \(N,\) or \(N, T\), not float64 "
     r"\(30, 2, 2\)\. For classes leave out --task regress"),
    (X, np.array(["cat"] * 30), "regress", r"must be numbers .*, not <U3 \(30,\)"),
    (X, np.where(np.arange(60) > 8, np.inf, 1).reshape(30, 2), None, r"targets must be finite numbers, but those of item "
     r"4 are 1\.0, inf; 26 of 30 items are so"),
    (X, np.full(30, 2**63 + 5, np.uint64), None, r"the class label 9,223,372,036,854,775,813 is larger than "
     r"9,223,372,036,854,775,807, .*\. Number the classes from 0"),
    (X, NO_TEXT, None, r"a\.npz: a name is no text, it has a letter behind U\+10FFFF.*\. Save the names again, or "
     "number the classes"),
    (X[:, 0, 0], Y, None, r"x is uint8 \(30,\); inputs are \(N, D\) numbers, or \(N, H, W\), "),
    (X + 1j, Y, None, r"x is complex128 \(30, 5, 7\); inputs are .* pixels\. Save them so"),
])  # fmt: skip
def test_what_no_network_could_use_is_told(at, x, y, task, message):
    with pytest.raises(DataError, match=message):
        open_source(saved(at, x=x, y=y), task=task)


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was run",))


def test_python_objects_are_refused_unopened(at):
    saved(at, x=X[:2], y=np.array([Trap(), 1], dtype=object))
    with pytest.raises(DataError, match=r"the array y holds Python objects, .* nothing is executed on load"):
        open_source(at)


def test_rows_and_labels_must_agree(at):
    with pytest.raises(DataError, match=r"x has 30 rows, but y has 29"):
        open_source(saved(at, x=X, y=Y[1:]))


def test_what_is_missing_is_named(at):
    with pytest.raises(
        DataError, match=r"has x but no labels for it \(looked for y, Y, labels, label, target, targets\)"
    ):
        open_source(saved(at, x=X))
    with pytest.raises(DataError, match=r"has the arrays 'a', 'b'; none is called x, X, images"):
        open_source(saved(at, a=X, b=Y))
    with pytest.raises(DataError, match=r"neither axis 1 nor axis 3 of x .* is a number of channels"):
        open_source(saved(at, x=np.zeros((3, 5, 7, 9), np.uint8), y=Y[:3]))
    with pytest.raises(DataError, match=r"its parts have different shapes"):
        open_source(saved(at, x_train=X, y_train=Y, x_test=X[:3, :4], y_test=Y[:3]))


def test_a_damaged_file_is_named(at):
    at.write_bytes(b"PK nothing")
    with pytest.raises(DataError, match=r"a\.npz is no \.npz, or damaged"):
        open_source(at)


def test_a_header_that_declares_too_much_is_refused(at, monkeypatch):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (10**12, 5, 7)}
    )
    with zipfile.ZipFile(at, "w") as out:
        out.writestr("x.npy", header.getvalue() + bytes(100))
    with zipfile.ZipFile(at, "a") as out, out.open("y.npy", "w") as member:
        np.save(member, Y)
    with pytest.raises(
        DataError, match=r"the array x .* needs 35,000,000,000,000 bytes, the file declares 100"
    ):
        open_source(at)
    monkeypatch.setattr(limits, "FREE", 1000)
    with pytest.raises(DataError, match=r"refused as a decompression bomb"):
        open_source(saved(at, x=np.zeros((300, 40, 40), np.uint8), y=np.zeros(300, int)))


def test_a_number_that_is_not_finite_is_named_by_row(at):
    x = np.ones((5, 2))
    x[3, 1] = np.inf
    with pytest.raises(DataError, match=r"x has a number that is not finite in row 3"):
        open_source(saved(at, x=x, y=Y[:5])).rows.take(np.arange(5))

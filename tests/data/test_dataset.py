"""Source and Dataset: parts on demand, counts without decoding, and what is said when nothing can be learnt."""

import numpy as np
import pytest
from making import idx, tree, zoo

from hubel.data import Dataset, Preprocess, open_source
from hubel.errors import DataError, InputError

AS_IS = Preprocess("picture", (1, 4, 6))


def parted(root, *parts, classes=("a", "b"), each=4):
    return tree(root, {f"{p}/{k}": v for p in parts for k, v in zoo(*classes, each=each).items()})


def of_arrays(root, x):
    """(N, h, w) as an IDX file of two classes, seen at 8x8."""
    idx(root / "train-images-idx3-ubyte", x)
    idx(root / "train-labels-idx1-ubyte", np.arange(len(x), dtype=np.uint8) % 2)
    source = open_source(root)
    return Dataset(source, Preprocess.to_fit("picture", source.shape, (1, 8, 8)))


def test_counts_need_no_decoding(tmp_path):
    tree(tmp_path, {f"{c}/{n}.png": b"no picture" for c in "ab" for n in range(10)})
    data = Dataset(open_source(tmp_path), AS_IS, seed=3)
    assert data.counts() == {"train": 14, "val": 2, "test": 4}
    assert data.class_counts() == {p: {"a": n, "b": n} for p, n in (("train", 7), ("val", 1), ("test", 2))}
    assert "train 14, val 2, test 4" in repr(data)


def test_parts_are_disjoint_and_complete_and_made_once(tmp_path):
    source = open_source(tree(tmp_path, zoo("a", "b")))
    data = Dataset(source, AS_IS)
    items = [*data.train.items, *data.val.items, *data.test.items]
    assert sorted(items) == sorted(source.items) and len(set(items)) == 20
    assert data.train is data.part("train")
    with pytest.raises(InputError, match=r"no part named 'all': it is one of train, val, test"):
        data.part("all")


def test_the_seed_chooses_the_parts(tmp_path):
    source = open_source(tree(tmp_path, zoo("a", "b")))
    assert Dataset(source, AS_IS, seed=1).test.items != Dataset(source, AS_IS, seed=2).test.items
    assert Dataset(source, AS_IS, seed=1).test.items == Dataset(source, AS_IS, seed=1).test.items


def test_train_and_val_without_test_leave_test_empty(tmp_path):
    data = Dataset(open_source(parted(tmp_path, "train", "val")), AS_IS)
    assert data.counts() == {"train": 8, "val": 8, "test": 0}
    assert len(data.test) == 0 and data.test.inputs.shape == (0, 1, 4, 6) and data.test.targets.shape == (0,)


def test_a_place_of_test_pictures_only_can_be_evaluated_not_trained_on(tmp_path):
    data = Dataset(open_source(parted(tmp_path, "test")), AS_IS)
    assert len(data.test) == 8
    with pytest.raises(DataError, match=r"has no items to train on: it has only test"):
        _ = data.train


def test_a_class_that_only_test_has_is_an_error_of_train(tmp_path):
    parted(tmp_path, "train", "test")
    data = Dataset(
        open_source(tree(tmp_path, {f"test/{k}": v for k, v in zoo("new", each=2).items()})), AS_IS
    )
    assert len(data.test) == 10
    with pytest.raises(
        DataError, match=r"has no item of 'new' in train\. Add pictures of it to the training part, or"
    ):
        _ = data.train


def test_one_class_alone_is_nothing_to_learn(tmp_path):
    data = Dataset(open_source(tree(tmp_path, zoo("only"))), AS_IS)
    assert len(data.test) == 2
    with pytest.raises(DataError, match=r"has one class, 'only': there is nothing to tell apart"):
        _ = data.train


def test_pictures_are_brought_to_the_shape_that_is_asked_for(tmp_path):
    data = Dataset(open_source(tree(tmp_path, zoo("a", "b"))), Preprocess("picture", (3, 7, 8), "pad"))
    x = dict(zip(data.train.items, data.train.inputs, strict=True))
    name = data.train.items[-1]
    level = 10 * (name[0] == "b") + int(name[2:4])
    assert np.array_equal(x[name], np.pad(np.full((3, 4, 6), level), ((0, 0), (1, 2), (1, 1))))


def test_arrays_are_brought_to_the_shape_too(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (20, 5, 7), np.uint8)
    data = of_arrays(tmp_path, x)
    rows = [int(i[-5:]) for i in data.train.items]
    assert np.array_equal(data.train.inputs, np.pad(x[rows], ((0, 0), (1, 2), (0, 1)))[:, None])


def test_some_of_a_part_are_spread_over_it_without_decoding_the_others(tmp_path, monkeypatch):
    data = Dataset(
        open_source(tree(tmp_path, zoo("a", "b"))), Preprocess("picture", (1, 6, 6), "pad"), seed=1
    )
    whole = data.test.inputs
    found = Dataset(data.source, data.preprocess, seed=1)
    decoded = []
    picture = Preprocess.picture
    monkeypatch.setattr(Preprocess, "picture", lambda self, file: decoded.append(file) or picture(self, file))
    assert len(whole) == 4 and np.array_equal(found.some("test", 2), whole[[0, 3]]) and len(decoded) == 2
    assert np.array_equal(found.some("test", 9), whole) and found._ready == {}
    (tmp_path / data.test.items[0]).write_bytes(b"no picture any more")
    assert np.array_equal(found.some("test", 2), whole[[3]])


def test_some_of_arrays_are_as_in_their_part(tmp_path):
    data = of_arrays(tmp_path, np.random.default_rng(0).integers(0, 256, (20, 5, 7), np.uint8))
    whole = data.train.inputs
    assert np.array_equal(data.some("train", 3), whole[[0, (len(whole) - 1) // 2, -1]])
    (tmp_path / "rows.csv").write_text(
        "a,b,label\n" + "".join(f"{k},{-k},{'xy'[k % 2]}\n" for k in range(20))
    )
    turned = Dataset(open_source(tmp_path / "rows.csv"), Preprocess("vector", (2,), columns=("b", "a")))
    assert np.array_equal(turned.some("train", 99), turned.train.inputs)
    assert np.array_equal(turned.some("train", 1)[0], turned.train.inputs[0])


def test_pictures_do_not_go_into_a_network_for_numbers(tmp_path):
    source = open_source(tree(tmp_path / "pets", zoo("a", "b")))
    with pytest.raises(InputError, match=r"pets holds pictures, but the network takes vectors"):
        Dataset(source, Preprocess("vector", (2,)))


def test_inputs_are_uint8_and_targets_int64(tmp_path):
    split = Dataset(open_source(tree(tmp_path, zoo("a", "b"))), AS_IS).train
    assert split.inputs.dtype == np.uint8 and split.targets.dtype == np.int64
    assert len(split) == len(split.inputs) == len(split.targets) == len(split.items)

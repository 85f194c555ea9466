"""The split: laws that hold for every data set, and the lectures' numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubel.data.split import assign, quota
from hubel.errors import DataError


def told(labels, parts=None):
    items = [f"{label}/{n}.png" for n, label in enumerate(labels)]
    parts = np.full(len(items), "", "<U5") if parts is None else np.array(parts, "<U5")
    return parts, np.array(labels, np.int64), items


def sizes(out):
    return [int((out == part).sum()) for part in ("train", "val", "test")]


labels = st.lists(st.integers(1, 40), min_size=1, max_size=8).map(
    lambda counts: [k for k, n in enumerate(counts) for _ in range(n)]
)


@settings(deadline=None)
@given(labels, st.integers(0, 99))
def test_every_class_of_three_is_in_all_parts_in_about_its_share(y, seed):
    parts, targets, items = told(y)
    out = assign(parts, targets, items, seed=seed)
    assert set(out.tolist()) <= {"train", "val", "test"}  # complete, and disjoint by being one word each
    for k, n in enumerate(np.bincount(targets)):
        train, val, test = sizes(out[targets == k])
        assert train >= 1
        if n >= 3:
            assert val >= 1 and test >= 1
        assert abs(test - 0.2 * n) <= 1.0 and abs(val - 0.1 * n) <= 1.1


@settings(deadline=None)
@given(labels, st.integers(0, 99), st.randoms())
def test_the_order_of_the_files_does_not_matter(y, seed, random):
    parts, targets, items = told(y)
    out = assign(parts, targets, items, seed=seed)
    order = list(range(len(items)))
    random.shuffle(order)
    again = assign(parts[order], targets[order], [items[i] for i in order], seed=seed)
    assert again.tolist() == out[order].tolist()


def test_a_new_file_moves_few_others():
    parts, targets, items = told([0] * 100 + [1] * 100)
    before = dict(zip(items, assign(parts, targets, items, seed=1).tolist(), strict=True))
    parts, targets = np.append(parts, ""), np.append(targets, 0)
    after = dict(
        zip(
            [*items, "0/new.png"], assign(parts, targets, [*items, "0/new.png"], seed=1).tolist(), strict=True
        )
    )
    assert sum(before[i] != after[i] for i in items) <= 4


def test_the_seed_matters():
    parts, targets, items = told([0] * 50 + [1] * 50)
    assert assign(parts, targets, items, seed=0).tolist() != assign(parts, targets, items, seed=1).tolist()


def test_one_hundred_are_70_10_20():
    assert sizes(assign(*told([0] * 60 + [1] * 40), seed=3)) == [70, 10, 20]
    # only train given is nothing given
    assert sizes(assign(*told([0] * 60 + [1] * 40, ["train"] * 100), seed=3)) == [70, 10, 20]


def test_mnist_is_55000_5000_10000():
    # 60,000 / 10 = 6,000, but no more than 5,000; MNIST's own class counts, which do not divide
    train = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    y = [k for k, n in enumerate(train) for _ in range(n)] + [0] * 10_000
    out = assign(*told(y, ["train"] * 60_000 + ["test"] * 10_000), seed=0)
    assert sizes(out) == [55_000, 5_000, 10_000]
    assert (out[60_000:] == "test").all()
    val = np.bincount(np.array(y)[out == "val"])
    assert np.abs(val - np.array(train) / 12).max() < 1  # stratified: 5,000 / 60,000 of each class


def test_given_train_and_test_lose_a_tenth_of_train():
    assert sizes(assign(*told([0] * 300 + [0] * 20, ["train"] * 300 + ["test"] * 20), seed=0)) == [
        270,
        30,
        20,
    ]


def test_given_train_and_val_stay_as_they_are():
    out = assign(*told([0] * 30, ["train"] * 20 + ["val"] * 10), seed=0)
    assert out.tolist() == ["train"] * 20 + ["val"] * 10


def test_what_the_user_says_of_val_wins():
    parts = ["train"] * 80 + ["val"] * 20 + ["test"] * 10
    assert sizes(assign(*told([0] * 110, parts), seed=0, val=7)) == [93, 7, 10]
    assert sizes(assign(*told([0] * 110, parts), seed=0, val=0.5)) == [50, 50, 10]
    assert sizes(assign(*told([0] * 110, parts), seed=0, val=0)) == [100, 0, 10]
    assert sizes(assign(*told([0] * 110), seed=0, val=30)) == [58, 30, 22]


@pytest.mark.parametrize("val", [-1, -0.1, 2.5, 100, float("nan")])
def test_an_impossible_val_is_refused(val):
    with pytest.raises(DataError, match=r"a number of items below the 80 outside of test; it is"):
        assign(*told([0] * 100), seed=0, val=val)


def test_the_last_item_of_a_class_stays_in_train():
    out = assign(*told([0] * 10 + [1]), seed=0, val=5)
    assert out[-1] == "train"


def test_a_regression_is_split_as_one_group():
    targets = np.linspace(0, 1, 50, dtype=np.float32)[:, None]
    out = assign(np.full(50, "", "<U5"), targets, [str(i) for i in range(50)], seed=0)
    assert sizes(out) == [35, 5, 10]


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=20), st.floats(0, 1))
def test_a_quota_is_exact_and_within_one_of_its_share(counts, share):
    counts = np.array(counts)
    total = round(share * counts.sum())
    out = quota(counts, total)
    assert out.sum() == total and (out <= counts).all()
    assert np.abs(out - counts * (total / max(1, counts.sum()))).max() < 1

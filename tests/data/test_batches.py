import numpy as np
import pytest

from hubel.data.batches import WINDOW, batches, mixed, order, steps_in


def test_the_order_is_a_function_of_seed_and_epoch():
    assert np.array_equal(order(3, 5, 100), order(3, 5, 100))
    different = {tuple(order(s, e, 100)) for s, e in ((3, 5), (3, 6), (4, 5), (5, 3))}
    assert len(different) == 4


@pytest.mark.parametrize(("count", "size"), [(10, 4), (9, 4), (8, 4), (3, 8), (1, 8), (5, 1), (7, 0)])
def test_every_item_comes_exactly_once(count, size):
    parts = list(batches(count, size, seed=1, epoch=2))
    assert sorted(np.concatenate(parts)) == list(range(count))
    assert len(parts) == steps_in(count, size)
    assert all(len(p) > 1 for p in parts) or count == 1 or size == 1


def test_without_shuffling_the_datas_own_order_stays():
    parts = list(batches(9, 4, seed=1, epoch=2, shuffle=False))
    assert [p.tolist() for p in parts] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7, 8],
    ]  # a last batch of one joins the one before


def test_places_are_evenly_visited():
    # Over many epochs each item stands first about equally often: 2,000 draws of 20, expectation 100, sd under 10.
    first = np.bincount([order(0, e, 20)[0] for e in range(2000)], minlength=20)
    assert first.min() > 50 and first.max() < 150


@pytest.mark.parametrize(("count", "block"), [(1000, 3), (64 * 5, 5), (7, 256), (1, 1), (64 * 5 + 1, 5)])
def test_windows_hold_every_item_once_whatever_the_block(count, block):
    windows = list(mixed(1, 2, count, block))
    assert sorted(np.concatenate(windows).tolist()) == list(range(count))
    assert all(len(w) <= WINDOW * block for w in windows)
    assert np.array_equal(np.concatenate(windows), np.concatenate(list(mixed(1, 2, count, block))))
    cut = list(batches(count, 6, seed=1, epoch=2, block=block))
    assert np.array_equal(
        np.concatenate(cut), np.concatenate(windows)
    )  # batches are cut from the windows, in order
    assert [len(b) for b in cut] == [len(b) for b in batches(count, 6, seed=1, epoch=2)]


def test_windows_are_another_order_in_each_epoch_and_mix_what_lay_apart():
    # 100 blocks of 10: a window is 640 items of 1,000. Neighbours in the new order lie far apart in the old one: the mean
    # distance of two items drawn from n is n / 3.
    first, second = (np.concatenate(list(mixed(0, epoch, 1000, 10))) for epoch in (1, 2))
    assert np.count_nonzero(first == second) < 20
    assert 250 < np.abs(np.diff(first)).mean() < 420
    # Of the first half of the windows' items about as many were stored early as late: expected 320, sd under 60.
    assert 140 < np.count_nonzero(first[:640] < 500) < 500

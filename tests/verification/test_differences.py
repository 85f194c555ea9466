"""The measure by hand: what is relative to what, and what is infinitely far apart."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hubel.verification.differences import Difference, difference, differences, largest

A = np.array([[1.0, -4.0], [0.0, 2.0]])


def test_the_error_is_relative_to_the_largest_number_of_the_array():
    # the cell of 0 is off by 0.02, of an array whose largest number is 4 in size
    assert difference("y", A + np.array([[0, 0], [0.02, 0]]), A) == Difference(pytest.approx(0.005), "y")
    assert difference("y", A - np.array([[0, 0], [0, 0.08]]), A).error == pytest.approx(0.02)  # whichever way


def test_the_wanted_array_is_the_measure():
    assert difference("y", np.array([3.0]), np.array([2.0])).error == 0.5  # and not 1 / 3


def test_what_is_alike_is_not_apart():
    for array in (A, np.zeros((2, 0)), np.zeros(3), np.array(5), np.float32(2)):
        assert difference("y", np.asarray(array), np.asarray(array)).error == 0


def test_masks_and_counts_can_be_compared_too():
    mask = np.array([True, False])
    assert (difference("m", mask, mask).error, difference("m", ~mask, mask).error) == (0, 1)
    assert difference("n", np.array(7), np.array(8)).error == 1 / 8


def test_any_number_is_infinitely_far_from_an_array_of_zeros():
    assert difference("y", np.array([0.0, 1e-300]), np.zeros(2)).error == math.inf


def test_a_floor_takes_the_place_of_a_size_that_is_all_rounding():
    tiny = np.array([1e-17])
    assert difference("db", tiny, -tiny).error == 2
    # the largest of both is 4, a tenth of which is 0.4; 2e-17 / 0.4
    dx, db = differences(["dx", "db"], [A, tiny], [A, -tiny], 0.1)
    assert (dx.error, db.error) == (0, pytest.approx(5e-17))


def test_a_floor_does_not_shrink_a_size():
    assert [d.error for d in differences(["a", "b"], [A, A + 1], [A, A], 0.1)] == [0, 0.25]


@pytest.mark.parametrize(
    ("got", "wanted", "text"),
    [
        (A[:1], A, r"dx: (1, 2), PyTorch's is (2, 2)"),
        (A.astype(np.float32), A, "dx: float32, PyTorch's is float64"),
        (None, A, "dx: PyTorch alone gives one"),
        (A, None, "dx: the definition alone gives one"),
        (A * np.nan, A, "dx: the definition's is not finite"),
        (A, np.where(A, A, np.inf), "dx: PyTorch's is not finite"),
    ],
)
def test_what_cannot_be_compared_is_said(got, wanted, text):
    assert difference("dx", got, wanted) == Difference(math.inf, text)


def test_no_gradient_on_either_side_is_agreement():
    assert difference("dmask", None, None).error == 0


def test_the_largest_is_told_and_of_none_there_is_none():
    small, large = Difference(1e-9, "dx"), Difference(math.inf, "dw")
    assert largest([small, large, small]) is large
    assert largest([]).error == 0


def test_not_a_number_is_never_hidden_behind_a_number():
    found = differences(["dx", "dw"], [A * np.nan, A], [A, A], 0.1)
    assert largest(found) == Difference(math.inf, "dx: the definition's is not finite")

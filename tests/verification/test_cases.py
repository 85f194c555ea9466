"""The table of cases is whole, and its arrays are what it says."""

from __future__ import annotations

import numpy as np
import pytest

import hubel.definitions as definitions
from hubel.verification import known
from hubel.verification.case import between, hot, kept, normal, shares, ties, whole
from hubel.verification.cases import CASES
from hubel.zoo import names

PAIRS = [n for n in definitions.__all__ if f"{n}_backward" in definitions.__all__]


def test_every_pair_and_every_optimizer_has_a_case():
    assert len(PAIRS) > 50
    assert [n for n in (*PAIRS, *definitions.OPTIMIZERS) if not CASES.get(n)] == []


def test_every_case_is_of_a_definition_and_every_network_is_known():
    assert [n for n in CASES if n not in definitions.__all__] == []
    assert known() == [*CASES, *names()] and known(with_networks=False) == list(CASES)
    assert len(set(known())) == len(known())


@pytest.mark.parametrize("name", CASES)
def test_the_cases_of_an_operation_are_told_apart_by_their_names(name):
    """They are counted and drawn by them."""
    called = [case.what for case in CASES[name]]
    assert len(set(called)) == len(called)


def test_windows_slide_over_no_square_but_one_cell():
    for name in ("conv2d", "convolve2d", "conv_transpose2d", "max_pool2d", "avg_pool2d"):
        for case in CASES[name]:
            H, W = case.draws[0](np.random.default_rng(0)).shape[2:]
            assert H != W, (name, case.what)


def test_arrays_are_of_the_kind_that_they_are_called():
    rng = np.random.default_rng(3)
    assert normal(2, 300, deviation=0.1, mean=5.0)(rng).mean() == pytest.approx(5, abs=0.05)
    x = between(0.2, 0.3, 50)(rng)
    assert x.min() >= 0.2 and x.max() <= 0.3 and x.std() > 0
    assert set(ties(4, 9)(rng).ravel()) == {-2, -1, 0}
    words = whole(4, 3, 50)(rng)
    assert words.shape == (3, 50) and set(words.ravel()) == {0, 1, 2, 3} and words.dtype.kind == "i"
    mask = kept(0.8, 1000)(rng)
    assert set(mask) == {0, 1} and mask.mean() == pytest.approx(0.8, abs=0.05)
    np.testing.assert_allclose(shares(6, 3)(rng).sum(1), 1)
    # 1 - 0.2 + 0.2 / 4 where the label is, 0.2 / 4 elsewhere
    assert sorted(hot(1, 4, 0.2)(rng)[0]) == pytest.approx([0.05, 0.05, 0.05, 0.85])

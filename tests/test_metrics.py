"""The measures against scikit-learn, against numbers worked by hand, and against what must hold of them."""

import numpy as np
import pytest
from sklearn import metrics as theirs

from hubel import metrics


@pytest.fixture
def answered():
    """Labels, answers and logits of 400 items of 7 classes; 5 is never present, 6 never answered."""
    rng = np.random.default_rng(3)
    logits = rng.standard_normal((400, 7)).astype(np.float32) * 2
    logits[:, 6] = -20
    labels = rng.choice([0, 1, 2, 3, 4, 6], 400)
    return labels, logits.argmax(1), logits


def test_accuracy_and_top_k_are_scikit_learns(answered):
    labels, answers, logits = answered
    assert metrics.accuracy(answers, labels) == theirs.accuracy_score(labels, answers)
    top = metrics.best(logits, 5)
    for k in (1, 2, 5):
        want = theirs.top_k_accuracy_score(labels, logits, k=k, labels=np.arange(7))
        assert metrics.top_k(top, labels, k) == pytest.approx(want, abs=1e-12)


def test_among_equals_the_lower_class_is_the_better_one():
    assert metrics.best(np.array([[1.0, 3.0, 3.0, 2.0, 3.0]]), 4).tolist() == [[1, 2, 4, 3]]


def test_precision_recall_f1_and_support_are_scikit_learns(answered):
    labels, answers, _ = answered
    want = theirs.precision_recall_fscore_support(labels, answers, labels=np.arange(7), zero_division=0)
    got = metrics.per_class(labels, answers, 7)
    for a, b in zip((got.precision, got.recall, got.f1, got.support), want, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


def test_the_confusion_matrix_is_scikit_learns_and_its_rows_sum_to_the_supports(answered):
    labels, answers, _ = answered
    matrix = metrics.confusion(labels, answers, 7).matrix()
    np.testing.assert_array_equal(matrix, theirs.confusion_matrix(labels, answers, labels=np.arange(7)))
    table = metrics.per_class(labels, answers, 7)
    np.testing.assert_array_equal(matrix.sum(1), table.support)
    np.testing.assert_array_equal(matrix.sum(0), table.answered)


def test_cross_entropy_is_the_log_loss_of_the_softmax(answered):
    labels, _, logits = answered
    probabilities = metrics.softmax(logits.astype(np.float64))
    np.testing.assert_allclose(probabilities.sum(1), 1)
    want = theirs.log_loss(labels, probabilities, labels=np.arange(7))
    assert metrics.cross_entropy(logits, labels).mean() == pytest.approx(want, rel=1e-6)


def test_huge_logits_do_not_overflow_and_a_constant_changes_nothing():
    z = np.array([[1000.0, 0.0], [-1000.0, 0.0]])
    # exp(-1000) is 0 in float64, so the losses are 0 and 1000 exactly.
    assert metrics.cross_entropy(z, np.array([0, 0])).tolist() == [0, 1000]
    np.testing.assert_allclose(metrics.softmax(z), [[1, 0], [0, 1]])
    np.testing.assert_allclose(metrics.log_sum_exp(z + 5), metrics.log_sum_exp(z) + 5)


def test_wilson_by_hand():
    # 8 of 10 with z = 2: centre (8 + 2) / 14 = 5/7; half = 2 sqrt(10)/14 * sqrt(0.16 + 4/40) = sqrt(2.6)/7
    got = metrics.wilson(8, 10, z=2)
    assert (got.low, got.high) == pytest.approx(((5 - 2.6**0.5) / 7, (5 + 2.6**0.5) / 7))


def test_wilson_is_the_set_of_shares_that_the_data_do_not_reject():
    # The definition: the ends solve |right/n - p| = z sqrt(p (1 - p) / n).
    for right, n in ((985, 1000), (3, 7), (356, 360)):
        found = metrics.wilson(right, n)
        for end in (found.low, found.high):
            assert abs(right / n - end) == pytest.approx(metrics.Z95 * (end * (1 - end) / n) ** 0.5)
    assert metrics.wilson(10, 10).high == 1 and metrics.wilson(10, 10).low < 0.75
    assert metrics.wilson(0, 0) == metrics.Interval(0, 1)


def test_calibration_by_hand():
    # Four bins; an edge belongs to the bin below.
    # (0.25, 0.5]: 0.3 wrong, 0.5 right: accuracy 1/2, stated 0.4, gap 0.1.
    # (0.75, 1]: 0.9 right, 0.8 wrong, 1.0 right: accuracy 2/3, stated 0.9, gap 7/30.
    # ECE = (2 * 0.1 + 3 * 7/30) / 5 = 0.18
    found = metrics.reliability(
        np.array([0.3, 0.5, 0.9, 0.8, 1.0]), np.array([0, 1, 1, 0, 1], dtype=bool), bins=4
    )
    assert found.count.tolist() == [0, 2, 0, 3]
    assert found.error == pytest.approx(0.18)
    assert np.isnan(found.accuracy[0]) and found.accuracy[3] == pytest.approx(2 / 3)


def test_answers_that_keep_their_word_are_calibrated():
    p = np.repeat([0.7, 0.9], 1000)
    right = np.tile(np.arange(1000), 2) < np.repeat([700, 900], 1000)
    assert metrics.reliability(p, right).error == pytest.approx(0, abs=1e-12)
    assert metrics.reliability(p, ~right).error == pytest.approx(0.6)  # (|0.3 - 0.7| + |0.1 - 0.9|) / 2


def test_mse_mae_and_r2_are_scikit_learns():
    rng = np.random.default_rng(0)
    t, y = rng.standard_normal((2, 50, 3)).astype(np.float32)
    assert metrics.mse(y, t) == pytest.approx(theirs.mean_squared_error(t, y))
    assert metrics.mae(y, t) == pytest.approx(theirs.mean_absolute_error(t, y))
    assert metrics.r2(y, t) == pytest.approx(theirs.r2_score(t, y))


def test_nothing_measured_is_nan_not_an_error():
    none, table = np.zeros(0, dtype=int), np.zeros((0, 2))
    values = [
        metrics.accuracy(none, none),
        metrics.mse(table, table),
        metrics.mae(table, table),
        metrics.r2(table, table),
    ]
    values += [metrics.reliability(np.zeros(0), none).error, metrics.r2(np.ones((3, 1)), np.ones((3, 1)))]
    assert np.isnan(values).all()
    assert metrics.per_class(none, none, 3).recall.tolist() == [0, 0, 0]

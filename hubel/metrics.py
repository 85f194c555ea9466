"""How good the answers are: plain NumPy on logits, answers and labels, one definition per number.

N items · K classes. Labels are known ones, 0..K-1; who has unknown ones leaves them out.
A mean over no items is NaN, not an error: an empty cell of a table is not a mistake.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Z95 = 1.959963984540054  # the normal's 97.5 % point


@dataclass(frozen=True)
class Interval:
    """A range of shares, both ends inside."""

    low: float
    high: float


@dataclass(frozen=True)
class Reliability:
    """What a stated confidence is worth: equal bins of [0, 1], closed on the right as in Guo et al.

    edges: (B+1,)   count: (B,)   confidence, accuracy: (B,) means, NaN in an empty bin
    error: sum_b count_b / N * |accuracy_b - confidence_b|
    """

    edges: np.ndarray
    count: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    error: float


@dataclass(frozen=True)
class PerClass:
    """One row per class; each array is (K,). Never answered: precision 0. Never present: recall 0."""

    precision: np.ndarray  # right answers of the class / answers of the class
    recall: np.ndarray  # right answers of the class / items of the class
    f1: np.ndarray  # 2 * right / (answers + items): the harmonic mean of the two
    support: np.ndarray  # items of the class
    answered: np.ndarray  # answers of the class


@dataclass(frozen=True)
class Confusion:
    """The non-empty cells of the K x K matrix, row by row: room for the pairs that occur, not for all.

    label, answer, count: (P,) int64
    """

    classes: int
    label: np.ndarray
    answer: np.ndarray
    count: np.ndarray

    def matrix(self) -> np.ndarray:
        """(K, K) int64, rows are the true class."""
        dense = np.zeros((self.classes, self.classes), dtype=np.int64)
        dense[self.label, self.answer] = self.count
        return dense


def log_sum_exp(logits: np.ndarray) -> np.ndarray:
    """log sum_k exp(z_k), the largest taken out first so that nothing overflows. (N, K) -> (N,) float64"""
    largest = logits.max(1, keepdims=True)  # (N, 1)
    total = np.exp(logits - largest).sum(1, dtype=np.float64)  # (N,)
    return np.log(total) + largest[:, 0]


def softmax(logits: np.ndarray) -> np.ndarray:
    """exp(z_k) / sum_j exp(z_j). (N, K) -> (N, K), same dtype"""
    powers = np.exp(logits - logits.max(1, keepdims=True))
    powers /= powers.sum(1, keepdims=True)
    return powers


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """-log softmax(z)_label of each item, in nats. (N, K), (N,) -> (N,) float64"""
    return log_sum_exp(logits) - logits[np.arange(len(labels)), labels]


def best(logits: np.ndarray, k: int) -> np.ndarray:
    """The k largest of each row, best first; among equals the lower class. (N, K) -> (N, k) int64"""
    left = np.array(logits, copy=True)
    rows = np.arange(len(left))
    top = np.empty((len(left), k), dtype=np.int64)
    for place in range(k):
        top[:, place] = left.argmax(1)
        left[rows, top[:, place]] = -np.inf
    return top


def accuracy(answers: np.ndarray, labels: np.ndarray) -> float:
    """Share of right answers. (N,), (N,)"""
    return float(np.mean(answers == labels)) if len(labels) else float("nan")


def top_k(top: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Share of items whose class is among the first k answers. top: (N, >= k), best first"""
    return float(np.mean((top[:, :k] == labels[:, None]).any(1))) if len(labels) else float("nan")


def wilson(right: int, n: int, z: float = Z95) -> Interval:
    """The share of which `right` of `n` is a sample. Wilson 1927; Brown, Cai, DasGupta 2001, eq. 4.

    centre = (right + z²/2) / (n + z²)      half = z sqrt(n) / (n + z²) * sqrt(p (1 - p) + z² / 4n)
    Unlike p ± z s it stays in 0..1 and is not empty at 100 %.
    """
    if n == 0:
        return Interval(0.0, 1.0)
    p = right / n
    centre = (right + z * z / 2) / (n + z * z)
    half = z * np.sqrt(n) / (n + z * z) * np.sqrt(p * (1 - p) + z * z / (4 * n))
    return Interval(max(0.0, float(centre - half)), min(1.0, float(centre + half)))


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = 15) -> Reliability:
    """Expected calibration error. Guo, Pleiss, Sun, Weinberger 2017, eqs. 2, 3 and 5, with their 15 bins.

    confidence: (N,) the probability given to the answer   right: (N,) bool
    """
    edges = np.linspace(0, 1, bins + 1)
    bin_of = np.searchsorted(edges[1:-1], confidence, side="left")  # bin b is (b/B, (b+1)/B]
    count = np.bincount(bin_of, minlength=bins)
    with np.errstate(invalid="ignore"):
        stated = np.bincount(bin_of, confidence, minlength=bins) / count
        reached = np.bincount(bin_of, right, minlength=bins) / count
    filled = count > 0
    gaps = np.abs(reached - stated)[filled]
    error = float((count[filled] * gaps).sum() / count.sum()) if filled.any() else float("nan")
    return Reliability(edges, count, stated, reached, error)


def confusion(labels: np.ndarray, answers: np.ndarray, classes: int) -> Confusion:
    """How often class `label` was answered as `answer`. (N,), (N,)"""
    codes, count = np.unique(labels.astype(np.int64) * classes + answers, return_counts=True)
    return Confusion(classes, codes // classes, codes % classes, count.astype(np.int64))


def per_class(labels: np.ndarray, answers: np.ndarray, classes: int) -> PerClass:
    """Precision, recall, F1 and support of every class; 0 where scikit-learn's zero_division=0 says 0."""
    support = np.bincount(labels, minlength=classes)
    answered = np.bincount(answers, minlength=classes)
    right = np.bincount(labels[labels == answers], minlength=classes)
    return PerClass(
        precision=right / np.maximum(answered, 1),
        recall=right / np.maximum(support, 1),
        f1=2 * right / np.maximum(support + answered, 1),
        support=support,
        answered=answered,
    )


def mse(answers: np.ndarray, targets: np.ndarray) -> float:
    """mean (y - t)², over items and columns. (N, T), (N, T)"""
    return float(np.mean(np.square(answers.astype(np.float64) - targets))) if len(targets) else float("nan")


def mae(answers: np.ndarray, targets: np.ndarray) -> float:
    """mean |y - t|, over items and columns. (N, T), (N, T)"""
    return float(np.mean(np.abs(answers.astype(np.float64) - targets))) if len(targets) else float("nan")


def r2(answers: np.ndarray, targets: np.ndarray) -> float:
    """1 - sum (y - t)² / sum (t - mean t)², the mean over columns; NaN where the targets do not vary."""
    if not len(targets):
        return float("nan")
    residual = np.square(answers.astype(np.float64) - targets).sum(0)  # (T,)
    spread = np.square(targets - targets.mean(0, dtype=np.float64)).sum(0)  # (T,)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = 1 - residual / spread
    return float(np.mean(shares)) if np.all(spread > 0) else float("nan")

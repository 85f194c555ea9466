"""The data sets that need no file: scikit-learn's digits, and the two toy sets of the lectures."""

from __future__ import annotations

import numpy as np

from hubel.data import labels
from hubel.data.records import Held, Source, Task


def digits(task: Task | None = None) -> Source:
    """1,797 handwritten digits, 8×8, 17 levels of grey stretched to 0..255. UCI, Alpaydin and Kaynak 1998."""
    from sklearn.datasets import load_digits

    found = load_digits()
    pixels = np.rint(found.images * (255 / 16)).astype(np.uint8)[:, None]  # (1797, 1, 8, 8)
    marked = labels.from_array(found.target, task or "classify", "digits")
    items = [f"{i:04d}" for i in range(len(pixels))]
    return Source(
        "digits", "digits", "picture", marked.task, marked.classes, items, marked.targets,
        np.full(len(items), "", "<U5"), (1, 8, 8), Held(pixels),
    )  # fmt: skip


def points(task: Task | None = None) -> Source:
    """The lectures' eight points for the neuron and the 2-4-1 network."""
    x = np.array([(3, 1), (2, 5), (1, 8), (6, 4), (5, 2), (3, 5), (4, 7), (4, -1)], np.float32)
    return toy("points", x, np.array([0, 1, 1, 0, 0, 1, 1, 0]), task)


def sum_below_one(task: Task | None = None) -> Source:
    """The lectures' 32 points of the unit square, each with whether x0 + x1 < 1."""
    x = np.random.RandomState(23455).rand(32, 2)  # the legacy generator: the lectures' very numbers
    return toy("sum-below-one", x.astype(np.float32), (x.sum(1) < 1).astype(np.int64), task)


def toy(name: str, x: np.ndarray, y: np.ndarray, task: Task | None) -> Source:
    """All items are train, val and test at once, as in the lectures: what is measured is fitting."""
    marked = labels.from_array(y, task or "classify", name)
    items = [f"{i:02d}" for i in range(len(x))]
    return Source(
        name, name, "vector", marked.task, marked.classes, items, marked.targets, np.full(len(x), "", "<U5"),
        (2,), Held(x), columns=("x0", "x1"), shared=True,
    )  # fmt: skip

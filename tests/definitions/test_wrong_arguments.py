"""What does not fit is said by the operation that was called, and never by NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from hubel import definitions as d
from hubel.definitions import DefinitionError, ShapeError

PICTURE, ROW = np.ones((1, 2, 5, 4)), np.ones((1, 2, 5))
WRONG = [
    ("convolve2d", (PICTURE, np.ones((3, 3))), {}, ShapeError, r"x and w must be \(N, C, H, W\) and"),
    ("convolve2d", (PICTURE, np.ones((1, 1, 3, 3))), {}, ShapeError, "x has 2 channels but w expects 1"),
    ("convolve2d", (PICTURE, np.ones((1, 2, 3, 5))), {}, ShapeError, "along W a window of 5 does not fit"),
    (
        "convolve2d",
        (PICTURE, np.ones((1, 2, 3, 3))),
        {"stride": 0},
        DefinitionError,
        "stride must be at least 1",
    ),
    ("convolve1d", (ROW, np.ones(3)), {}, ShapeError, r"x and w must be \(N, C, L\) and"),
    ("convolve1d", (ROW, np.ones((1, 2, 6))), {}, ShapeError, " a window of 6 does not fit"),
    ("convolve1d", (ROW, np.ones((1, 2, 3))), {"padding": -1}, DefinitionError, "padding must be at least 0"),
    (
        "softmax",
        (np.ones((2, 3)),),
        {"axis": 5},
        ShapeError,
        r"x is \(2, 3\) and has no numbers along an axis 5",
    ),
    ("softmax", (np.ones((2, 0)),), {}, ShapeError, r"x is \(2, 0\) and has no numbers along an axis -1"),
    ("log_softmax", (np.ones((2, 3)),), {"axis": -3}, ShapeError, "no numbers along an axis -3"),
]


@pytest.mark.parametrize(("name", "arrays", "settings", "kind", "said"), WRONG)
def test_the_error_speaks_of_the_operation_that_was_called(name, arrays, settings, kind, said):
    with pytest.raises(kind, match=rf"^{name}:.*{said}"):
        getattr(d, name)(*arrays, **settings)
    with pytest.raises(kind, match=rf"^{name.removeprefix('log_')}:|^{name}:"):
        getattr(d, f"{name}_backward")(np.ones(1), *arrays, **settings)


@pytest.mark.parametrize("labels", [[3.5], [1.0], [True]])
def test_labels_that_are_no_whole_numbers_are_refused(labels):
    with pytest.raises(DefinitionError, match=r"one_hot: labels must be whole numbers .* got (float64|bool)"):
        d.one_hot(np.array(labels), 4)


def test_no_labels_are_no_rows():
    assert d.one_hot(np.array([]), 4).shape == (0, 4)

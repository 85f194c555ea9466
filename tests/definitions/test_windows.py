"""Where windows lie: sizes, paddings, and the way to columns and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hubel.definitions import DefinitionError, ShapeError, output_size, same, span, wide
from hubel.definitions.windows import grid

rng = np.random.default_rng(0)

GRIDS = [  # size, kernel, stride, padding, dilation
    ((7, 6), (3, 2), (1, 1), 0, 1),
    ((7, 6), (3, 2), (2, 3), 1, 1),  # 6 + 2 - 2 = 6 is divided by 3, 7 + 2 - 3 = 6 by 2
    ((8, 9), (3, 2), (2, 2), (1, 0), 1),  # neither is
    ((9, 11), (2, 3), (2, 1), ((0, 1), (2, 1)), (3, 2)),
    ((5, 5), (5, 5), (4, 4), 0, 1),  # one window
]


@pytest.mark.parametrize("setting", GRIDS)
def test_a_window_holds_the_cells_that_its_formula_says(setting):
    over = grid("test", *setting)
    padded = over.pad(rng.standard_normal((2, 3, *over.size)))
    windows = over.windows(padded)
    assert windows.shape == (2, 3, *over.out, *over.kernel)
    (s, t), (d, e) = over.stride, over.dilation
    for i, j, u, v in np.ndindex(*over.out, *over.kernel):
        np.testing.assert_array_equal(windows[:, :, i, j, u, v], padded[:, :, i * s + u * d, j * t + v * e])


@pytest.mark.parametrize("setting", GRIDS)
def test_cells_are_the_windows_the_other_way_round(setting):
    over = grid("test", *setting)
    padded = over.pad(rng.standard_normal((2, 3, *over.size)))
    for u, v, cell in over.cells(padded):
        np.testing.assert_array_equal(cell, over.windows(padded)[..., u, v])
        assert np.shares_memory(cell, padded)


@pytest.mark.parametrize("setting", GRIDS)
def test_spreading_is_the_transpose_of_gathering(setting):
    """<columns(x), y> = <x, spread(y)>: what makes the backward of a convolution right."""
    over = grid("test", *setting)
    x = rng.standard_normal((2, 4, *over.canvas))
    y = rng.standard_normal((2, 2, 2 * over.kernel[0] * over.kernel[1], over.out[0] * over.out[1]))
    assert (over.columns(x, 2) * y).sum() == pytest.approx((x * over.spread(y)).sum(), rel=1e-12)


def test_padding_goes_where_it_is_said():
    over = grid("test", (2, 3), 1, 1, ((1, 0), (2, 3)))
    wanted = [[0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 1, 2, 3, 0, 0, 0], [0, 0, 4, 5, 6, 0, 0, 0]]
    x = np.arange(1.0, 7).reshape(1, 1, 2, 3)
    assert over.pad(x).tolist() == [[wanted]]
    assert over.pad(x, -1.0)[0, 0, 0].tolist() == [-1.0] * 8
    assert over.inside(over.pad(x)).tolist() == x.tolist()
    assert grid("test", (2, 3), 1).pad(x) is x


@pytest.mark.parametrize("size", [5, 7, 8, 11, 28])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(3, 1, 0), (3, 2, 1), (2, 2, 0), (2, 3, 1), (5, 4, 2), (3, 5, 0)]
)
@pytest.mark.parametrize("ceil", [False, True])
def test_sizes_are_those_that_pytorch_makes(size, kernel, stride, padding, ceil):
    made = F.max_pool2d(torch.zeros(1, 1, size, size + 1), kernel, stride, padding, ceil_mode=ceil).shape
    assert grid("test", (size, size + 1), kernel, stride, padding, ceil=ceil).out == tuple(made[2:])


def test_an_undilated_kernel_spans_itself():
    assert [span(1), span(5), span(1, 7), span(4, 3)] == [1, 5, 1, 10]


def test_size_of_a_square():
    assert output_size(28, (5, 3)) == (24, 26)
    assert output_size((28, 31), 3, dilation=(2, 1)) == (24, 29)


@pytest.mark.parametrize(
    ("kernel", "dilation", "text"),
    [
        (4, 1, r"same: a window of 4 needs 3 cells of padding in all, .* give them apart: \(1, 2\)"),
        (2, 3, r"same: a window of 4 needs 3 cells"),
        (2, 1, r"a window of 2 needs 1 cells .* \(0, 1\)"),
    ],
)
def test_an_even_window_cannot_have_the_same_on_both_sides(kernel, dilation, text):
    with pytest.raises(DefinitionError, match=text):
        same(kernel, dilation)
    assert wide(kernel, dilation) == span(kernel, dilation) - 1


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"kernel": 8}, r"test: along H a window of 8 does not fit into 7 cells with padding \(0, 0\)"),
        (
            {"kernel": (2, 9), "padding": (0, 1)},
            r"test: along W a window of 9 does not fit into 6 cells with padding \(1, 1\)",
        ),
        ({"kernel": 3, "dilation": 4}, "along H a window of 9 does not fit into 7"),
        ({"kernel": 0}, "test: kernel must be at least 1, got 0"),
        ({"kernel": 2, "stride": (1, 0)}, r"test: stride must be at least 1, got \(1, 0\)"),
        ({"kernel": 2, "dilation": 0}, "dilation must be at least 1, got 0"),
        ({"kernel": 2, "padding": -1}, "padding must be at least 0, got -1"),
        ({"kernel": 2, "padding": ((0, 0), (0, -2))}, r"padding must be at least 0, got \(0, -2\)"),
        (
            {"kernel": 2, "padding": (1, 2, 3)},
            r"padding must be p, \(along H, along W\) or .* got \(1, 2, 3\)",
        ),
        ({"kernel": 2.5}, "kernel must be an integer or two of them, got 2.5"),
        ({"kernel": (1, 2, 3)}, r"kernel must be an integer or two of them, got \(1, 2, 3\)"),
        ({"kernel": "ab"}, "kernel must be an integer or two of them, got 'ab'"),
    ],
)
def test_windows_that_cannot_be_say_why(settings, text):
    with pytest.raises(DefinitionError, match=text):
        grid("test", (7, 6), **settings)


def test_what_does_not_fit_is_a_matter_of_shape():
    with pytest.raises(
        ShapeError, match="test: along H a window of 8 does not fit into 7 cells with padding"
    ):
        grid("test", (7, 6), 8)
    assert grid("test", (7, 6), (7, 6)).out == (1, 1)
    assert issubclass(ShapeError, DefinitionError) and issubclass(DefinitionError, ValueError)

"""The receptive field, walked back over the tape, is where a NaN reaches the cell from."""

from __future__ import annotations

import numpy as np
import pytest

from hubel import definitions as d
from hubel.definitions import DefinitionError, ShapeError, Tape
from hubel.replay.cells import receptive

draw = np.random.default_rng(3)


def some(*shape):
    return draw.standard_normal(shape)


def straight(tape, x):
    """Strides, padding, dilation, a pooling that overlaps."""
    y = tape.apply(d.conv2d, x, some(3, 2, 3, 2), some(3), stride=(2, 1), padding=1)
    y = tape.apply(d.relu, y)
    y = tape.apply(d.max_pool2d, y, kernel=(2, 3), stride=(1, 2), padding=(1, 1))
    return tape.apply(d.conv2d, y, some(4, 3, 2, 2), dilation=(1, 2))


def parting(tape, x):
    """Two ways of different reach meet in a sum and in a concatenation."""
    w1, w3 = some(2, 2, 1, 1), some(2, 2, 3, 3)
    a, b = tape.apply(d.conv2d, x, w1), tape.apply(d.conv2d, x, w3, padding=1)
    y = tape.apply(d.concatenate, a, b)
    y = tape.apply(d.avg_pool2d, y, kernel=2, stride=1)
    return y + tape.apply(d.select, y, key=(slice(None), [1, 0, 3, 2]))


def grouped(tape, x):
    y = tape.apply(d.conv2d, x, some(4, 1, 2, 3), groups=2, padding=(0, 1))
    y = tape.apply(d.conv_transpose2d, y, some(4, 1, 3, 2), stride=2, padding=1, groups=2)
    return tape.apply(d.batch_norm_inference, y, np.zeros(2), np.ones(2))


def mixed(tape, x):
    """Neighbouring channels, a softmax over the maps, a mirror image."""
    y = tape.apply(d.local_response_norm, x, size=2)
    y = tape.apply(d.softmax, y, axis=1)
    y = tape.apply(d.flip, y, axes=(3,))
    y = tape.apply(d.transpose, y, axes=(0, 2, 3, 1))
    return tape.apply(d.layer_norm, y)


def flat(tape, x):
    y = tape.apply(d.adaptive_avg_pool2d, x, out=(3, 2))
    y = tape.apply(d.flatten, tape.apply(d.select, y, key=(slice(None), slice(1, 2))))
    return tape.apply(d.scaled_tanh, y)


def trained(tape, x):
    """Batch norm in training looks at all images."""
    return tape.apply(d.batch_norm, tape.apply(d.select, x, key=(slice(None), slice(None), slice(2))))


@pytest.mark.parametrize(
    "network", [straight, parting, grouped, mixed, flat, trained], ids=lambda f: f.__name__
)
def test_a_cell_sees_what_a_nan_reaches_it_from(network):
    global draw
    picture = np.random.default_rng(0).standard_normal((2, 2, 9, 7))

    def run(x):
        global draw
        draw = np.random.default_rng(3)
        tape = Tape()
        leaf = tape.leaf(x, "x")
        return leaf, network(tape, leaf)

    entered, end = run(picture)
    cells = list(np.ndindex(end.value.shape))
    asked = cells[:: max(1, len(cells) // 9)]
    reached = {index: np.zeros(picture.shape, bool) for index in asked}
    with np.errstate(invalid="ignore"):
        for at in np.ndindex(picture.shape):
            poisoned = picture.copy()
            # Adaptive averages are a matrix with noughts, which a NaN would come through.
            poisoned[at] = 1e3 if network is flat else np.nan
            value = run(poisoned)[1].value
            for index in asked:
                reached[index][at] = value[index] != end.value[index]
    for index in asked:
        seen = receptive(end, index, entered).steps[-1]
        np.testing.assert_array_equal(seen.cells, reached[index], err_msg=str(index))


def test_three_3x3_see_what_one_7x7_sees():
    tape = Tape()
    x = y = tape.leaf(np.zeros((1, 1, 11, 13)), "x")
    for _ in range(3):
        y = tape.apply(d.conv2d, y, np.ones((1, 1, 3, 3)))
    found = receptive(y, (0, 0, 2, 4), x)
    assert found.box == ((0, 0), (0, 0), (2, 8), (4, 10))
    # the cell, 3x3, 5x5, 7x7
    assert [s.count for s in found.steps] == [1, 9, 25, 49]
    assert [s.node for s in found.steps] == [y, *reversed([n for n in tape.nodes if n.operation][:-1]), x]
    assert found.to_dict()["steps"][-1] == {
        "layer": "x", "operation": "", "box": [[0, 0], [0, 0], [2, 8], [4, 10]], "count": 49,
    }  # fmt: skip


def test_what_was_not_made_of_the_input_is_said():
    tape = Tape()
    x, z = tape.leaf(np.zeros((1, 2)), "x"), tape.leaf(np.zeros((1, 2)), "z")
    y = tape.apply(d.relu, z, name="y")
    with pytest.raises(DefinitionError, match="receptive: 'y' was not made of 'x'"):
        receptive(y, (0, 0), x)


def test_the_way_goes_through_a_cell_with_several_answers():
    """A part of lstm_cell: c' of unit 1 is made of all of x, of all of h, and of its own c."""
    tape = Tape()
    x, h, c = tape.leaf(some(1, 3), "x"), tape.leaf(some(1, 2), "h"), tape.leaf(some(1, 2), "c")
    state = tape.apply(d.lstm_cell, x, h, c, some(8, 3), some(8, 2))
    new = tape.apply(d.part, state, index=1)
    assert receptive(new, (0, 1), c).steps[-1].cells.tolist() == [[False, True]]
    assert receptive(new, (0, 1), x).steps[-1].cells.tolist() == [[True, True, True]]
    with pytest.raises(DefinitionError, match="is several arrays; ask about a part of it"):
        receptive(state, (0, 1), x)


@pytest.mark.parametrize("index", [(0, 99, 0, 0), (0, 1, -9, 0), (0, 1, 2), (0, 1, 2, 0, 0)])
def test_an_index_that_points_at_nothing_is_refused(index):
    tape = Tape()
    x = tape.leaf(some(1, 2, 8, 6), "x")
    y = tape.apply(d.relu, x, name="y")
    with pytest.raises(
        ShapeError, match=rf"receptive: 'y' is \(1, 2, 8, 6\) and has no cell \({index[0]}, {index[1]}"
    ):
        receptive(y, index, x)


def test_a_choice_is_looked_at_on_both_sides():
    """Which of them was taken turns on the numbers; what is looked at does not."""
    tape = Tape()
    x = tape.leaf(np.array([[-3.0, 0.5, 3.0]]), "x")
    y = tape.apply(d.where, np.array([[False, True, False]]), x, np.array([[-1.0, 0, 1]]))
    y = tape.apply(d.total, y, axes=1)
    assert receptive(y, (0,), x).box == ((0, 0), (0, 2))

"""The picture of a two-number network shows its answer where it answers it."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from hubel.evaluation import boundary
from hubel.evaluation.evaluate import evaluate

POINTS = np.array([[3, 1], [2, 5], [1, 8], [6, 4], [5, 2], [3, 5], [4, 7], [4, -1]], dtype=np.float32)
LABELS = np.array([0, 1, 1, 0, 0, 1, 1, 0])  # the lectures' eight points


class Above(nn.Module):
    """Class 1 where x1 > 4 + x0 / 4: a slope, so that swapped axes show."""

    def forward(self, x):
        z = x[:, 1] - 4 - x[:, 0] / 4
        return torch.stack([-z, z], 1)


def test_each_cell_of_the_field_has_the_colour_of_its_answer(make_run, make_source):
    run = make_run(("a", "b"), (2,), network=Above())
    source = make_source(POINTS, LABELS, ("a", "b"), columns=("x0", "x1"))
    drawn = boundary.draw(run, run.dataset(source).test)
    (left, bottom), (right, top) = drawn.low, drawn.high
    assert left < 1 and right > 6 and bottom < -1 and top > 8
    assert drawn.field.shape == (500, 500, 4)
    for x, y in [(1.0, 4.0), (1.0, 4.5), (6.0, 5.0), (6.0, 5.8), (3.5, -1.0), (3.5, 8.0)]:
        row = round((top - y) / (top - bottom) * 499)
        column = round((x - left) / (right - left) * 499)
        assert tuple(drawn.field[row, column, :3]) == boundary.colour(int(y > 4 + x / 4)), (x, y)


def test_evaluate_writes_the_picture_and_the_report_shows_it(make_run, make_source):
    run = make_run(("$a$", "b_{<"), (2,), network=Above())  # names that Matplotlib could take for formulas
    found = evaluate(run, make_source(POINTS, LABELS, ("$a$", "b_{<"), columns=("x0", "x1")))
    picture = Image.open(io.BytesIO((run.path / "boundary.png").read_bytes()))
    assert min(picture.size) >= 500
    assert '<section id="boundary">' in found.report.read_text()


def test_a_regression_is_cut_in_the_middle_of_its_targets(make_run, make_source):
    first = nn.Linear(2, 1, bias=False)
    first.weight.data[:] = torch.tensor([[0.25, 0.0]])  # answers x0 / 4: above 0.5 right of x0 = 2
    run = make_run((), (2,), task="regress", outputs=1, network=first)
    split = run.dataset(make_source(POINTS, LABELS[:, None].astype(np.float32), (), task="regress")).test
    drawn = boundary.draw(run, split)
    assert drawn.names == ("below 0.5", "above 0.5") and drawn.group.tolist() == LABELS.tolist()
    edge = round((2 - drawn.low[0]) / (drawn.high[0] - drawn.low[0]) * 499)
    assert tuple(drawn.field[250, edge - 3, :3]) == boundary.colour(0)
    assert tuple(drawn.field[250, edge + 3, :3]) == boundary.colour(1)


@pytest.mark.parametrize(("shape", "applies"), [((2,), True), ((3,), False), ((1, 1, 2), False)])
def test_it_is_drawn_for_two_numbers_only(make_run, shape, applies):
    assert boundary.applies(make_run(("a", "b"), shape)) is applies

"""Axes end on round numbers, curves lie where their values say."""

import math
import re

import numpy as np
import pytest

from hubel import metrics
from hubel.evaluation import charts


@pytest.mark.parametrize(
    ("low", "high", "first", "last", "count"),
    [
        (0, 0.93, "0.0", "1.0", 6),
        (-3, 12, "−5", "15", 5),
        (0.971, 0.9952, "0.970", "1.000", 7),
        (0, 90_000, "0", "100,000", 6),
    ],
)
def test_an_axis_ends_on_round_numbers_around_its_values(low, high, first, last, count):
    made = charts.axis(low, high)
    assert made.low <= low and made.high >= high
    assert (made.ticks[0][1], made.ticks[-1][1], len(made.ticks)) == (first, last, count)
    for place, text in made.ticks:
        assert made.place(float(text.replace(",", "").replace("−", "-"))) == pytest.approx(place, abs=1e-9)


def test_a_constant_has_an_axis_too():
    for value in (0.0, 5.0, -1e-6):
        made = charts.axis(value, value)
        assert made.low < value < made.high


def test_a_curve_passes_through_its_points():
    x, y = charts.axis(0, 10), charts.axis(0, 1)
    assert charts.line(x, y, [0, 5, 10], [0, 0.25, 1]) == "M0.00 100.00L50.00 75.00L100.00 0.00"
    assert charts.line(x, y, [0, 5, 10], [math.nan, 0.25, math.inf]) == "M50.00 75.00h0"
    assert charts.line(x, y, [], []) == ""


def test_a_logarithmic_axis_puts_each_power_of_ten_as_far_from_the_last():
    assert [text for _, text in charts.log_axis(2e-5, 5e-4).ticks] == ["10⁻⁵", "10⁻⁴", "0.001"]
    made = charts.log_axis(0.003, 2)
    assert [text for _, text in made.ticks] == ["0.001", "0.01", "0.1", "1", "10"]
    assert made.place(0.1) == pytest.approx(0.5)


def test_learning_curves_show_what_the_history_has():
    rows = [
        {"epoch": e, "train_loss": 1 / e, "val_loss": None if e == 2 else 1.1 / e, "lr": 0.1}
        for e in (1, 2, 3)
    ]
    (loss,) = charts.learning_curves(rows)
    assert [s.kind for s in loss.shapes] == ["train", "val"]
    assert [words for _, words in loss.readout][1] == "epoch 2 · train 0.5"
    assert [text for _, text in loss.x.ticks] == ["1", "2", "3"]
    assert charts.learning_curves([]) == []
    one = charts.learning_curves([{"epoch": 1, "train_accuracy": 1.0}])
    assert [plot.title for plot in one] == ["Accuracy"] and one[0].shapes[0].path.endswith("h0")


def test_many_epochs_name_a_few_of_them():
    rows = [{"epoch": e, "train_loss": 1 / e} for e in range(1, 301)]
    named = [text for _, text in charts.learning_curves(rows)[0].x.ticks]
    assert named == ["1", "50", "100", "150", "200", "250", "300"]


def test_a_bar_of_the_reliability_diagram_is_as_high_as_its_share():
    found = metrics.reliability(np.repeat([0.3, 0.9], [4, 20]), np.arange(24) >= 9, bins=5)
    plot = charts.calibration(found)
    assert [s.kind for s in plot.shapes] == ["diagonal", "bars", "bars thin", "stated"]
    # of the 20 that say 0.9, items 4..23, those from 9 on are right: 15/20; of the four that say 0.3 none is
    assert re.findall(r"v(-[\d.]+)", plot.shapes[1].path) == ["-75.00"]
    assert plot.readout[1] == (90.0, "20 answers say 90.0 % · 75.0 % are right")


def test_the_classes_of_each_recall_are_counted():
    # Of four bins: 0 and 0.2 in the first, 0.25 begins the second, 1 ends the last.
    plot = charts.spread(np.array([0, 0.2, 0.25, 1]), bins=4)
    assert [words for _, words in plot.readout] == [
        "2 classes between 0 % and 25 %",
        "1 class between 25 % and 50 %",
        "0 classes between 50 % and 75 %",
        "1 class between 75 % and 100 %",
    ]
    heights = [float(h) for h in re.findall(r"v(-[\d.]+)", plot.shapes[0].path)]
    assert heights == [-100, -50, 0, -50] and plot.y.high == 2

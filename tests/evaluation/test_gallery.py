"""Which pictures a report shows, and that a sheet holds exactly them."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from hubel.evaluation import gallery
from hubel.evaluation.predictions import Predictions

NONE = np.zeros((0, 2), int)  # no cell before the others


def unpack(address):
    head, body = address.split(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(body))))


def predictions(labels, answers, loss, classes=3):
    n = len(labels)
    top = np.stack([answers, *[(answers + k) % classes for k in range(1, classes)]], 1)
    p = np.full((n, classes), 1 / classes, np.float32)
    names = tuple(f"class {k}" for k in range(classes))
    return Predictions([f"{i}" for i in range(n)], labels, top, p, np.asarray(loss, np.float32), names)


@pytest.fixture
def many():
    rng = np.random.default_rng(0)
    labels, answers = rng.integers(0, 3, (2, 300))
    return predictions(labels, answers, rng.random(300))


def all_pairs(p):
    return np.unique(np.stack([p.labels, p.answers], 1), axis=0)


def test_every_mistake_is_shown_in_its_cell_and_the_worst_comes_first(many):
    shown, cells = gallery.choose(many, all_pairs(many), np.zeros(0, int), NONE)
    for cell in cells:
        inside = np.flatnonzero((many.labels == cell.label) & (many.answers == cell.answer))
        assert cell.count == len(inside)
        got = shown[cell.start : cell.stop]
        want = inside[np.argsort(-many.loss[inside])]
        limit = gallery.RIGHT if cell.label == cell.answer else None
        assert got.tolist() == want[:limit].tolist()


def test_where_there_are_too_many_each_cell_gives_its_worst(many, monkeypatch):
    monkeypatch.setattr(gallery, "MISTAKES", 15)
    shown, cells = gallery.choose(many, all_pairs(many), np.zeros(0, int), NONE)
    sizes = {cell.stop - cell.start for cell in cells if cell.label != cell.answer}
    assert sizes == {2, 3} and sum(1 for i in shown if many.labels[i] != many.answers[i]) == 15
    always = np.flatnonzero(many.labels != many.answers)[:40]
    assert set(always) <= set(gallery.choose(many, all_pairs(many), always, NONE)[0])


def test_the_most_frequent_mistakes_are_shown_before_one_of_each(many, monkeypatch):
    monkeypatch.setattr(gallery, "MISTAKES", 15)
    monkeypatch.setattr(gallery, "FOREMOST", 6)
    _, cells = gallery.choose(many, all_pairs(many), np.zeros(0, int), np.array([[2, 0]]))
    shown = {(c.label, c.answer): c.stop - c.start for c in cells if c.label != c.answer}
    assert shown.pop((2, 0)) == 6 and sorted(shown.values()) == [1, 2, 2, 2, 2]  # 15 - 6 for the other five


def test_cells_that_do_not_open_and_unknown_classes_show_nothing():
    p = predictions(np.array([0, 0, 1, -1]), np.array([1, 2, 1, 1]), [1, 1, 0, np.nan])
    shown, cells = gallery.choose(p, np.array([[0, 1], [1, 1]]), np.array([1]), NONE)
    assert shown.tolist() == [0, 2]
    assert [(c.label, c.answer, c.count) for c in cells] == [(0, 1, 1), (1, 1, 1)]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_sheet_holds_the_very_pixels(channels):
    pictures = np.random.default_rng(0).integers(0, 256, (450, channels, 7, 5), dtype=np.uint8)
    sheets = gallery.draw(pictures)
    assert (sheets.h, sheets.w, sheets.zoom, len(sheets.sheets)) == (7, 5, 9, 2)
    for n in (0, 19, 20, 399, 400, 449):
        sheet = unpack(sheets.sheets[n // gallery.PER_SHEET])
        y, x = divmod(n % gallery.PER_SHEET, gallery.COLUMNS)
        tile = sheet[y * 7 : y * 7 + 7, x * 5 : x * 5 + 5].reshape(7, 5, channels)
        np.testing.assert_array_equal(tile.transpose(2, 0, 1), pictures[n])


def test_large_pictures_are_drawn_smaller_in_their_own_shape():
    few = gallery.draw(np.zeros((3, 3, 400, 200), np.uint8))
    assert (few.h, few.w, few.zoom) == (gallery.LARGEST, gallery.LARGEST // 2, 1)
    many = gallery.draw(np.zeros((2000, 3, 96, 96), np.uint8))
    assert 2000 * 3 * many.h * many.w <= gallery.BYTES * 1.05 and many.h < 96

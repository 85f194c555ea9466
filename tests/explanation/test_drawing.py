"""What explanations are drawn with: the colour of a number, pictures pixel by pixel, overlays, tiles."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from hubel.explanation import drawing
from hubel.explanation.drawing import DIVERGING, INK, PAPER, SEQUENTIAL, Scale, Tile

rng = np.random.default_rng(0)


def noise(h: int, w: int) -> Image.Image:
    return Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8))


def test_a_scale_has_its_anchors_colours_and_nothing_is_brighter_than_its_ends():
    values = np.array([[-9.0, -3.0, 0.0], [3.0, 9.0, -2.0]])
    found = Scale(-3.0, 3.0, DIVERGING).colours(values)
    assert found[0].tolist() == [list(DIVERGING[0]), list(DIVERGING[0]), list(DIVERGING[3])]
    assert found[1].tolist() == [
        list(DIVERGING[-1]),
        list(DIVERGING[-1]),
        list(DIVERGING[1]),
    ]  # -2 is 1/6 of the way


def test_the_scale_is_symmetric_where_numbers_are_negative_and_begins_at_0_where_none_is():
    assert Scale.of(np.array([[-1.0, 4.0]])) == Scale(-4.0, 4.0, DIVERGING)
    assert Scale.of(np.array([[2.0, 4.0]])) == Scale(0.0, 4.0, SEQUENTIAL)
    assert Scale.of(np.zeros((2, 2))).colours(np.zeros((2, 2))).tolist() == [[list(SEQUENTIAL[0])] * 2] * 2


def test_a_small_picture_grows_pixel_by_pixel_and_a_large_one_shrinks_to_the_side():
    image = noise(2, 3)
    large = np.asarray(drawing.enlarged(image, 11))  # 3 pixels fit three times into 11
    assert large.shape == (6, 9, 3)
    np.testing.assert_array_equal(large, np.asarray(image).repeat(3, 0).repeat(3, 1))
    assert drawing.enlarged(noise(30, 60), 20).size == (20, 10)


def test_an_overlay_is_clear_where_there_is_nothing_red_for_and_blue_against():
    under = Image.new("RGB", (3, 1), (90, 90, 90))
    clear, red, blue = np.asarray(drawing.overlaid(under, np.array([[0.0, 2.0, -2.0]])))[0].astype(int)
    assert clear.tolist() == [90, 90, 90]
    assert red[0] > red[2] + 30 and blue[2] > blue[0] + 30
    weak = np.asarray(drawing.overlaid(under, np.array([[0.0, 2.0, -2.0]]), top=20.0))[0].astype(int)
    assert abs(weak[1] - 90).sum() < abs(red - 90).sum()


def test_an_overlay_lies_where_its_heat_is():
    under, heat = Image.new("RGB", (8, 4), (90, 90, 90)), np.zeros((2, 4))
    heat[0, 3] = 1  # up at the right, of a wide picture
    changed = np.abs(np.asarray(drawing.overlaid(under, heat)).astype(int) - 90).sum(2)
    assert np.unravel_index(changed.argmax(), changed.shape)[0] < 2
    assert np.unravel_index(changed.argmax(), changed.shape)[1] >= 6
    assert not changed[:, :4].any()


def test_tiles_keep_their_pixels_and_stand_in_rows():
    images = [noise(5, 7) for _ in range(5)]
    found = np.asarray(drawing.tiled([Tile(i) for i in images], 3, gap=4))
    assert found.shape == (2 * 5 + 4 + 2, 3 * 7 + 2 * 4 + 2, 3)  # a line around
    for n, image in enumerate(images):
        y, x = 1 + n // 3 * (5 + 4), 1 + n % 3 * (7 + 4)
        np.testing.assert_array_equal(found[y : y + 5, x : x + 7], np.asarray(image))
    assert (found[10:, 1 + 2 * 11 :] == PAPER).all()  # where a sixth would stand


def test_a_crossed_tile_has_a_diagonal_and_the_others_none():
    plain = Tile(Image.new("RGB", (20, 20), PAPER))
    struck = Tile(plain.image, crossed=True)
    found = np.asarray(drawing.tiled([plain, struck], gap=4))
    middle = [tuple(found[11, x]) for x in (11, 24 + 11)]
    assert middle[0] == PAPER and middle[1] != PAPER


def test_a_name_is_cut_to_the_room_it_has():
    long = "a name that is far too long for its place"
    said = drawing.fitted(long, 60, 12)
    assert said.endswith("…") and long.startswith(said[:-1])
    assert drawing.font(12).getlength(said) <= 60
    assert drawing.fitted("short", 60, 12) == "short"


def test_words_are_broken_between_lines_and_never_wider_than_their_room():
    one = drawing.words("some words that are told", 14)
    several = drawing.words("some words that are told", 14, room=80)
    assert several.width <= 80 and several.height > 2 * one.height
    assert (np.asarray(several) != PAPER).any() and (np.asarray(one) == INK).all(2).any()


def test_a_scale_bar_runs_from_the_lowest_colour_to_the_highest():
    bar = np.asarray(drawing.scale_bar(Scale(-2.0, 2.0, DIVERGING), 101)).astype(int)
    assert bar[5, 50].tolist() == list(DIVERGING[3])
    # One of a hundred steps from each end: 6 % of the way to the next anchor, inside the frame.
    np.testing.assert_allclose(
        bar[5, 1], np.array(DIVERGING[0]) * 0.94 + np.array(DIVERGING[1]) * 0.06, atol=1
    )
    np.testing.assert_allclose(
        bar[5, 99], np.array(DIVERGING[-1]) * 0.94 + np.array(DIVERGING[-2]) * 0.06, atol=1
    )


def test_pictures_stand_side_by_side_and_under_each_other():
    a, b = noise(3, 4), noise(5, 2)
    beside, under = np.asarray(drawing.across([a, b], 2)), np.asarray(drawing.down([a, b], 2))
    assert beside.shape == (5, 8, 3) and under.shape == (10, 4, 3)
    np.testing.assert_array_equal(beside[:, 6:], np.asarray(b))
    np.testing.assert_array_equal(under[5:, :2], np.asarray(b))
    assert (under[5:, 2:] == PAPER).all()


@pytest.mark.parametrize(("value", "said"), [(-0.0123456, "−0.0123"), (0.0, "0"), (123456.0, "1.23e+5"), (2e-7, "2e−7")])  # fmt: skip
def test_a_number_has_three_digits_and_a_minus(value, said):
    assert drawing.number(value) == said

"""Spoilt pictures against SciPy, Pillow and what their names promise."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from hubel.errors import InputError
from hubel.evaluation.corruptions import KINDS, blur, contrast, jpeg, measure, noise, rotation, shift, spoilt
from hubel.evaluation.evaluate import evaluate


@pytest.fixture
def photo():
    """(3, 20, 31): smooth, with an edge; higher and wider than square."""
    i, j = np.mgrid[:20, :31]
    waves = [128 + 90 * np.sin(i / (3 + c)) * np.cos(j / (5 - c)) for c in range(3)]
    made = np.stack(waves)
    made[:, 8:12, 10:25] = 240
    return made.astype(np.uint8)


@pytest.fixture
def rng():
    return np.random.default_rng(4)


def test_noise_has_its_deviation(rng):
    grey = np.full((3, 100, 120), 128, np.uint8)
    added = noise(grey, 0.08, rng).astype(float) - 128
    assert added.std() == pytest.approx(
        0.08 * 255, rel=0.02
    )  # 36,000 values: the deviation's own error is 0.4 %
    assert added.mean() == pytest.approx(0, abs=0.5)
    assert abs(np.corrcoef(added[0].ravel(), added[1].ravel())[0, 1]) < 0.03  # each channel its own


@pytest.mark.parametrize("share", [0.01, 0.03, 0.1])
def test_blur_is_the_gaussian_of_scipy(photo, share):
    sigma = share * 20
    wanted = [ndimage.gaussian_filter(c.astype(float), sigma, mode="nearest", truncate=6) for c in photo]
    assert (
        np.abs(blur(photo, share, None).astype(float) - np.stack(wanted)).max() <= 0.51
    )  # rounded to grey levels


def test_contrast_leaves_the_mean_and_takes_the_spread(photo):
    found = contrast(photo, 0.3, None).astype(float)
    assert found.mean() == pytest.approx(photo.mean(), abs=0.1)
    assert found.std() == pytest.approx(0.3 * photo.std(), rel=0.01)


def test_a_shift_moves_by_its_length(photo):
    lengths, ways = [], set()
    for seed in range(30):
        found = shift(photo, 0.3, np.random.default_rng(seed))  # 6 pixels of 20
        moves = [
            (di, dj) for di in range(-7, 8) for dj in range(-7, 8)
            if np.array_equal(np.roll(found, (-di, -dj), (1, 2))[:, 7:-7, 7:-7], photo[:, 7:-7, 7:-7])
        ]  # fmt: skip
        assert len(moves) == 1
        lengths.append(np.hypot(*moves[0]))
        ways.add(tuple(np.sign(moves[0])))
    assert np.abs(np.array(lengths) - 6).max() <= 0.71  # half a pixel along each axis
    assert len(ways) >= 4


@pytest.mark.parametrize("seed", range(8))  # of these some go up, some down, left and right
def test_behind_a_shift_the_edge_goes_on(seed):
    i, j = np.mgrid[:20, :31]
    places = np.stack([i, j]).astype(np.uint8)  # each pixel says where it was
    found = shift(places, 0.4, np.random.default_rng(seed))
    move = (0, 10 - int(found[0, 10, 15]), 15 - int(found[1, 10, 15]))
    np.testing.assert_array_equal(found, ndimage.shift(places, move, order=0, mode="nearest"))


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_a_rotation_is_that_of_scipy(photo, seed):
    found = rotation(photo, 25, np.random.default_rng(seed)).astype(float)
    either = [
        np.stack(
            [ndimage.rotate(c.astype(float), turn, reshape=False, order=1, mode="nearest") for c in photo]
        )
        for turn in (25, -25)
    ]
    off = [np.abs(found - one).max() for one in either]
    assert min(off) <= 0.51 and max(off) > 20


def test_rotations_go_both_ways(photo):
    assert len({rotation(photo, 25, np.random.default_rng(s)).tobytes() for s in range(12)}) == 2


def test_jpeg_is_what_pillow_makes_of_it(photo):
    file = io.BytesIO()
    Image.fromarray(photo.transpose(1, 2, 0)).save(file, "JPEG", quality=10)
    np.testing.assert_array_equal(jpeg(photo, 10, None).transpose(1, 2, 0), np.asarray(Image.open(file)))


def test_jpeg_takes_other_channels_one_by_one(photo):
    two = photo[:2]
    np.testing.assert_array_equal(jpeg(two, 10, None)[1], jpeg(two[1:], 10, None)[0])


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 20, 31), (2, 1, 5)])
def test_stronger_is_farther_from_the_picture(name, shape):
    i, j = np.mgrid[: shape[1], : shape[2]]
    x = np.stack([128 + 100 * np.sin(i / 2 + c) * np.cos(j / 3) for c in range(shape[0])]).astype(np.uint8)
    off = []
    for level in range(5):
        (found,) = spoilt(x[None], name, level, np.array([7]))
        assert found.dtype == np.uint8 and found.shape == shape
        off.append(float(np.abs(found.astype(float) - x).mean()))
    if min(shape[1:]) > 1:  # a single row has nowhere to be moved to
        assert off[-1] > off[0] and off[-1] > 1


def test_a_stronger_corruption_is_the_same_one_only_stronger():
    grey = np.full((1, 1, 12, 9), 128, np.uint8)
    weak, strong = (spoilt(grey, "noise", level, np.array([5])).astype(float) - 128 for level in (0, 1))
    assert np.abs(strong - weak * 0.12 / 0.08).max() <= 1.5  # rounded to grey levels


def test_what_is_drawn_follows_the_item_and_the_seed(photo):
    two = np.stack([photo, photo])
    a, b = spoilt(two, "noise", 2, np.array([3, 4]))
    assert not np.array_equal(a, b)
    np.testing.assert_array_equal(
        spoilt(photo[None], "noise", 2, np.array([4]))[0], b
    )  # whatever stands beside it
    assert not np.array_equal(spoilt(photo[None], "noise", 2, np.array([4]), seed=1)[0], b)


def test_accuracy_is_that_of_evaluate_and_falls_by_what_spoils(make_run, make_source, pictures_that_answer):
    labels = np.arange(60) % 3
    source = make_source(pictures_that_answer(labels, 3), labels, ("a", "b", "c"))
    run = make_run(("a", "b", "c"))
    found, plain = measure(run, source), evaluate(run, source)
    assert found.clean == plain.accuracy == 1 and found.n == 60 and found.part == "test"
    assert [(row.kind, row.level) for row in found.rows] == [
        (k, level) for k in KINDS for level in range(1, 6)
    ]
    # Contrast keeps the order of the values, so the reader still answers right; noise of 0.38 does not keep it.
    assert found.means["contrast"] > 0.9
    noisy = [row.accuracy for row in found.rows if row.kind == "noise"]
    assert noisy[-1] < noisy[0] and noisy[-1] < 0.95
    assert found.mean == pytest.approx(np.mean(list(found.means.values())))
    assert measure(run, source) == found != measure(run, source, seed=1)


def test_pieces_and_unknown_labels_do_not_matter(make_run, make_source, pictures_that_answer, monkeypatch):
    labels = np.arange(40) % 3
    inputs = pictures_that_answer(labels, 3)
    run, source = make_run(("a", "b", "c")), make_source(inputs, labels, ("a", "b", "c"))
    told = []
    whole = measure(run, source, progress=lambda done, of: told.append((done, of)))
    assert told[-1] == (40 * 31, 40 * 31)
    monkeypatch.setattr("hubel.evaluation.corruptions.at_once", lambda shape: 7)
    assert measure(run, source) == whole
    some = make_source(inputs, np.where(np.arange(40) < 10, -1, labels), ("a", "b", "c"))
    assert measure(run, some).n == 30
    none = make_source(inputs, np.full(40, -1), ("a", "b", "c"))
    with pytest.raises(InputError, match="no item of known class"):
        measure(run, none)


def test_rows_of_numbers_cannot_be_spoilt(make_run, make_source):
    run = make_run(("a", "b"), (4,))
    with pytest.raises(InputError, match=r"--corruptions spoils pictures .* was trained to classify vectors"):
        measure(run, make_source(np.zeros((4, 4), np.float32), np.array([0, 1, 0, 1]), ("a", "b")))
    with pytest.raises(InputError, match=r"^--seed begins at 0, got -1$"):
        measure(make_run(("a", "b")), seed=-1)

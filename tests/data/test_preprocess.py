"""Preprocess: one function for train, evaluate, predict and serve, whatever the picture comes as."""

import io

import numpy as np
import pytest
from making import png
from PIL import Image

from hubel.data import Preprocess
from hubel.errors import ArtifactError, DataError, InputError, ShapeError

rng = np.random.default_rng(1)
COLOUR = rng.integers(0, 256, (9, 14, 3), np.uint8)


@pytest.mark.parametrize("resize", ["letterbox", "pad", "stretch", "crop"])
@pytest.mark.parametrize("C", [1, 3])
def test_one_picture_is_the_same_however_it_comes(resize, C, tmp_path):
    prepare = Preprocess("picture", (C, 8, 12), resize)
    (tmp_path / "a.png").write_bytes(png(COLOUR))
    out = prepare.picture(tmp_path / "a.png")
    assert out.shape == (C, 8, 12) and out.dtype == np.uint8 and out.flags.c_contiguous
    for same in (
        str(tmp_path / "a.png"),
        png(COLOUR),
        Image.fromarray(COLOUR),
        COLOUR,
        COLOUR.transpose(2, 0, 1),
    ):
        assert np.array_equal(prepare.picture(same), out)
    assert np.abs(prepare.picture(COLOUR / 255.0).astype(int) - out).max() == 0


def test_channels_last_becomes_channels_first_and_nothing_else():
    assert np.array_equal(Preprocess("picture", (3, 9, 14)).picture(COLOUR), COLOUR.transpose(2, 0, 1))


def test_colour_becomes_grey_by_luma():
    # ITU-R 601: 0.299 R + 0.587 G + 0.114 B
    grey = Preprocess("picture", (1, 9, 14)).picture(COLOUR)
    assert np.abs(grey[0] - COLOUR @ [0.299, 0.587, 0.114]).max() <= 0.51


def test_a_picture_of_pillow_is_turned_upright_too():
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    Image.fromarray(COLOUR).save(out, "PNG", exif=exif)
    prepare = Preprocess("picture", (3, 14, 9))
    assert np.array_equal(prepare.picture(Image.open(out)), prepare.picture(out.getvalue()))


@pytest.mark.parametrize("shape", [(1, 9, 14), (3, 9, 14)])
@pytest.mark.parametrize("wanted", [(1, 9, 14), (3, 9, 14), (3, 12, 15), (1, 7, 20), (3, 5, 5)])
@pytest.mark.parametrize("resize", ["pad", "letterbox"])
def test_a_batch_is_its_pictures_one_by_one(shape, wanted, resize):
    batch = rng.integers(0, 256, (3, *shape), np.uint8)
    prepare = Preprocess("picture", wanted, resize)
    single = np.stack([prepare.picture(one.transpose(1, 2, 0)) for one in batch])
    assert np.array_equal(prepare.pictures(batch), single)


def test_28_is_padded_to_29_and_32_as_in_the_lectures_but_enlarged_to_64():
    fitted = [Preprocess.to_fit("picture", (1, 28, 28), (1, n, n)).resize for n in (29, 32, 33, 64, 20)]
    assert fitted == ["pad", "pad", "letterbox", "letterbox", "letterbox"]
    digit = rng.integers(1, 256, (1, 1, 28, 28), np.uint8)
    assert np.array_equal(
        Preprocess("picture", (1, 29, 29), "pad").pictures(digit)[0, 0, :28, :28], digit[0, 0]
    )
    assert np.array_equal(
        Preprocess("picture", (1, 32, 32), "pad").pictures(digit)[0, 0], np.pad(digit[0, 0], ((2, 2), (2, 2)))
    )


def test_a_row_of_numbers_is_taken_in_order_or_by_name():
    prepare = Preprocess("vector", (2,), columns=("a", "b"))
    assert prepare.vector([1, 2.5]).tolist() == [1, 2.5] and prepare.vector([1, 2]).dtype == np.float32
    assert prepare.vector({"b": 2.5, "a": 1, "c": 9}).tolist() == [1, 2.5]


def test_a_row_that_does_not_fit_is_refused():
    prepare = Preprocess("vector", (2,), columns=("a", "b"))
    with pytest.raises(ShapeError, match=r"the row has 3 numbers, the network expects 2"):
        prepare.vector([1, 2, 3])
    with pytest.raises(DataError, match=r"names \['a'\], the network expects \['a', 'b'\]"):
        prepare.vector({"a": 1})
    with pytest.raises(DataError, match=r"not finite at position 1"):
        prepare.vector([1, float("nan")])
    with pytest.raises(DataError, match=r"a row must be numbers"):
        prepare.vector(["x", "y"])


def test_pictures_and_numbers_are_not_confused():
    with pytest.raises(InputError, match=r"takes a vector of shape \(2,\), not a picture"):
        Preprocess("vector", (2,)).picture(COLOUR)
    with pytest.raises(InputError, match=r"takes a picture of shape \(3, 4, 4\), not a vector"):
        Preprocess("picture", (3, 4, 4)).vector([1, 2])


def test_the_record_survives_being_stored():
    prepare = Preprocess("picture", (3, 8, 12), "crop", (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert Preprocess.from_dict(prepare.to_dict()) == prepare


@pytest.mark.parametrize("changed, message", [
    ({"tiles": 3}, r"^run/model\.safetensors stores a preprocessing that this version does not know \(.*'tiles'\): take "
     "the version of hubel that wrote it$"),
    ({"resize": "squeeze"}, r"^run/model\.safetensors stores the resize 'squeeze', this version knows letterbox, pad, "
     r"stretch, crop: take the version"),
])  # fmt: skip
def test_what_a_later_version_stored_is_told(changed, message):
    stored = Preprocess("picture", (3, 8, 12)).to_dict() | changed
    with pytest.raises(ArtifactError, match=message):
        Preprocess.from_dict(stored, "run/model.safetensors")


def test_statistics_are_those_of_the_pixels():
    batch = rng.integers(0, 200, (5, 3, 4, 6), np.uint8)
    found = Preprocess("picture", (3, 4, 6)).with_statistics(batch)
    assert np.allclose(found.mean, (batch / 255).mean((0, 2, 3)), atol=1e-12)
    assert np.allclose(found.std, (batch / 255).std((0, 2, 3)), atol=1e-12)

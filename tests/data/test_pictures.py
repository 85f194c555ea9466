"""Pictures of every mode against pixels worked out by hand or by NumPy."""

import io

import numpy as np
import pytest
from making import flat, png
from PIL import Image

from hubel.data.pictures import fit, from_array, header, planes, printable, read_picture
from hubel.errors import DataError, ShapeError, TooManyPixels

rng = np.random.default_rng(0)
GREY = rng.integers(0, 256, (5, 7), np.uint8)  # H != W finds swapped axes
COLOUR = rng.integers(0, 256, (5, 7, 3), np.uint8)


def saved(image, kind, **how):
    out = io.BytesIO()
    image.save(out, kind, **how)
    return out.getvalue()


def read(content):
    return np.asarray(read_picture(content))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "GIF"])
def test_grey_comes_back_as_it_was(kind):
    taken = read_picture(saved(Image.fromarray(GREY), kind))
    assert np.array_equal(np.asarray(taken.convert("L")), GREY)


def test_colour_comes_back_as_it_was():
    assert np.array_equal(read(png(COLOUR)), COLOUR)
    lossless = saved(Image.fromarray(COLOUR), "WEBP", lossless=True)
    assert np.array_equal(read(lossless), COLOUR)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_by_65535(kind):
    deep = np.array([[0, 257, 32896], [65535, 128, 129]], np.uint16)
    # 257 = 65535 / 255 is level 1; 32896 = 128 * 257; 128 * 255 / 65535 = 0.498 and 129 * 255 / 65535 = 0.502
    assert read(saved(Image.fromarray(deep), kind)).tolist() == [[0, 1, 128], [255, 0, 1]]


def test_big_endian_sixteen_bits_are_the_same():
    deep = np.array([[0, 257, 32896], [65535, 128, 129]], np.uint16)
    swapped = Image.frombytes("I;16B", (3, 2), deep.astype(">u2").tobytes())
    assert read(saved(swapped, "TIFF")).tolist() == [[0, 1, 128], [255, 0, 1]]


def test_thirty_two_bit_integers_count_to_65535():
    wide = Image.fromarray(np.array([[0, 65535, 32896]], np.int32))
    assert wide.mode == "I"
    assert read(saved(wide, "TIFF")).tolist() == [[0, 255, 128]]
    with pytest.raises(DataError, match=r"must lie in 0\.\.65535, but here they reach from 0 to 70000"):
        read(saved(Image.fromarray(np.array([[0, 70000]], np.int32)), "TIFF"))


def test_floats_are_shares_of_one():
    assert read(saved(Image.fromarray(np.array([[0, 0.5, 1]], np.float32)), "TIFF")).tolist() == [
        [0, 128, 255]
    ]
    with pytest.raises(
        DataError, match=r"float pixels must lie in 0\.\.1, but here they reach from 0 to 200"
    ):
        read(saved(Image.fromarray(np.array([[0, 200]], np.float32)), "TIFF"))
    with pytest.raises(DataError, match=r"float pixels"):
        read(saved(Image.fromarray(np.array([[0, np.nan]], np.float32)), "TIFF"))


def test_a_palette_becomes_its_colours():
    image = Image.fromarray(np.array([[0, 1], [2, 0]], np.uint8))
    image.putpalette([255, 0, 0, 0, 200, 0, 7, 8, 9])
    assert image.mode == "P"
    assert read(saved(image, "PNG")).tolist() == [[[255, 0, 0], [0, 200, 0]], [[7, 8, 9], [255, 0, 0]]]


def test_transparent_palette_entries_are_white():
    image = Image.fromarray(np.array([[0, 1]], np.uint8))
    image.putpalette([255, 0, 0, 0, 200, 0])
    assert read(saved(image, "PNG", transparency=1)).tolist() == [[[255, 0, 0], [255, 255, 255]]]


def test_half_transparent_black_over_white_is_half_grey():
    # white 255 * (1 - 102/255) + 0 * 102/255 = 153
    rgba = np.array([[[0, 0, 0, 102], [9, 9, 9, 0], [10, 20, 30, 255]]], np.uint8)
    expected = [[[153, 153, 153], [255, 255, 255], [10, 20, 30]]]
    assert read(saved(Image.fromarray(rgba), "PNG")).tolist() == expected
    la = saved(Image.fromarray(rgba[..., [0, 3]]), "PNG")
    assert read(la).tolist() == [[153, 255, 10]], "grey stays one channel"


def test_a_named_transparent_colour_is_white_too():
    grey = saved(Image.fromarray(np.array([[0, 80]], np.uint8)), "PNG", transparency=80)
    assert read(grey).tolist() == [[0, 255]]


def test_cmyk_becomes_rgb():
    # full cyan, no black ink: red is gone, green and blue stay
    cmyk = Image.fromarray(np.array([[[255, 0, 0, 0], [0, 0, 0, 255]]], np.uint8), "CMYK")
    assert read(saved(cmyk, "TIFF")).tolist() == [[[0, 255, 255], [0, 0, 0]]]


def test_one_bit_becomes_black_and_white():
    bits = Image.fromarray(np.array([[True, False, True]]))
    assert bits.mode == "1"
    assert read(saved(bits, "PNG")).tolist() == [[255, 0, 255]]


# What EXIF 2.32 says of each orientation: where the stored row 0 and column 0 are in the upright picture.
UNDO = {
    1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
    5: lambda a: a.T, 6: lambda a: a.T[:, ::-1], 7: lambda a: a[::-1, ::-1].T, 8: lambda a: a.T[::-1],
}  # fmt: skip


@pytest.mark.parametrize("turn", UNDO)
def test_exif_turns_are_carried_out(turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    content = saved(Image.fromarray(GREY), "PNG", exif=exif)
    assert np.array_equal(read(content), UNDO[turn](GREY))
    assert header(content) == (*UNDO[turn](GREY).shape, True)


def test_the_first_frame_stands_for_an_animation():
    frames = [Image.fromarray(np.full((5, 7), level, np.uint8)) for level in (40, 200)]
    content = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.array_equal(np.asarray(read_picture(content).convert("L")), np.full((5, 7), 40))


def test_too_many_pixels_are_refused_before_decoding():
    content = bytearray(flat(1))
    content[16:24] = (30_000).to_bytes(4, "big") * 2  # the header alone declares 30,000 × 30,000
    with pytest.raises(DataError, match=r"bomb\.png"):
        read_picture(bytes(content), name="bomb.png")
    with pytest.raises(DataError, match=r"the picture has 7 × 5 = 35 pixels, more than the 34 that are read"):
        read_picture(png(GREY), max_pixels=34)
    assert read_picture(png(GREY), max_pixels=35).size == (7, 5)


def test_a_truncated_picture_is_named_with_its_reason(tmp_path):
    path = tmp_path / "cut.jpg"
    path.write_bytes(saved(Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)), "JPEG")[:1500])
    with pytest.raises(DataError, match=r"cut\.jpg cannot be decoded: .*truncated"):
        read_picture(path)


def test_what_is_no_picture_is_named(tmp_path):
    (tmp_path / "a.png").write_text("hello")
    with pytest.raises(
        DataError, match=r"a\.png is no picture, or damaged at its start \(read are PNG, JPEG"
    ):
        read_picture(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"b\.png: there is no such file"):
        read_picture(str(tmp_path / "b.png"))


def test_decoders_for_other_formats_stay_shut():
    # An EPS would be handed to Ghostscript.
    eps = saved(Image.fromarray(COLOUR), "EPS")
    with pytest.raises(DataError, match=r"is no picture"):
        read_picture(eps)


def test_a_name_cannot_command_a_terminal():
    assert printable("a\x1b[2Jb\u202egpj.é中") == "a\\x1b[2Jb\\u202egpj.é中"
    with pytest.raises(DataError) as e:
        read_picture(b"x", name="\x1b]0;owned\x07.png")
    assert "\x1b" not in str(e.value) and "\\x1b]0;owned" in str(e.value)


def test_a_large_jpeg_may_be_decoded_smaller():
    big = Image.fromarray(np.full((800, 1200, 3), (200, 30, 60), np.uint8))
    small = read_picture(saved(big, "JPEG"), enough=100)
    assert small.size == (300, 200)  # a quarter: the smallest of 1/1, 1/2, 1/4, 1/8 with both sides above 200
    assert np.abs(np.asarray(small).reshape(-1, 3).mean(0) - (200, 30, 60)).max() < 3
    assert read_picture(saved(big, "JPEG"), enough=300).size == (1200, 800)


# ---- geometry ----


def bars(image):
    """Rows and columns that are black all along."""
    pixels = np.asarray(image)
    return (pixels == 0).all(1).nonzero()[0].tolist(), (pixels == 0).all(0).nonzero()[0].tolist()


def test_letterbox_keeps_the_aspect_ratio_between_black_bars():
    wide = Image.fromarray(np.full((10, 20), 200, np.uint8))
    boxed = fit(wide, 8, 8, "letterbox")  # 20 × 10 -> 8 × 4, two rows above and below
    assert boxed.size == (8, 8) and bars(boxed) == ([0, 1, 6, 7], [])
    tall = fit(wide.transpose(Image.Transpose.ROTATE_90), 6, 12, "letterbox")  # 10 × 20 -> 3 × 6
    assert tall.size == (12, 6) and bars(tall) == ([], [0, 1, 2, 3, 7, 8, 9, 10, 11])


def test_pad_puts_zeros_around_and_scales_nothing():
    padded = np.asarray(fit(Image.fromarray(GREY), 8, 10, "pad"))
    expected = np.pad(GREY, ((1, 2), (1, 2)))
    assert np.array_equal(padded, expected)


def test_pad_shrinks_only_what_is_too_large():
    white = Image.fromarray(np.full((10, 20), 255, np.uint8))
    assert bars(fit(white, 8, 10, "pad")) == ([0, 6, 7], [])  # 20 × 10 -> 10 × 5


def test_stretch_fills_both_sides():
    half = np.zeros((4, 4), np.uint8)
    half[:, 2:] = 200
    assert np.asarray(fit(Image.fromarray(half), 2, 2, "stretch")).shape == (2, 2)
    assert bars(fit(Image.fromarray(np.full((2, 9), 50, np.uint8)), 6, 3, "stretch")) == ([], [])


def test_crop_takes_the_centre_of_the_longer_side():
    thirds = np.repeat(np.array([10, 100, 200], np.uint8), 4)[None].repeat(4, 0)  # (4, 12): three squares
    assert np.array_equal(np.asarray(fit(Image.fromarray(thirds), 4, 4, "crop")), np.full((4, 4), 100))
    assert np.array_equal(
        np.asarray(fit(Image.fromarray(thirds.T.copy()), 4, 4, "crop")), np.full((4, 4), 100)
    )


@pytest.mark.parametrize("resize", ["letterbox", "pad", "stretch", "crop"])
def test_what_has_the_size_already_is_left_alone(resize):
    assert np.array_equal(np.asarray(fit(Image.fromarray(GREY), 5, 7, resize)), GREY)


def test_a_sliver_keeps_at_least_one_pixel():
    assert fit(Image.fromarray(np.full((1, 5000), 9, np.uint8)), 8, 8, "letterbox").size == (8, 8)


# ---- arrays ----


def test_an_array_may_have_its_channels_first_or_last():
    for array in (COLOUR, COLOUR.transpose(2, 0, 1)):
        assert np.array_equal(np.asarray(from_array(array)), COLOUR)
    for array in (GREY, GREY[None], GREY[..., None]):
        assert np.array_equal(np.asarray(from_array(array)), GREY)


def test_three_by_n_by_three_is_read_as_it_is_wanted():
    both = rng.integers(0, 256, (3, 5, 3), np.uint8)
    assert from_array(both).size == (5, 3)
    assert from_array(both, (3, 5, 3)).size == (3, 5)


def test_floats_and_booleans_are_scaled_to_255():
    assert np.asarray(from_array(np.array([[0, 0.5, 1.0]]))).tolist() == [[0, 128, 255]]
    assert np.asarray(from_array(np.array([[True, False]]))).tolist() == [[255, 0]]
    with pytest.raises(DataError, match=r"0\.\.1, but here they reach from -1 to 1"):
        from_array(np.array([[-1.0, 1.0]]))


def test_an_array_that_is_no_picture_is_refused_with_its_shape():
    with pytest.raises(ShapeError, match=r"neither end of \(5, 7, 9\) is a number of channels"):
        from_array(np.zeros((5, 7, 9), np.uint8))
    with pytest.raises(ShapeError, match=r"not \(2, 5, 7, 3\)"):
        from_array(np.zeros((2, 5, 7, 3), np.uint8))


def test_pixels_of_no_kind_of_number_are_refused():
    with pytest.raises(ShapeError, match=r"pixels are uint8, uint16, bool or float 0\.\.1, not complex128"):
        from_array(np.zeros((5, 7), complex))


def test_a_file_larger_than_any_picture_is_not_read(tmp_path):
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate((256 << 20) + 1)  # zeros that take no room
    with pytest.raises(
        TooManyPixels,
        match=r"large\.png has 268,435,457 bytes, more than the 268,435,456 that .*\. Make it smaller first",
    ):
        read_picture(tmp_path / "large.png")


def test_planes_are_channels_first():
    out = planes(Image.fromarray(COLOUR), 3)
    assert out.flags.c_contiguous and np.array_equal(out, COLOUR.transpose(2, 0, 1))
    assert np.array_equal(planes(Image.fromarray(GREY), 3), np.stack([GREY] * 3))
    with pytest.raises(ShapeError, match=r"1 or 3 channels, but 4 are wanted"):
        planes(Image.fromarray(COLOUR), 4)

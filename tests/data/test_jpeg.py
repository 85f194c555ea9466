"""Plain JPEGs go to Pillow's decoder at once; the oracle is the long way, PIL.Image.open, which reads every header."""

import io
import random

import numpy as np
import pytest
from harm import spoilt
from PIL import Image

from hubel.data import Preprocess, jpeg, pictures
from hubel.errors import DataError, TooManyPixels

rng = np.random.default_rng(0)
ANY = 10**9  # pixels


def made(h=5, w=7, mode="RGB", **how):
    """A JPEG of noise: every block has all its frequencies."""
    pixels = rng.integers(0, 256, (h, w, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(out, "JPEG", **how)
    return out.getvalue()


def turned(n):
    exif = Image.Exif()
    exif[0x0112] = n
    return exif


def without_jfif(content):
    """APP0 stands right after FF D8; its length is the two bytes after its marker."""
    assert content[2:4] == b"\xff\xe0"
    return content[:2] + content[4 + int.from_bytes(content[4:6], "big") :]


PLAIN = {
    "colour": made(),
    "grey": made(mode="L"),
    "one pixel": made(1, 1),
    "full colour": made(33, 18, subsampling=0),
    "half colour": made(18, 33, subsampling=1),
    "quarter colour": made(40, 40, subsampling=2, quality=30),
    "own tables": made(optimize=True),
    "restarts": made(64, 40, restart_marker_blocks=2),
    "a comment": made(comment="hello"),
    "no JFIF": without_jfif(made()),
    "rest behind its end": made() + b"rest",
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_jpeg_has_the_pixels_of_the_long_way(name):
    content = PLAIN[name]
    found = jpeg.decoded(content, ANY)
    with Image.open(io.BytesIO(content)) as expected:
        expected.load()
        assert found is not None and (found.mode, found.size) == (expected.mode, expected.size)
        assert np.array_equal(np.asarray(found), np.asarray(expected))


@pytest.mark.parametrize("name", PLAIN)
def test_the_header_alone_says_what_the_picture_is(name):
    picture = pictures.read_picture(PLAIN[name])
    assert pictures.header(PLAIN[name]) == (picture.height, picture.width, picture.mode == "L")


ADOBE = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"  # transform 0: the numbers are RGB, not YCbCr
ODD = {
    "progressive": made(progressive=True),
    "four inks": made(mode="CMYK"),
    "to be turned": made(exif=turned(6)),
    "Adobe's colours": PLAIN["no JFIF"][:2] + ADOBE + PLAIN["no JFIF"][2:],
    "JFIF cut short": b"\xff\xd8\xff\xe0\x00\x07JFIF\x00" + without_jfif(made())[2:],
    "fill bytes": made().replace(b"\xff\xda", b"\xff\xff\xda", 1),
    "no height": (lambda c, at: c[: at + 5] + b"\0\0" + c[at + 7 :])((c := made()), c.index(b"\xff\xc0")),
    "cut in its header": made()[:100],
    "cut in its pixels": made(40, 40)[:-40],
    "a PNG": (lambda out: (Image.new("RGB", (2, 2)).save(out, "PNG"), out.getvalue())[1])(io.BytesIO()),
    "nothing": b"",
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_not_plain_goes_the_long_way(name):
    assert jpeg.decoded(ODD[name], ANY) is None


def test_a_turn_and_adobes_colours_are_still_seen():
    """What the header says of the picture counts: else these would be as the plain ones."""
    assert pictures.read_picture(ODD["to be turned"]).size == (5, 7)
    plain, adobe = (np.asarray(pictures.read_picture(c)) for c in (PLAIN["no JFIF"], ODD["Adobe's colours"]))
    assert not np.array_equal(plain, adobe)


def test_limits_hold_for_plain_jpegs_too():
    content = made(40, 30)
    assert pictures.read_picture(content, max_pixels=1200).size == (30, 40)
    with pytest.raises(TooManyPixels, match=r"30 × 40 = 1,200 pixels, more than the 1,199 that are read"):
        pictures.read_picture(content, max_pixels=1199)


def test_a_small_file_of_a_large_picture_is_still_decoded_smaller():
    out = io.BytesIO()
    Image.new("RGB", (1200, 800), (200, 30, 60)).save(out, "JPEG")
    assert len(out.getvalue()) < pictures.SMALL and jpeg.decoded(out.getvalue(), ANY) is not None
    assert pictures.read_picture(out.getvalue(), enough=100).size == (300, 200)


def outcome(content):
    try:
        picture = pictures.read_picture(content, name="it", enough=32)
    except DataError as e:
        return type(e), str(e)
    return picture.mode, picture.size, picture.tobytes()


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of metadata that are damaged
def test_a_spoilt_jpeg_ends_as_it_does_the_long_way(monkeypatch):
    """The same pixels, or the same refusal, whatever stands in it; some of both kinds are met on either way."""
    draw = random.Random(0)
    contents = [*PLAIN.values(), *ODD.values()]
    harmed = [
        spoilt(draw.choice(contents) or b"\xff", draw, keep=draw.choice((2, 20, 150))) for _ in range(1500)
    ]
    direct = [jpeg.decoded(content, ANY) is not None for content in harmed]
    framed = [jpeg.frame(content) is not None for content in harmed]
    assert sum(direct) > 100 and sum(framed) > sum(direct) + 20, (
        "pixels that pass, and damage that the decoder finds"
    )
    found = [outcome(content) for content in harmed]
    monkeypatch.setattr(jpeg, "decoded", lambda *_: None)
    assert found == [outcome(content) for content in harmed]


def test_a_file_is_read_at_once_or_by_its_decoder_with_the_same_result(tmp_path, monkeypatch):
    (tmp_path / "a.jpg").write_bytes(PLAIN["full colour"])
    prepare = Preprocess("picture", (3, 33, 18))
    small = prepare.picture(tmp_path / "a.jpg")
    monkeypatch.setattr(pictures, "SMALL", len(PLAIN["full colour"]) - 1)
    assert np.array_equal(prepare.picture(str(tmp_path / "a.jpg")), small) and small.std() > 0

"""From a file, or bytes, to upright 8-bit pixels in L or RGB, and from any size to the one that is wanted.

What a viewer shows is what the network gets: EXIF turns are carried out, 16 bits become 8, palettes become
colours, the first frame stands for an animation, and transparent parts lie over white.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from hubel.data import jpeg
from hubel.data.limits import MEMBER_AT_MOST
from hubel.errors import DataError, ShapeError, TooManyPixels

if TYPE_CHECKING:
    from PIL.Image import Image

# Only these decoders of Pillow are reachable; others (EPS runs Ghostscript) are not for strangers' files.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
SUFFIXES = frozenset(
    ".png .jpg .jpeg .jpe .jfif .webp .gif .bmp .dib .tif .tiff .pgm .ppm .pbm .pnm".split()  # noqa: SIM905
)
MAX_PIXELS = 56_000_000  # a phone's largest photographs have about 50 million
# Pillow keeps four bytes a pixel, and turning a picture upright takes two of it: 448 MB, and no step takes more.
MAX_SIDE = 65_535  # pixels, as JPEG and GIF have it; the tables of a scaling grow with the longer side
MAX_PASSES = (
    20  # times MAX_PIXELS: a progressive JPEG passes over the picture once per scan; cameras write ten
)
SMALL = 64 << 10  # bytes of a file that are read in one go: piece by piece takes as long as decoding them
AT_ONCE = 4_000_000  # pixels of a step that needs several copies

# EXIF 2.32, tag 0x0112: the names of Pillow's transpositions that put the picture upright.
UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


def printable(name: str) -> str:
    """Control, bidirectional and undecodable characters written out, so that no terminal obeys them."""
    if name.isprintable():
        return name
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def looks_like_picture(path: str) -> bool:
    """By the ending of its name alone."""
    dot = path.rfind(".")
    return path[dot:].lower() in SUFFIXES and path[:dot].rpartition("/")[2].strip(".") != ""


def read_picture(
    source: str | Path | bytes | BinaryIO,
    *,
    max_pixels: int = MAX_PIXELS,
    name: str = "",
    enough: int | None = None,
) -> Image:
    """Decode the first frame into an upright picture of mode L or RGB.

    name: how messages call it; the path where there is one.
    enough: sides from this length on will be scaled down anyway: a JPEG more than twice as large in both is
        decoded at 1/2, 1/4 or 1/8 (in its DCT), which for photographs saves most of the time.
    Raises DataError when the file is missing, no picture or damaged, TooManyPixels when it has more than max_pixels.
    """
    import io

    from PIL import Image, UnidentifiedImageError

    named = printable(name or (str(source) if isinstance(source, str | Path) else "the picture"))
    try:
        if isinstance(source, str | Path):
            source = at_once(source, named)
        if isinstance(source, bytes) and len(source) <= SMALL:
            # With fewer pixels than these, none of what is looked at below applies to a plain JPEG.
            plain = jpeg.decoded(source, min(max_pixels, 16 * enough**2 - 1) if enough else max_pixels)
            if plain is not None:
                return plain
        with Image.open(
            io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS
        ) as image:
            check_pixels(image, max_pixels, named)
            check_scans(image, named)
            if enough and image.format == "JPEG" and min(image.size) >= 4 * enough:
                image.draft(image.mode, (2 * enough, 2 * enough))
            image.load()
            return grey_or_colour(upright(image))
    except DataError as e:
        raise e if str(e).startswith(named) else DataError(f"{named}: {e}") from None
    except FileNotFoundError:
        raise DataError(f"{named}: there is no such file") from None
    except UnidentifiedImageError:
        raise DataError(
            f"{named} is no picture, or damaged at its start (read are {', '.join(FORMATS)})"
        ) from None
    except Image.DecompressionBombError:
        raise TooManyPixels(
            f"{named} has more than the {max_pixels:,} pixels that are read (a small file of that size is a "
            "decompression bomb). Make it smaller first."
        ) from None
    except Exception as e:  # decoders raise nearly anything on hostile bytes
        raise DataError(f"{named} cannot be decoded: {printable(str(e)) or type(e).__name__}") from e


def at_once(path: str | Path, named: str) -> str | Path | bytes:
    """The bytes of a small file; a large one is left to its decoder, which reads it piece by piece."""
    stat = os.stat(path)  # noqa: PTH116 - a str as well as a Path
    check_file(stat, named)
    if stat.st_size > SMALL:
        return path
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - as above
        return file.read(stat.st_size)


def check_file(stat: os.stat_result, named: str) -> None:
    """Refuse what never ends or would fill the memory before it is looked at: pipes, devices, huge files."""
    if S_ISDIR(stat.st_mode):
        raise DataError(f"{named} is a folder, not a picture; name a file in it")
    if not S_ISREG(stat.st_mode):
        raise DataError(f"{named} is a pipe or a device, not a picture; name a file")
    if stat.st_size > MEMBER_AT_MOST:
        raise TooManyPixels(
            f"{named} has {stat.st_size:,} bytes, more than the {MEMBER_AT_MOST:,} that a picture may have. "
            "Make it smaller first."
        )


def check_pixels(image: Image, max_pixels: int, named: str) -> None:
    """Refuse by the header, before any pixel takes memory."""
    w, h = image.size
    if w * h > max_pixels:
        raise TooManyPixels(
            f"{named} has {w} × {h} = {w * h:,} pixels, more than the {max_pixels:,} that are read "
            "(a small file of that size is a decompression bomb). Make it smaller first."
        )
    if max(w, h) > MAX_SIDE:
        raise TooManyPixels(
            f"{named} is {w} × {h}: a side of more than {MAX_SIDE:,} pixels is not read. Cut it into pieces first."
        )


def check_scans(image: Image, named: str) -> None:
    """Refuse a progressive JPEG of so many scans that decoding it would take minutes.

    Within the pixels of a scan the byte FF is always followed by 00, so that a marker is found by its two bytes.
    """
    if image.format not in ("JPEG", "MPO") or not image.info.get("progressive"):
        return
    file = image.fp  # type: ignore[attr-defined]
    begin, left, scans = file.tell(), b"", 1  # the first scan's marker has been read
    while block := file.read(1 << 20):
        scans += (left[-1:] + block).count(b"\xff\xda")
        left = block
    file.seek(begin)
    w, h = image.size
    if scans * w * h > MAX_PASSES * MAX_PIXELS:
        raise TooManyPixels(
            f"{named} is a JPEG of {w} × {h} pixels in {scans:,} scans, more than a camera or a program needs: "
            "decoding it would take very long. Save it anew, as a PNG or with fewer scans."
        )


def upright(image: Image) -> Image:
    """Turned and mirrored as EXIF says. Damaged EXIF turns nothing."""
    from PIL import Image

    try:
        turn = image.getexif().get(0x0112, 1)
    except Exception:  # a picture with broken EXIF is still a picture
        return image
    return image.transpose(Image.Transpose[UPRIGHT[turn]]) if turn in UPRIGHT else image


def grey_or_colour(image: Image) -> Image:
    """Any mode of Pillow to L or RGB."""
    if image.mode in ("L", "RGB"):
        # A PNG may name one grey or one colour as transparent without having an alpha channel.
        return image if "transparency" not in image.info else over_white(image)
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "F" or image.mode.startswith("I"):
        return deep(image)
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        return over_white(image)
    return image.convert("RGB")  # P, CMYK, YCbCr, HSV, RGBX


def over_white(image: Image) -> Image:
    """Transparent parts become white, as on paper and in every viewer.

    Black would agree with the bars of a letterbox, but the usual transparent picture is dark ink on nothing,
    and over black it would vanish. Stripe by stripe: three copies of a large picture would fill the memory.
    """
    from PIL import Image

    mode = "L" if image.mode in ("L", "LA", "La") else "RGB"
    flat = Image.new(mode, image.size)
    for top, bottom in stripes(image):
        rgba = image.crop((0, top, image.width, bottom)).convert("RGBA")
        paper = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        flat.paste(Image.alpha_composite(paper, rgba).convert(mode), (0, top))
    return flat


def stripes(image: Image) -> Iterator[tuple[int, int]]:
    """(top, bottom) of stripes of at most AT_ONCE pixels, or of one row, from the top down."""
    rows = max(1, AT_ONCE // image.width)
    for top in range(0, image.height, rows):
        yield top, min(top + rows, image.height)


def deep(image: Image) -> Image:
    """Numbers of 16 or 32 bits to 8, as `eight_bits` has it, stripe by stripe."""
    from PIL import Image

    flat = Image.new("L", image.size)
    for top, bottom in stripes(image):
        numbers = np.asarray(image.crop((0, top, image.width, bottom)))
        flat.paste(Image.fromarray(eight_bits(numbers)), (0, top))
    return flat


def eight_bits(pixels: np.ndarray) -> np.ndarray:
    """Whole numbers 0..65535, or floats 0..1, to uint8. DataError for others: their scale is unknown."""
    low, high = (pixels.min(), pixels.max()) if pixels.size else (0, 0)
    if pixels.dtype.kind == "f":
        if not (low >= 0 and high <= 1):  # also false for NaN
            raise DataError(f"float pixels must lie in 0..1, but here they reach from {low:g} to {high:g}")
        return np.rint(pixels * 255.0).astype(np.uint8)
    if low < 0 or high > 65535:
        raise DataError(f"whole-number pixels must lie in 0..65535, but here they reach from {low} to {high}")
    return np.rint(pixels * (255 / 65535)).astype(np.uint8)


def fit(image: Image, H: int, W: int, resize: str) -> Image:
    """Bring `image` to height H and width W; see Preprocess.resize for the four ways.

    Scaling is Pillow's bilinear: it averages over the covered area when shrinking, and does not ring as
    bicubic and Lanczos do, so that black stays black.
    """
    from PIL import Image

    w, h = image.size
    if (h, w) == (H, W):
        return image
    bilinear = Image.Resampling.BILINEAR
    if resize == "stretch":
        return image.resize((W, H), bilinear)
    if resize == "crop":
        scale = max(W / w, H / h)
        width, height = min(w, round(W / scale)), min(h, round(H / scale))  # whole pixels, as all others cut
        left, top = (w - width) // 2, (h - height) // 2
        return image.crop((left, top, left + width, top + height)).resize((W, H), bilinear)
    if resize == "letterbox" or h > H or w > W:
        scale = min(W / w, H / h)
        image = image.resize((max(1, round(w * scale)), max(1, round(h * scale))), bilinear)
    canvas = Image.new(image.mode, (W, H))
    canvas.paste(image, ((W - image.width) // 2, (H - image.height) // 2))
    return canvas


def planes(image: Image, C: int) -> np.ndarray:
    """A picture of mode L or RGB -> (C, H, W) uint8, C = 1 or 3."""
    if C not in (1, 3):
        raise ShapeError(f"a picture has 1 or 3 channels, but {C} are wanted")
    mode = "L" if C == 1 else "RGB"
    pixels = np.asarray(image if image.mode == mode else image.convert(mode))  # (H, W) or (H, W, 3)
    return pixels[None] if C == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def from_array(array: np.ndarray, wanted: tuple[int, ...] = ()) -> Image:
    """(H, W), (H, W, C) or (C, H, W), uint8, bool, uint16 or float 0..1 -> a picture of mode L or RGB.

    C is 1, 3 or 4. Where both ends could be C, the reading that agrees with `wanted` (C, H, W) is taken, else
    C last.
    """
    from PIL import Image

    pixels = np.asarray(array)
    if pixels.ndim == 3:
        first, last = pixels.shape[0] in (1, 3, 4), pixels.shape[2] in (1, 3, 4)
        if first and (not last or pixels.shape[1:] == wanted[1:]):
            pixels = pixels.transpose(1, 2, 0)
        elif not last:
            raise ShapeError(f"neither end of {pixels.shape} is a number of channels (1, 3 or 4)")
        pixels = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    if pixels.ndim not in (2, 3) or 0 in pixels.shape:
        raise ShapeError(f"a picture is (H, W), (H, W, C) or (C, H, W), not {np.shape(array)}")
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    elif pixels.dtype != np.uint8:
        if pixels.dtype.kind not in "uif":
            raise ShapeError(f"pixels are uint8, uint16, bool or float 0..1, not {pixels.dtype}")
        pixels = eight_bits(pixels)
    return grey_or_colour(Image.fromarray(np.ascontiguousarray(pixels)))


def header(source: str | Path | bytes) -> tuple[int, int, bool] | None:
    """(height, width, is grey) by the header alone, as read_picture would find; None if that fails."""
    import io

    try:
        if isinstance(source, str | Path):
            source = at_once(source, "it")
        plain = jpeg.frame(source) if isinstance(source, bytes) else None
        if plain:  # Pillow need not even be loaded
            (w, h), grey = plain[1], plain[0] == "L"
            return (h, w, grey) if w * h <= MAX_PIXELS else None
        from PIL import Image

        with Image.open(
            io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS
        ) as image:
            w, h = image.size
            if w * h > MAX_PIXELS or max(w, h) > MAX_SIDE:
                return None
            if image.getexif().get(0x0112, 1) in (5, 6, 7, 8):
                w, h = h, w
            grey = image.mode in ("1", "L", "LA", "La", "F") or image.mode.startswith("I")
            if image.mode == "P" and image.palette is not None:
                colours = np.frombuffer(bytes(image.palette.palette), np.uint8)
                colours = colours[: len(colours) // 3 * 3].reshape(-1, 3)
                grey = image.palette.mode == "RGB" and bool((colours == colours[:, :1]).all())
            return h, w, grey
    except Exception:  # only a guess at the shape is lost; decoding will name the reason
        return None

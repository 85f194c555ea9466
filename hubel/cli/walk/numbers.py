"""From what was typed to arrays: '1 2 3; 4 5 6' is a matrix, | parts channels, || parts kernels. Or the name of a file.

Nothing that was typed is evaluated: a number is digits, or one number over another, as 1/3.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from hubel.cli.show import some
from hubel.data import npy
from hubel.data.pictures import looks_like_picture, printable, read_picture
from hubel.definitions import KERNELS, kernel, narrow, same, wide
from hubel.definitions.windows import Array, Padding, Pair
from hubel.errors import InputError, ShapeError, UnknownName

MOST = 4_000_000  # numbers in a file: beyond, nobody follows the sum, and windows would fill the memory
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def stack(text: str, option: str) -> Array:
    """(K, C, H, W) float64: kernels or items, channels, rows, columns."""
    path = Path(text)
    if path.suffix.lower() in (".npy", ".csv") or looks_like_picture(text):
        return _file(path, option)
    items = [[_matrix(plane, option) for plane in item.split("|")] for item in text.split("||")]
    shapes = {plane.shape for item in items for plane in item}
    if len(shapes) > 1:
        raise ShapeError(f"{option}: every channel must have one size, got {_sizes(shapes)}")
    if len({len(item) for item in items}) > 1:
        raise ShapeError(
            f"{option}: parts between || must have equally many channels, got {[len(i) for i in items]}"
        )
    return np.array(items)


def picture(text: str, option: str) -> Array:
    """(1, C, H, W): channels parted by |."""
    found = stack(text, option)
    if len(found) != 1:
        raise ShapeError(f"{option} is one item, its channels parted by |, but || parts it into {len(found)}")
    return found


def row(text: str, option: str) -> Array:
    """(1, C, L): a row of numbers for each channel."""
    return rows(text, option, picture(text, option))[0][None]


def rows(text: str, option: str, found: Array | None = None) -> Array:
    """(K, C, L): as `stack`, of matrices with one row."""
    found = stack(text, option) if found is None else found
    if found.shape[2] != 1:
        raise ShapeError(
            f"{option} takes one row for each channel, parted by |, got {found.shape[2]} rows parted by ;"
        )
    return found[:, :, 0]


def matrix(text: str, option: str) -> Array:
    """(H, W)"""
    found = picture(text, option)
    if found.shape[1] != 1:
        raise ShapeError(f"{option} is one matrix, rows parted by ;, but | parts it into {found.shape[1]}")
    return found[0, 0]


def plain(text: str, option: str) -> Array:
    """(D,) where one row was given, else (H, W), or (C, H, W) where channels were."""
    found = picture(text, option)[0]
    found = found[0] if len(found) == 1 else found
    return found[0] if found.ndim == 2 and len(found) == 1 else found


def vector(text: str, option: str) -> Array:
    """(D,)"""
    found = matrix(text, option)
    if len(found) != 1:
        raise ShapeError(f"{option} is one row of numbers, got {len(found)} rows parted by ;")
    return found[0]


def kernels(text: str, option: str) -> Array:
    """(K, C, U, V); the name of a hand-made kernel is one too, and a word that is neither a misspelt name."""
    name = text.strip()
    if name in KERNELS:
        return kernel(name)[None, None]
    if re.fullmatch(r"[^\W\d][\w-]*", name):
        raise UnknownName(
            "kernel", name, KERNELS, hint=f"{option} takes numbers too: '1 0 -1; 2 0 -2; 1 0 -1'."
        )
    return stack(text, option)


def setting(option: str, value: float, least: float | None = None, *, above: bool = False) -> float:
    """The value, if it is finite and at least `least`; above: and not `least` itself."""
    if not np.isfinite(value):
        raise InputError(f"{option} must be a finite number, got {value:g}")
    if least is not None and (value < least or (above and value == least)):
        raise InputError(f"{option} must be {'above' if above else 'at least'} {least:g}, got {value:g}")
    return value


def whole(text: str, option: str, least: int = 0, many: tuple[int, ...] = (1, 2)) -> tuple[int, ...]:
    """'2' or '2,1' as integers."""
    text = text.strip()
    parts = re.split(r"[,\s]+", text)
    if len(parts) not in many or not all(re.fullmatch(r"-?\d{1,9}", p) for p in parts):
        counts = " or ".join(map(str, many))
        takes = "one whole number" if many == (1,) else f"{counts} whole numbers parted by commas"
        raise InputError(f"{option} takes {takes}, got {text!r}")
    found = tuple(map(int, parts))
    if min(found) < least:
        raise InputError(f"{option} must be at least {least}, got {text!r}")
    return found


def pair(text: str, option: str, least: int = 1) -> Pair:
    found = whole(text, option, least)
    return found[0] if len(found) == 1 else (found[0], found[1])


WORDS = {"valid": narrow, "same": same, "full": wide}


def padding(text: str, span: tuple[int, ...], dilation: Pair = 1) -> Padding:
    """valid, same, full, p, h,w or t,b,l,r for a kernel of (U, V); along a row, valid, same, full, p or l,r."""
    dilations = dilation if isinstance(dilation, tuple) else (dilation,) * len(span)
    if text in WORDS:
        found = tuple(WORDS[text](U, d) for U, d in zip(span, dilations, strict=True))
        return found[0] if len(found) == 1 else (found[0], found[1])
    if text.isalpha():
        raise InputError(f"--padding is valid, same, full or numbers, got {text!r}")
    sides = whole(text, "--padding", 0, (1, 2) if len(span) == 1 else (1, 2, 4))
    if len(sides) == 4:
        return (sides[0], sides[1]), (sides[2], sides[3])
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def number(text: str, option: str) -> float:
    """Digits, or a fraction."""
    over = text.split("/")
    if len(over) <= 2 and all(NUMBER.fullmatch(part) for part in over):
        value = float(over[0])
        below = float(over[1]) if len(over) == 2 else 1.0
        if below and np.isfinite(value / below):
            return value / below
    raise InputError(f"{option}: {printable(text)!r} is no number")


def _matrix(text: str, option: str) -> Array:
    lines = [line.replace(",", " ").split() for line in text.replace("\n", ";").strip(" ;").split(";")]
    if not all(lines):
        raise InputError(
            f"{option}: {printable(text.strip())!r} has a row without numbers; write '1 2 3; 4 5 6', channels parted by |"
        )
    lengths = [len(line) for line in lines]
    if len(set(lengths)) > 1:
        odd = next(i for i, n in enumerate(lengths) if n != lengths[0])
        raise ShapeError(
            f"{option}: row 0 has {some(lengths[0], 'number')}, but row {odd} has {lengths[odd]}"
        )
    return np.array([[number(cell, option) for cell in line] for line in lines])


def _file(path: Path, option: str) -> Array:
    """A picture as grey, 0 to 255; rows of a .csv; an array of a .npy."""
    named = printable(str(path))
    if looks_like_picture(str(path)):
        pixels = np.asarray(read_picture(path).convert("L"), np.float64)
        return _bounded(pixels, named)[None, None]
    try:
        if path.suffix.lower() == ".csv":
            if path.stat().st_size > 32 * MOST:
                raise InputError(
                    f"{option}: {named} has {path.stat().st_size:,} bytes, more than a walk can show: "
                    f"at most {MOST:,} numbers"
                )
            return _matrix(path.read_text("utf-8").strip(), named)[None, None]
        with path.open("rb") as file:
            size = path.stat().st_size
            (shape, dtype), begins = (
                npy.read_header(file, size, f"{option}: {named}", InputError),
                file.tell(),
            )
            if size - begins > MOST * dtype.itemsize:
                raise too_many(math.prod(shape), named)
            array = npy.read(file, size, f"{option}: {named}", InputError)
    except OSError as e:
        raise InputError(f"{option}: {named} cannot be read: {e.strerror or e}") from e
    except UnicodeDecodeError as e:
        raise InputError(
            f"{option}: {named} is no text in UTF-8 ({e.reason} at byte {e.start}): a .csv is rows of numbers, as 1,2,3"
        ) from e
    if array.dtype.kind not in "uifb" or not 1 <= array.ndim <= 4 or 0 in array.shape:
        raise InputError(
            f"{option}: {named} must be an array of numbers with 1 to 4 axes, none of them empty, "
            f"got {array.dtype} {array.shape}"
        )
    found = np.array(_bounded(array, named), np.float64)
    if not np.isfinite(found).all():
        wrong = np.argwhere(~np.isfinite(found))
        first = ",".join(map(str, wrong[0]))
        raise InputError(
            f"{option}: {named} has {some(len(wrong), 'number')} that {'is' if len(wrong) == 1 else 'are'} not finite, "
            f"first at [{first}]: a walk needs finite ones"
        )
    return found.reshape((1,) * (4 - found.ndim) + found.shape)


def _bounded(array: Array, named: str) -> Array:
    if array.size > MOST:
        raise too_many(array.size, named)
    return array


def too_many(size: int, named: str) -> InputError:
    return InputError(
        f"{named} has {size:,} numbers, more than the {MOST:,} that a walk takes: make it smaller"
    )


def _sizes(shapes: set[tuple[int, ...]]) -> str:
    return " and ".join("×".join(map(str, s)) for s in sorted(shapes))

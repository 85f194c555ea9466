"""A contact sheet: a row per class with a dozen of its pictures, from the train part only."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from hubel.data.pictures import from_array, printable, read_picture
from hubel.data.records import Encoded, Source
from hubel.data.survey import parts_of
from hubel.errors import DataError, InputError

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

ROWS, EACH = 30, 12
SPARE = 3  # further pictures of a row, for those that cannot be read
LONGEST = 96  # pixels of a picture's longer side on the sheet, about
GAP, MARGIN, HEAD = 8, 28, 76  # pixels: between pictures, around, for the title
NAMES = (110, 210)  # pixels for the names, at least and at most
NAME, COUNT, SMALLEST = 17, 13, 12  # font sizes in pixels; long names shrink down to the last
PAPER, INK, PALE, RULE = "#ffffff", "#1c2330", "#6b7585", "#e3e7ed"


@dataclass(frozen=True)
class Row:
    """index: of its pictures in the source, more than are shown; items: how many the train part has of it."""

    name: str
    items: int
    index: np.ndarray


def contact_sheet(source: Source, *, rows: int = ROWS, each: int = EACH, seed: int = 0) -> bytes:
    """The sheet as a PNG.

    rows: at most so many classes; each: so many pictures of one. Both are evenly chosen, without chance.
    Raises InputError when the source holds no pictures.
    """
    if source.kind != "picture":
        raise InputError(f"{source.name} holds {source.kind}s; only of pictures there is a contact sheet")
    train = np.flatnonzero(parts_of(source, seed) == "train")
    if not len(train):
        raise DataError(
            f"{source.name} has no train part, and a contact sheet shows nothing of the others: name data to train on"
        )
    listed = rows_of(source, train, rows, each + SPARE)
    seen = pictures_of(source, np.concatenate([row.index for row in listed]))
    sheet = draw(source, listed, seen, each)
    out = io.BytesIO()
    sheet.save(out, "PNG", optimize=True)
    return out.getvalue()


def rows_of(source: Source, train: np.ndarray, most: int, each: int) -> list[Row]:
    """A row per class; of a regression, one per tenth of the items in the order of the first target."""
    if source.task == "classify":
        present = np.unique(source.targets[train])
        groups = [(source.classes[k], train[source.targets[train] == k]) for k in evenly(present, most)]
    else:
        values = source.targets[train, 0]
        order = train[np.argsort(values, kind="stable")]
        tenths = [part for part in np.array_split(order, min(10, most)) if len(part)]
        ends = [source.targets[part[[0, -1]], 0] for part in tenths]
        groups = [(f"{low:.4g} … {high:.4g}", part) for (low, high), part in zip(ends, tenths, strict=True)]
    return [Row(name, len(index), evenly(index, each)) for name, index in groups]


def evenly(index: np.ndarray, most: int) -> np.ndarray:
    """Up to `most` of `index`, first and last among them, evenly spread."""
    if len(index) <= most:
        return index
    return index[np.linspace(0, len(index) - 1, most).round().astype(int)]


def pictures_of(source: Source, index: np.ndarray) -> dict[int, Image]:
    """The pictures that can be read, by their place in the source."""
    if not isinstance(source.rows, Encoded):
        pixels = source.rows.take(index)
        return {int(i): from_array(one, source.shape) for i, one in zip(index, pixels, strict=True)}
    found: dict[int, Image] = {}
    for k, content in source.rows.stream(index):
        if not isinstance(content, DataError):
            try:
                found[int(index[k])] = read_picture(content, enough=LONGEST)
            except DataError:  # `survey` names it; here the next one takes its place
                continue
    return found


def draw(source: Source, listed: Sequence[Row], seen: dict[int, Image], each: int) -> Image:
    """Title, then a row per class: its name, how many the train part has, and its pictures."""
    from PIL import Image, ImageDraw

    h, w = cell(source)
    columns = min(each, max(len(row.index) for row in listed))
    names = name_width(row.name for row in listed)
    width = max(720, MARGIN + names + columns * (w + GAP) - GAP + MARGIN)
    sheet = Image.new("RGB", (width, HEAD + MARGIN + len(listed) * (h + 2 * GAP)), PAPER)
    pen = ImageDraw.Draw(sheet)
    title(pen, source, listed, columns, width)
    for number, row in enumerate(listed):
        top = HEAD + GAP + number * (h + 2 * GAP)
        pen.line((MARGIN, top - GAP, width - MARGIN, top - GAP), fill=RULE)
        middle = top + h // 2
        write(pen, (MARGIN, middle - 9), row.name, NAME, INK, names - 2 * GAP, bold=True)
        write(pen, (MARGIN, middle + 12), f"{row.items:,} in train", COUNT, PALE, names - 2 * GAP)
        shown = [seen[int(i)] for i in row.index if int(i) in seen][:columns]
        for column, picture in enumerate(shown):
            fitted = scaled(picture, h, w)
            left = MARGIN + names + column * (w + GAP)
            sheet.paste(fitted, (left + (w - fitted.width) // 2, top + (h - fitted.height) // 2))
    return sheet


def title(pen: ImageDraw, source: Source, listed: Sequence[Row], columns: int, width: int) -> None:
    of = len(source.classes)
    shape = " × ".join(map(str, source.shape[1:]))
    said = f"{len(listed)} of {of:,} classes" if of > len(listed) else f"{of} classes"
    if source.task == "regress":
        said = "in the order of the first target"
    kind = "grey" if source.shape[0] == 1 else "colour"
    each = f"{columns} of each" if all(row.items >= columns for row in listed) else f"up to {columns} of each"
    sized = f"{shape} pixels" if source.uniform else "of several sizes"
    write(pen, (MARGIN, 30), source.name, 26, INK, width - 2 * MARGIN, bold=True)
    line = f"{said}, {kind}, {sized}; {each}, from the train part"
    write(pen, (MARGIN, 55), line, 14, PALE, width - 2 * MARGIN)


def name_width(names: Iterable[str]) -> int:
    """Room for the longest name, within NAMES."""
    longest = max(font_for(printable(name), NAME, True).getlength(printable(name)) for name in names)
    return int(min(max(longest + 3 * GAP, NAMES[0]), NAMES[1]))


def cell(source: Source) -> tuple[int, int]:
    """(height, width) on the sheet: small pictures by a whole number, so that their pixels are squares."""
    _, h, w = source.shape
    if not source.uniform and h == w:
        return LONGEST, LONGEST
    factor = times(h, w)
    return max(1, round(h * factor)), max(1, round(w * factor))


def times(h: int, w: int) -> float:
    """By what a picture is enlarged, a whole number, or else shrunk."""
    longer = max(h, w)
    return max(1, round(LONGEST / longer)) if longer <= LONGEST else LONGEST / longer


def scaled(picture: Image, h: int, w: int) -> Image:
    """Into h × w without distortion: pixel by pixel where it grows by a whole number, else smoothly."""
    from PIL import Image

    factor = min(h / picture.height, w / picture.width)
    if factor == 1:
        return picture
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    exact = factor == math.floor(factor)
    return picture.resize(size, Image.Resampling.NEAREST if exact else Image.Resampling.LANCZOS)


def write(
    pen: ImageDraw, at: tuple[int, int], text: str, size: int, colour: str, room: int, *, bold: bool = False
) -> None:
    """Text that begins at `at` (its middle height), smaller and then shortened if it is wider than `room`."""
    said = printable(text)
    for smaller in range(size, SMALLEST - 1, -1):
        font = font_for(said, smaller, bold)
        if pen.textlength(said, font=font) <= room:
            break
    else:
        while len(said) > 1 and pen.textlength(said + "…", font=font) > room:
            said = said[:-1]
        said += "…"
    pen.text(at, said, fill=colour, font=font, anchor="lm")


@cache
def font_for(text: str, size: int, bold: bool) -> FreeTypeFont:
    """DejaVu, which Matplotlib brings along, or an installed font that has what DejaVu lacks (Chinese)."""
    from pathlib import Path

    import matplotlib
    from PIL import ImageFont

    fonts = Path(matplotlib.get_data_path(), "fonts", "ttf")
    plain = fonts / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")
    lacking = {c for c in text if not c.isspace()} - letters(str(plain))
    path = (another(frozenset(lacking)) if lacking else "") or str(plain)
    return ImageFont.truetype(path, size)


@cache
def letters(path: str) -> frozenset[str]:
    """The characters that a font file can draw."""
    from matplotlib.ft2font import FT2Font

    return frozenset(map(chr, FT2Font(path).get_charmap()))


@cache
def another(lacking: frozenset[str]) -> str:
    """An installed font that has these characters; "" if there is none."""
    from matplotlib.font_manager import fontManager

    # Matplotlib's font of last resort has a box for every character, and a letter for none.
    for path in sorted({font.fname for font in fontManager.ttflist if "LastResort" not in font.fname}):
        try:
            if lacking <= letters(path):
                return path
        except (OSError, RuntimeError):  # a damaged font of the machine is not our affair
            continue
    return ""

"""What the pictures of explanations are drawn with: colour scales, tiles with names, overlays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hubel.data.pictures import printable
from hubel.data.sheet import font_for

Colour = tuple[int, int, int]

INK, PAPER, FAINT = (32, 36, 44), (255, 255, 255), (120, 126, 138)
RULE = (222, 224, 230)
# Anchors at even steps. SEQUENTIAL: from nothing to much; DIVERGING: from against (blue) over nothing to for (red).
SEQUENTIAL = ((252, 252, 250), (254, 224, 160), (250, 158, 76), (214, 78, 60), (120, 22, 80), (32, 8, 50))
DIVERGING = (
    (18, 60, 130),
    (74, 138, 200),
    (184, 214, 234),
    (250, 250, 248),
    (246, 196, 170),
    (214, 96, 77),
    (140, 18, 40),
)
FOR, AGAINST = (240, 60, 30), (40, 110, 245)  # of overlays: bright, to be seen on black as on white


@dataclass(frozen=True)
class Scale:
    """Which colour a number has: `low` and below the first anchor's, `high` and above the last's."""

    low: float
    high: float
    anchors: tuple[Colour, ...]

    @staticmethod
    def of(values: np.ndarray) -> Scale:
        """From 0 where nothing is negative; else as far below 0 as above, so that 0 is the middle."""
        top = float(np.abs(values).max(initial=0))
        signed = bool((values < 0).any())
        return Scale(-top, top, DIVERGING) if signed else Scale(0.0, top, SEQUENTIAL)

    def colours(self, values: np.ndarray) -> np.ndarray:
        """(…) numbers -> (…, 3) uint8."""
        return coloured(values, self.low, self.high, self.anchors)


@dataclass(frozen=True)
class Tile:
    """A picture among others. name: over it; note: under it; crossed: struck out, as there is nothing to see."""

    image: Image.Image
    name: str = ""
    note: str = ""
    crossed: bool = False


def coloured(values: np.ndarray, low: float, high: float, anchors: tuple[Colour, ...]) -> np.ndarray:
    """(…) numbers -> (…, 3) uint8: `low` and below the first anchor's colour, `high` and above the last's."""
    span = high - low
    share = np.clip((values - low) / span, 0, 1) if span > 0 else np.zeros_like(values, dtype=float)
    places = np.linspace(0, 1, len(anchors))
    channels = [np.interp(share, places, [a[c] for a in anchors]) for c in range(3)]
    return np.stack(channels, -1).round().astype(np.uint8)


def picture(x: np.ndarray) -> Image.Image:
    """(C, H, W) in 0..1, one channel grey, three colour -> RGB; of other counts the first channel."""
    pixels = np.clip(x if x.shape[0] == 3 else np.repeat(x[:1], 3, 0), 0, 1)
    return Image.fromarray((pixels.transpose(1, 2, 0) * 255).round().astype(np.uint8))


def heat_map(values: np.ndarray, scale: Scale | None = None) -> Image.Image:
    """(h, w) numbers -> a picture of h x w pixels, by their own scale unless one is given."""
    return Image.fromarray((scale or Scale.of(values)).colours(values))


def enlarged(image: Image.Image, side: int) -> Image.Image:
    """The longer side brought to `side`: small pictures pixel by pixel, in whole steps; larger ones smoothly."""
    factor = side / max(image.size)
    if factor >= 1:
        times = max(1, int(factor))
        return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.LANCZOS)


def overlaid(
    under: Image.Image, heat: np.ndarray, strength: float = 0.8, top: float | None = None
) -> Image.Image:
    """(h, w) heat over a grey copy of the picture: red for, blue against; where there is none the picture stays clear.

    heat of another size than the picture is brought to it, bilinearly   top: the value of the full colour; by
    default the largest
    """
    if heat.shape != (under.height, under.width):
        grid = Image.fromarray(heat.astype(np.float32))
        heat = np.asarray(grid.resize(under.size, Image.Resampling.BILINEAR))
    most = float(np.abs(heat).max(initial=0)) if top is None else top
    share = (np.clip(heat / most, -1, 1) if most > 0 else np.zeros_like(heat))[..., None]
    grey = np.asarray(under.convert("L").convert("RGB"), np.float32)
    opaque = strength * np.abs(share)
    colour = np.where(share < 0, np.array(AGAINST), np.array(FOR))
    return Image.fromarray(((1 - opaque) * grey + opaque * colour).round().astype(np.uint8))


def font(size: int, *, bold: bool = False, text: str = "") -> ImageFont.FreeTypeFont:
    """A font that is everywhere; for `text` in letters that it lacks, an installed one that has them."""
    return font_for(text, size, bold)


def number(value: float) -> str:
    """Three digits, with a minus sign: 0.0123, −4.5, 1.2e+05."""
    return f"{value:.3g}".replace("-", "−").replace("e−0", "e−").replace("e+0", "e+")


def fitted(text: str, room: float, size: int, *, bold: bool = False) -> str:
    """The text, cut with … where it is wider than `room` pixels."""
    said = printable(text)
    letters = font(size, bold=bold, text=said)
    if letters.getlength(said) <= room:
        return said
    while said and letters.getlength(said + "…") > room:
        said = said[:-1]
    return said.rstrip() + "…"


def words(
    text: str, size: int = 14, colour: Colour = INK, *, room: int | None = None, bold: bool = False
) -> Image.Image:
    """Text as a picture on paper, its lines broken between words at `room` pixels."""
    said = printable(text)
    letters = font(size, bold=bold, text=said)
    lines: list[str] = [""]
    for word in said.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if room is None or letters.getlength(longer) <= room or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    if room is not None:
        lines = [fitted(line, room, size, bold=bold) for line in lines]
    height = round(size * 1.35)
    width = max(1, *(math.ceil(letters.getlength(line)) for line in lines))
    made = Image.new("RGB", (width, height * len(lines)), PAPER)
    pen = ImageDraw.Draw(made)
    for row, line in enumerate(lines):
        pen.text((0, row * height + height // 2), line, fill=colour, font=letters, anchor="lm")
    return made


def tiled(tiles: Sequence[Tile], columns: int | None = None, *, gap: int = 8, size: int = 12) -> Image.Image:
    """Tiles in rows of `columns` (all in one by default), each as wide as the widest, with their names and notes."""
    columns = min(columns or len(tiles), len(tiles))
    w, h = max(t.image.width for t in tiles), max(t.image.height for t in tiles)
    line = round(size * 1.4)
    over = line if any(t.name for t in tiles) else 0
    under = line if any(t.note for t in tiles) else 0
    rows = -(-len(tiles) // columns)
    deep = over + h + under
    made = Image.new("RGB", (columns * (w + gap) - gap + 2, rows * (deep + gap) - gap + 2), PAPER)
    pen = ImageDraw.Draw(made)
    for n, tile in enumerate(tiles):
        x, y = 1 + n % columns * (w + gap), 1 + n // columns * (deep + gap)
        left, top = x + (w - tile.image.width) // 2, y + over
        made.paste(tile.image, (left, top))
        box = (left - 1, top - 1, left + tile.image.width, top + tile.image.height)
        pen.rectangle(box, outline=RULE)  # else a pale picture has no edge
        if tile.crossed:
            pen.line(box, fill=FAINT)
        colour = FAINT if tile.crossed else INK
        for text, middle, ink in (
            (tile.name, y + line // 2, colour),
            (tile.note, y + deep - line // 2, FAINT),
        ):
            if text:
                said = fitted(text, w, size)
                pen.text((x + w // 2, middle), said, fill=ink, font=font(size, text=said), anchor="mm")
    return made


def scale_bar(scale: Scale, width: int = 180, *, unit: str = "", size: int = 11) -> Image.Image:
    """The colours of a scale from its lowest number to its highest, with these, and 0 where it lies between."""
    shades = scale.colours(np.linspace(scale.low, scale.high, width)[None].repeat(10, 0))
    marks = [(0.0, scale.low, "la"), (1.0, scale.high, "ra")]
    if scale.low < 0 < scale.high:
        marks.insert(1, (-scale.low / (scale.high - scale.low), 0.0, "ma"))
    made = Image.new("RGB", (width, 14 + round(size * 1.4)), PAPER)
    made.paste(Image.fromarray(shades), (0, 0))
    pen = ImageDraw.Draw(made)
    pen.rectangle((0, 0, width - 1, 9), outline=RULE)
    for share, value, anchor in marks:
        x = round(share * (width - 1))
        pen.line((x, 8, x, 12), fill=FAINT)
        said = number(value) + (f" {unit}" if unit and value == scale.high else "")
        pen.text((x, 13), said, fill=FAINT, font=font(size), anchor=anchor)
    return made


def across(images: Sequence[Image.Image], gap: int = 12, *, middle: bool = False) -> Image.Image:
    """Side by side on paper, at one upper edge or (middle) around one line."""
    tall = max(image.height for image in images)
    made = Image.new("RGB", (sum(i.width for i in images) + gap * (len(images) - 1), tall), PAPER)
    x = 0
    for image in images:
        made.paste(image, (x, (tall - image.height) // 2 if middle else 0))
        x += image.width + gap
    return made


def down(images: Sequence[Image.Image], gap: int = 12) -> Image.Image:
    """One under the other on paper, at one left edge."""
    wide = max(image.width for image in images)
    made = Image.new("RGB", (wide, sum(i.height for i in images) + gap * (len(images) - 1)), PAPER)
    y = 0
    for image in images:
        made.paste(image, (0, y))
        y += image.height + gap
    return made


def wide(image: Image.Image, width: int) -> Image.Image:
    """With paper at its right, up to `width`."""
    made = Image.new("RGB", (max(width, image.width), image.height), PAPER)
    made.paste(image, (0, 0))
    return made


def framed(image: Image.Image, margin: int = 20) -> Image.Image:
    """With paper around it."""
    made = Image.new("RGB", (image.width + 2 * margin, image.height + 2 * margin), PAPER)
    made.paste(image, (margin, margin))
    return made

"""Small charts that stand beside pictures: a curve against chance, and bars with their numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw

from hubel.explanation.drawing import DIVERGING, FAINT, INK, PAPER, RULE, fitted, font, number

FINE = 3  # lines are drawn so much larger, and made smaller, which smooths them
LINE, BAND, AGAINST = DIVERGING[5], (226, 228, 234), DIVERGING[1]
LEFT, RIGHT, TOP, BOTTOM = 34, 12, 42, 34  # around a curve


def curve_chart(
    title: str, note: str, shares: np.ndarray, height: np.ndarray, chance: np.ndarray, other: np.ndarray, *,
    across: str, top: float = 1.0, size: tuple[int, int] = (300, 224),
) -> Image.Image:  # fmt: skip
    """A curve over 0..1, from 0 to `top`; grey what chance gives, mean and one standard deviation to each side.

    shares, height: (S,)   chance: (R, S)   other: (R, S), of which the mean is a blue line   across: of the axis below
    """
    w, h = size[0] - LEFT - RIGHT, size[1] - TOP - BOTTOM

    def points(values: np.ndarray) -> list[tuple[float, float]]:
        inside = np.clip(values / top, 0, 1)
        return [(FINE * w * s, FINE * h * (1 - v)) for s, v in zip(shares, inside, strict=True)]

    plot = Image.new("RGB", (FINE * w, FINE * h), PAPER)
    pen = ImageDraw.Draw(plot)
    for share in (0.25, 0.5, 0.75, 1.0):
        pen.line((0, FINE * h * (1 - share), FINE * w, FINE * h * (1 - share)), fill=RULE, width=FINE)
    middle, spread = chance.mean(0), chance.std(0)
    pen.polygon([*points(middle + spread), *reversed(points(middle - spread))], fill=BAND)
    pen.line(points(middle), fill=FAINT, width=FINE)
    pen.line(points(other.mean(0)), fill=AGAINST, width=FINE)
    pen.line(points(height), fill=LINE, width=2 * FINE, joint="curve")
    made = Image.new("RGB", size, PAPER)
    made.paste(plot.resize((w, h), Image.Resampling.LANCZOS), (LEFT, TOP))
    pen = ImageDraw.Draw(made)
    pen.line((LEFT, TOP, LEFT, TOP + h, LEFT + w, TOP + h), fill=FAINT)
    _headed(pen, title, note, size[0])
    for share in (0, 0.5, 1):
        pen.text(
            (LEFT - 5, TOP + h * (1 - share)), number(share * top), fill=FAINT, font=font(11), anchor="rm"
        )
        place = "la" if share == 0 else "ra" if share == 1 else "ma"
        pen.text((LEFT + w * share, TOP + h + 4), f"{share:.0%}", fill=FAINT, font=font(11), anchor=place)
    pen.text((LEFT + w / 2, size[1] - 2), across, fill=FAINT, font=font(11), anchor="md")
    return made


def bar_chart(
    title: str, note: str, rows: Sequence[tuple[str, float]], *, low: float, high: float, width: int = 300,
    said: Callable[[float], str] = number,
) -> Image.Image:  # fmt: skip
    """A bar for each named number, on one scale from `low` to `high`, from 0 to the right or to the left.

    said: how a number is written
    """
    line, names, numbers = 20, 110, 52
    made = Image.new("RGB", (width, TOP + line * len(rows) + 4), PAPER)
    pen = ImageDraw.Draw(made)
    _headed(pen, title, note, width)
    room = width - names - numbers
    none = names + room * (0 - low) / (high - low)
    for place, (name, value) in enumerate(rows):
        y = TOP + line * place
        short = fitted(name, names - 8, 12)
        pen.text((0, y + line // 2), short, fill=INK, font=font(12, text=short), anchor="lm")
        end = names + room * (min(max(value, low), high) - low) / (high - low)
        pen.rectangle((names, y + 4, names + room, y + line - 4), fill=BAND)
        pen.rectangle(
            (min(none, end), y + 4, max(none, end), y + line - 4), fill=LINE if value > 0 else AGAINST
        )
        pen.text((width, y + line // 2), said(value), fill=INK, font=font(12), anchor="rm")
    pen.line((none, TOP, none, TOP + line * len(rows)), fill=FAINT)
    return made


def _headed(pen: ImageDraw.ImageDraw, title: str, note: str, width: int) -> None:
    for text, y, size, bold, colour in ((title, 8, 13, True, INK), (note, 26, 11, False, FAINT)):
        said = fitted(text, width, size, bold=bold)
        pen.text((0, y), said, fill=colour, font=font(size, bold=bold, text=said), anchor="lm")

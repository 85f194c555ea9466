"""The way to a picture as an animation: an animated PNG, or a GIF."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from hubel.errors import InputError
from hubel.files import write_atomically

SUFFIXES = {".png": "PNG", ".gif": "GIF"}
FRAMES = 48  # of one picture, at most
SHORT, LONG = 80, 2000  # milliseconds of a frame, and of the last


def film_format(path: str | Path) -> str:
    """Pillow's name of the format. Raises InputError for an ending that no animation has."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"an animation ends in {' or '.join(SUFFIXES)}, and not as {Path(path).name!r}")
    return SUFFIXES[suffix]


def is_frame(step: int, steps: int) -> bool:
    """Whether step 1 … `steps` is one of at most FRAMES that are kept: evenly, the last among them."""
    return step * FRAMES // steps > (step - 1) * FRAMES // steps


def write_film(frames: Sequence[Image.Image], path: Path) -> None:
    """All frames at the size of the last; it stays on for a while, then all begins again."""
    kind = film_format(path)
    size = frames[-1].size
    same = [f if f.size == size else f.resize(size, Image.Resampling.BICUBIC) for f in frames]
    packed = io.BytesIO()
    times = [SHORT] * (len(same) - 1) + [LONG]
    same[0].save(packed, kind, save_all=True, append_images=same[1:], duration=times, loop=0)
    write_atomically(path, packed.getvalue())

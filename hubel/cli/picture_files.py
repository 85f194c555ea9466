"""Photographs in and pictures out, as `dream` and `stylize` take and give them."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

from hubel.errors import InputError
from hubel.files import make_folder, write_atomically

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

WRITTEN = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
LARGEST = 4096  # pixels of a side


def is_picture_file(path: Path) -> bool:
    return path.suffix.lower() in WRITTEN


def free(path: Path, option: str) -> Path:
    """The place, if nothing is there yet; its folder is made. Raises InputError otherwise."""
    if path.exists():
        raise InputError(f"{path} exists: name another {option}, or move it away. Nothing was changed")
    make_folder(path.parent)
    return path


def write_picture(image: Image, path: Path) -> None:
    """Whole or not at all, in the format of the name's ending."""
    packed = io.BytesIO()
    image.save(packed, WRITTEN[path.suffix.lower()], quality=95)
    write_atomically(path, packed.getvalue())


def size_of(text: str | None) -> tuple[int, ...]:
    """ "256" -> (256,), "240x320" -> (240, 320), None -> (). Raises InputError."""
    if text is None:
        return ()
    found = re.fullmatch(r"(\d+)(?:[x×](\d+))?", text.strip().lower())
    sides = tuple(int(side) for side in found.groups() if side) if found else ()
    if not sides or not all(1 <= side <= LARGEST for side in sides):
        raise InputError(
            f"--size takes pixels up to {LARGEST}, as 256 or (height x width) 240x320, got {text!r}"
        )
    return sides


def photograph(path: str, channels: int, size: tuple[int, ...], most: int) -> Tensor:
    """A picture file as (C, H, W) float in 0..1.

    size: (longer side,), or (H, W), to which it is cut; () for its own   most: of its own longer side
    """
    import torch
    from PIL import Image

    from hubel.data.pictures import fit, planes, read_picture

    taken = read_picture(path)
    if len(size) == 2:
        taken = fit(taken, size[0], size[1], "crop")
    else:
        factor = (size[0] if size else min(most, max(taken.size))) / max(taken.size)
        if factor != 1:
            sides = (max(1, round(taken.width * factor)), max(1, round(taken.height * factor)))
            taken = taken.resize(sides, Image.Resampling.LANCZOS)
    return torch.from_numpy(planes(taken, channels).copy()).float() / 255

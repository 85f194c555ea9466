"""What a question gives: findings, each a picture with words and numbers; written as PNGs and one page, or as JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Item:
    """A picture (or a row of numbers) that a question is about, as the network receives it.

    name: of its file, or its place in the data   x: (C, H, W) float32 in 0..1, or (D,)
    label: its true class, where known
    """

    name: str
    x: np.ndarray
    label: str | None = None


@dataclass(frozen=True)
class Question:
    """What is asked, beside the run and its pictures.

    layer: a layer's name, None = chosen on the graph   map: which of its maps, None = all
    classes: whose evidence is asked for, names or numbers; empty = the answer's   top: how many classes side by side
    contrast: evidence for the first rather than for the second   check: whether the evidence is tested
    seed: of whatever is drawn   progress: told (done, of) in long work
    """

    layer: str | None = None
    map: int | None = None
    classes: tuple[str, ...] = ()
    top: int = 1
    contrast: tuple[str, str] | None = None
    check: bool = False
    seed: int = 0
    progress: Any = None


@dataclass(frozen=True)
class Finding:
    """One answer to one question.

    name: of its file, without ending; title, caption: sentences over and under the picture
    image: what is looked at, an RGB picture of Pillow   numbers: what is measured, for the page and for JSON
    arrays: the same as numbers for programs, by name (float32)   html: a part of the page in the picture's place
    """

    name: str
    title: str
    image: Image
    caption: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    html: str = ""

    def to_dict(self, *, arrays: bool = True) -> dict[str, Any]:
        """For JSON. arrays: with all their numbers, or their shapes only"""
        told = {n: a.tolist() if arrays else list(a.shape) for n, a in self.arrays.items()}
        return {
            "name": self.name, "title": self.title, "caption": self.caption, "numbers": dict(self.numbers),
            "arrays": told,
        }  # fmt: skip


def write(findings: Sequence[Finding], out: str | Path, title: str) -> Path:
    """A PNG per finding, and index.html with all of them inside it; the page's path.

    Raises InputError where `out` is a file.
    """
    raise NotImplementedError


def file_name(text: str) -> str:
    """A name for a file out of any text: letters and digits of any script, the rest a dash."""
    return re.sub(r"[^\w.]+", "-", text).strip("-.")[:80] or "picture"

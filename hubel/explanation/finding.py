"""What a question gives: findings, each a picture with words and numbers; written as PNGs and one page, or as JSON."""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload
from urllib.parse import quote

import numpy as np

from hubel.data.pictures import SUFFIXES
from hubel.errors import InputError
from hubel.files import make_folder, write_atomically
from hubel.progress import Progress

if TYPE_CHECKING:
    from PIL.Image import Image

PAGE = Path(__file__).parent / "page"
PAGE_BYTES = 24_000_000  # of pictures inside one page


@dataclass(frozen=True)
class Item:
    """A picture (or a row of numbers) that a question is about, as the network receives it.

    name: of its file, or its place in the data   x: (C, H, W) float32 in 0..1, or (D,)
    label: its true class, where known
    """

    name: str
    x: np.ndarray
    label: str | None = None


class Items(Sequence[Item]):
    """Many items, each made when it is asked for.

    inputs: (N, C, H, W) uint8, or (N, D) float32, as a Split has them   labels: true classes, None where not known
    """

    def __init__(self, inputs: np.ndarray, names: Sequence[str], labels: Sequence[str | None]) -> None:
        self.inputs, self.names, self.labels = inputs, names, labels

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, place: int) -> Item: ...

    @overload
    def __getitem__(self, place: slice) -> Items: ...

    def __getitem__(self, place: int | slice) -> Item | Items:
        if isinstance(place, slice):
            return Items(self.inputs[place], self.names[place], self.labels[place])
        return Item(self.names[place], floats(self.inputs[place]), self.labels[place])


def stacked(items: Sequence[Item]) -> np.ndarray:
    """(N, C, H, W) or (N, D): what Run.logits and Run.features take."""
    return items.inputs if isinstance(items, Items) else np.stack([item.x for item in items])


def floats(inputs: np.ndarray) -> np.ndarray:
    """As the model takes them: float32, and bytes of pictures in 0..1."""
    made = inputs.astype(np.float32)
    return made / np.float32(255) if inputs.dtype == np.uint8 else made


@dataclass(frozen=True)
class Question:
    """What is asked, beside the run and its pictures.

    layer: a layer's name, None = chosen on the graph   map: which of its maps, None = all
    classes: whose evidence is asked for, names or numbers; empty = the answer's   top: how many classes side by side
    contrast: evidence for the first rather than for the second   check: whether the evidence is tested
    seed: of whatever is drawn   progress: told (done, of) in long work
    answers: whether the network has its last layer; public weights may lack it
    say: told in a line what begins where long work cannot be counted
    """

    layer: str | None = None
    map: int | None = None
    classes: tuple[str, ...] = ()
    top: int = 1
    contrast: tuple[str, str] | None = None
    check: bool = False
    seed: int = 0
    progress: Progress | None = None
    answers: bool = True
    say: Callable[[str], None] | None = None


@dataclass(frozen=True)
class Finding:
    """One answer to one question.

    name: of its file, without ending; the item's own, where it is of a single one
    title, caption: sentences over and under the picture   image: what is looked at, an RGB picture of Pillow
    numbers: what is measured, for the page and for JSON   arrays: the same for programs, by name (float32)
    html: a part of the page in the picture's place, where every name of somebody else's is escaped
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


def write(findings: Iterable[Finding], out: str | Path, title: str, *, about: str = "") -> Path:
    """A PNG per finding, as they come, and index.html with all of them inside it; the page's path.

    about: sentences under the title. What is over PAGE_BYTES stays beside the page, and is shown from there.
    Raises InputError where `out` is a file.
    """
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: --out names the folder for the pictures and their page")
    make_folder(folder)
    names, shown, total = _Names(), [], 0
    for finding in findings:
        file, content = names.of(finding), packed(finding.image)
        write_atomically(folder / file, content)
        total += len(content)
        inside = total <= PAGE_BYTES
        width, height = finding.image.size
        shown.append(
            _Shown(
                finding.title, finding.caption, finding.html,
                "data:image/png;base64," + base64.b64encode(content).decode("ascii") if inside else quote(file),
                inside, width, height, tuple((name, told(value)) for name, value in finding.numbers.items()),
            )
        )  # fmt: skip
    page = _template().render(title=title, about=about, shown=shown, beside=sum(not s.inside for s in shown))
    path = folder / "index.html"
    write_atomically(path, page.encode("utf-8", "replace"))  # a file name may hold half a character
    return path


@dataclass(frozen=True)
class _Shown:
    """What the page keeps of a finding. inside: whether the address holds the picture itself"""

    title: str
    caption: str
    html: str
    address: str
    inside: bool
    width: int
    height: int
    numbers: tuple[tuple[str, str], ...]


class _Names:
    """A PNG's name for each finding; where two are called alike, also by systems that do not tell case, a number."""

    def __init__(self) -> None:
        self.taken: set[str] = set()

    def of(self, finding: Finding) -> str:
        name = stem = file_name(
            re.sub(rf"({'|'.join(map(re.escape, SUFFIXES))})$", "", finding.name, flags=re.I)
        )
        number = 1
        while name.casefold() in self.taken:
            number += 1
            name = f"{stem}-{number}"
        self.taken.add(name.casefold())
        return f"{name}.png"


def packed(image: Image) -> bytes:
    """As a PNG."""
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def told(value: Any) -> str:
    """A number as the page prints it; lists with commas, and what they hold likewise."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, float):
        return f"{value:.4g}".replace("-", "−") if math.isfinite(value) else "–"
    if isinstance(value, int):
        return f"{value:,}".replace("-", "−")
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {told(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(told, value))
    return str(value)


def _template() -> Any:
    from markupsafe import Markup

    from hubel.evaluation.report import PAGE as REPORT
    from hubel.evaluation.report import templates

    environment = templates(PAGE)
    css = (REPORT / "report.css").read_text("utf-8") + (PAGE / "findings.css").read_text("utf-8")
    environment.globals |= {
        "css": Markup(css),  # noqa: S704 - our own files
        "js": Markup((PAGE / "findings.js").read_text("utf-8")),  # noqa: S704 - our own file
    }
    environment.filters["markup"] = Markup  # of Finding.html, which its method has escaped
    return environment.get_template("findings.html.jinja")


def file_name(text: str) -> str:
    """A name for a file out of any text: letters and digits of any script, the rest a dash."""
    return re.sub(r"[^\w.]+", "-", text).strip("-.")[:80] or "picture"

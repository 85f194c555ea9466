"""docs/networks.md: every network of the zoo with its picture, its line of figures and its story, as Markdown.

Nothing in it is written by hand but the stories (zoo/stories.py): figures come from the entries, from the graph of each
network, and from the table of docs/measured.md. `hubel zoo --markdown docs/networks.md` writes it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hubel import zoo
from hubel.data.sources import HINTS
from hubel.zoo.public_weights import PUBLIC
from hubel.zoo.stories import FAMILIES, Story

if TYPE_CHECKING:
    from hubel.zoo import Entry
    from hubel.zoo.describe import Layer

MEASURED = "measured.md"  # beside the page
NOTHING = "–"
COLUMNS = (
    "network", "year", "input", "classes", "parameters", "multiply-adds", "the last map sees", "published error",
    "our test accuracy",
)  # fmt: skip
NUMBERS = range(1, 7)  # columns that stand at the right
# What the data of a measurement look like, where its command leaves the network to us.
NATURAL = {
    "digits": (1, 8, 8), "mnist": (1, 28, 28), "fashion-mnist": (1, 28, 28), "signs-64.tar": (3, 64, 64),
    "cifar10": (3, 32, 32),
}  # fmt: skip
BEGIN = f"""# Networks

Every network of the zoo: a picture, its figures, and its story in five sentences. `hubel describe lenet5` shows one of them
layer by layer, `hubel train digits --network lenet5` trains it. `hubel zoo --markdown docs/networks.md` writes this page.

- **Parameters** are exact, for the input and the classes beside them, and include auxiliary heads.
- **Multiply-adds** are those of one picture in use, counted along the network's graph.
- **The last map sees** so many pixels a side with one cell, of the last map that has more than one; where that is more
  than the input has, its edge is passed.
- **Published error** is that of the paper, or of the public weights where it says so: on the 50,000 validation pictures of
  ImageNet, unless other data are named. Top-5: the right class is not among the first five answers. A crop is a part of
  the picture that is looked at by itself; of several, answers are averaged.
- **Our test accuracy** is from [{MEASURED}]({MEASURED}), which has the commands, the deviations and the machine.

In the pictures a stripe under a layer is what belongs to it, in the order in which it happens; a frame with × 3 stands for
three equal pieces in a row, named after the first. A network's name in a table leads to its picture.
"""


@dataclass(frozen=True)
class Drawn:
    """A network's layers, and its picture."""

    rows: tuple[Layer, ...]
    svg: str


def page(folder: str, measured: str) -> tuple[str, dict[str, str]]:
    """The page, and the pictures by file name. folder: of the pictures, as the page names it; measured: measured.md."""
    drawn = {name: _drawn(name, entry) for name, entry in zoo.ZOO.items()}
    figures = accuracies(measured)
    parts = [BEGIN]
    for family in FAMILIES:
        links = " · ".join(f"[{story.title}](#{_anchor(story.title)})" for story in family.stories)
        parts.append(f"**{family.name[0].upper()}{family.name[1:]}:** {links}\n")
    parts += [_section(story, drawn, figures, folder) for family in FAMILIES for story in family.stories]
    return "\n".join(parts), {f"{name}.svg": made.svg for name, made in drawn.items()}


def accuracies(measured: str) -> dict[str, list[str]]:
    """Network -> "99.55 ± 0.03 % (mnist)" for each row of the table that `hubel measure` writes."""
    found: dict[str, list[str]] = {}
    for name, command, accuracy in re.findall(
        r"^\| ([\w-]+) \| `hubel (train [^`]*)` \| ([\d.± ]+%) \|", measured, re.M
    ):
        words = command.split()
        if "--network" in words:
            network = words[words.index("--network") + 1]
        elif "--weights" in words:
            network = PUBLIC[words[words.index("--weights") + 1]].network
        else:
            place = words[1].rpartition("/")[2]
            network = HINTS.get(place, {}).get("network") or zoo.default_for("picture", NATURAL[place])
        found.setdefault(network, []).append(f"{accuracy} ({name})")
    return found


def _drawn(name: str, entry: Entry) -> Drawn:
    import torch

    from hubel.zoo.describe import layers
    from hubel.zoo.drawing import draw

    with torch.device("meta"):  # shapes without numbers
        rows = layers(zoo.create(name), entry.input)
    return Drawn(rows, draw(rows, entry.input, name))


def _section(story: Story, drawn: Mapping[str, Drawn], figures: Mapping[str, list[str]], folder: str) -> str:
    rows = [_cells(name, drawn[name], figures.get(name, []), folder) for name in story.networks]
    sources = {zoo.ZOO[name].source: None for name in story.networks}
    return (
        f"## {story.title}\n\n![The layers of {story.shown}]({folder}/{story.shown}.svg)\n\n"
        f"{_table(rows)}\n\n{story.text}\n\nSource: {'; '.join(map(_linked, sources))}.\n"
    )


def _table(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table of what is known: a column of dashes is left out."""
    from hubel.evaluation.measured import row

    kept = [n for n in range(len(COLUMNS)) if any(cells[n] != NOTHING for cells in rows)]
    rules = ("---:" if n in NUMBERS else "---" for n in kept)
    lines = [[COLUMNS[n] for n in kept], list(rules), *([cells[n] for n in kept] for cells in rows)]
    return "\n".join(map(row, lines))


def _cells(name: str, drawn: Drawn, figures: list[str], folder: str) -> tuple[str, ...]:
    from hubel.cli import show

    entry = zoo.ZOO[name]
    return (
        f"[{name}]({folder}/{name}.svg)", str(entry.year or NOTHING), show.shape(entry.input), f"{entry.classes:,}",
        f"{entry.parameters:,}", show.rounded(sum(row.multiply_adds for row in drawn.rows)), _sees(drawn.rows),
        entry.published or NOTHING, "<br>".join(figures) or NOTHING,
    )  # fmt: skip


def _sees(rows: tuple[Layer, ...]) -> str:
    """Of the last map with several cells, the side of the field of one; both where they differ."""
    for row in reversed(rows):
        if len(row.output) == 3 and max(row.output[1:]) > 1 and row.sees is not None:
            sides = [
                NOTHING if axis is None else f"{axis.size:,}"
                for axis in row.sees
                if axis is None or axis.stride
            ]
            if sides:
                return sides[0] if len(set(sides)) == 1 else "×".join(sides)
    return NOTHING


def _linked(source: str) -> str:
    """A paper's numbers as links: doi:10.1/x and arXiv:1409.1556."""
    source = re.sub(r"arXiv:([\d.]+\d)", r"[arXiv:\1](https://arxiv.org/abs/\1)", source)
    return re.sub(r"doi:([^\s;,]+)", r"[doi:\1](https://doi.org/\1)", source)


def _anchor(heading: str) -> str:
    """The anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def write(file: Path) -> int:
    """The page into a file and the pictures into a folder beside it, named after it  ->  how many pictures."""
    from hubel.files import make_folder, write_atomically

    folder, measured = file.with_suffix(""), file.with_name(MEASURED)
    text, pictures = page(folder.name, measured.read_text("utf-8") if measured.is_file() else "")
    make_folder(folder)
    for name, svg in pictures.items():
        write_atomically(folder / name, svg)
    write_atomically(file, text)
    return len(pictures)

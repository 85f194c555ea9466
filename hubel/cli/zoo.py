"""`hubel zoo [NETWORK]`: the networks that can be trained by name."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hubel.cli import complete
from hubel.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hubel.zoo import Entry
    from hubel.zoo.entry import Preset

# Which columns are shown, the first row of them that has room; the last where none has.
FORMS = (
    ("network", "year", "input", "parameters", "about", "paper"),
    ("network", "year", "parameters", "about", "paper"),
    ("network", "year", "parameters", "about"),
    ("network", "year", "input", "parameters", "paper"),
)
NUMBERS = ("year", "input", "parameters")  # stand at the right of their columns
GAP = 2  # letters between columns
WIDEST = 100  # letters in a line of a story


def zoo(
    network: Annotated[str | None, typer.Argument(metavar="[NETWORK]", autocompletion=complete.networks, help="One of them in full, or a network in one line; all in short where none is named.")] = None,
    markdown: Annotated[Path | None, typer.Option("--markdown", metavar="FILE.md", help="Write the page of all networks, with their pictures in a folder beside it.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON and nothing else.")] = False,
) -> None:  # fmt: skip
    """List the networks: year, input, parameters, paper; or one in full, with its story."""
    from hubel.cli import show
    from hubel.zoo import ZOO, lookup

    if markdown is not None:
        _page(markdown, network, json_)
    elif network is not None:
        name = " ".join(network.split())
        facts = _facts(name, lookup(name))
        if json_:
            show.as_json({"network": name, **facts})
        else:
            _one(name, facts)
    elif json_:
        show.as_json({name: _facts(name, entry) for name, entry in ZOO.items()})
    else:
        _all()


def _facts(name: str, entry: Entry) -> dict[str, Any]:
    from hubel.zoo.stories import FAMILIES, story_of

    story = story_of(name)
    family = next((f.name for f in FAMILIES if name in f.networks), None)
    return {
        "family": family, "about": entry.summary, "source": entry.source, "year": entry.year or None,
        "input": entry.input, "classes": entry.classes, "parameters": entry.parameters,
        "multiply_adds": entry.multiply_adds or None, "published": entry.published or None,
        "recipe": dict(entry.recipe), "presets": {n: _preset(preset) for n, preset in entry.presets.items()},
        "story": story.text if story else None,
    }  # fmt: skip


def _preset(preset: Preset) -> dict[str, Any]:
    found = dict(preset.recipe)
    if preset.longer != 1:
        found["longer"] = round(preset.longer, 2)
    return {**found, "arguments": dict(preset.arguments)} if preset.arguments else found


def _one(name: str, facts: dict[str, Any]) -> None:
    from hubel.cli import show

    said = {
        "network": name, "about": facts["about"], "source": facts["source"], "year": facts["year"],
        "input": show.shape(facts["input"]), "classes": f"{facts['classes']:,}",
        "parameters": f"{facts['parameters']:,}",
        "multiply-adds": f"{facts['multiply_adds']:,}, as published" if facts["multiply_adds"] else None,
        "published error": facts["published"],
        "trained by": ", ".join(f"{name} {value}" for name, value in facts["recipe"].items()),
        "presets": ", ".join(facts["presets"]),
    }  # fmt: skip
    room = min(WIDEST, show.console().width)
    label = max(map(len, said)) + GAP
    for what, value in said.items():
        if value:
            lines = textwrap.wrap(str(value), room - label, break_long_words=False, break_on_hyphens=False)
            show.say(f"{what:<{label}}" + f"\n{'':<{label}}".join(lines))
    if facts["story"]:
        show.say("\n" + textwrap.fill(facts["story"], room, break_long_words=False, break_on_hyphens=False))
    shown = f'"{name}"' if " " in name else name
    show.say(f"\nLayer by layer: hubel describe {shown}")
    show.say(f"Train it:       hubel train DATA --network {shown}")


def _all() -> None:
    """A block for each family. What is shown of each network follows from the width of the terminal."""
    from rich.text import Text

    from hubel.cli import show
    from hubel.zoo.stories import FAMILIES

    console = show.console()
    blocks = [(f.name, [_row(name, entry) for name, entry in f.networks.items()]) for f in FAMILIES]
    widths = {c: max(len(c), *(len(row[c]) for _, block in blocks for row in block)) for c in FORMS[0]}
    form = next((f for f in FORMS if sum(widths[c] + GAP for c in f) - GAP <= console.width), FORMS[-1])
    room = console.width - sum(widths[c] + GAP for c in form if c != "paper")
    console.print(Text(_line(form, {c: c for c in form}, widths), "bold"))
    for name, block in blocks:
        console.print()
        console.print(Text(name[0].upper() + name[1:], "cyan"))
        for row in block:
            # Whole, or nothing: half a number finds no paper.
            paper = row["paper"] if len(row["paper"]) <= room else ""
            console.print(Text(_line(form, {**row, "paper": paper}, widths)))
    show.say("\nOne in full:    hubel zoo NETWORK")
    show.say("Layer by layer: hubel describe NETWORK")
    show.say("Train it:       hubel train DATA --network NETWORK")


def _row(name: str, entry: Entry) -> dict[str, str]:
    from hubel.cli import show

    return {
        "network": name, "year": str(entry.year or ""), "input": show.shape(entry.input),
        "parameters": f"{entry.parameters:,}", "about": entry.summary, "paper": _paper(entry.source),
    }  # fmt: skip


def _paper(source: str) -> str:
    """The first number under which a paper is found, else whose it is: a source without its title."""
    number = re.search(r"(?:arXiv|doi):[^\s;,]+", source)
    return number[0] if number else source.partition(' "')[0].rstrip(",")


def _line(form: Sequence[str], row: dict[str, str], widths: dict[str, int]) -> str:
    cells = (f"{row[c]:>{widths[c]}}" if c in NUMBERS else f"{row[c]:<{widths[c]}}" for c in form)
    return (" " * GAP).join(cells).rstrip()


def _page(file: Path, network: str | None, json_: bool) -> None:
    from hubel.cli import networks_page, show
    from hubel.files import must_have_a_folder

    if network is not None:
        raise InputError(
            f"--markdown writes the page of all networks, not of {network!r} alone; leave one of them out"
        )
    must_have_a_folder(file)
    if file.suffix != ".md":
        raise InputError(f"--markdown takes a file that ends in .md, as docs/networks.md, got {file.name!r}")
    pictures = networks_page.write(file)
    if json_:
        show.as_json({"page": str(file), "pictures": pictures})
    else:
        show.say(f"written  {file}, {show.some(pictures, 'picture')} in {file.with_suffix('')}")


def add(app: typer.Typer) -> None:
    app.command()(zoo)

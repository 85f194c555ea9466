"""How benchmarks tell what they found: a section of docs/measured.md between two markers, and how its figures were got.

A script takes its options from parser(), ends its section with footing(), and hands it to tell(), which prints it and,
by --out, writes it in the place of the last measurement.
"""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Iterable, Sequence
from pathlib import Path

from hubel.evaluation.measured import parts
from hubel.evaluation.measurements import machine
from hubel.run import versions


def parser(about: str | None) -> argparse.ArgumentParser:
    """Of a script's options, with --out among them. about: its docstring"""
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--out", help="a Markdown document into which the result is written: docs/measured.md")
    return made


def footing(script: str, packages: Sequence[str], *facts: str) -> str:
    """Date, machine, whatever else matters, versions and the script: the last words of a section.

    facts: as "2 threads", "cores shared with the sender"
    """
    installed = [f"{name} {version}" for name, version in versions(packages).items()]
    date = datetime.date.today().isoformat()
    return f"{', '.join([date, machine(), *facts, *installed])}, by `benchmarks/{Path(script).name}`."


def tell(script: str, lines: Iterable[str], out: str | None) -> None:
    """Print a section, and write it into the document in the place of its last measurement. out: of --out"""
    section = "\n".join(lines)
    print(section)
    if out is not None:
        file = Path(out)
        text = file.read_text("utf-8") if file.exists() else "# Measured\n"
        file.write_text(written(text, script, section), "utf-8")


def written(text: str, script: str, section: str) -> str:
    """The document with the script's section written anew, or added at its end; all else as it was."""
    begin, end = markers(script)
    before, _, after = parts(text, begin, end)
    return f"{before}{begin}\n{section}\n{end}{after}"


def markers(script: str) -> tuple[str, str]:
    """What stands above and below the section of a script in the document."""
    path = Path(script)
    name = path.stem.replace("_", "-")
    return f"<!-- {name}: begin (written by benchmarks/{path.name}) -->", f"<!-- {name}: end -->"

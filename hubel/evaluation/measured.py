"""docs/measured.md: a Markdown table with a row per measurement, between two markers; the text around it is kept."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hubel.errors import InputError
from hubel.evaluation.measurements import GB, Figure, Measurement, Spread

BEGIN, END = "<!-- measured: begin (written by `hubel measure`) -->", "<!-- measured: end -->"
COLUMNS = (
    "name", "command", "test accuracy", "whole command", "peak memory", "asked", "met", "n", "date", "machine",
    "versions",
)  # fmt: skip
START = """# Measured

Every figure is the mean ± standard deviation over n seeds (0, 1, …) of whole processes, each begun in an empty folder
with an empty cache; memory is the largest of them. `hubel measure NAME --out docs/measured.md` writes a row anew.
"""


def cells(figure: Figure) -> tuple[str, ...]:
    """A figure as the cells of its row."""
    memory = f"{figure.memory / GB:.2f} GB" if math.isfinite(figure.memory) else "–"
    met = (
        "–"
        if asked(figure.measurement) == "–"
        else f"no: {', '.join(figure.missed)}"
        if figure.missed
        else "yes"
    )
    return (
        figure.name, f"`{figure.measurement.command}`", spread(figure.accuracy, 100, "%", 2),
        spread(figure.seconds, 1, "s", 1), memory, asked(figure.measurement), met, str(figure.accuracy.n),
        figure.date, figure.machine, figure.versions,
    )  # fmt: skip


def spread(found: Spread, factor: float, unit: str, digits: int) -> str:
    """99.52 ± 0.03 %; without the deviation where there is one value only."""
    sd = f" ± {factor * found.sd:.{digits}f}" if math.isfinite(found.sd) else ""
    return f"{factor * found.mean:.{digits}f}{sd} {unit}"


def asked(m: Measurement) -> str:
    """≥ 99.5 %, ≤ 30 s, ≤ 1.2 GB; a dash where nothing is."""
    low, high = m.accuracy
    parts = []
    if high < 1:
        parts.append(f"{100 * low:g} to {100 * high:g} %")
    elif low > 0:
        parts.append(f"≥ {100 * low:g} %")
    if math.isfinite(m.seconds):
        parts.append(f"≤ {m.seconds:g} s")
    if math.isfinite(m.memory):
        parts.append(f"≤ {m.memory / GB:g} GB")
    return ", ".join(parts) or "–"


def updated(text: str, figures: Sequence[Figure]) -> str:
    """The document with the rows of `figures` written anew, or added at the table's end; all else as it was.

    text: "" for a new document. Raises InputError when only one of the two markers is there.
    """
    before, inside, after = parts(text or START, BEGIN, END)
    lines = [line for line in inside.splitlines() if line.startswith("|")]
    rows = {line.split("|")[1].strip(): line for line in lines[2:]}  # after the names and the rule under them
    rows |= {figure.name: row(cells(figure)) for figure in figures}
    head = [row(COLUMNS), row(["---"] * len(COLUMNS))]
    return f"{before}{BEGIN}\n" + "\n".join([*head, *rows.values()]) + f"\n{END}{after}"


def parts(text: str, begin: str, end: str) -> tuple[str, str, str]:
    """What stands before two markers, between them and after them; where there are none, they would come at the end.

    Raises InputError when only one of the two is there, or one twice.
    """
    if (begin in text) != (end in text) or text.count(begin) > 1 or text.find(end) < text.find(begin):
        raise InputError(
            f"the document must hold both markers, once and in this order, or none: {begin} and {end}"
        )
    if begin not in text:
        return f"{text.rstrip()}\n\n", "\n", "\n"
    before, _, rest = text.partition(begin)
    inside, _, after = rest.partition(end)
    return before, inside, after


def row(texts: Sequence[str]) -> str:
    """A line of a Markdown table."""
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"

"""`hubel compare RUN RUN…`: runs side by side: what each reached, whether they differ, their curves."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hubel.cli import complete
from hubel.errors import InputError

if TYPE_CHECKING:
    from hubel.evaluation.compare import Comparison

FORMS = ("svg", "png", "html")
NARROW = 78  # columns of the charts: an 80-column terminal, whatever the window


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN RUN…", help="Two run folders or more.", autocompletion=complete.runs),
    ],
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Write the curves (.svg, .png), or all of it as a page (.html).",
        ),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON and nothing else.")] = False,
) -> None:
    """Put runs side by side: accuracy, item by item, settings that differ, curves."""
    from hubel.cli import show
    from hubel.evaluation.compare import compare as measure

    form = _form(out)
    found = measure(runs)
    if out is not None:
        _write(found, Path(out), form)
    if json_:
        show.as_json(found.to_dict())
        return
    _table(found)
    _pairs(found)
    _settings(found)
    _curves(found)
    for said in found.warnings:
        show.say(f"\nNote: {said}.")
    if out is not None:
        show.say(f"\nwritten  {out}")


def _form(out: str | None) -> str:
    from hubel.files import must_have_a_folder

    form = Path(out).suffix.lower().lstrip(".") if out is not None else FORMS[0]
    if form not in FORMS:
        raise InputError(f"--out writes .svg, .png or .html by the file's ending, got {out!r}")
    if out is not None:
        must_have_a_folder(out)
    return form


def _write(found: Comparison, out: Path, form: str) -> None:
    from hubel.evaluation.curves import page, picture
    from hubel.files import write_atomically

    write_atomically(out, page(found) if form == "html" else picture(found, form))


def _table(found: Comparison) -> None:
    from hubel.cli import show

    for s in found.sides:
        show.say(f"{s.letter}  {s.path}: {s.data}, {s.network} with {s.parameters:,} parameters")
    rows = [
        (
            f"{s.letter} (best)" if s.letter == found.best else s.letter,
            s.epochs,
            show.percent(s.accuracy if math.isfinite(s.accuracy) else None),
            f"{100 * s.low:.2f} to {100 * s.high:.2f}" if math.isfinite(s.low) else "–",
            _number(s.loss, ".4g"),
            _number(s.seconds, ",.1f"),
            _number(s.rate, ",.0f"),
        )
        for s in found.sides
    ]
    columns = ["run", "epochs", "accuracy", "95 % interval", "loss", "seconds", "items/s"]
    show.table(columns, rows, right="epochs accuracy 95_%_interval loss seconds items/s")


def _number(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else "–"


def _pairs(found: Comparison) -> None:
    from hubel.cli import show

    if not found.pairs:
        return
    rows = [
        (f"{p.a}, {p.b}", f"{p.only_a:,}", f"{p.only_b:,}", f"{p.both:,}", f"{p.neither:,}", f"{p.p:.2g}")
        for p in found.pairs
    ]
    show.table(
        ["pair", "only first right", "only second", "both", "neither", "p"],
        rows,
        right="only_first_right only_second both neither p",
        title="item by item; p: by chance alone (McNemar's exact test)",
    )


def _settings(found: Comparison) -> None:
    from hubel.cli import show

    if not found.differences:
        show.say("settings  all alike")
        return
    rows = [(name, *values) for name, values in found.differences.items()]
    show.table(["setting", *(s.letter for s in found.sides)], rows, title="settings that differ")


def _curves(found: Comparison) -> None:
    from hubel.cli import show
    from hubel.evaluation.curves import charts, plain

    for chart in charts(found.sides):
        show.say(plain(chart, width=NARROW) + "\n")


def add(app: typer.Typer) -> None:
    app.command()(compare)

"""`hubel measure NAME…`: the figures that Hubel claims, measured anew as whole processes."""

from __future__ import annotations

import datetime
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hubel.cli import complete
from hubel.errors import InputError, UnknownName

if TYPE_CHECKING:
    from hubel.evaluation.measurements import Figure, Sample


def measure(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME…]",
            help="Measurements, or all; without any, they are listed.",
            autocompletion=complete.measurements,
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="How many seeds: 0, 1, … Each is a process of its own.")] = 5,
    out: Annotated[
        str | None,
        typer.Option(
            "--out", "-o", metavar="FILE.md", help="Write the rows into this table: docs/measured.md."
        ),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON and nothing else.")] = False,
) -> None:
    """Measure accuracy, time and memory of whole commands, over several seeds."""
    from hubel.cli import show
    from hubel.evaluation.measurements import MEASUREMENTS
    from hubel.evaluation.measurements import measure as run

    if not names:
        _list(json_)
        return
    chosen = list(MEASUREMENTS) if names == ["all"] else list(dict.fromkeys(names))
    for name in chosen:
        if name not in MEASUREMENTS:
            raise UnknownName("measurement", name, MEASUREMENTS)
    if seeds < 1:
        raise InputError(f"--seeds must be at least 1, got {seeds}")
    _read(out)  # a table that cannot be updated is better known now than after an hour
    today = datetime.date.today().isoformat()
    figures = []
    for name in chosen:
        if not json_:
            show.say(f"{name}: {MEASUREMENTS[name].command}, {seeds} seed{'s' if seeds > 1 else ''}")
        figure = run(name, range(seeds), date=today, told=None if json_ else _tell_sample)
        figures.append(figure)
        _write(out, figure)  # each as soon as it is there
        if not json_:
            _tell(figure)
    if json_:
        show.as_json([figure.to_dict() for figure in figures])
    elif out is not None:
        show.say(f"written  {out}")
    else:
        show.say("Write it into the table: add --out docs/measured.md")


def _list(json_: bool) -> None:
    from hubel.cli import show
    from hubel.evaluation.measured import asked
    from hubel.evaluation.measurements import MEASUREMENTS

    if json_:
        show.as_json({name: {"command": m.command, "asked": asked(m)} for name, m in MEASUREMENTS.items()})
        return
    show.table(["name", "command", "asked"], [(n, m.command, asked(m)) for n, m in MEASUREMENTS.items()])
    show.say("Run one: hubel measure NAME, or all of them: hubel measure all")


def _tell_sample(seed: int, sample: Sample) -> None:
    from hubel.cli import show

    memory = f", {sample.memory / 1e9:.2f} GB" if math.isfinite(sample.memory) else ""
    accuracy = 100 * sample.result["accuracy"]
    show.tell(f"  seed {seed}: accuracy {accuracy:.2f} %, {sample.seconds:.1f} s{memory}")


def _tell(figure: Figure) -> None:
    from hubel.cli import show
    from hubel.evaluation.measured import COLUMNS, cells

    for column, cell in list(zip(COLUMNS, cells(figure), strict=True))[2:]:
        show.say(f"  {column:<14}{cell}")


def _read(out: str | None) -> str:
    """The document as it is; "" where there is none. Checked here for what `updated` needs."""
    if out is None:
        return ""
    from hubel.evaluation.measured import updated
    from hubel.files import must_have_a_folder

    must_have_a_folder(out)
    text = Path(out).read_text("utf-8") if Path(out).is_file() else ""
    updated(text, ())
    return text


def _write(out: str | None, figure: Figure) -> None:
    if out is None:
        return
    from hubel.evaluation.measured import updated
    from hubel.files import write_atomically

    write_atomically(Path(out), updated(_read(out), [figure]))


def add(app: typer.Typer) -> None:
    app.command()(measure)

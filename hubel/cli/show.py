"""What the commands print with: one console, tables, and a progress bar that becomes plain lines where there is no terminal.

The one way to the terminal: names of files and classes are somebody else's, and what might steer a terminal in them is
written out here.
"""

from __future__ import annotations

import json
import posixpath
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hubel.data.pictures import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

NAME = 24  # letters of a name in the first column that stay together
QUIET_SECONDS = 5.0  # between two plain progress lines, where there is no terminal


def console(*, stderr: bool = False) -> Console:
    """Where to print. Colour and width are found out by Rich; NO_COLOR and COLUMNS are honoured."""
    from rich.console import Console

    return Console(
        stderr=stderr, highlight=False, soft_wrap=not (sys.stderr if stderr else sys.stdout).isatty()
    )


def say(text: str = "") -> None:
    """A line of plain text to standard output; what might steer a terminal is taken out."""
    sys.stdout.write("\n".join(printable(line) for line in text.split("\n")) + "\n")
    sys.stdout.flush()


def tell(text: str) -> None:
    """A line, or several, to standard error."""
    sys.stderr.write("\n".join(map(printable, text.split("\n"))) + "\n")
    sys.stderr.flush()


def as_json(value: Any) -> None:
    """The result for programs; NaN, which JSON does not know, becomes null. What no terminal should get is escaped."""
    text = json.dumps(_plain(value), ensure_ascii=False, indent=2, allow_nan=False)
    sys.stdout.write("\n".join(map(_escaped, text.split("\n"))) + "\n")


def _escaped(text: str) -> str:
    """JSON that a terminal can be shown: 007F and what lies above it and steers is written as \\u007f."""
    if text.isprintable():
        return text
    short = (
        c if c.isprintable() else f"\\u{ord(c):04x}" if ord(c) < 1 << 16 else json.dumps(c)[1:-1]
        for c in text
    )
    return "".join(short)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


def table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, right: str = "", title: str = "", whole: bool = False, named: bool = False
) -> None:  # fmt: skip
    """Print a table. right: the names of the columns to align right, separated by spaces (a name's spaces as _).

    whole: no cell is broken, as the caller has made them fit   named: none of the first column, however long they are
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    drawn = Table(
        box=box.SIMPLE_HEAD,
        title=Text(printable(title)) if title else None,
        title_justify="left",
        pad_edge=False,
        title_style="bold",
    )
    to_the_right = (
        right.replace("_", " ").split(" ")
        if "_" not in right
        else [n.replace("_", " ") for n in right.split()]
    )
    for place, column in enumerate(columns):
        aligned = "right" if column in to_the_right else "left"
        # A short name is not broken in two.
        short = named or all(len(str(row[0])) <= NAME for row in rows)
        name = whole or (place == 0 and short)
        heading = Text(printable(column))
        drawn.add_column(heading, justify=aligned, overflow="fold", no_wrap=name or aligned == "right")  # type: ignore[arg-type]
    for row in rows:
        drawn.add_row(*(Text(printable(str(cell))) for cell in row))
    made = console()
    if whole:
        made.width = max(made.width, 1000)  # the table takes what it needs and no more
    made.print(drawn)


def items(
    columns: Sequence[str], rows: Sequence[tuple[Sequence[str], Sequence[str]]], *, right: str = ""
) -> None:  # fmt: skip
    """Print a table of items: cells, the first of them the item's name, and what fills the last column, as a list.

    No cell is broken. Where the table is too wide, the folder that all items are in is said once, above; where it still
    is, the last column's entries stand below each other.
    """
    names = [cells[0] for cells, _ in rows]
    shared = _folder(names)
    short = [((cells[0].removeprefix(shared), *cells[1:]), last) for cells, last in rows]
    made: list[Sequence[str]] = [(*cells, "  ".join(last)) for cells, last in rows]
    if not _fits(columns, made):
        if shared:
            say(f"in {shared}")
        made = [(*cells, "  ".join(last)) for cells, last in short]
    if not _fits(columns, made):
        made = [row for cells, last in short for row in _below(cells, last)]
    table(columns, made, right=right, whole=True)


def _folder(names: Sequence[str]) -> str:
    """The folder, with its last /, in which all names lie, or below it; "" where there is none."""
    if any("/" not in name for name in names) or len({name.startswith("/") for name in names}) > 1:
        return ""
    shared = posixpath.commonpath([posixpath.dirname(name) for name in names])
    begin = shared if shared.endswith("/") else f"{shared}/"
    return begin if shared and all(name.startswith(begin) for name in names) else ""


def _below(cells: Sequence[str], last: Sequence[str]) -> Iterator[Sequence[str]]:
    """A row for each entry of the last column; the first one has the cells."""
    yield (*cells, "".join(last[:1]))
    for entry in last[1:]:
        yield (*[""] * len(cells), entry)


def _fits(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether each cell of a table has room on one line."""
    from rich.cells import cell_len

    widths = (max(map(cell_len, column)) for column in zip(columns, *rows, strict=True))
    return (
        sum(widths) + 3 * (len(columns) - 1) + 2 <= console().width
    )  # three between columns, one on each side


class Bar:
    """A progress bar on standard error: advance(done, total) as often as you like; line(text) prints above it."""

    def __init__(self, what: str, rich: Progress | None, unit: str) -> None:
        self.what, self.rich, self.unit = what, rich, unit
        self.task: Any = None
        self.told = self.began = time.monotonic()
        self.silent = False

    def advance(self, done: int, total: int) -> None:
        if self.rich is not None:
            if self.task is None:
                self.task = self.rich.add_task(self.what, total=total, unit=self.unit)
            self.rich.update(self.task, completed=done, total=total)
            return
        now = time.monotonic()
        if now - self.told >= QUIET_SECONDS and done < total:
            left = (now - self.began) / max(done, 1) * (total - done)
            self.line(f"{self.what} {done:,} of {total:,} {self.unit}, {span(left)} left")
            self.told = now

    def line(self, text: str) -> None:
        if self.silent:
            return
        if self.rich is not None:
            self.rich.console.print(printable(text), highlight=False, markup=False)
        else:
            tell(text)


@contextmanager
def bar(what: str, unit: str = "items", *, quiet: bool = False) -> Iterator[Bar]:
    """A bar for one piece of long work; taken off the screen when the work is done. quiet: nothing is shown at all."""
    if quiet or not sys.stderr.isatty():
        made = Bar(what, None, unit)
        if quiet:
            made.silent = True
        yield made
        return
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[unit]}"),
        _Rate(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console(stderr=True), transient=True, speed_estimate_period=5) as rich:
        yield Bar(escape(printable(what)), rich, unit)


def _Rate() -> Any:  # noqa: N802 - a column type made where rich is imported
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:,.0f}/s" if task.speed else "", style="cyan")

    return Rate()


def percent(share: float | None, digits: int = 2) -> str:
    """0.9953 -> '99.53 %'; a dash for None."""
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def some(count: int, thing: str) -> str:
    """1 -> '1 step'; 1000 -> '1,000 steps'."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def rounded(count: int) -> str:
    """Three digits: 156, 2.42 k, 15.5 G; nothing for 0."""
    if count == 0:
        return ""
    for sign, unit in (("", 1), ("k", 10**3), ("M", 10**6), ("G", 10**9), ("T", 10**12)):
        if count < 999.5 * unit or sign == "T":
            share = count / unit
            digits = 0 if not sign or share >= 99.95 else 1 if share >= 9.995 else 2
            return f"{share:.{digits}f} {sign}".rstrip()
    raise AssertionError("the last unit takes all")


def span(seconds: float) -> str:
    """59 -> '59 s'; 125 -> '2 min 5 s'; 7300 -> '2 h 1 min'."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def duration(seconds: float) -> str:
    """0.000234 -> '0.234 ms'; 0.0123 -> '12.3 ms'; 1.5 -> '1.5 s'."""
    return f"{seconds:.3g} s" if seconds >= 0.9995 else f"{1000 * seconds:.3g} ms"


def shape(sizes: Sequence[int | str]) -> str:
    """(1, 28, 28) -> '1×28×28'."""
    return "×".join(map(str, sizes))

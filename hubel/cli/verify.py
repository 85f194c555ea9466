"""`hubel verify [NAME…]`: every definition and every network's replay against PyTorch, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hubel.errors import HubelError, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hubel.verification import Errors, Row

PRECISIONS = ("float64", "float32")
NAME = 32  # letters of the longest operation, which just fits into 80 columns


def _names(incomplete: str) -> list[str]:
    """What Tab completes: operations and networks. The definitions import NumPy alone."""
    from hubel import definitions
    from hubel.zoo import names

    operations = [n for n in definitions.__all__ if f"{n}_backward" in definitions.__all__]
    return [n for n in (*operations, *definitions.OPTIMIZERS, *names()) if n.startswith(incomplete)]


def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME…]",
            help="Operations and networks, as conv2d or lenet5; all where none is named.",
            autocompletion=_names,
        ),
    ] = None,
    networks: Annotated[
        bool, typer.Option("--networks/--no-networks", help="Whether networks are verified too.")
    ] = True,
    seed: Annotated[int, typer.Option(help="Of all numbers that are drawn.")] = 0,
    json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON and nothing else.")] = False,
) -> None:
    """Hold every definition, and every network replayed through them, against PyTorch."""
    if seed < 0:
        raise InputError(f"--seed must be at least 0, got {seed}")
    import torch

    from hubel.cli import show
    from hubel.verification import verify as measure

    with show.bar("verifying", "operations and networks", quiet=json_) as bar:
        rows = measure(names or [], with_networks=networks, seed=seed, progress=bar.advance)
    if json_:
        facts = {"seed": seed, "torch": torch.__version__, "ok": all(row.ok for row in rows)}
        show.as_json({**facts, "rows": [row.to_dict() for row in rows]})
    else:
        _table(rows)
    wrong = [row for row in rows if not row.ok]
    if wrong:
        raise HubelError(_complaint(wrong, len(rows), torch.__version__, seed))
    if not json_:
        show.say(_summary(rows))


def _table(rows: Sequence[Row]) -> None:
    """A block for each file of the definitions, headed by its tolerances; networks last. 80 columns are enough."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from hubel.cli import show

    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    drawn.add_column("\noperation", overflow="fold", min_width=NAME)
    for column in ("\ncases", "float64\nforward", "\nbackward", "float32\nforward", "\nbackward", ""):
        drawn.add_column(column, justify="right", no_wrap=True)
    blocks: dict[str, list[Row]] = {}
    for row in rows:
        blocks.setdefault(row.module, []).append(row)
    held: object = None
    for module, inside in blocks.items():
        if held is not None:
            drawn.add_row()
        within = _cells(inside[0].within, "≤ ") if inside[0].within != held else []
        drawn.add_row(Text(module, "bold"), "", *(Text(cell, "dim") for cell in within))
        held = inside[0].within
        for row in inside:
            ok = Text("✓", "green") if row.ok else "✗"
            drawn.add_row(
                row.name, f"{row.cases}", *_cells(row.errors), ok, style="" if row.ok else "bold red"
            )
    show.console().print(drawn)


def _cells(errors: Mapping[str, Errors], before: str = "") -> list[str]:
    """forward and backward in float64, then in float32; a dash where there is nothing to compare."""
    each = [e for precision in PRECISIONS for e in (errors[precision].forward, errors[precision].backward)]
    return ["–" if e is None else f"{before}{_short(e)}" for e in each]


def _short(error: float) -> str:
    """0 -> '0'; 3.2e-06 -> '3e-6'; 0.96 -> '1'; infinity, of what cannot be compared, '∞'."""
    if error == float("inf"):
        return "∞"
    return f"{error:.0e}".replace("e-0", "e-") if 0 < error < 0.1 else f"{error:.1g}"


def _summary(rows: Sequence[Row]) -> str:
    from hubel.cli.show import some
    from hubel.verification.rows import NETWORKS

    networks = sum(row.module == NETWORKS for row in rows)
    counts = ((len(rows) - networks, "operation"), (networks, "network"))
    counted = " and ".join(some(n, what) for n, what in counts if n)
    worst = []
    for precision in PRECISIONS:
        errors = [(e or 0.0, row.name) for row in rows for e in vars(row.errors[precision]).values()]
        error, name = max(errors, key=lambda pair: pair[0])
        worst.append(f"{_short(error)} in {precision} ({name})")
    cases = some(sum(row.cases for row in rows), "case")
    return f"\n{counted}, {cases}: all within tolerance\nlargest error {', '.join(worst)}"


def _complaint(wrong: Sequence[Row], count: int, version: str, seed: int) -> str:
    first, *others = wrong
    besides = f" Also beyond: {', '.join(row.name for row in others)}." if others else ""
    return (
        f"{first.name}: {first.wrong}. {len(wrong)} of {count} are beyond their tolerance with PyTorch {version}.{besides} "
        f"Either the definition or PyTorch is wrong: please report this line; "
        f"`hubel verify {first.name} --seed {seed}` shows it again"
    )


def add(app: typer.Typer) -> None:
    app.command()(verify)

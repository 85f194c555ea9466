"""`hubel describe NETWORK|RUN`: a network as a table: each layer's output, parameters and multiply-adds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hubel.cli import complete
from hubel.errors import InputError

if TYPE_CHECKING:
    from torch import nn


def describe(
    what: Annotated[str, typer.Argument(metavar="NETWORK|RUN", autocompletion=complete.networks_and_runs, help="A network of the zoo, or a run folder.")],
    classes: Annotated[int | None, typer.Option(help="Of a network: how many classes; the paper's by default.")] = None,
    size: Annotated[str | None, typer.Option("--input", metavar="CxHxW", help="Of a network: its input, as 3x64x64.")] = None,
    hidden: Annotated[str | None, typer.Option(help="Of mlp: sizes of its hidden layers.")] = None,
    arg: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Any other argument of the network.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the table as JSON and nothing else.")] = False,
) -> None:  # fmt: skip
    """Show a network layer by layer."""
    import dataclasses

    from hubel.cli import show
    from hubel.zoo.describe import layers

    network, shape, facts = _find(what, classes, size, hidden, arg or [])
    rows = layers(network, shape)
    total, work = sum(p.numel() for p in network.parameters()), sum(r.multiply_adds for r in rows)
    if json_:
        listed = [dataclasses.asdict(r) for r in rows]
        show.as_json({**facts, "input": shape, "parameters": total, "multiply_adds": work, "layers": listed})
        return
    for name, value in facts.items():
        show.say(f"{name:<9}{value}")
    show.table(
        ["layer", "type", "output", "parameters", "multiply-adds"],
        [("input", "", show.shape(shape), "", ""),
         *((r.name, r.type, show.shape(r.output), f"{r.parameters:,}" if r.parameters else "", f"{r.multiply_adds:,}" if r.multiply_adds else "") for r in rows),
         ("total", "", "", f"{total:,}", f"{work:,}")],
        right="output parameters multiply-adds",
    )  # fmt: skip


def _find(
    what: str, classes: int | None, size: str | None, hidden: str | None, arg: list[str]
) -> tuple[nn.Module, tuple[int, ...], dict[str, Any]]:
    from hubel import zoo
    from hubel.cli.train import _arguments

    path = Path(what)
    if what not in zoo.ZOO and (path.exists() or "/" in what):
        from hubel.run import load

        run = load(path)
        facts = {"run": str(run.path), "network": run.network.name, "data": run.data.get("name", "unknown"),
                 "classes": ", ".join(run.classes[:20]) + (" …" if len(run.classes) > 20 else "")}  # fmt: skip
        return run.model.network, run.preprocess.shape, facts
    entry = zoo.lookup(what)
    shape = _shape(size) if size else entry.input
    network = zoo.create(what, classes, shape, **_arguments(hidden, arg))
    return network, tuple(shape), {"network": what, "about": entry.summary, "source": entry.source}


def _shape(text: str) -> tuple[int, ...]:
    sides = text.lower().replace("×", "x").split("x")
    if len(sides) not in (1, 3) or not all(s.isascii() and s.isdigit() and 0 < int(s) <= 4096 for s in sides):
        raise InputError(
            f"--input takes CHANNELSxHEIGHTxWIDTH, as 3x64x64, or a count of numbers, got {text!r}"
        )
    return tuple(map(int, sides))


def add(app: typer.Typer) -> None:
    app.command()(describe)

"""`hubel zoo`: the networks that can be trained by name."""

from __future__ import annotations

from typing import Annotated

import typer


def zoo(
    json_: Annotated[bool, typer.Option("--json", help="Print the list as JSON and nothing else.")] = False,
) -> None:
    """List the networks: input, parameters, source."""
    from hubel.cli import show
    from hubel.zoo import ZOO

    if json_:
        show.as_json(
            {n: {"input": e.input, "parameters": e.parameters, "source": e.source, "about": e.summary, "presets": list(e.presets)}
             for n, e in ZOO.items()}
        )  # fmt: skip
        return
    show.table(
        ["network", "input", "parameters", "about", "source"],
        [(n, show.shape(e.input), f"{e.parameters:,}", e.summary, e.source) for n, e in ZOO.items()],
        right="input parameters",
    )
    show.say(
        "One of them, layer by layer: hubel describe NETWORK. Train it: hubel train DATA --network NETWORK"
    )


def add(app: typer.Typer) -> None:
    app.command()(zoo)

"""`hubel launch -n 2 train …`: one training in several processes on this machine."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from hubel.errors import InputError


def launch(
    command: Annotated[list[str], typer.Argument(metavar="train …", help="The command as it would be typed behind `hubel`.")],
    processes: Annotated[int, typer.Option("--processes", "-n", metavar="N", help="How many; each takes its share of every batch.")] = 2,
    restarts: Annotated[int, typer.Option(metavar="N", help="How often all begin again from the last saved state when one is lost; needs --out.")] = 0,
) -> None:  # fmt: skip
    """Train in several processes on this machine, whose gradients are averaged; several machines: torchrun."""
    from hubel.cli.main import complain
    from hubel.training import launching

    if processes < 1 or restarts < 0:
        raise InputError(
            f"--processes must be at least 1 and --restarts at least 0, got {processes} and {restarts}"
        )
    if command[0] != "train":
        raise InputError(
            f"what several processes do together is train, not {command[0]}: hubel launch -n 2 train DATA"
        )
    if restarts and not any(word.partition("=")[0] in ("--out", "-o", "--resume") for word in command):
        raise InputError("--restarts goes on from what was saved in the run: say which with --out RUN")
    for attempt in range(restarts + 1):
        ended = launching.launch(command, processes, attempt=attempt)
        again = ended.lost and attempt < restarts
        if ended.said:
            complain(ended.said + (f". Beginning again, {attempt + 1} of {restarts}" if again else ""))
        if not again:
            break
    if ended.code:
        sys.exit(ended.code if ended.code > 0 else 4)


def add(app: typer.Typer) -> None:
    # What stands behind the first word belongs to that command, its options too.
    app.command(context_settings={"allow_interspersed_args": False})(launch)

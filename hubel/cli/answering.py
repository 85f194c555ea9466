"""What answers: a run folder, or a network's name with public weights, and where it computes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hubel.errors import InputError

if TYPE_CHECKING:
    from hubel.run import Run

Weights = Annotated[
    str | None,
    typer.Option(metavar="NAME|FILE|FOLDER", help="Public weights; what stands in RUN's place is then a network's name."),
]  # fmt: skip

Device = Annotated[
    str,
    typer.Option(
        metavar="NAME", help="Where it is computed: cpu, cuda, cuda:1, mps; auto = the fastest there is."
    ),
]


@dataclass(frozen=True)
class Found:
    """answers: whether the run has its last layer, or gives features only"""

    run: Run
    answers: bool = True


def found(
    run: str, weights: str | None, *, features: bool = False, quiet: bool = False, instead: str = "", device: str = "cpu"
) -> Found:  # fmt: skip
    """The run of that folder, or the network of that name with public weights.

    features: whether the last layer is not needed. quiet: what is noteworthy of the weights is not told
    instead: what can be asked of weights without their last layer
    """
    from hubel import zoo
    from hubel.pretrained import ready
    from hubel.run import load

    if weights is None:
        if run in zoo.ZOO and not Path(run).exists():
            raise InputError(
                f"{run} is a network, and its weights are not said: give them with --weights, or name a run folder"
            )
        return Found(load(run, device=device))
    made = ready(weights, run, device=device)
    if not (features or made.answers):
        raise InputError(
            f"the weights {weights} are without their last layer, so there is no answer: {instead}"
            f"use `hubel fewshot`, or train a layer on top with `hubel train DATA --weights {weights} --freeze backbone`"
        )
    if not quiet:
        from hubel.cli import show

        for note in made.notes:
            show.tell(f"note: {note}")
    return Found(made.run, made.answers)

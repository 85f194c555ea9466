"""The walks through losses: how far answers are from targets, in nats and in base 10 as the lectures have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hubel.cli.walk import options as o

if TYPE_CHECKING:
    from hubel.definitions import Node
    from hubel.definitions.windows import Array

Answer = Annotated[str, typer.Option("--answer", "-a", metavar="NUMBERS", help="What was answered: a row for each item, parted by ;.")]  # fmt: skip
Target = Annotated[
    str, typer.Option("--target", "-t", metavar="NUMBERS", help="What is right, in the same shape.")
]
Clip = Annotated[float, typer.Option(help="The least probability whose logarithm is taken.")]

NOTES = {
    "cross_entropy": "answer: probabilities, a row for each item. target: 1 for the right class, 0 for the others.",
    "cross_entropy_with_logits": "answer: the numbers before softmax. target: 1 for the right class, 0 for the others.",
    "binary_cross_entropy": "answer: probabilities of yes. target: 1 for yes, 0 for no.",
    "binary_cross_entropy_with_logits": "answer: the numbers before sigmoid. target: 1 for yes, 0 for no.",
}


def squared(
    answer: Answer = "0.5 2 -1", target: Target = "1 2 0", backward: o.Backward = False, json_: o.Json = False
) -> None:
    from hubel.cli.walk import numbers
    from hubel.cli.walk.lesson import Lesson, View, teach

    arrays = {"y": numbers.plain(answer, "--answer"), "t": numbers.plain(target, "--target")}
    teach(Lesson("mean_squared_error", arrays), View(json=json_, backward=backward))


def of_probabilities(
    ctx: typer.Context, answer: Answer = "0.6 0.4", target: Target = "1 0", clip: Clip = 1e-7,
    backward: o.Backward = False, json_: o.Json = False,
) -> None:  # fmt: skip
    from hubel.cli.walk import numbers
    from hubel.cli.walk.lesson import Lesson, View, teach
    from hubel.errors import InputError

    q, name = numbers.matrix(answer, "--answer"), ctx.command.name or ""
    if q.min() < 0 or q.max() > 1:
        worst = q.min() if q.min() < 0 else q.max()
        raise InputError(
            f"--answer must be probabilities, from 0 to 1, got {worst:g}; for others there is {name}_with_logits"
        )
    if not 0 < clip < 1:
        raise InputError(f"--clip must lie between 0 and 1, got {clip:g}")
    lesson = Lesson(
        name,
        {"q": q, "t": _target(name, target)},
        {"clip": clip},
        note=NOTES[name],
        after=_in_base_10,
    )
    teach(lesson, View(json=json_, backward=backward))


def of_logits(
    ctx: typer.Context, answer: Answer = "2 1 0.1", target: Target = "1 0 0",
    backward: o.Backward = False, json_: o.Json = False,
) -> None:  # fmt: skip
    from hubel.cli.walk import numbers
    from hubel.cli.walk.lesson import Lesson, View, teach
    from hubel.definitions import log_softmax

    name = ctx.command.name or ""
    z, t = numbers.matrix(answer, "--answer"), _target(name, target)
    between = {} if name.startswith("binary") else {"log_softmax(z)": log_softmax(z)}
    lesson = Lesson(name, {"z": z, "t": t}, note=NOTES[name], between=between, after=_in_base_10)
    teach(lesson, View(json=json_, backward=backward))


def _target(name: str, text: str) -> Array:
    """(N, K) probabilities; of one class among several they sum to 1 in each row."""
    from hubel.cli.walk import numbers
    from hubel.errors import InputError

    t = numbers.matrix(text, "--target")
    if t.min() < 0 or t.max() > 1:
        worst = t.min() if t.min() < 0 else t.max()
        raise InputError(f"--target must be from 0 to 1, 1 for what is right, got {worst:g}")
    away = abs(t.sum(1) - 1)
    if not name.startswith("binary") and away.max() > 0.01:  # 0.33 three times is meant well
        row = int(away.argmax())
        raise InputError(f"--target: a row must sum to 1, but row {row} sums to {t[row].sum():g}")
    return t


def _in_base_10(node: Node) -> list[str]:
    from math import log

    from hubel.replay.cells.record import digits

    nats = float(node.value)
    return [f"in base 10  {digits(nats)} / ln 10 = {digits(nats)} / 2.30259 = {digits(nats / log(10))}"]

"""`hubel fewshot RUN SUPPORT QUERY…`: new classes from a few examples each; or how well that goes, over episodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hubel.cli import complete
from hubel.cli.answering import Weights, found
from hubel.errors import HubelError, InputError

if TYPE_CHECKING:
    from hubel.data.records import Problem
    from hubel.evaluation.fewshot import Prototypes
    from hubel.run import Run


def fewshot(
    run: Annotated[str, typer.Argument(metavar="RUN", autocompletion=complete.networks_and_runs, help="A run folder; with --weights a network's name.")],
    support: Annotated[str, typer.Argument(metavar="SUPPORT", autocompletion=complete.data, help="A folder with a folder of examples for each new class.")],
    query: Annotated[list[str] | None, typer.Argument(metavar="[QUERY…]", help="What is to be classified: pictures, folders of pictures, or - .")] = None,
    weights: Weights = None,
    layer: Annotated[str | None, typer.Option(help="Whose features; by default the layer before the last with parameters.")] = None,
    top: Annotated[int, typer.Option(help="How many classes to list.")] = 3,
    episodes: Annotated[int, typer.Option(metavar="N", help="Instead of queries: measure N episodes drawn from SUPPORT.")] = 0,
    ways: Annotated[int, typer.Option(help="Of an episode: how many classes.")] = 5,
    shots: Annotated[int, typer.Option(help="Of an episode: how many examples of each.")] = 1,
    queries: Annotated[int, typer.Option(help="Of an episode: how many other items of each class, at most.")] = 15,
    seed: Annotated[int, typer.Option(help="Of the episodes' drawing.")] = 0,
    json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON and nothing else.")] = False,
) -> None:  # fmt: skip
    """Tell new classes apart by the nearest mean of features, from one or a few examples of each."""
    from hubel.cli import show
    from hubel.data import open_source
    from hubel.evaluation import fewshot as few

    if bool(query) == bool(episodes):
        raise InputError("name pictures to classify, or ask for --episodes N: one of the two")
    if top < 1:
        raise InputError(f"--top must be at least 1, got {top}")
    trained = found(run, weights, features=True, quiet=True).run
    source = open_source(support)
    with show.bar("looking", quiet=json_) as bar:
        units, labels = few.labelled(trained, source, layer, bar.advance)
    if episodes:
        measured = few.episodes(
            units, labels, ways=ways, shots=shots, queries=queries, count=episodes, seed=seed
        )
        if json_:
            show.as_json(measured.to_dict())
            return
        show.say(
            f"{ways}-way {shots}-shot: {100 * measured.accuracy:.2f} ± {100 * measured.interval:.2f} %  "
            f"(95 % interval of the mean of {episodes:,} episodes, chance {show.percent(1 / ways, 0)})"
        )
        return
    known = few.prototypes(units, labels, source.classes)
    _classify(trained, known, query or [], layer, top, json_)


def _classify(
    run: Run, known: Prototypes, query: list[str], layer: str | None, top: int, json_: bool
) -> None:
    import numpy as np

    from hubel.cli import left_out, show
    from hubel.cli.predict import items_for
    from hubel.evaluation.fewshot import units

    rows: list[dict[str, Any]] = []
    problems: list[Problem] = []
    for name, item in items_for(run, query):
        try:
            features = run.features(np.stack([run.prepared(item)]), layer)
        except HubelError as e:
            problems.append(left_out.problem(name, e))
            continue
        near = known.distances(units(features))[0]
        best = np.argsort(near, kind="stable")
        ranked = [{"class": known.classes[k], "distance": float(near[k])} for k in best]
        rows.append({"item": name, "answer": ranked[0]["class"], "distance": ranked[0]["distance"], "top": ranked[:top]})  # fmt: skip
    examples = dict(zip(known.classes, known.examples, strict=True))
    if json_:
        show.as_json({"examples": examples, "predictions": rows, "problems": left_out.as_dicts(problems)})
    else:
        _print(rows, examples)
        left_out.tell(problems)
    if not rows:
        raise InputError(left_out.NOTHING)


def _print(rows: list[dict[str, Any]], examples: dict[str, int]) -> None:
    from hubel.cli import show

    if not rows:
        return
    table = [
        ((r["item"], r["answer"], f"{r['distance']:.3f}"), [f"{t['class']} {t['distance']:.3f}" for t in r["top"][1:]])
        for r in rows
    ]  # fmt: skip
    show.items(["item", "answer", "distance", "then"], table, right="distance")
    shown = [f"{name} {count}" for name, count in list(examples.items())[:12]]
    more = f" and {len(examples) - 12} more" if len(examples) > 12 else ""
    show.say(f"examples: {', '.join(shown)}{more}")
    show.say("distance: of the features, at length 1, to the mean of a class: 0 to 2")


def add(app: typer.Typer) -> None:
    app.command()(fewshot)

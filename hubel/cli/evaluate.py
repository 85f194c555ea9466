"""`hubel evaluate RUN [DATA]`: the test part, or other data, measured; predictions and report written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hubel.cli import complete
from hubel.cli.answering import Device

if TYPE_CHECKING:
    from hubel.evaluation.corruptions import Corrupted
    from hubel.evaluation.scores import Evaluation
    from hubel.run import Run

FEW_CLASSES = 20  # shown all; of more the weakest, and the mistakes made most often
FEW_CONFUSIONS = 10


def evaluate(
    run: Annotated[str, typer.Argument(metavar="RUN", autocompletion=complete.runs, help="A run folder.")],
    data: Annotated[
        str | None, typer.Argument(help="Other data than the run's own: a name or a path.")
    ] = None,
    part: Annotated[str, typer.Option(help="Which part is measured: test, val or train.")] = "test",
    corruptions: Annotated[
        bool,
        typer.Option(
            "--corruptions",
            help="Measure spoilt pictures too: noise, blur, contrast, shift, rotation and JPEG at five strengths.",
        ),
    ] = False,
    seed: Annotated[int, typer.Option(help="Of what is drawn to spoil pictures.")] = 0,
    device: Device = "auto",
    json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON and nothing else.")] = False,
) -> None:
    """Measure a trained network on its test part, or on other data, and write the predictions and a report."""
    from hubel.cli import show
    from hubel.evaluation.evaluate import evaluate as measure
    from hubel.run import load

    trained = load(run, device=device)
    with show.bar("testing", quiet=json_) as bar:
        found = measure(trained, data, part=part, progress=bar.advance)
    spoilt = _spoilt(trained, data, part, seed, json_, found) if corruptions else None
    if json_:
        show.as_json({"run": run, **found.to_dict(), **({"corruptions": spoilt.to_dict()} if spoilt else {})})
        return
    show.say(headline(found))
    show.say(f"report   {found.report}")
    if spoilt is None:
        _classes(found)
    else:
        _corruptions(spoilt)


def _spoilt(
    run: Run, data: str | None, part: str, seed: int, quiet: bool, found: Evaluation
) -> Corrupted:  # fmt: skip
    """Measured, and kept beside the predictions."""
    import json

    from hubel.cli import show
    from hubel.evaluation.corruptions import FILE, measure
    from hubel.files import write_atomically

    with show.bar("spoiling", "pictures", quiet=quiet) as bar:
        made = measure(run, data, part=part, seed=seed, progress=bar.advance)
    write_atomically(found.folder / FILE, json.dumps(made.to_dict(), indent=1) + "\n")
    return made


def _corruptions(made: Corrupted) -> None:
    """A line per kind, weak to strong; then what the strengths are."""
    from hubel.cli import show
    from hubel.evaluation.corruptions import KINDS

    rows = [
        (kind, *(f"{100 * row.accuracy:.2f}" for row in made.rows if row.kind == kind), f"{100 * mean:.2f}")
        for kind, mean in made.means.items()
    ]
    title = f"accuracy in % of {made.n:,} spoilt pictures, weak to strong; {100 * made.clean:.2f} without"
    show.table(["spoilt by", *"12345", "mean"], rows, right="1 2 3 4 5 mean", title=title, whole=True)
    show.say(f"mean     {show.percent(made.mean)} over all kinds and strengths")
    for kind in made.means:
        strengths = "  ".join(f"{s:g}" for s in KINDS[kind].strengths)
        show.say(f"{kind:<9}{strengths}  ({KINDS[kind].unit})")


def headline(found: Evaluation) -> str:
    """The result in one line; a second one where the items are those that the network learnt from."""
    learnt = "\n         (the network has learnt from these very items: this is fitting, not a test)"
    return _result(found) + (learnt if found.seen else "")


def _result(found: Evaluation) -> str:
    from hubel.cli.show import percent, some

    facts = found.to_dict()
    if "accuracy" not in facts:
        return f"{found.part}     loss {facts['mse']:.4g} (mean squared error) on {facts['items']:,} items of {found.data}"
    low, high = 100 * facts["accuracy_low"], 100 * facts["accuracy_high"]
    return (
        f"{found.part:<8} accuracy {percent(facts['accuracy'])}  (95 % interval {low:.2f} to {high:.2f}, "
        f"{facts['items']:,} items of {found.data}, {some(facts['mistakes'], 'mistake')})"
    )


def _classes(found: Evaluation) -> None:
    from hubel.cli import show

    facts = found.to_dict()
    rows = facts.get("classes") or []
    if not rows:
        return
    few = len(rows) <= FEW_CLASSES
    # Of equally weak ones that of which more is known; of a class without items nothing is.
    weakest = sorted((r for r in rows if r["support"]), key=lambda r: (r["f1"], -r["support"]))[:FEW_CLASSES]
    show.table(
        ["class", "precision", "recall", "F1", "items"],
        [(r["name"], *(f"{r[k]:.4f}" for k in ("precision", "recall", "f1")), f"{r['support']:,}") for r in (rows if few else weakest)],
        right="precision recall F1 items", title="" if few else f"the {len(weakest)} of {len(rows):,} classes with the lowest F1",
    )  # fmt: skip
    if not few and facts["confusions"]:
        pairs = [(c["label"], c["answer"], f"{c['count']:,}") for c in facts["confusions"][:FEW_CONFUSIONS]]
        show.table(
            ["class", "answered as", "items"], pairs, right="items", title="the most frequent mistakes"
        )


def add(app: typer.Typer) -> None:
    app.command()(evaluate)

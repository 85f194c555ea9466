"""`hubel explain RUN [PICTURES…]`: what a network sees, and why it answers as it does; pictures, a page, or JSON."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hubel.cli import complete
from hubel.cli.answering import Found, Weights, found
from hubel.cli.asking import Kept, asked_about, short_name
from hubel.errors import InputError

if TYPE_CHECKING:
    from hubel.explanation.finding import Items

LINES = 40  # items in the table
FOLDER = "explained"  # where findings go without --out


def explain(
    run: Annotated[str, typer.Argument(metavar="RUN", autocompletion=complete.networks_and_runs, help="A run folder; with --weights a network's name.")],
    pictures: Annotated[list[str] | None, typer.Argument(metavar="[PICTURES…]", help="Pictures, folders of pictures, or -; of numbers CSV files. Without any: items of the run's test part.")] = None,
    method: Annotated[str | None, typer.Option("--method", "-m", metavar="M", help="What is asked: maps, filters, embed, frequency; saliency, input-x-gradient, integrated-gradients, occlusion, grad-cam, guided-grad-cam, deeplift. By default grad-cam, or saliency where there are no maps.", autocompletion=complete.methods)] = None,
    layer: Annotated[str | None, typer.Option(help="Which layer; `hubel describe` names them. By default the method chooses.")] = None,
    map_: Annotated[int | None, typer.Option("--map", metavar="N", help="Which of the layer's maps, from 0.")] = None,
    classes: Annotated[list[str] | None, typer.Option("--class", metavar="C", help="Whose evidence, by name or number; may come several times. By default the answer's.")] = None,
    top: Annotated[int, typer.Option(help="How many of the best classes side by side.")] = 1,
    contrast: Annotated[tuple[str, str] | None, typer.Option(metavar="A B", help="Evidence for class A rather than for B.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Test the evidence: deletion, insertion, randomised weights.")] = False,
    items: Annotated[str | None, typer.Option(metavar="0,5,17", help="Which items of the test part, by number.")] = None,
    weights: Weights = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="DIR", help="Where the pictures and their page go; a new folder by default.")] = None,
    seed: Annotated[int, typer.Option(help="Of whatever is drawn by chance.")] = 0,
    json_: Annotated[bool, typer.Option("--json", help="Print numbers and arrays as JSON and nothing else; files only with --out.")] = False,
) -> None:  # fmt: skip
    """Show what a network sees in pictures, and what speaks for its answers."""
    from hubel.cli import left_out, show
    from hubel.explanation import methods
    from hubel.explanation.finding import Question, write
    from hubel.files import must_be_free, new_folder

    if top < 1:
        raise InputError(f"--top must be at least 1, got {top}")
    if seed < 0:
        raise InputError(f"--seed begins at 0, got {seed}")
    must_be_free(out)
    if method is not None:
        methods.method(method)  # an unknown name is told before anything is loaded
    headless = [other for other, known in methods.METHODS.items() if not known.answers]
    given = found(
        run, weights, features=method is None or method in headless, quiet=json_,
        instead=f"ask by --method {', '.join(headless)}, ",
    )  # fmt: skip
    name = method or _usual(given)
    question = Question(
        layer, map_, tuple(classes or ()), top, contrast, check, seed, answers=given.answers
    )  # fmt: skip
    methods.must_take(name, question)
    chosen = asked_about(given.run, methods.method(name).needs, pictures or [], items, seed)
    kept = Kept(arrays=json_)
    with show.bar(name, "steps", quiet=json_) as bar:
        question = replace(question, progress=bar.advance, say=bar.line)
        findings = kept.passing(methods.function(name)(given.run, chosen.items, question))
        first = list(islice(findings, 1))  # what is wrong shows here, before a folder is made
        page = None
        if out is not None or not json_:
            folder = new_folder(out, f"{short_name(run)}-{name}", FOLDER)
            title = f"{methods.METHODS[name].title} · {short_name(run)}"
            page = write(chain(first, findings), folder, title, about=chosen.said)
        for _ in findings:
            pass  # kept for JSON
    answers = _answers(given, chosen.items)
    if json_:
        told = {
            "run": run,
            "method": name,
            "items": answers,
            "findings": kept.dicts,
            "problems": left_out.as_dicts(chosen.problems),
        }
        show.as_json(told | ({"page": str(page)} if page else {}))
        return
    _print(answers, kept)
    show.say(f"page     {page}")
    left_out.tell(chosen.problems)


def _usual(given: Found) -> str:
    """Grad-CAM where the network has maps; the maps alone where it has no last layer."""
    from hubel.explanation.inside import Inside

    if not given.answers:
        return "maps"
    return "grad-cam" if Inside(given.run).maps else "saliency"


def _answers(given: Found, items: Items) -> list[dict[str, Any]]:
    """What the network says of each item; without its last layer, the names alone."""
    rows: list[dict[str, Any]] = [{"item": name} for name in items.names]
    for row, label in zip(rows, items.labels, strict=True):
        row |= {} if label is None else {"label": label}
    if given.answers and rows:
        said = given.run.answers(items.names, given.run.logits(items.inputs))
        rows = [row | {"answer": a.answer, "p": a.p} for row, a in zip(rows, said, strict=True)]
    return rows


def _print(answers: list[dict[str, Any]], kept: Kept) -> None:
    """A line per item with what was found of it; what is found of no single item by its title."""
    from hubel.cli import show

    captions: dict[str, str] = {}
    for finding in kept.dicts:
        captions.setdefault(finding["name"], finding["caption"])
    if any(row["item"] in captions for row in answers):
        columns = [c for c in ("item", "label", "answer", "p") if any(c in row for row in answers)]
        rows = [
            [*(_cell(row.get(c, "")) for c in columns), captions.get(row["item"], "")]
            for row in answers[:LINES]
        ]
        show.table([*columns, "found"], rows, right="p")
        if len(answers) > LINES:
            show.say(f"and {len(answers) - LINES:,} more, in the page")
        return
    for finding in kept.dicts[:LINES]:
        show.say(f"{finding['title']}: {finding['caption']}" if finding["caption"] else finding["title"])


def _cell(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def add(app: typer.Typer) -> None:
    app.command()(explain)

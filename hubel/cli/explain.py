"""`hubel explain RUN [PICTURES…]`: what a network sees, and why it answers as it does; pictures, a page, or JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hubel.cli import complete
from hubel.cli.answering import Found, Weights, found
from hubel.errors import HubelError, InputError

if TYPE_CHECKING:
    import numpy as np

    from hubel.data import Split
    from hubel.explanation.finding import Finding, Items
    from hubel.run import Run

SPREAD = 6  # items of the test part that are asked about where none is named
LOOKED_THROUGH = 2000  # items of the test part among which these are looked for
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
    from hubel.cli import show
    from hubel.explanation import methods
    from hubel.explanation.finding import Question, write
    from hubel.run import new_folder

    if top < 1:
        raise InputError(f"--top must be at least 1, got {top}")
    without_answers = method is not None and not methods.method(method).answers
    given = found(run, weights, features=without_answers, quiet=json_)
    name = method or _usual(given.run)
    question = Question(
        layer, map_, tuple(classes or ()), top, contrast, check, seed, answers=given.answers
    )  # fmt: skip
    methods.must_take(name, question)
    chosen = asked_about(given.run, methods.method(name).needs, pictures or [], items, seed)
    kept = Kept(arrays=json_)
    with show.bar(name, "steps", quiet=json_) as bar:
        question = replace(question, progress=bar.advance)
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
            "problems": chosen.problems,
        }
        show.as_json(told | ({"page": str(page)} if page else {}))
        return
    _print(answers, kept)
    show.say(f"page     {page}")
    for problem in chosen.problems:
        said = {key: show.printable(text) for key, text in problem.items()}
        sys.stderr.write(f"hubel: {said['item']} is left out: {said['reason']}\n")


def _usual(run: Run) -> str:
    """Grad-CAM where the network has maps."""
    from hubel.explanation.inside import Inside

    return "grad-cam" if Inside(run).maps else "saliency"


def short_name(run: str) -> str:
    """The run's own name: of its folder, or of the network."""
    path = Path(run)
    return (path.parent if path.name == "model.safetensors" else path).resolve().name or "run"


class Kept:
    """What is printed of the findings, when their pictures are gone. arrays: whether their numbers are, too"""

    def __init__(self, *, arrays: bool) -> None:
        self.arrays = arrays
        self.dicts: list[dict[str, Any]] = []

    def passing(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        for finding in findings:
            self.dicts.append(finding.to_dict(arrays=self.arrays))
            yield finding


@dataclass(frozen=True)
class Chosen:
    """What is asked about. said: in a sentence, for the page   problems: what could not be read"""

    items: Items
    said: str
    problems: list[dict[str, str]] = field(default_factory=list)


def asked_about(run: Run, needs: str, pictures: list[str], numbers: str | None, seed: int) -> Chosen:
    """The pictures that are named, or those numbers of the test part, or a spread of it; none where none is needed."""
    if pictures and numbers is not None:
        raise InputError("name pictures, or numbers of the test part by --items: one of the two")
    if pictures:
        return _named(run, pictures)
    if numbers is None and needs != "picture":
        return Chosen(_none(run), "")
    if "location" not in run.data:
        raise InputError(
            f"{run.network.name} with public weights brings no data: name pictures, or folders of them"
        )
    test = run.dataset().test
    if not len(test):
        raise InputError(f"{run.data['location']} has no test part: name pictures, or folders of them")
    places = _places(numbers, len(test)) if numbers is not None else _spread(run, test, seed)
    said = f"{len(places)} of the {len(test):,} items of the test part of {run.data.get('name', 'its data')}."
    return Chosen(_of(run, test, places), said)


def _none(run: Run) -> Items:
    import numpy as np

    from hubel.explanation.finding import Items

    return Items(np.empty((0, *run.preprocess.shape), np.float32), (), ())


def _named(run: Run, pictures: list[str]) -> Chosen:
    """What can be read of them. A picture in a folder that is called like a class is taken to be of that class."""
    import numpy as np

    from hubel.cli.predict import items_for
    from hubel.explanation.finding import Items

    inputs, paths, problems = [], [], []
    for path, item in items_for(run, pictures):
        try:
            inputs.append(run.prepared(item))
            paths.append(path)
        except HubelError as e:
            problems.append({"item": path, "reason": str(e).removeprefix(f"{path}: ")})
    if not inputs:
        raise InputError(f"nothing could be read: {problems[0]['item']}: {problems[0]['reason']}")
    plain = [Path(path).name for path in paths]
    names = plain if len(set(plain)) == len(plain) else paths
    folders = [Path(path).parent.name for path in paths]
    labels = [folder if folder in run.classes else None for folder in folders]
    items = Items(np.stack(inputs), tuple(names), tuple(labels))
    return Chosen(items, f"{len(items):,} pictures." if len(items) > 1 else "", problems)


def _of(run: Run, test: Split, places: Sequence[int]) -> Items:
    import numpy as np

    from hubel.explanation.finding import Items

    labels = tuple(run.classes[test.targets[i]] if run.classes else None for i in places)
    return Items(np.asarray(test.inputs[list(places)]), tuple(test.items[i] for i in places), labels)


def _places(numbers: str, count: int) -> list[int]:
    """ "0,5,17" -> [0, 5, 17]."""
    said = numbers.replace(",", " ").split()
    if not said or not all(n.isascii() and n.isdigit() for n in said):
        raise InputError(f"--items takes numbers of items with commas, as 0,5,17, got {numbers!r}")
    places = [int(n) for n in said]
    if max(places) >= count:
        raise InputError(f"--items {max(places)}: the test part has {count:,} items, 0 to {count - 1}")
    return places


def _spread(run: Run, test: Split, seed: int) -> list[int]:
    """Right answers, then up to half as many mistakes as there is room for, drawn; of different classes where possible."""
    import numpy as np

    drawn = np.random.default_rng(seed).permutation(len(test))[:LOOKED_THROUGH]
    if run.task != "classify":
        return sorted(drawn[:SPREAD].tolist())
    right = run.logits(test.inputs[drawn]).argmax(1) == test.targets[drawn]
    wrong = _of_different_classes(drawn[~right], test.targets, SPREAD // 2)
    return _of_different_classes(drawn[right], test.targets, SPREAD - len(wrong)) + wrong


def _of_different_classes(drawn: np.ndarray, targets: np.ndarray, count: int) -> list[int]:
    """The first of each class, then the others, up to `count`."""
    import numpy as np

    _, first = np.unique(targets[drawn], return_index=True)
    others = np.setdiff1d(np.arange(len(drawn)), first)
    return drawn[np.concatenate([np.sort(first), others])[:count]].tolist()


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

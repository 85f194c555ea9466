"""`hubel predict RUN FILES…`: what a trained network answers about pictures, folders of them, or rows of numbers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hubel.cli import complete
from hubel.errors import HubelError, InputError

if TYPE_CHECKING:
    from hubel.run import Prediction, Run

AT_ONCE = 256  # pictures decoded before they are answered: bounds the memory for a folder of any size


def predict(
    run: Annotated[str, typer.Argument(metavar="RUN", autocompletion=complete.runs, help="A run folder, or a model.safetensors alone.")],
    files: Annotated[list[str], typer.Argument(metavar="FILES…", help="Pictures, folders of pictures, or - for one picture from standard input. For numbers: CSV files, or - .")],
    top: Annotated[int, typer.Option(help="How many classes to list.")] = 3,
    json_: Annotated[bool, typer.Option("--json", help="Print the answers as JSON and nothing else.")] = False,
) -> None:  # fmt: skip
    """Answer for pictures (or rows of numbers). What cannot be read is named; the others are answered all the same."""
    from hubel.cli import show
    from hubel.run import load

    if top < 1:
        raise InputError(f"--top must be at least 1, got {top}")
    trained = load(run)
    items = list(_pictures(files)) if trained.preprocess.kind == "picture" else list(_rows(files))
    if not items:
        raise InputError(f"there is no {trained.preprocess.kind} in {', '.join(files)}")
    answers, problems = _answer(trained, items, top, quiet=json_)
    if json_:
        show.as_json(
            {
                "predictions": [_as_dict(p) for p in answers],
                "problems": [{"item": i, "reason": r} for i, r in problems],
            }
        )
    else:
        _print(answers, top)
        for item, reason in problems:
            sys.stderr.write(f"hubel: {show.printable(item)} is left out: {show.printable(reason)}\n")
    if not answers:
        raise InputError("nothing could be read, so there is no answer")


def _answer(
    run: Run, items: list[tuple[str, Any]], top: int, *, quiet: bool
) -> tuple[list[Prediction], list[tuple[str, str]]]:
    import numpy as np

    from hubel.cli import show

    ready = run.preprocess.picture if run.preprocess.kind == "picture" else run.preprocess.vector
    answers: list[Prediction] = []
    problems: list[tuple[str, str]] = []
    with show.bar("answering", "items", quiet=quiet or len(items) < AT_ONCE) as bar:
        for start in range(0, len(items), AT_ONCE):
            names, inputs = [], []
            for name, item in items[start : start + AT_ONCE]:
                try:
                    inputs.append(ready(item))
                    names.append(name)
                except HubelError as e:
                    problems.append((name, str(e).removeprefix(f"{name}: ")))
            if inputs:
                answers += run.answers(names, run.logits(np.stack(inputs)), top=top)
            bar.advance(min(start + AT_ONCE, len(items)), len(items))
    return answers, problems


def _pictures(files: list[str]) -> Iterator[tuple[str, Any]]:
    from hubel.data.pictures import SUFFIXES

    for name in files:
        path = Path(name)
        if name == "-":
            yield "-", sys.stdin.buffer.read()
        elif path.is_dir():
            for file in sorted(path.rglob("*")):
                if file.suffix.lower() in SUFFIXES and not any(
                    p.startswith(".") for p in file.relative_to(path).parts
                ):
                    yield str(file), file
        else:
            yield name, path


def _rows(files: list[str]) -> Iterator[tuple[str, Any]]:
    """Rows of numbers separated by commas or blanks; a first line of names is passed over."""
    for name in files:
        try:
            text = sys.stdin.read() if name == "-" else Path(name).read_text("utf-8")
        except OSError as e:
            raise InputError(f"{name} cannot be read: {e.strerror}") from e
        except UnicodeDecodeError as e:
            raise InputError(f"{name} is not text, but this run answers for rows of numbers") from e
        for number, line in enumerate(text.splitlines(), 1):
            cells = line.replace(",", " ").split()
            if not cells:
                continue
            try:
                yield f"{name}:{number}", [float(c) for c in cells]
            except ValueError:
                if number > 1:
                    raise InputError(f"{name}, line {number}: not a row of numbers: {line[:80]!r}") from None


def _print(answers: list[Prediction], top: int) -> None:
    from hubel.cli import show

    if not answers:
        return
    if not answers[0].top:
        show.table(["item", "value"], [(a.item, a.answer) for a in answers], right="value")
        return
    others = min(top, len(answers[0].top)) - 1
    columns = ["item", "answer", "p", *(["then"] if others else [])]
    rows = [
        (
            a.item,
            a.answer,
            f"{a.p:.4f}",
            *(["  ".join(f"{c} {p:.4f}" for c, p in a.top[1:])] if others else []),
        )
        for a in answers
    ]
    show.table(columns, rows, right="p")


def _as_dict(p: Prediction) -> dict[str, Any]:
    if p.values:
        return {"item": p.item, "values": list(p.values)}
    return {"item": p.item, "answer": p.answer, "p": p.p, "top": [{"class": c, "p": q} for c, q in p.top]}


def add(app: typer.Typer) -> None:
    app.command()(predict)

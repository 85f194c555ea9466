"""`hubel predict RUN FILES…`: what a trained network answers about pictures, folders of them, or rows of numbers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hubel.cli import complete
from hubel.cli.answering import Device, Weights, found
from hubel.errors import HubelError, InputError

if TYPE_CHECKING:
    from hubel.data.records import Problem, Source
    from hubel.run import Answering, Prediction

AT_ONCE = 256  # pictures decoded before they are answered: bounds the memory for a folder of any size


def predict(
    run: Annotated[str, typer.Argument(metavar="RUN", autocompletion=complete.networks_and_runs, help="A run folder, a model.safetensors or an exported model.onnx alone; with --weights a network's name.")],
    files: Annotated[list[str], typer.Argument(metavar="FILES…", help="Pictures, folders of pictures, shards, or - for one picture from standard input. For numbers: CSV files, or - .")],
    top: Annotated[int, typer.Option(help="How many classes to list.")] = 3,
    weights: Weights = None,
    features: Annotated[str | None, typer.Option(metavar="LAYER", help="Write what this layer gives for each item into --out; `hubel describe` names the layers.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE.npz", help="Where the features go, with the items and the answers.")] = None,
    device: Device = "auto",
    json_: Annotated[bool, typer.Option("--json", help="Print the answers as JSON and nothing else; of shards as JSON Lines.")] = False,
) -> None:  # fmt: skip
    """Answer for pictures (or rows of numbers). What cannot be read is named; the others are answered all the same."""
    from hubel.cli import left_out, show

    if top < 1:
        raise InputError(f"--top must be at least 1, got {top}")
    if (features is None) != (out is None):
        raise InputError("--features LAYER and --out FILE.npz go together: what is to be written, and where")
    said = _opened(run, weights, top, features, json_, device)
    if said.run.preprocess.kind == "picture" and all(map(_are_shards, files)):
        if out is not None:
            raise InputError(
                "--features are held until all are there, and shards may be more than the memory holds: name folders of pictures"
            )
        _streamed(said, files, top, json_)
        return
    items = items_for(said.run, files)
    with show.bar("answering", "items", quiet=json_ or len(items) < AT_ONCE) as bar:
        for start in range(0, len(items), AT_ONCE):
            said.take(items[start : start + AT_ONCE])
            bar.advance(min(start + AT_ONCE, len(items)), len(items))
    answers, problems = said.answers, said.problems
    written = said.write(out) if out is not None and said.items else {}
    if json_:
        listed = {
            "predictions": [_as_dict(p) for p in answers],
            "problems": left_out.as_dicts(problems),
        }
        show.as_json({**listed, **({"features": written} if written else {})})
    else:
        _print(answers, top)
        if written:
            show.say(f"features {written['file']}: {features}, {show.shape(written['shape'])}")
        left_out.tell(problems)
    if not said.items:
        raise InputError(left_out.NOTHING)


def _are_shards(name: str) -> bool:
    from hubel.data import places, shards

    path = Path(name)
    if not places.remote(name) and not path.is_dir() and path.suffix.lower() != shards.ENDING:
        return False
    return shards.are_shards(name)


def _streamed(said: _Answers, files: list[str], top: int, json_: bool) -> None:
    """Answer for shards of any size: each answer is printed, one a line, and let go."""
    import json

    from hubel.cli import left_out, show
    from hubel.data import open_source

    answered = 0
    for source in map(open_source, files):
        # Answers on a terminal are progress enough, and a bar would stand in their midst.
        with show.bar("answering", "items", quiet=json_ or sys.stdout.isatty()) as bar:
            for start in range(0, len(source), AT_ONCE):
                stop = min(start + AT_ONCE, len(source))
                said.take(_contents(source, start, stop))
                for line in (
                    map(json.dumps, map(_as_dict, said.answers)) if json_ else _lines(said.answers, top)
                ):
                    show.say(line)
                answered += len(said.answers)
                left_out.tell(said.problems)
                said.forget()
                bar.advance(stop, len(source))
    if not answered:
        raise InputError(left_out.NOTHING)


def _lines(answers: list[Prediction], top: int) -> Iterator[str]:
    """Item, answer, p, and the next best (or item and value); the columns of these few in line."""
    item = max((len(a.item) for a in answers), default=0)
    answer = max((len(a.answer) for a in answers), default=0)
    for a in answers:
        then = "".join(f"  {c} {p:.4f}" for c, p in a.top[1:top])
        yield f"{a.item:<{item}}  {a.answer:<{answer}}" + (f"  {a.p:.4f}{then}" if a.top else "")


def _contents(source: Source, start: int, stop: int) -> list[tuple[str, Any]]:
    """Name and file of some pictures of shards, in their order."""
    import numpy as np

    from hubel.data.shards import Shards

    assert isinstance(source.rows, Shards)
    numbers = np.arange(start, stop)
    return list(zip(source.items[start:stop], map(bytes, source.rows.read(numbers)), strict=True))


def _opened(
    run: str, weights: str | None, top: int, features: str | None, quiet: bool, device: str
) -> _Answers:  # fmt: skip
    """What answers: a run, public weights, or a file of `hubel export`, for which PyTorch is not imported."""
    from hubel.onnx.model import is_onnx, load

    if not is_onnx(run):
        given = found(
            run, weights, features=features is not None, quiet=quiet, instead="ask for --features LAYER, ",
            device=device,
        )  # fmt: skip
        return _Answers(given.run, top, features, answering=given.answers)
    if weights is not None or features is not None:
        raise InputError(
            f"{run} is an ONNX file, which has its weights inside and gives no features: leave out --weights and --features"
        )
    if device not in ("auto", "cpu"):
        raise InputError(
            f"{run} is an ONNX file, which is computed on the processor: leave out --device {device}"
        )
    return _Answers(load(run), top, None)


class _Answers:
    """What a network says of items, a few hundred at a time.

    layer: whose features are kept too, or None   answering: whether it has its last layer
    """

    def __init__(self, run: Answering, top: int, layer: str | None, *, answering: bool = True) -> None:
        self.run, self.answering, self.top, self.layer = run, answering, top, layer
        self.items: list[str] = []  # that could be read
        self.problems: list[Problem] = []
        self.answers: list[Prediction] = []
        self.logits: list[Any] = []
        self.features: list[Any] = []

    def take(self, items: list[tuple[str, Any]]) -> None:
        """Answer for some items; what cannot be read becomes a problem."""
        import numpy as np

        from hubel.cli import left_out
        from hubel.run import Run

        names, inputs = [], []
        for name, item in items:
            try:
                inputs.append(self.run.prepared(item))
                names.append(name)
            except HubelError as e:
                self.problems.append(left_out.problem(name, e))
        if not inputs:
            return
        self.items += names
        stacked = np.stack(inputs)
        if self.layer is not None and isinstance(self.run, Run):
            self.features.append(self.run.features(stacked, self.layer))
        if self.answering:
            self.logits.append(self.run.logits(stacked))
            self.answers += self.run.answers(names, self.logits[-1], top=self.top)

    def forget(self) -> None:
        """Let go of what was answered."""
        self.items, self.problems, self.answers, self.logits = [], [], [], []

    def write(self, file: Path) -> dict[str, Any]:
        """features (N, …) float32, items (N,), layer; and where there are answers these (N,), logits (N, K), classes."""
        import io

        import numpy as np

        from hubel.files import write_atomically

        made = np.concatenate(self.features)
        stored = {"features": made, "items": np.array(self.items), "layer": np.array(self.layer)}
        if self.answering:
            said = {"answers": [a.answer for a in self.answers], "classes": list(self.run.classes)}
            stored |= {name: np.array(texts, str) for name, texts in said.items()}
            stored["logits"] = np.concatenate(self.logits)
        packed = io.BytesIO()
        np.savez(packed, allow_pickle=False, **stored)
        write_atomically(file, packed.getvalue())
        return {"file": str(file), "layer": self.layer, "shape": list(made.shape)}


def items_for(run: Answering, files: list[str]) -> list[tuple[str, Any]]:
    """Name and content of every picture, or row of numbers, that the user names; InputError where there is none."""
    items = list(_pictures(files)) if run.preprocess.kind == "picture" else list(_rows(files))
    if not items:
        raise InputError(f"there is no {run.preprocess.kind} in {', '.join(files)}")
    return items


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
            raise InputError(
                f"{name} cannot be read: {e.strerror}. This run answers for rows of numbers: name a file of them, or - "
                "for standard input"
            ) from e
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
    if min(top, len(answers[0].top)) == 1:
        show.items(
            ["item", "answer", "p"], [((a.item, a.answer), [f"{a.p:.4f}"]) for a in answers], right="p"
        )
        return
    rows = [((a.item, a.answer, f"{a.p:.4f}"), [f"{c} {p:.4f}" for c, p in a.top[1:]]) for a in answers]
    show.items(["item", "answer", "p", "then"], rows, right="p")


def _as_dict(p: Prediction) -> dict[str, Any]:
    if p.values:
        return {"item": p.item, "values": list(p.values)}
    return {"item": p.item, "answer": p.answer, "p": p.p, "top": [{"class": c, "p": q} for c, q in p.top]}


def add(app: typer.Typer) -> None:
    app.command()(predict)

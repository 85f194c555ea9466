"""`hubel describe NETWORK|RUN|"one line"`: a network as a table, as JSON, or as a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hubel.cli import complete
from hubel.cli.answering import Weights
from hubel.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from hubel.zoo.describe import Layer


def describe(
    what: Annotated[str, typer.Argument(metavar="NETWORK|RUN", autocompletion=complete.networks_and_runs, help="A network of the zoo, one in a line as 'conv8x3 relu pool2 fc', or a run folder.")],
    classes: Annotated[int | None, typer.Option(help="Of a network: how many classes; the paper's by default.")] = None,
    size: Annotated[str | None, typer.Option("--input", metavar="CxHxW", help="Of a network: its input, as 3x64x64.")] = None,
    hidden: Annotated[str | None, typer.Option(help="Of mlp: sizes of its hidden layers.")] = None,
    arg: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Any other argument of the network.")] = None,
    weights: Weights = None,
    svg: Annotated[Path | None, typer.Option("--svg", metavar="FILE", help="Draw the network into an SVG file.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the table as JSON and nothing else.")] = False,
) -> None:  # fmt: skip
    """Show a network layer by layer."""
    from hubel.cli import show
    from hubel.zoo.describe import layers

    network, shape, facts = (
        _with_weights(what, weights) if weights else _find(what, classes, size, hidden, arg or [])
    )
    rows = layers(network, shape)
    total = sum(p.numel() for p in network.parameters())
    if svg is not None:
        from hubel.files import write_atomically
        from hubel.zoo.drawing import draw

        write_atomically(svg, draw(rows, shape, facts["network"]))
    if json_:
        show.as_json({**facts, **_as_json(rows, shape, total)})
        return
    for name, value in facts.items():
        show.say(f"{name:<9}{value}")
    _table(rows, shape, total)
    if svg is not None:
        show.say(f"picture  {svg}")


def _find(
    what: str, classes: int | None, size: str | None, hidden: str | None, arg: list[str]
) -> tuple[nn.Module, tuple[int, ...], dict[str, Any]]:
    from hubel import zoo
    from hubel.cli.train import _arguments

    path = Path(what)
    named = what in zoo.ZOO or zoo.is_line(what)
    if (what not in zoo.ZOO and _exists(path)) or (not named and "/" in what):
        from hubel.run import load

        run = load(path)
        facts = {"run": str(run.path), "network": run.network.name, "data": run.data.get("name", "unknown"),
                 "classes": _few(run.classes, 20)}  # fmt: skip
        return run.model.network, run.preprocess.shape, facts
    entry = zoo.lookup(what)
    shape = _shape(size) if size else entry.input
    import torch

    with torch.device("meta"):  # shapes without numbers: the largest network is built in moments
        network = zoo.create(what, classes, shape, **_arguments(hidden, arg))
    name = " ".join(what.split())
    return network, tuple(shape), {"network": name, "about": entry.summary, "source": entry.source}


def _with_weights(what: str, weights: str) -> tuple[nn.Module, tuple[int, ...], dict[str, Any]]:
    """A network as its public weights want it built, and what became of them."""
    from hubel.pretrained import ready

    made = ready(weights, what)
    run, known = made.run, made.loaded.known
    built = ", ".join(f"{name}={value}" for name, value in run.network.arguments.items())
    facts: dict[str, Any] = {
        "network": f"{run.network.name}{f' ({built})' * bool(built)}",
        "weights": weights,
    }
    if known is not None:
        facts |= {"source": known.source, "licence": known.licence}
    facts["loaded"] = f"{len(made.loaded.loaded)} tensors"
    if made.loaded.labels:
        facts["classes"] = _few(run.classes, 8)
    if made.notes:
        facts["note"] = "; ".join(made.notes)
    return run.model.network, run.preprocess.shape, facts


def _few(names: Sequence[str], most: int) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long for a name, or with letters that none may have
        return False


def _shape(text: str) -> tuple[int, ...]:
    sides = text.lower().replace("×", "x").split("x")
    if len(sides) not in (1, 3) or not all(s.isascii() and s.isdigit() and 0 < int(s) <= 4096 for s in sides):
        raise InputError(
            f"--input takes CHANNELSxHEIGHTxWIDTH, as 3x64x64, or a count of numbers, got {text!r}"
        )
    return tuple(map(int, sides))


def _as_json(rows: Sequence[Layer], shape: Sequence[int], parameters: int) -> dict[str, Any]:
    sums = {"multiply_adds": sum(r.multiply_adds for r in rows), "memory": sum(r.memory for r in rows)}
    return {"input": shape, "parameters": parameters, **sums, "layers": [r.to_dict() for r in rows]}


@dataclass(frozen=True)
class _Column:
    """name: heading; text: of a layer; total: of all; optional: may be left out where there is no room."""

    name: str
    text: Callable[[Layer], str]
    total: str = ""
    optional: bool = False


def _table(rows: Sequence[Layer], shape: Sequence[int], parameters: int) -> None:
    """The widest form that has room: first columns are left out, then numbers are rounded and names are cut."""
    from hubel.cli import show

    names, room = max(len("layer"), *(len(row.name) for row in rows)), show.console().width
    whole, short = (_columns(rows, shape, parameters, rounded=rounded) for rounded in (False, True))
    forms = [whole, *(_without(columns, drop) for columns in (whole, short) for drop in (1, 2))]
    columns = next((form for form in forms if names + _width(form, rows) <= room), forms[-1])
    name = max(12, min(names, room - _width(columns, rows)))
    cells = [(_cut(row.name, name), *(column.text(row) for column in columns)) for row in rows]
    entry = ("input", "", show.shape(shape), *("" for _ in columns[2:]))
    last = ("total", *(column.total for column in columns))
    right = " ".join(column.name for column in columns[1:])
    show.table(
        ["layer", *(column.name for column in columns)], [entry, *cells, last], right=right, whole=True
    )
    _legend(columns, whole, rows)


def _columns(rows: Sequence[Layer], shape: Sequence[int], parameters: int, *, rounded: bool) -> list[_Column]:
    from hubel.cli import show

    number = show.rounded if rounded else _exact
    work, memory = (sum(getattr(r, name) for r in rows) for name in ("multiply_adds", "memory"))
    columns = [
        _Column("type", _short_type if rounded else _type),
        _Column("output", lambda r: show.shape(r.output)),
        _Column("params" if rounded else "parameters", lambda r: number(r.parameters), number(parameters)),
        _Column("mult-adds" if rounded else "multiply-adds", lambda r: number(r.multiply_adds), number(work)),
        _Column("memory", lambda r: _bytes(r.memory), _bytes(memory), optional=True),
    ]
    if len(shape) == 3:
        columns += [
            _Column("sees", lambda r: _axes(r, "size", "×", together=False)),
            _Column("step", lambda r: _axes(r, "stride", "×"), optional=True),
            _Column("from", lambda r: _axes(r, "offset", ","), optional=True),
        ]
    return columns


def _without(columns: Sequence[_Column], drop: int) -> list[_Column]:
    """1: without the memory; 2: without any column that can be left out."""
    return [c for c in columns if not c.optional or (drop == 1 and c.name != "memory")]


def _width(columns: Sequence[_Column], rows: Sequence[Layer]) -> int:
    """Letters that the columns take, with three between neighbours and one at each side of the table."""
    return 2 + sum(3 + max(len(c.name), len(c.total), *(len(c.text(row)) for row in rows)) for c in columns)


def _legend(columns: Sequence[_Column], whole: Sequence[_Column], rows: Sequence[Layer]) -> None:
    """What the table does not explain itself."""
    from hubel.cli import show

    shown = {column.name for column in columns}
    left = [column.name for column in whole if column.optional and column.name not in shown]
    short = [f"no room for {', '.join(left)}"] * bool(left) + ["numbers are rounded"] * ("params" in shown)
    if short:
        show.say(f"{'; '.join(short).capitalize()}. --json has all.")
    if "sees" in shown:
        step = "; step: between neighbours; from: where the first begins" if "step" in shown else ""
        show.say(f"sees: pixels that reach one cell{step}.")
    if "memory" in shown:
        show.say("memory: of the outputs of one item in float32; none where a layer works in place.")
    if any(row.idle for row in rows):
        show.say("In parentheses: what works only in training, all its parameters in one row.")


def _type(row: Layer) -> str:
    name = f"({row.type})" if row.idle else row.type
    return f"{name} {row.settings.replace('x', '×')}".rstrip()


SHORT = {"LocalResponseNorm": "LRN", "AdaptiveAvgPool2d": "AvgPool", "AdaptiveMaxPool2d": "MaxPool"}


def _short_type(row: Layer) -> str:
    name, _, settings = _type(row).partition(" ")
    return _cut(f"{SHORT.get(name, name.removesuffix('2d'))} {settings}".rstrip(), 16)


def _axes(row: Layer, name: str, between: str, *, together: bool = True) -> str:
    """One number for both axes where they agree; – where it is not known, "all" for a field of the whole picture."""
    if row.sees is None:
        return ""
    values = ["–" if axis is None else str(getattr(axis, name)) for axis in row.sees]
    if name != "size" and all(axis is not None and axis.stride == 0 for axis in row.sees):
        return ""  # what sees the same everywhere has no step
    return values[0] if together and values[0] == values[1] else between.join(values)


def _exact(count: int) -> str:
    return f"{count:,}" if count else ""


def _bytes(count: int) -> str:
    """40 B, 9.2 KiB, 588 KiB, 3.1 MiB."""
    if count < 1000:
        return f"{count} B" if count else ""
    for unit, size in (("KiB", 2**10), ("MiB", 2**20), ("GiB", 2**30)):
        if count < 999.5 * size or unit == "GiB":
            return f"{count / size:.{0 if count >= 99.95 * size else 1}f} {unit}"
    raise AssertionError("the last unit takes all")


def _cut(name: str, room: int) -> str:
    """The end of a name tells more than its middle."""
    if len(name) <= room:
        return name
    begin = (room - 1) // 3
    return f"{name[:begin]}…{name[len(name) - (room - 1 - begin) :]}"


def add(app: typer.Typer) -> None:
    app.command()(describe)

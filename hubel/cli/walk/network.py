"""`hubel walk RUN PICTURE`: how one cell of a trained network's map came about, back to the pixels that it sees.

The network runs through the definitions (hubel.replay), and hubel.replay.cells says how each number was made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hubel.cli import complete
from hubel.cli.walk import options as o
from hubel.errors import InputError

if TYPE_CHECKING:
    from hubel.definitions import Node
    from hubel.definitions.windows import Array
    from hubel.replay import Replay
    from hubel.replay.cells import Cell, Read, Receptive, Seen
    from hubel.run import Run

CHANNELS = 3  # of a window that are drawn; the others are summed up in a line
SIDE = 20  # cells of the longer side up to which the pixels are printed


def network(
    run: Annotated[str, typer.Argument(metavar="RUN", autocompletion=complete.runs, help="A run folder, or a model.safetensors alone.")],
    picture: Annotated[str | None, typer.Argument(metavar="PICTURE", help="A picture; of a run on numbers, a row of them: '0.3 0.2'.")] = None,
    item: Annotated[int | None, typer.Option(metavar="N", help="Instead of a picture: item N of the run's own validation part.")] = None,
    layer: Annotated[str | None, typer.Option(help="Whose cell; without it the layers are listed.")] = None,
    map_: Annotated[int | None, typer.Option("--map", metavar="O", help="Which map; without it that of the strongest cell.")] = None,
    at: Annotated[str | None, typer.Option("--at", metavar="I,J", help="Row and column; of a layer without maps, its number. Without it the strongest cell.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Draw the window in every channel.")] = False,
    json_: o.Json = False,
) -> None:  # fmt: skip
    """How one cell of a trained network came about: the window, the kernel, the sum, and the way back to the pixels."""
    import numpy as np

    from hubel.cli import show
    from hubel.replay import Program
    from hubel.replay.cells import cell, receptive
    from hubel.run import load

    trained = load(run)
    pixels, called = _input(trained, picture, item)
    found = Program(trained.model).run(pixels)
    answer = trained.answers([called], np.asarray(found.output.value), top=1)[0]
    facts = {
        "run": str(trained.path),
        "network": trained.network.name,
        "item": called,
        "answer": answer.answer,
        "p": answer.p,
    }
    if layer is None:
        if map_ is not None or at is not None:
            raise InputError("--map and --at need a --layer; without one the layers are listed")
        _layers(found, facts, json_)
        return
    node = found.layer(layer)
    index, why = _place(node, map_, at)
    made = cell(node, index)
    way = None if node is found.input else receptive(node, index, found.input)
    if json_:
        show.as_json(
            {
                **facts,
                "layer": layer,
                "chosen": why or "as asked",
                "cell": made.to_dict(),
                "receptive": way and way.to_dict(),
            }
        )
        return
    _facts(facts)
    _cell(made, node, layer, why, every)
    if way is not None:
        _way(way)
        _pixels(way, pixels)


def _input(run: Run, picture: str | None, item: int | None) -> tuple[Array, str]:
    """(1, C, H, W) pixels in 0..1 or (1, D) numbers, and what to call them."""
    import numpy as np

    from hubel.cli.walk import numbers

    if (picture is None) == (item is None):
        raise InputError(
            "name a picture, or an item of the run's own data with --item N"
            + (", not both" if item is not None else "")
        )
    if item is not None:
        part = run.dataset().val  # the test part is opened by `evaluate` alone
        if not 0 <= item < len(part):
            raise InputError(
                f"--item is from 0 to {len(part) - 1}, the validation part of {run.path}; got {item}"
            )
        taken = np.asarray(part.inputs[item])[None]
        return taken.astype(np.float32) / np.float32(
            255 if taken.dtype == np.uint8 else 1
        ), f"item {item} of val"
    assert picture is not None
    if run.preprocess.kind != "picture":
        return run.pixels(numbers.vector(picture, "the row")), picture
    return run.pixels(picture), picture


def _facts(facts: dict[str, Any]) -> None:
    from hubel.cli.walk import draw

    sure = f" (p {facts['p']:.4f})" if facts["p"] == facts["p"] else ""
    draw.out(f"{facts['item']} → {facts['answer']}{sure}, by {facts['network']} in {facts['run']}")


def _layers(found: Replay, facts: dict[str, Any], json_: bool) -> None:
    """Every layer with its shape, its strongest cell, and how its cells are shown."""
    from hubel.cli import show
    from hubel.cli.walk import draw
    from hubel.replay.cells import cell

    rows, listed = [], []
    for name, node in found.layers.items():
        if isinstance(node.value, tuple):
            continue
        index, _ = _place(node, None, None)
        made = cell(node, index)
        listed.append({
            "layer": name, "operation": made.operation, "shape": list(node.value.shape), "strongest": list(index),
            "value": made.value, "shown_as": _shown_as(made),
        })  # fmt: skip
        rows.append((name, made.operation or "–", show.shape(node.value.shape[1:]), f"{_said(index)}  {made.value:.4g}", _shown_as(made)))  # fmt: skip
    if json_:
        show.as_json({**facts, "layers": listed})
        return
    _facts(facts)
    draw.table(
        ["layer", "operation", "output", "strongest cell", "shown as"],
        rows,
        right="output",
        spare=["shown as", "operation", "strongest cell"],
    )
    draw.out(f"One of them: {_suggested(listed)}")


def _suggested(listed: Sequence[Mapping[str, Any]]) -> str:
    """The last layer with most to see: a window, or else a sum, or else whatever is last; and a cell that it has."""
    by_sight = ("window, sum", "window, maximum", "sum of products")
    sights = [s for s in by_sight if any(row["shown_as"] == s for row in listed)]
    row = [row for row in listed if not sights or row["shown_as"] == sights[0]][-1]
    axes = len(row["shape"]) - 1
    cell = "--map 0 --at 0,0" if axes == 3 else f"--at {','.join('0' * axes)}"
    return f"--layer {row['layer']} {cell}"


def _shown_as(made: Cell) -> str:
    """What a reader will see of a cell of this layer."""
    from hubel.replay.cells.moves import MOVES
    from hubel.replay.cells.numbers import TWO

    if made.window is not None:
        return "window, sum" if made.products is not None else "window, maximum"
    if made.products is not None:
        return "sum of products"
    if made.steps:
        if made.operation in MOVES:
            return "moved"
        if made.operation in TWO:
            return "two numbers in"
        return "one number in" if len(made.steps) == 1 else "step by step"
    return "slopes" if made.reads else "as given"


def _place(node: Node, map_: int | None, at: str | None) -> tuple[tuple[int, ...], str]:
    """The cell that was asked for, or the strongest where it was left open, and why it is this one."""
    import numpy as np

    from hubel.cli import show
    from hubel.cli.walk import numbers

    shape = node.value.shape[1:]
    maps = len(shape) == 3
    if map_ is not None and not maps:
        raise InputError(
            f"{node.name} has no maps, its output is {show.shape(shape)}: name the number with --at alone"
        )
    if map_ is not None and not -shape[0] <= map_ < shape[0]:
        raise InputError(f"--map is from 0 to {shape[0] - 1} in {node.name}, got {map_}")
    fixed: list[int | None] = (
        [map_ % shape[0] if map_ is not None else None, None, None] if maps else [None] * len(shape)
    )
    if at is not None:
        asked = numbers.whole(at, "--at", -(10**9), (2 if maps else len(shape),))
        along = shape[1:] if maps else shape
        if not all(-n <= i < n for i, n in zip(asked, along, strict=True)):
            raise InputError(f"--at {at} is outside of {node.name}, which is {show.shape(along)}")
        fixed[-len(asked) :] = [i % n for i, n in zip(asked, along, strict=True)]
    key = tuple(slice(None) if i is None else slice(i, i + 1) for i in fixed)
    seen = np.abs(node.value[0][key])
    best = np.unravel_index(int(seen.argmax()), seen.shape)
    index = tuple(int(b) if i is None else i for b, i in zip(best, fixed, strict=True))
    if None not in fixed:
        return (0, *index), ""
    where = (
        "in the layer"
        if map_ is None and at is None
        else "in the map"
        if map_ is not None
        else "at this place"
    )
    return (0, *index), f"the strongest {where}"


def _said(index: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, index[1:]))}]"


def _cell(made: Cell, node: Node, layer: str, why: str, every: bool) -> None:
    from hubel.cli import show
    from hubel.cli.walk import draw
    from hubel.replay.cells.moves import MOVES
    from hubel.replay.cells.record import digits

    name = f"{layer}{_said(made.index)}"
    about = [part for part in (made.operation, show.shape(node.value.shape[1:])) if part]
    kind = f"   {', '.join(about)}" + (f"; {why}" if why else "")
    title = draw.title(f"{name} = {digits(made.value)}")
    fits = title.cell_len + len(kind) <= draw.width()
    draw.out("", *([title + draw.Text(kind)] if fits else [title, *draw.paragraph(kind.strip())]))
    draw.out(*draw.paragraph(made.formula), "")
    if made.window is not None and made.inputs is not None:
        _window(made, node, every)
    elif made.products is not None:
        draw.out(*draw.sum_lines(made, "y", draw.Columns()))
    elif made.steps:
        label = "y" if len(made.steps) == 1 else ""
        steps = [(s.what, s.text, s.value) for s in made.steps]
        if (
            made.operation in MOVES and made.reads
        ):  # as the other lines have it, without the axis of the items
            read = made.reads[0]
            steps = [("y", f"{read.node}{_at(read.cells[0], read, node)}", made.value)]
        draw.out(*draw.step_lines(label, steps))
    for read in made.reads if not made.steps and made.products is None else ():
        strongest = abs(read.slopes if read.slopes is not None else read.values).argsort()[::-1][:9]
        many = "" if len(read.values) == 1 else "; the steepest"
        draw.out(f"{read.argument}, {show.some(len(read.values), 'number')}{many}:")
        for k in strongest:
            slope = "" if read.slopes is None else f"   slope {digits(read.slopes[k])}"
            draw.out(f"  {_at(read.cells[k], read, node)} {digits(read.values[k])}{slope}")


def _at(cell: Array, read: Read, node: Node) -> str:
    """Where a number was read: of a parameter the whole place, of what is computed from the picture without its item."""
    source = next(n for n in node.inputs if n is not None and n.name == read.node)
    whole = source.operation is None and source.name != "input"
    return _said((0, *cell.tolist()) if whole else tuple(cell.tolist()))


def _window(made: Cell, node: Node, every: bool) -> None:
    """The window in its channels, strongest first, the kernel beside it, the products, and how they add up."""
    import numpy as np

    from hubel.cli.walk import draw

    assert made.window is not None and made.inputs is not None
    shares = made.inputs if made.products is None else made.products  # (C, U, V)
    sums = shares.reshape(len(shares), -1).sum(1)
    few = len(sums) <= CHANNELS or every
    order = list(range(len(sums))) if few else np.argsort(-np.abs(sums), kind="stable")[:CHANNELS].tolist()
    ways = zip(made.window.positions, _axes(len(made.window.positions)), strict=True)
    source = node.inputs[0]
    on = f"{', '.join(_range(p, what) for p, what in ways)} of {source.name if source else 'x'}"
    draw.out(*draw.paragraph(f"The window lies on {on}."))
    if not made.window.inside.all():
        draw.out(draw.Text(f"{draw.PADDING} stands for padding", draw.FAINT))
    for k in order:
        _channel(made, k)
    draw.out("")
    _total(made, [float(sums[k]) for k in order], len(sums) - len(order), float(sums.sum()))


def _channel(made: Cell, k: int) -> None:
    """One channel of the window, the kernel and the products: beside it where there is room, or else below."""
    import numpy as np

    from hubel.cli.walk import draw
    from hubel.replay.cells.record import digits

    assert made.window is not None and made.inputs is not None
    won = np.zeros(made.inputs[k].shape, bool) if made.winner and made.winner[0] == k else None
    if won is not None and made.winner:
        won[made.winner[1:]] = True
    c = made.window.channels[k]
    grids = [draw.matrix(f"x[{c}]", made.inputs[k], padded=~made.window.inside, seen=won, even=True)]
    if made.weights is not None and made.products is not None:
        grids.append(draw.matrix(f"w[{made.index[1]},{k}]", made.weights[k], even=True))
        grids.append(draw.matrix("products", made.products[k], even=True))
    draw.out("", *draw.beside(grids))
    if made.weights is not None and made.products is not None:
        count, total = made.products[k].size, digits(float(made.products[k].sum()))
        said = f"the {count} products sum to" if count > 1 else "the product is"
        draw.out(draw.Text(f"channel {c}: {said} {total}", draw.FAINT))


def _total(made: Cell, sums: list[float], left: int, total: float) -> None:
    """How the channels that were drawn, the others and the bias make the cell."""
    from hubel.cli import show
    from hubel.cli.walk import draw
    from hubel.replay.cells.record import digits

    if made.winner is not None:
        draw.out(f"y = the largest, {digits(made.computed)}")
        return
    if made.weights is None:
        count = 0 if made.inputs is None else made.inputs.size
        steps = [("sum", show.some(count, "number"), total), *((s.what, s.text, s.value) for s in made.steps)]
        draw.out(*draw.step_lines("", steps))
        return
    terms = [digits(v) for v in sums]
    if left:
        rest = digits(total - sum(sums))
        others = f"other {left} channels sum" if left > 1 else "other channel sums"
        draw.out(f"The {others} to {rest}; to see {'them' if left > 1 else 'it'}: --all")
        terms.append(rest)
    terms += [] if made.bias is None else [f"{digits(made.bias)} (bias)"]
    if len(terms) == 1:
        return  # the one channel's products have been summed above
    signed = [f"- {t[1:]}" if t.startswith("-") else f"+ {t}" for t in terms[1:]]
    draw.out(*draw.paragraph(" ".join(["y =", terms[0], *signed, f"= {digits(made.computed)}"])))


def _axes(count: int) -> tuple[str, ...]:
    return ("row", "column")[2 - count :]


def _range(positions: tuple[int, ...], what: str) -> str:
    first, last = positions[0], positions[-1]
    return f"{what} {first}" if first == last else f"{what}s {first} to {last}"


def _way(way: Receptive) -> None:
    """The chain back: at every node, which cells the cell looks at."""
    from hubel.cli.walk import draw

    draw.out("", draw.title("The way back"))
    rows = [
        (
            step.node.name,
            step.node.operation.__name__ if step.node.operation else "",
            _box(step),
            f"{step.count:,}",
        )
        for step in way.steps
    ]
    columns = ["layer", "operation", "looked at", "cells"]
    draw.table(columns, rows, right="cells", spare=["operation", "cells"])


def _box(step: Seen) -> str:
    """'rows 5-9, columns 7-11, 6 maps', or along each axis the numbers of a layer without maps."""
    box = step.box[1:]
    if len(box) != 3:
        ahead, *others = (_short(b, "number") for b in box)
        return ", ".join([ahead, *(text.split(" ")[1] for text in others)])
    (first, last), rows, columns = box
    maps = f"{last + 1} maps" if first == 0 and last else _short(box[0], "map")
    return f"{_short(rows, 'row')}, {_short(columns, 'column')}, {maps}"


def _short(ends: tuple[int, int], what: str) -> str:
    return f"{what} {ends[0]}" if ends[0] == ends[1] else f"{what}s {ends[0]}-{ends[1]}"


def _pixels(way: Receptive, pixels: Array) -> None:
    """The rectangle of the input, in pixels of 0 to 255 where it is a picture."""
    import numpy as np

    from hubel.cli.walk import draw

    if pixels.ndim != 4:
        return
    _, _, (top, bottom), (left, right) = way.box
    H, W = pixels.shape[2:]
    seen = f"It sees rows {top} to {bottom} and columns {left} to {right} of the picture, which the network takes as {H}×{W}."
    draw.out(*draw.paragraph(seen))
    if max(bottom - top, right - left) < SIDE:
        part = np.rint(pixels[0, :, top : bottom + 1, left : right + 1] * 255)
        draw.out("Its pixels, 0 to 255:", "", *draw.beside(draw.blocks("pixels", part)))

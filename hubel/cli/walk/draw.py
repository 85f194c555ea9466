"""Numbers on a terminal: matrices in columns, side by side; sums that are wrapped at their operators."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.text import Text

from hubel.cli import show
from hubel.definitions.windows import Array
from hubel.replay.cells.record import Cell, digits

TALL = 20  # rows of a matrix that are shown
PLANES = 16  # matrices of one array
TERMS = 60  # of a sum that are written out; of longer ones the largest are
LARGEST = 9
PADDING = "·"
TITLE, SEEN, WON, FAINT = "bold", "bold black on cyan", "bold green", "dim"


def width() -> int:
    """Columns to write on: the terminal's, but no wider than one reads."""
    return min(show.console().width, 120)


@dataclass(frozen=True)
class Block:
    """Lines that stand together: a matrix under its title."""

    lines: tuple[Text, ...]

    @property
    def width(self) -> int:
        return max((line.cell_len for line in self.lines), default=0)


def out(*lines: Text | str) -> None:
    """Lines to standard output, as they are."""
    console: Console = show.console()
    for line in lines:
        text = line if isinstance(line, Text) else Text(show.printable(line))
        text.rstrip()
        console.print(text, soft_wrap=True)


def title(text: str) -> Text:
    return Text(text, TITLE)


def matrix(
    name: str,
    values: Array,
    *,
    seen: Array | None = None,
    padded: Array | None = None,
    room: int | None = None,
    even: bool = False,
) -> Block:
    """(H, W) in columns under its name. seen: cells to point at; padded: cells that are padding.

    even: all with as many decimals as give the largest three digits, which takes less room
    """
    values, padded = np.atleast_2d(values), None if padded is None else np.atleast_2d(padded)
    form = _even(values) if even else digits
    texts = [[form(v) for v in line[:200]] for line in values[:TALL]]
    if padded is not None:
        texts = [[PADDING if padded[i, j] else t for j, t in enumerate(line)] for i, line in enumerate(texts)]
    widths = [max(len(line[j]) for line in texts) + (seen is not None) for j in range(len(texts[0]))]
    ends = np.cumsum([w + 1 for w in widths])
    room = room or width()
    fits = len(widths) if ends[-1] <= room else max(1, int((ends <= room - 3).sum()))
    lines = [title(name)] if name else []
    for i, line in enumerate(texts):
        drawn = Text()
        for j in range(fits):
            marked = seen is not None and bool(seen[i, j])
            _put(drawn, line[j], widths[j], marked, seen is not None, last=j == fits - 1)
        if fits < values.shape[1]:
            drawn.append(" …")
        lines.append(drawn)
    if len(values) > TALL:
        lines.append(Text(f"… {show.some(len(values) - TALL, 'more row')}", FAINT))
    return Block(tuple(lines))


def _even(values: Array) -> Callable[[float], str]:
    largest = float(np.abs(values[np.isfinite(values)]).max(initial=0))
    decimals = 0 if (values == np.rint(values)).all() else int(np.clip(2 - np.floor(np.log10(largest)), 0, 9))
    return lambda v: digits(0.0) if v == 0 else _unsigned_zero(f"{v:.{decimals}f}")


def _unsigned_zero(text: str) -> str:
    """A small negative number that is rounded to 0 has no sign: 0.0000."""
    return text if float(text) else text.removeprefix("-")


def _put(line: Text, text: str, room: int, marked: bool, brackets: bool, *, last: bool) -> None:
    """One number, right-aligned; a marked one in brackets, which say the same without colour."""
    if brackets:
        body = f"[{text}]" if marked else f" {text} "
        line.append(" " * (room + 1 - len(body)))
        line.append(body, SEEN if marked else "")
        return
    line.append(text.rjust(room) + ("" if last else " "), FAINT if text == PADDING else "")


def beside(blocks: Sequence[Block], gap: int = 4) -> list[Text]:
    """Blocks from left to right, as many as fit on a line, the others below."""
    lines: list[Text] = []
    waiting = list(blocks)
    while waiting:
        taken = [waiting.pop(0)]
        while waiting and sum(b.width + gap for b in taken) + waiting[0].width <= width():
            taken.append(waiting.pop(0))
        for i in range(max(len(b.lines) for b in taken)):
            line = Text()
            for block in taken:
                part = block.lines[i].copy() if i < len(block.lines) else Text()
                part.pad_right(block.width + gap - part.cell_len)
                line.append_text(part)
            lines.append(line)
        if waiting:
            lines.append(Text())
    return lines


def blocks(name: str, a: Array, *, room: int | None = None) -> list[Block]:
    """An array as one matrix, or as one for each channel, or for each kernel and channel."""
    if a.ndim < 3:
        return [matrix(name, a, room=room)]
    ahead, planes = a.shape[:-2], a.reshape(-1, *a.shape[-2:])
    found = []
    for k, plane in enumerate(planes[:PLANES]):
        at = [str(i) for i, n in zip(np.unravel_index(k, ahead), ahead, strict=True) if n > 1]
        place = f"[{','.join(at)}]" if at else ""
        found.append(matrix(f"{name}{place}  {show.shape(plane.shape)}", plane, room=room))
    if len(planes) > PLANES:
        found.append(Block((Text(f"… {len(planes) - PLANES:,} more", FAINT),)))
    return found


@dataclass(frozen=True)
class Columns:
    """How wide each term of a sum is, in all the sums of a walk, so that they stand under one another."""

    widths: tuple[int, ...] = ()

    @staticmethod
    def of(cells: Sequence[Cell]) -> Columns:
        sums = [_terms(c) for c in cells if c.products is not None and c.products.size <= TERMS]
        if len({len(terms) for terms in sums}) != 1:
            return Columns()  # sums of several lengths, as of a transposed convolution, have no columns
        return Columns(tuple(max(map(len, column)) for column in zip(*sums, strict=True)))

    def across(self, n: int) -> Columns:
        """The widths of n columns, where the terms stand in rows of n."""
        widest = [max(self.widths[i::n]) for i in range(n)] if self.widths else []
        return Columns(tuple(widest * (len(self.widths) // n)))

    def set(self, terms: Sequence[str]) -> list[str]:
        return [t.ljust(w) for t, w in zip(terms, self.widths, strict=True)] if self.widths else list(terms)


def sum_lines(cell: Cell, label: str, columns: Columns) -> list[str]:
    """'y[0,1] = 2*2 + 0*3 + … + 1 = 16'; where that is too long, a line for each row of the kernel."""
    assert cell.products is not None
    room = width() - len(label) - 3
    long = cell.products.size > TERMS
    terms, sign = _terms(cell), "-" if cell.term.startswith("-") else "+"
    last = [f"= {digits(cell.sum or 0.0)}"]
    if cell.bias is not None:
        last.insert(0, f"- {digits(-cell.bias)}" if cell.bias < 0 else f"+ {digits(cell.bias)}")
    if long:
        rest = float(cell.products.sum()) - sum(float(cell.products.flat[i]) for i in _shown(cell))
        left = cell.products.size - len(terms)
        last.insert(0, f"{'-' if rest < 0 else '+'} {digits(abs(rest))} ({show.some(left, 'smaller term')})")
    line = _joined([*_signed(terms if long else columns.set(terms), sign), *last])
    if len(line) <= room:
        return [f"{label} = {line}"]
    n = cell.products.shape[-1]
    if not long and cell.products.ndim > 1 and columns.widths:
        terms = columns.across(n).set(terms)
    parts = _signed(terms, sign)
    rows = [_joined(parts[i : i + n]) for i in range(0, len(parts), n)]
    if long or cell.products.ndim == 1 or max(map(len, rows)) > room:
        lines = _wrapped([*parts, *last], room)
    else:
        lines = [*_wrapped(rows, room), _joined(last)]
        if len(lines[-2]) + len(lines[-1]) < room:
            lines[-2:] = [_joined(lines[-2:])]
    return [f"{label} = {lines[0]}", *(f"{' ' * (len(label) + 1)}{line}" for line in lines[1:])]


def _joined(parts: Sequence[str]) -> str:
    return " ".join(parts)


def _signed(terms: Sequence[str], sign: str) -> list[str]:
    """Each term with its operator; the first without a plus."""
    if not terms:
        return ["0"]
    first = f"-{terms[0]}" if sign == "-" else terms[0]
    return [first, *(f"{sign} {t}" for t in terms[1:])]


def _wrapped(parts: Sequence[str], room: int) -> list[str]:
    """As many on a line as fit. Lines after the first begin two columns to the left, with their operator."""
    lines = [parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + 1 + len(part) <= room + (2 if len(lines) > 1 else 0):
            lines[-1] += f" {part}"
        else:
            lines.append(part)
    return lines


def _terms(cell: Cell) -> list[str]:
    """The terms of a sum without their sign; of a long one the largest."""
    assert cell.inputs is not None
    inside = None if cell.window is None else np.broadcast_to(cell.window.inside, cell.inputs.shape).ravel()
    found = []
    for place, i in enumerate(_shown(cell)):
        x = PADDING if inside is not None and not inside[i] else digits(cell.inputs.flat[i])
        w = "" if cell.weights is None else digits(cell.weights.flat[i])
        found.append(_set_in(cell.term, {"x": x, "w": w}, first=place == 0))
    return found


def _set_in(term: str, numbers: Mapping[str, str], *, first: bool) -> str:
    """'{w}*{x}' with its numbers, without the term's own sign; a negative one that follows an operator in brackets."""
    body = term.removeprefix("-")
    sign = "" if first and body == term else "+"

    def one(found: re.Match[str]) -> str:
        text, before = numbers[found[1]], f"{sign}{body[: found.start()]}".rstrip()
        return f"({text})" if text.startswith("-") and before[-1:] in ("*", "+", "-") else text

    return re.sub(r"\{(\w)\}", one, body)


def _shown(cell: Cell) -> list[int]:
    """Which places of the sum are written out."""
    assert cell.products is not None
    if cell.products.size <= TERMS:
        return list(range(cell.products.size))
    return [int(i) for i in np.argsort(-np.abs(cell.products.ravel()), kind="stable")[:LARGEST]]


def step_lines(label: str, rows: Sequence[tuple[str, str, float]]) -> list[str]:
    """'y[0]  e = e^(1 - 3) = 0.135', a line for each step, equal signs under one another."""
    if len(rows) == 1 and rows[0][0] in ("", "y", "L"):
        return [f"{label} = {rows[0][1]} = {digits(rows[0][2])}"]
    what = max(len(name) for name, _, _ in rows)
    text = max(len(text) for _, text, _ in rows)
    if len(label) + what + text + 20 > width():
        text = 0
    before = [label, *[" " * len(label)] * (len(rows) - 1)]
    return [
        f"{start}  {name:<{what}} = {said:<{text}} = {digits(value)}"
        for start, (name, said, value) in zip(before, rows, strict=True)
    ]


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: str, spare: Sequence[str]) -> None:
    """A table whose names, in the first column, are never broken, nor any other cell where columns can make room.

    spare: the columns that may be left out, in this order; those that were are named below
    """
    kept, said, room = list(columns), [], show.console().width

    def across() -> int:
        places = [columns.index(name) for name in kept]
        return 1 + sum(3 + max(map(len, (columns[p], *(row[p] for row in rows)))) for p in places)

    for name in spare:
        if across() > room:
            kept.remove(name)
            said.append(name)
    places = [columns.index(name) for name in kept]
    show.table(
        kept, [[row[p] for p in places] for row in rows], right=right, whole=across() <= room, named=True
    )
    if said:
        out(*paragraph(f"No room for {', '.join(said)}; --json has all."))


def paragraph(text: str, room: int | None = None) -> list[str]:
    """Wrapped to the width, further lines indented."""
    return textwrap.wrap(text, room or width(), subsequent_indent="  ", break_on_hyphens=False) or [""]

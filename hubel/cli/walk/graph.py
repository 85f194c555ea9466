"""`hubel walk graph EXPRESSION`: the computational graph, every node's value, and the derivative of the result by it."""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hubel.cli.walk import options as o
from hubel.errors import InputError

if TYPE_CHECKING:
    from hubel.cli.walk.expression import Branch
    from hubel.definitions import Node, Tape

SYMBOLS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}
OPERATIONS = {sign: name for name, sign in SYMBOLS.items()}
FIXED = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "**": operator.pow}
NAME = 28  # letters of a node's name that are shown


def graph(
    expression: Annotated[str, typer.Argument(metavar="EXPRESSION", help="Numbers and names, + - * / ** and parentheses, exp log sigmoid tanh relu sqrt. 'x=1; y=2; t=x+y; t**2' names the steps.")] = "apple=10 * count=2 * tax=1.1",
    let: Annotated[list[str] | None, typer.Option(metavar="NAME=NUMBER", help="What a name stands for; may be given several times.")] = None,
    json_: o.Json = False,
) -> None:  # fmt: skip
    """The computational graph of an expression: values forward, derivatives backward."""
    from hubel.cli import show
    from hubel.cli.walk import draw
    from hubel.definitions import Tape
    from hubel.replay.cells.record import digits

    expression = expression.strip()
    made = _Made(Tape(), expression, _given(let or []))
    result = made.result()
    slopes = {node: float(d) for node, d in result.tape.gradients(result).items()}
    if json_:
        show.as_json(
            {"expression": expression, "result": float(result.value), "nodes": _as_list(result, slopes)}
        )
        return
    draw.out(draw.title(f"{_short(result.name)} = {digits(float(result.value))}"), "")
    lines, _ = _drawn(result, slopes, set())
    if max(map(len, lines)) <= draw.width():
        draw.out(*(_coloured(line) for line in lines), "")
        said = f"Above: values. Below: the derivative of {_short(result.name)}, the result, by each."
        draw.out(*draw.paragraph(said))
    else:
        said = f"(The drawing is {max(map(len, lines))} columns wide; the table has the same.)"
        draw.out(*draw.paragraph(said))
    rows = [
        (_short(n.name), digits(float(n.value)), digits(slopes[n]), _chain(n, slopes)) for n in result.tape.nodes if n in slopes
    ]  # fmt: skip
    show.table(["node", "value", "derivative", "by the chain rule"], rows, right="value derivative")


@dataclass
class _Made:
    """The tape that an expression becomes."""

    tape: Tape
    text: str
    values: dict[str, float]  # what names stand for
    named: dict[str, Node] = field(default_factory=dict)

    def result(self) -> Node:
        from hubel.cli.walk.expression import read

        parts = read(self.text)
        for part in parts:
            self._values(part.tree)
        unknown = self.values.keys() - {n for part in parts for n in _names(part.tree)}
        if unknown:
            raise InputError(f"--let {min(unknown)}: the expression has no {min(unknown)}")
        for part in parts:
            node = self.node(part.tree, part.name)
            if part.name:
                if part.name in self.named and self.named[part.name] is not node:
                    raise InputError(f"{part.name} is given twice")
                self.named[part.name] = node
        return node

    def _values(self, tree: Branch) -> None:
        """Names may be used before the place where they are given their number."""
        if tree.kind == "name" and tree.value is not None:
            if self.values.get(tree.text, tree.value) != tree.value:
                raise InputError(
                    f"{tree.text} is given twice, as {self.values[tree.text]:g} and as {tree.value:g}"
                )
            self.values[tree.text] = tree.value
        for child in tree.children:
            self._values(child)

    def node(self, tree: Branch, name: str = "") -> Node:
        if tree.kind == "number":
            return self.tape.leaf(tree.value, name or tree.text)
        if tree.kind == "name":
            return self._leaf(tree)
        return self._applied(tree, name)

    def _leaf(self, tree: Branch) -> Node:
        from hubel.cli.walk.expression import point

        if tree.text not in self.named:
            if tree.text not in self.values:
                point(self.text, tree.at, f"{tree.text} has no value; give it with --let {tree.text}=2")
            self.named[tree.text] = self.tape.leaf(self.values[tree.text], tree.text)
        return self.named[tree.text]

    def _applied(self, tree: Branch, name: str) -> Node:
        import numpy as np

        from hubel import definitions
        from hubel.cli.walk.expression import point

        settings: dict[str, Any] = {}
        if tree.kind == "**":
            inputs = [self.node(tree.children[0])]
            operation: Any = definitions.power
            settings = {"exponent": self._constant(tree.children[1])}
        elif tree.kind == "negative":
            inputs = [self.node(tree.children[0]), self.tape.leaf(-1.0, "-1")]
            operation = definitions.multiply
        else:
            inputs = [self.node(child) for child in tree.children]
            operation = getattr(definitions, OPERATIONS.get(tree.kind, tree.kind))
        with np.errstate(all="ignore"):
            node = self.tape.apply(operation, *inputs, name=name or _text(tree), **settings)
            slopes = definitions.backward_of(operation)(np.ones(()), *(n.value for n in inputs), **settings)
        if not np.isfinite(node.value):
            said = " and ".join(f"{n.value:g}" for n in inputs)
            point(self.text, tree.at, f"{tree.kind} of {said} is not a finite number")
        if not all(np.isfinite(s) for s in slopes):
            said = " and ".join(f"{n.value:g}" for n in inputs)
            point(self.text, tree.at, f"{tree.kind} of {said} has no finite derivative")
        return node

    def _constant(self, tree: Branch) -> float:
        """An exponent: a number, or what numbers alone come to. What is not finite is seen when it is used."""
        import numpy as np

        from hubel.cli.walk.expression import point

        if tree.kind == "number" and tree.value is not None:
            return tree.value
        if tree.kind == "negative":
            return -self._constant(tree.children[0])
        if tree.kind not in FIXED:
            point(self.text, tree.at, "an exponent must be a number; x**y of two names is exp(y*log(x))")
        a, b = (np.float64(self._constant(child)) for child in tree.children)
        with np.errstate(all="ignore"):
            return float(FIXED[tree.kind](a, b))


def _given(let: list[str]) -> dict[str, float]:
    from hubel.cli.walk import numbers

    found: dict[str, float] = {}
    for text in let:
        name, sign, value = text.partition("=")
        if not sign or not name.strip().isidentifier():
            raise InputError(f"--let takes NAME=NUMBER, got {text!r}")
        name, number = name.strip(), numbers.number(value.strip(), "--let")
        if found.get(name, number) != number:
            raise InputError(f"--let gives {name} twice, as {found[name]:g} and as {number:g}")
        found[name] = number
    return found


def _names(tree: Branch) -> list[str]:
    below = [name for child in tree.children for name in _names(child)]
    return [tree.text, *below] if tree.kind == "name" else below


def _text(tree: Branch, within: int = 0) -> str:
    """The expression as one would write it; within: how strongly what stands around it binds."""
    if tree.kind in ("number", "name"):
        return tree.text
    if tree.kind == "negative":
        return _bracketed(f"-{_text(tree.children[0], 3)}", within > 2)
    if len(tree.children) == 1:
        return f"{tree.kind}({_text(tree.children[0])})"
    strength = {"+": 1, "-": 1, "*": 2, "/": 2, "**": 4}[tree.kind]
    a, b = tree.children
    left, right = _text(a, strength + (tree.kind == "**")), _text(b, strength + 1)
    between = f" {tree.kind} " if strength == 1 else tree.kind
    return _bracketed(f"{left}{between}{right}", within > strength)


def _bracketed(text: str, needed: bool) -> str:
    return f"({text})" if needed else text


def _short(name: str) -> str:
    return name if len(name) <= NAME else f"{name[: NAME // 2 - 1]}…{name[-NAME // 2 :]}"


def _drawn(node: Node, slopes: dict[Node, float], done: set[Node]) -> tuple[list[str], int]:
    """The graph from left to right as lines of equal length, and the line on which the node stands.

    A node that was drawn before stands at its second place by its name alone.
    """
    from hubel.replay.cells.record import digits

    value, slope = digits(float(node.value)), digits(slopes[node])
    if node.operation is None or node in done:
        return _two_lines(value if node.name == value else f"{_short(node.name)} {value}", slope), 0
    done.add(node)
    sign = SYMBOLS.get(node.operation.__name__, node.operation.__name__)
    if sign == "power":
        sign = f"**{digits((node.settings or {})['exponent'])}"
    named = f"{node.name} " if node.name.isidentifier() else ""
    blocks = [_drawn(n, slopes, done) for n in node.inputs if n is not None]
    across = max(len(block[0]) for block, _ in blocks)
    lines: list[str] = []
    rows = []
    for block, row in blocks:
        rows.append(len(lines) + row)
        lines += [(f"{line} ".ljust(across + 2, "─") if i == row else line.ljust(across + 2)) for i, line in enumerate(block)]  # fmt: skip
    first, last = rows[0], rows[-1]
    here = (first + last) // 2
    label = _two_lines(f"{sign} {named}{value}", slope)
    drawn: list[str] = []
    for i, line in enumerate(lines):
        joint = (
            "─" if len(rows) == 1 and i == here else _joint(i, first, here, last) if len(rows) > 1 else " "
        )
        lead = f"{joint}─ " if i == here else f"{joint}  "
        drawn.append(line + lead + (label[i - here] if here <= i <= here + 1 else " " * len(label[0])))
    return drawn, here


def _joint(i: int, first: int, here: int, last: int) -> str:
    if i < first or i > last:
        return " "
    return "┐" if i == first else "┘" if i == last else "├" if i == here else "│"


def _two_lines(above: str, below: str) -> list[str]:
    n = max(len(above), len(below))
    return [above.ljust(n), below.rjust(n)]


def _coloured(line: str) -> Any:
    from rich.text import Text

    text = Text(line)
    text.highlight_regex(r"[─┐├┘│]+", "dim")
    return text


def _chain(node: Node, slopes: dict[Node, float]) -> str:
    """For every node that used this one: its own derivative times its slope by this one; together their sum."""
    import numpy as np

    from hubel.definitions import backward_of
    from hubel.replay.cells.record import bracketed, digits

    said = []
    for user in node.tape.nodes[node.number + 1 :]:
        if user in slopes and user.operation is not None and node in user.inputs:
            values = [n.value for n in user.inputs if n is not None]
            local = backward_of(user.operation)(np.ones(()), *values, **(user.settings or {}))
            said += [
                f"{digits(slopes[user])} * {bracketed(float(s))}"
                for n, s in zip(user.inputs, local, strict=False)
                if n is node
            ]
    return " + ".join(said) or "1, of itself"


def _as_list(result: Node, slopes: dict[Node, float]) -> list[dict[str, Any]]:
    return [
        {
            "name": n.name,
            "operation": n.operation.__name__ if n.operation else None,
            "inputs": [i.name for i in n.inputs if i is not None],
            "settings": dict(n.settings or {}),
            "value": float(n.value),
            "derivative": slopes[n],
        }
        for n in result.tape.nodes
        if n in slopes
    ]

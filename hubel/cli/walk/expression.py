"""A small language of expressions, and its reader: tokens, then precedence climbing. Nothing is ever evaluated as Python.

    line      = part (";" part)*                     the last part is what is asked for
    part      = [name "="] sum
    sum       = product (("+" | "-") product)*
    product   = sign (("*" | "/") sign)*
    sign      = "-" sign | "+" sign | power
    power     = atom ["**" sign]                     right to left: 2**3**2 is 2**9, and -2**2 is -4
    atom      = number | name ["=" number] | function "(" sum ")" | "(" sum ")"

In a line of one part `name=number` gives the name its value where it stands: apple=10*count=2. In a line of several it
is a part by itself: x=1; y=2; t=x+y; t**2.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn

from hubel.errors import InputError, UnknownName

FUNCTIONS = ("exp", "log", "sigmoid", "tanh", "relu", "sqrt")
LONGEST = 400  # tokens of a line
DEEPEST = 40  # parentheses, signs and powers within one another
TOKEN = re.compile(
    r"\s*(?:(?P<number>(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)|(?P<name>[^\W\d]\w*)|(?P<sign>\*\*|[-+*/()=;]))"
)


@dataclass(frozen=True)
class Token:
    kind: str  # number, name, sign, end
    text: str
    at: int


@dataclass(frozen=True)
class Branch:
    """One node of what was read. kind: number, name, or the operation; at: where it stands in the line."""

    kind: str
    at: int
    text: str = ""
    value: float | None = None
    children: tuple[Branch, ...] = ()


@dataclass(frozen=True)
class Part:
    """name: what the part is called, "" where it was not"""

    name: str
    tree: Branch


def read(line: str) -> list[Part]:
    """The parts of a line. Raises InputError that points at what cannot be read, and says what was expected."""
    return _Reader(line).line()


def point(line: str, at: int, said: str) -> NoReturn:
    """The error, with the line and a caret under the place; of a long line the part around it."""
    start = max(0, at - 50)
    shown = ("…" if start else "") + line[start : at + 25] + ("…" if len(line) > at + 25 else "")
    raise InputError(f"{said}\n  {shown.expandtabs(1)}\n  {' ' * (at - start + bool(start))}^")


def tokens(line: str) -> list[Token]:
    found: list[Token] = []
    at = 0
    while line[at:].strip():
        matched = TOKEN.match(line, at)
        if matched is None:
            at += len(line[at:]) - len(line[at:].lstrip())
            hint = "; a power is written **" if line[at] == "^" else ""
            point(
                line, at, f"{line[at]!r} is not understood here: numbers, names, + - * / ** and ( ) are{hint}"
            )
        kind = matched.lastgroup or ""
        kind = next(k for k in ("number", "name", "sign") if matched[k] is not None)
        found.append(Token(kind, matched[kind], matched.start(kind)))
        at = matched.end()
        if len(found) > LONGEST:
            point(line, found[-1].at, f"the expression has more than {LONGEST} numbers, names and signs")
    return [*found, Token("end", "", len(line.rstrip()))]


@dataclass
class _Reader:
    text: str
    place: int = 0
    depth: int = 0
    several: bool = False
    tokens: list[Token] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tokens = tokens(self.text)
        self.several = any(t.text == ";" for t in self.tokens)

    @property
    def next(self) -> Token:
        return self.tokens[self.place]

    def take(self) -> Token:
        self.place += 1
        return self.tokens[self.place - 1]

    def fail(self, expected: str) -> NoReturn:
        found = f"{self.next.text!r} stands there" if self.next.kind != "end" else "the expression ends"
        point(self.text, self.next.at, f"{expected} is expected here, but {found}")

    def line(self) -> list[Part]:
        starts = [self.next.at]
        parts = [self.part()]
        while self.next.text == ";":
            self.take()
            if self.next.kind == "end":
                break
            if not parts[-1].name:
                point(
                    self.text,
                    starts[-1],
                    "what stands before a ; needs a name, as t=1, or nothing comes of it",
                )
            starts.append(self.next.at)
            parts.append(self.part())
        if self.next.kind != "end":
            self.fail("an operator, or the end,")
        return parts

    def part(self) -> Part:
        name = ""
        if self.several and self.next.kind == "name" and self.tokens[self.place + 1].text == "=":
            name = self.take().text
            self.take()
        return Part(name, self.sum())

    def sum(self) -> Branch:
        return self.chain(("+", "-"), self.product)

    def product(self) -> Branch:
        return self.chain(("*", "/"), self.sign)

    def chain(self, signs: tuple[str, str], below: Callable[[], Branch]) -> Branch:
        """Left to right: 8/4/2 is (8/4)/2."""
        tree = below()
        while self.next.text in signs:
            sign = self.take()
            tree = Branch(sign.text, sign.at, children=(tree, below()))
        return tree

    def sign(self) -> Branch:
        if self.next.text not in ("+", "-"):
            return self.power()
        sign = self.take()
        self.deeper(sign)
        below = self.sign()
        self.depth -= 1
        if sign.text == "+":
            return below
        if below.kind == "number" and below.value is not None:
            return Branch("number", sign.at, f"-{below.text}", -below.value)
        return Branch("negative", sign.at, children=(below,))

    def power(self) -> Branch:
        base = self.atom()
        if self.next.text != "**":
            return base
        sign = self.take()
        self.deeper(sign)
        exponent = self.sign()
        self.depth -= 1
        return Branch("**", sign.at, children=(base, exponent))

    def atom(self) -> Branch:
        token = self.next
        if token.kind == "number":
            self.take()
            return Branch("number", token.at, token.text, float(token.text))
        if token.kind == "name":
            self.take()
            return self.call(token) if self.next.text == "(" else self.named(token)
        if token.text != "(":
            self.fail("a number, a name or (")
        return self.inside()

    def call(self, token: Token) -> Branch:
        if token.text not in FUNCTIONS:
            raise UnknownName("function", token.text, FUNCTIONS)
        return Branch(token.text, token.at, children=(self.inside(),))

    def named(self, token: Token) -> Branch:
        if self.several or self.next.text != "=":
            return Branch("name", token.at, token.text)
        self.take()
        minus = self.next.text == "-"
        if minus:
            self.take()
        if self.next.kind != "number":
            self.fail(f"the number that {token.text} stands for")
        value = float(self.take().text)
        return Branch("name", token.at, token.text, -value if minus else value)

    def inside(self) -> Branch:
        opened = self.take()
        self.deeper(opened)
        tree = self.sum()
        self.depth -= 1
        if self.next.text != ")":
            self.fail("an operator or )")
        self.take()
        return tree

    def deeper(self, token: Token) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            point(
                self.text,
                token.at,
                f"more than {DEEPEST} parentheses, signs or powers stand within one another",
            )

"""Networks in one line: "conv20x5 relu pool2 conv50x5 relu pool2 fc500 relu fc". Here the text becomes parts.

    conv20x5        20 maps of 5x5; conv20x3x5 of 3x5. Behind it, in any order: /stride +pad +same ~dilation %groups
    pool2           maximum of 2x2 by steps of 2; pool3/2+1 of 3x3, stride 2, padding 1. avgpool2 is the mean
    gap gmp         mean, maximum of each whole map
    bn lrn drop0.5  batch norm; AlexNet's local response norm; dropout
    relu tanh sigmoid leaky gelu silu
    fc500           fully connected to 500 units, flatten implied; the bare fc at the end takes the class count
    3*(...)         three times over;   res(...) adds what came in;   inc(... | ...) joins branches along the channels

oneline_sizes.py says which layers of which sizes a line is, oneline_network.py builds them. Nothing here imports torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hubel.errors import InputError, nearest

LONGEST, DEEPEST, MOST_LAYERS = 4_000, 16, 2_000  # characters of a line, nested parentheses, layers in all
AROUND = 36  # characters of a long line that are shown on each side of the place of an error

POOLS, GLOBAL = ("pool", "avgpool"), ("gap", "gmp")
ACTIVATIONS = ("relu", "tanh", "sigmoid", "leaky", "gelu", "silu")
PLAIN = (*GLOBAL, "bn", "lrn", "flatten", *ACTIVATIONS)  # words without a number
WORDS = ("conv", *POOLS, "drop", "fc", *PLAIN)
BLOCKS = ("res", "inc")

GRAMMAR = """\
known are: conv20x5 (behind it /stride +pad +same ~dilation %groups)  pool2
           avgpool3/2+1  gap  gmp  bn  lrn  drop0.5  relu  tanh  sigmoid  leaky
           gelu  silu  fc500  flatten  3*(...)  res(...)  inc(... | ...)
           and a bare fc at the end, for the classes"""

_TOKEN = re.compile(r"(?P<times>[0-9]+)\*|(?P<open>(?:res|inc)?\s*\()|(?P<close>\))|(?P<bar>\|)|[^\s()|]+")
_WORD = re.compile(
    r"(?P<name>[a-z]+)(?P<number>[0-9][0-9.x]*)?(?P<suffixes>(?:[/+~%](?:same|[0-9]+(?:x[0-9]+)?))*)"
)
_SUFFIX = re.compile(r"([/+~%])(same|[0-9]+(?:x[0-9]+)?)")
SUFFIXES = {"/": "stride", "+": "padding", "~": "dilation", "%": "groups"}
Pair = tuple[int, int]

# How a word with a number is written, and the pattern of the number.
_SIZE = r"([0-9]+(x[0-9]+)?)?"
FORMS = {
    "conv": ("conv20x5", r"[0-9]+x[0-9]+(x[0-9]+)?"), "pool": ("pool2", _SIZE), "avgpool": ("avgpool2", _SIZE),
    "drop": ("drop0.5", r"[0-9]+(\.[0-9]+)?"), "fc": ("fc500", r"([0-9]+)?"),
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """A word of a line, or a block with parts inside.

    kind: one of WORDS or BLOCKS, "group", or "times", whose settings say how many
    start, end: where it stands in the line
    settings: maps, kernel, stride, padding ("same" or a pair), dilation, groups, units, p; only what was said
    inside: the branches of a block, one where it is not inc
    """

    kind: str
    start: int
    end: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    inside: tuple[tuple[Part, ...], ...] = ()


def is_line(name: str) -> bool:
    """Whether a network's name is meant as a line: one of its words is a word of the grammar, or it has a block."""
    if len(name) > LONGEST:
        return True
    text = _lowered(name)
    return bool(re.search(r"\b(res|inc)\s*\(|[0-9]\*", text)) or any(
        (word := _WORD.fullmatch(w)) is not None and word["name"] in WORDS
        for w in re.split(r"[\s()|]+", text)
    )


def slug(name: str) -> str:
    """A network's name as a piece of a file name: "conv8x3/2 relu fc" -> "conv8x3-2-relu-fc", at most 40 letters."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name)[:40].strip("-") if is_line(name) else name


def parse(line: str) -> tuple[Part, ...]:
    """The parts of a line; InputError with a caret under what cannot be read."""
    if len(line) > LONGEST:
        raise InputError(f"a network in one line may have {LONGEST:,} characters, this one has {len(line):,}")
    parts = _Reader(line).all()
    if _layers(parts) > MOST_LAYERS:
        widest = max(parts, key=lambda part: _layers((part,)))
        raise at(
            line, widest, f"with its repeats the network has over {MOST_LAYERS:,} layers: repeat fewer times"
        )
    last = parts[-1]
    if not _bare(last):
        raise at(line, last, "a line ends with a bare fc, which takes the class count: write ' fc' behind it")
    for part in _everywhere(parts[:-1]):
        if _bare(part):
            raise at(
                line,
                part,
                "a bare fc, for the classes, stands at the end alone: say how many units, as fc500",
            )
    return parts


def at(
    line: str, part: Part | re.Match[str], message: str, kind: type[InputError] = InputError, behind: str = ""
) -> InputError:  # fmt: skip
    """An error that shows the line with carets under one part of it."""
    start, end = (part.start, part.end) if isinstance(part, Part) else part.span()
    end = min(end, start + AROUND)
    left, right = max(0, start - AROUND), min(len(line), end + AROUND)
    cut = "…" if left else ""
    shown = cut + re.sub(r"\s", " ", line[left:right]) + ("…" if right < len(line) else "")
    carets = " " * (len(cut) + start - left) + "^" * (end - start)
    return kind(f"{message}\n  {shown}\n  {carets}{behind}")


def _bare(part: Part) -> bool:
    return part.kind == "fc" and not part.settings


def _everywhere(parts: Iterable[Part]) -> Iterator[Part]:
    """Parts, and those inside of them."""
    for part in parts:
        yield part
        yield from _everywhere(inside for branch in part.inside for inside in branch)


def _lowered(line: str) -> str:
    return line.lower().replace("×", "x")


def _layers(parts: tuple[Part, ...]) -> int:
    """How many layers parts are, repeats multiplied out."""
    return sum(
        part.settings.get("times", 1) * sum(_layers(branch) for branch in part.inside) if part.inside else 1
        for part in parts
    )


class _Reader:
    """Reads tokens from left to right; a parenthesis is read by calling itself."""

    def __init__(self, line: str) -> None:
        self.line, self.text = line, _lowered(line)
        self.tokens = list(_TOKEN.finditer(self.text))
        self.next = 0

    def all(self) -> tuple[Part, ...]:
        parts = self.sequence(0)
        if self.next < len(self.tokens):
            token = self.tokens[self.next]
            what = (
                "this parenthesis was not opened"
                if token["close"]
                else "a | stands only inside inc(... | ...)"
            )
            raise at(self.line, token, what)
        if not parts:
            raise InputError(f"a network in one line needs at least a bare fc\n{GRAMMAR}")
        return parts

    def sequence(self, depth: int) -> tuple[Part, ...]:
        """Parts up to a ) or | or the end."""
        parts = []
        while self.next < len(self.tokens):
            token = self.tokens[self.next]
            if token["close"] or token["bar"]:
                break
            parts.append(self.part(depth))
        return tuple(parts)

    def part(self, depth: int) -> Part:
        token = self.tokens[self.next]
        self.next += 1
        if depth > DEEPEST:
            raise at(self.line, token, f"parentheses and repeats may be nested {DEEPEST} deep")
        if re.search(r"[0-9]{10}", token[0]):
            raise at(self.line, token, "a number may have 9 digits")
        if token["times"]:
            return self.times(token, depth)
        return self.block(token, depth) if token["open"] else self.word(token)

    def times(self, token: re.Match[str], depth: int) -> Part:
        count = int(token["times"])
        if self.next == len(self.tokens) or count < 1:
            what = "repeats nothing" if count else "repeats zero times"
            raise at(
                self.line, token, f"{token[0]} {what}: write 3*(conv8x3 relu), with what is to be repeated"
            )
        repeated = self.part(depth + 1)
        return Part("times", token.start(), repeated.end, {"times": count}, ((repeated,),))

    def block(self, token: re.Match[str], depth: int) -> Part:
        kind = token["open"].rstrip("( \t\n") or "group"
        branches = [self.sequence(depth + 1)]
        while self.next < len(self.tokens) and self.tokens[self.next]["bar"] and kind == "inc":
            self.next += 1
            branches.append(self.sequence(depth + 1))
        closing = self.tokens[self.next] if self.next < len(self.tokens) else None
        if closing is None:
            raise at(self.line, token, "this parenthesis is not closed: a ) is missing")
        if closing["bar"]:
            raise at(self.line, closing, "a | stands only inside inc(... | ...)")
        self.next += 1
        part = Part(kind, token.start(), closing.end(), {}, tuple(branches))
        if not all(branches):
            raise at(
                self.line,
                part,
                f"a branch of {kind}( ) is empty" if kind == "inc" else "there is nothing in it",
            )
        return part

    def word(self, token: re.Match[str]) -> Part:
        word = _WORD.fullmatch(token[0])
        if word is None or word["name"] not in WORDS:
            name = word["name"] if word else token[0]
            near = nearest(name, [*WORDS, *BLOCKS])
            guess = f"; did you mean {near!r}?" if near else ""
            raise at(
                self.line, token, f"{token[0][:40]!r} is no part of a network{guess}", behind=f"\n{GRAMMAR}"
            )
        return Part(word["name"], *token.span(), dict(self.settings(token, word)))

    def settings(self, token: re.Match[str], word: re.Match[str]) -> Iterator[tuple[str, Any]]:
        name, number = word["name"], word["number"]
        yield from self.number(token, name, number)
        allowed = "/+~%" if name == "conv" else "/+" if name in POOLS else ""
        seen: set[str] = set()
        for sign, value in _SUFFIX.findall(word["suffixes"]):
            if sign not in allowed:
                takes = (
                    f"takes {' '.join(f'{s}{SUFFIXES[s]}' for s in allowed)}"
                    if allowed
                    else "takes nothing behind it"
                )
                raise at(self.line, token, f"{name} {takes}, but here stands {sign}{value}")
            if sign in seen:
                raise at(self.line, token, f"{SUFFIXES[sign]} is said twice")
            seen.add(sign)
            yield SUFFIXES[sign], self.suffix(token, sign, value)

    def suffix(self, token: re.Match[str], sign: str, value: str) -> str | int | Pair:
        if value == "same":
            if sign != "+":
                raise at(self.line, token, f"same is a padding: write +same instead of {sign}same")
            return value
        pair = _pair(value)
        if sign == "%" and "x" in value:
            raise at(self.line, token, "the groups are one number, as %2")
        if sign != "+" and min(pair) < 1:
            raise at(self.line, token, f"the {SUFFIXES[sign]} must be at least 1")
        return pair[0] if sign == "%" else pair

    def number(self, token: re.Match[str], name: str, number: str | None) -> Iterator[tuple[str, Any]]:
        """What the number right behind a word says."""
        example, form = FORMS.get(name, (name, ""))
        if not re.fullmatch(form, number or ""):
            raise at(self.line, token, f"{name} is written as {example}, got {token[0][:40]}")
        if name == "drop":
            if not 0 <= float(number or 1) < 1:
                raise at(
                    self.line, token, f"dropout takes a share from 0 to under 1, as drop0.5, got {number}"
                )
            yield "p", float(number or 0)
        elif number:
            first, _, rest = number.partition("x")
            counts = [int(n) for n in number.split("x")]
            if min(counts) < 1:
                raise at(self.line, token, "every number must be at least 1")
            if name == "conv":
                yield "maps", int(first)
                yield "kernel", _pair(rest)
            else:
                yield ("units", counts[0]) if name == "fc" else ("kernel", _pair(number))


def _pair(text: str) -> Pair:
    """ "3" -> (3, 3); "3x5" -> (3, 5): height first."""
    sides = text.split("x")
    return int(sides[0]), int(sides[-1])

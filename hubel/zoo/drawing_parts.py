"""What a picture of a network shows: its layers put together into boxes, and boxes into branches and repeats.

A norm, an activation or dropout belongs to the box of the layer before it; what only moves numbers is not shown.
Where one output goes several ways, a fork spans from there to the place where all ways have met again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from hubel.errors import InputError
from hubel.zoo.describe import Layer

KINDS = {  # of a box, by type of the layer
    **dict.fromkeys(("Conv2d", "PartialConv2d", "SliceBiasConv2d", "ConvTranspose2d", "conv2d"), "conv"),
    **dict.fromkeys(
        ("MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d", "AdaptiveMaxPool2d", "Subsample"), "pool"
    ),
    **dict.fromkeys(("max_pool2d", "avg_pool2d", "mean"), "pool"),
    **dict.fromkeys(("Linear", "RBF"), "fc"),
    **dict.fromkeys(("scaled_dot_product_attention", "matmul", "product"), "attention"),
    **dict.fromkeys(("add", "iadd", "mul", "multiply", "cat"), "join"),
}
NORMS = {
    "BatchNorm1d", "BatchNorm2d", "LayerNorm", "GroupNorm", "LocalResponseNorm", "RMSNorm", "InstanceNorm2d",
}  # fmt: skip
SQUASH = {
    "ReLU", "ReLU6", "Tanh", "ScaledTanh", "Sigmoid", "LeakyReLU", "PReLU", "ELU", "GELU", "SiLU", "Mish", "Hardswish",
    "Hardsigmoid", "Softmax", "relu", "relu6", "tanh", "sigmoid", "gelu", "silu", "hardswish", "softmax",
}  # fmt: skip
DROPS = {"Dropout", "Dropout1d", "Dropout2d", "dropout"}
MOVES = {
    "Flatten", "flatten", "reshape", "view", "permute", "transpose", "select", "getitem", "expand", "unsqueeze",
    "squeeze", "chunk", "Identity", "contiguous", "clone", "ZeroPad2d", "Parameter",
}  # fmt: skip
TITLES = {
    "Linear": "fc", "RBF": "RBF units", "PartialConv2d": "conv 5×5, partial", "Subsample": "subsample 2×2",
    "SliceBiasConv2d": "conv 5×5/2",
    "AdaptiveAvgPool2d": "global mean", "AdaptiveMaxPool2d": "global maximum", "mean": "global mean",
    "scaled_dot_product_attention": "attention", "add": "+", "iadd": "+", "mul": "×", "multiply": "×", "cat": "concat",
    "BatchNorm": "batch norm", "LayerNorm": "layer norm", "GroupNorm": "group norm", "LocalResponseNorm": "local norm",
}  # fmt: skip
SIGNS = ("+", "×")
WINDOWS = {
    "Conv2d": "conv",
    "MaxPool2d": "max pool",
    "AvgPool2d": "mean pool",
    "ConvTranspose2d": "transposed",
}
MANY = 45  # boxes from which on repeats are drawn once


@dataclass
class Box:
    """One layer with what belongs to it. kind: its colour; notes: small layers behind it: norm, squash, drop."""

    name: str
    kind: str
    title: str
    output: tuple[int, ...]
    notes: list[str] = field(default_factory=list)

    @property
    def shape(self) -> str:
        return "×".join(map(str, self.output))


@dataclass(frozen=True)
class Fork:
    """Branches between one output and the box that joins them (None where they end apart)."""

    branches: tuple[tuple[Item, ...], ...]
    join: Box | None


@dataclass(frozen=True)
class Repeat:
    """The same items, `times` over."""

    items: tuple[Item, ...]
    times: int


Item = Box | Fork | Repeat


def parts(layers: Sequence[Layer], shape: Sequence[int], *, fold: bool | None = None) -> tuple[Item, ...]:
    """The picture of a network, the input first. fold: whether repeats are drawn once; None: if there are many boxes.

    Raises InputError for a network whose branches are not nested in each other.
    """
    boxes, after = _boxes(layers, shape)
    items = _Nesting(boxes, after).all()
    return folded(items) if fold or (fold is None and len(boxes) > MANY) else items


def _boxes(layers: Sequence[Layer], shape: Sequence[int]) -> tuple[list[Box], list[list[int]]]:
    """Boxes in order, and for each the numbers of those that take its output."""
    boxes = [Box("input", "input", "input", tuple(shape))]
    after: list[list[int]] = [[]]
    place: dict[str, list[int]] = {
        "input": [0]
    }  # layer -> the box whose output it hands on; nothing for parameters
    users = Counter(name for layer in layers for name in layer.inputs)
    for layer in layers:
        sources = list(dict.fromkeys(n for name in layer.inputs for n in place[name]))
        note = _note(layer)
        if layer.idle or layer.type in MOVES or not sources:
            place[layer.name] = sources
        elif (
            note
            and len(sources) == 1
            and sum(users[name] for name in layer.inputs) == 1
            and _bears(boxes[sources[0]], note)
        ):
            boxes[sources[0]].notes.append(note)
            place[layer.name] = sources
        else:
            place[layer.name] = [len(boxes)]
            for source in sources:
                after[source].append(len(boxes))
            boxes.append(_box(layer, note, len(sources)))
            after.append([])
    return boxes, after


def _box(layer: Layer, note: str, sources: int) -> Box:
    kind, title = note or KINDS.get(layer.type, "other"), _title(layer)
    if title in SIGNS and sources == 1:  # with a parameter or a constant: nothing is joined
        others = [name.rpartition(".")[2] for name in layer.inputs[1:]]
        kind, title = "other", f"{title} {' '.join(others) or 'constant'}"
    return Box(layer.name, kind, title, layer.output)


def _bears(box: Box, note: str) -> bool:
    """Whether a small layer belongs to the box before it: none to the input, no norm to a join."""
    return box.kind != "input" and (box.kind, note) != ("join", "norm")


def _note(layer: Layer) -> str:
    """What small layer this is; "" for any other."""
    for note, types in (("norm", NORMS), ("squash", SQUASH), ("drop", DROPS)):
        if layer.type in types:
            return note
    return ""


def _title(layer: Layer) -> str:
    if layer.type in WINDOWS:
        window, _, groups = layer.settings.replace("x", "×").partition("%")
        what = WINDOWS[layer.type]
        if groups:
            what = "depthwise" if int(groups) == layer.output[0] else what
        size = window.replace("+", " +").split(" ")[0]
        return f"{what} {size}" + (f", {groups} groups" if groups and what == "conv" else "")
    pooled = layer.type.startswith("Adaptive") and layer.output[1:] != (1, 1)
    if pooled:
        return f"{'mean' if 'Avg' in layer.type else 'maximum'} to {layer.output[1]}×{layer.output[2]}"
    plain = layer.type.removesuffix("2d").removesuffix("1d")
    return TITLES.get(layer.type) or TITLES.get(plain, plain)


class _Nesting:
    """Finds the forks. A fork ends at the first box that every way from its beginning passes."""

    def __init__(self, boxes: Sequence[Box], after: Sequence[Sequence[int]]) -> None:
        self.boxes, self.after = boxes, after
        self.end = len(boxes)  # stands for what comes after all
        passed = [0] * self.end + [1 << self.end]  # bit m of passed[n]: every way from n passes m
        for n in reversed(range(self.end)):
            ways = -1
            for follower in after[n] or [self.end]:
                ways &= passed[follower]
            passed[n] = ways | 1 << n
        self.passed = passed
        self.reached = [0] * self.end + [0]  # bit m of reached[n]: some way from n passes m
        for n in reversed(range(self.end)):
            for follower in after[n]:
                self.reached[n] |= self.reached[follower] | 1 << follower
        self.placed: set[int] = set()

    def all(self) -> tuple[Item, ...]:
        return self.between(0, self.end)

    def between(self, start: int, stop: int) -> tuple[Item, ...]:
        """Everything from a box on, up to `stop`."""
        return () if start == stop else (self.place(start), *self.onward(self.after[start], stop))

    def onward(self, followers: Sequence[int], stop: int) -> tuple[Item, ...]:
        """Everything that follows, up to `stop`. A join stands in its fork."""
        items: list[Item] = []
        while followers:
            at = self.meeting(followers, stop)
            join = None if at == stop else self.place(at)
            if len(followers) > 1:
                branches = (
                    self.between(group[0], at) if len(group) == 1 else self.onward(group, at)
                    for group in self.grouped(followers, at)
                )  # fmt: skip
                items.append(Fork(tuple(branches), join))
            elif join is not None:
                items.append(join)
            if at == stop:  # what comes there belongs to the fork around
                break
            followers = self.after[at]
        return tuple(items)

    def meeting(self, starts: Sequence[int], stop: int) -> int:
        """The first box that all ways pass; no later than `stop`."""
        ways = -1
        for start in starts:
            ways &= self.passed[start]
        return min((ways & -ways).bit_length() - 1, stop)

    def grouped(self, starts: Sequence[int], stop: int) -> list[list[int]]:
        """Starts put together whose ways meet before `stop`: they are one branch, which forks at once."""
        groups: list[tuple[int, list[int]]] = []
        beyond = self.reached[stop] | 1 << stop
        for start in starts:
            ways, members = (self.reached[start] | 1 << start) & ~beyond, [start]
            apart = []
            for other, inside in groups:
                if other & ways:
                    ways, members = ways | other, [*inside, *members]
                else:
                    apart.append((other, inside))
            groups = [*apart, (ways, members)]
        # All in one: they meet, but not in one place; drawn apart, the place that is met twice is named.
        return [[start] for start in starts] if len(groups) == 1 else [members for _, members in groups]

    def place(self, n: int) -> Box:
        if n in self.placed:
            raise InputError(
                f"this network cannot be drawn: the ways that meet at {self.boxes[n].name!r} are not nested; "
                f"its table, without --svg, shows it all the same"
            )
        self.placed.add(n)
        return self.boxes[n]


def folded(items: Sequence[Item]) -> tuple[Item, ...]:
    """Runs of equal items put together, the longest repeated piece first."""
    made: list[Item] = []
    at = 0
    while at < len(items):
        length, times = _repeated(items, at)
        if times > 1:
            made.append(Repeat(tuple(items[at : at + length]), times))
        else:
            made.append(items[at])
        at += length * times
    return tuple(made)


def _repeated(items: Sequence[Item], at: int) -> tuple[int, int]:
    """How many items from `at` on come again right behind, and how often they stand there; the best saving of boxes."""
    best = (1, 1)
    for length in range(1, 5):
        piece, times = looks(items[at : at + length]), 1
        while piece and looks(items[at + times * length : at + (times + 1) * length]) == piece:
            times += 1
        if times > 1 and length * (times - 1) > best[0] * (best[1] - 1):
            best = (length, times)
    return best


def looks(items: Sequence[Item]) -> tuple[object, ...]:
    """What of items is drawn: equal where their pictures are."""
    seen: list[object] = []
    for item in items:
        if isinstance(item, Box):
            seen.append((item.kind, item.title, item.output, tuple(item.notes)))
        elif isinstance(item, Fork):
            seen.append(
                (*(looks(branch) for branch in item.branches), looks([item.join] if item.join else []))
            )
        else:
            seen.append((looks(item.items), item.times))
    return tuple(seen)

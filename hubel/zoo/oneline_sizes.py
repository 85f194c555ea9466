"""Which layers, of which sizes, a line is for an input of a given shape. Integers only; nothing here imports torch.

Where a convolution is followed by bn it has no bias: the norm has one. A residual unit whose body changes the shape
gets a 1x1 convolution as its shortcut, with the stride that the sizes ask for and a norm where the body has one (He et
al. 2016, option B).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from hubel.errors import InputError, ShapeError
from hubel.shapes import effective, same_padding, windowed
from hubel.zoo.entry import STEPS, Entry, Shape, within
from hubel.zoo.oneline import GLOBAL, POOLS, Pair, Part, at, parse

MOST = 2**31  # weights of a network, numbers of one output: more is a slip of the finger
USUAL = ((1, 28, 28), (3, 64, 64), (3, 224, 224))  # inputs tried, in this order, where none is given

# How a line is trained where nothing else is said. By Adam: on a deep line without a norm, descent with momentum at the
# rate that suits the others ends in dead units in some seeds.
RECIPE = {
    "optimizer": "adam", "lr": 3e-3, "batch": 128, "epochs": 12, "schedule": "one-cycle", "warmup": 0.2,
    "weight_decay": 0.0,
}  # fmt: skip

CLASSES = {
    "pool": "MaxPool2d", "avgpool": "AvgPool2d", "gap": "AdaptiveAvgPool2d", "gmp": "AdaptiveMaxPool2d",
    "lrn": "LocalResponseNorm", "drop": "Dropout", "relu": "ReLU", "tanh": "Tanh", "sigmoid": "Sigmoid",
    "leaky": "LeakyReLU", "gelu": "GELU", "silu": "SiLU",
}  # fmt: skip


@dataclass(frozen=True)
class Planned:
    """One module to be made.

    type: a class of torch.nn, or Residual or Branches of oneline_network.py; arguments: its own
    output: shape that it gives, without the batch axis; parameters: with those inside
    """

    type: str
    output: Shape
    arguments: Mapping[str, Any] = field(default_factory=dict)
    parameters: int = 0
    inside: tuple[Planned, ...] = ()


def plan(line: str, classes: int, shape: Sequence[int]) -> tuple[Planned, ...]:
    """The modules of a line for one input; ShapeError with a caret under what does not fit."""
    return tuple(_Planner(line, classes).sequence(parse(line), tuple(shape)))


def parameters(line: str, classes: int, shape: Sequence[int]) -> int:
    """How many numbers the network of a line learns."""
    return sum(made.parameters for made in plan(line, classes, shape))


def entry(line: str) -> Entry:
    """What a line claims: with the first of the usual inputs that it fits, else with none counted."""
    parse(line)
    shape, count = USUAL[0], 0
    for tried in USUAL:
        with contextlib.suppress(ShapeError):
            shape, count = tried, parameters(line, 10, tried)
            break
    return Entry(
        "oneline_network:OneLine", shape, count, "ours", "a network in one line", partial(_takes, line), RECIPE,
        few=STEPS, fixed={"line": line},
    )  # fmt: skip


def _takes(line: str, natural: Shape) -> Shape:  # noqa: ARG001 - every line takes what it is given
    """The data's own size, larger pictures at up to 224 pixels."""
    return natural if len(natural) == 1 else within(1, 224)(natural)


def _x(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


class _Planner:
    """Walks along the parts with the shape that arrives at each."""

    def __init__(self, line: str, classes: int) -> None:
        self.line, self.classes, self.total = line, classes, 0

    def sequence(self, parts: Sequence[Part], shape: Shape) -> Iterator[Planned]:
        for part, after in zip(parts, [*parts[1:], None], strict=True):
            if part.kind == "fc" and len(shape) > 1:
                yield self.flatten(part, shape)
                shape = (math.prod(shape),)
            made = self.part(part, shape, normed=after is not None and after.kind == "bn")
            yield made
            shape = made.output

    def part(self, part: Part, shape: Shape, *, normed: bool) -> Planned:
        if part.inside:
            return getattr(self, part.kind)(part, shape)
        needs_maps = part.kind in ("conv", "lrn", *POOLS, *GLOBAL)
        if needs_maps and len(shape) == 1:
            raise self.error(
                part,
                f"{part.kind} takes maps, but {shape[0]} numbers arrive: it must stand before flatten and fc",
            )
        if part.kind == "conv":
            return self.conv(part, shape, bias=not normed)
        if part.kind == "fc":
            units = part.settings.get("units", self.classes)
            self.count(part, shape[0] * units + units, (units,))
            return Planned(
                "Linear", (units,), {"in_features": shape[0], "out_features": units}, shape[0] * units + units
            )
        if part.kind == "bn":
            self.count(part, 2 * shape[0], shape)
            return Planned(
                f"BatchNorm{2 if len(shape) > 1 else 1}d", shape, {"num_features": shape[0]}, 2 * shape[0]
            )
        return self.simple(part, shape)

    def simple(self, part: Part, shape: Shape) -> Planned:
        """What has nothing to learn."""
        if part.kind in POOLS:
            return self.pool(part, shape)
        if part.kind in GLOBAL:
            return Planned(CLASSES[part.kind], (shape[0], 1, 1), {"output_size": 1})
        if part.kind == "flatten":
            return self.flatten(part, shape)
        arguments: dict[str, Any] = {"p": part.settings["p"]} if part.kind == "drop" else {}
        if (
            part.kind == "lrn"
        ):  # AlexNet's: k=2, n=5, alpha=1e-4 of the sum; PyTorch's alpha is of the mean, so n times it
            arguments = {"size": 5, "alpha": 5e-4, "beta": 0.75, "k": 2.0}
        return Planned(CLASSES[part.kind], shape, arguments)

    def flatten(self, part: Part, shape: Shape) -> Planned:
        self.count(part, 0, shape)
        return Planned("Flatten", (math.prod(shape),))

    def conv(self, part: Part, shape: Shape, *, bias: bool) -> Planned:
        maps, groups = part.settings["maps"], part.settings.get("groups", 1)
        if shape[0] % groups or maps % groups:
            raise self.error(
                part,
                f"{groups} groups must divide the {shape[0]} maps that arrive and the {maps} that it makes",
            )
        kernel = part.settings["kernel"]
        stride, dilation = (part.settings.get(name, (1, 1)) for name in ("stride", "dilation"))
        padding = self.padding(part, kernel, dilation)
        output = (maps, *self.slid(part, shape, kernel, stride, padding, dilation))
        weights = maps * (shape[0] // groups) * math.prod(kernel) + maps * bias
        self.count(part, weights, output)
        arguments = {"in_channels": shape[0], "out_channels": maps, "kernel_size": kernel, "stride": stride,
                     "padding": padding, "dilation": dilation, "groups": groups, "bias": bias}  # fmt: skip
        return Planned("Conv2d", output, arguments, weights)

    def pool(self, part: Part, shape: Shape) -> Planned:
        kernel = part.settings.get("kernel", (2, 2))
        stride, padding = part.settings.get("stride", kernel), self.padding(part, kernel, (1, 1))
        if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
            raise self.error(
                part, f"a pooling of {_x(kernel)} may be padded by half of that, got +{_x(padding)}"
            )
        output = (shape[0], *self.slid(part, shape, kernel, stride, padding, (1, 1)))
        return Planned(
            CLASSES[part.kind], output, {"kernel_size": kernel, "stride": stride, "padding": padding}
        )

    def padding(self, part: Part, kernel: Pair, dilation: Pair) -> Pair:
        said = part.settings.get("padding", (0, 0))
        if said != "same":
            return said
        try:
            return same_padding(kernel[0], dilation[0]), same_padding(kernel[1], dilation[1])
        except ShapeError as e:
            raise self.error(part, f"{e}; take an odd one, or say the padding, as +1") from None

    def slid(
        self, part: Part, shape: Shape, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
    ) -> Pair:
        """Height and width after a window has slid over the maps."""
        spans = [effective(k, d) for k, d in zip(kernel, dilation, strict=True)]
        rooms = [size + 2 * p for size, p in zip(shape[1:], padding, strict=True)]
        if any(span > room for span, room in zip(spans, rooms, strict=True)):
            padded = f", {_x(rooms)} with padding" if any(padding) else ""
            raise self.error(
                part, f"a window of {_x(spans)} does not fit: {_x(shape)} arrives{padded}. Windows up to {_x(rooms)} "
                "fit; else pad more (+same), pool or stride less before, or take a larger --input",
            )  # fmt: skip
        sizes = [windowed(*each) for each in zip(shape[1:], kernel, stride, padding, dilation, strict=True)]
        return sizes[0], sizes[1]

    def group(self, part: Part, shape: Shape) -> Planned:
        return _sequential(tuple(self.sequence(part.inside[0], shape)))

    def times(self, part: Part, shape: Shape) -> Planned:
        made: list[Planned] = []
        for _ in range(part.settings["times"]):
            made += self.sequence(part.inside[0], made[-1].output if made else shape)
        return _sequential(tuple(made))

    def res(self, part: Part, shape: Shape) -> Planned:
        """y = body(x) + shortcut(x)."""
        body = self.group(part, shape)
        shortcut = self.shortcut(part, shape, body)
        return Planned("Residual", body.output, {}, body.parameters + shortcut.parameters, (body, shortcut))

    def shortcut(self, part: Part, shape: Shape, body: Planned) -> Planned:
        output, normed = body.output, any(kind.startswith("BatchNorm") for kind in _types(body))
        if output == shape:
            return Planned("Identity", shape)
        if len(output) != len(shape):
            raise self.error(
                part,
                f"the body makes {output[0]} numbers of {_x(shape)}: nothing can be added; leave its fc outside",
            )
        if len(output) == 1:
            count = shape[0] * output[0] + output[0]
            self.count(part, count, output)
            return Planned("Linear", output, {"in_features": shape[0], "out_features": output[0]}, count)
        strides = tuple(_stride(*sizes) for sizes in zip(shape[1:], output[1:], strict=True))
        if not all(strides):
            raise self.error(
                part, f"the body makes {_x(output)} of {_x(shape)}: no 1x1 convolution does the same for the shortcut. "
                "Pad the body's convolutions with +same"
            )  # fmt: skip
        weights = shape[0] * output[0] + (0 if normed else output[0])
        self.count(part, weights + 2 * output[0] * normed, output)
        conv = Planned("Conv2d", output, {"in_channels": shape[0], "out_channels": output[0], "kernel_size": 1,
                                          "stride": strides, "bias": not normed}, weights)  # fmt: skip
        norm = Planned("BatchNorm2d", output, {"num_features": output[0]}, 2 * output[0])
        return _sequential((conv, norm)) if normed else conv

    def inc(self, part: Part, shape: Shape) -> Planned:
        """Branches side by side, their maps behind each other."""
        branches = [_sequential(tuple(self.sequence(branch, shape))) for branch in part.inside]
        sizes = [branch.output[1:] for branch in branches]
        if len(set(sizes)) > 1 or len({len(branch.output) for branch in branches}) > 1:
            given = ", ".join(_x(branch.output) for branch in branches)
            raise self.error(
                part, f"the branches make {given}: their heights and widths must agree: pad with +same, stride alike"
            )  # fmt: skip
        output = (sum(branch.output[0] for branch in branches), *sizes[0])
        self.count(part, 0, output)
        return Planned("Branches", output, {}, sum(b.parameters for b in branches), tuple(branches))

    def count(self, part: Part, weights: int, output: Shape) -> None:
        """Refuse what no machine holds, before it is built."""
        self.total += weights
        if self.total > MOST or math.prod(output) > MOST:
            what = f"{self.total:,} weights up to here" if self.total > MOST else f"an output of {_x(output)}"
            raise self.error(
                part, f"{what} is more than the {MOST:,} numbers that are allowed: make it smaller"
            )

    def error(self, part: Part, message: str) -> InputError:
        return at(self.line, part, message, ShapeError)


def _sequential(made: tuple[Planned, ...]) -> Planned:
    return Planned("Sequential", made[-1].output, {}, sum(m.parameters for m in made), made)


def _types(made: Planned) -> Iterator[str]:
    yield made.type
    for inside in made.inside:
        yield from _types(inside)


def _stride(size: int, wanted: int) -> int:
    """The least stride by which an unpadded 1x1 convolution makes `wanted` cells of `size`; 0 where none does."""
    return next((s for s in range(1, size + 1) if windowed(size, 1, s) == wanted), 0)

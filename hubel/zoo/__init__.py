"""The networks by name: what each claims to be, and how it is built. Importing this does not import torch.

A network's file says its paper; its line in ZOO is a claim (input, exact parameter count, source) that
tests/zoo/test_zoo.py holds. To add one: a file here, a line in ZOO.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hubel.errors import InputError, ShapeError, UnknownName

if TYPE_CHECKING:
    from torch import nn

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Entry:
    """A network of the zoo.

    build: "module:Class" under hubel.zoo, called as Class(classes, input, **arguments)
    input: the input shape of the paper, (C, H, W) or (D,), for which `parameters` holds with 10 classes
    parameters: exact count of trainable numbers
    source: paper, or "ours"
    summary: one line for `hubel zoo`
    takes: natural shape of the data -> the input shape that the network wants for it
    recipe: the settings it is best trained with; presets: by name, over the recipe
    normalize: False where its program feeds pixels as 0..1, so that mean and deviation are left out by default
    few: whether its recipe changes where there are few items (training.recipe.for_few)
    bf16: whether it learns faster and no worse in bfloat16 where the machine multiplies it natively (measured)
    """

    build: str
    input: Shape
    parameters: int
    source: str
    summary: str
    takes: Callable[[Shape], Shape]
    recipe: Mapping[str, Any] = field(default_factory=dict)
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    bf16: bool = False
    few: bool = False
    normalize: bool = True


def as_it_is(natural: Shape) -> Shape:
    """The network takes the data's own size."""
    return natural


def sized(height: int, width: int) -> Callable[[Shape], Shape]:
    """The network wants one size, whatever the data's."""

    def takes(natural: Shape) -> Shape:
        if len(natural) != 3:
            raise ShapeError(
                f"this network takes pictures of {height}x{width}, the data are vectors of {natural[0]} numbers"
            )
        return (natural[0], height, width)

    return takes


def within(least: int, most: int) -> Callable[[Shape], Shape]:
    """The data's own size, brought to sides of `least` to `most` pixels with the aspect ratio kept as well as it goes."""

    def takes(natural: Shape) -> Shape:
        channels, *sides = pictures(natural)
        factor = min(1.0, most / max(sides))
        height, width = (max(least, round(side * factor)) for side in sides)
        return (channels, height, width)

    return takes


def pictures(natural: Shape) -> Shape:
    """The data's own size, but pictures they must be."""
    if len(natural) != 3:
        raise ShapeError(
            f"this network takes pictures, the data are vectors of {natural[0]} numbers; try --network mlp"
        )
    return natural


# One cycle of Nesterov's descent with late weights averaged; the augmentation that digits bear.
FAST = {
    "optimizer": "nesterov", "lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4, "batch": 128, "epochs": 6,
    "schedule": "one-cycle", "warmup": 0.2, "label_smoothing": 0.05, "ema": 0.99,
}  # fmt: skip
DIGITS = {**FAST, "rotate": 8.0, "scale": 0.1, "shift": 1.5}
# No mirroring by default: it would take a sign that points left for one that points right.
COLOUR = {**FAST, "lr": 0.15, "label_smoothing": 0.1, "epochs": 22, "rotate": 8.0, "scale": 0.1, "shift": 2.0}

# What the lectures train their Keras network with; also a fair default for the historical networks.
KERAS = {
    "optimizer": "rmsprop",
    "lr": 1e-3,
    "batch": 32,
    "epochs": 2,
    "schedule": "constant",
    "weight_decay": 0.0,
}
PLAIN = {
    "optimizer": "adam",
    "lr": 1e-3,
    "batch": 128,
    "epochs": 12,
    "schedule": "cosine",
    "weight_decay": 0.0,
}

ZOO: dict[str, Entry] = {
    "fast-digits": Entry(
        "fast:FastDigits", (1, 28, 28), 70_586, "ours",
        "the default for small grey pictures", within(4, 128), DIGITS,
        {"fast": {"epochs": 1, "batch": 64, "lr": 0.2, "weight_decay": 1e-3, "rotate": 0.0, "scale": 0.0, "shift": 0.0}}, bf16=True, few=True,
    ),
    "fast-pictures": Entry(
        "fast:FastPictures", (3, 32, 32), 292_954, "ours",
        "the default for all other pictures, seen at up to 128 pixels", within(8, 128), COLOUR, bf16=True, few=True,
    ),
    "mlp": Entry(
        "mlp:MLP", (1, 28, 28), 79_510, "Rumelhart, Hinton, Williams 1986, doi:10.1038/323533a0",
        "fully connected layers; one neuron with --hidden none", as_it_is,
        {**PLAIN, "epochs": 20},
    ),
    "lenet5": Entry(
        "lenet5:LeNet5", (1, 32, 32), 61_706, "LeCun et al. 1998, doi:10.1109/5.726791",
        "LeNet-5 in its common modern form", sized(32, 32), PLAIN,
    ),
    "lenet5-1998": Entry(
        "lenet5:LeNet5Of1998", (1, 32, 32), 60_000, "LeCun et al. 1998, doi:10.1109/5.726791",
        "LeNet-5 as published: C3 table, trainable subsampling, RBF output", sized(32, 32), {**PLAIN, "lr": 2e-3},
    ),
    "lenet5-simplified": Entry(
        "lenet5_simplified:SimplifiedLeNet5", (1, 29, 29), 134_066, "Simard, Steinkraus, Platt 2003, doi:10.1109/ICDAR.2003.1227801",
        "two strided convolutions without pooling, 29x29", sized(29, 29), PLAIN,
    ),
    "lenet-keras": Entry(
        "lenet_keras:LeNetKeras", (1, 28, 28), 931_080, "the lectures' Keras program",
        "conv 20, pool, conv 50, pool, 500", pictures, KERAS, normalize=False,
    ),
    "lenet-tf": Entry(
        "lenet_tf:LeNetTF", (1, 28, 28), 3_274_634, "TensorFlow 1 tutorial \"Deep MNIST for experts\"",
        "conv 32, pool, conv 64, pool, 1024", pictures,
        {"optimizer": "adam", "lr": 1e-4, "batch": 50, "epochs": 18, "schedule": "constant", "weight_decay": 0.0},
        normalize=False,
    ),
}  # fmt: skip


def names() -> list[str]:
    """Every network's name."""
    return list(ZOO)


def lookup(name: str) -> Entry:
    """The entry of a network; UnknownName with the nearest name otherwise."""
    if name not in ZOO:
        raise UnknownName("network", name, ZOO)
    return ZOO[name]


def default_for(kind: str, natural: Shape) -> str:
    """The network that Hubel trains when none is named: by what the data are."""
    if kind == "vector":
        return "mlp"
    channels, height, width = natural
    return "fast-digits" if channels == 1 and max(height, width) <= 40 else "fast-pictures"


def arguments_of(name: str) -> dict[str, inspect.Parameter]:
    """The keyword arguments that a network takes beside classes and input (imports torch)."""
    signature = inspect.signature(_class(name).__init__)
    return {k: p for k, p in signature.parameters.items() if k not in ("self", "classes", "input")}


def create(name: str, classes: int = 10, input: Shape | None = None, **arguments: Any) -> nn.Module:  # noqa: A002
    """Build a network with fresh weights (from torch's global generator).

    classes: outputs; input: (C, H, W) or (D,), the paper's where None; arguments: the network's own, as `hidden=(4,)`.
    ->  a module from (N, *input) to logits (N, classes).
    """
    entry = lookup(name)
    allowed = arguments_of(name)
    for argument in arguments:
        if argument not in allowed:
            raise UnknownName(f"argument of {name}", argument, allowed or ["(none)"])
    if classes < 1:
        raise InputError(f"a network needs at least one output, got classes={classes}")
    built: nn.Module = _class(name)(classes, tuple(input or entry.input), **arguments)
    return built


def _class(name: str) -> Any:
    module, _, attribute = lookup(name).build.partition(":")
    return getattr(importlib.import_module(f"hubel.zoo.{module}"), attribute)

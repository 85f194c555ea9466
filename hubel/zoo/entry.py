"""What a line of the zoo says, and the ways in which a network's input follows from the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hubel.errors import ShapeError

Shape = tuple[int, ...]

# Of what changes where there are few items: how long and how often is learnt; and, for our own networks, all of it.
STEPS = ("batch", "epochs")
EVERYTHING = (*STEPS, "lr", "label_smoothing", "shift", "rotate", "scale", "brightness")


@dataclass(frozen=True)
class Preset:
    """A ready way to train a network for another end than its recipe. recipe: settings over those of the network

    arguments: of the network itself; what the user gives wins over both
    longer: by what the epochs are multiplied that the data would be learnt in
    """

    recipe: Mapping[str, Any]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    longer: float = 1.0


@dataclass(frozen=True)
class Entry:
    """A network of the zoo.

    build: "module:Class" under hubel.zoo, called as Class(classes, input, **arguments)
    input: the input shape of the paper, (C, H, W) or (D,), for which `parameters` holds
    parameters: exact count of the numbers that its weights are, those that do not learn among them
    source: paper, or "ours"
    summary: one line for `hubel zoo`
    takes: natural shape of the data -> the input shape that the network wants for it
    recipe: the settings it is best trained with; presets: by name
    normalize: False where its program feeds pixels as 0..1, so that mean and deviation are left out by default
    few: which settings of its recipe change where there are few items (training.recipe.for_few)
    classes: the class count of the paper, for which `parameters` holds
    multiply_adds: of one picture, as published; 0 where nobody said
    year: of the paper, 0 where there is none; published: the error that it gives for itself, and how that was got; of
    ImageNet's validation pictures where nothing else is named
    small: arguments of a small twin with every kind of layer (also classes, input), on which checks run in moments
    fixed: arguments of the class that the name itself settles
    bf16: whether it learns faster and no worse in bfloat16 where the machine multiplies it natively (measured)
    """

    build: str
    input: Shape
    parameters: int
    source: str
    summary: str
    takes: Callable[[Shape], Shape]
    recipe: Mapping[str, Any] = field(default_factory=dict)
    presets: Mapping[str, Preset] = field(default_factory=dict)
    bf16: bool = False
    few: tuple[str, ...] = ()
    normalize: bool = True
    classes: int = 10
    multiply_adds: int = 0
    year: int = 0
    published: str = ""
    small: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)


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
    """The data's own size brought to sides of `least` to `most` pixels, the aspect ratio kept as well as it goes."""

    def takes(natural: Shape) -> Shape:
        channels, *sides = pictures(natural)
        factor = min(1.0, most / max(sides))
        height, width = (max(least, round(side * factor)) for side in sides)
        return (channels, height, width)

    return takes


def in_steps(step: int, least: int, most: int) -> Callable[[Shape], Shape]:
    """As `within`, each side brought up to the next multiple of `step`."""
    whole = within(least, most)

    def takes(natural: Shape) -> Shape:
        channels, *sides = whole(natural)
        height, width = (-(-side // step) * step for side in sides)
        return (channels, height, width)

    return takes


def pictures(natural: Shape) -> Shape:
    """The data's own size, but pictures they must be."""
    if len(natural) != 3:
        raise ShapeError(
            f"this network takes pictures, the data are vectors of {natural[0]} numbers; try --network mlp"
        )
    return natural

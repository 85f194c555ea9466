"""The networks by name: what each claims to be, and how it is built. Importing this does not import torch.

Wherever a name is taken, a network written in one line is taken too: "conv8x3 relu pool2 fc" (oneline.py).
"""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any

from hubel.errors import InputError, UnknownName
from hubel.zoo.entries import ZOO
from hubel.zoo.entry import Entry, Shape
from hubel.zoo.oneline import is_line, slug
from hubel.zoo.oneline_sizes import entry as entry_of_line
from hubel.zoo.oneline_sizes import plan

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "ZOO", "Entry", "arguments_of", "check", "create", "default_for", "is_line", "lookup", "names", "slug", "small",
]  # fmt: skip


def names() -> list[str]:
    """Every network's name."""
    return list(ZOO)


def lookup(name: str) -> Entry:
    """The entry of a network, by name or in one line; UnknownName with the nearest name otherwise."""
    if name in ZOO:
        return ZOO[name]
    if is_line(name):
        return entry_of_line(name)
    raise UnknownName("network", name, ZOO, hint="Or write one in a line, as 'conv20x5 relu pool2 fc'.")


def check(name: str, shape: Shape) -> None:
    """ShapeError if an input does not fit, as far as that is known without building the network: of a line."""
    if name not in ZOO and is_line(name):
        plan(name, 1, shape)


def default_for(kind: str, natural: Shape) -> str:
    """The network that Hubel trains when none is named: by what the data are."""
    if kind == "vector":
        return "mlp"
    channels, height, width = natural
    return "fast-digits" if channels == 1 and max(height, width) <= 40 else "fast-pictures"


def arguments_of(name: str) -> dict[str, inspect.Parameter]:
    """The keyword arguments that a network takes beside classes and input (imports torch)."""
    signature = inspect.signature(_class(name).__init__)
    settled = ("self", "classes", "input", *lookup(name).fixed)
    return {k: p for k, p in signature.parameters.items() if k not in settled}


def create(
    name: str, classes: int | None = None, input: Shape | None = None, **arguments: Any  # noqa: A002
) -> nn.Module:  # fmt: skip
    """Build a network with fresh weights (from torch's global generator).

    classes: outputs; input: (C, H, W) or (D,); both the paper's where None
    arguments: the network's own, as `hidden=(4,)`
    ->  a module from (N, *input) to logits (N, classes).
    """
    entry = lookup(name)
    allowed = arguments_of(name)
    for argument in arguments:
        if argument not in allowed:
            raise UnknownName(f"argument of {name}", argument, allowed or ["(none)"])
    classes = entry.classes if classes is None else classes
    if classes < 1:
        raise InputError(f"a network needs at least one output, got classes={classes}")
    built: nn.Module = _class(name)(classes, tuple(input or entry.input), **entry.fixed, **arguments)
    return built


def small(name: str) -> tuple[nn.Module, Shape]:
    """A twin that is quick to run, with every kind of layer that the network has, and the shape of its input."""
    entry = lookup(name)
    arguments = {"classes": entry.classes, "input": entry.input, **entry.small}
    return create(name, **arguments), arguments["input"]


def _class(name: str) -> Any:
    module, _, attribute = lookup(name).build.partition(":")
    return getattr(importlib.import_module(f"hubel.zoo.{module}"), attribute)

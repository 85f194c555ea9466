"""The networks by name: what each claims to be, and how it is built. Importing this does not import torch."""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any

from hubel.errors import InputError, UnknownName
from hubel.zoo.entries import ZOO
from hubel.zoo.entry import Entry, Shape

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ZOO", "Entry", "arguments_of", "create", "default_for", "lookup", "names", "small"]


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
    built: nn.Module = _class(name)(classes, tuple(input or entry.input), **arguments)
    return built


def small(name: str) -> tuple[nn.Module, Shape]:
    """A twin that is quick to run, with every kind of layer that the network has, and the shape of its input."""
    entry = lookup(name)
    arguments = {"classes": entry.classes, "input": entry.input, **entry.small}
    return create(name, **arguments), arguments["input"]


def _class(name: str) -> Any:
    module, _, attribute = lookup(name).build.partition(":")
    return getattr(importlib.import_module(f"hubel.zoo.{module}"), attribute)

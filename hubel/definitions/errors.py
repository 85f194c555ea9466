"""What the definitions raise on a caller's mistake.

DefinitionError             an argument cannot be used as it is
├── ShapeError              two axes disagree; the text gives both shapes
└── UnknownKernel           no hand-made kernel of that name

They are ValueErrors of this package alone, and not the tree of hubel.errors: the definitions import nothing of the
product, so that they can be read, copied and trusted by themselves. The commands that show them say so in one place.
"""

from __future__ import annotations


class DefinitionError(ValueError):
    """An argument of an operation cannot be used as it is."""


class ShapeError(DefinitionError):
    """Two axes disagree; the text gives both shapes."""


class UnknownKernel(DefinitionError):
    """No hand-made kernel of that name; the text lists them."""

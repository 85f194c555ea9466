"""From data to a run: a recipe, a loop that yields epochs, a job that saves as it goes."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hubel.training.job import Job as Job
    from hubel.training.job import prepare as prepare
    from hubel.training.job import train as train
    from hubel.training.recipe import Recipe as Recipe

# Loaded when first used: the command line needs the recipe's names for its help, and not NumPy with them.
_PLACES = {"Job": "job", "prepare": "job", "train": "job", "Recipe": "recipe"}
__all__ = ["Job", "Recipe", "prepare", "train"]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(
            f"module 'hubel.training' has no attribute {name!r}; it has {', '.join(__all__)}"
        )
    return getattr(importlib.import_module(f"hubel.training.{_PLACES[name]}"), name)

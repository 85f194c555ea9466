"""From data to a run: a recipe, a loop that yields epochs, a job that saves as it goes."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hubel.training.job import Job as Job
    from hubel.training.planning import prepare as prepare
    from hubel.training.recipe import Recipe as Recipe
    from hubel.training.resuming import resumed as resumed
    from hubel.training.whole import train as train

# Loaded when first used: the command line needs the recipe's names for its help, and not NumPy with them.
_PLACES = {"Job": "job", "prepare": "planning", "resumed": "resuming", "train": "whole", "Recipe": "recipe"}
__all__ = ["Job", "Recipe", "prepare", "resumed", "train"]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(
            f"module 'hubel.training' has no attribute {name!r}; it has {', '.join(__all__)}"
        )
    return getattr(importlib.import_module(f"hubel.training.{_PLACES[name]}"), name)

"""Convolutional networks you can read, train, question and serve.

    run = hubel.train("digits", epochs=3)
    print(hubel.evaluate(run).accuracy)

Importing hubel imports nothing heavy; each name below is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hubel.data import open_source as open_source
    from hubel.evaluation.evaluate import evaluate as evaluate
    from hubel.explanation.methods import explain as explain
    from hubel.run import Run as Run
    from hubel.run import load as load
    from hubel.training import Recipe as Recipe
    from hubel.training import train as train
    from hubel.zoo import create as create
    from hubel.zoo import names as names

__version__ = "0.1.0"

_FACE = {
    "create": "hubel.zoo", "names": "hubel.zoo", "open_source": "hubel.data", "train": "hubel.training",
    "Recipe": "hubel.training", "load": "hubel.run", "Run": "hubel.run", "evaluate": "hubel.evaluation.evaluate",
    "explain": "hubel.explanation.methods",
}  # fmt: skip
__all__ = ["Recipe", "Run", "create", "evaluate", "explain", "load", "names", "open_source", "train"]


def __getattr__(name: str) -> Any:
    if name not in _FACE:
        raise AttributeError(f"module 'hubel' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_FACE[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

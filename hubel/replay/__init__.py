"""Any network run node by node through the definitions, forward and backward, and how each of its cells came about.

    found = replay(network, x)                      # NumPy in, every value on a tape, NumPy out
    found.layers["features.3"].value                # what that layer gave
    found.slopes(loss)["features.3.weight"]         # d loss / d weight

Program is the network as a list of definitions to call: made once, it runs without PyTorch. It is loaded when it is
first used, as the cells of a tape (hubel.replay.cells) need nothing of PyTorch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hubel.replay.program import Program as Program
    from hubel.replay.program import Replay as Replay
    from hubel.replay.program import replay as replay

__all__ = ["Program", "Replay", "replay"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'hubel.replay' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module("hubel.replay.program"), name)

"""Pictures and numbers in: a name or a path becomes a Source, a Source a Dataset of train, val and test.

Each name below is loaded when it is first used: who only answers reads no archives and no tables.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hubel.data.dataset import Dataset as Dataset
    from hubel.data.pictures import read_picture as read_picture
    from hubel.data.preprocess import Preprocess as Preprocess
    from hubel.data.records import Problem as Problem
    from hubel.data.records import Source as Source
    from hubel.data.records import Split as Split
    from hubel.data.sources import open_source as open_source

_FACE = {
    "Dataset": "dataset", "Preprocess": "preprocess", "Problem": "records", "Source": "records", "Split": "records",
    "open_source": "sources", "read_picture": "pictures",
}  # fmt: skip
__all__ = ["Dataset", "Preprocess", "Problem", "Source", "Split", "open_source", "read_picture"]


def __getattr__(name: str) -> Any:
    if name not in _FACE:
        raise AttributeError(f"module 'hubel.data' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(f"hubel.data.{_FACE[name]}"), name)

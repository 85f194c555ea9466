"""A run around a network that a test has made, so that what it sees is known beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from hubel.data import Preprocess
from hubel.run import Card, Network, Run


def planted(
    network: nn.Module, shape: Sequence[int], classes: Sequence[str] = ("a", "b"), settings: dict[str, Any] | None = None,
    **card: Any,
) -> Run:  # fmt: skip
    """shape: (C, H, W) of pictures, or (D,)   card: what else is said there: order, mirror, task"""
    kind = "picture" if len(shape) == 3 else "vector"
    preprocess = Preprocess.to_fit(kind, tuple(shape), tuple(shape))
    told = {"task": "classify", "outputs": len(classes), **card}
    made = Card(classes=tuple(classes), network=Network("planted"), preprocess=preprocess, **told)
    return Run(Path("planted"), made, made.wrap(network), settings or {})

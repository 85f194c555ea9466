"""A run around a network that a test has made, so that what it sees is known beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from hubel.data import Preprocess
from hubel.run import Card, Network, Run


def planted(
    network: nn.Module, shape: Sequence[int], classes: Sequence[str] = ("a", "b"), settings: dict[str, Any] | None = None,
    *, mean: Sequence[float] = (), std: Sequence[float] = (), columns: Sequence[str] = (), **card: Any,
) -> Run:  # fmt: skip
    """shape: (C, H, W) of pictures, or (D,)   card: what else is said there: order, mirror, task, outputs"""
    kind = "picture" if len(shape) == 3 else "vector"
    fitted = Preprocess.to_fit(kind, tuple(shape), tuple(shape))
    preprocess = replace(fitted, mean=tuple(mean), std=tuple(std), columns=tuple(columns))
    told = {"task": "classify", "outputs": len(classes), **card}
    made = Card(classes=tuple(classes), network=Network("planted"), preprocess=preprocess, **told)
    return Run(Path("planted"), made, made.wrap(network.eval()), settings or {})

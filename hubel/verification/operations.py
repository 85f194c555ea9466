"""Definitions against PyTorch, a case at a time: the value, and every gradient for a random gradient from above.

A gradient of ones from above would hide a transposed gradient. What a definition raises, or writes to its inputs, is a
difference too: one that no tolerance covers.
"""

from __future__ import annotations

import inspect
import math
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

import hubel.definitions
from hubel.definitions import OPTIMIZERS, START
from hubel.definitions.windows import Array
from hubel.verification.case import Case
from hubel.verification.cases.learning import STEPS
from hubel.verification.differences import Difference, Found, differences, largest

SHARE = 0.1  # the arrays of a case are drawn of one size, so its gradients are of one size but for cancelling


@dataclass(frozen=True)
class Operation:
    """module: the file of the definitions where it stands; backward: None of what has none, as an optimizer's steps."""

    name: str
    module: str
    forward: Callable[..., Any]
    backward: Callable[..., Sequence[Any]] | None


def operation(name: str) -> Operation:
    """A definition as it stands in its module now, by its name in hubel.definitions."""
    home = sys.modules[getattr(hubel.definitions, name).__module__]
    forward = getattr(home, name)
    if name in OPTIMIZERS:
        forward = _walked(forward)
    module = home.__name__.rpartition(".")[2]
    return Operation(name, module, forward, getattr(home, f"{name}_backward", None))


def compared(operation: Operation, cases: Sequence[Case], seed: int) -> Iterator[Found]:
    """Every case in both precisions. Its arrays are a function of the seed, the operation and the case."""
    for case in cases:
        for precision in ("float64", "float32"):
            rng = np.random.default_rng([seed, zlib.crc32(f"{operation.name}: {case.what}".encode())])
            try:
                yield _compared(operation, case, precision, rng)
            except Exception as e:  # whatever it is: the other operations are still to be looked at
                raised = Difference(math.inf, f"{type(e).__name__} is raised: {e}")
                yield Found(case.what, precision, raised, raised if operation.backward else None)


def _compared(operation: Operation, case: Case, precision: str, rng: np.random.Generator) -> Found:
    arrays = [
        None if draw is None else _mapped(lambda a: _as(a, precision), draw(rng)) for draw in case.draws
    ]
    leaves = [_mapped(_leaf, array) for array in arrays]
    watched = _Watched(_flat(arrays))
    got, wanted = operation.forward(*arrays, **case.settings), case.fast(*leaves)
    names = ["the value"] if isinstance(wanted, Tensor) else [f"value {i}" for i in range(len(wanted))]
    forward = differences(names, _flat(got), [t.detach().numpy() for t in _flat(wanted)], SHARE)
    forward.append(watched.difference("an input is written to"))
    if operation.backward is None:
        return Found(case.what, precision, largest(forward), None)
    dy = _mapped(lambda t: _as(rng.standard_normal(t.shape), precision), wanted)
    torch.autograd.backward(_flat(wanted), [torch.tensor(d) for d in _flat(dy)])
    watched = _Watched(_flat([dy, arrays]))
    backward = _gradients(operation, case, leaves, operation.backward(dy, *arrays, **case.settings))
    backward.append(watched.difference("an input of the backward is written to"))
    return Found(case.what, precision, largest(forward), largest(backward))


class _Watched:
    """Arrays that are to stay as they are."""

    def __init__(self, arrays: Sequence[Array]) -> None:
        self.arrays, self.before = arrays, [array.copy() for array in arrays]

    def difference(self, told: str) -> Difference:
        same = all(np.array_equal(now, was) for now, was in zip(self.arrays, self.before, strict=True))
        return Difference() if same else Difference(math.inf, told)


def _gradients(operation: Operation, case: Case, leaves: list[Any], given: Sequence[Any]) -> list[Difference]:
    """What backward gave, against what stands in the leaves. Behind the arrays it may give more: of a bias left out."""
    names, got, wanted = [], [], []
    each = zip(_names(operation.forward, len(leaves)), leaves, given[: len(leaves)], strict=True)
    for place, (name, leaf, gradient) in enumerate(each):
        if leaf is None or place in case.blind:
            continue
        parts = _flat(gradient) or [None] * len(_flat(leaf))
        names += [f"d{name}" if isinstance(leaf, Tensor) else f"d{name}[{i}]" for i in range(len(parts))]
        got += parts
        wanted += [None if t.grad is None else t.grad.numpy() for t in _flat(leaf)]
    return differences(names, got, wanted, SHARE)


def _walked(step: Callable[..., Any]) -> Callable[..., tuple[Array, ...]]:
    """An optimizer as an operation: the parameters after some steps down f = sum a p^4 / 4."""

    def walk(begin: tuple[Array, ...], steep: tuple[Array, ...], **settings: Any) -> tuple[Array, ...]:
        parameters, state = {str(i): p for i, p in enumerate(begin)}, START
        for _ in range(STEPS):
            gradients = {n: a * p**3 for (n, p), a in zip(parameters.items(), steep, strict=True)}
            parameters, state = step(parameters, gradients, state, **settings)
        return tuple(parameters.values())

    return walk


def _names(forward: Callable[..., Any], arrays: int) -> list[str]:
    """The definition's own names of its arrays: x, w, b; of concatenate parts0, parts1, ..."""
    given = list(inspect.signature(forward).parameters.values())
    if given[0].kind is inspect.Parameter.VAR_POSITIONAL:
        return [f"{given[0].name}{i}" for i in range(arrays)]
    return [p.name for p in given[:arrays]]


def _as(array: Any, precision: str) -> Array:
    """Floats in that precision; whole numbers and masks as they are."""
    array = np.asarray(array)
    return array.astype(precision) if np.issubdtype(array.dtype, np.floating) else array


def _leaf(array: Array) -> Tensor:
    return torch.tensor(array, requires_grad=np.issubdtype(array.dtype, np.floating))


def _mapped(f: Callable[[Any], Any], value: Any) -> Any:
    """f of a value, or of each of several; None stays."""
    if value is None:
        return None
    return tuple(f(v) for v in value) if isinstance(value, tuple) else f(value)


def _flat(value: Any) -> list[Any]:
    """One value, several, or nested ones as a list; without what is None."""
    if value is None:
        return []
    if isinstance(value, tuple | list):
        return [leaf for v in value for leaf in _flat(v)]
    return [value if isinstance(value, Tensor) else np.asarray(value)]

"""Several runs side by side: what each reached, whether two truly differ, and what was set differently.

Two runs measured on the same items are paired: what counts are the items that only one of them gets right.
McNemar's exact test (Quinn McNemar 1947, doi:10.1007/BF02295996; the exact binomial form).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hubel import metrics
from hubel.errors import InputError
from hubel.evaluation.evaluate import read_predictions
from hubel.evaluation.predictions import CSV, Predictions, Values
from hubel.run import Run, load


@dataclass(frozen=True)
class Side:
    """One run of a comparison. NaN and 0 where it was not measured.

    letter: A, B, ...: what the tables call it; epochs: done; n: test items; loss: on them
    low, high: 95 % interval of the accuracy; seconds: of learning; rate: items per second of it
    settings: flat, as text
    """

    letter: str
    path: Path
    data: str
    network: str
    parameters: int
    epochs: int
    accuracy: float
    low: float
    high: float
    loss: float
    n: int
    seconds: float
    rate: float
    history: list[dict[str, Any]] = field(repr=False)
    settings: Mapping[str, str] = field(repr=False)
    answers: Predictions | Values | None = field(repr=False)


@dataclass(frozen=True)
class Pair:
    """Items that both get right, only one, or neither; p: how often chance alone splits so unevenly."""

    a: str
    b: str
    both: int
    only_a: int
    only_b: int
    neither: int
    p: float


@dataclass(frozen=True)
class Comparison:
    """best: the letter of the best run, "" where the runs were not measured alike; warnings: sentences.

    pairs: each run with the best one measured on the same items
    differences: setting -> its value in each run
    """

    sides: tuple[Side, ...]
    best: str
    pairs: tuple[Pair, ...]
    differences: Mapping[str, tuple[str, ...]]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        numbers = (
            "data",
            "network",
            "parameters",
            "epochs",
            "accuracy",
            "low",
            "high",
            "loss",
            "n",
            "seconds",
            "rate",
        )
        return {
            "runs": [
                {"letter": s.letter, "run": str(s.path)}
                | {name: getattr(s, name) for name in numbers}
                | {"history": s.history}
                for s in self.sides
            ],
            "best": self.best or None,
            "pairs": [vars(pair) for pair in self.pairs],
            "differences": {k: list(v) for k, v in self.differences.items()},
            "warnings": list(self.warnings),
        }


def compare(runs: Sequence[str | Path | Run]) -> Comparison:
    """Raises InputError or ArtifactError, which name the run, when one of them is missing or damaged."""
    if len(runs) < 2:
        raise InputError(f"a comparison takes two runs or more, got {len(runs)}")
    loaded = [run if isinstance(run, Run) else load(run) for run in runs]
    places = [run.path.resolve() for run in loaded]
    for place, run in zip(places, loaded, strict=True):
        if places.count(place) > 1:
            raise InputError(f"the run {run.path} is named twice")
    sides = tuple(side(letter(i), run) for i, run in enumerate(loaded))
    groups = alike(sides)
    best = leader(groups[0]) if len(groups) == 1 else ""
    pairs = [pair for group in groups for pair in paired(group)]
    return Comparison(sides, best, tuple(pairs), differences(sides), tuple(warnings(sides, groups)))


def letter(number: int) -> str:
    """0 -> A, 25 -> Z, 26 -> A2: a short name for tables and curves."""
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[number % 26] + (str(number // 26 + 1) if number >= 26 else "")


def side(name: str, run: Run) -> Side:
    """A run's numbers; those of the test part from what `evaluate` wrote, if it did."""
    answers = read_predictions(run) if (run.path / CSV).is_file() else None
    accuracy = low = high = loss = math.nan
    n = 0
    if isinstance(answers, Predictions) and answers.known.any():
        n, right = int(answers.known.sum()), int(answers.right.sum())
        within = metrics.wilson(right, n)
        accuracy, low, high = right / n, within.low, within.high
        loss = float(answers.loss[answers.known].astype(np.float64).mean())
    elif isinstance(answers, Values) and len(answers):
        n, loss = len(answers), float(answers.loss.astype(np.float64).mean())
    timing = run.timing
    seconds = sum(row["seconds"] for row in timing)
    seen = sum(row["seconds"] * row["images_per_second"] for row in timing)
    return Side(
        name,
        run.path,
        str(run.data.get("name", "unknown")),
        run.network.name,
        run.parameters,
        max((row.get("epoch", 0) for row in run.history), default=0),
        accuracy,
        low,
        high,
        loss,
        n,
        seconds if timing else math.nan,
        seen / seconds if seconds > 0 else math.nan,
        run.history,
        flat(run),
        answers,
    )


def flat(run: Run) -> dict[str, str]:
    """Every setting under a dotted name, as text."""
    stored = {k: v for k, v in run.settings.items() if k in ("task", "data", "network", "recipe", "versions")}
    found: dict[str, str] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for name, inner in value.items():
                walk(f"{prefix}.{name}" if prefix else name, inner)
        elif isinstance(value, list):
            found[prefix] = ", ".join(map(str, value)) or "none"
        else:
            found[prefix] = f"{value:g}" if isinstance(value, float) else str(value)

    walk("", stored)
    return {name.removeprefix("recipe."): value for name, value in found.items()}


def differences(sides: Sequence[Side]) -> dict[str, tuple[str, ...]]:
    """The settings in which not all runs agree; a dash where a run does not have one."""
    names = list(dict.fromkeys(name for s in sides for name in s.settings))
    rows = {name: tuple(s.settings.get(name, "–") for s in sides) for name in names}
    return {name: row for name, row in rows.items() if len(set(row)) > 1}


def measured_on(s: Side) -> tuple[Any, ...]:
    """What two runs must share to be paired: the data's name, and every item with its true answer."""
    if isinstance(s.answers, Predictions):
        named = (*s.answers.classes, "")
        return s.data, tuple(
            sorted(
                (item, named[k]) for item, k in zip(s.answers.items, s.answers.labels.tolist(), strict=True)
            )
        )
    assert s.answers is not None
    return s.data, tuple(sorted(zip(s.answers.items, s.answers.targets.tolist(), strict=True)))


def alike(sides: Sequence[Side]) -> list[list[Side]]:
    """The measured runs in groups of those with the same test items, the largest group first."""
    groups: dict[tuple[Any, ...], list[Side]] = {}
    for s in sides:
        if s.n:
            groups.setdefault(measured_on(s), []).append(s)
    return sorted(groups.values(), key=lambda group: -len(group)) or [[]]


def leader(group: Sequence[Side]) -> str:
    """The letter of the highest accuracy, then of the lowest loss; regressions have only the latter."""
    if len(group) < 2:
        return ""
    return min(group, key=lambda s: (-s.accuracy if s.accuracy == s.accuracy else 0.0, s.loss)).letter


def paired(group: Sequence[Side]) -> list[Pair]:
    """Every classifier of a group with the best of it."""
    best = next((s for s in group if s.letter == leader(group)), None)
    if best is None or not isinstance(best.answers, Predictions):
        return []
    return [pair(best, s) for s in group if s is not best]


def pair(a: Side, b: Side) -> Pair:
    """Item by item; the items need not stand in the same order."""
    assert isinstance(a.answers, Predictions)
    assert isinstance(b.answers, Predictions)
    theirs = dict(zip(b.answers.items, b.answers.right.tolist(), strict=True))
    known = a.answers.known
    right_a = a.answers.right[known]
    right_b = np.array([theirs[item] for item, k in zip(a.answers.items, known, strict=True) if k])
    only_a, only_b = int((right_a & ~right_b).sum()), int((~right_a & right_b).sum())
    both, neither = int((right_a & right_b).sum()), int((~right_a & ~right_b).sum())
    return Pair(a.letter, b.letter, both, only_a, only_b, neither, mcnemar(only_a, only_b))


def mcnemar(only_a: int, only_b: int) -> float:
    """Two-sided exact p: were both equally good, each item that only one gets right would be a coin's toss.

    p = min(1, 2 sum_{i <= min} C(n, i) / 2^n), n = only_a + only_b, in whole numbers until the last division.
    """
    n, fewer = only_a + only_b, min(only_a, only_b)
    ways = tail = 1
    for i in range(fewer):
        ways = ways * (n - i) // (i + 1)
        tail += ways
    return min(1.0, 2 * tail / 2**n)


def warnings(sides: Sequence[Side], groups: Sequence[Sequence[Side]]) -> list[str]:
    said = []
    if len(groups) > 1:
        parts = "; ".join(f"{', '.join(s.letter for s in g)} on {g[0].n:,} of {g[0].data}" for g in groups)
        said.append(
            f"The runs were measured on different test items ({parts}): that alone may tell them apart. "
            "The split follows the seed where the data give none"
        )
    return [*said, *(f"{s.letter} has no test result yet: hubel evaluate {s.path}" for s in sides if not s.n)]

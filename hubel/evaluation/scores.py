"""The records that evaluate() hands out: what was measured, on what, and where it is written."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hubel import metrics
from hubel.evaluation.predictions import BEST, Predictions, Values

CONFUSIONS = 20  # pairs named in to_dict()
REPORT = "report.html"


@dataclass(frozen=True)
class Evaluation:
    """What every task has.

    data: its name   part: train, val, test or all   folder: where it is written   n: items that were measured
    accuracy: the share of right answers, NaN in a regression   loss: mean cross-entropy or squared error
    seen: the network has learnt from these very items
    """

    data: str
    part: str
    folder: Path
    n: int
    loss: float
    accuracy: float
    seen: bool = field(default=False, kw_only=True)

    @property
    def report(self) -> Path:
        """The page about it."""
        return self.folder / REPORT

    def scores(self) -> dict[str, float]:
        """The numbers of the headline, by name; NaN where there was nothing to measure."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; a number that does not exist is None."""
        numbers = {name: value if math.isfinite(value) else None for name, value in self.scores().items()}
        places = {"folder": str(self.folder), "report": str(self.report)}
        head = {"data": self.data, "part": self.part, "seen": self.seen, "items": self.n}
        return {**head, **numbers, **self.details(), **places}

    def details(self) -> dict[str, Any]:
        """What to_dict() says beyond the headline."""
        return {}


@dataclass(frozen=True)
class Classification(Evaluation):
    """Of n items with a known class. top: places that top_share looks at, 5 or half of fewer classes."""

    predictions: Predictions
    interval: metrics.Interval
    top: int
    top_share: float
    calibration: metrics.Reliability
    per_class: metrics.PerClass
    confusion: metrics.Confusion

    @staticmethod
    def of(predictions: Predictions, data: str, part: str, folder: Path) -> Classification:
        """Measure the predictions; items of unknown class are left out."""
        known = predictions.known
        K = len(predictions.classes)
        labels, answers = predictions.labels[known], predictions.answers[known]
        right, losses = predictions.right[known], predictions.loss[known].astype(np.float64)
        top = max(1, min(BEST, K // 2))  # top-5 of 5 classes would always be 100 %
        mean_loss = float(losses.mean()) if len(losses) else math.nan
        return Classification(
            data, part, folder, len(labels), mean_loss, metrics.accuracy(answers, labels),
            predictions, metrics.wilson(int(right.sum()), len(labels)),
            top, metrics.top_k(predictions.top[known], labels, top),
            metrics.reliability(predictions.p[known], right),
            metrics.per_class(labels, answers, K), metrics.confusion(labels, answers, K),
        )  # fmt: skip

    @property
    def mistakes(self) -> int:
        return self.n - int(self.predictions.right.sum())

    def confusions(self, most: int) -> list[tuple[int, int, int]]:
        """(label, answer, count) of the most frequent mistakes, most first."""
        c = self.confusion
        wrong = np.flatnonzero(c.label != c.answer)
        order = wrong[np.lexsort((c.answer[wrong], c.label[wrong], -c.count[wrong]))][:most]
        return [(int(c.label[i]), int(c.answer[i]), int(c.count[i])) for i in order]

    def scores(self) -> dict[str, float]:
        return {
            "accuracy": self.accuracy,
            "accuracy_low": self.interval.low,
            "accuracy_high": self.interval.high,
            f"top{self.top}": self.top_share,
            "loss": self.loss,
            "calibration_error": self.calibration.error,
        }

    def details(self) -> dict[str, Any]:
        names, t = self.predictions.classes, self.per_class
        columns = zip(names, t.precision, t.recall, t.f1, t.support, strict=True)
        return {
            "mistakes": self.mistakes,
            "unlabelled": len(self.predictions) - self.n,
            "classes": [
                {"name": name, "precision": float(p), "recall": float(r), "f1": float(f), "support": int(s)}
                for name, p, r, f, s in columns
            ],
            "confusions": [
                {"label": names[label], "answer": names[answer], "count": count}
                for label, answer, count in self.confusions(CONFUSIONS)
            ],
        }


@dataclass(frozen=True)
class Regression(Evaluation):
    """loss is the mean squared error, over items and columns."""

    predictions: Values
    mae: float
    r2: float

    @staticmethod
    def of(values: Values, data: str, part: str, folder: Path) -> Regression:
        y, t = values.answers, values.targets
        measured = metrics.mse(y, t), math.nan, values, metrics.mae(y, t), metrics.r2(y, t)
        return Regression(data, part, folder, len(values), *measured)

    def scores(self) -> dict[str, float]:
        return {"mse": self.loss, "mae": self.mae, "r2": self.r2}

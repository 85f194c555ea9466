"""The pictures of a run's test part, by their number: 0, 1, 2, … in the order of predictions.csv."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from hubel.data import Split
from hubel.errors import ArtifactError, HubelError
from hubel.evaluation.evaluate import logits_of, match_classes, read_predictions
from hubel.evaluation.predictions import Predictions
from hubel.run import Run
from hubel.serving.limits import Refused


class Samples:
    """The test part in hand. Raises Refused (404) where the data is not on this machine.

    work: lends the run's model, to one at a time, for what is computed once: answers and features of all samples
    """

    def __init__(self, run: Run, work: Callable[[], AbstractContextManager[Run]]) -> None:
        self.run, self.work = run, work
        self._predictions: Predictions | None = None
        self._features: np.ndarray | None = None
        try:
            self.dataset = run.dataset()
            self.split: Split = self.dataset.test
        except HubelError as e:
            raise Refused(
                404, "samples", f"the test part of {run.path.name} cannot be opened here: {e}"
            ) from e

    def __len__(self) -> int:
        return len(self.split)

    def check(self, number: int) -> int:
        """The number, where there is such a sample. Raises Refused (404)."""
        if not 0 <= number < len(self):
            last = f"they go from 0 to {len(self) - 1}" if len(self) else "there is none"
            raise Refused(404, "sample", f"there is no sample {number}; {last}")
        return number

    def input(self, number: int) -> np.ndarray:
        """(C, H, W) uint8, or (D,) float32: the sample as the network receives it."""
        return np.array(self.split.inputs[self.check(number)])

    def item(self, number: int) -> tuple[str, np.ndarray]:
        """The sample's name and its input."""
        return self.split.items[self.check(number)], self.input(number)

    @property
    def predictions(self) -> Predictions | None:
        """What the run answers for each, as `hubel evaluate` wrote it or newly asked; None for a regression."""
        if self._predictions is None and self.run.task != "regress":
            with self.work():
                self._predictions = self._predictions or self._answered()
        return self._predictions

    def _answered(self) -> Predictions:
        try:
            stored = read_predictions(self.run)
        except ArtifactError:
            stored = None
        if isinstance(stored, Predictions) and list(stored.items) == list(self.split.items):
            return stored
        labels = match_classes(self.split.targets, self.dataset.classes, self.run.classes)
        return Predictions.from_logits(
            self.split.items, labels, logits_of(self.run, self.split), self.run.classes
        )

    def facts(self, number: int) -> dict[str, Any]:
        """id, item, and where there are classes: label, answer, p, loss and whether it is right."""
        told: dict[str, Any] = {"id": self.check(number), "item": self.split.items[number]}
        found = self.predictions
        if found is None:
            return {**told, "target": np.atleast_1d(self.split.targets[number]).tolist()}
        label = int(found.labels[number])
        return {
            **told, "label": found.classes[label] if label >= 0 else None,
            "answer": found.classes[found.answers[number]], "p": float(found.p[number]),
            "loss": float(found.loss[number]), "right": bool(found.right[number]) if label >= 0 else None,
        }  # fmt: skip

    def chosen(
        self, *, mistakes: bool = False, label: str | None = None, answer: str | None = None
    ) -> np.ndarray:
        """Numbers of the samples that fit. Mistakes come worst first, others as they stand."""
        found = self.predictions
        if found is None:
            return np.arange(len(self))
        fits = np.ones(len(self), bool)
        for name, of in ((label, found.labels), (answer, found.answers)):
            if name is not None:
                if name not in found.classes:
                    raise Refused(
                        404, "class", f"no class named {name!r}; there are {', '.join(found.classes[:40])}"
                    )
                fits &= of == found.classes.index(name)
        if not mistakes:
            return np.flatnonzero(fits)
        wrong = np.flatnonzero(fits & found.known & ~found.right)
        return wrong[np.argsort(-found.loss[wrong], kind="stable")]

    def png(self, number: int) -> bytes:
        """The sample as a picture file. Raises Refused (406) for rows of numbers."""
        return png(self.input(number))

    def similar(self, number: int, most: int = 10) -> list[tuple[int, float]]:
        """The samples most alike, best first, with the cosine of their last features to this one's."""
        features = self._directions()
        cosines: np.ndarray = features @ features[self.check(number)]  # (N,)
        cosines[number] = -np.inf
        best = np.argsort(-cosines, kind="stable")[: min(most, len(self) - 1)]
        return [(int(i), float(cosines[i])) for i in best]

    def _directions(self) -> np.ndarray:
        """(N, F) float32: the features before the head, each of length 1; computed once."""
        if self._features is None:
            with self.work():
                if self._features is None:
                    found = self.run.features(self.split.inputs).reshape(len(self), -1)
                    lengths = np.linalg.norm(found, axis=1, keepdims=True)
                    self._features = found / np.where(lengths > 0, lengths, 1)
        return self._features


def png(pixels: np.ndarray) -> bytes:
    """(C, H, W) uint8 as a PNG file, C = 1 or 3. Raises Refused (406) for what is no picture."""
    from PIL import Image

    if pixels.ndim != 3:
        raise Refused(
            406, "accept", "this run takes rows of numbers; they have no picture: ask for application/json"
        )
    packed = io.BytesIO()
    Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(packed, "PNG")
    return packed.getvalue()

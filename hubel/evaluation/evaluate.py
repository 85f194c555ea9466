"""Measure a run on its test part, which training never opens, or on other data."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hubel.data import Dataset, Source, Split
from hubel.data.records import PARTS, listing
from hubel.errors import ArtifactError, DataError, InputError, nearest
from hubel.evaluation import boundary
from hubel.evaluation.predictions import Predictions, Values
from hubel.evaluation.report import page
from hubel.evaluation.scores import REPORT, Classification, Evaluation, Regression
from hubel.files import write_together
from hubel.progress import Progress
from hubel.run import Run, load

NUMBERS_AT_ONCE = 16_000_000  # logits in memory together: 64 MB
BOUNDARY = "boundary.png"


def evaluate(
    run: Run | str | Path,
    data: str | Path | Source | None = None,
    *,
    part: str = "test",
    progress: Progress | None = None,
) -> Evaluation:
    """Answer every item of one part, measure the answers, write predictions.csv and report.html, all or none.

    data: another place than the run's own; its classes are matched by name. Where it does not say what is test,
        all of it is: the network has seen none of it, and the part is called "all".
    part: where the data has nothing in it, val and then train stand in, and the result says so.
    The run's own test part is written into the run's folder, anything else into evaluations/NAME/ beneath it.
    """
    run = run if isinstance(run, Run) else load(run)
    place = opened(run, data, part, progress)
    dataset, part, split, own = place.dataset, place.part, place.split, place.own
    name = folder_name(dataset.source, own, part)
    folder = run.path if own and part == "test" else run.path / "evaluations" / name
    found: Evaluation
    if run.task == "regress":
        answers = np.concatenate([*logits_of(run, split, progress)])
        values = Values(tuple(split.items), _targets(run, split), answers)
        files = values.files()
        found = Regression.of(values, dataset.source.name, part, folder)
    else:
        labels = labelled(run, place)
        predictions = Predictions.from_logits(
            split.items, labels, logits_of(run, split, progress), run.classes
        )
        files = predictions.files()
        found = Classification.of(predictions, dataset.source.name, part, folder)
    drawn = boundary.draw(run, split) if boundary.applies(run) else None
    if drawn is not None:
        files[BOUNDARY] = drawn.png
    found = replace(found, seen=own and (part == "train" or dataset.source.shared))
    files[REPORT] = page(run, found, split, problems=dataset.problems, boundary=drawn)
    write_together(folder, files)
    return found


@dataclass(frozen=True)
class Opened:
    """What is measured. part: which it became, "all" where the data does not say what is test   own: the run's data"""

    dataset: Dataset
    part: str
    split: Split
    own: bool


def opened(
    run: Run, data: str | Path | Source | None = None, part: str = "test", progress: Progress | None = None
) -> Opened:  # fmt: skip
    """The items that evaluate() measures, by the same arguments."""
    if part not in PARTS:
        raise InputError(f"no part named {part!r}: it is one of {', '.join(PARTS)}")
    dataset = run.dataset(data, progress=progress)
    if not len(dataset.source):
        raise DataError(f"{dataset.source.name} has no item to evaluate on: name data that has")
    own = data is None or dataset.source.location == run.data.get("location")
    if not own and part == "test" and "test" not in dataset.source.parts:
        whole = replace(dataset.source, shared=True)  # every item in every part
        return Opened(dataset, "all", run.dataset(whole, progress=progress).test, own)
    return Opened(dataset, *_part(dataset, part), own)


def labelled(run: Run, place: Opened) -> np.ndarray:
    """The labels of its items, in the order of the run's classes. -> (N,) int64, -1 where unknown"""
    return match_classes(place.split.targets, place.dataset.classes, run.classes)


def match_classes(targets: np.ndarray, theirs: tuple[str, ...], ours: tuple[str, ...]) -> np.ndarray:
    """Labels of the data in the order of the run's classes; both are matched by name. (N,) -> (N,) int64"""
    index = {name: k for k, name in enumerate(ours)}
    present = np.unique(targets[targets >= 0])
    strangers = [theirs[k] for k in present if theirs[k] not in index]
    if strangers:
        near = nearest(strangers[0], ours)
        hint = f" Did you mean {near!r}?" if near else ""
        raise InputError(
            f"the data has the class {listing(strangers)}, which the run does not know.{hint} "
            f"The run's classes: {listing(ours, 20)}"
        )
    table = np.array([*(index.get(name, -1) for name in theirs), -1], dtype=np.int64)  # the last is for -1
    return table[np.where(targets >= 0, targets, len(theirs))]


def folder_name(source: Source, own: bool, part: str) -> str:
    """The data's name, made safe for a path; a hash tells apart two places of one name."""
    name = re.sub(r"[^\w.-]+", "-", source.name).strip(".-")[:60] or "data"
    if not own and source.location != source.name:
        name += "-" + hashlib.sha256(source.location.encode("utf-8", "surrogateescape")).hexdigest()[:6]
    return name if part in ("test", "all") else f"{name}-{part}"


def _part(dataset: Dataset, wanted: str) -> tuple[str, Split]:
    """The part that is wanted, or the next best that has items: (its name, its items)."""
    part = next((name for name in (wanted, "val") if len(getattr(dataset, name))), "train")
    return part, getattr(dataset, part)


def logits_of(run: Run, split: Split, progress: Progress | None = None) -> Iterator[np.ndarray]:
    """The split's logits in pieces of at most NUMBERS_AT_ONCE numbers. -> (n, K) float32 each"""
    at_once = max(1, NUMBERS_AT_ONCE // max(1, len(run.classes)))
    for start in range(0, len(split), at_once):
        inputs = split.inputs[start : start + at_once]
        yield run.logits(inputs, progress=_shifted(progress, start, len(split)))


def _shifted(progress: Progress | None, start: int, total: int) -> Progress | None:
    return (lambda done, _: progress(start + done, total)) if progress else None


def _targets(run: Run, split: Split) -> np.ndarray:
    targets = np.asarray(split.targets, dtype=np.float32).reshape(len(split), -1)
    if targets.shape[1] != run.card.outputs:
        raise InputError(
            f"the data has {targets.shape[1]} targets an item, the run gives {run.card.outputs}: name data with as many"
        )
    return targets


def read_predictions(run: Run, name: str | None = None) -> Predictions | Values:
    """What an earlier evaluate() wrote: of the run's own test part, or of evaluations/NAME."""
    folder = run.path / "evaluations" / name if name else run.path
    if not folder.is_dir():
        raise ArtifactError(f"{folder} is not there: `hubel evaluate` writes it")
    if run.task == "regress":
        return Values.load(folder, run.card.outputs)
    return Predictions.load(folder, run.classes)

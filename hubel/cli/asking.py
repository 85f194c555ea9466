"""What `explain` and `attack` are asked about: pictures that are named, or items of a run's test part; what is kept of
the answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubel.errors import HubelError, InputError

if TYPE_CHECKING:
    import numpy as np

    from hubel.data import Split
    from hubel.data.records import Problem
    from hubel.explanation.finding import Finding, Items
    from hubel.run import Run

SPREAD = 6  # items of the test part that are asked about where none is named
LOOKED_THROUGH = 2000  # items of the test part among which these are looked for


def short_name(run: str) -> str:
    """The run's own name: of its folder, or of the network."""
    path = Path(run)
    return (path.parent if path.name == "model.safetensors" else path).resolve().name or "run"


class Kept:
    """What is printed of the findings, when their pictures are gone. arrays: whether their numbers are, too"""

    def __init__(self, *, arrays: bool) -> None:
        self.arrays = arrays
        self.dicts: list[dict[str, Any]] = []

    def passing(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        for finding in findings:
            self.dicts.append(finding.to_dict(arrays=self.arrays))
            yield finding


@dataclass(frozen=True)
class Chosen:
    """What is asked about. said: in a sentence, for the page   problems: what could not be read"""

    items: Items
    said: str
    problems: list[Problem] = field(default_factory=list)


def asked_about(run: Run, needs: str, pictures: list[str], numbers: str | None, seed: int) -> Chosen:
    """The pictures that are named, or those numbers of the test part, or a spread of it; none where none is needed."""
    from hubel.explanation.inside import must_bring_data

    if pictures and numbers is not None:
        raise InputError("name pictures, or numbers of the test part by --items: one of the two")
    if pictures:
        return _named(run, pictures)
    if numbers is None and needs != "picture":
        return Chosen(_none(run), "")
    must_bring_data(run, "pictures, or folders of them")
    test = run.dataset().test
    if not len(test):
        raise InputError(f"{run.data['location']} has no test part: name pictures, or folders of them")
    places = _places(numbers, len(test)) if numbers is not None else _spread(run, test, seed)
    said = f"{len(places)} of the {len(test):,} items of the test part of {run.data.get('name', 'its data')}."
    return Chosen(_of(run, test, places), said)


def _none(run: Run) -> Items:
    import numpy as np

    from hubel.explanation.finding import Items

    return Items(np.empty((0, *run.preprocess.shape), np.float32), (), ())


def _named(run: Run, pictures: list[str]) -> Chosen:
    """What can be read of them. A picture in a folder that is called like a class is taken to be of that class."""
    import numpy as np

    from hubel.cli import left_out
    from hubel.cli.predict import items_for
    from hubel.explanation.finding import Items

    inputs, paths, problems = [], [], []
    for path, item in items_for(run, pictures):
        try:
            inputs.append(run.prepared(item))
            paths.append(path)
        except HubelError as e:
            problems.append(left_out.problem(path, e))
    if not inputs:
        raise InputError(f"nothing could be read: {problems[0].item}: {problems[0].reason}")
    plain = [Path(path).name for path in paths]
    names = plain if len(set(plain)) == len(plain) else paths
    folders = [Path(path).parent.name for path in paths]
    known = set(run.classes)
    labels = [folder if folder in known else None for folder in folders]
    items = Items(np.stack(inputs), tuple(names), tuple(labels))
    return Chosen(items, f"{len(items):,} pictures." if len(items) > 1 else "", problems)


def _of(run: Run, test: Split, places: Sequence[int]) -> Items:
    import numpy as np

    from hubel.explanation.finding import Items

    labels = tuple(run.classes[test.targets[i]] if run.classes else None for i in places)
    return Items(np.asarray(test.inputs[list(places)]), tuple(test.items[i] for i in places), labels)


def _places(numbers: str, count: int) -> list[int]:
    """ "0,5,17" -> [0, 5, 17]."""
    said = numbers.replace(",", " ").split()
    if not said or not all(n.isascii() and n.isdigit() for n in said):
        raise InputError(f"--items takes numbers of items with commas, as 0,5,17, got {numbers!r}")
    places = [int(n) for n in said]
    if max(places) >= count:
        raise InputError(f"--items {max(places)}: the test part has {count:,} items, 0 to {count - 1}")
    return places


def _spread(run: Run, test: Split, seed: int) -> list[int]:
    """Right answers, then up to half as many mistakes as there is room for, drawn; of different classes where possible."""
    import numpy as np

    drawn = np.random.default_rng(seed).permutation(len(test))[:LOOKED_THROUGH]
    if run.task != "classify":
        return sorted(drawn[:SPREAD].tolist())
    right = run.logits(test.inputs[drawn]).argmax(1) == test.targets[drawn]
    wrong = _of_different_classes(drawn[~right], test.targets, SPREAD // 2)
    return _of_different_classes(drawn[right], test.targets, SPREAD - len(wrong)) + wrong


def _of_different_classes(drawn: np.ndarray, targets: np.ndarray, count: int) -> list[int]:
    """The first of each class, then the others, up to `count`."""
    import numpy as np

    _, first = np.unique(targets[drawn], return_index=True)
    others = np.setdiff1d(np.arange(len(drawn)), first)
    return drawn[np.concatenate([np.sort(first), others])[:count]].tolist()

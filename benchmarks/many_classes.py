"""10,000 classes, 100,000 items: how long `hubel evaluate` takes, how much memory, and how large its report is.

    python benchmarks/many_classes.py [--classes 10000] [--items 100000] [--keep FOLDER]

Pictures are drawn: each class is a faint pattern of 16 x 16 pixels, five of a genus are much alike, and noise lies over
all. The network is one linear layer with the weights that are best for that noise, so that most answers are right and
most mistakes stay within a genus. Measured are whole processes, from the start of Python to the end: `hubel evaluate
RUN`; and what it does after the network has answered, for those answers and for answers that are all wrong at random,
with which a report is as large as it gets.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import document
import numpy as np

from hubel.evaluation.measurements import GB, wait

SIDE, GENUS = 16, 5  # pixels, classes that are much alike
NOISE = 35.0  # grey levels, in each pixel
SECONDS, MEMORY, REPORT = 60.0, 2.0 * GB, 20e6  # at most: of each process, and bytes of the report
DATA, RUN = "many.npz", "run"


class Row(NamedTuple):
    """seconds: by the clock   processor: seconds that it computed   memory: bytes at the peak   report: bytes"""

    what: str
    seconds: float
    processor: float
    memory: float
    report: int

    @property
    def met(self) -> bool:
        return self.seconds <= SECONDS and self.memory <= MEMORY and self.report <= REPORT


def main() -> None:
    args = _arguments()
    if args.step:
        STEPS[args.step](args.folder, args.classes, args.items)
        return
    if args.keep:
        rows = measured(args.keep, args.classes, args.items)
    else:
        with tempfile.TemporaryDirectory() as folder:
            rows = measured(Path(folder), args.classes, args.items)
    document.tell(__file__, told(rows, args.classes, args.items), args.out)
    if not all(row.met for row in rows):
        sys.exit(1)


def _arguments() -> argparse.Namespace:
    made = document.parser(__doc__)
    made.add_argument("--classes", type=int, default=10_000)
    made.add_argument("--items", type=int, default=100_000)
    made.add_argument("--keep", type=Path, help="a folder in which data and report stay, to be looked at")
    made.add_argument("--step", choices=[*STEPS], help=argparse.SUPPRESS)  # of a child
    made.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return made.parse_args()


def measured(folder: Path, classes: int, items: int) -> list[Row]:
    """Each step in a process of its own; this one stays small, as a child's peak begins with its parent's."""
    made = (folder / "made").absolute()
    made.mkdir(parents=True, exist_ok=True)
    mine = [sys.executable, __file__, "--folder", made, "--classes", classes, "--items", items, "--step"]
    _timed([*mine, "prepare"])
    run, report = str(made / RUN), made / RUN / "report.html"
    rows = []
    for what, command in (
        ("`hubel evaluate RUN`", [sys.executable, "-m", "hubel", "evaluate", run]),
        ("predictions.csv to report.html", [*mine, "report"]),
        ("the same where every answer is wrong", [*mine, "wrong"]),
    ):
        rows.append(Row(what, *_timed(command), report.stat().st_size))
    return rows


def _timed(command: list[object]) -> tuple[float, float, float]:
    """(seconds, of these computing, bytes at the peak) of a process that must end well."""
    began, before = time.perf_counter(), _computed()
    child = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL)
    memory = wait(child)
    if child.returncode:
        sys.exit(f"{' '.join(map(str, command))} ended with exit code {child.returncode}")
    return time.perf_counter() - began, _computed() - before, memory


def _computed() -> float:
    """Seconds that all children together have computed."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def prepare(folder: Path, classes: int, items: int) -> None:
    """The data and the run, as they would lie on a disk."""
    from torch import from_numpy

    from hubel.data import Preprocess
    from hubel.run import Card, Network, save_model, write_settings

    drawn = np.random.default_rng(0)
    D = SIDE * SIDE
    genera = np.repeat(drawn.normal(0, 12, (-(-classes // GENUS), D)), GENUS, 0)[:classes]
    patterns = 128 + genera + drawn.normal(0, 6, (classes, D))  # (K, D)
    labels = drawn.integers(0, classes, items)
    pixels = np.empty((items, SIDE, SIDE), np.uint8)
    for start in range(0, items, 10_000):
        some = patterns[labels[start : start + 10_000]]
        seen = some + drawn.normal(0, NOISE, some.shape)
        pixels[start : start + 10_000] = seen.round().clip(0, 255).reshape(-1, SIDE, SIDE)
    names = np.array([f"genus {k // GENUS:04d} species {k % GENUS + 1}" for k in range(classes)])
    few = np.arange(classes)
    shown = patterns.round().clip(0, 255).astype(np.uint8).reshape(-1, SIDE, SIDE)
    np.savez(folder / DATA, x_train=shown, y_train=few, x_test=pixels, y_test=labels, classes=names)

    # Of equal noise s in each pixel, log p(class | x) = (x . m - m . m / 2) / s^2 + what all classes share.
    card = Card(
        "classify", tuple(names.tolist()), classes, Network("mlp", {"hidden": ()}),
        Preprocess.to_fit("picture", (1, SIDE, SIDE), (1, SIDE, SIDE)),
    )  # fmt: skip
    network = card.build()
    state = network.state_dict()
    weight, bias = (next(n for n in state if n.endswith(end)) for end in ("weight", "bias"))
    m = patterns / 255
    state[weight] = from_numpy(m * (255 / NOISE) ** 2).float()
    state[bias] = from_numpy(-(m * m).sum(1) / 2 * (255 / NOISE) ** 2).float()
    network.load_state_dict(state)
    (folder / RUN).mkdir(exist_ok=True)
    save_model(folder / RUN, card, network)
    source = {"location": str(folder / DATA), "name": "many", "train": classes, "test": items}
    write_settings(folder / RUN, {"format": 1, "task": "classify", "data": source, "recipe": {"seed": 0}})


def report(folder: Path, *_: int) -> None:
    """What an evaluation does with its answers."""
    _shown(folder, lambda answers, _: answers)


def wrong(folder: Path, classes: int, items: int) -> None:
    """The same where every answer is wrong, each in its own way."""
    moved = np.random.default_rng(1).integers(1, classes, items)
    _shown(folder, lambda _, labels: (labels + moved) % classes)


def _shown(folder: Path, changed: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
    from hubel.evaluation.evaluate import read_predictions
    from hubel.evaluation.predictions import Predictions
    from hubel.evaluation.report import page
    from hubel.evaluation.scores import Classification
    from hubel.run import load

    run = load(folder / RUN)
    found = read_predictions(run)
    assert isinstance(found, Predictions)
    found.top[:, 0] = changed(found.top[:, 0], found.labels)
    measured = Classification.of(found, "many", "test", run.path)
    measured.report.write_bytes(page(run, measured, run.dataset().test))


STEPS = {"prepare": prepare, "report": report, "wrong": wrong}


def told(rows: list[Row], classes: int, items: int) -> list[str]:
    lines = [
        "## Many classes",
        "",
        f"| {classes:,} classes, {items:,} items | time | computing | peak memory | report.html | met |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for row in rows:
        took = f"{row.seconds:.1f} s | {row.processor:.1f} s"
        figures = f"{took} | {row.memory / GB:.2f} GB | {row.report / 1e6:.1f} MB"
        lines.append(f"| {row.what} | {figures} | {'yes' if row.met else 'no'} |")
    asked = f"Asked: at most {SECONDS:.0f} s, {MEMORY / GB:.0f} GB and {REPORT / 1e6:.0f} MB."
    return [*lines, "", f"{asked} {document.footing(__file__, ('torch', 'numpy'))}"]


if __name__ == "__main__":
    main()

"""How long a command takes that has little to do: whole processes, each from the start of Python to its end.

    python benchmarks/start.py [--rounds 20]

Every round starts each of them once, one after the other, so that a noisy machine slows all of them down alike; the
first round only warms the disk's cache and is left out. A network of the built-in digits, untrained, answers a picture:
from a run folder, and as the ONNX file that was exported from it.
"""

from __future__ import annotations

import contextlib
import io
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import document
import numpy as np
from PIL import Image

import hubel
from hubel.export import export

ASKED = {"hubel --help": 0.3, "hubel predict model.onnx picture.png": 0.7}  # seconds, at most


def main() -> None:
    parser = document.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        place = Path(folder)
        run = hubel.train("digits", epochs=0, out=place / "run")
        export(run, place / "model.onnx")
        pixels = np.asarray(run.dataset().test.inputs[0][0])
        Image.fromarray(pixels).save(place / "picture.png")
        took = measured(commands(place), args.rounds)
    document.tell(__file__, told(took), args.out)


def commands(place: Path) -> dict[str, list[str]]:
    """What it is called -> what is started."""
    hubel_ = [sys.executable, "-m", "hubel"]
    picture = str(place / "picture.png")
    return {
        "python -c pass": [sys.executable, "-c", "pass"],
        "hubel --help": [*hubel_, "--help"],
        "hubel train --help": [*hubel_, "train", "--help"],
        "hubel zoo": [*hubel_, "zoo"],
        "hubel predict model.onnx picture.png": [*hubel_, "predict", str(place / "model.onnx"), picture],
        "hubel predict run picture.png": [*hubel_, "predict", str(place / "run"), picture],
    }


def measured(entered: Mapping[str, list[str]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each command, round by round."""
    took: dict[str, list[float]] = {name: [] for name in entered}
    for number in range(rounds + 1):
        for name, command in entered.items():
            began = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            if number:
                took[name].append(time.perf_counter() - began)
    return took


def told(took: Mapping[str, Sequence[float]]) -> list[str]:
    lines = [
        "## The start of a command",
        "",
        "| whole process | median | least | asked | met |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    for name, seconds in took.items():
        most, middle = ASKED.get(name), statistics.median(seconds)
        asked, met = ("", "") if most is None else (f"≤ {most} s", "yes" if middle <= most else "no")
        lines.append(f"| `{name}` | {middle:.2f} s | {min(seconds):.2f} s | {asked} | {met} |")
    rounds = len(next(iter(took.values())))
    footing = document.footing(__file__, ("torch", "onnxruntime", "typer"))
    return [*lines, "", f"Of {rounds} rounds, each with all of them in turn, warm disk. {footing}"]


if __name__ == "__main__":
    main()

"""What it costs to be able to go on: the MNIST recipe with a state every second, beside the same without any.

    python benchmarks/checkpoint_cost.py [--pairs 5] [--out docs/measured.md]

The two take turns in one process, so that the ratio of a pair is that of minutes that lie side by side. Beside it the
time inside the writing itself, as a share of the training.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import document

from hubel.training import prepare
from hubel.training.saving import Saver


def trained(folder: Path, every: str, epochs: int) -> tuple[float, float, int]:
    """Seconds of learning, seconds of them inside the writing of states, and how many were written."""
    inside, count, write = 0.0, 0, Saver.write

    def timed(self: Any) -> None:
        nonlocal inside, count
        before = time.perf_counter()
        write(self)
        inside, count = inside + time.perf_counter() - before, count + 1

    Saver.write = timed  # type: ignore[method-assign]
    try:
        job = prepare("mnist", out=folder, checkpoint_every=every, epochs=epochs)
        job.begin()
        before = time.perf_counter()
        for _ in job.epochs():
            pass
        return time.perf_counter() - before, inside, count
    finally:
        Saver.write = write  # type: ignore[method-assign]


def main() -> None:
    parser = document.parser(__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=2)
    args = parser.parse_args()
    ratios, shares, states = [], [], 0
    with tempfile.TemporaryDirectory(prefix="hubel-cost-") as place:
        trained(Path(place) / "warm", "1h", 1)
        for pair in range(args.pairs):
            times = {}
            for every in ("1s", "1h") if pair % 2 else ("1h", "1s"):
                times[every] = trained(Path(place) / f"{pair}-{every}", every, args.epochs)
            ratios.append(times["1s"][0] / times["1h"][0])
            shares.append(times["1s"][1] / times["1s"][0])
            states += times["1s"][2]
    share, spread = statistics.mean(shares), statistics.stdev(shares) if len(shares) > 1 else 0.0
    lines = [
        "## What a state every second costs",
        "",
        f"`hubel train mnist` with `--checkpoint-every 1s`: writing {states} states took **{share:.1%}**",
        f"(± {spread:.1%}) of the time of learning (n = {args.pairs}); beside trainings without any, in turns: "
        f"{statistics.median(ratios) - 1:+.1%} in the median, {min(ratios) - 1:+.1%} to {max(ratios) - 1:+.1%}.",
        "",
        document.footing(__file__, ("torch", "numpy", "safetensors")),
    ]  # fmt: skip
    document.tell(__file__, lines, args.out)


if __name__ == "__main__":
    main()

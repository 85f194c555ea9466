"""Training from shards beside training from memory: images/s, in turns in one run.

    python benchmarks/stream_pace.py [--rounds 3] [--threads 2] [--out docs/measured.md]

The default network on MNIST for whole epochs, and ResNet-18 on CIFAR-10 (as JPEGs) for a number of steps. Each round
lets the one and the other learn, in turn; of each the best round counts, as everything that disturbs only slows.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import document
import torch

from hubel.data import open_source
from hubel.data.packing import pack
from hubel.training import prepare

# name, data, settings, steps of a round (None: an epoch), the ratio that is asked for
CASES: tuple[tuple[str, str, dict[str, Any], int | None, float], ...] = (
    ("the default network on MNIST", "mnist", {}, None, 0.6),
    (
        "ResNet-18 (pre-activation), 32×32, on CIFAR-10",
        "cifar10",
        {"network": "preact-resnet", "batch": 128, "epochs": 1},
        20,
        0.97,
    ),
)


class Enough(BaseException):
    """The round is over."""


def begun(data: str | Path, out: Path, settings: dict[str, Any]) -> Any:
    job = prepare(data, out=out, checkpoint_every="1h", **settings)
    job.begin()
    return job


def pace(job: Any, steps: int | None) -> float:
    """Images/s of learning, without validation, from where it stands."""
    wanted = steps or job.trainer.per_epoch
    job.trainer.epoch, job.trainer.batch, taken = 1, 0, 0
    began = time.perf_counter()
    batches: Iterator[Any] = job.trainer.train.ahead(
        job.trainer.train.order(job.recipe, 1), lambda batch: batch
    )
    items = 0
    with job.trainer.engine.at_work():
        for taken, indices in enumerate(batches, 1):
            job.trainer.learn(indices, 1, taken - 1)
            items += len(indices)
            if taken == wanted:
                break
    batches.close()  # type: ignore[attr-defined]
    return items / (time.perf_counter() - began)


def main() -> None:
    parser = document.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, help="of a round, for both networks")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=["mnist", "cifar10"])
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    lines = ["| network | from memory | from shards | ratio | asked for |", "|---|---|---|---|---|"]
    short = False
    with tempfile.TemporaryDirectory(prefix="hubel-pace-") as place:
        for name, data, settings, steps, wanted in CASES:
            if args.only not in (None, data):
                continue
            shards = pack(open_source(data), Path(place) / data).folder
            jobs = [
                begun(where, Path(place) / f"{data}-{n}", settings) for n, where in enumerate((data, shards))
            ]
            best = [0.0, 0.0]
            for _ in range(args.rounds):
                best = [max(b, pace(job, args.steps or steps)) for b, job in zip(best, jobs, strict=True)]
            ratio = best[1] / best[0]
            short |= ratio < wanted
            lines.append(f"| {name} | {best[0]:,.0f}/s | {best[1]:,.0f}/s | {ratio:.2f} | {wanted} |")
            for job in jobs:
                job.abandon()
    lines += [
        "",
        document.footing(
            __file__, ("torch", "numpy", "pillow"), f"{args.threads} threads, best of {args.rounds}"
        ),
    ]
    document.tell(__file__, lines, args.out)
    if short:
        raise SystemExit(1)


if __name__ == "__main__":
    main()

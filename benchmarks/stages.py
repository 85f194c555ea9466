"""Where a training step's time goes, and how far off the machine's peak each stage computes.

    HUBEL_DATA=... python benchmarks/stages.py [--steps 60] [--threads 2] [--out docs/measured.md]

Peak: the fastest product of two 2048×2048 matrices in float32 and in bfloat16. Stages: of the training path as it is,
with the default recipe; forward and backward are told in operations a second too, a multiply-add being two, and the
backward pass being twice the forward. Other: all that is neither forward, backward nor optimizer: picking the items,
scaling, augmenting, averaging weights, the learning rate, the sums.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import document
import torch

from hubel.training import prepare
from hubel.training.job import Job
from hubel.training.torch_engine import TorchEngine
from hubel.zoo.describe import layers

TRAININGS = (
    ("mnist", None),
    ("mnist", "lenet-keras"),
    ("fashion-mnist", None),
    ("cifar10", None),
    ("cifar10", "resnet18"),
)
STAGES = ("pick and scale", "augment", "forward", "backward", "optimizer", "average")
COUNTED = ("forward", "backward", "optimizer")


def peak(kind: torch.dtype, rounds: int = 12) -> float:
    """Operations a second of the fastest of some matrix products."""
    a, b = torch.randn(2, 2048, 2048).to(kind)
    best = float("inf")
    for _ in range(rounds):
        before = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - before)
    return 2 * 2048**3 / best


class Stopwatch:
    """Seconds inside of functions, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def on(self, owner: Any, method: str, name: str) -> None:
        """From now on calls of owner.method are timed."""
        inner = getattr(owner, method)
        setattr(owner, method, self.timed(inner, name))

    def timed(self, inner: Callable[..., Any], name: str) -> Callable[..., Any]:
        def timed(*given: Any, **named: Any) -> Any:
            before = time.perf_counter()
            try:
                return inner(*given, **named)
            finally:
                self.seconds[name] += time.perf_counter() - before

        return timed


def stages(job: Job, steps: int) -> tuple[float, dict[str, float]]:
    """Seconds of a step, and of each of its STAGES. The last batch of an epoch, which is smaller, is left out."""
    trainer, engine, watch = job.trainer, job.trainer.engine, Stopwatch()
    assert isinstance(engine, TorchEngine)
    order = list(islice(trainer._order(1), min(steps, trainer.per_epoch - 1)))
    with engine.at_work():
        for batch, indices in enumerate(order[:5]):
            trainer.learn(indices, 1, batch)
        watch.on(trainer.train, "take", "pick and scale")
        watch.on(trainer, "_ready", "pick and scale")
        watch.on(trainer, "_augmented", "augment")
        watch.on(engine, "forward", "forward")
        watch.on(engine, "step", "whole step")
        watch.on(engine.optimizer, "step", "optimizer")
        if engine.average:
            watch.on(engine.average, "update", "average")
        before = time.perf_counter()
        for batch, indices in enumerate(order):
            trainer.tally.add(*trainer.learn(indices, 1, batch), len(indices))
        whole = time.perf_counter() - before
    found = watch.seconds
    found["backward"] = found["whole step"] - found["optimizer"] - found["average"]
    return whole / len(order), {name: found[name] / len(order) for name in STAGES}


def row(data: str, network: str | None, steps: int, most: dict[bool, float]) -> str:
    with tempfile.TemporaryDirectory(prefix="hubel-stages-") as place:
        job = prepare(data, network=network, out=Path(place) / "run")
        job.begin()
        engine = job.trainer.engine
        assert isinstance(engine, TorchEngine)
        step, found = stages(job, steps if job.recipe.batch < 512 else max(4, steps // 8))
    size, name = job.recipe.batch, job.network.name
    work = 2 * size * sum(layer.multiply_adds for layer in layers(engine.model.network, job.shape))
    share = 1 - sum(found[stage] for stage in COUNTED) / step
    reached = [n * work / found[stage] for n, stage in ((1, "forward"), (2, "backward"))]
    cells = [
        f"`{name}` on {data}, {size} at once, {'bf16' if engine.bf16 else 'fp32'}", f"{1e3 * step:.2f}",
        *(f"{1e3 * found[stage]:.2f}" for stage in STAGES),
        *(f"{r / 1e9:.0f} ({100 * r / most[engine.bf16]:.0f} %)" for r in reached),
        f"{100 * share:.1f} %", "yes" if share <= 0.05 else "no",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = document.parser(__doc__)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    most = {False: peak(torch.float32), True: peak(torch.bfloat16)}
    lines = [
        "## Where a training step's time goes",
        "",
        f"The fastest product of two 2048×2048 matrices: {most[False] / 1e9:.0f} GFLOP/s in float32, "
        f"{most[True] / 1e9:.0f} in bfloat16, on {args.threads} threads.",
        "",
        f"| training | ms a step | {' | '.join(STAGES)} | forward GFLOP/s (of peak) | backward | outside "
        f"{', '.join(COUNTED)} (≤ 5 %) | met |",
        f"|{' --- |' * (len(STAGES) + 6)}",
        *(row(data, network, args.steps, most) for data, network in TRAININGS),
        "",
        f"Means of {args.steps} steps (an eighth of that at 512 at once) of the training path as it is, each with its "
        "default recipe. " + document.footing(__file__, ("torch", "numpy")),
    ]
    document.tell(__file__, lines, args.out)


if __name__ == "__main__":
    main()

"""What our loop costs beside bare PyTorch: the default MNIST network, forward, backward and step on resident data.

    python benchmarks/training_step.py [--rounds 5] [--steps 200] [--out docs/measured.md]

Both train the same network with the same arithmetic (bfloat16 where the machine has it), optimizer and batch, and take
turns. Bare: a tensor of pictures that are ready, sliced in order, and torch.optim's fused optimizer. Ours: the
training path of `hubel train mnist` as it is, with picking, scaling, augmenting, dropout's seed, the learning rate, the
average of the weights and the sums; and once more without augmentation and average, which the bare loop has not either.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from itertools import islice
from pathlib import Path

import document
import torch
from torch.nn import functional as F

from hubel.training import prepare
from hubel.training.job import Job
from hubel.training.torch_engine import TorchEngine

PLAIN = {"rotate": 0.0, "scale": 0.0, "shift": 0.0, "ema": 0.0}


def begun(folder: Path, **settings: float) -> Job:
    job = prepare("mnist", out=folder, **settings)
    job.begin()
    return job


def ours(job: Job, steps: int) -> float:
    """Seconds of so many steps by the loop."""
    trainer = job.trainer
    with trainer.engine.at_work():
        before = time.perf_counter()
        for batch, indices in enumerate(islice(trainer._order(1), steps)):
            trainer.tally.add(*trainer.learn(indices, 1, batch), len(indices))
        return time.perf_counter() - before


class Bare:
    """The loop that one would write by hand."""

    def __init__(self, job: Job) -> None:
        engine = job.trainer.engine
        assert isinstance(engine, TorchEngine)
        self.model, self.bf16, self.size = engine.model, engine.bf16, job.recipe.batch
        pixels = job.trainer.inputs[: 200 * self.size].float().div_(255)
        self.x, self.y = (
            pixels.contiguous(memory_format=torch.channels_last),
            job.trainer.targets[: len(pixels)],
        )
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-4, fused=True
        )

    def __call__(self, steps: int) -> float:
        self.model.train()
        torch.set_flush_denormal(True)
        before = time.perf_counter()
        for step in range(steps):
            start = step * self.size % (len(self.x) - self.size)
            x, y = self.x[start : start + self.size], self.y[start : start + self.size]
            with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
                z = self.model(x)
            loss = F.cross_entropy(z.float(), y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        seconds = time.perf_counter() - before
        torch.set_flush_denormal(False)
        return seconds


def main() -> None:
    parser = document.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=200)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hubel-step-") as place:
        whole, plain = begun(Path(place) / "whole"), begun(Path(place) / "plain", **PLAIN)
        bare = Bare(begun(Path(place) / "bare", **PLAIN))
        for work in (lambda: ours(whole, 20), lambda: ours(plain, 20), lambda: bare(20)):
            work()
        rows = [
            (ours(whole, args.steps), ours(plain, args.steps), bare(args.steps)) for _ in range(args.rounds)
        ]
        arithmetic, batch = whole.trainer.engine.arithmetic, whole.recipe.batch
    alike = [b / p for _, p, b in rows]
    entire = [b / w for w, _, b in rows]
    per_step = [1e3 * statistics.median(column) / args.steps for column in zip(*rows, strict=True)]
    lines = [
        "## The training loop beside a bare one",
        "",
        "| loop | ms per step | images/s ÷ bare | asked | met |",
        "| --- | --- | --- | --- | --- |",
        f"| bare PyTorch: forward, backward, step on a resident tensor | {per_step[2]:.2f} | 1 | – | – |",
        f"| ours, the same work | {per_step[1]:.2f} | {statistics.median(alike):.3f} | ≥ 0.97 | "
        f"{'yes' if statistics.median(alike) >= 0.97 else 'no'} |",
        f"| ours, augmenting and averaging weights | {per_step[0]:.2f} | {statistics.median(entire):.3f} | – | – |",
        "",
        f"Median of {args.rounds} rounds of {args.steps} steps of {batch}, in turns; {arithmetic}, "
        f"{torch.get_num_threads()} threads. Ratios: {', '.join(f'{r:.3f}' for r in alike)}. "
        + document.footing(__file__, ("torch", "numpy")),
    ]
    document.tell(__file__, lines, args.out)


if __name__ == "__main__":
    main()

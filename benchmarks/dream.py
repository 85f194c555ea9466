"""Dream of the ten digits, ask a second network, and time a dream of 256x256 on SqueezeNet; print a table.

    HUBEL_DATA=... python benchmarks/dream.py [--run RUN] [--second RUN]

Each class of a network that was trained on MNIST is dreamt of with the settings of `hubel dream`, for several seeds.
The picture is brought to 256 levels, as it is written; the network itself answers, and a second one, of another kind
and another seed, that had no part in it. Without runs both are trained first: the default network, and lenet-keras
for 3 epochs with seed 5. SqueezeNet's weights are squeezenet1_1_features; a map of features.10.cat is raised.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import document
import numpy as np
import torch

import hubel
from hubel.explanation.dream import Dreaming, dream
from hubel.explanation.objective import classes_of, layer_of
from hubel.pretrained import ready
from hubel.run import Run, load

SIDE, LAYER, MAP = 256, "features.10.cat", 5


def main() -> None:
    parser = document.parser(__doc__)
    parser.add_argument("--run", help="a network of MNIST's digits; trained where none is named")
    parser.add_argument("--second", help="another, trained independently")
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        first = load(args.run) if args.run else hubel.train("mnist", out=place / "first")
        second = (
            load(args.second)
            if args.second
            else hubel.train("mnist", network="lenet-keras", seed=5, epochs=3, out=place / "second")
        )
        rows = [digits(first, second, seed) for seed in range(args.seeds)]
    seconds = squeezenet()
    document.tell(__file__, told(first, second, rows, seconds), args.out)


def digits(first: Run, second: Run, seed: int) -> tuple[float, int, float, float]:
    """The least probability that the network itself gives, how often the second agrees, its mean p, and seconds."""
    began = time.perf_counter()
    pictures = [dream(first, target, Dreaming(seed=seed)).picture for target in classes_of(first)]
    seconds = time.perf_counter() - began
    x = torch.from_numpy(np.rint(255 * np.stack(pictures)).astype(np.float32) / 255)
    with torch.no_grad():
        own, other = (run.model(x).softmax(1) for run in (first, second))
    right = torch.arange(len(pictures))
    agrees = int((other.argmax(1) == right).sum())
    return own.diagonal().min().item(), agrees, other.diagonal().mean().item(), seconds


def squeezenet() -> float:
    run = ready("squeezenet1_1_features").run
    began = time.perf_counter()
    dream(run, layer_of(run, LAYER, MAP), size=(SIDE, SIDE))
    return time.perf_counter() - began


def told(first: Run, second: Run, rows: list[tuple[float, int, float, float]], seconds: float) -> list[str]:
    lines = [
        "## Dreams of digits, and what a second network says of them",
        "",
        f"| seed | least p of `{first.network.name}` itself | `{second.network.name}` agrees | its mean p | time |",
        "| --- | --- | --- | --- | --- |",
    ]
    for seed, (own, agrees, p, took) in enumerate(rows):
        lines.append(f"| {seed} | {100 * own:.2f} % | {agrees} of 10 | {100 * p:.1f} % | {took:.0f} s |")
    threads = f"{torch.get_num_threads()} threads"
    lines += [
        "",
        f"A dream of {SIDE}×{SIDE} on SqueezeNet 1.1 ({LAYER}, map {MAP}): {seconds:.0f} s. Time is of ten dreams. "
        f"{document.footing(__file__, ('torch', 'numpy'), threads)}",
    ]
    return lines


if __name__ == "__main__":
    main()

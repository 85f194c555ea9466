"""Train the lectures' LeNet by the definitions, by a plain PyTorch loop and by nested Python loops; print the ratios.

    HUBEL_DATA=... python benchmarks/numpy_race.py

One epoch of MNIST with `lenet-keras` (931,080 weights), batches of 32, RMSprop, float32, the same batches in the same
order. The two racers take turns in blocks of steps, so that a noisy machine slows both down alike; a racer's time is
the sum of its blocks. The PyTorch loop is a tutorial's: a network, nn.CrossEntropyLoss, torch.optim.RMSprop, the
pictures resident in one tensor. The loops are the lectures': one multiplication at a time, over n, o, i, j, c, u, v,
forward and backward, on plain lists, for as few pictures as patience allows; a batch takes so much longer as it has
more pictures. That they find the gradients of the definitions is checked before their time is told.
"""

from __future__ import annotations

import itertools
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import document
import numpy as np
import torch
from torch import nn

from hubel.data.batches import batches
from hubel.definitions import cross_entropy_with_logits, one_hot
from hubel.replay import Program
from hubel.training import prepare
from hubel.training.loop import Trainer

BATCH = 32
BLOCK = 25  # steps before it is the other's turn
MOST_OF_TORCH, MOST_OF_LOOPS = 2.5, 1 / 200  # what is asked

List = list[Any]  # of lists of … of numbers


class Race(NamedTuple):
    """Seconds of all steps, and the mean loss of each racer over them."""

    steps: int
    numpy_s: float
    torch_s: float
    numpy_loss: float
    torch_loss: float


class Crawl(NamedTuple):
    """Seconds forward and backward: of the definitions for a batch, of the loops for `pictures` pictures."""

    pictures: int
    numpy_s: float
    loops_s: float

    @property
    def loops_for_a_batch(self) -> float:
        return self.loops_s * BATCH / self.pictures


def main() -> None:
    parser = document.parser(__doc__)
    parser.add_argument("--steps", type=int, default=0, help="of each racer; 0 = an epoch")
    parser.add_argument("--pictures", type=int, default=4, help="that the nested loops get")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of each racer")
    parser.add_argument("--data", default=os.environ.get("HUBEL_DATA"), help="the folder that holds mnist/")
    args = parser.parse_args()
    if not args.data or not (Path(args.data) / "mnist").is_dir():
        raise SystemExit("--data or HUBEL_DATA must name a folder that holds mnist/ (the four idx files)")
    os.environ["HUBEL_DATA"] = args.data
    with tempfile.TemporaryDirectory() as folder:
        trainer = ready(args.threads, folder)
        with trainer.engine.at_work():
            raced = race(trainer, args.steps or trainer.per_epoch)
            crawled = crawl(trainer, args.pictures)
    document.tell(__file__, told(raced, crawled, args.threads), args.out)


def ready(threads: int, folder: str) -> Trainer:
    """Our engine with its data and fresh weights, as `hubel train` makes it."""
    job = prepare(
        "mnist",
        network="lenet-keras",
        engine="numpy",
        epochs=1,
        batch=BATCH,
        threads=threads,
        out=f"{folder}/run",
    )
    job.begin()
    return job.trainer


def race(trainer: Trainer, steps: int) -> Race:
    """`steps` steps each, in turns, from the same weights."""
    network = nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(20, 50, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(1800, 500), nn.ReLU(), nn.Linear(500, 10),
    )  # fmt: skip
    for p, weight in zip(network.parameters(), trainer.weights().values(), strict=True):
        p.data.copy_(weight)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.RMSprop(network.parameters(), lr=trainer.recipe.lr, alpha=trainer.recipe.rho)
    images, labels = trainer.inputs.float() / 255, trainer.targets

    def by_torch(indices: np.ndarray, number: int) -> float:
        del number
        picked = torch.from_numpy(indices)
        optimizer.zero_grad()
        loss = criterion(network(images[picked]), labels[picked])
        loss.backward()
        optimizer.step()
        return loss.item()

    def by_numpy(indices: np.ndarray, number: int) -> float:
        return trainer.learn(indices, 1, number)[0].item()

    seconds, losses = {by_numpy: 0.0, by_torch: 0.0}, {by_numpy: 0.0, by_torch: 0.0}
    for block in blocks(len(images), steps):
        for racer in (by_numpy, by_torch):
            began = time.perf_counter()
            losses[racer] += sum(racer(indices, number) for number, indices in block)
            seconds[racer] += time.perf_counter() - began
        said(f"{block[-1][0] + 1} of {steps} steps", seconds[by_numpy] / seconds[by_torch])
    means = (losses[racer] / steps for racer in (by_numpy, by_torch))
    return Race(steps, seconds[by_numpy], seconds[by_torch], *means)


def blocks(count: int, steps: int) -> Iterator[list[tuple[int, np.ndarray]]]:
    """(number, indices) of so many batches, a block at a time; more epochs where one has too few."""
    endless = itertools.chain.from_iterable(
        batches(count, BATCH, seed=0, epoch=epoch) for epoch in itertools.count(1)
    )
    numbered = enumerate(itertools.islice(endless, steps))
    while block := list(itertools.islice(numbered, BLOCK)):
        yield block


def said(text: str, ratio: float) -> None:
    print(f"\r{text}, NumPy / PyTorch {ratio:.2f} ", end="", file=sys.stderr, flush=True)


def crawl(trainer: Trainer, pictures: int) -> Crawl:
    """The definitions on a batch (the best of ten) and the loops on some of its pictures."""
    x, labels = trainer.inputs[:BATCH].numpy() / np.float32(255), trainer.targets[:BATCH].numpy()
    program = Program(trainer.engine.model, training=True)

    def by_numpy(count: int) -> dict[str, np.ndarray]:
        found = program.run(x[:count])
        target = one_hot(labels[:count], 10, np.float32)
        return found.slopes(found.tape.apply(cross_entropy_with_logits, found.output, target))

    numpy_s = min(timed(lambda: by_numpy(BATCH)) for _ in range(10))
    weights = {name: value.tolist() for name, value in program.parameters.items()}
    given = x[:pictures].tolist(), labels[:pictures].tolist()
    print(f"\nnested loops, {pictures} pictures …", file=sys.stderr, flush=True)
    slopes: dict[str, List] = {}
    loops_s = timed(lambda: slopes.update(by_loops(*given, weights)))
    for name, wanted in by_numpy(pictures).items():
        np.testing.assert_allclose(np.array(slopes[name]), wanted, rtol=1e-3, atol=1e-6, err_msg=name)
    return Crawl(pictures, numpy_s, loops_s)


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def by_loops(x: List, labels: list[int], w: dict[str, List]) -> dict[str, List]:
    """Gradients of the mean cross-entropy by name, as the lectures write them down: a multiplication at a time."""
    names = ("features.0", "features.3", "classifier.1", "classifier.3")
    (w1, b1), (w2, b2), (w3, b3), (w4, b4) = ((w[f"{n}.weight"], w[f"{n}.bias"]) for n in names)
    x2 = padded(x, 0)
    a1 = convolve(x2, w1, b1)
    r1 = each(relu, a1)
    p1 = padded(pool(r1), 2)
    a2 = convolve(p1, w2, b2)
    r2 = each(relu, a2)
    flat = [[v for plane in maps for row in plane for v in row] for maps in pool(r2)]
    a3 = weigh(flat, w3, b3)
    r3 = each(relu, a3)
    z = weigh(r3, w4, b4)
    dz = [answer_minus_target(row, label, len(z)) for row, label in zip(z, labels, strict=True)]
    dr3, dw4, db4 = weigh_backward(dz, r3, w4)
    dflat, dw3, db3 = weigh_backward(passed(dr3, a3), flat, w3)
    h, v = len(r2[0][0]) // 2, len(r2[0][0][0]) // 2
    dp2 = [[[row[(o * h + i) * v :][:v] for i in range(h)] for o in range(len(b2))] for row in dflat]
    dp1, dw2, db2 = convolve_backward(passed(pool_backward(dp2, r2), a2), p1, w2)
    _, dw1, db1 = convolve_backward(passed(pool_backward(inside(dp1, 2), r1), a1), x2, w1)
    made = ((dw1, db1), (dw2, db2), (dw3, db3), (dw4, db4))
    return {f"{n}.{kind}": value for n, pair in zip(names, made, strict=True)
            for kind, value in zip(("weight", "bias"), pair, strict=True)}  # fmt: skip


def convolve(x: List, w: List, b: List) -> List:
    """y[n][o][i][j] = b[o] + sum_{c,u,v} x[n][c][i+u][j+v] w[o][c][u][v]"""
    N, O, C, U, V = len(x), len(w), len(w[0]), len(w[0][0]), len(w[0][0][0])
    H, W = len(x[0][0]) - U + 1, len(x[0][0][0]) - V + 1
    y = zeros(N, O, H, W)
    for n in range(N):
        for o in range(O):
            for i in range(H):
                for j in range(W):
                    s = b[o]
                    for c in range(C):
                        for u in range(U):
                            for v in range(V):
                                s += x[n][c][i + u][j + v] * w[o][c][u][v]
                    y[n][o][i][j] = s
    return y


def convolve_backward(dy: List, x: List, w: List) -> tuple[List, List, List]:
    """Each product x w of the sum sends dy w to its x and dy x to its w; dy goes to b."""
    N, O, C, U, V = len(x), len(w), len(w[0]), len(w[0][0]), len(w[0][0][0])
    H, W = len(dy[0][0]), len(dy[0][0][0])
    dx, dw, db = zeros(N, C, len(x[0][0]), len(x[0][0][0])), zeros(O, C, U, V), zeros(O)
    for n in range(N):
        for o in range(O):
            for i in range(H):
                for j in range(W):
                    d = dy[n][o][i][j]
                    db[o] += d
                    for c in range(C):
                        for u in range(U):
                            for v in range(V):
                                dx[n][c][i + u][j + v] += d * w[o][c][u][v]
                                dw[o][c][u][v] += d * x[n][c][i + u][j + v]
    return dx, dw, db


def pool(x: List) -> List:
    """y[n][c][i][j] = the largest of the 2x2 field at (2i, 2j)"""
    N, C, H, W = len(x), len(x[0]), len(x[0][0]) // 2, len(x[0][0][0]) // 2
    y = zeros(N, C, H, W)
    for n in range(N):
        for c in range(C):
            for i in range(H):
                for j in range(W):
                    y[n][c][i][j] = max(x[n][c][2 * i + u][2 * j + v] for u in range(2) for v in range(2))
    return y


def pool_backward(dy: List, x: List) -> List:
    """dy goes to the first of the largest in its field."""
    N, C, H, W = len(x), len(x[0]), len(dy[0][0]), len(dy[0][0][0])
    dx = zeros(N, C, len(x[0][0]), len(x[0][0][0]))
    for n in range(N):
        for c in range(C):
            for i in range(H):
                for j in range(W):
                    cells = [(2 * i + u, 2 * j + v) for u in range(2) for v in range(2)]
                    a, e = max(cells, key=lambda cell: x[n][c][cell[0]][cell[1]])
                    dx[n][c][a][e] += dy[n][c][i][j]
    return dx


def weigh(x: List, w: List, b: List) -> List:
    """y[n][o] = b[o] + sum_d x[n][d] w[o][d]"""
    y = zeros(len(x), len(w))
    for n in range(len(x)):
        for o in range(len(w)):
            s = b[o]
            for d in range(len(w[0])):
                s += x[n][d] * w[o][d]
            y[n][o] = s
    return y


def weigh_backward(dy: List, x: List, w: List) -> tuple[List, List, List]:
    """As convolve_backward, without places."""
    dx, dw, db = zeros(len(x), len(w[0])), zeros(len(w), len(w[0])), zeros(len(w))
    for n in range(len(x)):
        for o in range(len(w)):
            db[o] += dy[n][o]
            for d in range(len(w[0])):
                dx[n][d] += dy[n][o] * w[o][d]
                dw[o][d] += dy[n][o] * x[n][d]
    return dx, dw, db


def answer_minus_target(z: list[float], label: int, count: int) -> list[float]:
    """The slope of cross-entropy: (softmax(z) - target) / N"""
    e = [math.exp(v - max(z)) for v in z]
    return [(v / sum(e) - (k == label)) / count for k, v in enumerate(e)]


def relu(x: float) -> float:
    return x if x > 0 else 0.0


def passed(dy: Any, x: Any) -> Any:
    """dy where x is over 0, else 0: the way back through relu."""
    if isinstance(dy, list):
        return [passed(a, b) for a, b in zip(dy, x, strict=True)]
    return dy if x > 0 else 0.0


def each(function: Callable[[float], float], x: Any) -> Any:
    return [each(function, part) for part in x] if isinstance(x, list) else function(x)


def zeros(*shape: int) -> List:
    return [zeros(*shape[1:]) for _ in range(shape[0])] if len(shape) > 1 else [0.0] * shape[0]


def padded(x: List, p: int) -> List:
    """p cells of nought around each map."""
    width = len(x[0][0][0]) + 2 * p
    edge = [[0.0] * width for _ in range(p)]
    return [[[*edge, *([0.0] * p + row + [0.0] * p for row in plane), *edge] for plane in maps] for maps in x]


def inside(x: List, p: int) -> List:
    """What padded() was given."""
    return [[[row[p:-p] for row in plane[p:-p]] for plane in maps] for maps in x]


def told(raced: Race, crawled: Crawl, threads: int) -> list[str]:
    """A Markdown table with a row per race."""
    rows = [
        (
            f"{raced.steps:,} steps of {BATCH}, update and all", f"{raced.numpy_s:.1f} s",
            f"plain PyTorch loop: {raced.torch_s:.1f} s", f"{raced.numpy_s / raced.torch_s:.2f}",
            f"≤ {MOST_OF_TORCH}", raced.numpy_s / raced.torch_s <= MOST_OF_TORCH,
        ),
        (
            f"forward and backward of {BATCH} pictures", f"{1e3 * crawled.numpy_s:.1f} ms",
            f"nested Python loops: {crawled.loops_for_a_batch:.0f} s (from {some(crawled.pictures, 'picture')})",
            f"1 / {crawled.loops_for_a_batch / crawled.numpy_s:,.0f}", f"≤ 1 / {1 / MOST_OF_LOOPS:.0f}",
            crawled.numpy_s / crawled.loops_for_a_batch <= MOST_OF_LOOPS,
        ),
    ]  # fmt: skip
    return [
        "## `lenet-keras` on MNIST by the definitions, against PyTorch and against nested loops",
        "",
        "| what | NumPy | the other | ratio | asked | met |",
        "| --- | --- | --- | --- | --- | --- |",
        *(f"| {' | '.join(row[:5])} | {'yes' if row[5] else 'no'} |" for row in rows),
        "",
        f"Mean loss over the steps: {raced.numpy_loss:.4f} in NumPy, {raced.torch_loss:.4f} in PyTorch, whose RMSprop "
        "has its small number outside the root. "
        f"{document.footing(__file__, ('torch', 'numpy'), some(threads, 'thread'))}",
    ]


def some(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


if __name__ == "__main__":
    main()

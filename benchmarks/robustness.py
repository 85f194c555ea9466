"""How much change the default MNIST network bears, and one that learnt from attacked pictures; print a table.

    HUBEL_DATA=... python benchmarks/robustness.py

Two trainings: `hubel train mnist`, and the same data by `--adversarial pgd` with a small network and the recipe below
(Madry et al. 2018). Both are then attacked within eps 0.3: by one step of FGSM, by PGD of 40 steps of 0.01 with 5
random beginnings, and the trained one also with the pictures that PGD made for the plain one. A network that only
hides its gradients would give itself away: PGD would find less than FGSM, or pictures made for another network more
than its own.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import document
import numpy as np
import torch

import hubel
from hubel import metrics
from hubel.attacks import Attack, attacked
from hubel.explanation.inside import asking
from hubel.explanation.robustness import chunks
from hubel.run import Run, load

EPS = 0.3
PGD, FGSM = Attack("pgd", EPS, steps=40, step=0.01, restarts=5), Attack("fgsm", EPS)
RECIPE: dict[str, Any] = {
    "network": "conv16x4/2+1 relu conv32x4/2+1 relu fc100 relu fc", "adversarial": "pgd", "adversarial_eps": EPS,
    "adversarial_steps": 7, "adversarial_warmup": 0.3, "epochs": 8, "optimizer": "adam", "lr": 3e-3,
    "schedule": "one-cycle", "weight_decay": 0.0,
}  # fmt: skip


class Row(NamedTuple):
    """An attack, and how many of n pictures each network still answers right; None where it was not asked."""

    attack: str
    plain: int | None
    trained: int


def main() -> None:
    parser = document.parser(__doc__)
    parser.add_argument("--items", type=int, default=10_000, help="of the test part, drawn by seed 0")
    parser.add_argument(
        "--plain", help="a run folder of the plain network; it is trained where none is named"
    )
    parser.add_argument("--trained", help="likewise, of the network that learnt from attacks")
    parser.add_argument("--threads", type=int, default=0, help="processor threads of the trainings; 0 = all")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        plain = load(args.plain) if args.plain else trained(place / "plain", args.threads, {})
        hard = load(args.trained) if args.trained else trained(place / "hard", args.threads, RECIPE)
        seconds = [sum(row["seconds"] for row in run.timing) for run in (plain, hard)]
        lines = told(measured(plain, hard, args.items), args.items, seconds, plain, hard)
    document.tell(__file__, lines, args.out)


def trained(folder: Path, threads: int, recipe: dict[str, Any]) -> Run:
    return hubel.train(
        "mnist", out=folder, threads=threads, **recipe,
        on_epoch=lambda e: print(f"epoch {e.epoch}: loss {e.train_loss:.3f}, {e.seconds:.0f} s", flush=True),
    )  # fmt: skip


def measured(plain: Run, hard: Run, items: int) -> list[Row]:
    """Both networks on the same pictures of the test part."""
    test = plain.dataset("mnist").test
    chosen = np.sort(np.random.default_rng(0).permutation(len(test))[:items])
    x = torch.from_numpy(test.inputs[chosen].astype(np.float32) / 255)
    y = torch.from_numpy(test.targets[chosen])
    began = time.perf_counter()
    rows = [Row("none", right(plain, x, y), right(hard, x, y))]
    for name, attack in (("FGSM", FGSM), ("PGD, 40 steps of 0.01, 5 beginnings", PGD)):
        for_plain, for_hard = (against(run, x, y, attack) for run in (plain, hard))
        rows.append(Row(name, right(plain, for_plain, y), right(hard, for_hard, y)))
    rows.append(Row("the pictures that PGD made for the plain network", None, right(hard, for_plain, y)))
    print(f"attacked in {time.perf_counter() - began:.0f} s", flush=True)
    return rows


def against(run: Run, x: torch.Tensor, y: torch.Tensor, attack: Attack) -> torch.Tensor:
    """The pictures as the attack leaves them, for this network."""
    with asking(run, attack.seed) as model:
        pieces = [
            attacked(model, x[piece], y[piece], attack, seed=(piece.start,))
            for piece in chunks(len(x), run.preprocess.shape)
        ]
    made = torch.cat(pieces)
    assert float((made.double() - x.double()).abs().max()) <= EPS
    return made


def right(run: Run, x: torch.Tensor, y: torch.Tensor) -> int:
    return int((run.logits(x.numpy()).argmax(1) == y.numpy()).sum())


def told(rows: list[Row], n: int, seconds: list[float], plain: Run, hard: Run) -> list[str]:
    lines = [
        "## Attacks within 0.3 of the scale on MNIST",
        "",
        f"| attacked by | `{plain.network.name}` | trained with `--adversarial pgd` |",
        "| --- | --- | --- |",
    ]
    lines += [f"| {row.attack} | {share(row.plain, n)} | {share(row.trained, n)} |" for row in rows]
    fgsm, pgd, black = rows[1].trained, rows[2].trained, rows[3].trained
    honest = "yes" if pgd <= fgsm and black >= pgd else "NO: its gradients may be masked"
    lines += [
        "",
        f"Accuracy with its 95 % interval on {n:,} pictures of the test part. PGD finds no less than FGSM, and the "
        f"pictures of another network no more than its own: {honest}. Trained in {seconds[0]:.0f} s and "
        f"{seconds[1]:.0f} s; the second is `{hard.network.name}`, {hard.recipe['epochs']} epochs, PGD of "
        f"{hard.recipe['adversarial_steps']} steps. {document.footing(__file__, ('torch', 'numpy'))}",
    ]
    return lines


def share(right: int | None, n: int) -> str:
    if right is None:
        return "–"
    span = metrics.wilson(right, n)
    return f"{100 * right / n:.2f} % ({100 * span.low:.2f} to {100 * span.high:.2f})"


if __name__ == "__main__":
    main()

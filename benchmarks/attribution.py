"""Does the evidence point at the right place? Measure every method on a run of MNIST; print tables.

    hubel train mnist --out runs/mnist
    HUBEL_DATA=... python benchmarks/attribution.py runs/mnist

Localisation: 2x2 digits, four of different classes, make a picture of 56x56, and the network, whose head is a global
maximum, is applied to it as it is, with more places to look at. Asked for the digit in one quarter: how much of the
heat (of signed methods, of what speaks for it), and of its energy, which is its square, lies in that quarter. Chance
is 25 %.

Deletion and insertion: whose area is better than the mean of ten random orders, on how many pictures of the test part.
Completeness: how far what is attributed is off from what the output gains. Speed: Grad-CAM of 1,000 pictures.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import NamedTuple

import document
import numpy as np

import hubel
from hubel.explanation.attribution import METHODS, attribute
from hubel.explanation.evidence import curves, spoilt
from hubel.explanation.inside import Inside
from hubel.run import Network, Run

REPEATS = 10  # random orders


class Place(NamedTuple):
    """Where evidence lies: shares of its heat and of its energy in the right quarter, one per picture.

    layer: of Grad-CAM
    """

    method: str
    layer: str
    heat: np.ndarray
    energy: np.ndarray


class Trust(NamedTuple):
    """What the checks say of a method, over N pictures.

    deletion, insertion: mean area, that of random orders, share of pictures where it is better
    off: the largest share by which a sum is off, None where none is promised   alike: after shuffling all weights
    """

    method: str
    deletion: tuple[float, float, float]
    insertion: tuple[float, float, float]
    off: float | None
    alike: float


def main() -> None:
    parser = document.parser(__doc__)
    parser.add_argument("run", help="a run of MNIST with its default network")
    parser.add_argument("--count", type=int, default=100, help="pictures of the test part, and composites")
    args = parser.parse_args()
    run = hubel.load(args.run)
    test = run.dataset().test
    x, labels = np.asarray(test.inputs, np.float32) / 255, np.asarray(test.targets)
    seconds = speed(run, x[:1000], labels[:1000])
    places = localised(run, x, labels, args.count)
    trust = [checked(run, x[: args.count], labels[: args.count], method) for method in METHODS]
    document.tell(__file__, told(run, places, trust, seconds, args.count), args.out)


def speed(run: Run, x: np.ndarray, labels: np.ndarray) -> float:
    """Seconds for Grad-CAM, after a first picture has warmed up."""
    attribute(run, x[:1], "grad-cam", labels[:1])
    began = time.perf_counter()
    attribute(run, x, "grad-cam", labels)
    return time.perf_counter() - began


def localised(run: Run, x: np.ndarray, labels: np.ndarray, count: int) -> list[Place]:
    """Every method; Grad-CAM at every layer that gives maps."""
    large = enlarged(run)
    pictures, quarters, classes = composites(x, labels, count)
    asked = [(method, None) for method in METHODS if not METHODS[method].looks]
    for method in ("grad-cam", "guided-grad-cam"):
        asked += [(method, layer.name) for layer in Inside(large).maps]
    made = []
    for method, layer in asked:
        heat = np.maximum(attribute(large, pictures, method, classes, layer=layer).heat, 0)
        made.append(Place(method, layer or "", shares(heat, quarters), shares(heat**2, quarters)))
    return made


def enlarged(run: Run) -> Run:
    """The same weights for pictures of twice the side."""
    channels, height, width = run.preprocess.shape
    arguments = {k: v for k, v in run.network.arguments.items() if k != "input"}
    card = replace(
        run.card, network=Network(run.network.name, arguments),
        preprocess=replace(run.preprocess, shape=(channels, 2 * height, 2 * width)),
    )  # fmt: skip
    network = card.build()
    network.load_state_dict(run.model.network.state_dict())
    return Run(run.path, card, card.wrap(network), run.settings)


def composites(x: np.ndarray, labels: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(count, C, 2H, 2W) of four digits of different classes; which quarter is asked for, 0 to 3; and its class."""
    rng = np.random.default_rng(0)
    made, quarters, classes = [], [], []
    for n in range(count):
        chosen = [rng.choice(np.flatnonzero(labels == k)) for k in rng.permutation(10)[:4]]
        a, b, c, d = x[chosen]
        made.append(np.concatenate([np.concatenate([a, b], 2), np.concatenate([c, d], 2)], 1))
        quarters.append(n % 4)
        classes.append(labels[chosen[n % 4]])
    return np.stack(made), np.array(quarters), np.array(classes)


def shares(heat: np.ndarray, quarters: np.ndarray) -> np.ndarray:
    """(N, H, W) -> (N,): how much of it lies in the quarter that was asked for; a quarter where there is none."""
    N, H, W = heat.shape
    each = heat.astype(np.float64).reshape(N, 2, H // 2, 2, W // 2).sum((2, 4)).reshape(N, 4)
    total = each.sum(1)
    return np.where(total > 0, each[range(N), quarters] / np.where(total > 0, total, 1), 0.25)


def checked(run: Run, x: np.ndarray, labels: np.ndarray, method: str) -> Trust:
    found = attribute(run, x, method, labels)
    measured = []
    for kind in ("deletion", "insertion"):
        c = curves(run, x, found.heat, kind, labels, repeats=REPEATS)
        better = float((c.gain(c.random_areas) > 0).mean())
        measured.append((float(c.area.mean()), float(c.random_areas.mean()), better))
    few = slice(0, 20)
    last = list(
        spoilt(run, x[few], method, labels[few], found.heat[few], depths=1 + len(run.model.state_dict()))
    )[-1]
    off = None if found.incomplete is None else float(found.incomplete.max())
    return Trust(method, measured[0], measured[1], off, float(last.likeness.mean()))


def told(run: Run, places: list[Place], trust: list[Trust], seconds: float, count: int) -> list[str]:
    lines = [
        "## Evidence in its place, and whether it can be trusted",
        "",
        *_placed(places),
        "",
        *_trusted(trust),
    ]
    lines += [
        "",
        f"Grad-CAM of 1,000 pictures: {seconds:.2f} s.",
        "",
        f"{count} composites of 2×2 digits at 56×56 (mean ± sd; chance 25 %; energy is heat squared), and the first "
        f"{count} pictures of MNIST's test part with their true classes, against {REPEATS} random orders; all weights "
        f"shuffled: rank correlation, mean of 20 pictures. Network {run.network.name}. "
        f"{document.footing(__file__, ('torch', 'numpy', 'captum'))}",
    ]
    return lines


def _placed(places: list[Place]) -> list[str]:
    head = ("method", "layer", "heat in the right quarter", "energy there", "over half of the heat there")
    lines = [f"| {' | '.join(head)} |", "| --- | --- | --- | --- | --- |"]
    for p in places:
        layer = f"`{p.layer}`" if p.layer else ""
        cells = [f"{100 * s.mean():.1f} ± {100 * s.std():.1f} %" for s in (p.heat, p.energy)]
        lines.append(f"| {p.method} | {layer} | {' | '.join(cells)} | {100 * (p.heat > 0.5).mean():.0f} % |")
    return lines


def _trusted(trust: list[Trust]) -> list[str]:
    head = (
        "method",
        "deletion, random, better on",
        "insertion, random, better on",
        "sum off by at most",
        "shuffled",
    )
    lines = [f"| {' | '.join(head)} |", "| --- | --- | --- | --- | --- |"]
    for t in trust:
        cells = [f"{a:.3f}, {r:.3f}, {100 * b:.0f} %" for a, r, b in (t.deletion, t.insertion)]
        off = "" if t.off is None else f"{100 * t.off:.2f} %"
        lines.append(f"| {t.method} | {' | '.join(cells)} | {off} | {t.alike:.2f} |")
    return lines


if __name__ == "__main__":
    main()

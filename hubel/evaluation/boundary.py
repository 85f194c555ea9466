"""The decision boundary of a network of two numbers, as a picture: its answer everywhere on a grid."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

import numpy as np

from hubel import metrics
from hubel.data import Split
from hubel.run import Run

GRID = 500  # cells along each side
MARGIN = 0.15  # of the points' range, on each side
# Okabe and Ito's colours, told apart by the colour-blind too.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#f0e442")


@dataclass(frozen=True)
class Boundary:
    """field: (GRID, GRID, 4) uint8, the lowest y in the last row   low, high: (2,) the corners
    points: (N, 2)   group: (N,) which of `names` each belongs to   png: the finished picture
    """

    field: np.ndarray
    low: np.ndarray
    high: np.ndarray
    points: np.ndarray
    group: np.ndarray
    names: tuple[str, ...]
    axes: tuple[str, str]
    png: bytes


def applies(run: Run) -> bool:
    """Two numbers in; a class, or one number, out."""
    vector = run.preprocess.kind == "vector" and run.preprocess.shape == (2,)
    return vector and (run.task == "classify" or run.card.outputs == 1)


def draw(run: Run, split: Split) -> Boundary:
    """The field of answers around the split's items, and the items on it."""
    points = np.asarray(split.inputs, dtype=np.float32)  # (N, 2)
    spread = np.maximum(np.ptp(points, axis=0), 1e-6)
    low, high = points.min(0) - MARGIN * spread, points.max(0) + MARGIN * spread
    across, up = (np.linspace(a, b, GRID, dtype=np.float32) for a, b in zip(low, high, strict=True))
    grid = np.stack(np.meshgrid(across, up[::-1]), -1).reshape(-1, 2)  # (GRID * GRID, 2), the top row first
    logits = run.logits(grid)
    if run.task == "regress":
        share, group, names = _halves(logits[:, 0], np.asarray(split.targets).reshape(len(split)))
    else:
        share = metrics.softmax(logits)
        group, names = np.asarray(split.targets), run.classes
    field = _tint(share).reshape(GRID, GRID, 4)
    columns = run.preprocess.columns or ("x0", "x1")
    made = Boundary(field, low, high, points, group, names, (columns[0], columns[1]), b"")
    return replace(made, png=_png(made))


def _halves(answers: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Of a regression: below and above the middle of its targets (0.5 for zeros and ones)."""
    middle = float(targets.min() + targets.max()) / 2
    reach = max(float(np.ptp(targets)), 1e-6)
    above = np.clip((answers - middle) / reach + 0.5, 0, 1)  # 0 at the lowest target, 1 at the highest
    names = (f"below {middle:g}", f"above {middle:g}")
    return np.stack([1 - above, above], 1), (targets > middle).astype(np.int64), names


def _tint(share: np.ndarray) -> np.ndarray:
    """The answer's colour, faintest at the boundary, where it is least ahead. (M, K) -> (M, 4) uint8"""
    answer = share.argmax(1)
    ranked = np.partition(share, -2, axis=1)
    lead = ranked[:, -1] - ranked[:, -2]
    rgb = np.array([colour(k) for k in range(share.shape[1])], dtype=np.uint8)[answer]
    alpha = np.round(25 + 90 * np.sqrt(lead)).astype(np.uint8)
    return np.concatenate([rgb, alpha[:, None]], 1)


def colour(k: int) -> tuple[int, int, int]:
    """Of class k; beyond eight classes they return."""
    code = COLOURS[k % len(COLOURS)]
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)


def _png(made: Boundary) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.subplots()
    (left, bottom), (right, top) = made.low, made.high
    axes.imshow(made.field, extent=(left, right, bottom, top), aspect="auto", interpolation="nearest")
    for k, name in enumerate(made.names[: len(COLOURS)]):
        of_class = made.points[made.group == k]
        # A name may hold $, which Matplotlib would read as a formula.
        label = name.replace("$", r"\$")
        x, y = of_class[:, 0], of_class[:, 1]
        axes.scatter(x, y, s=36, color=COLOURS[k], edgecolor="white", label=label, zorder=3)
    axes.set_xlabel(made.axes[0].replace("$", r"\$"))
    axes.set_ylabel(made.axes[1].replace("$", r"\$"))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.12), ncols=min(4, len(made.names)), frameon=False)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=120, metadata={"Software": None})
    return out.getvalue()

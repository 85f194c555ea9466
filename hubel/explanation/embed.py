"""Many items in two dimensions: what the last layer before the head makes of them, by PCA and by t-SNE.

PCA (Pearson 1901) is a linear view: distances along its two axes are those of the features, all others are lost.
t-SNE (van der Maaten and Hinton 2008) keeps neighbours together: who stands beside whom means something; the sizes of
groups, and how far apart they are, do not. Both are scikit-learn's; t-SNE is given the first 50 principal components.
How far to trust a view: the share of items whose nearest neighbour is of their own class, in the features and in it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from hubel.errors import InputError
from hubel.evaluation import gallery
from hubel.evaluation.report import script_json, templates
from hubel.explanation.finding import PAGE, Finding, Item, Items, Question, stacked
from hubel.explanation.inside import Inside, asking, must_bring_data
from hubel.run import Run

MOST = 2000  # items; more are drawn from
FEWEST = 5
COMPONENTS = 50  # that t-SNE is given
PERPLEXITY = 30.0  # neighbours that t-SNE keeps together, of the paper's 5 to 50
# Twenty colours that are told apart on white and on black; further classes are grey.
COLOURS = (
    "#4878cf", "#e8843c", "#3f9e57", "#c8414b", "#8f6bc0", "#8c6238", "#dd74b0", "#7f858f", "#b5a51e", "#2aa8b8",
    "#1f3f8f", "#9c4a08", "#0b5f2f", "#7d0f2a", "#4f2c86", "#c79a6b", "#f0a3c8", "#3f454f", "#7c7a10", "#8fd0e8",
)  # fmt: skip
GREY = "#a9adb5"


@dataclass(frozen=True)
class View:
    """Items in two dimensions. points: (N, 2)   axes: what is written along them"""

    name: str
    points: np.ndarray
    axes: tuple[str, str]


@dataclass(frozen=True)
class Group:
    """Items of one class: their colour, and places among all."""

    name: str
    colour: str
    places: np.ndarray


def explain(run: Run, items: Sequence[Item], question: Question) -> Iterator[Finding]:
    """One finding: the given items, or the run's test part, at most MOST of them, drawn by the seed."""
    chosen, said = drawn(run, items, question.seed)
    layer = question.layer or Inside(run).parts.before_head()
    with asking(run, question.seed):
        features = run.features(chosen.inputs, layer, progress=question.progress)
        classifies = question.answers and run.task == "classify"
        answers = run.answers(chosen.names, run.logits(chosen.inputs)) if classifies else []
    features = features.reshape(len(features), -1)
    if question.say:
        question.say(f"placing {len(features):,} items by t-SNE, which takes longest and cannot be counted")
    views = (by_pca(features, question.seed), by_tsne(features, question.seed))
    labels = [label or "" for label in chosen.labels]
    shown = labels if any(labels) else [a.answer for a in answers] or labels
    wrong = np.zeros(len(chosen), bool)
    if answers:
        wrong[:] = [bool(label) and label != a.answer for label, a in zip(labels, answers, strict=True)]
    groups = grouped(shown)
    known = any(shown)  # a regression has no classes, nor have weights without their last layer
    same = {"the features": agreeing(features, shown)} | {v.name: agreeing(v.points, shown) for v in views}
    count = int(wrong.sum())
    ringed = f"; {count} {'mistake is' if count == 1 else 'mistakes are'} ringed" if count else ""
    about = f"{said}, by the {features.shape[1]:,} numbers that {layer} gives{ringed}"
    near = ", ".join(f"{100 * share:.1f} % in {name}" for name, share in same.items())
    close = f" Nearest neighbour of the same {'class' if any(labels) else 'answer'}: {near}." if known else ""
    yield Finding(
        f"embedding-{layer}",
        f"{layer} in two dimensions",
        plotted(views, groups, wrong, f"{run.network.name}: {about}"),
        f"{about}.{close}",
        {
            "items": len(chosen),
            "mistakes": int(wrong.sum()),
            **({"share with a nearest neighbour of its class": same} if known else {}),
        },
        {view.name: view.points.astype(np.float32) for view in views},
        html(chosen, views, groups, answers, wrong),
    )


def drawn(run: Run, items: Sequence[Item], seed: int) -> tuple[Items, str]:
    """The items, and what they are. Raises InputError where there are too few, or the run brings no data."""
    name = "items"
    if not len(items):
        must_bring_data(run, "folders of pictures")
        test = run.dataset().test
        labels = [run.classes[t] for t in test.targets] if run.classes else [None] * len(test)
        items, name = (
            Items(test.inputs, test.items, labels),
            f"items of the test part of {run.data.get('name')}",
        )
    if len(items) < FEWEST:
        raise InputError(f"{len(items)} items show no groups: name at least {FEWEST}, or folders of pictures")
    if not isinstance(items, Items):
        items = Items(stacked(items), [item.name for item in items], [item.label for item in items])
    if len(items) <= MOST:
        return items, f"{len(items):,} {name}"
    places = np.sort(np.random.default_rng(seed).choice(len(items), MOST, replace=False)).tolist()
    names, kept = [items.names[i] for i in places], [items.labels[i] for i in places]
    return Items(items.inputs[places], names, kept), f"{MOST:,} of {len(items):,} {name}, drawn"


def by_pca(features: np.ndarray, seed: int) -> View:
    from sklearn.decomposition import PCA

    found = PCA(min(2, *features.shape), random_state=seed).fit(features)
    points = found.transform(features)
    if points.shape[1] == 1:  # of a single feature
        points = np.concatenate([points, np.zeros_like(points)], 1)
    shares = [*found.explained_variance_ratio_, 0.0]
    axes = tuple(f"component {n + 1}, {share:.0%} of the variance" for n, share in enumerate(shares[:2]))
    return View("PCA", points, (axes[0], axes[1]))


def by_tsne(features: np.ndarray, seed: int) -> View:
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    reduced = PCA(min(COMPONENTS, *features.shape), random_state=seed).fit_transform(features)
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    start = "pca" if reduced.shape[1] > 1 else "random"
    found = TSNE(perplexity=perplexity, init=start, learning_rate="auto", random_state=seed)
    return View("t-SNE", found.fit_transform(reduced), (f"t-SNE, perplexity {perplexity:.3g}", ""))


def agreeing(points: np.ndarray, classes: Sequence[str]) -> float:
    """The share of items whose nearest neighbour has the same class."""
    from sklearn.neighbors import NearestNeighbors

    near = NearestNeighbors(n_neighbors=1).fit(points).kneighbors(return_distance=False)[:, 0]
    named = np.array(classes)
    return float((named == named[near]).mean())


def grouped(classes: Sequence[str]) -> list[Group]:
    """The classes that come, in their order of size where only some can have a colour, else by name."""
    from hubel.data.labels import class_order

    named = np.array(classes)
    names, counts = np.unique(named, return_counts=True)
    coloured = names[np.argsort(-counts, kind="stable")][: len(COLOURS)].tolist()
    colours = dict(zip(class_order(coloured), COLOURS, strict=False))
    ordered = [*colours, *class_order([n for n in names.tolist() if n not in colours])]
    return [Group(name, colours.get(name, GREY), np.flatnonzero(named == name)) for name in ordered]


def plotted(views: Sequence[View], groups: Sequence[Group], wrong: np.ndarray, about: str) -> Image.Image:
    """The views side by side; each class is named in the middle of its items, each mistake has a ring."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patheffects import withStroke

    figure = Figure(figsize=(13.6, 7.2), dpi=100, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(about, fontsize=11, x=0.01, ha="left", color="#20242c", parse_math=False)
    for axes, view in zip(figure.subplots(1, len(views)), views, strict=True):
        for group in groups:
            x, y = view.points[group.places].T
            axes.scatter(x, y, s=9, color=group.colour, linewidths=0, alpha=0.85)
        x, y = view.points[wrong].T
        axes.scatter(x, y, s=60, facecolors="none", edgecolors="#20242c", linewidths=1.1)
        for group in groups[: len(COLOURS)] if len(groups) > 1 else ():
            middle = np.median(view.points[group.places], 0)
            axes.annotate(
                group.name[:18], middle, ha="center", va="center", fontsize=11, fontweight="bold", color=group.colour,
                path_effects=[withStroke(linewidth=3, foreground="white")], parse_math=False,
            )  # fmt: skip
        axes.set_title(view.name, loc="left", fontsize=12)
        axes.set_xlabel(view.axes[0], fontsize=9, color="#5d6470")
        axes.set_ylabel(view.axes[1], fontsize=9, color="#5d6470")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[["top", "right", "left", "bottom"]].set_color("#dedfe6")
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return Image.open(out).convert("RGB")


def html(
    items: Items, views: Sequence[View], groups: Sequence[Group], answers: Sequence[Any], wrong: np.ndarray
) -> str:
    """The views as dots that tell their item under the pointer or by the arrow keys, with a legend that filters."""
    from markupsafe import Markup

    group_of = np.empty(len(items), int)
    for number, group in enumerate(groups):
        group_of[group.places] = number
    sheets = gallery.draw(in_bytes(items.inputs)) if items.inputs.ndim == 4 else None
    data: Mapping[str, Any] = {
        "views": [{"name": view.name, "axes": view.axes, "points": in_box(view.points)} for view in views],
        "groups": [{"name": g.name or "not known", "colour": g.colour, "count": len(g.places)} for g in groups],
        "of": group_of.tolist(),
        "wrong": np.flatnonzero(wrong).tolist(),
        "items": [[name, label or "", *([a.answer, round(a.p, 4)] if a else [])]
                  for name, label, a in zip(items.names, items.labels, answers or [None] * len(items), strict=True)],
        "sprite": sheets and {"columns": gallery.COLUMNS, "each": gallery.PER_SHEET},
    }  # fmt: skip
    return templates(PAGE).get_template("embed.html.jinja").render(
        data=Markup(script_json(data)),  # noqa: S704 - escaped there
        js=Markup((PAGE / "embed.js").read_text("utf-8")),  # noqa: S704 - our own file
        sheets=sheets, columns=gallery.COLUMNS, views=views,
    )  # fmt: skip


def in_bytes(inputs: np.ndarray) -> np.ndarray:
    """Pictures as uint8."""
    return inputs if inputs.dtype == np.uint8 else (np.clip(inputs, 0, 1) * 255).round().astype(np.uint8)


def in_box(points: np.ndarray) -> list[list[float]]:
    """(N, 2) -> points in 0..1000 with a margin, y downwards, both axes in one unit."""
    low, high = points.min(0), points.max(0)
    span = float((high - low).max()) or 1.0
    middle = (low + high) / 2
    placed = 500 + (points - middle) / span * 940 * np.array([1, -1])
    return placed.round(1).tolist()

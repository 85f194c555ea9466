"""Why a network answered as it did, as people look at it: heat maps and overlays of the best classes side by side.

What is computed stands in heat.py (seven methods), whether it can be trusted in evidence.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from hubel.errors import InputError
from hubel.explanation import drawing
from hubel.explanation.charts import bar_chart, curve_chart
from hubel.explanation.drawing import DIVERGING, SEQUENTIAL, Scale, Tile, number
from hubel.explanation.evidence import REPEATS, Curves, Spoilt, curves, spoilt
from hubel.explanation.finding import Finding, Item, Question
from hubel.explanation.heat import METHODS as METHODS
from hubel.explanation.heat import Attribution as Attribution
from hubel.explanation.heat import attribute as attribute
from hubel.explanation.heat import windows
from hubel.explanation.inside import asking, classes_named
from hubel.run import Run, at_once

TOGETHER = 32  # pictures that are asked about together, where they are small
SIDE, ABREAST = 224, 4  # of a picture that is shown; classes side by side
CLIPPED = (
    99.5  # percent of cells whose heat is within the scale: a few of a gradient's would leave the others pale
)
BARS = 24  # columns of a vector that are shown, those that count most


@dataclass(frozen=True)
class Side:
    """One class whose evidence is shown.

    against: the class that it is contrasted with   p: its probability, among the two of a contrast; NaN of a regression
    """

    target: int
    against: int | None
    name: str
    p: float

    @property
    def said(self) -> str:
        return self.name if np.isnan(self.p) else f"{self.name} · {self.p:.3f}"


@dataclass(frozen=True)
class Trust:
    """What --check found of one picture and its first class."""

    deletion: Curves
    insertion: Curves
    spoilt: tuple[Spoilt, ...]

    @property
    def comparable(self) -> bool:
        """Whether there are cells enough to say how alike evidence stays."""
        return all(np.isfinite(s.likeness[0]) for s in self.spoilt)


def explain(run: Run, items: Sequence[Item], question: Question, *, method: str) -> Iterator[Finding]:
    """A finding per item, all its classes in one picture. Raises as `attribute` does, and UnknownName for a class."""
    chosen = _chosen(run, question)
    count = 1 if question.contrast else len(chosen) or min(question.top, run.card.outputs)
    step = max(1, at_once(run.preprocess.shape, TOGETHER) // count)
    for start in range(0, len(items), step):
        part = [items[i] for i in range(start, min(start + step, len(items)))]
        x = np.stack([item.x for item in part]).astype(np.float32)
        sides = [side for row in _logits(run, x) for side in _sides(run, row, chosen, question, count)]
        found = attribute(
            run, x.repeat(count, 0), method, [side.target for side in sides], layer=question.layer,
            contrast=None if question.contrast is None else [side.against for side in sides],  # type: ignore[misc]
            seed=question.seed,
        )  # fmt: skip
        for n, item in enumerate(part):
            own = slice(n * count, (n + 1) * count)
            trust = _trust(run, item, sides[own][0], found, n * count, question) if question.check else None
            yield _finding(run, item, sides[own], found, own, trust)
            if question.progress:
                question.progress(start + n + 1, len(items))


def _chosen(run: Run, question: Question) -> list[int]:
    """The classes that are named; of a contrast the two."""
    if question.contrast and question.classes:
        raise InputError("a contrast names its two classes: leave --class out")
    names = question.contrast or question.classes
    if run.classes:
        found = classes_named(run, names)
    else:  # a regression's outputs have numbers alone
        found = [int(n) if n.isascii() and n.isdigit() else -1 for n in names]
        if any(not 0 <= n < run.card.outputs for n in found):
            raise InputError(
                f"this run gives {run.card.outputs} numbers, named from 0, not {', '.join(names)}"
            )
    if question.contrast and found[0] == found[1]:
        raise InputError(f"a contrast is between two classes, and {' and '.join(names)} are the same")
    return found


def _logits(run: Run, x: np.ndarray) -> np.ndarray:
    with asking(run), torch.no_grad():
        device = run.model.mean.device
        return run.model(torch.from_numpy(x).to(device)).cpu().numpy()


def _sides(run: Run, logits: np.ndarray, chosen: list[int], question: Question, count: int) -> list[Side]:
    """Of one item, by its (K,) logits."""
    if run.task == "regress":
        p = np.full(len(logits), np.nan)
        names = [f"output {k}" for k in range(len(logits))]
    else:
        p = np.exp(logits - logits.max(), dtype=np.float64)
        p, names = p / p.sum(), list(run.classes)
    if question.contrast:
        a, b = chosen
        return [Side(a, b, f"{names[a]} rather than {names[b]}", float(p[a] / (p[a] + p[b])))]
    return [
        Side(k, None, names[k], float(p[k]))
        for k in chosen or np.argsort(-logits, kind="stable")[:count].tolist()
    ]


def _trust(run: Run, item: Item, side: Side, found: Attribution, row: int, question: Question) -> Trust:
    x, heat = item.x[None].astype(np.float32), found.heat[row : row + 1]
    seed = question.seed
    drawn = [
        curves(run, x, heat, kind, side.target, contrast=side.against, seed=seed)
        for kind in ("deletion", "insertion")
    ]
    shuffled = spoilt(
        run, x, found.method, side.target, heat, layer=found.layer, contrast=side.against, seed=seed
    )  # fmt: skip
    return Trust(drawn[0], drawn[1], tuple(shuffled))


def _finding(
    run: Run, item: Item, sides: Sequence[Side], found: Attribution, own: slice, trust: Trust | None
) -> Finding:
    heats, values = found.heat[own], found.values[own]
    numbers: dict[str, Any] = {}
    for n, side in enumerate(sides):
        numbers[side.name] = {
            "p": side.p, "logit" if side.against is None else "logits' difference": float(found.output[own][n]),
            "sum": float(values[n].sum()), "min": float(values[n].min()), "max": float(values[n].max()),
        } | ({} if found.incomplete is None else {"sum is off by": float(found.incomplete[own][n])})  # fmt: skip
    if trust:
        numbers |= _measured(trust)
    arrays = {side.name: heat for side, heat in zip(sides, heats, strict=True)}
    said = _said(run, found)
    drawn = (_vector if heats.ndim == 2 else _pictures)(run, item, sides, heats)
    images = [_heading(item, sides, said), drawn]
    if trust:
        images.append(_checked(trust, sides[0], "pixels" if heats.ndim == 3 else "columns"))
    caption = _caption(found, own, sides[0], trust)
    return Finding(
        item.name, f"{item.name}: {said}", drawing.framed(drawing.down(images, 18)), caption, numbers, arrays
    )


def _said(run: Run, found: Attribution) -> str:
    """The method, and what of it is not in its name."""
    shape = run.preprocess.shape
    if found.layer:
        cells = "×".join(map(str, found.values.shape[1:])) if found.method == "grad-cam" else ""
        return f"{found.method} at {found.layer}" + (f", {cells} cells" if cells else "")
    if found.method == "occlusion" and len(shape) == 3:
        side, step = windows(shape)[0][1], windows(shape)[1][1]
        return f"occlusion by windows of {side}×{side} pixels, {step} apart, in the mean colour"
    if found.reference is not None:
        return f"{found.method} from {'black' if len(shape) == 3 else 'the mean row'}"
    return found.method


def _caption(found: Attribution, own: slice, side: Side, trust: Trust | None) -> str:
    low, high = float(found.heat[own][0].min()), float(found.heat[own][0].max())
    said = f"for {side.name}: {number(low)} to {number(high)}"
    if found.incomplete is not None and found.reference is not None:
        gain = float(found.output[own][0] - found.reference[own][0])
        total = number(float(found.values[own][0].sum()))
        said = f"for {side.name}: sums to {total} for a gain of {number(gain)} ({found.incomplete[own][0]:.1%} off)"
    if trust:
        said += "; " + ", ".join(f"{c.kind} {_against_chance(c)}" for c in (trust.deletion, trust.insertion))
        if trust.comparable:
            said += f"; likeness after shuffling all weights {trust.spoilt[-1].likeness[0]:.2f}"
    return said


def _against_chance(c: Curves) -> str:
    return f"{c.area[0]:.3f} (chance {c.random_areas.mean():.3f} ± {c.random_areas.std():.3f})"


def _measured(trust: Trust) -> dict[str, Any]:
    told: dict[str, Any] = {
        c.kind: {
            "area": float(c.area[0]), "random mean": float(c.random_areas.mean()),
            "random sd": float(c.random_areas.std()), "better than random": bool(c.gain(c.random_areas)[0] > 0),
            "moved mean": float(c.moved_areas.mean()), "moved sd": float(c.moved_areas.std()),
            "better than moved": bool(c.gain(c.moved_areas)[0] > 0),
        }
        for c in (trust.deletion, trust.insertion)
    }  # fmt: skip
    if not trust.comparable:
        return told
    return told | {"weights shuffled down to": {s.layer: float(s.likeness[0]) for s in trust.spoilt}}


# --- drawing ----------------------------------------------------------------------------------------------------------


class _Veil(Scale):
    """What heat does to a grey picture in an overlay."""

    def colours(self, values: np.ndarray) -> np.ndarray:
        grey = Image.new("RGB", values.shape[::-1], (128, 128, 128))
        return np.asarray(drawing.overlaid(grey, values, top=self.high))


def _heading(item: Item, sides: Sequence[Side], said: str) -> Image.Image:
    """The item's name; what is shown of it, and its true class where that is known."""
    label = f" · labelled {item.label}" if item.label is not None else ""
    room = SIDE * (1 + min(max(len(sides), 2), ABREAST))
    return drawing.down(
        [
            drawing.words(item.name, 18, bold=True, room=room),
            drawing.words(said + label, 13, drawing.FAINT, room=room),
        ],
        2,
    )


def _pictures(_: Run, item: Item, sides: Sequence[Side], heats: np.ndarray) -> Image.Image:
    """The picture, then for each class its heat above and its overlay below; of a single class side by side."""
    size = np.abs(heats)
    top = float(np.percentile(size, CLIPPED)) or float(size.max())
    scale = Scale(-top, top, DIVERGING) if (heats < 0).any() else Scale(0.0, top, SEQUENTIAL)
    under = drawing.picture(item.x)
    columns = [drawing.down([_tile(under, "picture"), *_key(scale, float(size.max()))], 6)]
    for side, heat in zip(sides, heats, strict=True):
        shown = _tile(drawing.heat_map(heat, scale), side.said)
        over = drawing.overlaid(under, heat, top=top)
        if len(sides) == 1:
            columns += [shown, _tile(over, "overlay")]
        else:
            columns.append(drawing.down([shown, _tile(over)], 4))
    rows = [columns[: 1 + ABREAST]]
    rows += [columns[n : n + ABREAST] for n in range(1 + ABREAST, len(columns), ABREAST)]
    return drawing.down([drawing.across(row) for row in rows])


def _tile(image: Image.Image, name: str = "") -> Image.Image:
    return drawing.tiled([Tile(drawing.enlarged(image, SIDE), name)], size=13)


def _key(scale: Scale, most: float) -> list[Image.Image]:
    """What the colours of heat and overlay stand for, all classes in one scale."""
    if not most:
        return [drawing.words("no evidence anywhere: all heat is 0", 12)]
    made = [
        drawing.words("heat, of the logit", 12), drawing.scale_bar(scale, SIDE - 44),
        drawing.words("overlay", 12), drawing.scale_bar(_Veil(scale.low, scale.high, scale.anchors), SIDE - 44),
    ]  # fmt: skip
    if most > scale.high:
        made.append(drawing.words(f"beyond: the last colour, up to {number(most)}", 11, drawing.FAINT))
    return made


def _vector(run: Run, item: Item, sides: Sequence[Side], heats: np.ndarray) -> Image.Image:
    """A bar for each column, those that count most; the number itself stands beside its name."""
    most = np.argsort(-np.abs(heats).max(0), kind="stable")[:BARS]
    names = run.preprocess.columns or tuple(f"column {n}" for n in range(heats.shape[1]))
    top = float(np.abs(heats).max()) or 1.0
    low = -top if (heats < 0).any() else 0.0
    left = f"; the {BARS} largest of {heats.shape[1]}" if heats.shape[1] > BARS else ""
    charts = []
    for side, heat in zip(sides, heats, strict=True):
        rows = [(f"{names[n]} = {number(float(item.x[n]))}", float(heat[n])) for n in most]
        charts.append(bar_chart(side.said, f"of the logit{left}", rows, low=low, high=top, width=420))
    return drawing.down([drawing.across(charts[n : n + 3], 28) for n in range(0, len(charts), 3)], 20)


def _checked(trust: Trust, side: Side, cells: str) -> Image.Image:
    """Two curves and the bars of the sanity check in a row. cells: what goes and comes"""
    charts = [
        curve_chart(
            "Deletion: should fall early" if c.kind == "deletion" else "Insertion: should rise early",
            f"area {_against_chance(c)}, moved {c.moved_areas.mean():.3f}",
            c.shares, c.followed[0], c.random[:, 0], c.moved[:, 0],
            across=f"{cells} {'gone' if c.kind == 'deletion' else 'there'}", top=_height(c),
        )
        for c in (trust.deletion, trust.insertion)
    ]  # fmt: skip
    rows = [
        (s.layer if len(s.layer) < 17 else f"…{s.layer[-15:]}", float(s.likeness[0])) for s in trust.spoilt
    ]
    if trust.comparable:
        charts.append(
            bar_chart(
                "Weights shuffled, from the head to",
                "how alike the evidence stays; should come near 0",
                rows, low=min(0.0, *(v for _, v in rows)), high=1.0, said=lambda v: number(round(v, 2)),
            )
        )  # fmt: skip
    head = drawing.words(f"Can it be trusted? For {side.name}", 13, bold=True)
    key = f"red: by the evidence · grey: in {REPEATS} random orders · blue: by the same evidence, moved elsewhere"
    return drawing.down([head, drawing.words(key, 12, drawing.FAINT), drawing.across(charts, 24)], 8)


def _height(c: Curves) -> float:
    """1 for probabilities; a regression's curve ends where it ends."""
    return max(1.0, float(c.followed.max()), float(c.random.max()))

"""Pictures before and after an attack, what changed between them, and the least change that flips the answer."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from hubel.attacks import Attack, attacked
from hubel.errors import InputError
from hubel.explanation.drawing import (
    FAINT,
    INK,
    RULE,
    Scale,
    across,
    down,
    enlarged,
    fitted,
    font,
    framed,
    heat_map,
    picture,
    scale_bar,
    words,
)
from hubel.explanation.finding import Finding, Item
from hubel.explanation.inside import asking
from hubel.explanation.robustness import TOLERANCE, Curve, chunks, must_be_pictures, smallest
from hubel.progress import Progress
from hubel.run import Run

ROUNDS = 20  # attacks for a picture at most: one of the eps asked for, nine that double, ten that halve
SIDE, SHOWN = 224, 3  # of a picture in pixels; answers beneath it
TIMES = (10, 5, 2, 1)  # what a difference is multiplied with: the first that fits into half the scale
MOST_LEVELS = 32  # an eps up to here is told in 255ths: 8/255, but 0.2
BAR, WRONG = (196, 214, 236), (240, 190, 172)  # of the answer before, and of what the attack made of it


@dataclass(frozen=True)
class Changed:
    """A picture, the attacked one, and the least changed one that flips the answer; with the logits of each.

    flip: how large its change is, NaN where none was found   flipped: (C, H, W), nothing to see in that case
    """

    item: Item
    before: np.ndarray
    after: np.ndarray
    x: np.ndarray
    flip: float
    flipped: np.ndarray
    at_flip: np.ndarray
    succeeded: bool


def findings(
    run: Run, items: Sequence[Item], attack: Attack, progress: Progress | None = None
) -> Iterator[Finding]:  # fmt: skip
    """One for each picture. Where its true class is not known, it is attacked away from the network's own answer."""
    must_be_pictures(run)
    if attack.target is not None and attack.target >= len(run.classes):
        raise InputError(
            f"there is no class {attack.target} to change to: the network has {len(run.classes)}, "
            f"0 to {len(run.classes) - 1}"
        )
    pieces = chunks(len(items), run.preprocess.shape)
    rounds = _Rounds(len(pieces), progress)
    for chunk in pieces:
        made = changed(run, items[chunk], attack, rounds.one)
        rounds.end()
        for one in made:
            yield finding(run, one, attack)


class _Rounds:
    """Progress in attacks: a piece of the pictures takes at most about ROUNDS, as many as the bisection asks for."""

    def __init__(self, pieces: int, progress: Progress | None) -> None:
        self.total, self.progress = pieces * ROUNDS, progress
        self.ended, self.here = 0, 0

    def one(self) -> None:
        self.here = min(self.here + 1, ROUNDS)
        self._tell()

    def end(self) -> None:
        self.ended, self.here = self.ended + ROUNDS, 0
        self._tell()

    def _tell(self) -> None:
        if self.progress:
            self.progress(self.ended + self.here, self.total)


def changed(
    run: Run, items: Sequence[Item], attack: Attack, told: Callable[[], None] | None = None
) -> list[Changed]:
    """The items attacked together. Of what is answered wrongly already, nothing is changed. told: after each attack"""
    x = torch.from_numpy(np.stack([item.x for item in items]))
    with asking(run, attack.seed) as model:
        before = _logits(model, x)
        known = [run.classes.index(item.label) if item.label in run.classes else -1 for item in items]
        labels = torch.where(torch.tensor(known) >= 0, torch.tensor(known), before.argmax(1))
        standing = torch.nonzero(~attack.succeeded(before, labels))[:, 0]
        after = x.clone()
        if len(standing):
            after[standing] = attacked(model, x[standing], labels[standing], attack, whole=True)
        if told:
            told()
        flips = smallest(model, x, labels, attack, progress=told)
        seen, at_flip = _logits(model, after), _logits(model, flips.x)
        there = attack.succeeded(seen, labels)
    return [
        Changed(
            item, before[n].numpy(), seen[n].numpy(), after[n].numpy(), float(flips.size[n]), flips.x[n].numpy(),
            at_flip[n].numpy(), bool(there[n]),
        )
        for n, item in enumerate(items)
    ]  # fmt: skip


def finding(run: Run, made: Changed, attack: Attack) -> Finding:
    """The pictures side by side, each with its best answers."""
    first, second, least = run.answers(
        ["", "", ""], np.stack([made.before, made.after, made.at_flip]), top=SHOWN
    )
    difference = made.x - made.item.x
    linf, l2 = float(np.abs(difference).max()), float(np.linalg.norm(difference))
    size = f"length {l2:.3g}" if attack.measure == "l2" else f"eps {amount(attack.eps, attack.eps)}"
    columns = [
        _column("before", made.item.x, first.top, BAR),
        _column(f"after, {size}", made.x, second.top, WRONG if made.succeeded else BAR),
        _difference(difference),
    ]
    if attack.measure == "linf" and made.flip > 0:
        named = f"least that flips, {amount(made.flip, attack.eps)}"
        columns.append(_column(named, made.flipped, least.top, WRONG))
    numbers: dict[str, Any] = {
        "attack": attack.method, "eps": attack.eps, "answer": first.answer, "p": first.p, "after": second.answer,
        "p after": second.p, "flipped": made.succeeded, "linf": linf, "l2": l2,
        "least": None if np.isnan(made.flip) else made.flip,
    }  # fmt: skip
    if attack.measure == "linf":
        numbers["least is within"] = TOLERANCE
    else:
        del numbers["eps"]
    if made.item.label is not None:
        numbers = {"label": made.item.label} | numbers
    arrays = {"before": made.item.x, "after": made.x}
    title = f"{made.item.name}: {_way(first.answer, second.answer)}"
    return Finding(
        made.item.name,
        title,
        framed(across(columns, 16)),
        _told(made, attack, first, second, least),
        numbers,
        arrays,
    )


def curve_finding(found: Curve, name: str, about: str, target: str | None = None) -> Finding:
    """The curve as a picture. name: of what was attacked   target: the class that is wanted, by its name"""
    eps = [amount(level.size, found.attack.eps) for level in found.levels]
    shares = {"accuracy": [level.accuracy for level in found.levels]}
    if target is not None:
        shares[f"says {target}"] = [level.met for level in found.levels]
    numbers = {f"{what} at {at}": y for what, ys in shares.items() for at, y in zip(eps, ys, strict=True)}
    arrays = {"eps": [level.size for level in found.levels], **shares}
    image = framed(Image.open(io.BytesIO(drawn(found, target))).convert("RGB"), 12)
    return Finding(
        "robustness", f"Accuracy of {name} against {found.attack.method}", image, about, numbers,
        {key: np.array(values, np.float32) for key, values in arrays.items()},
    )  # fmt: skip


def drawn(found: Curve, target: str | None = None) -> bytes:
    """Accuracy against size with its 95 % interval, as a PNG. Equal curves give equal bytes.

    target: with how many answer this class, dashed
    """
    from matplotlib.figure import Figure

    from hubel.evaluation.curves import COLOURS, PALE, apart, unframed
    from hubel.evaluation.curves import INK as DARK

    sizes = [level.size for level in found.levels]
    shares = [100 * level.accuracy for level in found.levels]
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots()
    low, high = ([100 * getattr(level.interval, end) for level in found.levels] for end in ("low", "high"))
    axes.fill_between(sizes, low, high, color=COLOURS[0], alpha=0.15, linewidth=0)
    axes.plot(sizes, shares, color=COLOURS[0], linewidth=2, marker="o", markersize=5, clip_on=False)
    for size, share in zip(sizes, shares, strict=True):  # above and to the right, where the curve never is
        last = size == sizes[-1]
        axes.annotate(
            f"{share:.1f}", (size, share), (0 if last else 6, 7), textcoords="offset points",
            ha="center" if last else "left", fontsize=9, color=DARK, annotation_clip=False,
        )  # fmt: skip
    if target is not None:
        met = [100 * level.met for level in found.levels]
        axes.plot(sizes, met, "--", color=COLOURS[1], linewidth=2, marker="s", markersize=5, clip_on=False)
        names = (("accuracy", shares[-1]), (f"says {target}", met[-1]))
        heights = apart([end / 100 for _, end in names], 0.075)
        for (name, end), height, colour in zip(names, heights, COLOURS, strict=False):
            axes.annotate(
                name, (sizes[-1], end), (1.03, height), textcoords="axes fraction", color=colour, va="center",
                annotation_clip=False, parse_math=False,
            )  # fmt: skip
    axes.set_ylim(0, 100)
    axes.set_xlim(0, max(sizes) or 1)
    axes.set_xticks(sizes, [amount(size, found.attack.eps) for size in sizes])
    unit = "length of the change" if found.attack.measure == "l2" else "eps, the largest change of a pixel"
    axes.set_xlabel(unit, color=PALE)
    what = "accuracy" if target is None else "answers"
    said = f"{what}, %  ({found.attack.method}, n = {found.levels[0].n:,})"
    axes.set_title(said, loc="left", fontsize=12, color=DARK, pad=18)
    unframed(axes)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=120, metadata={"Software": "hubel"})
    return out.getvalue()


def amount(size: float, beside: float) -> str:
    """A size in the words of the eps that was asked for: in grey levels where that is a small whole number of them."""
    levels = beside * 255
    whole = abs(levels - round(levels)) < 1e-6 and 0 < round(levels) <= MOST_LEVELS
    return f"{size * 255:.3g}/255" if whole and size else f"{size:.3g}"


def _logits(model: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    with torch.no_grad():
        return model(x).float()


def _way(one: str, other: str) -> str:
    return f"{one} stays" if one == other else f"{one} → {other}"


def _told(made: Changed, attack: Attack, first: Any, second: Any, least: Any) -> str:
    """What happened, in a sentence or two."""
    way = f"{_way(first.answer, second.answer)}, p {first.p:.3f} → {second.p:.3f}"
    if attack.method == "deepfool":
        return way + ("" if np.isnan(made.flip) else f"; a change of length {made.flip:.3g} suffices")
    if np.isnan(made.flip):
        return f"{way}; no change of any size was found that flips it"
    if made.flip == 0:
        return f"{first.answer} without any change" + (
            "" if made.item.label is None else f" ({made.item.label} is right)"
        )
    return f"{way}; {least.answer} from eps {amount(made.flip, attack.eps)} on"


def _column(
    name: str, x: np.ndarray, top: Sequence[tuple[str, float]], colour: tuple[int, int, int]
) -> Image.Image:
    """A picture with its name over it, and bars of its best answers beneath."""
    image = enlarged(picture(x), SIDE)
    return down(
        [words(name, 13, bold=True, room=max(SIDE, image.width)), image, _bars(top, image.width, colour)], 6
    )


def _difference(difference: np.ndarray) -> Image.Image:
    """What was added: of one channel blue for darker and red for lighter, else around a middle grey."""
    top = float(np.abs(difference).max())
    times = next((t for t in TIMES if top * t <= 0.5), 1)
    if len(difference) == 3:
        image = enlarged(picture(0.5 + times * difference), SIDE)
        note = f"grey = no change, {top * 255:.3g}/255 at most"
        return down(
            [words(f"difference × {times}", 13, bold=True), image, words(note, 12, FAINT, room=SIDE)], 6
        )
    scale = Scale(-top, top, Scale.of(np.array([-1.0])).anchors)
    image = enlarged(heat_map(difference[0], scale), SIDE)
    bar = scale_bar(scale, image.width)
    return down([words("difference", 13, bold=True), image, bar], 6)


def _bars(top: Sequence[tuple[str, float]], width: int, colour: tuple[int, int, int]) -> Image.Image:
    """Class, probability, and a bar as long as it, a line each."""
    tall = 22
    made = Image.new("RGB", (width, tall * len(top)), (255, 255, 255))
    pen = ImageDraw.Draw(made)
    for row, (name, p) in enumerate(top):
        y = row * tall
        pen.rectangle((0, y + 2, width - 1, y + tall - 3), fill=(246, 247, 249), outline=RULE)
        if p * width >= 1:
            pen.rectangle((0, y + 2, round(p * (width - 1)), y + tall - 3), fill=colour)
        said = fitted(name, width - 60, 12)
        pen.text((6, y + tall // 2), said, fill=INK, font=font(12, text=said), anchor="lm")
        pen.text((width - 6, y + tall // 2), f"{p:.3f}", fill=INK, font=font(12), anchor="rm")
    return made

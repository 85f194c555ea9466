"""report.html: one file, everything inside it, that opens offline and asks the network for nothing.

Names of classes and files are somebody else's: Jinja2 escapes them in the page, script_json() in its data.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hubel.data import Problem, Split
from hubel.evaluation import boundary as plane
from hubel.evaluation import charts, gallery
from hubel.evaluation.boundary import Boundary
from hubel.evaluation.gallery import COLUMNS, PER_SHEET
from hubel.evaluation.scores import Classification, Evaluation, Regression
from hubel.run import Run

PAGE = Path(__file__).parent / "page"
MATRIX_CLASSES = 200  # above, the most frequent confusions instead of a matrix
CONFUSIONS = 12  # named beside a matrix
CONFUSIONS_ALONE = 40  # named where there is no matrix
CONFUSIONS_FOUND = 100_000  # that a search finds there, the most frequent ones: 3 MB
WORST = 24  # mistakes (or residuals) shown large
PROBLEMS = 200  # problems of the data listed


def page(
    run: Run,
    evaluation: Evaluation,
    split: Split,
    *,
    problems: Sequence[Problem] = (),
    boundary: Boundary | None = None,
) -> bytes:
    """The page about one evaluation. split: the items that it measured, in the same order."""
    facts = _facts(run, evaluation) | {"problems": problems[:PROBLEMS], "problem_count": len(problems)}
    if isinstance(evaluation, Classification):
        facts |= _classes(evaluation, split)
    elif isinstance(evaluation, Regression):
        facts |= _residuals(evaluation, split)
    if boundary is not None:
        facts["boundary"] = _boundary_plot(boundary)
        facts["boundary_names"] = list(zip(boundary.names, plane.COLOURS, strict=False))
    html = _template().render(**facts)
    return html.encode("utf-8", "replace")  # a file name may hold half a character


def script_json(value: Any) -> str:
    """JSON that can stand inside <script>: no name can close the element or open a comment."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def templates(folder: Path) -> Any:
    """Jinja's environment for the pages in a folder: all is escaped, and a name that is not given is an error."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip


def _template() -> Any:
    from markupsafe import Markup

    environment = templates(PAGE)
    environment.filters |= {"percent": percent, "number": number, "duration": duration, "shape": _shape}
    environment.globals |= {
        "css": Markup((PAGE / "report.css").read_text("utf-8")),  # noqa: S704 - our own file
        "js": Markup((PAGE / "report.js").read_text("utf-8")),  # noqa: S704 - our own file
        "script_json": lambda value: Markup(script_json(value)),  # noqa: S704 - escaped there
    }
    return environment.get_template("report.html.jinja")


def percent(share: float, decimals: int = 1) -> str:
    """0.9912 -> 99.1 %; a dash where there is nothing."""
    return f"{share * 100:.{decimals}f} %" if math.isfinite(share) else "–"


def number(value: float, digits: int = 4) -> str:
    """12345 -> 12,345; -0.012345 -> −0.01234; a dash where there is nothing."""
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    return f"{value:,.{digits}g}".replace("-", "−") if math.isfinite(value) else "–"


def duration(seconds: float) -> str:
    """31.4 -> 31 s; 252 -> 4 min 12 s; 7300 -> 2 h 2 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _shape(output: Sequence[int]) -> str:
    return " × ".join(map(str, output))


def _facts(run: Run, evaluation: Evaluation) -> dict[str, Any]:
    """What every page has, whatever the task."""
    layers, timing = run.layers(), run.timing
    seconds = sum(row.get("seconds", 0.0) for row in timing)
    recipe = [(name, _setting(value), name in run.set_by_user) for name, value in run.recipe.items()]
    return {
        "run": run,
        "e": evaluation,
        "task": run.task,
        "things": "pictures" if run.preprocess.kind == "picture" else "items",
        "seconds": seconds,
        "epochs": len(run.history),
        "curves": charts.learning_curves(run.history),
        "layers": layers,
        "most_parameters": max((l.parameters for l in layers), default=0) or 1,
        "most_multiply_adds": max((l.multiply_adds for l in layers), default=0) or 1,
        "recipe": recipe,
        "command": train_command(run),
        "data": None,
        "boundary": None,
        "sheets": None,
    }


def _setting(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def train_command(run: Run) -> str:
    """The `hubel train` that makes this run again: data, network, and everything that the user chose."""
    words = ["hubel", "train", str(run.data.get("location", "DATA")), "--network", run.network.name]
    for name, value in run.network.arguments.items():
        words += ["--arg", f"{name}={json.dumps(value)}"]
    chosen = {name: run.recipe[name] for name in (*run.set_by_user, "seed") if name in run.recipe}
    for name, value in {**run.settings.get("asked", {}), **chosen}.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [
                f"--{flag}",
                ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value),
            ]
    return shlex.join(words)


def _classes(evaluation: Classification, split: Split) -> dict[str, Any]:
    """The matrix or what stands for it, with its pictures; the worst mistakes; the classes; the reliability diagram."""
    predictions = evaluation.predictions
    K = len(predictions.classes)
    wrong = np.flatnonzero(predictions.known & ~predictions.right)
    worst = wrong[np.lexsort((wrong, -predictions.loss[wrong]))][:WORST]
    has_matrix = K <= MATRIX_CLASSES
    confusions = np.array(evaluation.confusions(CONFUSIONS_FOUND), dtype=np.int64).reshape(-1, 3)[:, :2]
    listed = confusions[: CONFUSIONS if has_matrix else CONFUSIONS_ALONE]
    if has_matrix:
        pairs = np.stack([evaluation.confusion.label, evaluation.confusion.answer], 1)
    else:
        of_worst = np.stack([predictions.labels[worst], predictions.answers[worst]], 1)
        pairs = np.unique(np.concatenate([confusions, of_worst]), axis=0)
    shown, cells = gallery.choose(predictions, pairs, worst, listed)
    sheets = _sheets(split, shown)
    place = {int(item): n for n, item in enumerate(shown)}
    t = evaluation.per_class
    rows = np.stack([t.precision, t.recall, t.f1], 1).round(5).tolist()
    data = {
        "classes": predictions.classes,
        "matrix": has_matrix,
        "cells": [[c.label, c.answer, c.count, c.start, c.stop] for c in cells],
        "confusions": listed.tolist(),
        "items": [_item(evaluation, int(i)) for i in shown],
        "table": [[*row, support] for row, support in zip(rows, t.support.tolist(), strict=True)],
        "sprite": sheets and {"columns": COLUMNS, "each": PER_SHEET, "h": sheets.h, "w": sheets.w},
    }
    return {
        "data": data,
        "sheets": sheets,
        "sheet_columns": COLUMNS,
        "classes": predictions.classes,
        "unlabelled": len(predictions) - evaluation.n,
        "worst": [_worst(evaluation, int(i), place[int(i)]) for i in worst],
        "calibration": charts.calibration(evaluation.calibration),
        "found": None if has_matrix else charts.spread(t.recall[t.support > 0]),
        "decimals": 2 if evaluation.n >= 1000 else 1,
    }


def _item(evaluation: Classification, i: int) -> list[Any]:
    """[name, label, answer, loss, [class, p, class, p, …]] of one item, its three best classes."""
    p = evaluation.predictions
    best = [
        value
        for k, share in zip(p.top[i, :3].tolist(), p.top_p[i, :3].tolist(), strict=True)
        if math.isfinite(share)
        for value in (k, round(share, 5))
    ]
    return [_whole(p.items[i]), int(p.labels[i]), int(p.answers[i]), round(float(p.loss[i]), 4), best]


def _worst(evaluation: Classification, i: int, place: int) -> dict[str, Any]:
    name, label, answer, loss, best = _item(evaluation, i)
    sheet, within = divmod(place, PER_SHEET)
    y, x = divmod(within, COLUMNS)
    names = evaluation.predictions.classes
    bars = [(names[k], share, k == label) for k, share in zip(best[::2], best[1::2], strict=True)]
    return {
        "item": name, "label": names[label], "answer": names[answer], "loss": loss, "bars": bars,
        "n": place, "sheet": sheet, "x": x, "y": y,
    }  # fmt: skip


def _whole(name: str) -> str:
    """A file name that is not UTF-8 holds surrogates, which no page can show."""
    return name.encode("utf-8", "replace").decode("utf-8")


def _sheets(split: Split, shown: np.ndarray) -> gallery.Sheets | None:
    if split.inputs.ndim != 4 or not len(shown):
        return None
    return gallery.draw(np.asarray(split.inputs[np.sort(shown)])[np.argsort(np.argsort(shown))])


def _residuals(evaluation: Regression, split: Split) -> dict[str, Any]:
    """The scatter of each column, the worst items with their numbers."""
    values = evaluation.predictions
    worst = np.argsort(-values.loss, kind="stable")[:WORST]
    columns = values.targets.shape[1]
    sheets = _sheets(split, worst)
    t, y = values.targets, values.answers
    rows = [
        {
            "item": _whole(values.items[i]), "x": n % COLUMNS, "y": n // COLUMNS,
            "targets": t[i].tolist(), "answers": y[i].tolist(), "residuals": (y[i] - t[i]).tolist(),
        }
        for n, i in enumerate(worst.tolist())
    ]  # fmt: skip
    names = [""] if columns == 1 else [f"column {c + 1}" for c in range(min(columns, 12))]
    return {
        "scatters": [charts.scatter(t[:, c], y[:, c], name) for c, name in enumerate(names)],
        "residuals": rows,
        "sheets": sheets,
        "sheet_columns": COLUMNS,
    }


def _boundary_plot(drawn: Boundary) -> charts.Plot:
    """The field as a picture under its points, on axes that the page draws."""
    from PIL import Image

    (left, bottom), (right, top) = drawn.low.tolist(), drawn.high.tolist()
    x, y = (_inside(charts.axis(a, b, steps=8), a, b) for a, b in ((left, right), (bottom, top)))
    groups = [(k, drawn.points[drawn.group == k].T.tolist()) for k in np.unique(drawn.group)]
    halo = charts.Shape("dots halo", charts.dots(x, y, *drawn.points.T.tolist()))
    coloured = [(f"dots group{k % len(plane.COLOURS)}", charts.dots(x, y, *points)) for k, points in groups]
    shapes = (halo, *(charts.Shape(kind, path) for kind, path in coloured))
    image = gallery.data_address(Image.fromarray(drawn.field, "RGBA"))
    return charts.Plot("Decision boundary", drawn.axes[0], drawn.axes[1], x, y, shapes, image=image)


def _inside(axis: charts.Axis, low: float, high: float) -> charts.Axis:
    """The same ticks on an axis that ends where the picture ends."""
    values = [(axis.low + at * (axis.high - axis.low), text) for at, text in axis.ticks]
    ticks = tuple(((v - low) / (high - low), text) for v, text in values if low <= v <= high)
    return charts.Axis(low, high, ticks)

"""`hubel attack RUN [PICTURES…|DATA]`: what would change a network's answer; pictures with a page, or a curve over data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hubel.attacks.settings import METHODS, Attack, usual_eps
from hubel.cli import complete
from hubel.cli.amounts import amounts, divided
from hubel.cli.answering import Weights, found
from hubel.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from hubel.explanation.robustness import Curve
    from hubel.run import Run

LENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)  # of changes, at which DeepFool's curve is read
FOLDER = "attacked"  # where pictures go without --out


def attack(
    run: Annotated[str, typer.Argument(metavar="RUN", autocompletion=complete.networks_and_runs, help="A run folder; with --weights a network's name.")],
    what: Annotated[list[str] | None, typer.Argument(metavar="[PICTURES…|DATA]", autocompletion=complete.data, help="Pictures, folders of them, or -; or data: a name, a folder of class folders, an archive. Without any: the run's test part.")] = None,
    method: Annotated[str, typer.Option("--method", "-m", metavar="M", help=f"{', '.join(METHODS)}: one step of the gradient, many, the nearest boundary, towards --target.")] = "pgd",
    eps: Annotated[str | None, typer.Option(metavar="E", help="Largest change of a pixel, of the full scale, as 8/255 or 0.03; of data several with commas. By default 0.3 for one channel, 8/255 for colour. Of deepfool: lengths of the whole change.")] = None,
    steps: Annotated[int, typer.Option(help="Steps of the gradient, of all but fgsm.")] = 40,
    step: Annotated[float, typer.Option(parser=divided, metavar="<float>", help="Length of one; 0 = 2.5 eps / steps.")] = 0.0,
    restarts: Annotated[int, typer.Option(help="Of pgd and targeted: beginnings from random places.")] = 1,
    target: Annotated[str | None, typer.Option(metavar="CLASS", help="Of targeted: the answer that is wanted, by name or number.")] = None,
    items: Annotated[str | None, typer.Option(metavar="0,5,17", help="These items of the run's test part as pictures.")] = None,
    limit: Annotated[int, typer.Option(metavar="N", help="Of data: so many items, drawn by --seed; 0 = all.")] = 1000,
    weights: Weights = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="DIR", help="Where the pictures and their page go; a new folder by default.")] = None,
    seed: Annotated[int, typer.Option(help="Of what is drawn: items, and the places where pgd begins.")] = 0,
    json_: Annotated[bool, typer.Option("--json", help="Print numbers and arrays as JSON and nothing else; files only with --out.")] = False,
) -> None:  # fmt: skip
    """Change pictures a little so that the network errs; over data, measure how much change it bears."""
    from hubel.explanation.inside import classes_named
    from hubel.explanation.robustness import must_be_pictures
    from hubel.files import must_be_free

    if limit < 0 or seed < 0:
        raise InputError(f"--limit and --seed begin at 0, got {limit} and {seed}")
    must_be_free(out)
    trained = found(run, weights, quiet=json_, instead="use `hubel explain` by --method maps, ").run
    must_be_pictures(trained)
    sizes = amounts("--eps", eps) if eps is not None else []
    if method == "deepfool" and not all(0 <= length < float("inf") for length in sizes):
        raise InputError(f"--eps of deepfool takes lengths of the whole change from 0, as 0.5,1,2, got {eps}")
    largest = max(sizes) if sizes and method != "deepfool" else usual_eps(trained.preprocess.shape[0])
    wanted = classes_named(trained, [target])[0] if target is not None else None
    settings = Attack(method, largest, steps, step, restarts, wanted, seed)
    named = what or []
    asked = _Asked(run, trained, settings, out, json_)
    if items is None and (not named or (len(named) == 1 and is_data(named[0]))):
        asked.curve(named[0] if named else None, sizes, limit)
    else:
        if len(sizes) > 1:
            raise InputError(f"--eps takes several sizes for data only; for pictures name one of {eps}")
        asked.pictures(named, items)


@dataclass(frozen=True)
class _Asked:
    """What both ways of asking share."""

    name: str
    run: Run
    attack: Attack
    out: Path | None
    json: bool

    @property
    def target(self) -> str | None:
        """The class that is wanted, by its name."""
        return None if self.attack.target is None else self.run.classes[self.attack.target]

    def pictures(self, named: list[str], numbers: str | None) -> None:
        """Each picture before and after, in a page."""
        from hubel.cli import left_out, show
        from hubel.cli.asking import Kept, asked_about, short_name
        from hubel.explanation.attack import findings
        from hubel.explanation.finding import write
        from hubel.files import new_folder

        given = asked_about(self.run, "picture", named, numbers, self.attack.seed)
        kept, page = Kept(arrays=self.json), None
        with show.bar("attacking", "attacks", quiet=self.json) as bar:
            made = kept.passing(findings(self.run, given.items, self.attack, bar.advance))
            first = list(islice(made, 1))  # what is wrong shows here, before a folder is made
            if self.out is not None or not self.json:
                folder = new_folder(self.out, f"{short_name(self.name)}-{self.attack.method}", FOLDER)
                title = f"Attacked by {self.attack.method} · {short_name(self.name)}"
                page = write(chain(first, made), folder, title, about=f"{given.said} {self.told()}".strip())
            for _ in made:
                pass  # kept for JSON
        if self.json:
            told = {
                "run": self.name,
                "attack": vars(self.attack),
                "findings": kept.dicts,
                "problems": left_out.as_dicts(given.problems),
            }
            show.as_json(told | ({"page": str(page)} if page else {}))
            return
        self._print(kept.dicts)
        show.say(f"attack   {self.told()}")
        show.say(f"page     {page}")
        left_out.tell(given.problems)

    def _print(self, rows: list[dict[str, Any]]) -> None:
        """A line a picture: what was answered, what is answered now, and the least change that flips it."""
        from hubel.cli import show
        from hubel.explanation.attack import amount

        labelled = any("label" in row["numbers"] for row in rows)
        table = []
        for row in rows:
            n = row["numbers"]
            least = "none found" if n["least"] is None else amount(n["least"], self.attack.eps)
            table.append(
                (row["name"], *([n.get("label", "")] if labelled else []), n["answer"], f"{n['p']:.4f}", n["after"],
                 f"{n['p after']:.4f}", "yes" if n["flipped"] else "no", least)
            )  # fmt: skip
        least = "least length" if self.attack.measure == "l2" else "least eps"
        columns = [
            "item",
            *(["label"] if labelled else []),
            "answer",
            "p",
            "after",
            "its p",
            "flipped",
            least,
        ]
        show.table(columns, table, right=f"p its_p {least.replace(' ', '_')}", whole=True)

    def curve(self, place: str | None, sizes: Sequence[float], limit: int) -> None:
        """Accuracy against eps: a table, a picture of the curve, its page."""
        from hubel.cli import show
        from hubel.cli.asking import short_name
        from hubel.evaluation.evaluate import labelled, opened
        from hubel.explanation.attack import curve_finding
        from hubel.explanation.finding import write
        from hubel.explanation.inside import must_bring_data
        from hubel.explanation.robustness import curve
        from hubel.files import new_folder

        if place is None:
            must_bring_data(self.run, "pictures, or data with its classes")
        with show.bar("attacking", "items", quiet=self.json) as bar:
            given = opened(self.run, place, progress=bar.advance)
            labels = labelled(self.run, given)
            chosen = drawn(len(labels), limit, self.attack.seed)
            made = curve(
                self.run,
                given.split.inputs[chosen],
                labels[chosen],
                self.attack,
                self.sizes(sizes),
                bar.advance,
            )
        n, all_ = made.levels[0].n, len(labels)
        part = (
            f"all {all_:,} items" if given.part == "all" else f"the {all_:,} items of the {given.part} part"
        )
        about = f"{n:,} of {part} of {given.dataset.name}. {self.told()}"
        page = None
        if self.out is not None or not self.json:
            name = short_name(self.name)
            folder = new_folder(self.out, f"{name}-{self.attack.method}-curve", FOLDER)
            finding = curve_finding(made, given.dataset.name, about, self.target)
            page = write([finding], folder, f"Robustness · {name}", about=about)
        if self.json:
            told = {"run": self.name, "data": given.dataset.name, "part": given.part, **made.to_dict()}
            show.as_json(told | ({"page": str(page)} if page else {}))
            return
        self._table(made)
        show.say(f"items    {n:,} of {part} of {given.dataset.name}")
        show.say(f"attack   {self.told()}")
        show.say(f"page     {page}")

    def _table(self, made: Curve) -> None:
        from hubel.cli import show
        from hubel.explanation.attack import amount

        size = "length" if self.attack.measure == "l2" else "eps"
        rows = []
        for level in made.levels:
            low, high = 100 * level.interval.low, 100 * level.interval.high
            to = [show.percent(level.met)] if self.target is not None else []
            shown = (
                amount(level.size, self.attack.eps),
                show.percent(level.accuracy),
                f"{low:.2f} to {high:.2f}",
            )
            rows.append((*shown, f"{level.right:,}", *to))
        aimed = [f"says {self.target}"] if self.target is not None else []
        columns = [size, "accuracy", "95 % interval", "right", *aimed]
        show.table(columns, rows, right=" ".join(c.replace(" ", "_") for c in columns) + " x_")

    def sizes(self, said: Sequence[float]) -> Sequence[float]:
        """Where the curve is read: as it was said; quarters of a single eps."""
        if self.attack.measure == "l2":
            return said or LENGTHS
        return said if len(said) > 1 else [self.attack.eps * k / 4 for k in range(1, 5)]

    def told(self) -> str:
        """The attack in words."""
        from hubel.explanation.attack import amount

        a = self.attack
        eps = f"eps {amount(a.eps, a.eps)}"
        match a.method:
            case "fgsm":
                return f"fgsm, {eps}: one step"
            case "deepfool":
                return f"deepfool, at most {a.steps} steps over the nearest boundary"
        step = amount(a.step or 2.5 * a.eps / a.steps, a.eps)
        towards = f" towards {self.target}" if self.target is not None else ""
        begun = "1 random beginning" if a.restarts == 1 else f"{a.restarts} random beginnings"
        return f"pgd{towards}, {eps}: {a.steps} steps of {step}, {begun}, seed {a.seed}"


def is_data(said: str) -> bool:
    """Whether a word means data with classes: no picture, and no folder in which pictures lie side by side."""
    from hubel.data.pictures import SUFFIXES

    path = Path(said)
    if said == "-":
        return False
    if path.is_dir():
        return not any(file.suffix.lower() in SUFFIXES for file in path.iterdir() if file.is_file())
    return path.suffix.lower() not in SUFFIXES


def drawn(count: int, limit: int, seed: int) -> np.ndarray:
    """Places of at most `limit` items (0 = all), in the data's order."""
    import numpy as np

    if not limit or limit >= count:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, limit, replace=False))


def add(app: typer.Typer) -> None:
    app.command()(attack)

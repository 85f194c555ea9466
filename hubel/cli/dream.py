"""`hubel dream RUN [PICTURE]`: the picture that a class, a map or a layer answers to most; from nothing, or Deep Dream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hubel.cli import complete
from hubel.cli.answering import Found, Weights, found
from hubel.errors import InputError, Interrupted

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from hubel.cli.show import Bar
    from hubel.explanation.finding import Finding
    from hubel.explanation.objective import Dream, Moment, Target
    from hubel.run import Run

FOLDER = "dreams"  # where pictures go without --out
SHOWN = 224  # pixels to which small pictures are brought on the page
MOST = 640  # pixels of a photograph's longer side, where --size does not say
COLUMNS = 5


def dream(
    run: Annotated[str, typer.Argument(metavar="RUN", autocompletion=complete.networks_and_runs, help="A run folder; with --weights a network's name.")],
    photo: Annotated[str | None, typer.Argument(metavar="[PICTURE]", help="A photograph to dream on (Deep Dream); without one the picture comes from nothing.")] = None,
    classes: Annotated[list[str] | None, typer.Option("--class", "-c", metavar="C", help="Raise the log-odds of a class, by name or number; may come several times.")] = None,
    all_classes: Annotated[bool, typer.Option("--all-classes", help="Each class, one after the other.")] = False,
    layer: Annotated[str | None, typer.Option(help="Raise a layer: half the mean of its squares; `hubel describe` names the layers. For a photograph one is chosen.")] = None,
    map_: Annotated[int | None, typer.Option("--map", metavar="N", help="Raise the mean of one map of the layer, from 0.")] = None,
    size: Annotated[str | None, typer.Option(metavar="N|HxW", help="Of the picture. By default the network's; a photograph's own, up to 640 pixels.")] = None,
    steps: Annotated[int | None, typer.Option(help="By default 256, 128 for pictures over 64 pixels; for a photograph 10 at each octave.")] = None,
    octaves: Annotated[int | None, typer.Option(help="Sizes that a photograph is gone through; 4 by default.")] = None,
    weights: Weights = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE.png|DIR", help="One picture (of several a sheet), or a folder with a page; a new folder by default.")] = None,
    animate: Annotated[Path | None, typer.Option(metavar="FILE.gif|FILE.png", help="Write the way there as an animation, too.")] = None,
    seed: Annotated[int, typer.Option(help="Of the start and of the views.")] = 0,
    json_: Annotated[bool, typer.Option("--json", help="Print numbers and arrays as JSON and nothing else; files only with --out.")] = False,
) -> None:  # fmt: skip
    """Paint what a network would answer to most."""
    from hubel.cli import show
    from hubel.cli.asking import short_name
    from hubel.cli.picture_files import free, is_picture_file, size_of
    from hubel.explanation.film import film_format
    from hubel.files import must_be_free

    for name, count in (("--steps", steps), ("--octaves", octaves)):
        if count is not None and count < 1:
            raise InputError(f"{name} must be at least 1, got {count}")
    if photo is None and octaves is not None:
        raise InputError("--octaves are for a photograph: name a PICTURE, or leave them out")
    given = found(run, weights, features=True, quiet=True)
    targets = _targets(given, classes or [], all_classes, layer, map_, photo is not None)
    if animate is not None:
        film_format(animate)
        free(animate, "--animate")
        if animate == out:
            raise InputError(f"--out and --animate are both {out}: name two files")
    if out is not None and is_picture_file(out):
        free(out, "--out")
    else:
        must_be_free(out)
    dreamer = _Dreamer(given.run, photo, size_of(size), steps, octaves, seed)
    with show.bar("dreaming", "steps", quiet=json_) as bar:
        made = _dreamt(dreamer, targets, bar, keep=animate is not None)
    findings = [_finding(given, d, n) for d, n in zip(made.dreams, made.notes, strict=True)]
    if made.dreams and animate is not None:
        _write_film(made, animate)
    where = None
    if made.dreams and not (json_ and out is None):
        where = _write(made.dreams, findings, out, short_name(run))
    if made.stopped:
        kept = f": what stood then is {where}" if where else ""
        raise Interrupted(f"interrupted while dreaming of {made.stopped}{kept}")
    if json_:
        told = {"run": run, "dreams": [f.to_dict() for f in findings]}
        files = {"file": where, "animation": animate}
        show.as_json(told | {name: str(path) for name, path in files.items() if path})
        return
    _print(made.dreams, findings)
    show.say(f"{'picture ' if is_picture_file(where or Path()) else 'page    '} {where}")
    if animate is not None:
        show.say(f"the way  {animate}")


def _targets(
    given: Found, classes: Sequence[str], every: bool, layer: str | None, number: int | None, photo: bool
) -> list[Target]:
    """What is asked for. Raises InputError unless it is one kind of thing, and there."""
    from hubel.explanation.objective import classes_of, layer_of, only_pictures, usual_layer

    run = given.run
    only_pictures(run)
    if sum((bool(classes), every, layer is not None)) > 1:
        raise InputError("dream of classes (--class, --all-classes) or of a --layer: one of the three")
    if number is not None and layer is None:
        raise InputError(f"--map {number} of which layer? Name it with --layer; `hubel describe` lists them")
    if classes or every:
        if not given.answers:
            raise InputError(
                f"the weights of {run.network.name} are without their last layer, and so know no classes: "
                "name --layer and --map"
            )
        return classes_of(run, classes)
    if layer is None and not photo:
        raise InputError("of what? Name a --class, --all-classes, or a --layer and a --map")
    return [layer_of(run, layer if layer is not None else usual_layer(run), number)]


@dataclass(frozen=True)
class _Dreamer:
    """How each target is dreamt of, and of what size."""

    run: Run
    photo: str | None
    size: tuple[int, ...]
    steps: int | None
    octaves: int | None
    seed: int

    def __call__(self, target: Target, watch: Any) -> Dream:
        from hubel.explanation.deepdream import Retouching, deepdream
        from hubel.explanation.dream import Dreaming, dream

        if self.photo is None:
            sides = self.size * 2 if len(self.size) == 1 else self.size
            how = Dreaming(steps=self.steps or 0, seed=self.seed)
            return dream(self.run, target, how, (sides[0], sides[1]) if sides else None, watch)
        usual = Retouching()
        chosen = Retouching(
            steps=self.steps or usual.steps, octaves=self.octaves or usual.octaves, seed=self.seed
        )
        return deepdream(self.run, target, self.photograph(target), chosen, watch)

    def photograph(self, target: Target) -> Tensor:
        """At the size that is asked for, at its own, or at the network's where its layers take no other."""
        import torch

        from hubel.cli.picture_files import photograph
        from hubel.explanation.objective import Objective

        assert self.photo is not None
        taken = photograph(self.photo, self.run.preprocess.shape[0], self.size, MOST)
        if self.size or not Objective(self.run, target).refusal(taken.shape[1], taken.shape[2]):
            return taken
        return torch.from_numpy(self.run.pixels(self.photo))[0]


@dataclass
class _Made:
    """What came of it. frames: of each dream, where they are kept   stopped: at what Ctrl-C came, "" if it did not"""

    dreams: list[Dream] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    frames: list[list[Image]] = field(default_factory=list)
    stopped: str = ""


def _dreamt(dreamer: _Dreamer, targets: Sequence[Target], bar: Bar, *, keep: bool) -> _Made:
    """All dreams in order; on Ctrl-C those that are done, and the one that was begun as it stands."""
    from hubel.explanation.drawing import picture
    from hubel.explanation.film import is_frame
    from hubel.explanation.objective import Dream

    made, last = _Made(), list[Any]()
    for place, target in enumerate(targets):
        frames: list[Image] = []

        def watch(now: Moment, place: int = place, frames: list[Image] = frames) -> None:
            last[:] = [now]
            bar.advance(place * now.steps + now.step, len(targets) * now.steps)
            if keep and is_frame(now.step, now.steps):
                frames.append(picture(now.picture.numpy()))

        last.clear()
        try:
            made.dreams.append(dreamer(target, watch))
            made.notes.append("")
        except KeyboardInterrupt:
            made.stopped = target.name
            if last:
                now: Moment = last[0]
                made.stopped += f", at step {now.step} of {now.steps}"
                made.dreams.append(Dream(target, now.picture.numpy(), float("nan"), now.value))
                made.notes.append(f"interrupted at step {now.step} of {now.steps}")
        if len(made.frames) < len(made.dreams):
            made.frames.append([*frames, picture(made.dreams[-1].picture)])
        if made.stopped:
            break
    return made


def _finding(given: Found, dream: Dream, note: str) -> Finding:
    """What the page and JSON tell of one dream; probabilities are of the picture with 256 levels, as it is written."""
    import numpy as np
    import torch

    from hubel.explanation.drawing import enlarged, number, picture
    from hubel.explanation.finding import Finding, file_name
    from hubel.explanation.objective import raised_by

    target, (_, height, width) = dream.target, dream.picture.shape
    numbers: dict[str, Any] = {"raised": raised_by(target), "from": dream.began, "to": dream.value}
    if target.number is not None:
        levels = torch.from_numpy(np.rint(dream.picture * 255).astype(np.float32) / 255)
        with torch.no_grad():
            numbers["p"] = float(given.run.model(levels[None]).softmax(1)[0, target.number])
    said = f"{height}×{width} pixels; {raised_by(target)} from {number(dream.began)} to {number(dream.value)}"
    image = picture(dream.picture)
    return Finding(
        file_name(target.name), target.name, enlarged(image, SHOWN) if max(image.size) < SHOWN else image,
        note or said, numbers, {"picture": dream.picture},
    )  # fmt: skip


def _write(dreams: Sequence[Dream], findings: Sequence[Finding], out: Path | None, name: str) -> Path:
    """The picture itself, a sheet of several, or a folder with a page; where it is."""
    from hubel.cli.picture_files import is_picture_file, write_picture
    from hubel.explanation import drawing
    from hubel.explanation.finding import write
    from hubel.files import new_folder

    if out is not None and is_picture_file(out):
        one = drawing.picture(dreams[0].picture)
        write_picture(one if len(dreams) == 1 else _sheet([f.image for f in findings], findings), out)
        return out
    kind = findings[0].name if len(findings) == 1 else "classes"
    return write(findings, new_folder(out, f"{name}-{kind}", FOLDER), f"Dreams · {name}")


def _sheet(images: Sequence[Image], findings: Sequence[Finding]) -> Image:
    from hubel.cli import show
    from hubel.explanation import drawing

    tiles = [
        drawing.Tile(image, f.title, f"p {show.percent(f.numbers['p'])}")
        for image, f in zip(images, findings, strict=True)
    ]
    return drawing.framed(drawing.tiled(tiles, COLUMNS))


def _write_film(made: _Made, path: Path) -> None:
    """One picture at its size; several side by side, all at one pace."""
    from hubel.explanation import drawing
    from hubel.explanation.film import write_film

    if len(made.frames) == 1:
        frames = made.frames[0]
        small = max(frames[-1].size) < SHOWN
        write_film([drawing.enlarged(f, SHOWN) for f in frames] if small else frames, path)
        return
    length = max(map(len, made.frames))
    names = [d.target.name for d in made.dreams]
    sheets = []
    for moment in range(length):
        shown = [frames[min(moment, len(frames) - 1)] for frames in made.frames]
        tiles = [
            drawing.Tile(drawing.enlarged(f, SHOWN // 2), name) for f, name in zip(shown, names, strict=True)
        ]
        sheets.append(drawing.framed(drawing.tiled(tiles, COLUMNS), 12))
    write_film(sheets, path)


def _print(dreams: Sequence[Dream], findings: Sequence[Finding]) -> None:
    from hubel.cli import show

    known = dreams[0].target.number is not None
    columns = ["dream", "raised", "from", "to", *(["p"] if known else [])]
    rows = [
        (f.title, f.numbers["raised"], f"{d.began:.4g}", f"{d.value:.4g}", *([show.percent(f.numbers["p"])] if known else []))
        for d, f in zip(dreams, findings, strict=True)
    ]  # fmt: skip
    show.table(columns, rows, right="from to p")


def add(app: typer.Typer) -> None:
    app.command()(dream)

"""`hubel data [NAME|PATH]`: the known data sets, or one: counts, sizes, problems, a contact sheet.

`hubel data pack SOURCE -o FOLDER` writes one as shards.
"""

from __future__ import annotations

import shlex
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hubel.cli import complete
from hubel.errors import InputError

if TYPE_CHECKING:
    from hubel.data.records import Source
    from hubel.data.survey import Known, Survey

FEW_CLASSES = 30  # up to here each has a line; more are told by their extremes
FEW_COLUMNS, FEW_PROBLEMS = 30, 20


def data(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME|PATH]",
            help="A data set; without it, the known ones are listed. `pack` writes SOURCE as shards into --out.",
            autocompletion=complete.data,
        ),
    ] = None,
    packed: Annotated[
        str | None,
        typer.Argument(metavar="[SOURCE]", help="Behind `pack`: a data set.", autocompletion=complete.data),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE.png|FOLDER",
            help="Write a contact sheet: a dozen training pictures of each class. With pack: a new folder for the shards.",
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Decode every item, so that all problems are found. Opens the test pictures too."
        ),
    ] = False,
    task: Annotated[
        str | None, typer.Option(help="classify, or regress to real numbers; found out from the data.")
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Of the split, where the data give none; with pack of the order, too.")
    ] = 0,
    shard_size: Annotated[
        str | None,
        typer.Option(
            "--shard-size", metavar="SIZE", help="With pack: of a tar, about; 256MB where it is not said."
        ),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON and nothing else.")] = False,
) -> None:
    """Show what a data set holds, or list the known ones."""
    from hubel.cli import show

    if what == "pack":
        if check:
            raise InputError("pack tries every picture by itself: leave --check out")
        _pack(packed, out, shard_size, _task(task), seed, json_)
        return
    if packed is not None or shard_size is not None:
        said = repr(packed) if packed is not None else "--shard-size"
        raise InputError(f"{said} belongs behind pack: hubel data pack SOURCE -o FOLDER")
    if what is None:
        if out or check:
            raise InputError(f"{'--out' if out else '--check'} needs a data set: hubel data NAME|PATH")
        _list(json_)
        return
    from hubel.data import open_source
    from hubel.data.survey import survey

    if out is not None and Path(out).suffix.lower() != ".png":
        raise InputError(f"--out writes a PNG, so name a file that ends in .png, not {out!r}")
    source = open_source(what, task=_task(task))  # type: ignore[arg-type]
    with show.bar(f"checking {source.name}", quiet=json_) as bar:
        found = survey(source, seed=seed, check=check, progress=bar.advance)
    if out is not None:
        _write_sheet(source, Path(out), seed)
    if json_:
        show.as_json(_as_dict(found, out))
        return
    _tell(found, seed)
    _counts(found)
    _columns(found)
    _problems(found)
    _next(found, shlex.quote(what), out)


def _pack(
    packed: str | None, out: str | None, shard_size: str | None, task: str | None, seed: int, json_: bool
) -> None:
    """Write a data set as shards, and say what they hold and what to do with them."""
    import dataclasses

    from hubel.cli import show
    from hubel.data import open_source
    from hubel.data.packing import SHARD, bytes_of, pack

    if packed is None or out is None:
        raise InputError("pack needs a data set and a new folder: hubel data pack SOURCE -o FOLDER")
    size = SHARD if shard_size is None else bytes_of(shard_size)
    source = open_source(packed, task=task)  # type: ignore[arg-type]
    with show.bar(f"packing {source.name}", quiet=json_) as bar:
        made = pack(source, out, shard_size=size, seed=seed, progress=bar.advance)
    if json_:
        parts = {part: dataclasses.asdict(amount) for part, amount in made.parts.items()}
        problems = [dataclasses.asdict(problem) for problem in made.problems]
        show.as_json({"folder": str(made.folder), "parts": parts, "problems": problems})
        return
    rows = [
        (part, f"{n.pictures:,}", f"{n.tars:,}", f"{n.bytes / 1e6:,.1f} MB")
        for part, n in made.parts.items()
        if n.pictures
    ]
    show.table(
        ["part", "pictures", "tars", "size"],
        rows,
        right="pictures tars size",
        title=f"shards of {source.name}",
    )
    if made.problems:
        told = [(p.item, p.reason) for p in made.problems[:FEW_PROBLEMS]]
        show.table(
            ["item", "reason"],
            told,
            title=f"{show.some(len(made.problems), 'picture')} {'was' if len(made.problems) == 1 else 'were'} left out",
        )
    show.say(f"shards   {made.folder}")
    show.say(f"\nLearn from them: hubel train {shlex.quote(str(made.folder))}")


def _list(json_: bool) -> None:
    from hubel.cli import show
    from hubel.data.survey import known, own_folders

    sets, folders = known(), own_folders()
    if json_:
        listed = [
            {"name": k.name, "folder": k.folder and str(k.folder), "download": k.download} for k in sets
        ]
        show.as_json({"known": listed, "folders": folders})
        return
    show.table(["data", "where"], [(k.name, _place(k)) for k in sets])
    if folders:
        show.say(f"Folders in $HUBEL_DATA that can be said by name too: {', '.join(folders)}")
    show.say("Or a path: a folder or an archive of class folders, a folder of IDX files, shards, .npz, .csv")
    show.say("\nLook into one: hubel data NAME|PATH")


def _place(known: Known) -> str:
    if known.folder:
        return str(known.folder)
    return f"to be downloaded, {known.download / 1e6:,.0f} MB" if known.download else "comes with hubel"


def _task(task: str | None) -> str | None:
    if task not in (None, "classify", "regress"):
        raise InputError(f"--task is classify or regress, got {task!r}")
    return task


def _write_sheet(source: Source, out: Path, seed: int) -> None:
    from hubel.data.sheet import contact_sheet
    from hubel.files import must_have_a_folder, write_atomically

    must_have_a_folder(out)
    write_atomically(out, contact_sheet(source, seed=seed))


def _tell(found: Survey, seed: int) -> None:
    from hubel.cli import show

    pictures = "grey pictures" if found.shape[0] == 1 else "colour pictures"
    kind = "numbers" if found.kind == "vector" else pictures
    task = f"{len(found.classes):,} classes" if found.task == "classify" else "a regression"
    show.say(f"data     {found.name}: {found.items:,} items, {kind}, {task}")
    show.say(f"where    {_where(found)}")
    axes = " (channels × height × width)" if found.kind == "picture" else ""
    show.say(f"shape    {show.shape(found.shape)}{axes}")
    if len(found.sizes) > 1:
        common = ", ".join(f"{h}×{w} ({n:,})" for (h, w), n in found.sizes)
        show.say(f"sizes    {common}: the most common among {found.looked_at:,} pictures, height × width")
    if found.shared:
        show.say("parts    every item is in train, val and test alike")
    else:
        sizes = " / ".join(f"{sum(numbers.values()):,} {part}" for part, numbers in found.counts.items())
        drawn = "all" if len(found.drawn) == len(found.counts) else " and ".join(found.drawn)
        show.say(f"parts    {sizes}, {f'{drawn} drawn with seed {seed}' if drawn else 'as the data say'}")


def _where(found: Survey) -> str:
    from hubel.data.survey import known

    for k in known():
        if k.name == found.location:
            return str(k.folder) if k.folder else "comes with hubel"
    return found.location


def _counts(found: Survey) -> None:
    from hubel.cli import show

    if found.task != "classify":
        return
    parts = list(found.counts)
    if len(found.classes) <= FEW_CLASSES:
        rows = [(name, *(f"{found.counts[p][name]:,}" for p in parts)) for name in found.classes]
        show.table(["class", *parts], rows, right=" ".join(parts))
        return
    rows = []
    for part in parts:
        numbers = list(found.counts[part].values())
        median = f"{statistics.median(numbers):,.4g}"
        rows.append((part, f"{min(numbers):,}", median, f"{max(numbers):,}", f"{numbers.count(0):,}"))
    columns = ["part", "fewest", "median", "most", "empty"]
    title = f"items in each of the {len(found.classes):,} classes"
    show.table(columns, rows, right="fewest median most empty", title=title)
    ranked = sorted(found.counts[parts[0]].items(), key=lambda pair: -pair[1])
    if ranked[0][1] > ranked[-1][1]:
        show.say(f"largest in {parts[0]}: {', '.join(f'{name} ({n:,})' for name, n in ranked[:5])}")
        show.say(f"smallest in {parts[0]}: {', '.join(f'{name} ({n:,})' for name, n in ranked[:-6:-1])}")


def _columns(found: Survey) -> None:
    from hubel.cli import show

    if found.columns:
        shown = found.columns[:FEW_COLUMNS]
        rows = [(c.name, *(f"{v:.4g}" for v in (c.low, c.high, c.mean, c.sd))) for c in shown]
        more = len(found.columns) > len(shown)
        first = f" (the first {len(shown)} of {len(found.columns):,})" if more else ""
        title = f"columns, in the train part{first}"
        show.table(["column", "low", "high", "mean", "sd"], rows, right="low high mean sd", title=title)


def _problems(found: Survey) -> None:
    from hubel.cli import show

    if not found.problems:
        show.say("problems none: every item was decoded" if found.checked else "problems none in the listing")
        return
    of = f"{len(found.problems):,} problems" if len(found.problems) > 1 else "1 problem"
    first = f", the first {FEW_PROBLEMS} (all: --json)" if len(found.problems) > FEW_PROBLEMS else ""
    rows = [(p.item, p.reason) for p in found.problems[:FEW_PROBLEMS]]
    show.table(["item", "reason"], rows, title=f"{of}{first}")


def _next(found: Survey, what: str, out: str | None) -> None:
    """Where the sheet lies, and what else there is to see. what: as the shell takes it."""
    from hubel.cli import show

    show.say()
    if out is not None:
        show.say(f"sheet    {out}")
    elif found.kind == "picture":
        show.say(f"See its pictures: hubel data {what} -o {shlex.quote(f'{found.name}-sheet.png')}")
    if not found.checked:
        show.say(f"Try every item (test pictures are opened too): hubel data {what} --check")


def _as_dict(found: Survey, sheet: str | None) -> dict[str, object]:
    import dataclasses

    facts = dataclasses.asdict(found)
    facts["sizes"] = [{"height": h, "width": w, "pictures": n} for (h, w), n in found.sizes]
    return {**facts, "sheet": sheet}


def add(app: typer.Typer) -> None:
    app.command()(data)

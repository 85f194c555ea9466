"""`hubel train DATA`: train a network, measure it on the test part, write the run folder."""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from hubel.cli import complete
from hubel.cli.amounts import divided
from hubel.errors import HubelError, InputError, MachineError
from hubel.training.recipe import TRANSFER, Recipe

if TYPE_CHECKING:
    from hubel.evaluation.scores import Evaluation
    from hubel.training.job import Job
    from hubel.training.loop import Epoch


SAVING = "Saving and going on"
MOST_LINES = 50  # of epochs on the screen; history.jsonl has them all


def train(
    data: Annotated[str | None, typer.Argument(autocompletion=complete.data, help="A name (see `hubel data`) or a path: a folder of class folders, an archive of one, IDX, CSV, .npz. By default digits.")] = None,
    network: Annotated[str | None, typer.Option("--network", "-n", autocompletion=complete.networks, help="A network of the zoo, or one in a line as 'conv8x3 relu pool2 fc'; by default the one for such data.")] = None,
    hidden: Annotated[str | None, typer.Option(help="Of mlp: sizes of its hidden layers, as 4 or 300,100; none for one neuron.")] = None,
    weights: Annotated[str | None, typer.Option(metavar="NAME|FILE|FOLDER", help="Begin with public weights: a known name, a .safetensors, .pth or .npz file, an archive's folder.", rich_help_panel=TRANSFER)] = None,
    from_run: Annotated[str | None, typer.Option("--from", metavar="RUN", autocompletion=complete.runs, help="Begin with the weights of a run, its network and its way of preparing pictures.", rich_help_panel=TRANSFER)] = None,
    with_feedback: Annotated[str | None, typer.Option(metavar="DIR|URL", help="Learn people's corrections, too, that `hubel serve --feedback` has kept there.")] = None,
    arg: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Any other argument of the network, as bias=false. May be repeated.")] = None,
    out: Annotated[str | None, typer.Option("--out", "-o", help="The run folder, exactly. Default: runs/DATA-NETWORK-TIME.")] = None,
    preset: Annotated[str | None, typer.Option(help="A ready way to train the network, where it has one: fast, accurate.")] = None,
    recipe: Annotated[str | None, typer.Option(metavar="FILE", help="Settings from a TOML file, or another run's run.toml.")] = None,
    task: Annotated[str | None, typer.Option(help="classify, or regress to real numbers; found out from the data.")] = None,
    resize: Annotated[str | None, typer.Option(help="How pictures of another size are fitted: letterbox, pad, stretch, crop; auto.")] = None,
    size: Annotated[str | None, typer.Option("--input", metavar="HxW", help="The size of the pictures that the network receives.")] = None,
    normalize: Annotated[bool | None, typer.Option("--normalize/--no-normalize", help="Subtract the mean and divide by the deviation of the train part.")] = None,
    val: Annotated[float | None, typer.Option(help="Share (0.1) or count (5000) of items kept for validation.")] = None,
    resume: Annotated[str | None, typer.Option(metavar="RUN", autocompletion=complete.runs, help="Go on with a training that was ended, exactly as if it had not been.", rich_help_panel=SAVING)] = None,
    force: Annotated[bool, typer.Option("--force", help="Resume although data, settings or versions are others now.", rich_help_panel=SAVING)] = False,
    checkpoint_every: Annotated[str | None, typer.Option(metavar="TIME|STEPS", help="When to save what --resume goes on from: 30s, 50steps, epoch. Default: 30s.", rich_help_panel=SAVING)] = None,
    time_limit: Annotated[str | None, typer.Option(metavar="TIME", help="Save and end after 90s, 10m, 1h30m, to be resumed.", rich_help_panel=SAVING)] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write event files into the run folder.")] = False,
    evaluate: Annotated[bool, typer.Option("--evaluate/--no-evaluate", help="Open the test part afterwards and write the report.")] = True,
    json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON and nothing else.")] = False,
    **settings: Any,
) -> None:  # fmt: skip
    """Train a network on DATA, measure it on the test part, and write everything into one run folder."""
    from hubel.cli import show
    from hubel.training.checkpoint import unfinished
    from hubel.training.distributed import told_ranks
    from hubel.training.planning import prepare
    from hubel.training.resuming import resumed

    chosen = {k: v for k, v in settings.items() if v is not None}
    if "milestones" in chosen:
        chosen["milestones"] = tuple(_number("--milestones", m) for m in str(chosen["milestones"]).split(","))
    options = {
        "network": network, "arguments": _arguments(hidden, arg or []) or None, "preset": preset, "recipe": recipe, "task": task,
        "resize": resize, "input_size": _size(size), "normalize": normalize, "val": val, "tensorboard": tensorboard or None,
        "weights": weights, "from_run": from_run, "feedback": with_feedback, "checkpoint_every": checkpoint_every,
        "time_limit": time_limit, **chosen,
    }  # fmt: skip
    given = {name: value for name, value in options.items() if value is not None}
    first = told_ranks().first
    if not first:  # of several processes one speaks
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - to the end of this process
        json_ = True
    again = _again(out)
    resume = resume or again or _offered(out, json_)
    if resume is not None and not unfinished(Path(resume)):
        if not first:
            return
        _ended(Path(resume), {} if again else given, evaluate, json_)
        return
    job = (
        resumed(resume, data, force=force, **given) if resume else prepare(data or "digits", out=out, **given)
    )
    try:
        with show.bar(f"reading {job.source.name}", quiet=json_) as bar:
            job.begin(bar.advance)
        if not json_:
            _announce(job)
        with show.bar("training", "steps", quiet=json_) as bar:
            every = math.ceil(job.recipe.epochs / MOST_LINES)
            for epoch in job.epochs(bar.advance):
                if epoch.epoch % every == 0 or epoch.epoch in (1, job.recipe.epochs) or not epoch.whole:
                    bar.line(_line(epoch, job.recipe.epochs))
    except (HubelError, KeyboardInterrupt):
        job.abandon()
        raise
    if not first:
        return
    if evaluate:
        _tell(_measured(job.folder, json_), _next(job, shlex.quote(str(job.folder))), json_)
    elif json_:
        show.as_json({"run": str(job.folder)})
    else:
        show.say(
            f"\nThe run lies in {job.folder}. Measure it with: hubel evaluate {shlex.quote(str(job.folder))}"
        )


def _again(out: str | None) -> str | None:
    """The folder of --out, where a launcher begins again after a process was lost and something is there to go on with."""
    from hubel.run import SETTINGS
    from hubel.training.launching import RESTART

    lost = os.environ.get(RESTART, "0") not in ("", "0")
    return out if out is not None and lost and (Path(out) / SETTINGS).is_file() else None


def _offered(out: str | None, quiet: bool) -> str | None:
    """The folder of an unfinished training that --out names, where the user at the terminal wants to go on with it."""
    from hubel.training.checkpoint import unfinished

    if out is None or quiet or not unfinished(Path(out)) or not sys.stdin.isatty():
        return None
    return (
        out
        if typer.confirm(f"{out} holds a training that has not ended. Go on with it?", default=True)
        else None
    )


def _ended(folder: Path, given: dict[str, Any], evaluate: bool, json_: bool) -> None:
    """Asked to go on with a training that has ended: what is left to do of it, or that nothing is."""
    from hubel.cli import show
    from hubel.evaluation.predictions import CSV
    from hubel.evaluation.scores import REPORT
    from hubel.run import load

    run = load(folder)
    if given.keys() - {"checkpoint_every", "time_limit"}:
        raise InputError(
            f"the training in {folder} has ended, after {show.some(len(run.history), 'epoch')}. To train it further, "
            f"begin another run with its weights: hubel train {shlex.quote(str(run.data.get('location', 'DATA')))} "
            f"--from {shlex.quote(str(folder))}"
        )
    if not json_:
        show.say(f"the training in {folder} has ended: {show.some(len(run.history), 'epoch')}")
    if evaluate and not all((folder / name).is_file() for name in (CSV, REPORT)):
        _tell(_measured(folder, json_), [f"hubel describe {shlex.quote(str(folder))}"], json_)
    elif json_:
        show.as_json({"run": str(folder)})
    else:
        show.say("Nothing is left to do")


def _measured(folder: Path, quiet: bool) -> Evaluation:
    from hubel.cli import show
    from hubel.evaluation.evaluate import evaluate

    with show.bar("testing", quiet=quiet) as bar:
        try:
            return evaluate(folder, progress=bar.advance)
        except MachineError as e:
            named = shlex.quote(str(folder))
            raise type(e)(
                f"{e}. The trained network is in {folder}; measure it with: hubel evaluate {named}"
            ) from e


def _announce(job: Job) -> None:
    from hubel.cli import show
    from hubel.zoo.describe import parameters

    counts = job.counts
    parts = " / ".join(f"{counts[p]:,} {p}" for p in ("train", "val", "test") if counts.get(p))
    show.say(f"data     {job.source.name}: {parts}, {show.shape(job.source.shape)}, {_what(job)}")
    trainer = job.trainer
    show.say(
        f"network  {job.network.name}: {parameters(trainer.engine.model):,} parameters, input {show.shape(job.shape)}, "
        f"{job.recipe.optimizer}, {show.some(job.recipe.epochs, 'epoch')} of {show.some(trainer.per_epoch, 'step')}, {trainer.engine.arithmetic}"
    )
    for line in job.told:
        show.say(f"weights  {line}")
    for line in job.resuming:
        show.say(f"resumed  {line}")
    if job.learnt_too:
        show.say(f"feedback {job.learnt_too}")
    if job.recipe.freeze != "none":
        show.say(f"frozen   {_frozen(job)}")
    if job.recipe.adversarial != "none":
        show.say(f"attacks  {_attacks(job)}")
    show.say(f"run      {job.folder}")
    for problem in job.dataset.problems[:5]:
        show.say(f"skipped  {problem.item}: {problem.reason}")
    if len(job.dataset.problems) > 5:
        show.say(
            f"skipped  and {len(job.dataset.problems) - 5} more: see `hubel data {shlex.quote(job.source.location)}`"
        )


def _frozen(job: Job) -> str:
    """What does not learn, until when, and whether it is computed once."""
    model, recipe = job.trainer.engine.model, job.recipe
    learn = sum(p.numel() for p in model.parameters() if p.requires_grad)
    what = (
        "the backbone" if recipe.freeze == "backbone" else f"the first {recipe.freeze} layers with parameters"
    )
    until = f" until epoch {recipe.unfreeze_at}" if recipe.unfreeze_at else ""
    once = "; what it makes of each item is computed once" if job.trainer.engine.behind else ""
    return f"{what}{until}, so that {learn:,} parameters learn{once}"


def _attacks(job: Job) -> str:
    """What each batch goes through before it is learnt from."""
    recipe = job.recipe
    steps = f", {recipe.adversarial_steps} steps" if recipe.adversarial == "pgd" else ""
    return (
        f"{recipe.adversarial} within eps {recipe.adversarial_eps:.3g}{steps}; loss and train accuracy are of the "
        f"attacked pictures"
    )


def _what(job: Job) -> str:
    return f"{len(job.source.classes):,} classes" if job.source.task == "classify" else "a regression"


def _line(epoch: Epoch, epochs: int) -> str:
    from hubel.cli.show import percent

    width = len(str(epochs))
    parts = [f"epoch {epoch.epoch:>{width}}/{epochs}", f"loss {epoch.train_loss:.4f}"]
    if epoch.train_accuracy is not None:
        parts.append(f"train {percent(epoch.train_accuracy)}")
    if epoch.val_accuracy is not None:
        parts.append(f"val {percent(epoch.val_accuracy)}")
    elif epoch.val_loss is not None:
        parts.append(f"val loss {epoch.val_loss:.4f}")
    parts.append(f"{epoch.images_per_second:,.0f} items/s" + ("" if epoch.whole else "  (cut short)"))
    return "  ".join(parts)


def _tell(found: Evaluation, commands: list[str], json_: bool) -> None:
    """What the test part gave. commands: what could be tried next"""
    from hubel.cli import show
    from hubel.cli.evaluate import headline

    folder = found.folder
    if json_:
        show.as_json({"run": str(folder), **found.to_dict()})
        return
    show.say()
    show.say(headline(found))
    show.say(f"run      {folder}")
    show.say(f"report   {found.report}")
    show.say("\nTry next:")
    for command in commands:
        show.say(f"  {command}")


def _next(job: Job, folder: str) -> list[str]:
    """Three commands that can be typed as they stand."""
    place = shlex.quote(str(job.source.location))
    if job.source.kind == "vector":
        task = " --task regress" if job.source.task == "regress" else ""
        other = f"hubel train {place}{task} --network mlp --hidden 20,20"
        return [f"hubel describe {folder}", f"hubel data {place}", other]
    network = "lenet-keras" if job.network.name == "lenet5" else "lenet5"
    look = f"hubel data {place} -o pictures.png"
    if Path(job.source.location).is_dir():
        picture = Path(job.source.location) / job.source.items[0]
        if picture.is_file():
            look = f"hubel predict {folder} {shlex.quote(str(picture))}"
    first = "explain" if job.source.task == "classify" else "describe"
    return [f"hubel {first} {folder}", look, f"hubel train {place} --network {network}"]


def _arguments(hidden: str | None, pairs: list[str]) -> dict[str, Any]:
    """--hidden 300,100 and --arg bias=false as the network's keyword arguments. A value is JSON where it can be."""
    made: dict[str, Any] = {}
    if hidden is not None:
        sizes = [] if hidden.strip() in ("", "none", "0") else hidden.split(",")
        made["hidden"] = tuple(int(_number("--hidden", s, whole=True)) for s in sizes)
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise InputError(f"--arg takes NAME=VALUE, got {pair!r}")
        try:
            made[name.replace("-", "_")] = json.loads(value)
        except ValueError:
            made[name.replace("-", "_")] = value
    return made


def _number(option: str, text: str, *, whole: bool = False) -> float:
    try:
        return int(text) if whole else float(text)
    except ValueError:
        raise InputError(f"{option} takes numbers separated by commas, got {text!r}") from None


def _size(text: str | None) -> tuple[int, int] | None:
    """28 or 28x36 as (height, width)."""
    if text is None:
        return None
    sides = text.lower().replace("×", "x").split("x")
    if len(sides) > 2 or not all(s.isascii() and s.isdigit() and 0 < int(s) <= 4096 for s in sides):
        raise InputError(f"--input takes HEIGHTxWIDTH in pixels up to 4096, as 32x32, got {text!r}")
    return int(sides[0]), int(sides[-1])


def _with_recipe_options() -> inspect.Signature:
    """The signature of `train` with one option per field of Recipe: their one definition is there."""
    fixed = inspect.signature(train, eval_str=True)
    parameters = [p for p in fixed.parameters.values() if p.kind is not p.VAR_KEYWORD]
    hints = get_type_hints(Recipe)
    for field in dataclasses.fields(Recipe):
        kind = hints[field.name] if hints[field.name] in (int, float, str, bool) else str
        name = field.name.replace("_", "-")
        flags = (f"--{name}/--no-{name}",) if kind is bool else (f"--{name}",)
        option = typer.Option(
            *flags, help=field.metadata["help"], rich_help_panel=field.metadata["group"],
            parser=divided if kind is float else None, metavar="<float>" if kind is float else None,
        )  # fmt: skip
        annotation: Any = Annotated[kind | None, option]
        parameters.append(
            inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        )
    return fixed.replace(parameters=parameters)


train.__signature__ = _with_recipe_options()  # type: ignore[attr-defined]
train.__annotations__ = {name: p.annotation for name, p in train.__signature__.parameters.items()}  # type: ignore[attr-defined]


def add(app: typer.Typer) -> None:
    app.command()(train)

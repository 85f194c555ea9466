"""Going on with a training that ended before its time: its settings from run.toml, its state from checkpoint/.

What an uninterrupted training would have given comes out, byte for byte, on the same machine with the same number of
threads. Where something is not as it was, that is said, and nothing is done without `force`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hubel.data import Source
from hubel.errors import ArtifactError, InputError
from hubel.run import FORMAT, SETTINGS, read_settings
from hubel.training.job import Job
from hubel.training.planning import prepare

# What run.toml says of the moment, and what makes no difference to what is learnt.
PASSING = ("created", "set_by_user", "asked.tensorboard")


def resumed(
    run: str | Path, data: str | Path | Source | None = None, *, force: bool = False, **options: Any
) -> Job:
    """The training in the folder `run`, ready to begin() where it was left.

    data, options: as for prepare; what is not given is as it was. Raises InputError where something differs from what
    the run was begun with and `force` is not set, and where there is no run.
    """
    folder = Path(run)
    stored = read_settings(folder)
    if not stored:
        raise InputError(
            f"no run to go on with at {folder}: {folder / SETTINGS} is not there. Name the folder of a run"
        )
    if options.pop("out", None) is not None:
        raise InputError(f"--resume goes on in {folder} itself: leave --out out")
    try:
        asked = dict(stored["asked"])
        was = _options(stored, asked)
        where = stored["data"]["location"] if data is None else data
    except (KeyError, TypeError, AttributeError, ValueError) as e:
        raise ArtifactError(
            f"{folder / SETTINGS} is not what `hubel train` writes ({type(e).__name__}: {e})"
        ) from e
    given = {name: value for name, value in options.items() if value is not None}
    recipe = {**dict(stored["recipe"]), **_recipe_of(given)}
    job = prepare(where, **{**was, **given, "recipe": recipe}, place=lambda _: folder)
    job.asked = {**asked, **{name: v for name, v in job.asked.items() if name != "preset"}}
    job.set_by_user = tuple({*stored["set_by_user"], *(name for name in given if name in recipe)})
    job.resumed, job.force = True, force
    changes = list(differences(stored, job.settings()))
    if changes and not force:
        raise InputError(
            f"{folder} was begun otherwise: {'; '.join(changes)}. Leave that as it was, or say --force to go on so"
        )
    job.resuming += changes
    return job


def _options(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """What prepare() was told, out of what run.toml says."""
    begun_with = {"weights": asked.get("weights"), "from_run": asked.get("from")}
    size = asked.get("input")
    return {
        **begun_with,
        "network": None if asked.get("from") else stored["network"]["name"],
        "arguments": {k: tuple(v) if isinstance(v, list) else v for k, v in stored["network"]["arguments"].items()},
        "resize": stored["network"]["resize"], "input_size": tuple(map(int, size.split("x"))) if size else None,
        "task": asked.get("task"), "normalize": asked.get("normalize"), "val": asked.get("val"),
        "feedback": asked.get("with_feedback"), "tensorboard": bool(asked.get("tensorboard")),
    }  # fmt: skip


def _recipe_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe that is given anew takes the place of the stored one, setting by setting."""
    from hubel.training.recipe import read_recipe

    recipe = given.get("recipe")
    if recipe is None:
        return {}
    return read_recipe(recipe) if isinstance(recipe, str | Path) else dict(recipe)


def differences(then: Mapping[str, Any], now: Mapping[str, Any], at: str = "") -> Iterator[str]:
    """What two settings of run.toml do not agree in, as "--lr 0.1, now 0.2"."""
    for name in sorted(then.keys() | now.keys()):
        before, after, where = then.get(name), now.get(name), f"{at}.{name}" if at else name
        if where in PASSING or (where == "format" and before is not None and before <= FORMAT):
            continue
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from differences(before, after, where)
        elif before != after:
            said = ["nothing" if value is None else value for value in (before, after)]
            yield f"{_called(where)} {said[0]}, now {said[1]}"


def _called(where: str) -> str:
    """ "recipe.weight_decay" -> "--weight-decay", as the user says it; "data.train" -> "data train"."""
    section, _, name = where.partition(".")
    return f"--{name.replace('_', '-')}" if section in ("recipe", "asked") else where.replace(".", " ")

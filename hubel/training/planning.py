"""Decide a training: every name and value is checked here, before anything slow begins. Torch is not imported."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hubel import zoo
from hubel.attacks import usual_eps
from hubel.data import Dataset, Preprocess, Source, open_source
from hubel.data.feedback import Store, shown
from hubel.errors import InputError, MissingExtra, Unfinished, UnknownName
from hubel.files import new_folder
from hubel.run import Network
from hubel.training.checkpoint import Every, duration, unfinished
from hubel.training.distributed import told_ranks
from hubel.training.job import Job
from hubel.training.recipe import AGAINST, compose, for_few, read_recipe
from hubel.training.transfer import recipe_for, start
from hubel.zoo.entry import Preset


def prepare(
    data: str | Path | Source = "digits", *, network: str | None = None, arguments: Mapping[str, Any] | None = None,
    out: str | Path | None = None, preset: str | None = None, recipe: str | Path | Mapping[str, Any] | None = None,
    task: str | None = None, resize: str = "auto", input_size: tuple[int, int] | None = None,
    normalize: bool | None = None, val: float | int | None = None, tensorboard: bool = False,
    weights: str | Path | None = None, from_run: str | Path | None = None, feedback: str | None = None,
    checkpoint_every: str = "30s", time_limit: str | float | None = None, place: Callable[[str], Path] | None = None,
    **settings: Any,
) -> Job:  # fmt: skip
    """Decide a training; every name and value is checked here, before anything slow begins. See `train`.

    place: from the usual name of the run to its folder, instead of a new one
    """
    source = open_source(data, task=task)  # type: ignore[arg-type]
    file = read_recipe(recipe) if isinstance(recipe, str | Path) else dict(recipe or {})
    user = file | {k.replace("-", "_"): v for k, v in settings.items()}
    wanted = compose(user=user)  # also checks what the user set before it is used
    arguments, said = dict(arguments or {}), " ".join(network.split()) if network else None
    begin = start(source, weights, from_run, said, arguments)
    name = begin.network.name if begin else said or _usual(source, wanted.engine)
    ready = _preset(name, preset)
    if begin is not None and ready.arguments:
        raise InputError(
            f"the preset {preset} begins with fresh weights, as its network is another one: leave it out"
        )
    built = begin.network if begin else Network(name, {**ready.arguments, **arguments})
    entry = zoo.lookup(name)
    shape = begin.shape if begin else entry.takes(source.shape)
    if input_size is not None:
        if source.kind != "picture":
            raise InputError(
                f"--input gives the size of pictures, but {source.name} holds vectors of {source.shape[0]} numbers: "
                "leave it out"
            )
        shape = (shape[0], *input_size)
    zoo.check(name, shape)
    preprocess = Preprocess.to_fit(source.kind, source.shape, shape, resize)
    if begin is not None:
        preprocess = begin.preprocess(preprocess, resize, normalize)
    dataset = Dataset(source, preprocess, seed=wanted.seed, val=val)
    suggested = for_few(dataset.counts()["train"], max(shape[1:], default=0))
    few = {setting: value for setting, value in suggested.items() if setting in entry.few}
    hints = _hints(source, name)
    attacked = _against(source, wanted.adversarial, shape)
    plain = compose(entry.recipe, few, hints, recipe_for(begin, user), attacked, user={})
    longer = {} if ready.longer == 1 else {"epochs": round(ready.longer * plain.epochs)}
    composed = compose(plain.to_dict(), longer, ready.recipe, user=user)
    if composed.unfreeze_at and composed.freeze == "none":
        raise InputError(
            "--unfreeze-at says when frozen layers begin to learn, but none are: add --freeze backbone"
        )
    if tensorboard:
        _need_tensorboard()
    if feedback is not None:
        _need_feedback(source, feedback)
    every, limit = Every.of(checkpoint_every), _seconds(time_limit)
    usual = f"{source.name}-{zoo.slug(name)}-{time.strftime('%Y%m%d-%H%M')}"
    folder = place(usual) if place else _fresh(out, usual) if told_ranks().first else Path(out or usual)
    asked = {
        "preset": preset, "task": task, "resize": None if resize == "auto" else resize, "normalize": normalize,
        "val": val, "input": input_size and "x".join(map(str, input_size)),
        "weights": weights and str(weights), "from": from_run and str(from_run),
        "with_feedback": feedback and shown(feedback), "tensorboard": tensorboard or None,
    }  # fmt: skip
    asked = {name: value for name, value in asked.items() if value is not None}
    if normalize is None and begin is not None and (preprocess.mean or begin.run):
        normalize = False  # the weights bring their own
    elif normalize is None:
        normalize = entry.normalize and not source.shared  # the lectures feed their toy numbers as they are
    chosen = (*user, *asked, *arguments, *(["network"] if network else []))
    return Job(
        source=source, network=built, shape=shape, resize=resize, recipe=composed,
        folder=folder, dataset=dataset, normalize=normalize, val=val, tensorboard=tensorboard, set_by_user=chosen,
        asked=asked, start=begin, feedback=feedback, every=every, time_limit=limit,
    )  # fmt: skip


def _fresh(out: str | Path | None, usual: str) -> Path:
    if out is not None and unfinished(Path(out)):
        raise Unfinished(
            f"{out} holds a training that has not ended. Go on with it: hubel train --resume {shlex.quote(str(out))}; "
            "or name another --out"
        )
    return new_folder(out, usual)


def _seconds(time_limit: str | float | None) -> float | None:
    if time_limit is None:
        return None
    try:
        return duration(str(time_limit))
    except ValueError:
        raise InputError(f"--time-limit takes a time as 90s, 10m or 1h30m, got {str(time_limit)!r}") from None


def _need_feedback(source: Source, place: str) -> None:
    """Raises InputError where there is none, or none that this data could use."""
    if source.kind != "picture" or source.task != "classify":
        raise InputError(
            f"feedback is pictures with their class, but {source.name} holds {source.kind}s to {source.task}: "
            "leave --with-feedback out"
        )
    Store(place).close()


def _usual(source: Source, engine: str) -> str:
    """The network where none is named. NumPy takes the LeNet for pictures: our own networks ask for more steps."""
    if engine == "numpy" and source.kind == "picture":
        return "lenet5"
    return str(source.hints.get("network") or zoo.default_for(source.kind, source.shape))


def _hints(source: Source, network: str) -> dict[str, Any]:
    """What a known data set suggests for this network; nothing for the networks of papers, which bring their own."""
    suggested = source.hints.get(network, {})
    return dict(suggested) if isinstance(suggested, Mapping) else {}


def _against(source: Source, adversarial: str, shape: tuple[int, ...]) -> Mapping[str, Any]:
    """What changes where a network learns from attacked pictures. InputError where there is nothing to attack."""
    if adversarial == "none":
        return {}
    if source.kind != "picture" or source.task != "classify":
        raise InputError(
            f"--adversarial changes pixels so that a class is missed, but {source.name} is to {source.task} "
            f"{source.kind}s: leave it out"
        )
    return {**AGAINST, "adversarial_eps": usual_eps(shape[0])}


def _preset(network: str, preset: str | None) -> Preset:
    presets = zoo.lookup(network).presets
    if preset is None:
        return Preset({})
    if preset not in presets:
        raise UnknownName(f"preset of {network}", preset, presets or ["(none)"])
    return presets[preset]


def _need_tensorboard() -> None:
    import importlib.util

    if importlib.util.find_spec("tensorboard") is None:
        raise MissingExtra("tensorboard", "tensorboard", "--tensorboard")

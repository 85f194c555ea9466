"""One training, from a place with data to a run folder.

`prepare` decides everything (network, input, recipe) and writes run.toml without importing torch; `epochs` learns,
yields each Epoch, and saves as it goes; `run` is the result.
"""

from __future__ import annotations

import contextlib
import datetime
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubel import zoo
from hubel.attacks import usual_eps
from hubel.data import Dataset, Preprocess, Source, Split, open_source
from hubel.data.feedback import Store, joined, learnt_from, shown
from hubel.devices import choose_bf16, choose_device
from hubel.errors import (
    Diverged,
    HubelError,
    InputError,
    Interrupted,
    MissingExtra,
    StoppedEarly,
    UnknownName,
)
from hubel.files import append_line, new_folder
from hubel.progress import Progress
from hubel.run import (
    FORMAT,
    HISTORY,
    SETTINGS,
    TIMING,
    Card,
    Network,
    Run,
    load,
    reuse_memory,
    save_model,
    versions,
    write_settings,
)  # fmt: skip
from hubel.training.recipe import AGAINST, Recipe, compose, for_few, read_recipe
from hubel.training.transfer import Start, recipe_for, start

if TYPE_CHECKING:
    from hubel.training.adversarial import Adversary
    from hubel.training.engine import Engine
    from hubel.training.loop import Epoch, Trainer

FIRST_LOOK = 2000  # items of the train part that a network may adapt its fresh weights to
SAVE_EVERY = 5.0  # seconds between two savings of unfinished weights: short runs pay nothing for them


@dataclass
class Job:
    """A training that is decided and not yet begun. set_by_user: names of the settings that are not defaults."""

    source: Source
    network: Network
    shape: tuple[int, ...]  # (C, H, W) or (D,) that the network receives
    resize: str
    recipe: Recipe
    folder: Path
    dataset: Dataset
    normalize: bool = True
    val: float | int | None = None
    tensorboard: bool = False
    set_by_user: tuple[str, ...] = ()
    asked: dict[str, Any] = field(
        default_factory=dict
    )  # what the user chose beside the recipe, as the flags have it
    start: Start | None = None  # where it begins, if not with fresh weights
    feedback: str | None = None  # where people's corrections are, which are learnt, too
    told: list[str] = field(default_factory=list)  # what became of the weights that it begins with
    learnt_too: str = ""  # how many corrections there were, once they are read
    card: Card = field(init=False)
    trainer: Trainer = field(init=False)

    @property
    def counts(self) -> dict[str, int]:
        """Items in train, val and test. Knows them without opening the test part."""
        return self.dataset.counts()

    def settings(self) -> dict[str, Any]:
        """What run.toml says."""
        data = {
            "location": self.source.location, "name": self.source.name, "kind": self.source.kind,
            **self.counts, **({} if self.val is None else {"val_share": self.val}),
        }  # fmt: skip
        arguments = {k: list(v) if isinstance(v, tuple) else v for k, v in self.network.arguments.items()}
        return {
            "format": FORMAT, "task": self.source.task,
            "created": datetime.datetime.now().astimezone().isoformat("T", "seconds"),
            "set_by_user": sorted(self.set_by_user), "asked": self.asked, "data": data,
            "network": {
                "name": self.network.name, "input": list(self.shape), "resize": self.resize, "arguments": arguments
            },
            "recipe": self.recipe.to_dict(), "versions": versions(),
        }  # fmt: skip

    def begin(self, progress: Progress | None = None) -> None:
        """Write run.toml, then read the data (not the test part) and build the network."""
        write_settings(self.folder, self.settings())
        reuse_memory()
        # Reading releases the interpreter most of the time: torch is imported meanwhile.
        warm = threading.Thread(target=_import_torch, daemon=True)
        warm.start()
        self.dataset.progress = progress
        train, val = self.dataset.train, self.dataset.val
        if self.feedback is not None:
            train = self._with_feedback(train)
        warm.join()
        preprocess = self.dataset.preprocess
        if self.normalize:
            preprocess = preprocess.with_statistics(train.inputs)
        self._build(preprocess, train, val)

    def _with_feedback(self, train: Split) -> Split:
        assert self.feedback is not None
        found = learnt_from(self.feedback, self.source.classes, self.dataset.preprocess)
        self.learnt_too = f"{len(found.items)} learnt, too"
        if found.left_out:
            self.learnt_too += f"; {found.left_out} left out: of a test part, which is there to measure"
        return joined(train, found.items)

    def _build(self, preprocess: Preprocess, train: Any, val: Any) -> None:
        import numpy as np
        import torch

        from hubel.data.augment import Augment, principal_components
        from hubel.training.loop import Trainer

        recipe = self.recipe
        if recipe.threads:
            torch.set_num_threads(recipe.threads)
        regress = self.source.task == "regress"
        outputs = train.targets.shape[1] if regress else len(self.source.classes)
        self.card = Card(
            self.source.task,
            tuple(self.source.classes),
            outputs,
            self.network,
            preprocess,
            order=self.start.order if self.start else "rgb",
            mirror=recipe.mirror,
        )
        torch.manual_seed(recipe.seed)
        network = self.card.build()
        if self.start:
            self.told = self.start.put(network, self.card)
        elif adapt := getattr(network, "adapt", None):  # fresh weights that follow from the data
            every = max(1, len(train.inputs) // FIRST_LOOK)  # of all classes, however they are sorted
            look = train.inputs[::every]
            pixels = torch.from_numpy(look.astype(np.float32) / 255)
            adapt(self.card.wrap(network).normalized(pixels))
        augment = None
        if self.source.kind == "picture":
            components = principal_components(train.inputs) if recipe.colour_pca else ()
            augment = Augment(
                recipe.shift, recipe.rotate, recipe.scale, recipe.flip, recipe.crop, recipe.multiscale, recipe.cutout,
                recipe.brightness, recipe.colour_pca, components,
            )  # fmt: skip
        engine = self._engine(network, train.targets)
        self.trainer = Trainer(
            engine, train, val, recipe, augment=augment, adversary=self._adversary(engine), regress=regress
        )

    def _adversary(self, engine: Engine) -> Adversary | None:
        """Who changes the pictures of each step against the network, where that was asked for."""
        if self.recipe.adversarial == "none":
            return None
        from hubel.training.adversarial import Adversary
        from hubel.training.torch_engine import TorchEngine

        assert isinstance(engine, TorchEngine)  # a recipe for NumPy has no adversary
        return Adversary(engine, self.recipe)

    def _engine(self, network: Any, targets: Any) -> Engine:
        """Who computes the steps. targets: of the train part"""
        import torch

        recipe, regress = self.recipe, self.card.task == "regress"
        weight = None
        if recipe.balance and not regress:
            from hubel.training.steps import balanced

            weight = balanced(torch.from_numpy(targets), self.card.outputs)
        shared: dict[str, Any] = {"outputs": self.card.outputs, "regress": regress, "weight": weight}
        if recipe.engine == "numpy":
            from hubel.training.numpy_engine import NumpyEngine

            return NumpyEngine(self.card.wrap(network), recipe, **shared)
        from hubel.training.torch_engine import TorchEngine

        device = choose_device(recipe.device)
        bf16 = choose_bf16(recipe.precision, device, gains=zoo.lookup(self.network.name).bf16)
        return TorchEngine(self.card.wrap(network), recipe, **shared, device=device, bf16=bf16)

    def epochs(self, progress: Progress | None = None) -> Iterator[Epoch]:
        """Learn, save, yield. Raises Diverged, Interrupted or StoppedEarly after what was learnt is saved."""
        keeper = _Keeper(self)
        board = _Board(self.folder) if self.tensorboard else None
        try:
            with self.trainer.engine.at_work(), stopping(self.trainer) as stopped:
                try:
                    for epoch in self.trainer.epochs(progress):
                        if epoch.whole:  # a part of one is kept as weights, but is no line of the curves
                            append_line(self.folder / HISTORY, epoch.row())
                            append_line(self.folder / TIMING, epoch.times())
                        if board:
                            board.write(epoch)
                        finished = keeper.take(epoch)
                        yield epoch
                        if finished:
                            break
                except Diverged as e:
                    keeper.save()
                    raise Diverged(
                        f"{e}. The last good weights (of epoch {keeper.number}) are in {self.folder}"
                    ) from None
            keeper.save()
        finally:
            if board:
                board.close()
        if stopped.by is not None:
            raise stopped.error(self)

    def run(self) -> Run:
        """The trained network, as it was written to disk."""
        return load(self.folder)

    def abandon(self) -> None:
        """Remove the folder if there is nothing in it but the settings."""
        left = {p.name for p in self.folder.iterdir()} if self.folder.is_dir() else set()
        if left <= {SETTINGS}:
            with contextlib.suppress(OSError):
                (self.folder / SETTINGS).unlink(missing_ok=True)
                self.folder.rmdir()


def prepare(
    data: str | Path | Source = "digits", *, network: str | None = None, arguments: Mapping[str, Any] | None = None,
    out: str | Path | None = None, preset: str | None = None, recipe: str | Path | Mapping[str, Any] | None = None,
    task: str | None = None, resize: str = "auto", input_size: tuple[int, int] | None = None,
    normalize: bool | None = None, val: float | int | None = None, tensorboard: bool = False,
    weights: str | Path | None = None, from_run: str | Path | None = None, feedback: str | None = None, **settings: Any,
) -> Job:  # fmt: skip
    """Decide a training; every name and value is checked here, before anything slow begins. See `train`."""
    source = open_source(data, task=task)  # type: ignore[arg-type]
    file = read_recipe(recipe) if isinstance(recipe, str | Path) else dict(recipe or {})
    user = file | {k.replace("-", "_"): v for k, v in settings.items()}
    wanted = compose(user=user)  # also checks what the user set before it is used
    arguments, said = dict(arguments or {}), " ".join(network.split()) if network else None
    begin = start(source, weights, from_run, said, arguments)
    built = begin.network if begin else Network(said or _usual(source, wanted.engine), arguments)
    name = built.name
    entry = zoo.lookup(name)
    shape = begin.shape if begin else entry.takes(source.shape)
    if input_size is not None:
        if source.kind != "picture":
            raise InputError(
                f"--input gives the size of pictures, but {source.name} holds vectors of {source.shape[0]} numbers"
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
    layers = (entry.recipe, few, hints, recipe_for(begin, user), attacked, _preset(name, preset))
    composed = compose(*layers, user=user)
    if composed.unfreeze_at and composed.freeze == "none":
        raise InputError(
            "--unfreeze-at says when frozen layers begin to learn, but none are: add --freeze backbone"
        )
    if tensorboard:
        _need_tensorboard()
    if feedback is not None:
        _need_feedback(source, feedback)
    stamp = time.strftime("%Y%m%d-%H%M")
    folder = new_folder(out, f"{source.name}-{zoo.slug(name)}-{stamp}")
    asked = {
        "preset": preset, "task": task, "resize": None if resize == "auto" else resize, "normalize": normalize,
        "val": val, "input": input_size and "x".join(map(str, input_size)),
        "weights": weights and str(weights), "from": from_run and str(from_run),
        "with_feedback": feedback and shown(feedback),
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
        asked=asked, start=begin, feedback=feedback,
    )  # fmt: skip


def _need_feedback(source: Source, place: str) -> None:
    """Raises InputError where there is none, or none that this data could use."""
    if source.kind != "picture" or source.task != "classify":
        raise InputError(
            f"feedback is pictures with their class, but {source.name} holds {source.kind}s to {source.task}"
        )
    Store(place).close()


def train(
    data: str | Path | Source = "digits", *, progress: Progress | None = None,
    on_epoch: Callable[[Epoch], None] | None = None, **options: Any,
) -> Run:  # fmt: skip
    """Train a network and return the run.

    data: a name (digits, mnist, fashion-mnist, cifar10, points, sum-below-one) or a path
    network: a name of the zoo, or a network in one line, as "conv8x3 relu pool2 fc"; chosen by the data where None
    arguments: the network's own, as {"hidden": (4,)}
    out: the run folder, exactly; runs/DATA-NETWORK-TIME where None    preset: "fast", where the network has it
    recipe: a TOML file or a mapping of settings    task: classify or regress
    resize: letterbox, pad, stretch, crop; auto    input_size: (height, width) of the pictures the network receives
    normalize: subtract the mean and divide by the deviation of the train part
    val: share or count of the items kept for validation
    feedback: where `hubel serve --feedback` keeps people's corrections: a folder or the URL of a database
    weights, from_run: begin with public weights (a name, file or folder), or with those of a run; see training.transfer
    settings: any field of Recipe, as epochs=3, lr=0.01. What is set here wins over every default.

    Raises InputError for what the caller can mend, Diverged and Interrupted after saving what was learnt.
    """
    job = prepare(data, **options)
    try:
        job.begin()
        for epoch in job.epochs(progress):
            if on_epoch:
                on_epoch(epoch)
    except (HubelError, KeyboardInterrupt):
        job.abandon()
        raise
    return job.run()


class _Keeper:
    """Which weights are kept: the last, or the best by validation loss; and when to stop for want of a better one."""

    def __init__(self, job: Job) -> None:
        self.job, self.trainer, self.recipe = job, job.trainer, job.recipe
        self.best = self.recipe.keep == "best" or (self.recipe.keep == "auto" and self.recipe.patience > 0)
        self.lowest, self.since, self.number = float("inf"), 0, 0
        self.saved = time.monotonic()
        self.weights = self.trainer.weights()

    def take(self, epoch: Epoch) -> bool:
        """Note an epoch that went well -> whether to stop."""
        measured = epoch.val_loss if epoch.val_loss is not None else epoch.train_loss
        better = measured < self.lowest
        self.lowest, self.since = min(measured, self.lowest), 0 if better else self.since + 1
        if better or not self.best:
            self.weights, self.number = self.trainer.weights(), epoch.epoch
        if time.monotonic() - self.saved > SAVE_EVERY:
            self.save()
        return bool(self.recipe.patience) and self.since >= self.recipe.patience

    def save(self) -> None:
        network = self.job.card.build()
        network.load_state_dict(self.weights)
        save_model(self.job.folder, self.job.card, network)
        self.saved = time.monotonic()


class _Board:
    """TensorBoard event files under RUN/tensorboard."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder / "tensorboard"))

    def write(self, epoch: Epoch) -> None:
        for name, value in epoch.row().items():
            if name != "epoch" and value is not None:
                self.writer.add_scalar(name, value, epoch.epoch)

    def close(self) -> None:
        self.writer.close()


@dataclass
class _Stopped:
    by: int | None = None  # the signal's number

    def error(self, job: Job) -> StoppedEarly:
        at = f"step {job.trainer.step} of {job.trainer.steps}; what was learnt is saved in {job.folder}"
        if self.by == signal.SIGINT:
            return Interrupted(f"interrupted at {at}")
        return StoppedEarly(f"asked to end (SIGTERM) at {at}")


@contextlib.contextmanager
def stopping(trainer: Trainer) -> Iterator[_Stopped]:
    """Inside, Ctrl-C and SIGTERM end the loop after the step at hand; a second Ctrl-C ends it at once."""
    stopped = _Stopped()

    def ask(number: int, _: Any) -> None:
        if trainer.stop and number == signal.SIGINT:
            raise KeyboardInterrupt
        trainer.stop, stopped.by = True, number

    if threading.current_thread() is not threading.main_thread():  # only there may signals be handled
        yield stopped
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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


def _preset(network: str, preset: str | None) -> Mapping[str, Any]:
    presets = zoo.lookup(network).presets
    if preset is None:
        return {}
    if preset not in presets:
        raise UnknownName(f"preset of {network}", preset, presets or ["(none)"])
    return presets[preset]


def _need_tensorboard() -> None:
    import importlib.util

    if importlib.util.find_spec("tensorboard") is None:
        raise MissingExtra("tensorboard", "tensorboard", "--tensorboard")


def _import_torch() -> None:
    __import__("torch")
    sys.modules["torch"].manual_seed(0)  # first use loads what import leaves for later

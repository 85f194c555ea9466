"""One training, from a place with data to a run folder.

`prepare` decides everything (network, input, recipe) and writes run.toml without importing torch; `epochs` learns,
yields each Epoch, and saves as it goes; `run` is the result.
"""

from __future__ import annotations

import datetime
import os
import shlex
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubel import zoo
from hubel.data import Dataset, Preprocess, Source, Split
from hubel.data.feedback import joined, learnt_from
from hubel.data.streams import looked_at, streamed
from hubel.devices import choose_bf16, choose_device, repeatable
from hubel.errors import Diverged, InputError, MachineError
from hubel.run import (
    FORMAT,
    HISTORY,
    SETTINGS,
    TIMING,
    Card,
    Network,
    Progress,
    Run,
    load,
    reuse_memory,
    versions,
    write_settings,
)
from hubel.training.checkpoint import FOLDER as CHECKPOINT
from hubel.training.checkpoint import Checkpoints, Every, State, packed, unpacked
from hubel.training.distributed import Ranks, join, leave, told_ranks
from hubel.training.recipe import Recipe
from hubel.training.transfer import Start

if TYPE_CHECKING:
    from hubel.training.adversarial import Adversary
    from hubel.training.engine import Engine
    from hubel.training.keeping import Keeper
    from hubel.training.loop import Epoch, Trainer
    from hubel.training.saving import Saver

FIRST_LOOK = 2000  # items of the train part that a network may adapt its fresh weights to
EVERY = Every(seconds=30)


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
    every: Every = EVERY  # when a state is written from which the training can go on
    time_limit: float | None = None  # seconds from begin() on, after which it is saved and ended
    resumed: bool = False  # whether the folder holds the beginning of this training
    force: bool = False  # to go on although the data or the arithmetic are others now
    resuming: list[str] = field(default_factory=list)  # where it goes on, in words
    card: Card = field(init=False)
    trainer: Trainer = field(init=False)
    keeper: Keeper = field(init=False)
    saver: Saver = field(init=False)
    checkpoints: Checkpoints = field(init=False)
    ranks: Ranks = field(init=False)
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.ranks = told_ranks()
        self.checkpoints = Checkpoints(self.folder, writes=self.ranks.first)

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

    @cached_property
    def device(self) -> str:
        """Where the network computes: the recipe's; several processes on one machine take a GPU each."""
        chosen = choose_device(self.recipe.device)
        if not self.ranks.alone and chosen == "cuda":
            return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        return chosen

    def begin(self, progress: Progress | None = None) -> None:
        """Write run.toml, then read the data (not the test part), build the network, and go where it was left."""
        self.began = time.monotonic()
        self.checkpoints.hold()
        if not self.resumed and self.ranks.first:
            write_settings(self.folder, self.settings())
        reuse_memory()
        self._join()
        # Reading releases the interpreter most of the time: torch is imported meanwhile.
        warm = threading.Thread(target=_import_torch, daemon=True)
        warm.start()
        self.dataset.progress = progress
        with self.ranks.in_turn():
            train, val = self.dataset.train, self.dataset.val
        if self.feedback is not None:
            train = self._with_feedback(train)
        preprocess = self.dataset.preprocess
        if self.normalize:
            preprocess = preprocess.with_statistics(looked_at(train.inputs))
        warm.join()
        with repeatable(self.recipe.deterministic):
            self._build(preprocess, train, val)
        self._go_on(train, val)
        if self.resumed and self.force and self.ranks.first:
            write_settings(self.folder, self.settings())

    def _join(self) -> None:
        """Meet the other processes, if there are any."""
        if self.ranks.alone:
            return
        if self.recipe.engine == "numpy":
            raise InputError("--engine numpy computes in one process: leave `hubel launch` or --engine out")
        join(self.device)
        self.folder = Path(self.ranks.told(os.fsencode(self.folder)).decode(errors="surrogateescape"))

    def _go_on(self, train: Split, val: Split) -> None:
        """Where the training was left, or at the beginning."""
        import torch

        from hubel.training.keeping import Keeper
        from hubel.training.saving import Saver, digest

        @cache
        def based_on() -> dict[str, Any]:
            return {
                "data": digest(train, val), "arithmetic": self.trainer.engine.arithmetic,
                "threads": torch.get_num_threads(), "processes": self.ranks.world,
            }  # fmt: skip

        self.keeper = Keeper(self.trainer, self.card, self.folder)
        self.saver = Saver(self.folder, self.checkpoints, self.trainer, self.keeper, self.every, based_on)
        state = self._state()
        if state is None:
            self.saver.start_over()
            if self.resumed:
                self.resuming.append("nothing was saved yet: it begins anew")
            return
        self._check(state, based_on())
        self.saver.restore(state)
        at = f"step {self.trainer.step:,} of {self.trainer.steps:,}"
        self.resuming.append(f"from {at}, in epoch {self.trainer.epoch} of {self.recipe.epochs}")

    def _state(self) -> State | None:
        """The newest one that is whole, for all processes what the first one finds."""
        state = None
        if self.ranks.first:
            state, damaged = self.checkpoints.newest()
            self.resuming += damaged
        if self.ranks.alone:
            return state
        content = self.ranks.told(packed(state) if state else b"")
        return unpacked(content, self.checkpoints.folder) if content else None

    def _check(self, state: State, based_on: dict[str, Any]) -> None:
        """Whether going on gives what an uninterrupted training would have given. InputError where it does not."""
        then = state.numbers["based_on"]
        if then["data"] != based_on["data"] and not self.force:
            raise InputError(
                f"{self.source.location} holds other items than when {self.folder} was begun. Bring back the old ones, "
                "or say --force to go on with these"
            )
        if then["arithmetic"] != based_on["arithmetic"] and not self.force:
            raise InputError(
                f"{self.folder} was begun in {then['arithmetic']}, and this would go on in {based_on['arithmetic']}. "
                "Go on where that is at hand, or say --force"
            )
        for what in ("threads", "processes"):
            if then.get(what, 1) != based_on[what]:
                self.resuming.append(
                    f"with {based_on[what]} {what}, begun with {then.get(what, 1)}: the last digits may differ"
                )

    def _with_feedback(self, train: Split) -> Split:
        assert self.feedback is not None
        if streamed(train.inputs) is not None:
            raise InputError(
                f"{self.source.name} is read from shards, to which corrections cannot be added: pack them anew with "
                "the pictures, or leave --with-feedback out"
            )
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
            look = looked_at(train.inputs, FIRST_LOOK)
            look = look[:: max(1, len(look) // FIRST_LOOK)]  # of all classes, however they are sorted
            pixels = torch.from_numpy(look.astype(np.float32) / 255)
            adapt(self.card.wrap(network).normalized(pixels))
        augment = None
        if self.source.kind == "picture":
            components = principal_components(looked_at(train.inputs)) if recipe.colour_pca else ()
            augment = Augment(
                recipe.shift, recipe.rotate, recipe.scale, recipe.flip, recipe.crop, recipe.multiscale, recipe.elastic,
                recipe.cutout, recipe.brightness, recipe.colour_pca, components,
            )  # fmt: skip
        engine = self._engine(network, train.targets)
        self.trainer = Trainer(
            engine, train, val, recipe, augment=augment, adversary=self._adversary(engine), regress=regress,
            ranks=self.ranks,
        )  # fmt: skip

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

        device = self.device
        bf16 = choose_bf16(recipe.precision, device, gains=zoo.lookup(self.network.name).bf16)
        return TorchEngine(
            self.card.wrap(network), recipe, **shared, device=device, bf16=bf16, ranks=self.ranks
        )

    def epochs(self, progress: Progress | None = None) -> Iterator[Epoch]:
        """Learn, save, yield. Raises Diverged, Interrupted or StoppedEarly after what was learnt is saved.

        A disk or a memory that is full is a MachineError; what was saved before stays.
        """
        from hubel.training.fitting import fitting
        from hubel.training.keeping import Board
        from hubel.training.stopping import stopping

        keeper, saver = self.keeper, self.saver
        board = Board(self.folder) if self.tensorboard and self.ranks.first else None
        left = None if self.time_limit is None else self.time_limit - (time.monotonic() - self.began)
        try:
            with (
                repeatable(self.recipe.deterministic),
                self.trainer.engine.at_work(),
                stopping(self.trainer, left) as stopped,
                fitting(self.trainer),
            ):
                try:
                    for epoch in () if keeper.enough else self.trainer.epochs(progress, saver.after_step):
                        if epoch.whole:  # a part of one is kept as weights, but is no line of the curves
                            saver.line(epoch)
                        if board:
                            board.write(epoch)
                        finished = keeper.take(epoch)
                        yield epoch
                        if finished:
                            break
                        saver.after_epoch(epoch)
                except Diverged as e:
                    keeper.save()
                    raise Diverged(f"{e}. {self._left(keeper.number)}") from None
            if self.trainer.stop and not keeper.enough:
                saver.write()
                keeper.save()
                raise stopped.error(f"at step {self.trainer.step} of {self.trainer.steps}; {self._saved()}")
            keeper.save()
            self.checkpoints.end()
        except MachineError as e:
            if self.checkpoints.empty:
                raise
            raise type(e)(f"{e}. {self._kept()}") from e
        finally:
            self.checkpoints.let_go()
            leave()
            if board:
                board.close()

    def _saved(self) -> str:
        """What is left to do where a training has ended before its time."""
        return f"what was learnt is saved in {self.folder}. {self._resume()}"

    def _kept(self) -> str:
        """The same where the last steps could not be saved."""
        return f"What was saved before is in {self.folder}. {self._resume()}"

    def _resume(self) -> str:
        return f"Go on with: hubel train --resume {shlex.quote(str(self.folder))}"

    def _left(self, epoch: int) -> str:
        return f"The last good weights (of epoch {epoch}) are in {self.folder}"

    def run(self) -> Run:
        """The trained network, as it was written to disk."""
        return load(self.folder)

    def abandon(self) -> None:
        """Remove the folder if there is nothing in it from which anybody could go on: no weights and no state."""
        self.checkpoints.let_go()
        leave()
        left = {p.name for p in self.folder.iterdir()} if self.folder.is_dir() else set()
        if left <= {SETTINGS, CHECKPOINT, HISTORY, TIMING} and self.checkpoints.empty and not self.resumed:
            shutil.rmtree(self.folder, ignore_errors=True)


def _import_torch() -> None:
    __import__("torch")
    sys.modules["torch"].manual_seed(0)  # first use loads what import leaves for later

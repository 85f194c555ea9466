"""The training loop: a generator that yields an Epoch after each pass; the caller decides what then.

All randomness is a function of (seed, epoch, step): the order, the augmentation, the dropout. The test part is not
seen here; `val` is what choices are made on. The loop is one; what computes a step is an Engine.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from hubel.data import Split
from hubel.data.augment import Augment, PartOf
from hubel.errors import Diverged
from hubel.memory import in_pieces
from hubel.run import at_once
from hubel.training.distributed import ALONE, Ranks
from hubel.training.engine import Engine, behind
from hubel.training.feeds import Resident, feed
from hubel.training.freezing import Memory
from hubel.training.recipe import Recipe
from hubel.training.steps import learning_rate

if TYPE_CHECKING:
    from hubel.training.adversarial import Adversary

# A pass over the data yields at most this many Epochs in all: 10,000 epochs over 8 points must not write 10,000 lines.
MOST_EPOCHS_TOLD = 500
EVALUATION_CHUNK = 1000


@dataclass(frozen=True)
class Epoch:
    """What one pass gave. Losses are means per item; accuracies in 0..1, None where the task is regress.

    train_*: over the batches as they were learnt from (augmented); val_*: over the validation part, with the weights
    that would be kept; lr: of the last step. seconds: of learning, without validation. whole: not cut short by a stop.
    """

    epoch: int
    train_loss: float
    train_accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    lr: float
    seconds: float
    images_per_second: float
    whole: bool = True

    def row(self) -> dict[str, Any]:
        """For history.jsonl: no clock times, so that equal runs are equal bytes."""
        return {k: v for k, v in asdict(self).items() if k not in ("seconds", "images_per_second", "whole")}

    def times(self) -> dict[str, Any]:
        """For timing.jsonl."""
        return {
            "epoch": self.epoch,
            "seconds": round(self.seconds, 4),
            "images_per_second": round(self.images_per_second, 1),
        }


class Trainer:
    """An engine, its data and its recipe, ready to learn.

    engine: the network, and what computes a step of it; train, val: parts in hand, or streams (val may be empty)
    epochs() learns; weights() are those that would be saved now.
    epoch, batch: which batch of which epoch comes next, from 1 and from 0   step: how many steps were taken in all
    """

    def __init__(
        self, engine: Engine, train: Split, val: Split, recipe: Recipe, *, augment: Augment | None = None,
        adversary: Adversary | None = None, regress: bool = False, ranks: Ranks = ALONE,
    ) -> None:  # fmt: skip
        self.engine, self.recipe, self.regress = engine, recipe, regress
        self.augment = None if augment is None or augment.idle else augment
        self.adversary, self.ranks = adversary, ranks
        self.train, self.val = feed(engine, train, recipe.seed), feed(engine, val, recipe.seed)
        self.inputs, self.targets = self.train.inputs, self.train.targets
        self.per_epoch = self.train.steps(recipe)
        self.steps = recipe.epochs * self.per_epoch
        self.step, self.epoch, self.batch, self.lr = 0, 1, 0, 0.0
        self.tally = _Tally()
        self.memories = self._memories()
        self.stop = False  # set by whoever wants the loop to end cleanly

    def epochs(
        self, progress: Callable[[int, int], None] | None = None, after_step: Callable[[bool], None] | None = None
    ) -> Iterator[Epoch]:  # fmt: skip
        """Learn, from where it stands. progress(step, steps) and after_step(whether it stops now) come after each step.

        When an Epoch is yielded, and in after_step, state() is whole. Raises Diverged on a loss that is not finite.
        """
        every = max(1, self.recipe.epochs // MOST_EPOCHS_TOLD)
        self.tally.go_on()
        while self.epoch <= self.recipe.epochs:
            number, stop = self.epoch, False
            if number == self.recipe.unfreeze_at and not self.batch:
                self._unfreeze()
            for indices in self.train.ahead(islice(self._order(number), self.batch, None), self._mine):
                loss, right, stop = self._agreed(*self.learn(indices, number, self.batch), number)
                self.tally.add(loss, right, len(indices))
                self.batch += 1
                if progress:
                    progress(self.step, self.steps)
                # Asked once: a signal that comes between here and the end of this step waits a step.
                stop = self.stop if self.ranks.alone else stop
                if after_step:
                    after_step(stop)
                if stop:
                    break
            whole, tally = self.batch >= self.per_epoch, self.tally
            told = stop or number % every == 0 or number == self.recipe.epochs
            found = self._told(number, tally, whole=whole) if told else None
            if whole:
                self.epoch, self.batch, self.tally = number + 1, 0, _Tally() if told else tally
            if found:
                yield found
                self.tally.go_on()
            if stop or (self.stop and self.ranks.alone):  # several processes agree on it at their next step
                return

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Where the training stands: tensors, not copied, and numbers."""
        tensors = {f"engine.{name}": t for name, t in self.engine.state().items()}
        tensors |= {f"tally.{name}": t for name, t in self.tally.state().items()}
        numbers = {
            "step": self.step, "epoch": self.epoch, "batch": self.batch, "lr": self.lr, "seconds": self.tally.spent,
        }  # fmt: skip
        return tensors, numbers

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Stand where state() was asked; of a trainer that was made alike and has not learnt yet."""
        self.step, self.epoch, self.batch = numbers["step"], numbers["epoch"], numbers["batch"]
        self.lr = numbers["lr"]
        if 0 < self.recipe.unfreeze_at < self.epoch + bool(self.batch):
            self._unfreeze()
        self.engine.restore(behind(tensors, "engine."))
        self.tally = _Tally.of(behind(tensors, "tally."), numbers["seconds"])
        if (
            self.memories
        ):  # in the batches in which they were first seen: sums in another order would be other bits
            seen = None if self.epoch > 1 else self.batch
            for indices in islice(self._order(1), seen):
                _ = self.memories[0][self.train.placed(self._mine(indices))]

    def _order(self, epoch: int) -> Iterator[np.ndarray]:
        return self.train.order(self.recipe, epoch)

    def _mine(self, indices: np.ndarray) -> np.ndarray:
        """This process's share of a batch; one item where nothing is left, as it must go through the step, too."""
        mine = self.ranks.share(len(indices))
        return indices[mine] if len(mine) else indices[:1]

    def _unfreeze(self) -> None:
        self.engine.unfreeze()
        self.memories = None

    def learn(self, indices: np.ndarray, epoch: int, batch: int) -> tuple[Tensor, Tensor]:
        """One step of gradient descent on these items -> loss and count of right answers, as tensors on the device.

        Of several processes each takes its share, and its loss counts by that: the sum over all is the batch's.
        """
        seed = (self.recipe.seed, epoch, batch)
        lr = self.lr = learning_rate(self.recipe, self.step, self.steps)
        mine, part = self.ranks.share(len(indices)), 1.0
        whole, indices = indices, self._mine(indices)
        picked = self.train.placed(indices)
        target = self.targets.index_select(0, picked)
        if not self.ranks.alone:  # one for whom nothing is left goes through the step with a part of 0
            of_all = self.targets[self.train.placed(whole)]
            part = len(mine) and self.engine.mass(target) / self.engine.mass(of_all)
        if self.memories:
            x = self.memories[0][picked]
        else:
            x = self._ready(self.train.take(indices))
            if self.augment:
                x = self._augmented(x, indices, seed, None if self.ranks.alone else (mine, len(whole)))
            if self.adversary:
                x = self.adversary(x, target, (*seed, 2, *self._apart), self.step / self.steps)
        drawn = int(np.random.SeedSequence((*seed, *self._apart)).generate_state(1, np.uint64)[0] >> 1)
        loss, right = self.engine.forward(x, target, drawn, part)
        if self.ranks.alone:
            self._check(loss, epoch)
        self.engine.step(lr)
        self.step += 1
        return (loss, right) if self.ranks.alone else (loss * part, right * min(1, len(mine)))

    def _augmented(
        self, x: Tensor, indices: np.ndarray, seed: tuple[int, int, int], of: PartOf | None
    ) -> Tensor:  # fmt: skip
        """of: the places of x in a batch that several processes share, and the size of that"""
        assert self.augment is not None
        mirrored = self.train.mirrored(indices) ^ (seed[1] % 2 == 0) if self.augment.flip else None
        if of is not None and not len(of[0]):  # one item goes through the step for nothing
            of = np.zeros(1, int), of[1]
        return self.augment(x, (*seed, 1), mirrored, of=of)

    @property
    def _apart(self) -> tuple[int, ...]:
        """What is drawn in each process for itself, as for dropout, is drawn apart from the others."""
        return () if self.ranks.first else (self.ranks.rank,)

    def _agreed(self, loss: Tensor, right: Tensor, epoch: int) -> tuple[Tensor, Tensor, bool]:
        """Loss and right answers of the whole batch, and whether any of several processes stops: then all do."""
        if self.ranks.alone:
            return loss, right, self.stop
        told = torch.stack([loss.double(), right.double(), loss.new_tensor(float(self.stop)).double()])
        sums = self.ranks.total(told.cpu())
        self._check(sums[0], epoch)
        self.stop = bool(sums[2])
        return sums[0].float(), sums[1], self.stop

    def _check(self, loss: Tensor, epoch: int) -> None:
        if self.engine.prompt and not math.isfinite(loss.item()):
            raise self._diverged(loss.item(), epoch, self.lr)

    def weights(self) -> dict[str, Tensor]:
        """A copy of the weights that would be saved now: the averaged ones, where there are any."""
        with self.engine.kept():
            return self.engine.weights()

    def validate(self) -> tuple[float | None, float | None]:
        """Loss and accuracy over the validation part, with the weights that would be kept; None where there is none."""
        count = len(self.val)
        if not count:
            return None, None
        total, right = 0.0, 0

        def examine(first: int, start: int, stop: int) -> None:
            nonlocal total, right
            places = np.arange(first + start, first + stop)
            chosen = self.val.placed(places)
            target = self.val.targets[chosen]
            if self.memories:
                x = self.memories[1][chosen]
            else:
                x = self._ready(self.val.take(places))
                self.val.soon(np.arange(first + stop, min(first + 2 * stop - start, last)))
            loss, hits = self.engine.examine(x, target)
            total, right = total + loss * len(target), right + hits

        # Each process takes a part of its own; no item is looked at twice.
        first, last = (count * (self.ranks.rank + k) // self.ranks.world for k in (0, 1))
        self.engine.agree()
        with self.engine.kept():
            most = self.val.piece(EVALUATION_CHUNK, self.recipe)
            in_pieces(last - first, at_once(self.val.shape, most), partial(examine, first))
        total, right = self.ranks.total(torch.tensor([total, right], dtype=torch.float64)).tolist()
        return total / count, None if self.regress else right / count

    def _told(self, number: int, tally: _Tally, *, whole: bool) -> Epoch:
        loss, accuracy = tally.means()
        if not math.isfinite(loss):  # found late where each step is not waited for
            raise self._diverged(loss, number, self.lr)
        val_loss, val_accuracy = self.validate()
        if val_loss is not None and not math.isfinite(val_loss):  # the last step may have gone too far
            raise self._diverged(val_loss, number, self.lr, "validation loss")
        if val_loss is None and not all(w.isfinite().all() for w in self.engine.weights().values()):
            raise self._diverged(math.nan, number, self.lr, "weights")
        return Epoch(
            number, loss, None if self.regress else accuracy, val_loss, val_accuracy,
            self.lr, tally.seconds, tally.count / max(tally.seconds, 1e-9), whole,
        )  # fmt: skip

    def _memories(self) -> list[Memory] | None:
        """Of what a frozen front makes of train and val, where every epoch shows it the same pictures."""
        front = self.engine.front
        changing = self.adversary is not None or self.augment is not None
        if front is None or changing or self.recipe.epochs < 2:
            return None
        if not (isinstance(self.train, Resident) and isinstance(self.val, Resident)):
            return None  # features of all items would grow with the data
        found = Memory.of(lambda inputs: front(self._ready(inputs)), self.train.inputs, self.val.inputs)
        self.engine.behind = found is not None
        return found

    def _diverged(self, loss: float, epoch: int, lr: float, what: str = "loss") -> Diverged:
        return Diverged(
            f"the {what} became {loss} at step {self.step + 1} of {self.steps} (epoch {epoch}), "
            f"at learning rate {lr:.3g}. "
            f"Try a smaller --lr (say {self.recipe.lr / 10:.2g}), --clip 1, or --warmup 0.1"
        )

    def _ready(self, inputs: Tensor) -> Tensor:
        """Pixels 0..255 to 0..1; numbers as they are."""
        return inputs.float().div_(255) if inputs.dtype == torch.uint8 else inputs.float()


class _Tally:
    """Sums over the batches of an epoch, read once at its end so that a GPU is not waited for.

    The numbers of all steps lie together: a tensor for each, kept among the large ones that come and go, would leave
    the heap in shreds, and the process would grow with every step.
    """

    def __init__(self, spent: float = 0.0) -> None:
        self.losses: Tensor | None = (
            None  # (room,), the first len(sizes) of them filled; of the same size are
        )
        self.rights: Tensor | None = None
        self.sizes: list[int] = []
        self.before, self.started = spent, time.perf_counter()

    @property
    def spent(self) -> float:
        """Seconds, those before an interruption among them."""
        return self.before + time.perf_counter() - self.started

    def go_on(self) -> None:
        """The clock runs from now on."""
        self.started = time.perf_counter()

    def add(self, loss: Tensor, right: Tensor, size: int) -> None:
        n = len(self.sizes)
        self.losses, self.rights = _with_room(self.losses, loss, n), _with_room(self.rights, right, n)
        self.losses[n], self.rights[n] = loss, right
        self.sizes.append(size)

    def means(self) -> tuple[float, float]:
        found = self.state()
        losses = found["losses"].double().cpu()
        self.count = sum(self.sizes)
        self.seconds = self.spent
        loss = float(losses @ found["sizes"].double()) / self.count
        return loss, float(found["rights"].sum()) / self.count

    def state(self) -> dict[str, Tensor]:
        if self.losses is None or self.rights is None:
            return {}
        n = len(self.sizes)
        return {"losses": self.losses[:n], "rights": self.rights[:n], "sizes": torch.tensor(self.sizes)}

    @staticmethod
    def of(state: Mapping[str, Tensor], spent: float) -> _Tally:
        """What state() gave."""
        made = _Tally(spent)
        if state:
            made.losses, made.rights = state["losses"], state["rights"]
            made.sizes = state["sizes"].tolist()
        return made


def _with_room(values: Tensor | None, like: Tensor, count: int) -> Tensor:
    """The first `count` values, and a place behind them, where `like` is (what was read is on the processor)."""
    if values is not None and len(values) > count and values.device == like.device:
        return values
    made = like.new_empty(max(1024, 2 * count))
    if values is not None:
        made[:count] = values[:count]
    return made

"""Which weights of a training are kept: the last, or the best; and TensorBoard's files."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubel.run import Card, save_model

if TYPE_CHECKING:
    from torch import Tensor

    from hubel.training.loop import Epoch, Trainer

SAVE_EVERY = 5.0  # seconds between two savings of unfinished weights: short runs pay nothing for them


class Keeper:
    """Which weights are kept: the last, or the best by validation loss; and when to stop for want of a better one.

    card: what travels with the weights   folder: of the run   number: of the epoch that the weights are of
    """

    def __init__(self, trainer: Trainer, card: Card, folder: Path) -> None:
        self.trainer, self.card, self.folder, self.recipe = trainer, card, folder, trainer.recipe
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
        return self.enough

    @property
    def enough(self) -> bool:
        """Whether it has been waited long enough for a better epoch."""
        return bool(self.recipe.patience) and self.since >= self.recipe.patience

    def save(self) -> None:
        """Write model.safetensors; of several processes the first one does."""
        if not self.trainer.ranks.first:
            return
        network = self.card.build()
        network.load_state_dict(self.weights)
        save_model(self.folder, self.card, network)
        self.saved = time.monotonic()

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What is kept so far: tensors, not copied, and numbers."""
        numbers = {"lowest": self.lowest, "since": self.since, "number": self.number}
        return dict(self.weights) if self.number else {}, numbers

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Go on from what state() gave."""
        self.lowest, self.since, self.number = numbers["lowest"], numbers["since"], numbers["number"]
        if self.number:
            self.weights = dict(tensors)


class Board:
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

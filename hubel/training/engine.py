"""What the training loop asks of those who compute a step: torch_engine, and numpy_engine by the definitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

import numpy as np
from torch import Tensor

from hubel.zoo.pixels import Pixels

Value = TypeVar("Value")


def behind(state: Mapping[str, Value], start: str) -> dict[str, Value]:
    """The part of a state whose names begin with `start`, without it."""
    return {name[len(start) :]: t for name, t in state.items() if name.startswith(start)}


class Engine(Protocol):
    """A network that learns: its weights, its loss, its optimizer, and the average of the weights where one is kept.

    x: (N, C, H, W) pixels in 0..1, or (N, D) numbers, float   target: (N,) int64, or (N, T) float in a regression
    model: the network in its wrapper   arithmetic: how it is computed, in words
    prompt: whether a loss is known at once; a GPU is not waited for
    front: from x to the features that a frozen front makes of it; None where nothing is frozen, or no cut is possible
    behind: whether forward and examine are given these features, and not x
    at_hand: what forward keeps for step; most of the memory
    """

    model: Pixels
    arithmetic: str
    prompt: bool
    front: Callable[[Tensor], Tensor] | None
    behind: bool
    at_hand: Any

    def at_work(self) -> AbstractContextManager[Any]:
        """Inside, the processor is set as training wants it."""

    def place(self, values: np.ndarray) -> Tensor:
        """A whole part of the data, copied to where batches are taken from it."""

    def forward(self, x: Tensor, target: Tensor, seed: int, share: float = 1.0) -> tuple[Tensor, Tensor]:
        """The loss of a batch, and how many of its answers are right (0 in a regression). seed: of dropout

        share: of the batch of all processes, as mass() counts
        """

    def mass(self, target: Tensor) -> float:
        """What these items count together in the mean that the loss is."""

    def agree(self) -> None:
        """All processes take the first one's statistics of norms, and its averages."""

    def step(self, lr: float) -> None:
        """One step of gradient descent on the loss that forward gave last."""

    def unfreeze(self) -> None:
        """From now on all layers learn, and forward and examine are given x."""

    def kept(self) -> AbstractContextManager[Any]:
        """Inside, the weights are those that would be saved now: the averaged ones, where there are any."""

    def examine(self, x: Tensor, target: Tensor) -> tuple[float, int]:
        """Loss and count of right answers, as the network answers when it is used; nothing is learnt."""

    def weights(self) -> dict[str, Tensor]:
        """A copy of the weights, by the names that the network has for them."""

    def state(self) -> dict[str, Tensor]:
        """Weights, optimizer and average as they are now, by name: all that the next step needs. No copies."""

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what state() gave, in an engine that was made alike (and unfrozen, if that one was)."""

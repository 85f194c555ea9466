"""Where the batches of a part come from: all of it in memory, on the device; or a stream that is decoded ahead."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from hubel.data import Split
from hubel.data.augment import mirrored_first
from hubel.data.batches import batches, steps_in
from hubel.data.streams import Stream, streamed
from hubel.training.engine import Engine
from hubel.training.recipe import Recipe

BLOCK_BYTES = (
    256 << 10
)  # of neighbours in a shard that are read together; 64 of them are mixed with each other
BLOCK_AT_MOST = 256  # items
GROUP_BYTES = 8 << 20  # of batches that are read and decoded together
AHEAD = 2  # groups that wait for their turn, or are being decoded

Mine = Callable[[np.ndarray], np.ndarray]


class Feed:
    """A part of the data, from which the trainer takes batches. mine: from a batch to this process's share of it

    inputs: what they are taken from; targets: of all items, on the device   shape: of one item
    mirrored: which pictures `flip` mirrors in odd epochs
    """

    inputs: Tensor | Stream
    block = 0  # of the order, see batches()

    def __init__(self, engine: Engine, split: Split, seed: int) -> None:
        self.targets = engine.place(split.targets)
        self.seed = seed

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.inputs.shape[1:])

    def steps(self, recipe: Recipe) -> int:
        """Batches of an epoch."""
        return steps_in(len(self), recipe.batch)

    def order(self, recipe: Recipe, epoch: int) -> Iterator[np.ndarray]:
        """The places of each batch of an epoch, a function of (seed, epoch)."""
        return batches(
            len(self), recipe.batch, seed=recipe.seed, epoch=epoch, shuffle=recipe.shuffle, block=self.block
        )

    def piece(self, most: int, recipe: Recipe) -> int:  # noqa: ARG002
        """Items that are looked at together where nothing is learnt, up to `most`."""
        return most

    def placed(self, places: np.ndarray) -> Tensor:
        return torch.from_numpy(places).to(self.targets.device)

    def ahead(self, order: Iterator[np.ndarray], mine: Mine) -> Iterator[np.ndarray]:  # noqa: ARG002
        """The batches of `order`; of each, mine(batch) will be asked for before the next."""
        return order

    def soon(self, places: np.ndarray) -> None:
        """These will be asked for next."""

    def take(self, places: np.ndarray) -> Tensor:
        """(n,) places -> (n, …) on the device: uint8 pixels, or numbers."""
        raise NotImplementedError

    def mirrored(self, places: np.ndarray) -> np.ndarray:
        raise NotImplementedError


class Resident(Feed):
    """All of the part lies on the device."""

    inputs: Tensor

    def __init__(self, engine: Engine, split: Split, seed: int) -> None:
        super().__init__(engine, split, seed)
        self.inputs = engine.place(split.inputs)
        self.first = mirrored_first(len(self.inputs), seed)
        # As rows of numbers, in the order in which they lie: whole rows are picked 15 times as fast as along four axes.
        self.turned = self.inputs.dim() == 4 and not self.inputs.is_contiguous()
        self.rows = (self.inputs.permute(0, 2, 3, 1) if self.turned else self.inputs).flatten(1)

    def take(self, places: np.ndarray) -> Tensor:
        rows = self.rows.index_select(0, self.placed(places))
        if not self.turned:
            return rows.view(len(rows), *self.shape)
        channels, height, width = self.shape
        return rows.view(len(rows), height, width, channels).permute(0, 3, 1, 2)

    def mirrored(self, places: np.ndarray) -> np.ndarray:
        return self.first[places]


class Streamed(Feed):
    """Pictures of shards, decoded by a thread while the network learns from those before them.

    Whole batches are decoded in groups, of about GROUP_BYTES and AHEAD at most, so that memory does not grow with the
    data; what is decoded depends on the places alone, so that a resumed training meets the same pictures.
    """

    inputs: Stream

    def __init__(self, engine: Engine, split: Split, inputs: Stream, seed: int) -> None:
        super().__init__(engine, split, seed)
        self.inputs = inputs
        stored = max(1.0, self.inputs.rows.mean)
        self.block = max(1, min(BLOCK_AT_MOST, int(BLOCK_BYTES / stored)))
        self.group = max(1, int(GROUP_BYTES / max(stored, math.prod(self.shape))))  # items
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="stream")
        self.coming: deque[tuple[np.ndarray, Future[list[np.ndarray]], int]] = deque()

    def ahead(self, order: Iterator[np.ndarray], mine: Mine) -> Iterator[np.ndarray]:
        self._forget()
        waiting: deque[list[np.ndarray]] = deque()
        try:
            for group in self._groups(order, mine):
                waiting.append(group)
                if len(waiting) > AHEAD:
                    yield from waiting.popleft()
            while waiting:
                yield from waiting.popleft()
        finally:
            self._forget()

    def _groups(self, order: Iterator[np.ndarray], mine: Mine) -> Iterator[list[np.ndarray]]:
        """Batches that are decoded together, when that has been asked for."""
        group: list[np.ndarray] = []
        shares: list[np.ndarray] = []
        for batch in order:
            group.append(batch)
            shares.append(mine(batch))
            if sum(map(len, shares)) >= self.group:
                self._ask(shares)
                yield group
                group, shares = [], []
        if group:
            self._ask(shares)
            yield group

    def piece(self, most: int, recipe: Recipe) -> int:
        """No more than a step learns from: so it takes no memory that learning does not take."""
        return min(most, recipe.batch or most)

    def soon(self, places: np.ndarray) -> None:
        if len(places):
            self._ask([places])

    def take(self, places: np.ndarray) -> Tensor:
        while self.coming:
            asked, future, at = self.coming.popleft()
            if np.array_equal(asked, places):
                return self._placed(future.result()[at])
            future.cancel()
        return self._placed(self.inputs.taken(places))

    def _placed(self, pixels: np.ndarray) -> Tensor:
        """As they lie, without another copy: what a step takes from the heap is what it takes in a Resident, too."""
        return torch.from_numpy(pixels).to(self.targets.device)

    def mirrored(self, places: np.ndarray) -> np.ndarray:
        """A bit of SplitMix64 (Steele et al. 2014) at the item's place: no array of all items is kept."""
        z = places.astype(np.uint64) + np.uint64((self.seed + 1) * 0x9E3779B97F4A7C15 % 2**64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return ((z ^ (z >> np.uint64(31))) & np.uint64(1)).astype(bool)

    def _ask(self, shares: list[np.ndarray]) -> None:
        future = self.pool.submit(self._decoded, shares)
        self.coming += [(share, future, at) for at, share in enumerate(shares)]

    def _decoded(self, shares: list[np.ndarray]) -> list[np.ndarray]:
        """The pixels of each share; all are read together, as neighbours lie in different ones."""
        pixels = self.inputs.taken(np.concatenate(shares))
        return np.split(pixels, np.cumsum([len(share) for share in shares])[:-1])

    def _forget(self) -> None:
        for _, future, _ in self.coming:
            future.cancel()
        self.coming.clear()


def feed(engine: Engine, split: Split, seed: int) -> Feed:
    stream = streamed(split.inputs)
    return Resident(engine, split, seed) if stream is None else Streamed(engine, split, stream, seed)

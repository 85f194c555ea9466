"""Several processes that train one network together: which share of each batch is whose, and what they tell each other.

Each holds the whole network and learns from its share of every batch; the gradients are added up over all (Li et al.
2020, "PyTorch Distributed"), so that all take the same step. Who they are stands in the environment, as torchrun and
`hubel launch` set it: RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT.
"""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hubel.errors import InputError, StoppedEarly

if TYPE_CHECKING:
    from torch import Tensor

PATIENCE = datetime.timedelta(minutes=30)  # for one that is still reading its data


@dataclass(frozen=True)
class Ranks:
    """This process among `world` that train together. rank: its number, from 0; the first one writes and speaks."""

    rank: int = 0
    world: int = 1

    @property
    def alone(self) -> bool:
        return self.world == 1

    @property
    def first(self) -> bool:
        return self.rank == 0

    def share(self, count: int) -> np.ndarray:
        """(n,) the places in a batch of `count` that are this process's: every `world`-th; there may be none."""
        return np.arange(self.rank, count, self.world)

    def total(self, values: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        if not self.alone:
            import torch.distributed as dist

            with self.together():
                dist.all_reduce(values)
        return values

    def follow(self, tensors: Iterable[Tensor]) -> None:
        """All take the first one's values, in place."""
        if not self.alone:
            import torch.distributed as dist

            with self.together():
                for tensor in tensors:
                    dist.broadcast(tensor, 0)

    def told(self, content: bytes | None) -> bytes:
        """The first one's content, for all."""
        if self.alone:
            return content or b""
        import torch

        size = torch.tensor([len(content or b"")])
        self.follow([size])
        buffer = torch.zeros(int(size), dtype=torch.uint8)
        if self.first and content:
            buffer = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        self.follow([buffer])
        return buffer.numpy().tobytes()

    @contextlib.contextmanager
    def in_turn(self) -> Iterator[None]:
        """The first one goes through the body alone, then all others: what it leaves on disk, they find."""
        if not self.first:
            self.told(None)
        try:
            yield
        finally:
            if self.first:
                self.told(b"done")

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Inside, one of the others that has gone becomes StoppedEarly."""
        try:
            yield
        except RuntimeError as e:
            if self.alone or not _gone(e):
                raise
            raise StoppedEarly(
                f"process {self.rank} of {self.world} has lost one of the others: {str(e).splitlines()[0]}. "
                "What was saved can be gone on with: --resume"
            ) from None


ALONE = Ranks()


def told_ranks() -> Ranks:
    """Who this process is by its environment. InputError where that makes no sense. Nothing is imported for it."""
    told = {name: os.environ.get(name) for name in ("RANK", "WORLD_SIZE")}
    if told["WORLD_SIZE"] is None:
        return ALONE
    try:
        rank, world = int(told["RANK"] or ""), int(told["WORLD_SIZE"])
    except ValueError:
        rank, world = -1, 0
    if not 0 <= rank < world:
        raise InputError(
            f"RANK={told['RANK']} and WORLD_SIZE={told['WORLD_SIZE']} in the environment name no process among "
            "several: start them with `hubel launch` or torchrun"
        )
    return Ranks(rank, world)


def join(device: str) -> Ranks:
    """Meet the others, if the environment says that there are any. Waits for them."""
    ranks = told_ranks()
    if ranks.alone:
        return ranks
    import torch
    import torch.distributed as dist

    if not dist.is_initialized():
        on_gpu = device.startswith("cuda")
        if on_gpu:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        # What is told and agreed on is on the processor, gradients are where they are computed.
        dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo", timeout=PATIENCE)
    return ranks


def leave() -> None:
    """The work together is over."""
    import sys

    dist = sys.modules.get("torch.distributed")
    if dist is not None and dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def _gone(error: RuntimeError) -> bool:
    """Whether a failure is that of the connection; gloo and NCCL have no type for it."""
    said = str(error).lower()
    return any(word in said for word in ("connection", "gloo", "nccl", "timed out", "peer", "socket"))

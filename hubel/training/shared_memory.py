"""Gradients of processes on one machine, averaged in memory that they all see.

Gloo sends them through sockets, which takes a sixth of a step of ResNet-18 on two cores. Here each writes its own
beside the others', adds up one part of them all, and reads the means, in a quarter of that time (44.8 MB, two
processes: 12 ms instead of 47).
"""

# Annotations stay what they are, as DistributedDataParallel looks at those of its hook.
import contextlib
import os
import tempfile
from pathlib import Path

import torch
from torch import Tensor
from torch.distributed import GradBucket, barrier
from torch.futures import Future
from torch.nn.parallel import DistributedDataParallel

from hubel.training.distributed import Ranks

PLACE = Path("/dev/shm")  # noqa: S108 - where Linux keeps memory that has a name; ours has one only until all have it
ROOM = 8 << 20  # numbers of each process that lie there at once: 32 MB


class SharedMean:
    """The mean over all processes of what each brings. `rows` (processes, ROOM) float32 is memory that all see."""

    def __init__(self, ranks: Ranks, rows: Tensor) -> None:
        self.ranks, self.rows = ranks, rows

    def __call__(self, values: Tensor) -> Tensor:
        """values: (n,) float32, which become the mean. Sums are in the order of the ranks, the same for all."""
        for piece in values.split(self.rows.shape[1]):
            self.rows[self.ranks.rank, : len(piece)].copy_(piece)
            self._wait()
            first, last = (len(piece) * (self.ranks.rank + k) // self.ranks.world for k in (0, 1))
            mine = self.rows[:, first:last]
            for other in mine[1:]:
                mine[0].add_(other)
            mine[0].div_(self.ranks.world)
            self._wait()
            piece.copy_(self.rows[0, : len(piece)])
            self._wait()  # until all have read, nobody writes
        return values

    def carry(self, parallel: DistributedDataParallel) -> None:
        """From now on the gradients of `parallel` are averaged here."""
        parallel.register_comm_hook(self, _averaged)

    def _wait(self) -> None:
        with self.ranks.together():
            barrier()


def share_memory(ranks: Ranks) -> SharedMean | None:
    """Memory for the processes of one machine; None where they are on several, or have no such place or no room."""
    if os.environ.get("LOCAL_WORLD_SIZE") != str(ranks.world):
        return None
    size, name = 4 * ROOM * ranks.world, b""
    if ranks.first:
        with contextlib.suppress(OSError):
            handle, path = tempfile.mkstemp(prefix="hubel-", dir=PLACE)
            name = os.fsencode(path)
            try:
                os.posix_fallocate(
                    handle, 0, size
                )  # taken now: without room a later write would end the process
            except OSError:
                Path(path).unlink()
                name = b""
            finally:
                os.close(handle)
    name = ranks.told(name)
    if not name:
        return None
    try:
        rows = torch.from_file(os.fsdecode(name), shared=True, size=size // 4).view(ranks.world, ROOM)
        with ranks.together():
            barrier()
    finally:
        if ranks.first:  # all have it open: from now on it goes with the last of them, however they end
            Path(os.fsdecode(name)).unlink()
    return SharedMean(ranks, rows)


def _averaged(memory: SharedMean, bucket: GradBucket) -> Future[Tensor]:
    done: Future[Tensor] = Future()
    done.set_result(memory(bucket.buffer()))
    return done

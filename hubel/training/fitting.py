"""The batch that fits, where the one that was asked for does not: steps of half its size are tried, of half that …"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np

from hubel.errors import Diverged, OutOfMemory
from hubel.memory import let_go, ran_out
from hubel.training.loop import Trainer

STEPS = 3  # the first leaves behind what the others have to live with
SPARE = 1.5  # items that are tried for each that is named, as memory breaks into pieces over many steps


@contextlib.contextmanager
def fitting(trainer: Trainer) -> Iterator[None]:
    """Inside, memory that runs out becomes OutOfMemory with the batch that fits. The trainer is of no use then.

    Its steps have changed the weights; what is worth keeping was kept before.
    """
    try:
        yield
    except (MemoryError, RuntimeError, OutOfMemory) as e:
        if not (isinstance(e, OutOfMemory) or ran_out(e)):
            raise
        let_go(e)
        if not trainer.ranks.alone:  # the others wait for this one's share, and cannot try with it
            raise OutOfMemory(
                f"the share of process {trainer.ranks.rank} in a batch of {trainer.recipe.batch:,} items does not fit "
                "in its memory: say a smaller --batch, or start more processes"
            ) from None
        count = len(trainer.train)
        asked = min(trainer.recipe.batch or count, count)
        fits = largest(trainer, asked)
        if not fits:
            raise OutOfMemory(
                f"a batch of {asked:,} items does not fit in the memory, and not even one does. End other programs, or "
                "take a smaller network or a smaller --input"
            ) from None
        raise OutOfMemory(
            f"a batch of {asked:,} items does not fit in the memory, one of {fits:,} does: say --batch {fits}"
        ) from None


def largest(trainer: Trainer, asked: int) -> int:
    """The size under `asked`, halved again and again, of which steps fit with room to SPARE; 0 where not one does."""
    while asked := asked // 2:
        trainer.engine.at_hand = None
        tried = np.arange(min(int(SPARE * asked), len(trainer.train)))
        try:
            for batch in range(STEPS):
                trainer.learn(tried, 1, batch)
        except Diverged:
            break  # it fits, whatever comes out
        except (MemoryError, RuntimeError) as e:
            if not ran_out(e):
                raise
            let_go(e)
        else:
            break
    return asked

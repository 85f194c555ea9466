"""Memory that runs out: told from other errors, and where the size of a piece is ours to choose, smaller pieces."""

from __future__ import annotations

import gc
import sys
import traceback
from collections.abc import Callable

from hubel.errors import OutOfMemory

# How PyTorch says it on the processor, where it has no class for it: its allocator on Linux, on Windows, and oneDNN.
WORDS = ("can't allocate memory", "not enough memory", "could not create a primitive")


def ran_out(error: BaseException) -> bool:
    """Whether it says that memory could not be had: of Python, NumPy, PyTorch on any device."""
    if isinstance(error, MemoryError):  # NumPy's, too
        return True
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in WORDS)


def let_go(error: BaseException) -> None:
    """What the frames of an error hold, which may be most of the memory, is given back while the error is at hand."""
    traceback.clear_frames(error.__traceback__)
    gc.collect()  # of what holds each other, too


def in_pieces(count: int, most: int, work: Callable[[int, int], None]) -> None:
    """work(start, stop) for all of `count` items, at most `most` at once; where memory runs out, half as many.

    Raises OutOfMemory where it does not even hold one.
    """
    start = 0
    while start < count:
        stop = min(start + most, count)
        try:
            work(start, stop)
        except (MemoryError, RuntimeError) as e:
            if not ran_out(e):
                raise
            let_go(e)
            if stop - start == 1:
                raise OutOfMemory(
                    "the memory does not hold one item on its way through the network. End other programs, or take a "
                    "smaller network or smaller pictures"
                ) from None
            most = (stop - start) // 2
        else:
            start = stop

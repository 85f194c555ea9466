"""Processes that decode beside this one, into the same file of pixels (pixels_cache.Draft), which all have mapped.

A small picture is decoded in the time in which Python hands it over: threads would wait for the interpreter, and
nothing would be won. A helper has its own. It is asked by a line of JSON, a pair (row, path or number of bytes) per
picture, and by these bytes; it answers with a line: pairs (row, why it could not be read).
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from queue import SimpleQueue

import numpy as np

from hubel.data.preprocess import Preprocess
from hubel.data.records import Content
from hubel.errors import DataError

Chunk = list[tuple[int, Content]]
Reasons = list[tuple[int, str]]  # rows that stay undefined, and why
Decode = Callable[[Chunk], Reasons]

# A helper is ready after 0.2 s, which is 2,000 small pictures; it must have more to do than that.
WORTH_A_HELPER = 4_000
BEGIN = "import sys; sys.path[:] = {path!r}; from hubel.data.resident import help_out; help_out(sys.argv[1])"


def wanted(pictures: int) -> int:
    """How many helpers are worth their start."""
    # A program that Python was built into would begin itself once more.
    if getattr(sys, "frozen", False) or not sys.executable:
        return 0
    return max(0, min(os.cpu_count() or 1, pictures // WORTH_A_HELPER) - 1)


class Helper:
    """One such process. Raises OSError or ValueError where it does not begin, or has ended."""

    def __init__(self, out: np.memmap, preprocess: Preprocess) -> None:
        order = {
            "file": str(out.filename), "offset": out.offset, "shape": out.shape,
            "preprocess": preprocess.to_dict(),
        }  # fmt: skip
        begin = BEGIN.format(path=sys.path)  # of this process: nothing is taken from the folder it runs in
        self.process = subprocess.Popen(  # noqa: S603 - this Python, and this program
            [sys.executable, "-c", begin, json.dumps(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def __call__(self, chunk: Chunk) -> Reasons:
        asked, told = self.process.stdin, self.process.stdout
        assert asked is not None and told is not None
        reachable = [(k, content) for k, content in chunk if not isinstance(content, DataError)]
        line = json.dumps([(k, len(c) if isinstance(c, bytes) else c) for k, c in reachable])
        asked.write(line.encode() + b"\n")
        asked.writelines(content for _, content in reachable if isinstance(content, bytes))
        asked.flush()
        unreachable = [(k, str(content)) for k, content in chunk if isinstance(content, DataError)]
        return [(int(k), str(why)) for k, why in json.loads(told.readline())] + unreachable

    def close(self) -> None:
        """It ends when nobody can ask it any more."""
        with contextlib.suppress(OSError):  # what was written to one that had ended
            self.process.__exit__(None, None, None)


@contextlib.contextmanager
def helped(
    decode: Decode, out: np.ndarray, preprocess: Preprocess, pictures: int
) -> Iterator[tuple[Decode, int]]:
    """(a `decode` that several threads may call, how many of them): this process's own, and that of its helpers.

    out: helpers are there only where it lies in a file. One that ends early costs time: what it was asked is done here.
    """
    free: SimpleQueue[Decode] = SimpleQueue()
    free.put(decode)

    def shared(chunk: Chunk) -> Reasons:
        one = free.get()
        try:
            return one(chunk)
        except (OSError, ValueError):
            if one is decode:
                raise
            one = decode
            return decode(chunk)
        finally:
            free.put(one)

    with contextlib.ExitStack() as stack:
        if isinstance(out, np.memmap):
            for _ in range(wanted(pictures)):
                with contextlib.suppress(OSError):  # no more processes are allowed: we are as many as we are
                    helper = Helper(out, preprocess)
                    stack.callback(helper.close)
                    free.put(helper)
        yield shared, free.qsize()


def serve(decode: Decode) -> None:
    """In a helper: decode what is asked for, until nobody can ask any more."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all of a terminal's; whom it helps ends it
    asked, told = sys.stdin.buffer, sys.stdout.buffer
    for line in asked:
        chunk: Chunk = [
            (k, what if isinstance(what, str) else asked.read(what)) for k, what in json.loads(line)
        ]
        told.write(json.dumps(decode(chunk)).encode() + b"\n")
        told.flush()

"""A line before slow work: one thread, few who wait, none too long, and nothing begun for a client that has gone.

And a place for what is slow the first time alone, so that those who wait for it do not take all threads from others.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, TypeVar

import anyio.to_thread
from fastapi import Request

from hubel.serving.batching import Gone, Receive
from hubel.serving.limits import Limits, busy
from hubel.serving.metrics import Metrics

T = TypeVar("T")

ARRIVED = "hubel.arrived"  # the door's note in a request's scope: time.perf_counter() at its first byte


class Line:
    """Questions to one network, one after another, in a thread that no other route waits for.

    name: of the network
    """

    def __init__(self, name: str, limits: Limits, metrics: Metrics) -> None:
        self.name, self.limits = name, limits
        self._places = threading.Semaphore(limits.workers)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"questions-{name}")
        self._dropped = metrics.dropped.labels(name)

    async def ask(self, request: Request, work: Callable[[], T]) -> T:
        """What `work` gives. Raises Refused (503) where too many are in line, or it has not begun by the deadline.

        Work that has begun is finished: a thread cannot be stopped, and whoever asks again would wait for it anew.
        """
        if not self._places.acquire(blocking=False):
            raise busy(
                "questions", f"{self.limits.workers} questions to {self.name} wait already; ask again later"
            )
        turn = self._thread.submit(work)
        turn.add_done_callback(lambda _: self._places.release())  # whoever waits for it, or nobody
        answer = asyncio.wrap_future(turn)
        leaving = asyncio.create_task(_left(request.receive))
        try:
            left = self.limits.deadline - (time.perf_counter() - arrived(request))
            both: set[asyncio.Future[Any]] = {answer, leaving}
            await asyncio.wait(both, timeout=max(0, left), return_when=asyncio.FIRST_COMPLETED)
            if turn.cancel():  # only what has not begun can be
                if not leaving.done():
                    raise busy(
                        "deadline", f"{self.name} was busy for {self.limits.deadline:g} s; ask again later"
                    )
                self._dropped.inc()
                raise Gone(499, "gone", "the client has gone")
            return await answer
        finally:
            answer.cancel()  # where our own caller was cancelled
            leaving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await leaving


async def _left(receive: Receive) -> None:
    """Returns when the client has gone. After the whole body a connection has nothing more to tell than that."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def at_first(work: Callable[[], T]) -> T:
    """What `work` gives, in one of two threads: all who ask before it is ready wait without one."""
    return await anyio.to_thread.run_sync(work, limiter=_two())


@lru_cache(1)
def _two() -> anyio.CapacityLimiter:
    return anyio.CapacityLimiter(2)


def arrived(request: Request) -> float:
    """When the request came to the door, in time.perf_counter()'s seconds; now, where there is no door."""
    found: float = request.scope.get(ARRIVED, time.perf_counter())
    return found

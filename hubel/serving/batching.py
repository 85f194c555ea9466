"""Batches formed under load: an idle network takes a picture at once, and what comes meanwhile goes together next.

There is no timer that waits for company. The one thread that a network has takes what waits, decodes, answers and packs
it, and takes again without asking the loop, which is left to the sockets. Only tiny pictures are decoded on the loop:
its core has the time for that, the network's has not. How many may wait is a matter of time: as many as are answered
within WAIT at the pace of the last batches, so that whoever is let in has an answer soon, under overload, too.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TypeVar

import numpy as np

from hubel.serving.limits import Limits, Refused, busy
from hubel.serving.metrics import Metrics

Receive = Callable[[], Awaitable[Any]]
T = TypeVar("T")

# Seconds that a picture may wait, at the pace of this moment. Whoever is let in should have an answer within a second,
# under overload, too; the rest of it is for what cannot be foreseen.
WAIT = 0.3
LEAST, MOST = 16, 2048  # pictures that may wait, however slow or fast the network is
LOOK = 0.1  # seconds between two looks at what waits: for its deadline, and whether its client is still there


class Large(Exception):
    """Decoding this would keep all others waiting; it is done aside, and comes back."""


class Waiting(Protocol):
    """Who waits for an answer: an asyncio.Future, or what is told in its place. `done` may be asked in any thread."""

    def done(self) -> bool: ...

    def set_result(self, result: Any, /) -> None: ...

    def set_exception(self, exception: BaseException, /) -> None: ...

    def get_loop(self) -> asyncio.AbstractEventLoop: ...


@dataclass(eq=False)
class Entry:
    """One request's pictures.

    content: (n, …) ready inputs, or the bytes of one picture   size: how many pictures
    finish: from their (n, K) logits to what the request gets, in the worker's thread; None for Work.pack's bytes
    receive: of the client's connection, to see it go
    """

    content: np.ndarray | bytes
    size: int
    finish: Callable[[np.ndarray], Any] | None
    future: Waiting
    born: float
    receive: Receive | None = None
    watcher: asyncio.Task[None] | None = None


@dataclass
class Work:
    """What a network does with pictures, in the worker's thread.

    decode: a file's bytes to (C, H, W); raises an error of ours, or Large where its second argument says `quickly`
    logits: (N, C, H, W) to (N, K)   pack: (N, K) to N whole answers
    """

    decode: Callable[[bytes, bool], np.ndarray]
    logits: Callable[[np.ndarray], np.ndarray]
    pack: Callable[[np.ndarray], Sequence[bytes]]
    queue: int = 0  # pictures that wait at most; 0 for as many as are answered within WAIT
    each: float = 0.001  # seconds that a picture will take, until there are batches to tell
    name: str = "model"
    tiny: Callable[[bytes], bool] = lambda _: False  # whether decode takes no time, and is done on the loop


@dataclass
class _Counted:
    depth: Any = field(repr=False)
    size: Any = field(repr=False)
    dropped: Any = field(repr=False)


class Batcher:
    """The queue before one network."""

    def __init__(self, work: Work, limits: Limits, metrics: Metrics) -> None:
        self.work, self.limits = work, limits
        self.pending: set[Entry] = set()  # all that have no result yet
        self.aside = 0  # large pictures that are being decoded, or wait for it
        self._queue: SimpleQueue[Entry] = SimpleQueue()
        self._entered = self._taken = 0  # pictures; the loop writes the one, the thread the other
        self._lately = WAIT, WAIT / work.each  # seconds of work, and pictures in them; the thread writes it
        self._late = 0.0  # seconds that the last answers waited for the loop, which was at others
        self._thread = threading.Thread(target=self._run, name=f"answers-{work.name}", daemon=True)
        self._large = ThreadPoolExecutor(1, thread_name_prefix=f"decodes-{work.name}")
        self._looking = False
        self._count = _Counted(
            metrics.queue.labels(work.name),
            metrics.batches.labels(work.name),
            metrics.dropped.labels(work.name),
        )

    @property
    def depth(self) -> int:
        """Pictures that wait."""
        return self._entered - self._taken

    def most(self, waited: float = 0.0) -> int:
        """Pictures that may wait, where the next one has done so for some seconds already, and its answer will."""
        seconds, pictures = self._lately
        left = max(
            WAIT - waited - self._late, WAIT / 8
        )  # fewer would leave the network idle while the loop is busy
        return self.work.queue or max(LEAST, min(MOST, round(left * pictures / seconds)))

    def put(
        self,
        content: np.ndarray | bytes,
        finish: Callable[[np.ndarray], T] | None,
        receive: Receive | None = None,
    ) -> asyncio.Future[T]:
        """The answer to come. Raises as `enter` does."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.enter(content, finish, future, receive)
        return future

    def enter(
        self,
        content: np.ndarray | bytes,
        finish: Callable[[np.ndarray], Any] | None,
        future: Waiting,
        receive: Receive | None = None,
    ) -> Entry:
        """Have `future` told the answer. Raises Refused (503) where too many wait; tiny pictures are decoded here."""
        loop = future.get_loop()
        size = 1 if isinstance(content, bytes) else len(content)
        wait = self.depth + self.aside
        # uvloop's time stands still for a turn, and turns are long under overload; a request lay in its socket as long.
        if wait and wait + size > (most := self.most(time.monotonic() - loop.time())):
            raise busy("queue", f"{wait} pictures wait already; at most {most} may")
        if isinstance(content, bytes) and self.work.tiny(content):
            content = self.work.decode(content, True)[None]
        entry = Entry(content, size, finish, future, loop.time(), receive)
        self.pending.add(entry)
        self._enter(entry)
        if not self._looking:
            self._looking = True
            loop.call_later(LOOK, self._look, loop)
        return entry

    def _enter(self, entry: Entry) -> None:
        self._entered += entry.size
        self._queue.put(entry)
        if not self._thread.is_alive():
            self._thread.start()

    def _run(self) -> None:
        """The thread: whatever waits, as much of it as goes together, again and again."""
        while True:
            batch: list[Entry] = []
            size = 0
            entry = self._queue.get()
            while True:
                self._taken += entry.size
                if not entry.future.done():  # else its time is up, or nobody waits for it any more
                    batch.append(entry)
                    size += entry.size
                if size >= self.limits.batch:
                    break
                try:
                    entry = self._queue.get_nowait()
                except Empty:
                    break
            self._count.depth.set(self.depth)
            if batch:
                begin = time.perf_counter()
                results = self._work(batch)
                self._timed(time.perf_counter() - begin, size)
                batch[0].future.get_loop().call_soon_threadsafe(
                    self._done, batch, results, time.perf_counter()
                )

    def _timed(self, seconds: float, size: int) -> None:
        """What was before fades, by e in WAIT. Sums fade, not paces: a batch held up counts by its pictures."""
        before, pictures = self._lately
        fades = math.exp(-seconds / WAIT)
        self._lately = before * fades + seconds, pictures * fades + size

    def _work(self, batch: Sequence[Entry]) -> list[Any]:
        """In the thread: each entry's answer, error, or Large."""
        results: list[Any] = [None] * len(batch)
        parts, places = [], []
        for place, entry in enumerate(batch):
            x = entry.content
            try:
                parts.append(self.work.decode(x, True)[None] if isinstance(x, bytes) else x)
                places.append(place)
            except Exception as e:  # Large, a refusal, or a bug of ours: of this one alone
                results[place] = e
        try:
            self._answer(batch, parts, places, results)
        except Exception as e:  # a bug of ours must not leave anyone waiting
            results = [e if r is None else r for r in results]
        return results

    def _answer(
        self, batch: Sequence[Entry], parts: list[np.ndarray], places: list[int], results: list[Any]
    ) -> None:
        """Fill in the results of those entries of a batch whose pictures are `parts`."""
        if not parts:
            return
        together = parts[0] if len(parts) == 1 else np.concatenate(parts)  # (N, C, H, W)
        self._count.size.observe(len(together))
        logits = self.work.logits(together)  # (N, K)
        plain, rows, start = [], [], 0
        for place, part in zip(places, parts, strict=True):
            finish = batch[place].finish
            if finish is None:
                plain.append(place)
                rows.append(start)
            else:
                results[place] = finish(logits[start : start + len(part)])
            start += len(part)
        if plain:
            for place, packed in zip(plain, self.work.pack(logits[rows]), strict=True):
                results[place] = packed

    def _done(self, batch: Sequence[Entry], results: Sequence[Any], since: float) -> None:
        self._late = time.perf_counter() - since
        for entry, result in zip(batch, results, strict=True):
            if isinstance(result, Large):
                self.aside += 1
                loop = entry.future.get_loop()
                loop.run_in_executor(self._large, self._decode, entry, loop)
            else:
                self.settle(entry, result)

    def _decode(self, entry: Entry, loop: asyncio.AbstractEventLoop) -> None:
        """In the other thread: a large picture, one at a time."""
        assert isinstance(entry.content, bytes)
        result: np.ndarray | Exception
        try:
            result = np.empty(0) if entry.future.done() else self.work.decode(entry.content, False)[None]
        except Exception as e:
            result = e
        loop.call_soon_threadsafe(self._decoded, entry, result)

    def _decoded(self, entry: Entry, result: np.ndarray | Exception) -> None:
        self.aside -= 1
        if isinstance(result, Exception):
            self.settle(entry, result)
        elif not entry.future.done():
            entry.content = result
            self._enter(entry)

    def settle(self, entry: Entry, result: Any) -> None:
        """Give an entry its result, unless it has one."""
        self.pending.discard(entry)
        if entry.watcher is not None and entry.watcher is not asyncio.current_task():
            entry.watcher.cancel()
        if entry.future.done():
            return
        if isinstance(result, Exception):
            entry.future.set_exception(result)
        else:
            entry.future.set_result(result)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Who has waited too long is told so; who has gone is forgotten."""
        now = loop.time()
        for entry in list(self.pending):
            if entry.future.done():  # whoever waited was cancelled
                self.pending.discard(entry)
            elif now - entry.born > self.limits.deadline:
                self.settle(entry, busy("deadline", f"there was no answer within {self.limits.deadline:g} s"))
            elif entry.receive is not None and entry.watcher is None and now - entry.born > LOOK / 2:
                entry.watcher = loop.create_task(self._watch(entry))
        self._looking = bool(self.pending)
        if self._looking:
            loop.call_later(LOOK, self._look, loop)

    async def _watch(self, entry: Entry) -> None:
        """After the whole body a connection has nothing more to tell than that it ends."""
        assert entry.receive is not None
        message = await entry.receive()
        if message["type"] == "http.disconnect" and not entry.future.done():
            self.forget(entry)
            entry.future.set_exception(Gone(499, "gone", "the client has gone"))

    def forget(self, entry: Entry) -> None:
        """Its client has gone."""
        self._count.dropped.inc(entry.size)
        self.pending.discard(entry)


class Gone(Refused):
    """There is nobody to answer."""

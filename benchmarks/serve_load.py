"""The service under load: idle, at 80 % of its capacity, and at three times of it; print a table.

    HUBEL_DATA=... python benchmarks/serve_load.py RUN --minutes 10

Capacity is what 32 connections get that ask again as soon as they are answered. The other loads do not wait for the
service: each request has its time, told beforehand, and its latency counts from then. Where MOST requests are under
way, the next is not sent, and counted as that. The sender is a process on the same machine and takes a part of its
two cores.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import document
import numpy as np
import uvloop
from serve_race import digits

CONNECTIONS, MOST = 32, 2000  # of capacity; and at most


@dataclass
class Sent:
    """statuses; seconds of the answers with 200; memory: the service's resident bytes, looked at every second

    unsent: requests for which there was no connection left
    """

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    took: float = 0.0
    unsent: int = 0

    def p(self, share: float) -> float:
        return float(np.quantile(self.seconds, share)) if self.seconds else float("nan")


class Line(asyncio.Protocol):
    """One connection: a request at a time; the answer's status by its first line, its end by Content-Length."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[int] | None = None
        self.seen = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def ask(self, request: bytes) -> asyncio.Future[int]:
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)  # type: ignore[attr-defined]
        return self.answer

    def data_received(self, data: bytes) -> None:
        self.seen += data
        head, end, body = self.seen.partition(b"\r\n\r\n")
        if not end or self.answer is None:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(body) >= length:
            status, self.seen = int(self.seen[9:12]), b""
            self.answer.set_result(status)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(ConnectionError("the service hung up"))


class Sender:
    def __init__(self, port: int, bodies: list[bytes], pid: int) -> None:
        self.port, self.pid = port, pid
        head = f"POST /v1/predictions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: image/png\r\nContent-Length: "
        self.requests = [f"{head}{len(b)}\r\n\r\n".encode() + b for b in bodies]
        self.free: deque[Line] = deque()
        self.lines = 0

    async def line(self) -> Line:
        if self.free:
            return self.free.popleft()
        self.lines += 1
        return (await asyncio.get_running_loop().create_connection(Line, "127.0.0.1", self.port))[1]

    async def one(self, number: int, due: float, sent: Sent) -> None:
        line = await self.line()
        try:
            status = await line.ask(self.requests[number % len(self.requests)])
        except ConnectionError:
            sent.statuses[0] += 1
            self.lines -= 1
            return
        sent.statuses[status] += 1
        if status == 200:
            sent.seconds.append(time.perf_counter() - due)
        self.free.append(line)

    async def closed(self, seconds: float, connections: int) -> Sent:
        """Each connection asks again as soon as it is answered."""
        sent, begin = Sent(), time.perf_counter()

        async def again(number: int) -> None:
            while (now := time.perf_counter()) - begin < seconds:
                await self.one(number, now, sent)
                number += connections

        await asyncio.gather(*(again(n) for n in range(connections)))
        sent.took = time.perf_counter() - begin
        return sent

    async def open(self, seconds: float, rate: float) -> Sent:
        """`rate` requests a second, whether or not those before are answered."""
        sent, begin, number = Sent(), time.perf_counter(), 0
        under_way: set[asyncio.Task[None]] = set()
        looked = 0.0
        while (now := time.perf_counter() - begin) < seconds:
            while number < now * rate:
                number += 1
                if len(under_way) >= MOST:
                    sent.unsent += 1
                    continue
                task = asyncio.ensure_future(self.one(number, begin + (number - 1) / rate, sent))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            if now - looked > 1:
                looked = now
                sent.memory.append(resident(self.pid))
            await asyncio.sleep(0.001)
        if under_way:
            await asyncio.wait(under_way, timeout=30)
        sent.took = time.perf_counter() - begin
        return sent


def resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def service(*runs: str) -> Iterator[tuple[int, int]]:
    """The port and the process that serves these runs."""
    command = [sys.executable, "-u", "-m", "hubel", "serve", *runs, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if line.startswith("page"):
                    yield int(line.rstrip("/\n").rpartition(":")[2]), process.pid
                    break
        finally:
            process.terminate()


async def measured(port: int, pid: int, bodies: list[bytes], minutes: float) -> list[tuple[str, str]]:
    sender = Sender(port, bodies, pid)
    await sender.closed(2, CONNECTIONS)
    idle = await sender.closed(3, 1)
    full = await sender.closed(6, CONNECTIONS)
    capacity = len(full.seconds) / full.took
    print(f"idle p50 {1e3 * idle.p(0.5):.2f} ms, capacity {capacity:,.0f} requests/s", flush=True)
    steady = await sender.open(60 * minutes, 0.8 * capacity)
    memory = steady.memory[
        len(steady.memory) // 10 :
    ]  # after the first tenth, in which buffers find their size
    print(f"80 %: {dict(steady.statuses)}, p99 {1e3 * steady.p(0.99):.1f} ms", flush=True)
    over = await sender.open(15, 3 * capacity)
    after = await sender.closed(1, 1)
    print(f"x3: {dict(over.statuses)}, {over.unsent} not sent, p99 {1e3 * over.p(0.99):.0f} ms", flush=True)
    flat = (max(memory) - min(memory)) / statistics.median(memory) if memory else 0.0
    errors = sum(n for status, n in steady.statuses.items() if status != 200)
    others = sum(n for status, n in over.statuses.items() if status not in (200, 503))
    return [
        ("idle, one connection: p50, p99", f"{1e3 * idle.p(0.5):.2f} ms, {1e3 * idle.p(0.99):.2f} ms"),
        (f"capacity, {CONNECTIONS} connections", f"{capacity:,.0f} requests/s"),
        (f"{minutes:g} min at 80 %: answers, errors", f"{len(steady.seconds):,}, {errors}"),
        ("… p50, p99", f"{1e3 * steady.p(0.5):.1f} ms, {1e3 * steady.p(0.99):.1f} ms"),
        ("… memory, largest − smallest", f"{100 * flat:.1f} % of {statistics.median(memory) / 2**20:.0f} MB"),
        (
            "15 s at 3 × capacity: 200, 503, others",
            f"{over.statuses[200]:,}, {over.statuses[503]:,}, {others}",
        ),
        ("… p99 of the accepted", f"{1e3 * over.p(0.99):.0f} ms"),
        ("the second after: p50, p99", f"{1e3 * after.p(0.5):.2f} ms, {1e3 * after.p(0.99):.2f} ms"),
    ]


def main() -> None:
    parser = document.parser(__doc__)
    parser.add_argument("run")
    parser.add_argument("--minutes", type=float, default=10)
    args = parser.parse_args()
    packed, bodies = digits(args.run), []
    while packed:
        size = int.from_bytes(packed[:4], "big")
        bodies.append(packed[4 : 4 + size])
        packed = packed[4 + size :]
    with service(args.run) as (port, pid):
        rows = uvloop.run(measured(port, pid, bodies, args.minutes))
    footing = document.footing(__file__, ("onnxruntime", "uvicorn"), "cores shared with the sender")
    lines = ["## The service under load", "", "| what | measured |", "| --- | ---: |"]
    lines += [f"| {what} | {value} |" for what, value in rows]
    lines += ["", f"`lenet-keras`, raw bytes of MNIST test digits. {footing}"]
    document.tell(__file__, lines, args.out)


if __name__ == "__main__":
    main()

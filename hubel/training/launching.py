"""Several processes of one command on this machine, which train together; see distributed."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

ALONE_SECONDS, ASKED_SECONDS = (
    3.0,
    3.0,
)  # how long the others have to end by themselves, and when they are asked to
RESTART = "TORCHELASTIC_RESTART_COUNT"  # as torchrun calls it


@dataclass(frozen=True)
class Ended:
    """How it went. code: of the command; 0 for done   rank: who ended first and not well; said: in words"""

    code: int
    rank: int | None = None
    said: str = ""

    @property
    def lost(self) -> bool:
        """Whether a process was lost, so that the same can be tried again; wrong input would be as wrong again."""
        return self.code < 0 or self.code == 1


def launch(arguments: Sequence[str], processes: int, *, attempt: int = 0) -> Ended:
    """Run `hubel ARGUMENTS` in so many processes until all have ended. The first speaks; the others' errors are kept.

    Where one ends badly the others are ended, too, within ALONE_SECONDS + ASKED_SECONDS. attempt: told to them
    """
    with contextlib.ExitStack() as stack:
        port = _free_port()
        errors: list[IO[bytes] | None] = [
            stack.enter_context(tempfile.TemporaryFile()) if rank else None for rank in range(processes)
        ]
        quiet = subprocess.DEVNULL
        children = [
            subprocess.Popen(  # noqa: S603 - our own command, with the words that the user gave it
                [sys.executable, "-m", "hubel", *arguments], env=_environment(rank, processes, port, attempt),
                stdin=quiet if rank else None, stdout=quiet if rank else None, stderr=errors[rank],
            )
            for rank in range(processes)
        ]  # fmt: skip
        stack.enter_context(_passed_on(children))
        try:
            rank = _first_to_fail(children)
            if rank is None:
                return Ended(0)
            _end(children)
        finally:
            for child in children:
                if child.poll() is None:
                    child.kill()
                child.wait()
        code = children[rank].returncode
        if children[0].returncode == code:  # what is wrong for all has been said by the first one
            rank = 0
        return Ended(code, rank, _said(rank, processes, code, errors[rank]))


def _environment(rank: int, processes: int, port: int, attempt: int) -> dict[str, str]:
    """As torchrun has it. Threads are shared out, unless the user has said how many."""
    threads = max(1, (os.cpu_count() or 1) // processes)
    return {
        "OMP_NUM_THREADS": str(threads), **os.environ, "RANK": str(rank), "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port), RESTART: str(attempt),
    }  # fmt: skip


def _first_to_fail(children: Sequence[subprocess.Popen[bytes]]) -> int | None:
    """Wait until all have ended, or one badly -> its number. Where several have, the one that a signal killed."""
    while True:
        codes = [child.poll() for child in children]
        bad = [rank for rank, code in enumerate(codes) if code]
        if bad:
            return min(bad, key=lambda rank: (codes[rank] or 0) > 0)
        if all(code == 0 for code in codes):
            return None
        with contextlib.suppress(subprocess.TimeoutExpired):
            next(c for c, code in zip(children, codes, strict=True) if code is None).wait(0.1)


def _end(children: Sequence[subprocess.Popen[bytes]]) -> None:
    """The others notice it at their next word to it; who does not is asked, and then killed."""
    for seconds, number in ((ALONE_SECONDS, signal.SIGTERM), (ASKED_SECONDS, signal.SIGKILL)):
        until = time.monotonic() + seconds
        for child in children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, until - time.monotonic()))
        for child in children:
            if child.poll() is None:
                child.send_signal(number)


def _said(rank: int, processes: int, code: int, errors: IO[bytes] | None) -> str:
    """Who ended, and why. The first one's own words stand on the screen already."""
    who = f"process {rank} of {processes}"
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"{who} was killed by {signal.Signals(-code).name}; the others were ended"
        return f"{who} was killed by signal {-code}; the others were ended"
    if errors is None:
        return ""
    errors.seek(0)
    lines = errors.read().decode(errors="replace").strip().splitlines() or [f"ended with {code}"]
    return f"{who}: {lines[-1].removeprefix('hubel: ')}"


@contextlib.contextmanager
def _passed_on(children: Sequence[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Inside, SIGTERM goes on to the children; Ctrl-C reaches them from the terminal itself."""

    def pass_on(number: int, _: object) -> None:
        for child in children:
            if child.poll() is None:
                child.send_signal(number)

    before = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, pass_on),
        signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])

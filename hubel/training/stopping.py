"""How a training is ended before its time, after the step at hand: Ctrl-C, SIGTERM (a machine that is taken away), a
time limit."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hubel.errors import Interrupted, StoppedEarly

if TYPE_CHECKING:
    from hubel.training.loop import Trainer

CLOCK = 0  # is no signal
SAID = {
    signal.SIGTERM: "asked to end (SIGTERM)", signal.SIGINT: "interrupted", CLOCK: "the time limit was reached"
}  # fmt: skip


@dataclass
class Stopped:
    """By what: a signal's number, CLOCK, or None for a program that set Trainer.stop."""

    by: int | None = None

    def error(self, where: str) -> StoppedEarly:
        """where: at which step, and what is saved"""
        kind = Interrupted if self.by == signal.SIGINT else StoppedEarly
        return kind(f"{'asked to end' if self.by is None else SAID[self.by]} {where}")


@contextlib.contextmanager
def stopping(trainer: Trainer, seconds: float | None = None) -> Iterator[Stopped]:
    """Inside, Ctrl-C, SIGTERM and the end of so many seconds end the loop after the step at hand.

    A second Ctrl-C ends it at once.
    """
    stopped = Stopped()

    def ask(number: int, _: Any = None) -> None:
        if stopped.by == number == signal.SIGINT:
            raise KeyboardInterrupt
        trainer.stop, stopped.by = True, number

    clock = None
    if seconds is not None:
        clock = threading.Timer(max(0.0, seconds), ask, (CLOCK,))
        clock.daemon = True
        clock.start()
    try:
        with _signals(ask):
            yield stopped
    finally:
        if clock:
            clock.cancel()


@contextlib.contextmanager
def _signals(ask: Any) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # only there may signals be handled
        yield
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

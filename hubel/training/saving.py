"""What a training writes while it runs: lines of its curves, and states from which it goes on exactly."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubel.data.streams import streamed
from hubel.errors import InputError
from hubel.files import append_line, write_atomically, writing
from hubel.run import HISTORY, TIMING
from hubel.training.checkpoint import Checkpoints, Every, State, named
from hubel.training.engine import behind

if TYPE_CHECKING:
    from hubel.data import Split
    from hubel.training.keeping import Keeper
    from hubel.training.loop import Epoch, Trainer

CURVES = (HISTORY, TIMING)


class Saver:
    """Writes the states of one training when they are due, and puts it back where the newest of them was.

    based_on: what the sums depend on beside settings and versions, as digest() and threads; resuming asks for the same.
        Asked for with the first state: a training of seconds has none.
    """

    def __init__(
        self, folder: Path, checkpoints: Checkpoints, trainer: Trainer, keeper: Keeper, every: Every,
        based_on: Callable[[], Mapping[str, Any]],
    ) -> None:  # fmt: skip
        self.folder, self.checkpoints, self.trainer, self.keeper = folder, checkpoints, trainer, keeper
        self.every, self.based_on = every, based_on
        self.lines: dict[str, list[dict[str, Any]]] = {name: [] for name in CURVES}
        self.last, self.written = time.monotonic(), (0, 0)

    def line(self, epoch: Epoch) -> None:
        """One point more of the curves."""
        if not self.checkpoints.writes:
            return
        for name, row in ((HISTORY, epoch.row()), (TIMING, epoch.times())):
            append_line(self.folder / name, row)
            self.lines[name].append(row)

    def after_step(self, stop: bool) -> None:
        """A state, if one is due; for sure where the training stops here."""
        due = self.every.steps and self.trainer.step % self.every.steps == 0
        if self.every.seconds and time.monotonic() - self.last >= self.every.seconds:
            due = True
        if stop or due:
            self.write()

    def after_epoch(self, epoch: Epoch) -> None:
        if epoch.whole and self.every.epochs and epoch.epoch % self.every.epochs == 0:
            self.write()

    def write(self) -> None:
        """A state, unless the last one is of the same place."""
        place = (self.trainer.epoch, self.trainer.batch)
        if place == self.written or not self.checkpoints.writes:
            return
        tensors, numbers = self.trainer.state()
        kept, of_keeper = self.keeper.state()
        state = State(
            {**named("trainer", tensors), **named("keeper", kept)},
            {
                "step": numbers["step"], "trainer": numbers, "keeper": of_keeper,
                "lines": self.lines, "based_on": dict(self.based_on()),
            },
        )  # fmt: skip
        self.checkpoints.write(state)
        self.last, self.written = time.monotonic(), place

    def restore(self, state: State) -> None:
        """Put the training where `state` was written, and the curves with it."""
        numbers = state.numbers
        try:
            self.trainer.restore(behind(state.tensors, "trainer."), numbers["trainer"])
            self.keeper.restore(behind(state.tensors, "keeper."), numbers["keeper"])
        except (KeyError, RuntimeError) as e:
            raise InputError(
                f"the state in {self.checkpoints.folder} is of another network or optimizer than is asked for ({e}). "
                "Leave out what you changed, or begin anew with another --out"
            ) from None
        self.lines = {name: list(numbers["lines"][name]) for name in CURVES}
        self.written = (self.trainer.epoch, self.trainer.batch)
        self._write_lines()

    def start_over(self) -> None:
        """There is no state: the curves begin anew."""
        self._write_lines()

    def _write_lines(self) -> None:
        if not self.checkpoints.writes:
            return
        for name, rows in self.lines.items():
            path = self.folder / name
            if rows:
                write_atomically(path, "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows))
            else:
                with writing(path):
                    path.unlink(missing_ok=True)


def digest(*parts: Split) -> str:
    """CRC-32 over inputs and targets: whether the data is what it was. Of a stream its indices stand for the pixels."""
    total = 0
    for part in parts:
        for values in (part.inputs, part.targets):
            stream = streamed(values)
            if stream is not None:
                total = zlib.crc32(stream.digest.encode(), total)
                continue
            total = zlib.crc32(repr((values.shape, str(values.dtype))).encode(), total)
            for start in range(0, len(values), 10_000):
                total = zlib.crc32(values[start : start + 10_000].tobytes(), total)
    return f"{total:08x}"

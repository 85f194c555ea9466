"""Where a training stands, on disk: RUN/checkpoint/STEP.safetensors, from which it goes on as if it had never ended.

A state is weights, optimizer, average, sums of the epoch at hand, what is kept so far, and the position. It holds no
generator: all randomness is a function of (seed, epoch, batch). It is written beside, flushed to disk and renamed, and
the last two are kept, so that a death at any moment leaves at least one whole state; a sum over its bytes tells a
damaged one.

The folder is there from the beginning of a training to its end, when the weights in model.safetensors are the last:

    run.toml, no model.safetensors or a checkpoint/      a training that has not ended
    model.safetensors and no checkpoint/                 one that has
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import weakref
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubel.errors import ArtifactError, InputError
from hubel.files import make_folder, write_atomically, writing
from hubel.run import MODEL, SETTINGS

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
FOLDER, LOCK = "checkpoint", "lock"
KEPT = 2  # states on disk: the newest, and the one before it
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class State:
    """tensors: by name, on the processor; numbers: what JSON can hold, `step` among them."""

    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    numbers: Mapping[str, Any] = field(default_factory=dict)


def named(part: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the processor, under PART.NAME. No two share memory, and none changes when training goes on."""
    import torch

    return {
        f"{part}.{name}": t.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, t in tensors.items()
    }


@dataclass(frozen=True)
class Every:
    """When a state is written: after so many seconds, or steps, or whole epochs. One of the three is set."""

    seconds: float = 0.0
    steps: int = 0
    epochs: int = 0

    @staticmethod
    def of(text: str) -> Every:
        """ "30s", "2m", "50steps", "epoch" or "5epochs". Raises InputError for anything else."""
        said = text.strip().lower()
        found = re.fullmatch(r"(\d*) *(step|epoch)s?", said)
        if found and found[1] != "0":
            return Every(**{f"{found[2]}s": int(found[1] or 1)})
        try:
            return Every(seconds=duration(said))
        except ValueError:
            raise InputError(
                f"--checkpoint-every takes a time as 30s or 5m, or 50steps, or epoch, got {text!r}"
            ) from None


def duration(text: str) -> float:
    """ "90", "90s", "10m", "1.5h" or "1h30m" in seconds, over 0. Raises ValueError where it is none."""
    said = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d*)?", said):
        said += "s"
    if not re.fullmatch(r"(\d+(\.\d*)?[hms])+", said):
        raise ValueError(text)
    seconds = sum(float(number) * UNITS[unit] for number, unit in re.findall(r"([\d.]+)([hms])", said))
    if not 0 < seconds < 1e9:
        raise ValueError(text)
    return seconds


class Damaged(ArtifactError):
    """A state that is not whole; the one before it may be."""


class Checkpoints:
    """The states of the run in `folder`. It is held by one process at a time.

    writes: whether this process does; of several that train together the first one does, for all
    """

    def __init__(self, folder: Path, *, writes: bool = True) -> None:
        self.run, self.folder, self.writes = folder, folder / FOLDER, writes
        self._held: weakref.finalize | None = (
            None  # closes the lock, at the latest when nobody has this object
        )

    def hold(self) -> None:
        """Make the folder and keep other processes from training here. InputError where one does."""
        if not self.writes:
            return
        make_folder(self.folder)
        with writing(self.folder / LOCK):
            handle = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        self._held = weakref.finalize(self, os.close, handle)
        if not _locked(handle):
            self.let_go()
            raise InputError(
                f"another process is training in {self.run}. Wait until it has ended, or end it; "
                "then go on with --resume"
            )
        for left in (*self.folder.glob(".*.part"), *self.run.glob(".*.part")):  # of a process that was killed
            with contextlib.suppress(OSError):
                left.unlink()
        for ended in self.run.glob(f".{FOLDER}.ended*"):
            shutil.rmtree(ended, ignore_errors=True)

    def write(self, state: State) -> None:
        """Add this state, and let go of all but the last two."""
        content = packed(state)
        path = self.folder / f"{state.numbers['step']:09d}.safetensors"
        write_atomically(path, content)
        for old in [p for p in self._files() if p != path][KEPT - 1 :]:
            with contextlib.suppress(OSError):  # what is too many takes room, and does no harm
                old.unlink()

    @property
    def empty(self) -> bool:
        """Whether there is no state, be it whole or not."""
        return not self._files()

    def newest(self) -> tuple[State | None, list[str]]:
        """The last state that is whole, or None where there is none; and which were not, in words."""
        damaged: list[str] = []
        for path in self._files():
            try:
                return unpacked(_content(path), path), damaged
            except Damaged as e:
                damaged.append(str(e))
        return None, damaged

    def end(self) -> None:
        """The training is over. Removed under another name, so that no half of the folder is ever taken for a state."""
        if not self.writes:
            return
        ended = self.folder.with_name(f".{FOLDER}.ended")
        shutil.rmtree(ended, ignore_errors=True)
        with writing(self.folder):
            self.folder.rename(ended)
        self.let_go()
        shutil.rmtree(ended, ignore_errors=True)

    def let_go(self) -> None:
        """Others may train here."""
        if self._held is not None:
            self._held()
            self._held = None

    def _files(self) -> list[Path]:
        """Newest first."""
        return sorted((p for p in self.folder.glob("*.safetensors") if p.stem.isdigit()), reverse=True)


def unfinished(folder: Path) -> bool:
    """Whether a training was begun in this folder and has not ended."""
    return (folder / SETTINGS).is_file() and ((folder / FOLDER).is_dir() or not (folder / MODEL).is_file())


def packed(state: State) -> bytes:
    """The state as a safetensors file, with a sum over its bytes."""
    from safetensors.torch import save

    numbers = {"format": FORMAT, "sum": _sum(state.tensors), "numbers": dict(state.numbers)}
    return save(dict(state.tensors), metadata={"hubel": json.dumps(numbers, sort_keys=True)})


def unpacked(content: bytes, where: Path) -> State:
    """What packed() was given. Raises ArtifactError where the content is damaged, or of a newer version."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        size = int.from_bytes(content[:8], "little")
        card = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["hubel"])
        tensors = load(content)
        form, total, numbers = card["format"], card["sum"], dict(card["numbers"])
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as e:
        raise Damaged(f"{where} is damaged and left out ({type(e).__name__}: {e})") from e
    if form != FORMAT:
        raise ArtifactError(f"{where} has format {form}, this version of hubel reads {FORMAT}: upgrade hubel")
    if total != _sum(tensors):
        raise Damaged(f"{where} is damaged and left out: its bytes do not give its sum")
    return State(tensors, numbers)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise Damaged(f"{path} cannot be read and is left out: {e.strerror or e}") from e


def _sum(tensors: Mapping[str, Tensor]) -> int:
    """CRC-32 over the bytes of all tensors, in the order of their names."""
    total = 0
    for name in sorted(tensors):
        total = zlib.crc32(tensors[name].numpy().tobytes(), total)
    return total


def _locked(handle: int) -> bool:
    """Whether this process alone has the file now; the system lets go of it when the process ends, however it ends."""
    try:
        import fcntl
    except ImportError:  # a system without such locks
        return True
    with contextlib.suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False

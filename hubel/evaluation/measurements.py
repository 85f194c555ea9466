"""The figures that Hubel claims, as data, and how each is got: whole processes, one per seed, timed from outside.

Every process starts in an empty folder and with an empty cache of pixels, as a newcomer's first run does.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import hubel
from hubel.errors import ArtifactError, HubelError, InputError, StoppedEarly

GB = 1e9


@dataclass(frozen=True)
class Measurement:
    """arguments: of `hubel`; accuracy: of the test part, (at least, at most); seconds: of the whole command, at most

    memory: bytes at the peak, at most. None is not asked for.
    """

    arguments: tuple[str, ...]
    accuracy: tuple[float, float] = (0.0, 1.0)
    seconds: float = math.inf
    memory: float = math.inf

    @property
    def command(self) -> str:
        return " ".join(("hubel", *self.arguments))


MEASUREMENTS: Mapping[str, Measurement] = {
    "digits": Measurement(("train", "digits"), (0.985, 1), 25),
    "mnist": Measurement(("train", "mnist"), (0.995, 1), 30, 1.2 * GB),
    "mnist-fast": Measurement(("train", "mnist", "--preset", "fast")),
    "mnist-accurate": Measurement(("train", "mnist", "--preset", "accurate"), (0.997, 1), 300),
    # The lecture's Keras program reaches 99.12 %.
    "mnist-lenet-keras": Measurement(
        ("train", "mnist", "--network", "lenet-keras", "--optimizer", "rmsprop", "--batch", "32", "--epochs", "2"),
        (0.990, 0.993),
    ),
    # By the definitions alone. Two epochs of the network's own recipe are too few steps (96.5 % in validation):
    # smaller batches make four times as many, on a rate that rises first.
    "mnist-numpy": Measurement(
        (
            "train", "mnist", "--network", "lenet5", "--engine", "numpy", "--epochs", "2", "--batch", "32",
            "--lr", "3e-3", "--schedule", "one-cycle",
        ),
        (0.985, 1),
    ),
    "fashion-mnist": Measurement(("train", "fashion-mnist"), (0.925, 1), 180),
    "fashion-accurate": Measurement(("train", "fashion-mnist", "--preset", "accurate"), (0.94, 1), 600),
    "signs": Measurement(("train", "$HUBEL_DATA/signs/signs-64.tar"), (0.99, 1), 180),
    # The lecture's recipe, which is the network's own: Adam 0.009, 100 epochs, batches of 64. Six signs gave it 82 %.
    "signs-cnn": Measurement(
        ("train", "$HUBEL_DATA/signs/signs-64.tar", "--network", "signs-cnn", "--val", "0"), (0.82, 1)
    ),
    # Recompressed as JPEGs, which costs a point or two; see the data's own notes.
    "cifar10": Measurement(("train", "cifar10"), (0.905, 1), 900),
    "cifar10-fast": Measurement(("train", "cifar10", "--network", "fast-pictures"), (0.87, 1), 360),
    "signs-resnet50": Measurement(
        ("train", "$HUBEL_DATA/signs/signs-64.tar", "--network", "resnet50-course", "--epochs", "8")
    ),
    # 42 people, 23 pictures of each to learn from: public weights with a new last layer, and the same network at the
    # same size from fresh weights, by its own recipe and for six times as long.
    "lfw-transfer": Measurement(
        (
            "train", "$HUBEL_DATA/lfw_faces/lfw-dev.tar", "--weights", "mobilenet_v1_1.0_224", "--input", "112x112",
            "--freeze", "backbone",
        ),
        (0.35, 1), 240,
    ),
    "lfw-scratch": Measurement(
        (
            "train", "$HUBEL_DATA/lfw_faces/lfw-dev.tar", "--network", "mobilenet-v1", "--input", "112x112",
            "--epochs", "12",
        )
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """One process. memory: bytes at the peak, NaN where the system does not tell; result: what it printed as JSON."""

    seconds: float
    memory: float
    result: Mapping[str, Any]


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (of the sample, n - 1; NaN for a single one) of n values."""

    mean: float
    sd: float
    n: int

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        return Spread(
            statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else math.nan, len(values)
        )


@dataclass(frozen=True)
class Figure:
    """What a measurement gave. memory: the largest of all, in bytes; date: ISO; machine, versions: as text."""

    name: str
    measurement: Measurement
    accuracy: Spread
    seconds: Spread
    memory: float
    date: str
    machine: str
    versions: str

    @property
    def missed(self) -> list[str]:
        """What was asked for and not reached, in words; means are held against the figures, and the largest memory."""
        low, high = self.measurement.accuracy
        found = []
        if not low <= self.accuracy.mean <= high:
            found.append(f"accuracy {100 * self.accuracy.mean:.2f} %")
        if self.seconds.mean > self.measurement.seconds:
            found.append(f"{self.seconds.mean:.1f} s")
        if self.memory > self.measurement.memory:
            found.append(f"{self.memory / GB:.2f} GB")
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        asked = {"accuracy": list(self.measurement.accuracy), "seconds": self.measurement.seconds}
        return {
            "name": self.name, "command": self.measurement.command, "n": self.accuracy.n,
            "accuracy": vars(self.accuracy), "seconds": vars(self.seconds), "memory": self.memory,
            "asked": {**asked, "memory": self.measurement.memory}, "missed": self.missed,
            "date": self.date, "machine": self.machine, "versions": self.versions,
        }  # fmt: skip


Runner = Callable[[Sequence[str]], Sample]


def measure(
    name: str, seeds: Sequence[int], *, date: str, runner: Runner | None = None,
    told: Callable[[int, Sample], None] | None = None,
) -> Figure:  # fmt: skip
    """Run a registered measurement once per seed. told: called after each; runner: `process`, or a stand-in."""
    asked = MEASUREMENTS[name]
    samples = []
    for seed in seeds:
        sample = (runner or process)([*map(expanded, asked.arguments), "--seed", str(seed), "--json"])
        if not isinstance(sample.result.get("accuracy"), float):
            raise ArtifactError(
                f"`{asked.command}` printed no accuracy, but {json.dumps(sample.result)[:200]}"
            )
        if told:
            told(seed, sample)
        samples.append(sample)
    memory = [s.memory for s in samples]
    return Figure(
        name, asked, Spread.of([s.result["accuracy"] for s in samples]), Spread.of([s.seconds for s in samples]),
        math.nan if any(map(math.isnan, memory)) else max(memory), date, machine(), versions(),
    )  # fmt: skip


def expanded(argument: str) -> str:
    """$HUBEL_DATA/x as an absolute path."""
    if not argument.startswith("$HUBEL_DATA"):
        return argument
    root = os.environ.get("HUBEL_DATA")
    if not root:
        raise InputError(
            f"{argument} is measured, so HUBEL_DATA must name the folder with the data; it is not set"
        )
    return str(Path(root).expanduser().absolute()) + argument.removeprefix("$HUBEL_DATA")


def process(arguments: Sequence[str]) -> Sample:
    """`python -m hubel ARGUMENTS` in an empty folder, to its end."""
    with tempfile.TemporaryDirectory(prefix="hubel-measure-") as folder, contextlib.ExitStack() as stack:
        out, err = (stack.enter_context(Path(folder, name).open("w+b")) for name in ("out", "err"))
        stack.enter_context(terminable())
        began = time.perf_counter()
        # S603: the command is ours, argument by argument, without a shell.
        child = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "hubel", *arguments],
            cwd=folder,
            env=surroundings(folder),
            stdout=out,
            stderr=err,
        )
        try:
            memory = wait(child)
        except BaseException:
            child.terminate()
            child.wait()
            raise
        seconds = time.perf_counter() - began
        if child.returncode != 0:
            raise failure(arguments, child.returncode, err)
        out.seek(0)
        try:
            result = json.loads(out.read())
        except ValueError as e:
            raise HubelError(f"`hubel {' '.join(arguments)}` printed no JSON ({e})") from e
    return Sample(seconds, memory, result)


def surroundings(folder: str) -> dict[str, str]:
    """The environment of the process: ours, with this very Hubel, absolute paths, and an empty cache of pixels."""
    here = str(Path(hubel.__file__).parent.parent)
    found = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))}
    found["HUBEL_CACHE"] = str(Path(folder, "cache"))
    if os.environ.get("HUBEL_DATA"):
        found["HUBEL_DATA"] = str(Path(os.environ["HUBEL_DATA"]).expanduser().absolute())
    return found


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Inside, SIGTERM raises StoppedEarly, so that the process that was begun is ended too."""

    def ask(*_: Any) -> None:
        raise StoppedEarly("asked to end (SIGTERM) while measuring; rows that were done are written")

    if threading.current_thread() is not threading.main_thread():  # only there may signals be handled
        yield
        return
    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def wait(child: subprocess.Popen[bytes]) -> float:
    """Wait for the end -> bytes of memory at the peak, of this child and those that it waited for itself.

    On Linux a child's peak begins with what its parent held when it was started, so the parent must be small: the
    command line, which has not imported torch, is.
    """
    if not hasattr(os, "wait4"):
        child.wait()
        return math.nan
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_maxrss * (1.0 if sys.platform == "darwin" else 1024.0)  # bytes there, KiB elsewhere


def failure(arguments: Sequence[str], code: int, err: IO[bytes]) -> HubelError:
    """The error of a process that did not end well, of the kind that its exit code says."""
    err.seek(0)
    said = err.read().decode("utf-8", "replace").strip().splitlines()
    kind = {2: InputError, 3: ArtifactError, 4: StoppedEarly}.get(code, HubelError)
    last = said[-1].removeprefix("hubel: ") if said else "it said nothing"
    return kind(f"`hubel {' '.join(arguments)}` ended with exit code {code}: {last}")


def machine() -> str:
    """Processor, and how many cores of it this process may use."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"{model}, {cores} core{'s' if cores > 1 else ''}, {platform.system()}"


def versions() -> str:
    from hubel.run import versions as installed

    found = {"hubel": hubel.__version__, **installed(("torch", "numpy"))}
    return ", ".join(f"{name} {version}" for name, version in found.items())

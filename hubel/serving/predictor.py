"""PyTorch or ONNX Runtime: whichever answers faster for this network on this machine, once both give the same.

ONNX Runtime is tried in two layouts of the maps: in blocks of channels, as it likes, LeNet takes a third longer than
plainly, and ResNets half as long.
"""

from __future__ import annotations

import copy
import importlib.util
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import numpy as np

from hubel.errors import ArtifactError, HubelError, InputError, MissingExtra
from hubel.run import Answering, Run

Wanted = Literal["auto", "torch", "onnx"]
ENGINES: tuple[str, ...] = get_args(Wanted)

TOLERANCE = 1e-4  # of the largest logit: both programs add up in float32, in other orders
COMPARED = 8  # samples that both answer
TOGETHER = 16  # pictures of the larger batch that is timed
SECONDS = 0.15  # that the timing of one batch may take, unless one batch alone takes longer
SLOW = 0.005  # seconds: who takes longer for a picture gets every core, others leave one to the event loop


@dataclass(frozen=True)
class Engine:
    """What answers, and why it was chosen.

    name: torch or onnx   threads: of one batch   one, each: seconds of a picture alone, and of one among several
    compared: what both programs were compared on, "" where only one was at hand   note: why the other one is not used
    """

    name: str
    model: Answering
    threads: int
    one: float
    each: float
    compared: str = ""
    difference: float = 0.0
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """For JSON; without the model."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "model"}


def choose(run: Run, wanted: str = "auto", threads: int = 0, workers: int = 1) -> Engine:
    """The engine for `run`. threads: of one batch, 0 for as many as suit it; workers: processes that share the machine

    Raises InputError for an unknown name; where onnx is insisted on, also MissingExtra where it is not installed and
    ArtifactError where it gives other logits than PyTorch.
    """
    if wanted not in ENGINES:
        raise InputError(f"--engine is one of {', '.join(ENGINES)}, not {wanted!r}")
    inputs, compared = samples(run)
    torch_run = own_copy(run)
    most = max(1, (os.cpu_count() or 1) // workers)
    _torch_threads(1)
    slow = seconds(lambda: torch_run.logits(inputs[:1])) > SLOW
    used = threads or (most if slow else max(1, most - 1))
    _torch_threads(used)
    if wanted == "torch":
        return Engine("torch", torch_run, used, *times(torch_run, inputs))
    try:
        others = _onnx(run, used)
        difference = max(_difference(torch_run, other, inputs, compared) for other in others)
    except HubelError as e:
        if wanted == "onnx":
            raise
        return Engine("torch", torch_run, used, *times(torch_run, inputs), note=str(e))
    made = [
        Engine(name, model, used, *times(model, inputs), compared, difference)
        for name, model in (*(("onnx", other) for other in others), ("torch", torch_run))
        if wanted in ("auto", name)
    ]
    return min(made, key=lambda engine: engine.one * engine.each)  # the geometric mean of both


def samples(run: Run) -> tuple[np.ndarray, str]:
    """A few items of the run's test part, or noise where they are not here; and which of the two they are."""
    try:
        found = run.dataset().some("test", COMPARED)
        if len(found):
            return np.resize(found, (TOGETHER, *found.shape[1:])), f"{len(found)} samples of the test part"
    except HubelError:
        pass  # a run moved to another machine answers there too
    drawn, shape = np.random.default_rng(0), (TOGETHER, *run.preprocess.shape)
    noise = (
        drawn.integers(0, 256, shape, np.uint8)
        if len(shape) == 4
        else drawn.standard_normal(shape, np.float32)
    )
    return noise, "noise, as the test part is not here"


def own_copy(run: Run) -> Run:
    """The run with weights of its own: hooks that a question sets on the other are not met by requests meanwhile."""
    return Run(run.path, run.card, copy.deepcopy(run.model), run.settings)


def times(model: Answering, inputs: np.ndarray) -> tuple[float, float]:
    """Seconds of one item alone, and of one among TOGETHER."""
    return seconds(lambda: model.logits(inputs[:1])), seconds(lambda: model.logits(inputs)) / len(inputs)


def seconds(work: Callable[[], object]) -> float:
    """The quickest of several times; the first one, which makes ready, does not count where there is time for more."""
    begin = last = time.perf_counter()
    quickest, first = math.inf, math.inf
    while last - begin < SECONDS:
        work()
        now = time.perf_counter()
        first, quickest = (now - last, quickest) if first == math.inf else (first, min(quickest, now - last))
        last = now
    return min(first, quickest)


def _onnx(run: Run, threads: int) -> list[Answering]:
    """In both layouts."""
    if importlib.util.find_spec("onnxruntime") is None or importlib.util.find_spec("onnx") is None:
        raise MissingExtra("onnxruntime", "onnx", "--engine onnx")
    from hubel.export import written
    from hubel.onnx.model import opened

    content = written(run)
    return [opened(content, run.path, threads, blocked=blocked) for blocked in (True, False)]


def _difference(run: Run, other: Answering, inputs: np.ndarray, compared: str) -> float:
    """The largest difference of both programs' logits. Raises ArtifactError where it is no rounding."""
    wanted, found = run.logits(inputs), other.logits(inputs)
    difference, largest = float(np.abs(wanted - found).max()), float(np.abs(wanted).max())
    if not difference <= TOLERANCE * max(largest, 1e-6):
        raise ArtifactError(
            f"ONNX Runtime's logits differ from PyTorch's by {difference:.2g}, where the largest is {largest:.2g} "
            f"(on {compared}); --engine torch is right"
        )
    return difference


def _torch_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)

"""The runs that are on line, by name; the first is the one that /v1/… means."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from fastapi import Request

from hubel.data.feedback import Store
from hubel.errors import HubelError, InputError
from hubel.run import Prediction, Run, load
from hubel.serving.batching import Batcher, Large, Receive, Work
from hubel.serving.envelope import packed
from hubel.serving.limits import Limits, Refused, busy
from hubel.serving.metrics import Metrics
from hubel.serving.packing import PICTURE, TINY_PIXELS, Packing, is_large, is_tiny, prediction
from hubel.serving.predictor import Engine, choose
from hubel.serving.samples import Samples

AROUND = 0.0003  # seconds of decoding, packing and HTTP around each picture, until it is measured


class Served:
    """One run on line.

    run: for questions; whoever works with its model does so inside `with served.work():`, one at a time
    engine: what answers /predictions, with weights of its own; batches: the queue before it
    """

    def __init__(self, name: str, run: Run, engine: Engine, limits: Limits, metrics: Metrics) -> None:
        self.name, self.run, self.engine, self.limits = name, run, engine, limits
        self._working, self._waiting = threading.RLock(), threading.Semaphore(limits.workers)
        self._opening = threading.Lock()
        self._samples: Samples | None = None
        work = Work(self.decode, engine.model.logits, self._pack, limits.queue, engine.each + AROUND, name)
        if math.prod(run.preprocess.shape) <= TINY_PIXELS:  # else it is not decoding that takes the time
            work.tiny = is_tiny
        self.batches = Batcher(work, limits, metrics)
        self.packing = Packing(name, run.classes) if run.task == "classify" else None

    @property
    def samples(self) -> Samples:
        """The test part, opened when it is first asked for."""
        with self._opening:
            if self._samples is None:
                self._samples = Samples(self.run, self.work)
            return self._samples

    @contextmanager
    def work(self) -> Iterator[Run]:
        """The run's model for this thread alone. Raises Refused (503) where too many wait, or for too long."""
        if not self._waiting.acquire(blocking=False):
            raise busy(
                "questions", f"{self.limits.workers} questions to {self.name} wait already; ask again later"
            )
        try:
            if not self._working.acquire(timeout=self.limits.deadline):
                raise busy(
                    "deadline", f"{self.name} was busy for {self.limits.deadline:g} s; ask again later"
                )
            try:
                yield self.run
            finally:
                self._working.release()
        finally:
            self._waiting.release()

    def decode(self, body: bytes, quickly: bool) -> np.ndarray:
        """The bytes of a picture to (C, H, W). Raises Large where it would take long, and only quick work is wanted."""
        if quickly and is_large(body):
            raise Large
        return self.run.preprocess.picture(body)

    async def answers(
        self, names: Sequence[str], inputs: np.ndarray, top: int, receive: Receive | None = None
    ) -> list[Prediction]:
        """The run's answers, best first. Raises Refused (503) where too many wait, or for too long."""
        logits = await self.batches.put(inputs, lambda z: z, receive)
        return self.run.answers(names, logits, top=top)

    def _pack(self, logits: np.ndarray) -> list[bytes]:
        """(N, K) to N whole answers about one picture each."""
        if self.packing is not None and np.isfinite(logits).all():
            return self.packing.packed(logits)
        told = (self.run.answers([PICTURE], row[None])[0] for row in logits)
        return [packed({"model": self.name, "predictions": [prediction(p)]}) for p in told]


class Service:
    """models: by name, the first is the default   broken: why a run that was asked for is not among them

    feedback: where people's corrections are kept, None for nowhere
    """

    def __init__(
        self,
        models: Sequence[Served],
        limits: Limits,
        metrics: Metrics,
        broken: Mapping[str, str] | None = None,
        feedback: Store | None = None,
    ) -> None:
        self.models = {served.name: served for served in models}
        self.limits, self.metrics, self.broken, self.feedback = limits, metrics, dict(broken or {}), feedback

    @property
    def default(self) -> Served:
        return next(iter(self.models.values()))

    def model(self, name: str | None) -> Served:
        """The run of that name; the first where none is said. Raises Refused (404, or 503 for a broken run)."""
        if name is None:
            return self.default
        if name in self.broken:
            raise busy("broken", f"the run {name} could not be read: {self.broken[name]}", 60)
        if name not in self.models:
            raise Refused(404, "model", f"no model named {name!r}; there are {', '.join(self.models)}")
        return self.models[name]


def open_service(
    places: Sequence[str], limits: Limits | None = None, *, engine: str = "auto", threads: int = 0, workers: int = 1,
    feedback: str = "",
) -> Service:  # fmt: skip
    """The runs at `places`, each PATH or NAME=PATH. What cannot be read is in `broken`. See predictor.choose.

    Raises the error of the first where none can be read.
    """
    limits, metrics = limits or Limits(), Metrics()
    store = Store(feedback, make=True) if feedback else None
    models: list[Served] = []
    broken: dict[str, str] = {}
    errors: list[HubelError] = []
    for name, path in named(places):
        try:
            run = load(path)
        except HubelError as e:
            broken[name] = str(e)
            errors.append(e)
        else:
            models.append(Served(name, run, choose(run, engine, threads, workers), limits, metrics))
    if not models:
        raise errors[0]
    return Service(models, limits, metrics, broken, store)


def named(places: Sequence[str]) -> list[tuple[str, str]]:
    """(name, path) of each place: NAME=PATH as said, else the folder's name, with a number where it is taken."""
    if not places:
        raise InputError("there is no run to serve: name a run folder, as `hubel serve runs/mnist-lenet5`")
    found: dict[str, str] = {}
    for place in places:
        before, sign, after = place.partition("=")
        said = bool(sign) and "/" not in before and not Path(place).exists()
        path = after if said else place
        whole = Path(path).absolute()
        name = before if said else (whole.parent if whole.suffix == ".safetensors" else whole).name
        if said and name in found:
            raise InputError(f"two runs are to be called {name!r}: {found[name]} and {path}")
        free = [name, *(f"{name}-{n}" for n in range(2, len(places) + 2))]
        found[next(n for n in free if n not in found)] = path
    return list(found.items())


def service_of(request: Request) -> Service:
    """The service that a request came to."""
    service: Service = request.app.state.service
    return service


def chosen(request: Request) -> Served:
    """The run that a request's path names: …/models/NAME/…, or the first. For Depends()."""
    return service_of(request).model(request.path_params.get("name"))

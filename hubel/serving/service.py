"""The runs that are on line, by name; the first is the one that /v1/… means."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import numpy as np
from fastapi import Request

from hubel.errors import HubelError, InputError
from hubel.run import Prediction, Run, load
from hubel.serving.limits import Limits, Refused, busy
from hubel.serving.samples import Samples


class Served:
    """One run on line.

    run: for questions; whoever works with its model does so inside `with served.work():`, one at a time
    """

    def __init__(self, name: str, run: Run, limits: Limits) -> None:
        self.name, self.run, self.limits = name, run, limits
        self._working, self._waiting = threading.RLock(), threading.Semaphore(limits.workers)

    @cached_property
    def samples(self) -> Samples:
        """The test part, opened when it is first asked for."""
        with self.work():
            return Samples(self.run)

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

    def logits(self, inputs: np.ndarray) -> np.ndarray:
        """(N, C, H, W) uint8 or (N, D) float32 -> (N, K)"""
        with self.work() as run:
            return run.logits(inputs)

    def predict(self, names: Sequence[str], inputs: np.ndarray, top: int = 5) -> list[Prediction]:
        """The run's answers, best first."""
        return self.run.answers(names, self.logits(inputs), top=top)


class Service:
    """models: by name, the first is the default   broken: why a run that was asked for is not among them"""

    def __init__(
        self, models: Sequence[Served], limits: Limits, broken: Mapping[str, str] | None = None
    ) -> None:
        self.models = {served.name: served for served in models}
        self.limits, self.broken = limits, dict(broken or {})

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


def open_service(places: Sequence[str], limits: Limits | None = None) -> Service:
    """The runs at `places`, each PATH or NAME=PATH. What cannot be read is in `broken`.

    Raises the error of the first where none can be read.
    """
    limits = limits or Limits()
    models: list[Served] = []
    broken: dict[str, str] = {}
    errors: list[HubelError] = []
    for name, path in named(places):
        try:
            models.append(Served(name, load(path), limits))
        except HubelError as e:
            broken[name] = str(e)
            errors.append(e)
    if not models:
        raise errors[0]
    return Service(models, limits, broken)


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

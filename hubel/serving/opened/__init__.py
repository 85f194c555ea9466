"""The network, opened: maps, cells, explanations, attacks, dreams and lessons for one picture at a time.

The routes are thin: each reads its options and calls one function of this folder. A run has two lines for them, so that
maps, cells and lessons do not wait for explanations, attacks and dreams.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from hubel.errors import HubelError
from hubel.serving.envelope import answer
from hubel.serving.inputs import Asked, asked, wished
from hubel.serving.limits import Refused
from hubel.serving.lines import Line, at_first
from hubel.serving.opened import cells, drawing, lessons, network, questions
from hubel.serving.opened.network import Looked, Opened, Wanted
from hubel.serving.service import Served, Service, chosen

One = Annotated[Served, Depends(chosen)]
Question = Annotated[Asked, Depends(asked)]
Wish = Annotated[Asked, Depends(wished)]
Lines = Mapping[str, Line]


def router(service: Service) -> APIRouter:
    """The routes of one run; the app has them under /v1 and under /v1/models/{name}."""
    routes = APIRouter(tags=["opened"])
    ready = _Ready(service)
    threading.Thread(target=ready.warm, args=(service.default,)).start()
    _add_what_it_is(routes, ready)
    _add_what_it_computes(routes, ready)
    _add_why(routes, ready)
    return routes


def _add_what_it_is(routes: APIRouter, ready: _Ready) -> None:
    """The network and its kernels, which no picture changes."""

    @routes.get("/network")
    async def of_network(served: One) -> Response:
        """The layers in graph order, with windows and receptive fields, and how drawings are prepared: for a page."""
        return await at_first(lambda: answer(ready.facts_of(served)))

    @routes.get("/kernel")
    async def of_kernel(served: One, layer: str, map: Annotated[int, Query(ge=0, le=2**31)]) -> Response:  # noqa: A002
        """The kernel of one map: (C, U, V) weights."""
        return await at_first(lambda: answer(network.kernel(ready.of(served), layer, map)))


def _add_what_it_computes(routes: APIRouter, ready: _Ready) -> None:
    """Maps, cells and lessons of one picture: quick, as the page asks while one draws."""

    @routes.post("/maps")
    async def of_maps(request: Request, said: Question) -> Response:
        """What every layer makes of a picture, in 256 levels or, with values=float32, exactly.

        layers: names; first, count: of each layer's maps; side: larger maps are thinned out to about that many cells
        """
        said.only("layers", "first", "count", "side", "values")
        exact = said.text("values", "uint8", ("uint8", "float32")) == "float32"
        first, count, side = _whole(said, "first"), _whole(said, "count"), _whole(said, "side", 1)
        wanted = Wanted(_names(said, "layers"), first or 0, count, side, exact)
        return await ready.ask(
            request, said, ready.quick, lambda opened, looked: network.answered(opened, looked, wanted)
        )

    @routes.post("/cell")
    async def of_cell(request: Request, said: Question) -> Response:
        """How one number came about. layer: its name; index: [map, row, column], or [number] without maps."""
        said.only("layer", "index")
        layer, index = _needed(said, "layer"), _index(said)
        return await ready.ask(
            request, said, ready.quick, lambda opened, looked: cells.answered(opened, looked, layer, index)
        )

    @routes.post("/lessons")
    async def of_lessons(request: Request, said: Question) -> Response:
        """The loss and its gradients. class: the true one; steps: learning rates; gradients: layers shown in full."""
        said.only("class", "steps", "gradients")
        label = said_class(said, "class")
        if label is None:
            raise Refused(422, "option", "class must name the true class: the loss is measured against it")
        steps, shown = _rates(said), _names(said, "gradients") or ()
        return await ready.ask(
            request,
            said,
            ready.quick,
            lambda opened, looked: lessons.answered(opened, looked, label, steps, shown),
        )


def _add_why(routes: APIRouter, ready: _Ready) -> None:
    """Explanations, attacks and dreams: many passes of the network each."""

    @routes.post("/explanations")
    async def of_explanations(request: Request, said: Question) -> Response:
        """How much each pixel speaks for a class. method; class, contrast, layer where they are wanted."""
        said.only("method", "class", "contrast", "layer")
        method = said.text("method", "grad-cam") or "grad-cam"
        label, contrast, layer = said_class(said, "class"), said_class(said, "contrast"), said.text("layer")
        return await ready.ask(
            request,
            said,
            ready.slow,
            lambda opened, looked: questions.explained(opened, looked, method, label, contrast, layer),
        )

    @routes.post("/attacks")
    async def of_attacks(request: Request, said: Question) -> Response:
        """What changes the answer: the smallest change that is found, towards `target` if it is named.

        method: fgsm, pgd or targeted instead, which change each pixel by `eps` at most
        """
        said.only("target", "method", "eps", "steps", "seed")
        target, method = said_class(said, "target"), said.text("method")
        eps = said.number("eps", 0.0, 0.0, 1.0) if "eps" in said.options else None
        steps, seed = said.whole("steps", 40, 1, 200), said.whole("seed", 0, 0, 2**31)
        return await ready.ask(
            request,
            said,
            ready.slow,
            lambda opened, looked: questions.changed(opened, looked, target, method, eps, steps, seed),
        )

    @routes.post("/dreams")
    async def of_dreams(request: Request, said: Wish) -> Response:
        """The picture that raises a class, or a map of a layer. class, or layer and map; steps; seed."""
        said.only("class", "layer", "map", "steps", "seed")
        served, label, layer, number = (
            said.served,
            said_class(said, "class"),
            said.text("layer"),
            _whole(said, "map"),
        )
        steps, seed = said.whole("steps", questions.STEPS, 1, 512), said.whole("seed", 0, 0, 2**31)
        return await ready.slow[served.name].ask(
            request, lambda: answer(questions.dreamt(ready.of(served), label, layer, number, steps, seed))
        )


class _Ready:
    """The opened network of each served run, made when it is first asked for.

    quick, slow: the lines before it, by the run's name
    """

    def __init__(self, service: Service) -> None:
        self.locks = {name: threading.Lock() for name in service.models}
        self.made: dict[str, Opened] = {}
        self.facts: dict[str, dict[str, Any]] = {}
        self.quick, self.slow = (
            {name: Line(name, service.limits, service.metrics) for name in service.models} for _ in range(2)
        )

    async def ask(
        self, request: Request, said: Asked, lines: Lines, work: Callable[[Opened, Looked], Any]
    ) -> Response:
        """The answer about the one picture that came, when its turn has come."""
        if len(said.inputs) != 1:
            raise Refused(422, "pictures", f"this question is about one picture, and {len(said.inputs)} came")

        def answered() -> Response:
            opened = self.of(said.served)
            return answer(work(opened, opened.look(said.inputs[0])))

        return await lines[said.served.name].ask(request, answered)

    def warm(self, served: Served) -> None:
        """The first visitor does not wait for what can be made ready before; what fails here fails again when asked."""
        with contextlib.suppress(HubelError):
            self.facts_of(served)

    def facts_of(self, served: Served) -> dict[str, Any]:
        if served.name not in self.facts:
            self.facts[served.name] = facts(served, self.of(served))
        return self.facts[served.name]

    def of(self, served: Served) -> Opened:
        with self.locks[served.name]:
            if served.name not in self.made:
                self.made[served.name] = Opened(served.run)
            return self.made[served.name]


def facts(served: Served, opened: Opened) -> dict[str, Any]:
    """What a page needs of a run before the first picture."""
    run = served.run
    try:
        inputs = served.samples.split.inputs if run.preprocess.kind == "picture" else None
    except HubelError:
        inputs = None  # the data is not on this machine
    ink = drawing.ink_of(run.preprocess, inputs)
    return {
        "name": served.name, "network": run.network.name, "task": run.task, "classes": run.classes,
        "kind": run.preprocess.kind, "input": run.preprocess.shape, "parameters": run.parameters,
        "data": run.data.get("name"), "samples": 0 if inputs is None else len(inputs), "ink": ink and ink.to_dict(),
        "methods": questions.methods(opened), "small": opened.small, "layers": network.rows(opened),
    }  # fmt: skip


def _whole(said: Asked, name: str, least: int = 0) -> int | None:
    return said.whole(name, least, least, 2**31) if name in said.options else None


def _needed(said: Asked, name: str) -> str:
    found = said.text(name)
    if found is None:
        raise Refused(422, "option", f"{name} must be said")
    return found


def _names(said: Asked, name: str) -> tuple[str, ...] | None:
    """A list of texts, or one text with commas, as it comes in a query."""
    value = said.options.get(name)
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if value is not None and not (isinstance(value, list) and all(isinstance(v, str) for v in value)):
        raise Refused(422, "option", f"{name} must be a list of names, not {value!r:.60}")
    return None if value is None else tuple(value)


def _numbers(said: Asked, name: str) -> Sequence[float]:
    value = said.options.get(name, [])
    if isinstance(value, str):
        value = [part for part in value.split(",") if part.strip()]
    try:
        if not isinstance(value, list) or any(isinstance(v, bool | list | dict) or v is None for v in value):
            raise TypeError
        return [float(v) for v in value]
    except (TypeError, ValueError):
        raise Refused(422, "option", f"{name} must be a list of numbers, not {value!r:.60}") from None


def _index(said: Asked) -> list[int]:
    found = _numbers(said, "index")
    if not found or any(v != v or abs(v) > 2**31 or v != int(v) for v in found):
        raise Refused(422, "option", "index must be whole numbers: [map, row, column], or [number]")
    return [int(v) for v in found]


def _rates(said: Asked) -> Sequence[float]:
    return _numbers(said, "steps")


def said_class(said: Asked, name: str) -> str | None:
    """A class by name or number."""
    value = said.options.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Refused(422, "option", f"{name} must be a class, by name or number, not {value!r:.60}")
    return str(value)

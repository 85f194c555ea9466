"""What programs ask: the network as a table, answers for pictures, and the samples of the test part."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from hubel.serving.envelope import answer
from hubel.serving.inputs import Asked, asked
from hubel.serving.lines import at_first
from hubel.serving.packing import TOP, prediction
from hubel.serving.service import Served, chosen


async def _with_samples(served: Annotated[Served, Depends(chosen)]) -> Served:
    """The run, its test part open."""
    await at_first(lambda: served.samples)
    return served


One = Annotated[Served, Depends(chosen)]
Sampled = Annotated[Served, Depends(_with_samples)]
Number = Annotated[int, Path(ge=0, le=2**31, description="The sample's place in the test part, from 0.")]


def router() -> APIRouter:
    """The routes of one run; the app has them under /v1 and under /v1/models/{name}."""
    routes = APIRouter()

    @routes.get("/model", tags=["model"])
    def model(served: One) -> Response:
        """The network as a table, its classes, how pictures are prepared, and how it was trained."""
        return answer(card(served))

    @routes.post("/predictions", tags=["answers"])
    async def predictions(request: Request, said: Annotated[Asked, Depends(asked)]) -> Response:
        """What the network answers for one picture or several: its best classes with their probabilities."""
        said.only("top")
        top = said.whole("top", TOP, 1, 1000)
        found = await said.served.answers(said.names, said.inputs, top, request.receive)
        return answer({"model": said.served.name, "predictions": [prediction(p) for p in found]})

    @routes.get("/predictions/{id}", tags=["samples"])
    async def prediction_of(
        request: Request, served: Sampled, id: Number, top: Annotated[int, Query(ge=1, le=1000)] = TOP  # noqa: A002
    ) -> Response:  # fmt: skip
        """What the network answers for a sample of the test part."""
        name, x = await run_in_threadpool(lambda: served.samples.item(id))
        (found,) = await served.answers([name], x[None], top, request.receive)
        return answer({"model": served.name, "id": id, **prediction(found)})

    @routes.get("/samples", tags=["samples"])
    def samples(
        served: Sampled,
        offset: Annotated[int, Query(ge=0, le=2**31)] = 0,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        mistakes: Annotated[
            bool, Query(description="Only what is answered wrongly, the worst first.")
        ] = False,
        label: Annotated[str | None, Query(description="Only what is of this class.")] = None,
        answered: Annotated[str | None, Query(description="Only what is answered with this class.")] = None,
    ) -> Response:
        """The test part, page by page."""
        found = served.samples.chosen(mistakes=mistakes, label=label, answer=answered)
        page = [served.samples.facts(int(n)) for n in found[offset : offset + limit]]
        return answer({"model": served.name, "total": len(found), "offset": offset, "samples": page})

    @routes.get("/samples/{id}", tags=["samples"])
    def sample(served: Sampled, id: Number, accept: Annotated[str, Header()] = "*/*") -> Response:  # noqa: A002
        """A sample: its facts; its picture where image/png is accepted rather than JSON."""
        if "image/" in accept and "json" not in accept:
            return Response(served.samples.png(id), media_type="image/png", headers={"Vary": "Accept"})
        told = {"model": served.name, **served.samples.facts(id)}
        return answer(told, headers={"Vary": "Accept"})

    @routes.get("/similar/{id}", tags=["samples"])
    def similar(served: Sampled, id: Number, limit: Annotated[int, Query(ge=1, le=100)] = 10) -> Response:  # noqa: A002
        """The IDs of the samples most alike by the last features, the most alike first."""
        return answer([n for n, _ in served.samples.similar(id, limit)])

    return routes


def card(served: Served) -> dict[str, Any]:
    """All that there is to know of a run."""
    run = served.run
    return {
        "name": served.name, "network": {"name": run.network.name, "arguments": dict(run.network.arguments)},
        "task": run.task, "classes": run.classes, "parameters": run.parameters,
        "multiply_adds": sum(row.multiply_adds for row in run.layers()),
        "input": run.preprocess.shape, "preprocess": run.preprocess.to_dict(), "order": run.card.order,
        "mirror": run.card.mirror, "layers": [row.to_dict() for row in run.layers()],
        "data": run.data, "recipe": run.recipe,
        "history": run.history, "versions": run.versions, "engine": served.engine.to_dict(),
    }  # fmt: skip

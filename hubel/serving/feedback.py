"""People's corrections, where the service was told to keep them; nothing that is sent is stored otherwise."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from starlette.concurrency import run_in_threadpool

from hubel.data.feedback import Correction, Store
from hubel.serving.envelope import answer
from hubel.serving.inputs import Asked, asked
from hubel.serving.limits import Refused
from hubel.serving.samples import png
from hubel.serving.service import chosen, service_of


def router() -> APIRouter:
    """The routes of one run; the app has them under /v1 and under /v1/models/{name}."""
    routes = APIRouter(tags=["feedback"])

    @routes.get("/feedback", dependencies=[Depends(chosen)])
    def kept(request: Request) -> Response:
        """Whether corrections are kept, and how many there are."""
        store = service_of(request).feedback
        return answer({"kept": store is not None, "count": store.count() if store else 0})

    @routes.post("/feedback", status_code=201)
    async def keep(request: Request, said: Annotated[Asked, Depends(asked)]) -> Response:
        """Keep what the picture really is. label: one of the classes; answer: what was said instead, if it was."""
        said.only("label", "answer")
        store = service_of(request).feedback
        if store is None:
            raise Refused(
                403, "feedback", "corrections are not kept here; `hubel serve RUN --feedback DIR` keeps them"
            )
        return answer(await run_in_threadpool(_kept, store, said), 201, "kept")

    return routes


def _kept(store: Store, said: Asked) -> dict[str, object]:
    run = said.served.run
    label, wrong = said.text("label", known=run.classes), said.text("answer", "", known=("", *run.classes))
    if label is None or len(said.inputs) != 1 or run.task != "classify":
        raise Refused(422, "option", "a correction is one picture and its label, one of the run's classes")
    sample = said.names[0] if said.of_samples else ""
    correction = Correction(png(said.inputs[0]), label, wrong or "", said.served.name, sample)
    return {"id": store.keep(correction), "count": store.count()}

"""The service as an ASGI application: its routes and its page, behind the door."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Response
from fastapi import Path as InPath
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles

from hubel import __version__
from hubel.serving import document, envelope, feedback, opened, programs
from hubel.serving.door import Door, Rules
from hubel.serving.envelope import answer
from hubel.serving.inputs import no_others
from hubel.serving.metrics import TEXT
from hubel.serving.service import Service

PAGE = Path(__file__).parent / "page"


def make_app(service: Service, rules: Rules | None = None) -> Door:
    """The whole service, an ASGI application for uvicorn or for a test."""
    app = FastAPI(
        title="Hubel", version=__version__, description=document.DESCRIPTION, docs_url=None, redoc_url=None,
        openapi_url=None,
    )  # fmt: skip
    app.state.service = service
    envelope.install(app, service.metrics.refused)
    for part in (programs.router(), opened.router(service), feedback.router()):
        document.describe(part)
        app.include_router(part, prefix="/v1", dependencies=[Depends(no_others)])
        of_one = [Depends(_named), Depends(no_others)]
        app.include_router(part, prefix="/v1/models/{name}", dependencies=of_one)
    for part in (_health(service), _page(), document.page(app)):
        document.describe(part)
        app.include_router(part)
    document.install(app, [*service.models, *service.broken])
    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    app.mount("/docs", StaticFiles(directory=document.PLACE), name="docs-files")
    paths = {"/v1": service.default} | {
        f"/v1/models/{name}": served for name, served in service.models.items()
    }
    short = {
        f"{path}/predictions".encode(): served.batches
        for path, served in paths.items()
        if served.run.preprocess.kind == "picture"
    }
    return Door(app, service, short, rules or Rules())


def _named(
    name: Annotated[str, InPath(description="Which of the runs that are served; see /v1/models.")],
) -> None:
    """Puts the name into the document; `chosen` reads it."""


def _health(service: Service) -> APIRouter:
    routes = APIRouter(tags=["health"])

    @routes.get("/v1/models", dependencies=[Depends(no_others)])
    def models() -> Response:
        """The runs that are served, the first one is meant where none is named; and why others could not be read."""
        listed = [
            {"name": s.name, "network": s.run.network.name, "task": s.run.task}
            for s in service.models.values()
        ]
        return answer({"models": listed, "broken": service.broken})

    @routes.get("/healthz")
    async def healthz() -> Response:
        """The process lives."""
        return answer("alive")

    @routes.get("/readyz")
    async def readyz() -> Response:
        """Which runs answer, and which could not be read: their names, as anyone may ask. /v1/models says why."""
        return answer({"models": list(service.models), "broken": list(service.broken)})

    @routes.get("/metrics")
    def metrics() -> Response:
        """What was counted, in Prometheus's text form."""
        return Response(service.metrics.text(), media_type=TEXT)

    return routes


def _page() -> APIRouter:
    routes = APIRouter()

    @routes.get("/", include_in_schema=False)
    async def index() -> Response:
        return FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-cache"})

    return routes

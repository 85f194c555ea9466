"""The service as an ASGI application: its routes, the page, and the headers that every answer carries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Response
from fastapi import Path as InPath
from starlette.datastructures import MutableHeaders
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles

from hubel import __version__
from hubel.serving import envelope, opened, programs
from hubel.serving.envelope import answer
from hubel.serving.service import Service

PAGE = Path(__file__).parent / "page"

# The page is ours alone: nothing from elsewhere, nothing inline, in nobody's frame. data: and blob: are pictures that
# the page draws itself, and the camera.
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP, "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin",
}  # fmt: skip


def make_app(service: Service) -> Any:
    """The whole service, for uvicorn or for a test."""
    app = FastAPI(title="Hubel", version=__version__, docs_url=None, redoc_url=None)
    app.state.service = service
    envelope.install(app)
    for part in (programs.router(service), opened.router(service)):
        app.include_router(part, prefix="/v1")
        app.include_router(part, prefix="/v1/models/{name}", dependencies=[Depends(_named)])
    app.include_router(_health(service))
    app.include_router(_page())
    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    return _with_headers(app)


def _named(
    name: Annotated[str, InPath(description="Which of the runs that are served; see /v1/models.")],
) -> None:
    """Puts the name into the document; `chosen` reads it."""


def _health(service: Service) -> APIRouter:
    routes = APIRouter(tags=["health"])

    @routes.get("/v1/models")
    def models() -> Response:
        """The runs that are served, the first one is meant where none is named."""
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
        """Which runs answer, and which could not be read."""
        return answer({"models": list(service.models), "broken": service.broken})

    return routes


def _page() -> APIRouter:
    routes = APIRouter()

    @routes.get("/", include_in_schema=False)
    async def index() -> Response:
        return FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-cache"})

    return routes


def _with_headers(app: Callable[..., Any]) -> Callable[..., Any]:
    """The app, each of whose answers carries HEADERS."""

    async def headed(scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await app(scope, receive, sending if scope["type"] == "http" else send)

    return headed

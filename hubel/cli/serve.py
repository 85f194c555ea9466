"""`hubel serve RUN…`: trained networks on line, for programs and for people."""

from __future__ import annotations

from typing import Annotated

import typer

from hubel.cli import complete


def serve(
    runs: Annotated[list[str], typer.Argument(metavar="RUN…", autocompletion=complete.runs, help="Run folders, each PATH or NAME=PATH; the first is the one meant where none is named.")],
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="On which port; 0 takes a free one.")] = 8000,
) -> None:  # fmt: skip
    """Put trained networks on line: a service under /v1 for programs, and a page for people."""
    from hubel.errors import MissingExtra

    try:
        import uvicorn

        from hubel.serving.app import make_app
        from hubel.serving.service import open_service
    except ModuleNotFoundError as e:
        raise MissingExtra(e.name or "fastapi", "serve", "the service") from e
    uvicorn.run(make_app(open_service(runs)), host=host, port=port, log_level="warning")


def add(app: typer.Typer) -> None:
    app.command()(serve)

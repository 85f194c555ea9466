"""`hubel serve RUN…`: trained networks on line, for programs and for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hubel.cli import complete

if TYPE_CHECKING:
    from hubel.serving.service import Service

ACCESS, SPEED, LIMITS = "Who may ask", "Speed", "Limits"


def serve(
    runs: Annotated[list[str], typer.Argument(metavar="RUN…", autocompletion=complete.runs, help="Run folders, each PATH or NAME=PATH; the first is the one meant where none is named.")],
    host: Annotated[str, typer.Option(help="Where to listen; 0.0.0.0 for every network of this machine.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="On which port; 0 takes a free one.")] = 8000,
    feedback: Annotated[str, typer.Option(metavar="DIR|URL", help="Keep people's corrections, in a folder or a database; `hubel train --with-feedback` learns from them.")] = "",
    token: Annotated[str, typer.Option(envvar="HUBEL_TOKEN", help="What requests must show, as Authorization: Bearer TOKEN.", rich_help_panel=ACCESS)] = "",
    insecure: Annotated[bool, typer.Option("--insecure", help="Listen beyond this machine without a token.", rich_help_panel=ACCESS)] = False,
    cors: Annotated[list[str] | None, typer.Option(metavar="ORIGIN", help="A site whose pages may ask, as https://example.org. May be repeated.", rich_help_panel=ACCESS)] = None,
    engine: Annotated[str, typer.Option(help="torch or onnx; auto takes the faster one, as measured at the start.", rich_help_panel=SPEED)] = "auto",
    threads: Annotated[int, typer.Option(min=0, help="Of one batch; 0 for as many as suit the network.", rich_help_panel=SPEED)] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share the work.", rich_help_panel=SPEED)] = 1,
    queue: Annotated[int, typer.Option(min=0, help="Pictures that may wait; then 503. 0 for 0.4 s of work.", rich_help_panel=LIMITS)] = 0,
    batch: Annotated[int, typer.Option(min=1, help="Pictures that go through the network together at most.", rich_help_panel=LIMITS)] = 64,
    deadline: Annotated[float, typer.Option(min=0.1, help="Seconds that a request has; then 503.", rich_help_panel=LIMITS)] = 10.0,
    grace: Annotated[float, typer.Option(min=0.0, help="Seconds that accepted requests have when it is told to end.", rich_help_panel=LIMITS)] = 30.0,
    max_body: Annotated[int, typer.Option(min=1, metavar="MB", help="Megabytes of one request; then 413.", rich_help_panel=LIMITS)] = 32,
) -> None:  # fmt: skip
    """Put trained networks on line: a service under /v1 for programs, and a page for people."""
    from hubel.errors import MissingExtra

    try:
        from hubel.serving.limits import Limits
        from hubel.serving.server import Settings
        from hubel.serving.server import serve as put_on_line
    except ModuleNotFoundError as e:
        raise MissingExtra(e.name or "fastapi", "serve", "hubel serve") from e
    limits = Limits(body=max_body << 20, queue=queue, batch=batch, deadline=deadline)
    settings = Settings(
        tuple(runs), host, port, engine, threads, workers, token, insecure, tuple(cors or ()), feedback, grace, limits
    )  # fmt: skip
    put_on_line(settings, _announce)


def _announce(service: Service, address: str) -> None:
    """What is on line, and where."""
    from hubel.cli import show

    for name, served in service.models.items():
        engine: Any = served.engine
        pace = f"{show.duration(engine.one)} a picture, {show.duration(engine.each)} among several"
        show.say(
            f"{name}  {served.run.network.name} by {engine.name}, {show.some(engine.threads, 'thread')}: {pace}"
        )
        if engine.note:
            show.say(f"  note: {engine.note}")
    for name, why in service.broken.items():
        show.say(f"{name}  could not be read: {why}")
    show.say(f"page     {address}")
    show.say(f"service  {address}v1/predictions; all of it on {address}docs")
    show.say("Ctrl-C ends it.")


def add(app: typer.Typer) -> None:
    app.command()(serve)

"""The service as a process, or several: one socket, uvicorn, and an orderly end.

SIGTERM and Ctrl-C drain: what was accepted is answered, new connections are refused, and the process ends with 0, after
its grace at the latest. A second Ctrl-C ends at once. Several processes share the socket; their numbers are added up
through files in a folder of their own.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import logging
import os
import signal
import socket
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.supervisors import Multiprocess

from hubel.errors import InputError
from hubel.serving.limits import Limits
from hubel.serving.wire import Connection

# libuv takes one new connection of a listening handle per turn of the loop (since 1.46), and under overload a turn is
# long: new clients would wait for seconds while the old ones are served. So many handles listen to the one socket.
HANDLES = 64
FILES = 1 << 16  # that this process may open, if the system lets it
SETTINGS = "HUBEL_SERVING"  # what the other processes are to do, in their environment
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Settings:
    """What is served, where, to whom, and how.

    runs: each PATH or NAME=PATH   engine, threads: see predictor.choose, one engine or one for each run
    token: that requests must show; required where others than this machine can reach the service, unless `insecure`
    origins: other sites whose pages may ask   feedback: where corrections are kept, "" for nowhere
    grace: seconds that accepted requests have at the end
    """

    runs: tuple[str, ...]
    host: str = "127.0.0.1"
    port: int = 8000
    engine: str = "auto"
    threads: int = 0
    workers: int = 1
    token: str = ""
    insecure: bool = False
    origins: tuple[str, ...] = ()
    feedback: str = ""
    grace: float = 30.0
    limits: Limits = field(default_factory=Limits)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Settings:
        said = json.loads(text)
        lists = {name: tuple(said[name]) for name in ("runs", "origins")}
        return Settings(**{**said, **lists, "limits": Limits(**said["limits"])})

    def check(self) -> None:
        """Raises InputError where strangers could reach the service unasked."""
        if self.host not in LOOPBACK and not self.token and not self.insecure:
            raise InputError(
                f"{self.host} can be reached by others than this machine: give a --token that requests must show, "
                "or --insecure if all who reach it may ask"
            )
        if self.workers < 1:
            raise InputError(f"--workers must be at least 1, got {self.workers}")


class _Server(uvicorn.Server):
    """Ends with 0 where uvicorn would raise the signal again, and says when it is ready."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self.ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


class _Workers(Multiprocess):
    """Ends for its clients, too: while this process holds the socket, they would be let in, and wait for nobody."""

    def init_processes(self) -> None:
        """Ctrl-C comes to all of a terminal's processes; the others leave it to this one, which tells them to end."""
        ours = signal.signal(
            signal.SIGINT, signal.SIG_IGN
        )  # which they inherit, until uvicorn in them listens
        super().init_processes()
        signal.signal(signal.SIGINT, ours)

    def terminate_all(self) -> None:
        for one in self.sockets:
            one.close()
        super().terminate_all()


def serve(settings: Settings, ready: Callable[[Any, str], None]) -> None:
    """Serve until a signal comes. ready: told the service and its address when requests are taken.

    Raises InputError for settings that do not go together or a place that is taken, and the error of the first run
    where none can be read.
    """
    settings.check()
    as_many_files_as_may_be()
    with listen(settings.host, settings.port) as listening:
        address = address_of(listening)
        if settings.workers > 1:
            _several(settings, listening, lambda service: ready(service, address))
            return
        door = made(settings)
        config = _config(door, settings)
        _Server(config, lambda: ready(door.service, address)).run(handles(listening))


def _several(settings: Settings, listening: socket.socket, ready: Callable[[Any], None]) -> None:
    with tempfile.TemporaryDirectory(prefix="hubel-metrics-") as folder:
        os.environ |= {SETTINGS: settings.to_json(), "PROMETHEUS_MULTIPROC_DIR": folder}
        ready(made(settings).service)  # for what is told here, and to fail here where no run can be read
        config = _config("hubel.serving.server:worker", settings)
        _Workers(config, sockets=handles(listening)).run()


def worker() -> Any:
    """The application of one of several processes."""
    from hubel.serving.metrics import process_ends

    atexit.register(process_ends)
    return made(Settings.from_json(os.environ[SETTINGS]))


def made(settings: Settings) -> Any:
    """The application."""
    from hubel.serving.app import make_app
    from hubel.serving.door import LOCAL, Rules
    from hubel.serving.service import open_service

    warnings.filterwarnings(
        "ignore", module="PIL"
    )  # what strangers' pictures lack is for the answer, not for our log
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    service = open_service(
        settings.runs, settings.limits, engine=settings.engine, threads=settings.threads, workers=settings.workers,
        feedback=settings.feedback,
    )  # fmt: skip
    hosts = LOCAL if settings.host in LOOPBACK else ()
    door = make_app(service, Rules(settings.token or None, hosts, settings.origins))
    gc.freeze()  # what is here now stays, and looking through all of it for garbage takes a quarter of a second
    return door


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections. Raises InputError where the place is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        made = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as e:
        raise InputError(
            f"cannot listen on {host}, port {port}: {e.strerror or e}. Name another with --port"
        ) from e
    made.set_inheritable(True)
    return made


def as_many_files_as_may_be() -> None:
    """Each connection is one, and many systems begin with 1,024."""
    with contextlib.suppress(ImportError, OSError, ValueError):  # Windows; a system that allows no more
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = FILES if hard == resource.RLIM_INFINITY else min(hard, FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def handles(listening: socket.socket) -> list[socket.socket]:
    """The same socket, HANDLES times."""
    return [listening, *(listening.dup() for _ in range(HANDLES - 1))]


def address_of(listening: socket.socket) -> str:
    """http://127.0.0.1:8000/"""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def _config(app: Any, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app, http=Connection, factory=isinstance(app, str), workers=settings.workers, log_level="error",
        access_log=False, lifespan="off", proxy_headers=False, server_header=False, ws="none",
        timeout_graceful_shutdown=settings.grace,  # type: ignore[arg-type]  # it is waited for, and may have parts
    )  # fmt: skip

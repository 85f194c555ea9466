"""A web server on 127.0.0.1 that does what it is told, right or wrong, and keeps a list of what it was asked.

Each path is given its answers. No clock is involved: what stalls waits on an Event that close() sets.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass(frozen=True)
class Asked:
    path: str
    range: str | None = None
    if_range: str | None = None


class Site:
    """A server whose every path has its answers, given in turn; the last one again and again."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.faults: list[BaseException] = []  # of the server itself: a test must not pass by accident
        self.release = threading.Event()
        self._answers: dict[str, list[Answer]] = {}
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(Asked(self.path, self.headers["Range"], self.headers["If-Range"]))
                answers = site._answers[self.path]
                (answers.pop(0) if len(answers) > 1 else answers[0])(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  http.server's name
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = False  # server_close waits for every answer

            def handle_error(self, request: object, client_address: object) -> None:
                fault = sys.exc_info()[1]
                if fault is not None and not isinstance(fault, ConnectionError):  # a client may hang up
                    site.faults.append(fault)

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def at(self, path: str, *answers: Answer) -> str:
        self._answers[path] = list(answers)
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def close(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        assert self.faults == []


def _header(handler: BaseHTTPRequestHandler, status: int, **fields: object) -> None:
    handler.send_response(status)
    for name, value in fields.items():
        handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()


def serves(body: bytes, *, etag: str | None = '"1"', ranges: bool = True) -> Answer:
    """As a good server does (RFC 9110): 206 for a range, unless If-Range names another version."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        tag = {"ETag": etag} if etag else {}
        same = handler.headers["If-Range"] in (None, etag)
        if ranges and same and (asked := re.fullmatch(r"bytes=(\d+)-", handler.headers["Range"] or "")):
            rest = body[int(asked[1]) :]
            span = f"bytes {asked[1]}-{len(body) - 1}/{len(body)}"
            _header(handler, 206, Content_Length=len(rest), Content_Range=span, **tag)
            handler.wfile.write(rest)
        else:
            _header(handler, 200, Content_Length=len(body), **tag)
            handler.wfile.write(body)

    return answer


def sends(body: bytes, *, announces: int | None = None, status: int = 200, **fields: object) -> Answer:
    """`body`, whatever was asked; without a Content-Length unless it `announces` one. Then hangs up."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        length = {} if announces is None else {"Content_Length": announces}
        _header(handler, status, **length, **fields)
        handler.wfile.write(body)

    return answer


def breaks_off(body: bytes, after: int, *, etag: str = '"1"') -> Answer:
    """Announces the whole body, sends the first `after` bytes of it."""
    return sends(body[:after], announces=len(body), ETag=etag)


def stalls(site: Site, body: bytes, after: int) -> Answer:
    """As breaks_off, but the connection stays open."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        _header(handler, 200, Content_Length=len(body))
        handler.wfile.write(body[:after])
        site.release.wait()

    return answer


def stays_silent(site: Site) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        site.release.wait()

    return answer


def hangs_up() -> Answer:
    return lambda handler: None


def fails(status: int) -> Answer:
    return lambda handler: _header(handler, status, Content_Length=0)


def points_to(address: str) -> Answer:
    return lambda handler: _header(handler, 302, Location=address, Content_Length=0)

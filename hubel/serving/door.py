"""The way in: what every request passes.

A bare ASGI callable before FastAPI. It looks at the host, the origin and the token, counts, and adds the headers that
every answer carries. A picture's raw bytes for /predictions do not come here: see wire.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders

from hubel.errors import HubelError
from hubel.serving.batching import Batcher
from hubel.serving.envelope import JSON, packed
from hubel.serving.limits import Refused
from hubel.serving.lines import ARRIVED
from hubel.serving.service import Service

App = Callable[[Any, Any, Any], Awaitable[None]]
Headers = Mapping[bytes, bytes]

# The page is ours alone: nothing from elsewhere, nothing inline, in nobody's frame. data: and blob: are pictures that
# the page draws itself, and the camera.
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP, "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin",
}  # fmt: skip
RAW = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]

LOCAL = ("localhost", "127.0.0.1", "::1")
# Without a token: what watches the process, and the files of the two pages, which ask for the token and show it.
OPEN = ("/healthz", "/readyz", "/", "/docs")
FILES = ("/page/", "/docs/")


@dataclass(frozen=True)
class Rules:
    """Who may ask.

    token: that every request must show but those for OPEN and FILES; None for none
    hosts: names by which the service may be called, against pages that point a name of theirs at this machine;
    empty for any   origins: other sites whose pages may ask
    """

    token: str | None = None
    hosts: Sequence[str] = LOCAL
    origins: Sequence[str] = ()


class Door:
    """app: FastAPI's   short: the batches behind each path that takes the short way

    head: the headers of every answer in JSON, as they are written   count: an answer on the short way
    """

    head = b"".join(b"%b: %b\r\n" % line for line in ((b"content-type", JSON.encode()), *RAW))

    def __init__(self, app: App, service: Service, short: Mapping[bytes, Batcher], rules: Rules) -> None:
        self.app, self.service, self.short, self.rules = app, service, short, rules
        self.limits, self.metrics = service.limits, service.metrics
        self.count = self.metrics.answered("/v1/predictions, raw")
        self._counts: dict[str, Callable[[int, float], None]] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """FastAPI, its answers with our headers, counted by route."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begin = time.perf_counter()
        headers: Headers = dict(scope["headers"])
        told = 500
        shared = self._origin(headers)
        bare = scope["method"] == "HEAD"  # answered as GET is, without the body
        scope = {**scope, ARRIVED: begin, "method": "GET" if bare else scope["method"]}

        async def sending(message: Any) -> None:
            nonlocal told
            if message["type"] == "http.response.start":
                told = message["status"]
                head = MutableHeaders(scope=message)
                head.update(HEADERS)
                if shared:
                    head.update({"Access-Control-Allow-Origin": shared, "Vary": "Origin"})
            elif bare:
                message = {**message, "body": b""}
            await send(message)

        try:
            self.check(scope["method"], scope["path"], headers)
            if len(headers) < len(scope["headers"]):
                _no_doubt(scope["headers"])
            if shared and scope["method"] == "OPTIONS":
                await self._preflight(sending)
            else:
                await self.app(scope, receive, sending)
        except HubelError as e:
            status, answer, more = self.refused(e)
            head = [(b"content-type", JSON.encode()), (b"content-length", str(len(answer)).encode()), *more]
            await sending({"type": "http.response.start", "status": status, "headers": head})
            await sending({"type": "http.response.body", "body": answer})
        finally:  # what raises past here was answered with 500 by FastAPI, and counts as well
            route = label(scope)
            if route not in self._counts:
                self._counts[route] = self.metrics.answered(route)
            self._counts[route](told, time.perf_counter() - begin)

    def refused(self, e: HubelError) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
        """The status, the body and further headers that tell of it; it is counted."""
        self.metrics.refused(e)
        more = e.headers.items() if isinstance(e, Refused) else ()
        head = [(name.lower().encode(), value.encode()) for name, value in more]
        return e.http_status, packed(None, e.http_status, str(e)), head

    def check(self, method: str, path: str, headers: Headers) -> None:
        """Raises Refused: 421 for a name that is not ours, 403 for a stranger's page, 401 without the token."""
        rules = self.rules
        host = headers.get(b"host", b"").decode("latin-1")
        if rules.hosts and name_of(host) not in rules.hosts:
            raise Refused(
                421,
                "host",
                f"this service is not called {host!r:.80}; it answers to {', '.join(rules.hosts)}",
            )
        origin = headers.get(b"origin", b"").decode("latin-1")
        if origin and origin not in rules.origins and urlsplit(origin).netloc != host:
            raise Refused(403, "origin", f"pages of {origin:.80} may not ask here; --cors allows a site")
        asks_before = bool(origin) and method == "OPTIONS"  # see _preflight
        if rules.token is None or asks_before or path in OPEN or path.startswith(FILES):
            return
        scheme, _, shown = headers.get(b"authorization", b"").partition(b" ")
        same = hmac.compare_digest(shown.strip(), rules.token.encode())
        if not same or scheme.lower() != b"bearer":
            raise Refused(
                401, "token", "this service wants its token: send the header Authorization: Bearer TOKEN",
                {"WWW-Authenticate": "Bearer"},
            )  # fmt: skip

    def _origin(self, headers: Headers) -> str:
        origin = headers.get(b"origin", b"").decode("latin-1")
        return origin if origin in self.rules.origins else ""

    async def _preflight(self, send: Any) -> None:
        """What a browser asks before it lets a page of another site ask."""
        head = {
            b"access-control-allow-methods": b"GET, POST", b"access-control-max-age": b"600",
            b"access-control-allow-headers": b"authorization, content-type", b"content-length": b"0",
        }  # fmt: skip
        await send({"type": "http.response.start", "status": 204, "headers": list(head.items())})
        await send({"type": "http.response.body", "body": b""})


def _no_doubt(headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Raises Refused (400) where a header that decides who may ask is said twice: RFC 9112, 3.2."""
    names = [name for name, _ in headers]
    for name in (b"host", b"authorization", b"origin"):
        if names.count(name) > 1:
            raise Refused(400, "http", f"the header {name.decode().title()} is said twice; say it once")


def label(scope: Any) -> str:
    """The route as the document has it, never what the caller wrote: a label must not be invented."""
    path: str = getattr(scope.get("route"), "path", "")
    if not path:
        return "other"
    if path.startswith("/v1") or not scope["path"].startswith("/v1/"):
        return path
    of_one = scope["path"].startswith("/v1/models/")
    return (
        "/v1/models/{name}" if of_one else "/v1"
    ) + path  # FastAPI tells an included route without its prefix


def name_of(host: str) -> str:
    """127.0.0.1:8000 -> 127.0.0.1; [::1]:8000 -> ::1"""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()

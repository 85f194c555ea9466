"""A connection: uvicorn's, with limits of time and size, and the short way for a picture's raw bytes.

uvicorn waits for a request's head without end, reads heads of any length, and throws away what follows a refusal for
as long as it comes; here each has `Limits.deadline` or `Limits.head`. A picture's bytes, POSTed to /predictions with
their length and nothing unusual beside, go from the parser straight to the batches, and their answer is written by the
network's result, with no task, scope or messages between. Everything else is uvicorn's and goes through the door.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from hubel.errors import HubelError
from hubel.serving.batching import Batcher, Entry
from hubel.serving.envelope import of_bug, packed
from hubel.serving.inputs import picture_bytes, too_much_head, too_slow
from hubel.serving.limits import Refused

if TYPE_CHECKING:
    from hubel.serving.door import Door

RATE = 1024  # bytes per second that a client takes at least, or it is hung up on
# What a picture's bytes may be called; the second and third are what programs say that have nothing to say.
PICTURES = (b"image/", b"application/octet-stream", b"application/x-www-form-urlencoded")
Lines = Sequence[tuple[bytes, bytes]]  # headers
NO_HTTP = (
    "this is no HTTP/1.1 request that can be read in one way only; send one length or chunks, lines that end with "
    "CR LF, and no control characters"
)
NOBODY = SimpleNamespace(set=lambda: None)  # who waits for an event of a picture on the short way


class Connection(HttpToolsProtocol):
    """For uvicorn.Config(http=…). Its application is a Door."""

    cycle: Any  # what is read, and then answered: uvicorn's, or a Quick

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.door: Door = self.app
        self.limits = self.door.limits
        self.in_head, self.in_body, self.head = False, False, 0  # head: bytes of the unfinished one
        self.quick: Quick | None = None  # the picture under way on the short way
        self.why: HubelError | None = None  # what is wrong with a head, where it is not its grammar
        self.late: asyncio.TimerHandle | None = None
        self.stuck: asyncio.TimerHandle | None = None
        self.left = 0  # bytes to be taken when `stuck` was set

    # ---- what comes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self.late = self.loop.call_later(self.limits.deadline, self._too_late)

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self.late, self.stuck):
            if timer is not None:
                timer.cancel()
        if self.quick is not None:
            self.quick.gone()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.in_head:
            self.head += len(data)
            if self.head > self.limits.head:
                self._refuse(too_much_head(self.limits.head))
        waits = self.in_head or (self.in_body and (self.cycle is self.quick or self.cycle.response_complete))
        if waits and self.late is None:
            self.late = self.loop.call_later(self.limits.deadline, self._too_late)
        elif self.late is not None and not waits:
            self.late.cancel()
            self.late = None

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.in_head, self.in_body, self.head = True, True, 0

    def on_headers_complete(self) -> None:
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > self.limits.head:
            self.why = too_much_head(self.limits.head)
            raise self.why
        self.in_head = False
        batcher = self.door.short.get(self.url)
        if batcher is None or not self._usual():
            super().on_headers_complete()
            return
        self.cycle = self.quick = Quick(self, batcher, dict(self.headers))

    def _usual(self) -> bool:
        """Whether what was announced can go the short way."""
        headers = dict(self.headers)
        length, kind = headers.get(b"content-length", b""), headers.get(b"content-type", b"image/").lower()
        return (
            self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and (self.cycle is None or self.cycle.response_complete)  # else it waits for its turn
            and not self.flow.write_paused
            and len(headers) == len(self.headers)
            and length.isdigit()
            and int(length) <= self.limits.body
            and kind.startswith(PICTURES)
            and headers.keys().isdisjoint((b"origin", b"expect", b"upgrade", b"transfer-encoding"))
        )

    def on_body(self, body: bytes) -> None:
        if self.quick is not None and self.cycle is self.quick:
            self.quick.body += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self.in_body = False
        if self.quick is not None and self.cycle is self.quick:
            self.quick.begin()
        else:
            super().on_message_complete()

    # ---- what is answered

    def answer(self, status: int, body: bytes, more: Lines = (), *, close: bool = False) -> None:
        """Write a whole answer in JSON, in one piece."""
        lines = [STATUS_LINE[status]]
        for name, value in (*self.server_state.default_headers, *more):
            lines += (name, b": ", value, b"\r\n")
        lines += (self.door.head, b"content-length: %d\r\n" % len(body))
        if close:
            lines.append(b"connection: close\r\n")
        lines += (b"\r\n", body)
        self.transport.write(b"".join(lines))
        if close:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's signature
        """uvicorn's word for a request that its parser does not understand."""
        self._refuse(self.why or Refused(400, "http", NO_HTTP))

    def _too_late(self) -> None:
        """The time for a request is over: it is told so, unless there is none, or it was answered already."""
        self.late = None
        if self.transport.is_closing():
            return
        if self.in_head or self.cycle is self.quick is not None:
            self._refuse(too_slow(self.limits))
        else:
            self.transport.close()

    def _refuse(self, e: HubelError) -> None:
        """Answer what did not come to be a request, and hang up; what is due before it must not be mistaken for it."""
        if self.transport.is_closing():
            return
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            due = False
        else:  # unless it is what is being read, and nothing of its answer was written
            due = bool(self.in_head or not self.in_body or self.pipeline or cycle.response_started)
        if not due:
            status, body, _ = self.door.refused(e)
            self.answer(status, body, close=True)
        else:
            self.transport.close()

    def done(self, quick: Quick) -> None:
        """The answer to `quick` is written; the next request may come."""
        self.quick = None
        quick.response_complete = True
        self.on_response_complete()

    # ---- a client that does not take its answers

    def pause_writing(self) -> None:
        super().pause_writing()
        self._look(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.stuck is not None:
            self.stuck.cancel()
            self.stuck = None

    def _look(self, left: int) -> None:
        self.left = left
        self.stuck = self.loop.call_later(self.limits.deadline, self._taken)

    def _taken(self) -> None:
        left = self.transport.get_write_buffer_size()
        if self.left - left < RATE * self.limits.deadline:
            self.transport.abort()
        else:
            self._look(left)


class Quick:
    """A picture on the short way: what HttpToolsProtocol asks of a cycle, and the batches of a future."""

    disconnected, response_started, message_event = False, False, NOBODY

    def __init__(self, line: Connection, batcher: Batcher, headers: dict[bytes, bytes]) -> None:
        self.line, self.batcher, self.headers = line, batcher, headers
        self.keep_alive: bool = line.parser.should_keep_alive()
        self.body, self.response_complete = bytearray(), False
        self.entry: Entry | None = None
        self.born = time.perf_counter()

    def begin(self) -> None:
        """The picture is here."""
        try:
            self.line.door.check("POST", "/v1/predictions", self.headers)
            kind = self.headers.get(b"content-type", b"").partition(b";")[0].decode("latin-1")
            self.entry = self.batcher.enter(picture_bytes(bytes(self.body), kind), None, self)
        except Exception as e:
            self.set_exception(e)

    def gone(self) -> None:
        """The client has hung up."""
        self.response_complete = True
        if self.entry is not None:
            self.batcher.forget(self.entry)

    def done(self) -> bool:
        return self.response_complete

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self.line.loop

    def set_result(self, body: bytes) -> None:
        self._answer(200, body)

    def set_exception(self, e: BaseException) -> None:
        if isinstance(e, HubelError):
            self._answer(*self.line.door.refused(e))
        else:
            self.line.logger.error("a picture on the short way", exc_info=e)
            self._answer(500, packed(None, 500, of_bug(e)))

    def _answer(self, status: int, body: bytes, more: Lines = ()) -> None:
        self.line.door.count(status, time.perf_counter() - self.born)
        self.line.answer(status, body, more, close=not self.keep_alive)
        self.line.done(self)

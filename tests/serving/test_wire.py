"""Clients that are slow, silent, gone, greedy or cunning, on real sockets; and the short way, which others share."""

from __future__ import annotations

import json
import re
import resource
import select
import socket
import threading
from contextlib import ExitStack, contextmanager, suppress
from types import SimpleNamespace

import pytest
from making import flat
from online import told

from hubel.serving.limits import Limits
from hubel.serving.wire import Connection

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\n"


@contextmanager
def line(client, **settings):
    """A connection to the service."""
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=30) as made:
        for name, value in settings.items():
            made.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
        yield made


def rest(made: socket.socket) -> bytes:
    """All that comes until the service hangs up."""
    found = b""
    while part := made.recv(1 << 16):
        found += part
    return found


def statuses(answer: bytes) -> list[int]:
    return [int(n) for n in re.findall(rb"HTTP/1\.1 (\d+)", answer)]


def picture(body: bytes = flat(9), more: bytes = b"") -> bytes:
    return POST + more + b"Content-Length: %d\r\n\r\n" % len(body) + body


# ---- slow and silent


@pytest.mark.parametrize("sent, status", [
    (b"", []),                                                 # nothing was asked, nothing is answered
    (b"POST /v1/pred", [408]),
    (GET + b"X: a", [408]),
    (POST + b"Content-Length: 99\r\n\r\nhalf", [408]),         # the short way
    (POST + b"Content-Length: 99\r\nExpect: 100-continue\r\n\r\nhalf", [100, 408]),
    (POST + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf", [408]),
    (GET + b"\r\n" + GET, [200, 408]),                         # a second request that does not come
], ids=lambda value: None if isinstance(value, list) else value[:30])  # fmt: skip
def test_a_request_that_does_not_come_is_not_waited_for(serving, sent, status):
    with serving(Limits(deadline=0.3)) as client, line(client) as slow:
        slow.sendall(sent)
        answer = rest(slow)
        assert statuses(answer) == status
        if status and status[-1] == 408:
            said = json.loads(answer.rpartition(b"\r\n\r\n")[2])
            assert said["status"] == 408 and "did not arrive whole within 0.3 s" in said["msg"]


def test_what_follows_a_refusal_is_not_read_for_ever(serving):
    """413 comes at once; the body that was announced goes on and on, and is hung up on."""
    with serving(Limits(body=1000, deadline=0.3)) as client, line(client) as slow:
        slow.sendall(POST + b"Content-Length: 99999999\r\n\r\nx")
        assert slow.recv(1 << 16).startswith(b"HTTP/1.1 413")
        with suppress(ConnectionError):
            while not select.select([slow], [], [], 0.01)[0]:  # until there is an end to be read
                slow.sendall(b"x")
            assert slow.recv(1) == b""


def test_a_thousand_silent_connections_keep_nobody_waiting_and_are_hung_up_on(serving):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip(f"2,000 sockets are wanted here, and {hard} files may be open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096 if hard == resource.RLIM_INFINITY else hard, hard))
    try:
        with serving(Limits(deadline=3)) as client, ExitStack() as open_:
            silent = [open_.enter_context(line(client)) for _ in range(1000)]
            for one in silent[::2]:
                one.sendall(b"GET /v1/model HTTP/1.1\r\nHost: loc")
            for _ in range(20):
                assert told(client.post("/v1/predictions", content=flat(9)))["predictions"]
            answers = [rest(one) for one in silent]
            assert [statuses(a) for a in answers] == [[408], []] * 500
            assert told(client.post("/v1/predictions", content=flat(9)))["predictions"]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_client_that_takes_no_answers_is_hung_up_on(serving):
    """It asks for the document again and again and never reads; the service must not keep all that for it."""
    with serving(Limits(deadline=0.3)) as client, line(client, SO_RCVBUF=4096) as greedy:
        greedy.settimeout(60)
        asks = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100
        with pytest.raises(ConnectionError):
            while True:
                greedy.sendall(asks)
        told(client.get("/v1/model"))


@pytest.mark.parametrize("left, hung_up", [
    ([1 << 20, (1 << 20) - 300], True),                                # 300 bytes in 0.3 s; 1,024 in a second are asked
    ([1 << 20, (1 << 20) - 400, (1 << 20) - 800, 1000, 999], True),    # in the end it takes no more
    ([1 << 20, (1 << 20) - 400, (1 << 20) - 800, 1000], False),        # slow, but steady
])  # fmt: skip
def test_a_reader_may_be_slow_but_not_without_end(left, hung_up):
    """left: bytes that are still to be taken, at every look"""
    sizes, aborted, later = iter(left), [], []
    made = Connection.__new__(Connection)
    made.limits = Limits(deadline=0.3)
    made.transport = SimpleNamespace(
        get_write_buffer_size=lambda: next(sizes), abort=lambda: aborted.append(1)
    )
    made.loop = SimpleNamespace(call_later=lambda _, work: later.append(work))
    made.flow = SimpleNamespace(pause_writing=lambda: None)
    made.pause_writing()
    for _ in left[1:]:
        later.pop()()
    assert bool(aborted) == hung_up and bool(later) != hung_up


# ---- too much


@pytest.mark.parametrize("pieces", [1, 70])
def test_a_head_that_is_too_long_is_refused_however_it_comes(client, pieces):
    head = GET + b"X: " + b"a" * 70_000 + b"\r\n\r\n"
    with line(client) as one:
        size = -(-len(head) // pieces)
        try:
            for start in range(0, len(head), size):
                one.sendall(head[start : start + size])
        except ConnectionError:
            pass  # refused before all of it was sent
        answer = rest(one)
        assert statuses(answer) == [431] and b"more than 65,536 bytes" in answer


def test_a_head_of_nearly_that_length_is_read(client):
    with line(client) as one:
        one.sendall(GET + b"Connection: close\r\nX: " + b"a" * 60_000 + b"\r\n\r\n")
        assert statuses(rest(one)) == [200]


# ---- cunning: what two servers could read in two ways

SMUGGLED = b"0\r\n\r\nGET /v1/model HTTP/1.1\r\nHost: localhost\r\n\r\n"
DOUBTFUL = {
    "length and chunks": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + SMUGGLED,
    "chunks and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + SMUGGLED,
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    "a list of lengths": POST + b"Content-Length: 5, 5\r\n\r\nabcde",
    "a signed length": POST + b"Content-Length: +5\r\n\r\nabcde",
    "a length beyond 64 bits": POST + b"Content-Length: 99999999999999999999999\r\n\r\nabcde",
    "a blank before the colon": POST + b"Content-Length : 5\r\n\r\nabcde",
    "another coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n" + SMUGGLED,
    "chunks not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n" + SMUGGLED,
    "a tab of another kind": POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n" + SMUGGLED,
    "a folded line": GET + b"X: a\r\n Content-Length: 5\r\n\r\nabcde",
    "bare line feeds": GET.replace(b"\r\n", b"\n") + b"\n",
    "a bare carriage return": GET + b"X: a\rContent-Length: 5\r\n\r\nabcde",
    "a zero byte": GET + b"X: a\0b\r\n\r\n",
    "a chunk of -1": POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    "a chunk beyond 64 bits": POST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n\r\n",
    "a chunk without its end": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nxX0\r\n\r\n",
    "another protocol": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "two hosts": b"GET /healthz HTTP/1.1\r\nHost: evil.example\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "two tokens": GET + b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\nConnection: close\r\n\r\n",
}


@pytest.mark.parametrize("what", DOUBTFUL)
def test_what_can_be_read_in_two_ways_is_read_in_none(client, what):
    """One refusal, and the line is closed: nothing that came behind it is taken for a request."""
    with line(client) as one:
        one.sendall(DOUBTFUL[what])
        answer = rest(one)
        assert statuses(answer) == [400] and b"content-security-policy" in answer
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["status"] == 400


def test_garbage_behind_a_request_is_not_answered_in_its_place(serving, monkeypatch):
    """The picture is under way when the garbage comes: 400 now would be read as the picture's answer."""
    with serving() as client, line(client) as one:
        one.sendall(picture() + b"\0garbage\r\n\r\n")
        assert statuses(rest(one)) in ([200], [])  # answered before, or not at all


# ---- the short way shares the line


def test_requests_sent_at_once_are_answered_in_their_order(client):
    """The short way, the long way and a refusal in one write; the last one closes."""
    long = b"GET /v1/samples/3 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = GET + b"Connection: close\r\n\r\n"
    with line(client) as one:
        one.sendall(picture() + long + picture(b"no picture") + picture() + picture(flat(9)[:50]) + last)
        answer = rest(one)
    assert statuses(answer) == [200, 200, 415, 200, 422, 200]
    bodies = re.findall(rb"\{\"status\".*?\}(?=HTTP|$)", answer)
    assert b'"predictions"' in bodies[0] and b'"id":3' in bodies[1] and b'"predictions"' in bodies[3]


@pytest.mark.parametrize("more, way", [
    (b"", "/v1/predictions, raw"),
    (b"Content-Type: image/png\r\n", "/v1/predictions, raw"),
    (b"Content-Type: Application/Octet-Stream\r\n", "/v1/predictions, raw"),
    (b"Origin: http://localhost\r\n", "/v1/predictions"),
    (b"Content-Type: text/x-picture\r\n", "/v1/predictions"),
    (b"X: a\r\nX: b\r\n", "/v1/predictions"),
])  # fmt: skip
def test_both_ways_give_one_answer(serving, more, way):
    with serving() as client, line(client) as one:
        one.sendall(picture(more=more + b"Connection: close\r\n"))
        answer = rest(one)
        assert answer.endswith(client.post("/v1/predictions?top=5", content=flat(9)).content)
        counted = f'hubel_requests_total{{route="{way}",status="200"}} '
        assert float(client.get("/metrics").text.partition(counted)[2].split()[0]) == 1 + (
            way == "/v1/predictions"
        )


def test_a_mistake_of_ours_on_the_short_way_is_500_in_the_envelope(serving, monkeypatch):
    with serving() as client:
        monkeypatch.setattr(client.service.default.batches.work, "tiny", lambda body: 1 / 0)
        assert "a mistake of the service (ZeroDivisionError)" in told(
            client.post("/v1/predictions", content=flat(9)), 500
        )
        monkeypatch.undo()
        assert told(client.post("/v1/predictions", content=flat(9)))["predictions"]


def test_the_picture_of_a_client_that_hung_up_is_dropped(serving, monkeypatch):
    begun, go = threading.Event(), threading.Event()
    with serving() as client:
        work = client.service.default.batches.work
        answers = work.logits

        def held(x):
            begun.set()
            assert go.wait(60)
            return answers(x)

        monkeypatch.setattr(work, "logits", held)
        with line(client) as stays, line(client) as leaves:
            stays.sendall(picture(more=b"Connection: close\r\n"))
            assert begun.wait(60)
            leaves.sendall(picture())
            while client.service.default.batches.depth < 1:
                client.get("/healthz")
            leaves.close()
            while 'hubel_dropped_total{model="digits"} 1.0' not in client.get("/metrics").text:
                pass
            go.set()
            assert statuses(rest(stays)) == [200]

"""Slow questions wait in a short line of their own: it refuses, gives up and forgets, and holds up nobody else."""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pytest
from making import png
from online import told

from hubel.serving import lines
from hubel.serving.batching import Gone
from hubel.serving.limits import Limits, Refused
from hubel.serving.lines import Line
from hubel.serving.metrics import Metrics
from hubel.serving.opened import cells, lessons, network, questions

ASKED = {
    "explanations": (questions, "explained", {"sample": 1}),
    "attacks": (questions, "changed", {"sample": 1}),
    "dreams": (questions, "dreamt", {}),
    "lessons": (lessons, "answered", {"sample": 1, "class": "1"}),
    "maps": (network, "answered", {"sample": 1}),
    "cell": (cells, "answered", {"sample": 1, "layer": "x", "index": [0]}),
}


class Client:
    """A request after its body: `arrived` as the door notes it; it stays until `gone` is set."""

    def __init__(self, arrived: float | None = None) -> None:
        self.scope = {} if arrived is None else {lines.ARRIVED: arrived}
        self.gone, self.watched = asyncio.Event(), asyncio.Event()

    async def receive(self):
        self.watched.set()
        await self.gone.wait()
        return {"type": "http.disconnect"}


class Held:
    """Work that is at work until it is let go."""

    def __init__(self) -> None:
        self.begun, self.go, self.times = threading.Event(), threading.Event(), 0

    def __call__(self, *_: object) -> dict[str, str]:
        self.times += 1
        self.begun.set()
        assert self.go.wait(60)
        return {"done": "yes"}


@pytest.fixture
def held():
    made = Held()
    yield made
    made.go.set()


def run(scene, **limits):
    """scene(line) with a line of its own, on a loop."""
    asyncio.run(scene(Line("net", Limits(**limits), Metrics())))


def test_one_more_than_may_be_in_line_is_refused_at_once_and_the_line_moves_on(held):
    async def scene(line):
        first, second = (asyncio.create_task(line.ask(Client(), held)) for _ in range(2))
        await asyncio.to_thread(held.begun.wait)
        with pytest.raises(Refused, match="2 questions to net wait already") as refused:
            await line.ask(Client(), held)
        assert (refused.value.http_status, refused.value.reason) == (503, "questions")
        assert refused.value.headers["Retry-After"]
        held.go.set()
        await asyncio.gather(first, second)
        assert await line.ask(Client(), lambda: 3) == 3  # the places are free again
        assert held.times == 2

    run(scene, workers=2)


def test_the_deadline_counts_from_the_request_s_arrival(held):
    """The deadline is a day, the request came two days ago: it is over before any wait."""

    async def scene(line):
        first = asyncio.create_task(line.ask(Client(), held))
        await asyncio.to_thread(held.begun.wait)
        long_ago = lines.time.perf_counter() - 2 * 86_400
        with pytest.raises(Refused, match="net was busy for 86400 s") as refused:
            await line.ask(Client(long_ago), held)
        assert (refused.value.http_status, refused.value.reason) == (503, "deadline")
        assert refused.value.headers["Retry-After"]
        held.go.set()
        assert await first == {"done": "yes"}
        assert await line.ask(Client(), lambda: 3) == 3 and held.times == 1  # what was refused never began

    run(scene, deadline=86_400)


def test_what_has_begun_is_finished_after_the_deadline_too(held, monkeypatch):
    """The request is two days old when its work begins; nobody looks at the clock before that."""

    async def when_begun(*arguments, **settings):
        await asyncio.to_thread(held.begun.wait)
        found = await waits(*arguments, **settings)
        held.go.set()
        return found

    async def scene(line):
        assert await line.ask(Client(lines.time.perf_counter() - 2 * 86_400), held) == {"done": "yes"}

    waits = asyncio.wait
    monkeypatch.setattr(lines.asyncio, "wait", when_begun)
    run(scene, deadline=86_400)


@pytest.mark.parametrize("way", ["gone", "cancelled"])
def test_the_work_of_a_client_that_is_gone_is_not_begun_and_its_place_is_free(held, way):
    async def scene(line):
        first = asyncio.create_task(line.ask(Client(), held))
        await asyncio.to_thread(held.begun.wait)
        client, begun = Client(), []
        second = asyncio.create_task(line.ask(client, lambda: begun.append(1)))
        await client.watched.wait()
        client.gone.set() if way == "gone" else second.cancel()
        with pytest.raises(Gone if way == "gone" else asyncio.CancelledError):
            await second
        third = asyncio.create_task(line.ask(Client(), lambda: 3))  # of two places
        held.go.set()
        assert await first == {"done": "yes"} and await third == 3 and not begun

    run(scene, workers=2)


def test_an_error_is_the_asker_s_alone():
    async def scene(line):
        with pytest.raises(ZeroDivisionError):
            await line.ask(Client(), lambda: 1 / 0)
        assert await line.ask(Client(), lambda: 3) == 3

    run(scene, workers=1)


# ---- over HTTP


@pytest.mark.parametrize("route", ASKED)
def test_every_opened_route_has_a_line_that_refuses(serving, monkeypatch, held, route):
    place, name, said = ASKED[route]
    monkeypatch.setattr(place, name, held)
    with serving(Limits(workers=1, deadline=60)) as client, ThreadPoolExecutor(1) as other:
        first = other.submit(client.post, f"/v1/{route}", json=said)
        assert held.begun.wait(60)
        refused = client.post(f"/v1/{route}", json=said)
        assert "questions to digits wait already" in told(refused, 503) and refused.headers["retry-after"]
        assert told(client.get("/v1/model"))["name"] == "digits"
        held.go.set()
        assert told(first.result()) == {"done": "yes"}
        assert held.times == 1


def test_questions_whose_clients_left_hold_up_nobody(serving, monkeypatch, held):
    """One is at work, 100 wait and hang up: they are dropped while it still is, and never begin."""
    waiting = threading.Semaphore(0)

    async def left(receive):
        waiting.release()
        await leaves(receive)

    leaves = lines._left
    monkeypatch.setattr(lines, "_left", left)
    monkeypatch.setattr(questions, "explained", held)
    line = b"POST /v1/explanations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    line += b'Content-Length: 13\r\n\r\n{"sample": 1}'
    with serving(Limits(workers=101, deadline=600)) as client, ThreadPoolExecutor(1) as other:
        first = other.submit(client.post, "/v1/explanations", json={"sample": 1})
        assert held.begun.wait(60)
        with ExitStack() as open_:
            for _ in range(100):
                place = (client.base_url.host, client.base_url.port)
                open_.enter_context(socket.create_connection(place, timeout=20)).sendall(line)
            assert all(waiting.acquire(timeout=60) for _ in range(101))
            assert told(client.get("/v1/model"))["name"] == "digits"
            assert "wait already" in told(client.post("/v1/explanations", json={"sample": 1}), 503)
        gone = 'hubel_dropped_total{model="digits"} 100.0'
        assert any(gone in client.get("/metrics").text for _ in range(10_000))
        held.go.set()
        assert told(first.result()) == {"done": "yes"} and held.times == 1


@pytest.mark.parametrize("what, paths", [
    ("hubel.serving.opened.Opened", ["/v1/network", "/v1/kernel?layer=features.0&map=0"]),
    ("hubel.serving.service.Samples", ["/v1/samples", "/v1/samples/3", "/v1/similar/3", "/v1/predictions/3"]),
])  # fmt: skip
def test_what_is_slow_the_first_time_takes_no_threads_from_others(serving, monkeypatch, held, what, paths):
    """60 ask for it, more than there are threads; whoever asks for another thing is answered meanwhile."""
    monkeypatch.setattr("hubel.serving.opened._Ready.warm", lambda *_: None)
    monkeypatch.setattr(what, lambda *a: held(*a) and None)
    with serving(Limits(deadline=600)) as client, ExitStack() as open_:
        open_.callback(held.go.set)
        for n in range(60):
            path = paths[n % len(paths)]
            line = socket.create_connection((client.base_url.host, client.base_url.port), timeout=20)
            open_.enter_context(line).sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert held.begun.wait(60)
        pixels = [[n] * 8 for n in range(8)]
        for _ in range(3):  # a form and JSON are read in threads, the model's card is made in one
            assert told(client.post("/v1/predictions", json={"pixels": pixels}))["predictions"]
            assert told(client.post("/v1/predictions", files={"a": png(np.array(pixels))}))["predictions"]
            assert told(client.get("/v1/model"))["name"] == "digits"
            assert client.get("/page/main.js").status_code == 200

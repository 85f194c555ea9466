"""The process: it begins, drains, ends with 0, and several of them count together."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import httpx
import pytest
from making import flat
from online import told

from hubel.errors import InputError
from hubel.serving.limits import Limits
from hubel.serving.server import Settings, address_of, listen


@contextmanager
def process(*arguments: str):
    """`hubel serve …` on a free port: the process, what it said, and a client."""
    command = [sys.executable, "-u", "-m", "hubel", "serve", *arguments, "--port", "0", "--engine", "torch"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    ) as made:
        try:
            said = []
            for line in made.stdout:
                said.append(line)
                if line.startswith("Ctrl-C"):
                    break
            address = re.search(r"page +(http://\S+)/", "".join(said))
            assert address, ("".join(said), made.stderr.read() if made.poll() is not None else "")
            with httpx.Client(base_url=address[1], timeout=60) as client:
                yield made, "".join(said), client
        finally:
            made.kill()


def test_sigterm_answers_what_was_accepted_takes_nothing_new_and_ends_with_0(runs):
    """Half of a request is sent before the signal, the other half after it; its answer must come."""
    with process(runs["digits"]) as (made, said, client):
        assert "digits  lenet5 by torch" in said
        assert told(client.post("/v1/predictions", content=flat(9)))["predictions"]
        url, body = client.base_url, flat(9)
        head = f"POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        with socket.create_connection((url.host, url.port), timeout=30) as line:
            line.sendall(head + body[:10])
            client.get("/healthz")  # the first half has been read by now: one loop reads both lines in turn
            made.send_signal(signal.SIGTERM)
            refused(url)
            line.sendall(body[10:])
            assert line.recv(1 << 16).startswith(b"HTTP/1.1 200")
        assert made.wait(30) == 0
        assert made.stderr.read() == ""


def refused(url: httpx.URL) -> None:
    """Comes back once new connections are refused."""
    for _ in range(600):
        try:
            socket.create_connection((url.host, url.port), timeout=5).close()
        except OSError:
            return
        threading.Event().wait(0.05)
    raise AssertionError("new connections are taken after SIGTERM")


@pytest.mark.slow
def test_the_numbers_of_several_processes_add_up(runs):
    with process(runs["digits"], "--workers", "2") as (made, _, client):
        for _ in range(600):  # the workers come up behind the socket, which already takes connections
            try:
                client.get("/healthz")
                break
            except httpx.TransportError:
                threading.Event().wait(0.1)
        for _ in range(40):
            with httpx.Client(
                base_url=client.base_url, timeout=60
            ) as fresh:  # a new connection: whoever takes it
                told(fresh.post("/v1/predictions", content=flat(9)))
        for _ in range(5):
            counted = client.get("/metrics").text
            assert 'hubel_requests_total{route="/v1/predictions, raw",status="200"} 40.0' in counted
        made.send_signal(signal.SIGTERM)
        assert made.wait(60) == 0


def test_a_port_that_is_taken_is_named():
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            InputError, match=f"cannot listen on 127.0.0.1, port {port}: .* Name another with --port"
        ):
            listen("127.0.0.1", port)


def test_an_address_can_be_typed_into_a_browser():
    with listen("127.0.0.1", 0) as four:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address_of(four))


def test_settings_come_whole_through_the_environment():
    said = Settings(
        ("a", "x=b"),
        "::1",
        1,
        "onnx",
        2,
        3,
        "t",
        True,
        ("https://a.example",),
        "sqlite://",
        Limits(body=5, deadline=0.5),
    )
    assert Settings.from_json(said.to_json()) == said

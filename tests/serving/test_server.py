"""The process: it begins, drains, ends with 0, and several of them count together."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager, suppress

import httpx
import pytest
from making import flat
from online import told

from hubel.errors import InputError
from hubel.serving.limits import Limits
from hubel.serving.server import Settings, address_of, listen, serve


@contextmanager
def process(*arguments: str, begin: Sequence[str] = (sys.executable, "-u", "-m", "hubel")):
    """`hubel serve …` on a free port: the process, what it said, and a client."""
    command = [*begin, "serve", *arguments, "--port", "0", "--engine", "torch"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ, process_group=0
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
    """A request's head is sent before the signal, its body after it; the answer must come."""
    with process(runs["digits"]) as (made, said, client):
        assert "digits  lenet5 by torch" in said
        assert told(client.post("/v1/predictions", content=flat(9)))["predictions"]
        with half_a_request(client.base_url) as (line, rest):
            made.send_signal(signal.SIGTERM)
            refused(client.base_url)
            line.sendall(rest)
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
def test_several_processes_drain_together_and_let_nobody_new_wait(runs):
    """The process that began them holds the socket, too: what it kept open would take connections and answer none."""
    with process(runs["digits"], "--workers", "2") as (made, _, client), ExitStack() as open_:
        up(client)
        lines = [
            open_.enter_context(half_a_request(client.base_url)) for _ in range(8)
        ]  # likely some for each
        made.send_signal(signal.SIGTERM)
        refused(client.base_url)
        for line, rest in lines:
            line.sendall(rest)
            assert line.recv(1 << 16).startswith(b"HTTP/1.1 200")
        assert made.wait(30) == 0
        assert made.stderr.read() == ""


STUCK = """
import threading
from hubel.serving.opened import questions

def dreamt(*_):
    print("begun", flush=True)
    threading.Event().wait()

questions.dreamt = dreamt
if __name__ == "__main__":  # the other processes import this file, too
    from hubel.cli.main import entry
    entry()
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_computes_on_after_the_grace_ends_with_its_process(runs, tmp_path, workers):
    (tmp_path / "stuck.py").write_text(STUCK)
    begin = [sys.executable, "-u", str(tmp_path / "stuck.py")]
    with process(runs["digits"], "--workers", workers, "--grace", "0.2", begin=begin) as (made, _, client):
        up(client)
        url = client.base_url
        with socket.create_connection((url.host, url.port), timeout=30) as line:
            line.sendall(b"POST /v1/dreams?class=3 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
            assert made.stdout.readline() == "begun\n"
            made.send_signal(signal.SIGTERM)
            assert made.wait(30) == 0


@pytest.mark.slow
@pytest.mark.parametrize("workers, when", [("1", "ready"), ("2", "beginning"), ("2", "ready")])
def test_ctrl_c_ends_all_processes_without_a_word(runs, workers, when):
    """It comes to the whole group of processes, as a terminal sends it; the workers may be importing still."""
    with process(runs["digits"], "--workers", workers) as (made, _, client):
        if when == "ready":
            up(client)
        os.killpg(made.pid, signal.SIGINT)
        assert made.wait(60) == 0
        assert made.stderr.read() == ""


@contextmanager
def half_a_request(url: httpx.URL):
    """A connection on which a picture is announced and waited for, and the picture."""
    body = flat(9)
    head = f"Host: localhost\r\nExpect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection((url.host, url.port), timeout=30) as line:
        line.sendall(b"POST /v1/predictions HTTP/1.1\r\n" + head)
        assert line.recv(1 << 10) == b"HTTP/1.1 100 Continue\r\n\r\n"
        yield line, body


def up(client: httpx.Client) -> None:
    """Comes back once a process answers: they come up behind the socket, which takes connections before."""
    for _ in range(600):
        with suppress(httpx.TransportError):
            client.get("/healthz")
            return
        threading.Event().wait(0.1)
    raise AssertionError("nobody answers")


@pytest.mark.slow
def test_the_numbers_of_several_processes_add_up(runs):
    with process(runs["digits"], "--workers", "2") as (made, _, client):
        up(client)
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


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"workers": 0}, "--workers must be at least 1, got 0"),
        ({"host": "0.0.0.0"}, r"0\.0\.0\.0 can be reached by others than this machine: give a --token .*, or --insecure"),
    ],
    ids=["no worker", "open to strangers"],
)  # fmt: skip
def test_settings_that_do_not_go_together_are_refused_before_it_listens(settings, text):
    with pytest.raises(InputError, match=text):
        serve(Settings(("no run is read",), **settings), lambda *_: pytest.fail("it listened"))


def test_an_address_can_be_typed_into_a_browser():
    with listen("127.0.0.1", 0) as four:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address_of(four))


def test_settings_come_whole_through_the_environment():
    said = Settings(
        ("a", "x=b"), "::1", 1, "onnx", 2, 3, "t", True, ("https://a.example",), "sqlite://", 0.5,
        Limits(body=5, deadline=0.5),
    )  # fmt: skip
    assert Settings.from_json(said.to_json()) == said

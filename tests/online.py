"""A service on a real socket for a test, and its answers looked at."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn

from hubel.serving.server import address_of, listen
from hubel.serving.wire import Connection


@contextmanager
def on_line(door: Any) -> Iterator[str]:
    """Its address, while it is served."""
    listening = listen("127.0.0.1", 0)
    config = uvicorn.Config(
        door,
        http=Connection,
        log_level="critical",
        lifespan="off",
        access_log=False,
        ws="none",
        server_header=False,
        proxy_headers=False,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield address_of(listening).rstrip("/")
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def told(response: httpx.Response, status: int = 200) -> Any:
    """The data of an answer in the envelope, which says the same status as HTTP."""
    whole = response.json()
    assert set(whole) == {"status", "data", "msg"}
    assert (response.status_code, whole["status"]) == (status, status), whole["msg"]
    assert (whole["data"] is None) == (status >= 400)
    assert isinstance(whole["msg"], str) and whole["msg"]
    return whole["data"] if status < 400 else whole["msg"]

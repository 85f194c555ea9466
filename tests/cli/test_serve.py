"""`hubel serve`: what it refuses before it listens, and what it says when it does."""

from __future__ import annotations

import sys

import pytest

import hubel
from hubel.serving import server


def test_a_run_that_is_not_there_is_named(cli, tmp_path):
    said = cli("serve", tmp_path / "nothing", "--port", "0")
    assert said.code == 2 and "no run at" in said.err and said.out == ""


def test_beyond_this_machine_it_wants_a_token(cli, trained):
    said = cli("serve", trained["a"], "--host", "0.0.0.0", "--port", "0")
    assert said.code == 2 and "--token" in said.err and "--insecure" in said.err


def test_without_the_extra_the_line_that_installs_it_is_printed(cli, trained, monkeypatch):
    monkeypatch.setattr(
        hubel, "serving", hubel.serving
    )  # what is imported anew here is forgotten with the rest
    for name in [name for name in sys.modules if name.startswith("hubel.serving")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    said = cli("serve", trained["a"])
    assert said.code == 2 and '".[serve]"' in said.err


@pytest.mark.parametrize("engine", ["torch", "onnx"])
def test_it_says_what_is_on_line_and_where(cli, trained, monkeypatch, engine):
    """Everything but the listening itself: the server is told to end as soon as it is ready."""

    def run(self, sockets):
        self.ready()
        for one in sockets:
            one.close()

    monkeypatch.setattr(server._Server, "run", run)
    said = cli("serve", f"ours={trained['a']}", trained["b"], "--port", "0", "--engine", engine)
    assert said.code == 0 and said.err == ""
    assert f"ours  mlp by {engine}" in said.out and f"b  mlp by {engine}" in said.out
    assert "page     http://127.0.0.1:" in said.out


def test_all_options_reach_the_settings(cli, monkeypatch):
    seen = []
    monkeypatch.setattr(server, "serve", lambda settings, ready: seen.append(settings))
    said = cli(
        "serve", "x", "--host", "::1", "--port", 5, "--engine", "torch", "--threads", 2, "--workers", 3, "--token", "t",
        "--insecure", "--cors", "https://a.example", "--feedback", "kept", "--queue", 7, "--batch", 8, "--deadline", 9,
        "--max-body", 1,
    )  # fmt: skip
    assert said.code == 0
    (settings,) = seen
    assert settings == server.Settings(
        ("x",), "::1", 5, "torch", 2, 3, "t", True, ("https://a.example",), "kept",
        limits=server.Limits(body=1 << 20, queue=7, batch=8, deadline=9.0),
    )  # fmt: skip

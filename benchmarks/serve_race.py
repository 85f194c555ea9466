"""Requests a second for PNG digits in the body, against a plain FastAPI endpoint and against LitServe; print a table.

    HUBEL_DATA=... python benchmarks/serve_race.py RUN --litserve PYTHON

RUN is a `lenet-keras` trained on MNIST; PYTHON an interpreter with litserve, onnxruntime and pillow. All three have
one process for the network, the same ONNX file, 32 connections of one wrk thread, and the same 500 digits of the test
part in turn. They run one after the other, in rounds; of each the median round counts, and a ratio is between medians.
Idle latency is one connection's.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import document
from PIL import Image

import hubel
from hubel.export import export

HERE = Path(__file__).parent
DIGITS, CONNECTIONS, WARM = 500, 32, 2

# The digits lie in one file, each after its length in four bytes; every request takes the next.
LUA = """
local bodies, place = {{}}, 0
function init()
  local file = io.open("{file}", "rb")
  local all, at = file:read("*all"), 1
  file:close()
  local head = {{["Content-Type"] = "image/png"}}
  while at < #all do
    local a, b, c, d = all:byte(at, at + 3)
    local size = ((a * 256 + b) * 256 + c) * 256 + d
    bodies[#bodies + 1] = wrk.format("POST", "{path}", head, all:sub(at + 4, at + 3 + size))
    at = at + 4 + size
  end
end
function request()
  place = place % #bodies + 1
  return bodies[place]
end
"""


@dataclass(frozen=True)
class Peer:
    """name; path of its route; command: arguments with PORT where the port goes; beside: its environment"""

    name: str
    path: str
    command: Sequence[str]
    beside: Mapping[str, str]


@dataclass(frozen=True)
class Load:
    """requests: per second   p50, p99: seconds   bad: answers other than 200"""

    requests: float
    p50: float
    p99: float
    bad: int


def main() -> None:
    parser = document.parser(__doc__)
    parser.add_argument("run")
    parser.add_argument("--litserve", metavar="PYTHON", help="an interpreter that has litserve")
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "digits").write_bytes(digits(args.run))
        export(hubel.load(args.run), place / "model.onnx")
        loads, idle = race(peers(args.run, place, args.litserve), place, args.seconds, args.rounds)
    document.tell(__file__, told(loads, idle, args), args.out)


def digits(run: str) -> bytes:
    """PNG files of the first test pictures, each after its length."""
    packed = []
    for picture in hubel.load(run).dataset().test.inputs[:DIGITS]:
        out = io.BytesIO()
        Image.fromarray(picture[0]).save(out, "PNG")
        packed.append(len(out.getvalue()).to_bytes(4, "big") + out.getvalue())
    return b"".join(packed)


def peers(run: str, place: Path, litserve: str | None) -> list[Peer]:
    model = {"MODEL": str(place / "model.onnx")}
    ours = [sys.executable, "-m", "hubel", "serve", run, "--port", "PORT"]
    plain = [
        sys.executable,
        "-m",
        "uvicorn",
        "serve_plain:app",
        "--port",
        "PORT",
        "--no-access-log",
        "--app-dir",
        str(HERE),
    ]
    found = [
        Peer("hubel serve", "/v1/predictions", ours, {}),
        Peer("FastAPI + ONNX Runtime", "/predict", plain, model),
    ]
    if litserve:
        lit = [litserve, str(HERE / "serve_lit.py"), "PORT"]
        found.append(Peer("LitServe, batches of 32", "/predict", lit, model))
    return found


def race(
    entered: Sequence[Peer], place: Path, seconds: int, rounds: int
) -> tuple[dict[str, list[Load]], dict[str, float]]:
    """The loads of each peer, round by round, and its idle p50 in seconds."""
    loads: dict[str, list[Load]] = {peer.name: [] for peer in entered}
    idle = {}
    for number in range(1, rounds + 1):
        for peer in entered:
            with running(peer) as port:
                script = place / "post.lua"
                script.write_text(LUA.format(file=place / "digits", path=peer.path))
                wrk(port, script, WARM, CONNECTIONS)
                load = wrk(port, script, seconds, CONNECTIONS)
                loads[peer.name].append(load)
                idle[peer.name] = min(idle.get(peer.name, 9.0), wrk(port, script, 2, 1).p50)
            print(
                f"round {number}  {peer.name:24} {load.requests:8,.0f} requests/s  p99 {1e3 * load.p99:6.1f} ms",
                flush=True,
            )
            if load.bad:
                raise SystemExit(f"{peer.name} gave {load.bad} answers other than 200")
    return loads, idle


@contextmanager
def running(peer: Peer) -> Iterator[int]:
    """Its port, once it takes connections; ended on the way out."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [part.replace("PORT", str(port)) if part == "PORT" else part for part in peer.command]
    process = subprocess.Popen(
        command, env={**os.environ, **peer.beside}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        process_group=0,
    )  # fmt: skip
    try:
        until = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/docs", timeout=5).close()
                break
            except OSError as e:
                if isinstance(e, urllib.error.HTTPError):
                    break
                if time.monotonic() > until or process.poll() is not None:
                    raise SystemExit(f"{peer.name} did not start: {' '.join(command)}") from e
                time.sleep(0.2)
        yield port
    finally:
        for sign in (signal.SIGTERM, signal.SIGKILL):  # a peer's processes outlive their parent
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)


def wrk(port: int, script: Path, seconds: int, connections: int) -> Load:
    said = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--latency", "-s", script, f"http://127.0.0.1:{port}"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    unit = {"us": 1e-6, "ms": 1e-3, "s": 1.0}

    def number(pattern: str) -> float:
        match = re.search(pattern, said)
        assert match, said
        return float(match[1]) * (unit[match[2]] if match.lastindex == 2 else 1)

    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    lost = re.search(r"Socket errors: .*", said)
    if lost:
        raise SystemExit(f"wrk: {lost[0]}")
    return Load(
        number(r"Requests/sec:\s+([\d.]+)"), number(r"50%\s+([\d.]+)(us|ms|s)"),
        number(r"99%\s+([\d.]+)(us|ms|s)"), int(bad[1]) if bad else 0,
    )  # fmt: skip


def told(
    loads: Mapping[str, Sequence[Load]], idle: Mapping[str, float], args: argparse.Namespace
) -> list[str]:
    middle = {name: statistics.median(load.requests for load in rounds) for name, rounds in loads.items()}
    ours = middle["hubel serve"]
    lines = [
        "## Requests a second for PNG digits",
        "",
        "| service of `lenet-keras` | requests/s | ours ÷ it | p50 | p99 | idle p50 |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, rounds in loads.items():
        p50, p99 = (statistics.median(getattr(load, p) for load in rounds) for p in ("p50", "p99"))
        ratio = "" if name == "hubel serve" else f"{ours / middle[name]:.2f}"
        p50, p99, alone = (f"{1e3 * seconds:.1f} ms" for seconds in (p50, p99, idle[name]))
        lines.append(f"| {name} | {middle[name]:,.0f} | {ratio} | {p50} | {p99} | {alone} |")
    footing = document.footing(__file__, ("onnxruntime", "fastapi", "uvicorn"), "cores shared with wrk")
    lines += [
        "",
        f"Median of {args.rounds} rounds of {args.seconds} s, {CONNECTIONS} connections of one wrk thread, raw bytes "
        f"of {DIGITS} MNIST test digits in turn; idle with one connection. {footing}",
    ]
    return lines


if __name__ == "__main__":
    main()

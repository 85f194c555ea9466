"""Several processes beside one: images per second, the curve of the losses, and how soon all end when one is killed.

    python benchmarks/wide.py [--rounds 3] [--out docs/measured.md]

Speed: `resnet18` on 32×32 pictures, batch 128, as many steps by one process with one thread as by two with one thread
each, in turns; the first steps of each are left out. Beside it what the machine gives at best: two such processes that
know nothing of each other. Curve: 50 steps of `lenet5`, and of a network with norms under
--sync-bn. Loss: the second of two processes dies by SIGKILL in an epoch; seconds until all, launcher too, are gone.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import document

MET = {True: "yes", False: "no", None: "–"}
WARM, STEPS = 3, 12  # steps that are left out, and that are timed
# What each process runs: `count` steps of a training; their losses, and the seconds behind the first WARM of them.
CHILD = """
import json, sys, time
from hubel.training import prepare
settings, count, warm = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
job = prepare(**settings)
job.begin()
losses, times, tally = [], [], type(job.trainer.tally)
add = tally.add
def noted(self, loss, right, size):
    losses.append(float(loss))
    times.append(time.perf_counter())
    add(self, loss, right, size)
tally.add = noted
def progress(step, steps):
    job.trainer.stop = step >= count
try:
    list(job.epochs(progress))
except Exception:
    pass
if job.ranks.first:
    print(json.dumps({"losses": losses[:count], "seconds": times[count - 1] - times[warm - 1]}))
"""
NORMED = "conv6x3 bn relu pool2 conv16x3 bn relu fc"


def trained(processes: int, count: int, **settings: Any) -> dict[str, Any]:
    """So many steps in so many processes, one thread each."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    children = []
    with tempfile.TemporaryDirectory(prefix="hubel-wide-") as place:
        given = json.dumps({**settings, "out": f"{place}/run", "precision": "fp32", "checkpoint_every": "1h"})
        for rank in range(processes):
            env = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            if processes > 1:
                env |= {"RANK": str(rank), "WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
            command = [sys.executable, "-c", CHILD, given, str(count), str(WARM)]
            children.append(subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True))
        said = [child.communicate()[0] for child in children]
    found_by_first: dict[str, Any] = json.loads(said[0])
    return found_by_first


def side_by_side(count: int, **settings: Any) -> float:
    """Seconds of so many steps in each of two processes at once that know nothing of each other: the longer ones."""
    with ThreadPoolExecutor(2) as both:
        return max(found["seconds"] for found in both.map(lambda _: trained(1, count, **settings), range(2)))


def apart(settings: dict[str, Any]) -> float:
    """The largest relative difference of 50 losses, of two processes beside one."""
    one, two = (trained(n, 50, **settings)["losses"] for n in (1, 2))
    return max(abs(a - b) / abs(b) for a, b in zip(two, one, strict=True))


def seconds_to_end() -> float:
    """From the death of the second process in an epoch to the end of the command."""
    with tempfile.TemporaryDirectory(prefix="hubel-wide-") as place:
        words = [
            "train",
            "digits",
            "--network",
            "lenet5",
            "--epochs",
            "400",
            "--no-evaluate",
            "--out",
            f"{place}/run",
        ]
        command = [sys.executable, "-m", "hubel", "launch", "-n", "2", *words]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as child:
            assert child.stderr is not None
            for line in child.stderr:
                if line.startswith("epoch   8"):
                    break
            os.kill(second_of(child.pid), signal.SIGKILL)
            before = time.perf_counter()
            child.stderr.read()
            child.wait()
            return time.perf_counter() - before


def second_of(launcher: int) -> int:
    for process in Path("/proc").iterdir():
        try:
            parent = (process / "stat").read_text().rsplit(")", 1)[1].split()[1]
            environment = (process / "environ").read_text().split("\0")
        except (OSError, IndexError):
            continue
        if parent == str(launcher) and "RANK=1" in environment:
            return int(process.name)
    raise SystemExit("there is no second process")


def main() -> None:
    parser = document.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    heavy = {"data": "cifar10", "network": "resnet18", "batch": 128, "epochs": 1}
    ratios, best = [], []
    for _ in range(args.rounds):
        one, two = (trained(n, WARM + STEPS, **heavy)["seconds"] for n in (1, 2))
        ratios.append(one / two)
        best.append(2 * one / side_by_side(WARM + STEPS, **heavy))
        print(
            f"one process {one:.1f} s, two {two:.1f} s: {one / two:.2f}, at best {best[-1]:.2f}",
            file=sys.stderr,
        )
    lenet = {"data": "digits", "network": "lenet5", "batch": 64, "epochs": 3}
    plain, normed = apart(lenet), apart({**lenet, "network": NORMED, "sync_bn": True})
    ended = [seconds_to_end() for _ in range(args.rounds)]
    speed, slowest = statistics.mean(ratios), max(ended)
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    rows = [
        (
            "images/s, `resnet18` 32×32, 2 processes × 1 thread ÷ 1 × 1",
            f"{speed:.2f} ({spread})",
            "≥ 1.7",
            speed >= 1.7,
        ),
        ("… two processes that know nothing of each other", f"{statistics.mean(best):.2f}", "–", None),
        (
            "loss curve, `lenet5`, 50 steps: largest relative difference",
            f"{plain:.1e}",
            "≤ 1e-5",
            plain <= 1e-5,
        ),
        ("the same with batch norm, `--sync-bn`", f"{normed:.1e}", "≤ 1e-5", normed <= 1e-5),
        ("a process killed in an epoch: all have ended after", f"{slowest:.1f} s", "≤ 10 s", slowest <= 10),
    ]
    lines = [
        "## Two processes beside one",
        "",
        "| what | found | asked | met |",
        "| --- | --- | --- | --- |",
        *(f"| {what} | {found} | {asked} | {MET[met]} |" for what, found, asked, met in rows),
        "",
        f"n = {args.rounds} of each speed and death. " + document.footing(__file__, ("torch", "numpy")),
    ]
    document.tell(__file__, lines, args.out)


if __name__ == "__main__":
    main()

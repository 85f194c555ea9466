"""Kill `hubel train` fifty times with SIGKILL, wherever it is, go on with `--resume`, and compare every byte.

    python benchmarks/kill_resume.py [--kills 50] [--out docs/measured.md]

A child trains as the command line does, and says on a pipe which phase it enters: start, step, checkpoint (the writing
of a state), evaluate, report. For each kill a phase is taken in turn, and in it a random entry and a random delay
behind it; the phase that counts is the one that the child was in when it died. Then the run is gone on with by
another process, and its files are compared with those of a training that nobody killed.
"""

from __future__ import annotations

import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import document

FILES = ("model.safetensors", "history.jsonl", "predictions.csv", "probabilities.npy")
TRAIN = ("train", "digits", "--network", "lenet5", "--epochs", "6", "--rotate", "10", "--ema", "0.9",
         "--checkpoint-every", "4steps")  # fmt: skip
PHASES = ("start", "step", "checkpoint", "evaluate", "report")
# Where the k-th entry into a phase is looked for, and how long after it the signal comes at most.
ENTRIES = {"start": 1, "step": 200, "checkpoint": 50, "evaluate": 1, "report": 1}
DELAYS = {"start": 4.0, "step": 0.003, "checkpoint": 0.006, "evaluate": 0.05, "report": 0.15}
PATIENCE = 120.0  # seconds until a child that says nothing is given up


def child(pipe: int, argv: list[str]) -> None:
    """The command line, with a word on the pipe where a phase begins and where it ends."""
    from hubel.cli.main import entry
    from hubel.evaluation import evaluate
    from hubel.training.checkpoint import Checkpoints
    from hubel.training.loop import Trainer

    def announced(place: Any, name: str, phase: str) -> None:
        original: Callable[..., Any] = getattr(place, name)

        def said(*given: Any, **named: Any) -> Any:
            os.write(pipe, f"{phase}\n".encode())
            try:
                return original(*given, **named)
            finally:
                os.write(pipe, b"between\n")

        setattr(place, name, said)

    os.write(pipe, b"start\n")
    announced(Trainer, "learn", "step")
    announced(Checkpoints, "write", "checkpoint")
    announced(evaluate, "evaluate", "evaluate")
    announced(evaluate, "page", "report")
    sys.argv = ["hubel", *argv]
    entry()


def killed(run: Path, phase: str, drawn: random.Random) -> str | None:
    """Train in `run`, die in this phase -> the phase it died in; None where it ended before."""
    wanted, delay = drawn.randint(1, ENTRIES[phase]), drawn.uniform(0, DELAYS[phase])
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    command = [sys.executable, __file__, "--child", str(writer), *TRAIN, "--out", str(run)]
    process = subprocess.Popen(
        command, pass_fds=[writer], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(writer)
    said, count, due = "", 0, None
    end = time.monotonic() + PATIENCE
    try:
        while process.poll() is None and time.monotonic() < end:
            left = 0.0005 if due else 0.05
            select.select([reader], [], [], left)
            while True:
                try:
                    got = os.read(reader, 65536).decode()
                except BlockingIOError:
                    break
                if not got:
                    break
                for word in got.split():
                    said, count = word, count + (word == phase)
                if count >= wanted and due is None:
                    due = time.monotonic() + delay
            if due is not None and time.monotonic() >= due:
                process.send_signal(signal.SIGKILL)
                process.wait()
                break
        # What it said last before it died.
        while got := _rest(reader):
            said = got.split()[-1]
    finally:
        process.kill()
        process.wait()
        os.close(reader)
    return said if process.returncode == -signal.SIGKILL else None


def _rest(reader: int) -> str:
    try:
        return os.read(reader, 65536).decode()
    except BlockingIOError:
        return ""


def hubel(*argv: object) -> None:
    done = subprocess.run([sys.executable, "-m", "hubel", *map(str, argv)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(
            f"hubel {' '.join(map(str, argv))} ended with {done.returncode}: {done.stderr.strip()}"
        )


def same(run: Path, whole: Path) -> bool:
    return all((run / name).read_bytes() == (whole / name).read_bytes() for name in FILES)


def main() -> None:
    parser = document.parser(__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    drawn, died, equal = random.Random(args.seed), Counter[str](), 0
    with tempfile.TemporaryDirectory(prefix="hubel-kill-") as place:
        folder = Path(place)
        hubel(*TRAIN, "--out", folder / "whole")
        kills = 0
        while kills < args.kills:
            run = folder / f"run-{kills}"
            phase = min(PHASES, key=lambda p: (died[p], PHASES.index(p)))  # the one with the fewest so far
            found = killed(run, phase, drawn)
            if found is None:  # it ended before
                shutil.rmtree(run)
                continue
            kills, died[found] = kills + 1, died[found] + 1
            begun = (
                run / "run.toml"
            ).exists()  # where it is not, nothing was begun, and the same command begins it
            hubel(*(("train", "--resume", run) if begun else (*TRAIN, "--out", run)))
            good = same(run, folder / "whole")
            equal += good
            shutil.rmtree(run)
            print(f"{kills:3}  died in {found:10}  {'equal' if good else 'DIFFERENT'}", file=sys.stderr)
    where = ", ".join(f"{count} {phase}" for phase, count in died.most_common())
    lines = [
        "## Killed, and gone on with",
        "",
        f"`hubel {' '.join(TRAIN)}`, killed {args.kills} times with SIGKILL,",
        "each time gone on with by `hubel train --resume RUN`:",
        f"**{equal} of {args.kills}** ended in the bytes of a training that nobody killed ({', '.join(FILES)}).",
        f"Where it died: {where}.",
        "",
        document.footing(__file__, ("torch", "numpy", "safetensors"), f"seed {args.seed}"),
    ]
    document.tell(__file__, lines, args.out)
    if equal < args.kills:
        raise SystemExit(1)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(int(sys.argv[2]), sys.argv[3:])
    else:
        main()

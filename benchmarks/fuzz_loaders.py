"""Twenty thousand harmful files against every loader: what each does, how long, how much memory, and what it says.

    python benchmarks/fuzz_loaders.py [--inputs 20000] [--only zip --only tar] [--messages FILE]

Sound files of each kind are spoilt so that most get past the first check (tests/harm.py); each loader reads them in
processes of its own. A loader may refuse with an error of hubel/errors.py, or read what is still sound. Counted are
    crash       the process ended by a signal                 hang     more than 2 s of processor time
    memory      more than 500 MB above what imports take      trace    any other error
    outside     a file opened outside of the folder of the files, or a program begun
The lines covered are those of the loaders' own modules. A quarter of the inputs run under coverage, which is slower.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import document

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

INPUTS, SLOW, LARGE = 20_000, 2.0, 500.0  # of all loaders; seconds of processor time; MB
KINDS = {
    "crash": "crashes", "hang": "over 2 s", "memory": "over 500 MB", "outside": "files outside", "trace": "tracebacks",
}  # fmt: skip
SILENT = 60.0  # seconds without a word after which a process is ended
ROOM = 8 << 30  # bytes of address space that a loader has beyond its imports


def main() -> None:
    parser = document.parser(__doc__)
    parser.add_argument("--inputs", type=int, default=INPUTS)
    parser.add_argument("--only", action="append", default=[], help="a loader; again for more")
    parser.add_argument("--messages", type=Path, help="write what the loaders said, once each, to this file")
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        name, start, stop, covered = args.worker
        work(name, int(start), int(stop), covered)
        return
    import hostile

    names = [t.name for t in hostile.targets() if not args.only or t.name in args.only]
    each = -(-args.inputs // len(names))
    told = []
    sys.stderr.write(f"{HEAD}\n")
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            told.append(attacked(name, each, Path(folder)))
            sys.stderr.write(f"{line(told[-1])}\n")
        covered = coverage_of(Path(folder))
    if args.messages:
        rows = (f"{n:>6}  [{t.name}] {said}" for t in told for said, n in t.messages.most_common())
        args.messages.write_text("\n".join(rows) + "\n", "utf-8")
    document.tell(__file__, section(told, covered), args.out)
    found = [row for t in told for rows in t.bad.values() for row in rows[:5]]
    if found:
        sys.exit("\n".join(["findings:", *found]))


# ---- in a process of its own


def work(name: str, start: int, stop: int, covered: str) -> None:
    """Read inputs start..stop of one loader, and say of each what became of it. covered: a file, or "" """
    import hostile
    import torch  # noqa: F401
    from making import tree

    import hubel  # noqa: F401

    warnings.simplefilter("ignore")
    target = next(t for t in hostile.targets() if t.name == name)
    for sound in target.sound:  # what is imported late is imported now
        with tempfile.TemporaryDirectory() as folder, contextlib.suppress(Exception):
            target.load(tree(Path(folder), sound))
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + ROOM, size + ROOM))
    watch = Watch()
    sys.addaudithook(watch)
    before = resident("VmRSS")
    every = {name for t in hostile.targets() for name in t.source}
    with coverage_into(covered, sorted(every)):
        for number in range(start, stop):
            print(json.dumps({"begin": number}), flush=True)
            files = hostile.batch(target, number)
            with tempfile.TemporaryDirectory() as folder:
                try:
                    tree(Path(folder), files)
                except OSError:  # names that no file system takes
                    files = dict(target.sound[0])
                    tree(Path(folder), files)
                with contextlib.suppress(OSError):
                    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew
                said = one(target, Path(folder), watch)
            print(
                json.dumps({**said, "past": target.past(files), "peak": resident("VmHWM") - before}),
                flush=True,
            )


def one(target: Any, folder: Path, watch: Watch) -> dict[str, Any]:
    """What a loader does with one folder."""
    from hubel.errors import HubelError

    watch.folder, watch.seen = str(folder), []
    began = time.process_time()
    said: dict[str, Any] = {"message": ""}
    try:
        target.load(folder)
    except HubelError as e:
        said = {"message": str(e).replace(str(folder), "FOLDER"), "kind": type(e).__name__}
    except BaseException as e:
        where = traceback.extract_tb(e.__traceback__)[-1]
        said = {"trace": f"{type(e).__name__}: {str(e)[:200]} ({Path(where.filename).name}:{where.lineno})"}
    seconds = time.process_time() - began
    watch.folder = ""
    return {**said, "seconds": seconds, "outside": watch.seen}


class Watch:
    """An audit hook: which files are opened outside of `folder`, and whether anything is begun."""

    FREE = (
        sys.prefix,
        sys.base_prefix,
        "/proc",
        "/usr",
        "/etc/ld",
        "/dev/null",
        "/dev/urandom",
        "/sys",
        str(Path(__file__).parents[1]),
    )
    BEGUN = (
        "subprocess.Popen",
        "os.system",
        "os.exec",
        "os.posix_spawn",
        "os.fork",
        "socket.connect",
        "os.startfile",
    )

    def __init__(self) -> None:
        self.folder, self.seen = "", list[str]()

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.folder:
            return
        if event in self.BEGUN:
            self.seen.append(event)
        elif event in ("open", "os.mkdir", "os.rename", "os.remove", "sqlite3.connect"):
            path = arguments[0]
            if isinstance(path, str | bytes | os.PathLike):
                place = os.path.normpath(Path.cwd() / os.fsdecode(path))
                if not place.startswith((self.folder, *self.FREE)):
                    self.seen.append(f"{event} {place}")


def resident(name: str) -> float:
    """MB of this process that are in memory, VmRSS, or were at the most, VmHWM."""
    found = re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) / 1024


@contextlib.contextmanager
def coverage_into(file: str, source: list[str]) -> Any:
    """Lines of the modules `source`, as they are run inside, go into `file`."""
    if not file:
        yield
        return
    import importlib

    import coverage

    paths = [str(importlib.import_module(name).__file__) for name in source]
    counted = coverage.Coverage(data_file=file, include=paths, messages=False)
    counted.start()
    try:
        yield
    finally:
        counted.stop()
        counted.save()


# ---- outside of it


@dataclass
class Told:
    """What became of a loader's inputs. bad: findings by their kind, with an input's number for each"""

    name: str
    inputs: int = 0
    past: int = 0
    refused: int = 0
    read: int = 0
    slowest: float = 0.0
    largest: float = 0.0
    bad: dict[str, list[str]] = field(default_factory=dict)
    messages: Counter[str] = field(default_factory=Counter)

    def add(self, number: int, row: dict[str, Any]) -> None:
        self.inputs += 1
        self.past += bool(row.get("past"))
        self.slowest, self.largest = max(self.slowest, row["seconds"]), max(self.largest, row["peak"])
        if row.get("kind"):
            self.refused += 1
            self.messages[f"{row['kind']}: {alike(row['message'])}"] += 1
        elif "trace" not in row:
            self.read += 1
        if "trace" in row:
            self.find("trace", number, row["trace"])
        if row["seconds"] > SLOW:
            self.find("hang", number, f"{row['seconds']:.1f} s")
        if row["peak"] > LARGE:
            self.find("memory", number, f"{row['peak']:.0f} MB")
        for what in row["outside"]:
            self.find("outside", number, what)

    def find(self, kind: str, number: int, what: str) -> None:
        self.bad.setdefault(kind, []).append(f"{self.name} {number}: {what}")


def attacked(name: str, inputs: int, folder: Path) -> Told:
    """All inputs of a loader. One that ends the process is counted, and the next process goes on behind it."""
    told = Told(name)
    quarter, start = inputs // 4, 0
    while start < inputs:
        stop = quarter if start < quarter else inputs
        covered = str(folder / f".coverage.{name.replace(' ', '-')}.{start}") if start < quarter else ""
        start = batch(told, start, stop, covered)
    return told


def batch(told: Told, start: int, stop: int, covered: str) -> int:
    """One process; the number that comes next."""
    command = [sys.executable, __file__, "--worker", told.name, str(start), str(stop), covered]
    with (
        tempfile.TemporaryFile() as out,
        subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL) as child,
    ):
        size, heard = 0, time.monotonic()
        while child.poll() is None:
            time.sleep(0.1)
            now = os.fstat(out.fileno()).st_size
            if now != size:
                size, heard = now, time.monotonic()
            elif time.monotonic() - heard > SILENT:
                child.kill()
        out.seek(0)
        rows = [json.loads(row) for row in out.read().splitlines()]
    number = start
    for row in rows:
        if "begin" in row:
            number = row["begin"]
        else:
            told.add(number, row)
    if rows and "begin" in rows[-1]:
        ended = "hang" if child.returncode == -9 else "crash"
        told.inputs += 1
        told.find(ended, number, f"ended with {child.returncode}")
        return number + 1
    if not rows or child.returncode:
        raise SystemExit(f"the process for {told.name} ended with {child.returncode} before it began")
    return stop


def alike(message: str) -> str:
    """A message without what differs from input to input."""
    return re.sub(r"\d[\d,.]*", "0", re.sub(r"/tmp/\S+", "PATH", message))[:300]


HEAD = "loader          inputs  past  refused    read  slowest     most  findings"


def line(told: Told) -> str:
    """A row of the table; `past` is the share that got past the first check."""
    found = ", ".join(f"{kind} {len(rows)}" for kind, rows in told.bad.items()) or "none"
    return (
        f"{told.name:<14}{told.inputs:>8,} {100 * told.past / told.inputs:>4.0f} %{told.refused:>9,}{told.read:>8,}"
        f"{told.slowest:>7.2f} s{told.largest:>6.0f} MB  {found}"
    )


def coverage_of(folder: Path) -> dict[str, float]:
    """module -> share of its lines that were run, in percent"""
    import coverage

    counted = coverage.Coverage(data_file=str(folder / ".coverage"), messages=False)
    counted.combine([str(p) for p in folder.glob(".coverage.*")])
    found = {}
    for file in sorted(counted.get_data().measured_files()):
        _, statements, _, missing, _ = counted.analysis2(file)
        # Lines that importing runs (def, class, import) ran before the counting began.
        inside = body_lines(Path(file)) & set(statements)
        if inside:
            found[str(Path(file).relative_to(Path(__file__).parents[1]))] = 100 * (
                1 - len(inside & set(missing)) / len(inside)
            )
    return found


def body_lines(file: Path) -> set[int]:
    """Lines inside of functions."""
    import ast

    found: set[int] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef):
            found |= set(range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1))
    return found


def section(told: list[Told], covered: dict[str, float]) -> list[str]:
    """The result as Markdown."""
    inputs, past = sum(t.inputs for t in told), sum(t.past for t in told)
    slowest, most = max(t.slowest for t in told), max(t.largest for t in told)
    bad = ", ".join(f"{sum(len(t.bad.get(kind, [])) for t in told)} {words}" for kind, words in KINDS.items())
    table = [
        f"| {t.name} | {t.inputs:,} | {100 * t.past / t.inputs:.0f} % | {t.refused:,} | {t.read:,} | {t.slowest:.2f} s "
        f"| {t.largest:.0f} MB | {', '.join(f'{k} {len(v)}' for k, v in t.bad.items()) or 'none'} |"
        for t in told
    ]
    lines = [f"| `{file}` | {share:.0f} % |" for file, share in covered.items()]
    facts = f"{inputs:,} files, {100 * past / inputs:.0f} % past the first check: {bad}"
    return [
        "## Harmful files against every loader", "",
        f"{facts}. Slowest {slowest:.2f} s of processor time, most memory {most:.0f} MB above what imports take.", "",
        "| loader | files | past the first check | refused | read | slowest | most memory | findings |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |", *table, "",
        "| small files that would be large | processor time | memory | refused |", "| --- | ---: | ---: | --- |",
        *bombs(), "",
        "| lines of functions that were run | by a quarter of the files |", "| --- | ---: |", *lines, "",
        document.footing(__file__, ("python", "pillow", "torch", "onnxruntime")),
    ]  # fmt: skip


def bombs() -> list[str]:
    """What small files that would be large cost: processor time, and memory above what the imports take."""
    from bombs import BOMBS, cost

    rows = []
    for name, bomb in BOMBS.items():
        with tempfile.TemporaryDirectory() as folder:
            found = cost(bomb.make(Path(folder)), bomb.way)
        said = "yes" if bomb.said in found.said else "no"
        rows.append(f"| {name} | {1000 * found.seconds:.1f} ms | {found.megabytes:.1f} MB | {said} |")
    return rows


if __name__ == "__main__":
    main()

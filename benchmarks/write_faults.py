"""Every call with which train, evaluate and export change the disk, refused once; print a table.

    python benchmarks/write_faults.py

The calls are counted where Python leaves for the system (tests/faults.py). Each is refused by a disk that is full from
then on, and by one that is read-only for this once: is the answer a clear error (exit code 2, the file, the reason and
the next step, no traceback, no half file), and do all files that stood there before stand there still? What is left of
a training is gone on with, and its bytes are held to those of a training that met no fault.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from document import footing, parser, tell

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from faults import Attempt, attempts, bytes_below, command

TRAIN = [
    "train",
    "digits",
    "--network",
    "mlp",
    "--epochs",
    "2",
    "--checkpoint-every",
    "epoch",
    "--out",
    "trained",
]
COMMANDS = {"train": TRAIN, "evaluate": ["evaluate", "run"], "export": ["export", "run"]}
LEARNT = ("trained/model.safetensors", "trained/history.jsonl", "trained/predictions.csv")


class Row(NamedTuple):
    """calls: lines of the program that change the disk   refused: how often one was, in all

    ended, clear: how many of these ended the command, and how many of them by a clear error   went_on: came to its end
    intact: after how many of `refused` nothing from before was lost
    """

    command: str
    calls: int
    refused: int
    ended: int
    clear: int
    went_on: int
    intact: int


def main() -> None:
    args = parser(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        os.environ["HUBEL_CACHE"] = str(root / "cache")
        prepared = root / "prepared"
        prepared.mkdir()
        _called(prepared, ["train", "digits", "--network", "mlp", "--epochs", "1", "--out", "run"])
        shutil.copytree(prepared, root / "whole")
        _called(root / "whole", TRAIN)
        whole = bytes_below(root / "whole")
        rows = [measured(name, argv, prepared, root / "work", whole) for name, argv in COMMANDS.items()]
    tell(__file__, section(rows), args.out)
    if any((row.clear, row.intact) != (row.ended, row.refused) for row in rows):
        sys.exit(1)


def measured(name: str, argv: list[str], prepared: Path, work: Path, whole: dict[str, bytes]) -> Row:
    found, intact = [], 0
    for a in attempts(prepared, work, *argv):
        found.append(a)
        lost = a.complaint or not kept(a) or (name == "train" and not goes_on(a, work, whole))
        intact += not lost
        if lost:
            print(f"lost: {a.call}: {a.complaint or a.said}", file=sys.stderr)
    ended = [a for a in found if a.said.code]
    clear = sum(not a.complaint for a in ended)
    calls = len({a.call.kind for a in found})
    return Row(name, calls, len(found), len(ended), clear, len(found) - len(ended), intact)


def kept(a: Attempt) -> bool:
    """Whether all files from before are as they were; an evaluation of the same network writes the same again."""
    return all(
        a.after.get(name) == content for name, content in a.before.items() if not name.endswith(".html")
    )


def goes_on(a: Attempt, work: Path, whole: dict[str, bytes]) -> bool:
    """Whether what is left of a training leads to the bytes of the one that met no fault; nothing left is well, too."""
    if not any(name.startswith("trained/") for name in a.after):
        return True
    said = _called(work, ["train", "--resume", "trained"]) if a.said.code else 0
    found = bytes_below(work)
    return said == 0 and all(found.get(name) == whole[name] for name in LEARNT)


def _called(place: Path, argv: list[str]) -> int:
    was = Path.cwd()
    os.chdir(place)
    try:
        return command(*argv).code
    finally:
        os.chdir(was)


def section(rows: list[Row]) -> list[str]:
    head = (
        "command",
        "distinct calls",
        "refused",
        "it ended",
        "by a clear error",
        "it went on",
        "nothing lost",
    )
    cells = [
        (
            f"`hubel {row.command}`", row.calls, row.refused, row.ended, f"{row.clear} of {row.ended}", row.went_on,
            f"{row.intact} of {row.refused}",
        )
        for row in rows
    ]  # fmt: skip
    return [
        "## Writes that are refused",
        "",
        "Every call that changes the disk, refused once by a disk that is full from then on, and once by one that is "
        "read-only:",
        "",
        *("| " + " | ".join(map(str, row)) + " |" for row in (head, ("---",) * len(head), *cells)),
        "",
        footing(__file__, ("torch",)),
    ]


if __name__ == "__main__":
    main()

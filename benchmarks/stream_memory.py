"""Peak memory of a training from shards of 1, 4 and 16 times as many pictures.

    python benchmarks/stream_memory.py [--pictures 10000] [--side 64] [--out docs/measured.md]

Pictures of noise are packed; a small network learns one epoch of each set in a process of its own, and says what the
system counted as its peak. The pictures' pixels grow sixteenfold; what should not grow is the process.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import document
import numpy as np

from hubel.data.packing import pack
from hubel.data.records import Held, Source

TIMES = (1, 4, 16)
NETWORK = "conv8x3/4 relu gap fc"
WITHIN = 0.05


def made(count: int, side: int) -> Source:
    """Noise in two classes, parts as given; one picture's pixels stand for all, as only their number matters here."""
    rows = np.broadcast_to(
        np.random.default_rng(0).integers(0, 256, (1, 3, side, side), np.uint8), (count, 3, side, side)
    )
    parts = np.where(np.arange(count) % 20 == 0, "val", np.where(np.arange(count) % 20 == 1, "test", "train"))
    items = [f"{n:07d}" for n in range(count)]
    targets = np.arange(count) // 2 % 2
    shape = (3, side, side)
    return Source(
        "noise", "noise", "picture", "classify", ("a", "b"), items, targets, parts, shape, Held(rows)
    )


def child(folder: str, out: str) -> None:
    """Learn one epoch, and say the peak in kB."""
    from hubel.training import prepare

    job = prepare(folder, network=NETWORK, epochs=1, batch=128, out=out, precision="fp32")
    job.begin()
    list(job.epochs())
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def peak(folder: Path, out: Path) -> float:
    """MB"""
    done = subprocess.run(
        [sys.executable, __file__, "--child", str(folder), str(out)], capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stderr)
    return int(done.stdout.split()[-1]) / 1024


def main() -> None:
    parser = document.parser(__doc__)
    parser.add_argument("--pictures", type=int, default=10_000, help="of the smallest set")
    parser.add_argument("--side", type=int, default=64, help="pixels")
    args = parser.parse_args()
    lines = ["| pictures | pixels | peak of the process | ÷ the smallest |", "|---|---|---|---|"]
    peaks: list[float] = []
    with tempfile.TemporaryDirectory(prefix="hubel-stream-") as place:
        for times in TIMES:
            count, folder = times * args.pictures, Path(place) / f"x{times}"
            pack(made(count, args.side), folder, shard_size=64 << 20)
            peaks.append(peak(folder, Path(place) / f"run{times}"))
            pixels = count * 3 * args.side**2 / 1e6
            lines.append(
                f"| {count:,} | {pixels:,.0f} MB | {peaks[-1]:,.0f} MB | {peaks[-1] / peaks[0]:.3f} |"
            )
    lines += ["", f"`{NETWORK}`, batch 128, one epoch, pictures of 3×{args.side}×{args.side}.", ""]
    lines.append(document.footing(__file__, ("torch", "numpy"), "1 thread"))
    document.tell(__file__, lines, args.out)
    if max(peaks) > (1 + WITHIN) * min(peaks):
        raise SystemExit(1)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:4])
    else:
        main()

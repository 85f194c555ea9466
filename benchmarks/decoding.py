"""A folder of many small JPEG files: pictures decoded a second the first time, and seconds the second time.

    python benchmarks/decoding.py [--of cifar10] [--pictures 60000] [--rounds 3] [--out docs/measured.md]

The files are made for it, in ten class folders: of a data set's pictures, or drawn (blurred noise, 1 kB each). Each
time is one of a process of its own, that of the best round counts, as everything that disturbs only slows. The
first time has an empty cache of pixels; what is timed is train and val, from names to pixels in hand. The second
time begins with importing hubel.data: the folder is listed anew, and the pixels come from the cache.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import document
import numpy as np
from PIL import Image

SIDE, CLASSES, QUALITY = 32, 10, 90
FIRST, SECOND = 14_000, 1.0  # asked for: pictures/s, seconds
# Seconds from importing to a listed folder, seconds from there to train and val in hand, and how many these are.
ONCE = """
import json, sys, time
began = time.perf_counter()
from hubel.data import Dataset, Preprocess, open_source
source = open_source(sys.argv[1])
listed = time.perf_counter()
data = Dataset(source, Preprocess.to_fit(source.kind, source.shape, source.shape))
pictures = len(data.train.inputs) + len(data.val.inputs)
print(json.dumps({"listing": listed - began, "decoding": time.perf_counter() - listed, "pictures": pictures}))
"""


def main() -> None:
    parser = document.parser(__doc__)
    parser.add_argument(
        "--of", help="a data set of small pictures, by name or path; without it they are drawn"
    )
    parser.add_argument("--pictures", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hubel-decoding-") as place:
        folder = Path(place, "pictures")
        size = write(folder, drawn() if args.of is None else taken(args.of), args.pictures)
        first, second = [], []
        for n in range(args.rounds):
            first.append(timed(folder, Path(place, f"cache-{n}")))
            second.append(timed(folder, Path(place, f"cache-{n}")))
    pace = max(told["pictures"] / told["decoding"] for told in first)
    spent = min(told["listing"] + told["decoding"] for told in second)
    files = f"{args.pictures:,} JPEG files of {SIDE} × {SIDE}, {size / 1e3:.1f} kB each"
    kind = f"pictures of {args.of}" if args.of else "drawn pictures"
    opened = f"{first[0]['pictures']:,} of train and val"
    lines = [
        "## Many small files",
        "",
        f"| {files} | measured | asked for | |",
        "| --- | ---: | ---: | --- |",
        f"| the first time, {opened} | {pace:,.0f}/s | ≥ {FIRST:,}/s | {met(pace >= FIRST)} |",
        f"| the second time, listing included | {spent:.2f} s | ≤ {SECOND:g} s | {met(spent <= SECOND)} |",
        "",
        document.footing(__file__, ("pillow", "numpy"), kind, f"best of {args.rounds}"),
    ]
    document.tell(__file__, lines, args.out)
    if pace < FIRST or spent > SECOND:
        raise SystemExit(1)


def met(done: bool) -> str:
    return "met" if done else "not met"


def drawn() -> Iterator[bytes]:
    """JPEGs of noise that is blurred, as neighbours in a photograph are alike."""
    rng = np.random.default_rng(0)
    while True:
        rough = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
        yield jpeg(rough.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def taken(data: str) -> Iterator[bytes]:
    """The pictures of a data set, again and again; what is a JPEG of this size already stays as it is."""
    from hubel.data import open_source, read_picture
    from hubel.data.records import Encoded

    source = open_source(data)
    while True:
        if isinstance(source.rows, Encoded):
            for _, content in source.rows.stream(np.arange(len(source))):
                packed = Path(content).read_bytes() if isinstance(content, str) else content
                picture = read_picture(packed)
                kept = packed[:2] == b"\xff\xd8" and picture.size == (SIDE, SIDE)
                yield packed if kept else jpeg(picture.resize((SIDE, SIDE)))
        else:
            for start in range(0, len(source), 1000):
                for pixels in source.rows.take(np.arange(start, min(start + 1000, len(source)))):
                    yield jpeg(Image.fromarray(pixels.transpose(1, 2, 0).squeeze()).resize((SIDE, SIDE)))


def jpeg(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def write(folder: Path, contents: Iterator[bytes], pictures: int) -> float:
    """The files, in class folders in turn -> bytes of one on average."""
    for k in range(CLASSES):
        (folder / f"class-{k}").mkdir(parents=True)
    total = 0
    for n in range(pictures):
        content = next(contents)
        (folder / f"class-{n % CLASSES}" / f"{n:06d}.jpg").write_bytes(content)
        total += len(content)
    return total / pictures


def timed(folder: Path, cache: Path) -> dict[str, float]:
    """What ONCE tells, in a process of its own."""
    command = [sys.executable, "-c", ONCE, str(folder)]
    environment = {**os.environ, "HUBEL_CACHE": str(cache)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    told: dict[str, float] = json.loads(done.stdout)
    return told


if __name__ == "__main__":
    main()

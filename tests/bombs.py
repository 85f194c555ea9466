"""Small files that would be large, and what refusing them costs: measured in a process of its own, above its imports."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import pickle
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

OPENED, PICTURE, WEIGHTS = "opened", "picture", "weights"  # how a bomb is read, see child()


@dataclass(frozen=True)
class Bomb:
    """make: writes it into a folder and gives its path   way: how it is read   said: what the refusal says"""

    make: Callable[[Path], Path]
    way: str
    said: str


@dataclass(frozen=True)
class Cost:
    """seconds: of processor time   megabytes: at the most, above what the imports take   said: the refusal"""

    seconds: float
    megabytes: float
    said: str


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def huge_png(folder: Path) -> Path:
    """60,000 x 60,000 pixels by its header: 10.8 GB of colours."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    path = folder / "x.png"
    rows = zlib.compress(bytes(10_000_000))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )
    return path


def zip_bomb(folder: Path) -> Path:
    """100 pictures of 64 MB each in 6.5 MB: the same packed zeros a hundred times."""
    zeros = bytes(64 << 20)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(zeros) + packer.flush()
    sizes = struct.pack("<III", zlib.crc32(zeros), len(packed), len(zeros))
    body, listed = bytearray(), bytearray()
    for n in range(100):
        name = f"cat/{n:02d}.png".encode()
        begin = len(body)
        body += (
            b"PK\x03\x04"
            + struct.pack("<HHHHH", 20, 0, 8, 0, 0)
            + sizes
            + struct.pack("<HH", len(name), 0)
            + name
            + packed
        )
        listed += b"PK\x01\x02" + struct.pack("<HHHHHH", 20, 20, 0, 8, 0, 0) + sizes
        listed += struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, begin) + name
    path = folder / "x.zip"
    path.write_bytes(
        body + listed + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 100, 100, len(listed), len(body), 0)
    )
    return path


def idx_files(folder: Path, images: bytes, labels: bytes) -> Path:
    """A folder of IDX files, gzipped."""
    for part in ("train", "t10k"):
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    return folder


def gzip_bomb(folder: Path) -> Path:
    """Pictures that go on for 128 MB behind a header of 60 pictures of 28 x 28."""
    head = struct.pack(">4B3I", 0, 0, 8, 3, 60, 28, 28)
    idx_files(folder, head, struct.pack(">4BI", 0, 0, 8, 1, 60) + bytes(range(10)) * 6)
    with gzip.open(folder / "train-images-idx3-ubyte.gz", "wb") as out:
        out.write(head)
        for _ in range(8):
            out.write(bytes(16 << 20))
    return folder


def label_bomb(folder: Path) -> Path:
    """200 million labels in 200 kB: each would take a name, 20 GB in all."""
    idx_files(folder, struct.pack(">4B3I", 0, 0, 8, 3, 200_000_000, 1, 1), b"")
    with gzip.open(folder / "train-labels-idx1-ubyte.gz", "wb") as out:
        out.write(struct.pack(">4BI", 0, 0, 8, 1, 200_000_000))
        for _ in range(20):
            out.write(bytes(10_000_000))
    return folder


def tar_bomb(folder: Path) -> Path:
    """A name of 200 MB."""
    head = bytearray(512)
    head[:4], head[124:136], head[156:157], head[257:263] = (
        b"name",
        b"%011o\0" % 200_000_000,
        b"L",
        b"ustar\0",
    )
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    path = folder / "x.tar.gz"
    with gzip.open(path, "wb") as out:
        out.write(bytes(head))
        for _ in range(20):
            out.write(b"a" * 10_000_000)
    return path


def npz_bomb(folder: Path) -> Path:
    """An array of 320 MB that is packed into 320 kB."""
    path = folder / "x.npz"
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": "|u1", "fortran_order": False, "shape": (10_000_000, 8, 4)}
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:
        with out.open("x.npy", "w") as file:
            file.write(head.getvalue())
            for _ in range(32):
                file.write(bytes(10_000_000))
        out.writestr("y.npy", b"")
    return path


def memo_bomb(folder: Path) -> Path:
    """A pickle of 9 bytes that asks for two billion places of memory."""
    inside = folder / "cifar-10-batches-py"
    inside.mkdir()
    for name in (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"):
        (inside / name).write_bytes(b"\x80\x02Nr\xff\xff\xff\x7f.")
    return folder


def pth_bomb(folder: Path) -> Path:
    """A zip as PyTorch writes it, but packed: 128 MB of zeros in 128 kB."""
    path = folder / "x.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:
        out.writestr("archive/data.pkl", pickle.dumps({}, 2))
        out.writestr("archive/version", b"3\n")
        with out.open("archive/data/0", "w") as file:
            for _ in range(8):
                file.write(bytes(16 << 20))
    return path


def nested_pth(folder: Path) -> Path:
    """Tuples of the same tuples, sixty deep, as the name of a tensor: whose hash would take years."""
    value: tuple[object, ...] = ()
    for _ in range(60):
        value = (value, value)
    path = folder / "x.pth"
    body = pickle.dumps(value, 2)[:-1]
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("archive/data.pkl", b"\x80\x02}" + body[2:] + b"K\x01s.")
        out.writestr("archive/version", b"3\n")
    return path


BOMBS = {
    "a PNG of 60,000 x 60,000": Bomb(huge_png, PICTURE, "more than the 56,000,000 pixels"),
    "a zip that unpacks to 6.7 GB": Bomb(zip_bomb, OPENED, "refused as a decompression bomb"),
    "a gzip bomb behind an IDX name": Bomb(gzip_bomb, OPENED, "goes on after its end"),
    "200 million labels in 200 kB": Bomb(label_bomb, OPENED, "refused as a decompression bomb"),
    "a tar with a name of 200 MB": Bomb(tar_bomb, OPENED, "declares a name of 200,000,000 bytes"),
    "an npz that unpacks to 320 MB": Bomb(npz_bomb, OPENED, "refused as a decompression bomb"),
    "a pickle of 9 bytes": Bomb(memo_bomb, OPENED, "asks for 2,147,483,647 places of memory"),
    "a .pth that unpacks to 128 MB": Bomb(pth_bomb, WEIGHTS, "PyTorch packs nothing"),
    "a .pth of nested names": Bomb(nested_pth, WEIGHTS, "written out it would have more than"),
}


def cost(path: Path, way: str) -> Cost:
    """What it costs to refuse a file, in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, way, str(path)], capture_output=True, text=True, check=True
    )
    return Cost(**json.loads(done.stdout))


def child(way: str, path: Path) -> None:
    """Read `path` and print its cost. A sound file of the kind has been read before, so that all is imported."""
    import time

    from making import flat, tree

    from hubel.data import Dataset, Preprocess, open_source
    from hubel.data.pictures import read_picture
    from hubel.errors import HubelError

    def opened(place: Path) -> None:
        source = open_source(place)
        Dataset(source, Preprocess(source.kind, source.shape)).part("train")

    if way == WEIGHTS:
        from hubel.zoo import pth

    ways = {OPENED: opened, PICTURE: read_picture}
    read = pth.read if way == WEIGHTS else ways[way]
    read_picture(flat(3))
    if way == OPENED:
        opened(tree(path.parent / "sound", {f"{c}/{n}.png": flat(n) for c in "ab" for n in range(9)}))
    with contextlib.suppress(OSError):  # Linux counts the peak anew; elsewhere it is that of the imports, too
        Path("/proc/self/clear_refs").write_text("5")
    before, began = peak(), time.process_time()
    said = "it was read"
    try:
        read(path)
    except HubelError as e:
        said = str(e)
    seconds = time.process_time() - began
    print(json.dumps({"seconds": seconds, "megabytes": peak() - before, "said": said}))


def peak() -> float:
    """MB of this process that were in memory at the most."""
    import resource

    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    child(sys.argv[1], Path(sys.argv[2]))

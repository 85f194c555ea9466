"""Small files of known content, made by other means than those that hubel reads them by."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image


def png(pixels: np.ndarray) -> bytes:
    """(H, W) or (H, W, 3) uint8 as a PNG, which loses nothing."""
    out = io.BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).save(out, "PNG")
    return out.getvalue()


def flat(level: int, h: int = 4, w: int = 6) -> bytes:
    """A PNG of one grey level."""
    return png(np.full((h, w), level))


def tree(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def zoo(*classes: str, each: int = 10, h: int = 4, w: int = 6) -> dict[str, bytes]:
    """cat/00.png ...: class k in grey level 10 k + n, so that every picture tells where it is from."""
    return {f"{c}/{n:02d}.png": flat(10 * k + n, h, w) for k, c in enumerate(classes) for n in range(each)}


def tar(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as out:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))
    return path


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in files.items():
            out.writestr(name, content)
    return path


def idx(path: Path, values: np.ndarray, *, kind: int = 8, sizes: tuple[int, ...] | None = None) -> Path:
    """An IDX file by the format's own words; .gz in the name packs it."""
    sizes = values.shape if sizes is None else sizes
    content = struct.pack(">BBBB", 0, 0, kind, len(sizes)) + struct.pack(f">{len(sizes)}I", *sizes)
    content += values.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path

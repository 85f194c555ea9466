"""Files written whole or not at all, and what is said where one cannot be written."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hubel.errors import ArtifactError, CannotWrite, InputError

# What helps where the system says no, by its own number for the reason.
ROOM = "Make room on that disk, or name a place on another one"
ALLOWED = "Name a place that may be written to"
NEXT = {
    errno.ENOSPC: ROOM, errno.EDQUOT: ROOM, errno.EFBIG: ROOM,
    errno.EACCES: ALLOWED, errno.EPERM: ALLOWED, errno.EROFS: ALLOWED,
    errno.ENOENT: "Make its folder, or name another place", errno.ENOTDIR: "Name a place below a folder",
    errno.ENAMETOOLONG: "Name a shorter one", errno.EISDIR: "Take away the folder of that name, or name another place",
}  # fmt: skip
ELSE = "Check that its disk works, or name a place on another one"


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Inside, the system's no becomes CannotWrite with the path, the reason and what helps."""
    try:
        yield
    except OSError as e:
        raise CannotWrite(f"cannot write {path}: {e.strerror or e}. {NEXT.get(e.errno or 0, ELSE)}") from e


def write_atomically(path: Path, content: bytes | str) -> None:
    """Beside, flushed to disk, renamed: whoever reads sees the old file or the new one, never half of one."""
    _replace({path: content})


def write_together(folder: Path, contents: Mapping[str, bytes | str | None]) -> None:
    """Files of one folder that belong together, by name; None stands for one that goes.

    All lie beside, on the disk, before the first takes the place of an old one: where one cannot be written, the old
    ones are as they were. The folder is made where it is not there yet.
    """
    with made(folder):
        _replace({folder / name: content for name, content in contents.items()})


def _replace(contents: Mapping[Path, bytes | str | None]) -> None:
    beside = {path: path.with_name(f".{path.name}.{os.getpid()}.part") for path in contents}
    try:
        for path, content in contents.items():
            if content is not None:
                with writing(path), beside[path].open("wb") as out:
                    out.write(content.encode("utf-8") if isinstance(content, str) else content)
                    out.flush()
                    os.fsync(out.fileno())
        for path, content in contents.items():
            with writing(path):
                if content is None:
                    path.unlink(missing_ok=True)
                else:
                    beside[path].replace(path)
    except BaseException:
        for half in beside.values():
            with contextlib.suppress(OSError):
                half.unlink(missing_ok=True)
        raise


def append_line(file: Path, row: Mapping[str, Any]) -> None:
    """One JSON line more, or none: half a line would spoil the next. NaN, which JSON does not know, becomes null."""
    known = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
    line = (json.dumps(known, sort_keys=True) + "\n").encode()
    with writing(file), file.open("ab", buffering=0) as out:
        before = out.seek(0, os.SEEK_END)
        try:
            if out.write(line) < len(line):  # a disk that fills up takes the beginning only
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            with contextlib.suppress(OSError):
                out.truncate(before)
            raise


def read_lines(file: Path) -> list[dict[str, Any]]:
    """The rows of a .jsonl; a last line that was cut off is left out."""
    must_be_file(file)
    rows = []
    with contextlib.suppress(FileNotFoundError):
        for line in file.read_text("utf-8", "replace").splitlines():
            with contextlib.suppress(ValueError, RecursionError):
                rows.append(json.loads(line))
    return rows


def must_be_file(path: Path) -> None:
    """Raises ArtifactError for a folder, and for a pipe or a device, which could keep its reader waiting for ever."""
    if path.exists() and not path.is_file():
        raise ArtifactError(f"{path} is a folder, a pipe or a device where a file should be: take it away")


def make_folder(folder: Path) -> None:
    """The folder and those above it, where they are not there yet."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def made(folder: Path) -> Iterator[None]:
    """Inside, the folder is there. Where that or the body fails, what was made and is empty goes again."""
    fresh = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        make_folder(folder)
        yield
    except BaseException:
        for place in fresh:
            with contextlib.suppress(OSError):
                place.rmdir()
        raise


def new_folder(out: str | Path | None, name: str, root: str | Path = "runs") -> Path:
    """Make the folder of a new run: exactly `out`, or runs/NAME with a number where that is taken."""
    if out is not None:
        must_be_free(out)
        make_folder(Path(out))
        return Path(out)
    for suffix in ["", *(f"-{n}" for n in range(2, 10_000))]:
        folder = Path(root) / f"{name}{suffix}"
        with writing(folder), contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
    raise InputError(f"{root} is full of runs named {name}: name one with --out")


def must_have_a_folder(file: str | Path) -> None:
    """Raises InputError where the folder that a file is to lie in is not there: to be asked before long work."""
    folder = Path(file).parent
    if not folder.is_dir():
        raise InputError(
            f"the folder {folder} for {Path(file).name} does not exist: make it first, or name another place"
        )


def must_be_free(out: str | Path | None) -> None:
    """Raises InputError where no new folder can be: to be asked before long work, whose result would be lost."""
    if out is None:
        return
    folder = Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"{folder} exists and is not empty: name another --out, or move it away. Nothing was changed"
        )

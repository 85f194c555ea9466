"""A disk that says no: of all the calls that would change it, one fails, or all from one on.

The calls are caught where Python leaves for the system: open() for writing and each write of the file below its buffer,
truncate, os.open, write, fsync, replace, rename, mkdir, unlink, rmdir, utime, fallocate, and memory mapped for writing.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import io
import mmap
import os
import re
import shutil
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from hubel.files import ELSE, NEXT

ROOM = ("open", "write", "fsync", "mkdir", "fallocate", "truncate", "mmap")  # what a full disk refuses
STEPS = {ELSE, *NEXT.values()}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Call(NamedTuple):
    """what: as in ROOM, or replace, unlink, rmdir, utime   path: as it was called"""

    what: str
    path: str

    @property
    def kind(self) -> tuple[str, str]:
        """The same for calls of one line of the program: without the process, the step, and what is random."""
        return self.what, re.sub(r"\b(\d+|[0-9a-f]{8,})\b", "*", Path(self.path).name)


@dataclass
class Disk:
    """Everything below `root`. The call number `fails` (from 0) is refused, for the `reason`.

    lasting: a disk that is full stays full: all later calls that need room fail, too; files can still be removed
    """

    root: Path
    fails: int | None = None
    reason: int = errno.ENOSPC
    lasting: bool = False
    calls: list[Call] = field(default_factory=list)
    open_: dict[int, str] = field(default_factory=dict)  # files by their numbers

    def called(self, what: str, path: Any) -> None:
        """Note a call; raises OSError where this one is to fail."""
        place = self.open_.get(path, "") if isinstance(path, int) else os.fspath(path)
        if not str(Path(place).absolute()).startswith(f"{self.root}{os.sep}") or not place:
            return
        number = len(self.calls)
        self.calls.append(Call(what, place))
        if self.fails is None or number < self.fails:
            return
        if number == self.fails or (self.lasting and what in ROOM):
            raise OSError(self.reason, os.strerror(self.reason), None if isinstance(path, int) else place)

    @contextlib.contextmanager
    def in_use(self) -> Iterator[Disk]:
        with contextlib.ExitStack() as stack:
            for place, name, instead in self._instead():
                stack.enter_context(mock.patch.object(place, name, instead))
            yield self

    def _instead(self) -> Iterator[tuple[Any, str, Callable[..., Any]]]:
        yield builtins, "open", self._open
        yield io, "open", self._open
        yield os, "open", self._os_open
        yield mmap, "mmap", self._mapped()
        for name, what in {
            "write": "write", "fsync": "fsync", "fdatasync": "fsync", "ftruncate": "truncate", "truncate": "truncate",
            "posix_fallocate": "fallocate", "mkdir": "mkdir", "unlink": "unlink", "remove": "unlink",
            "rmdir": "rmdir", "utime": "utime", "replace": "replace", "rename": "replace", "link": "replace",
            "symlink": "replace",
        }.items():  # fmt: skip
            yield os, name, self._before(what, getattr(os, name))

    def _before(self, what: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(first: Any, *rest: Any, **more: Any) -> Any:
            self.called(what, first)
            return real(first, *rest, **more)

        return call

    def _os_open(self, path: Any, flags: int, *rest: Any, _real: Any = os.open, **more: Any) -> int:
        if flags & WRITING:
            self.called("open", path)
        number = _real(path, flags, *rest, **more)
        if not isinstance(path, int):
            self.open_[number] = os.fspath(path)
        return number

    def _open(
        self, file: Any, mode: str = "r", buffering: int = -1, encoding: Any = None, errors: Any = None,
        newline: Any = None, closefd: bool = True, opener: Any = None, _real: Any = io.open,
    ) -> Any:  # fmt: skip
        if isinstance(file, int) or not set(mode) & set("wax+"):
            return _real(file, mode, buffering, encoding, errors, newline, closefd, opener)
        self.called("open", file)
        raw = _Raw(self, os.fspath(file), mode.replace("b", "").replace("t", ""))
        self.open_[raw.fileno()] = os.fspath(file)
        if buffering == 0:
            return raw
        buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding, errors, newline)

    def _mapped(self) -> type:
        disk = self

        class Mapped(mmap.mmap):
            def __new__(cls, number: int, length: int, *rest: Any, **more: Any) -> Any:
                if more.get("access") != mmap.ACCESS_READ:
                    disk.called("mmap", number)
                return super().__new__(cls, number, length, *rest, **more)

        return Mapped


class _Raw(io.FileIO):
    """A file without a buffer, whose writes are calls of `disk`."""

    def __init__(self, disk: Disk, path: str, mode: str) -> None:
        super().__init__(path, mode)
        self.disk, self.path = disk, path

    def write(self, content: Any) -> int:
        self.disk.called("write", self.path)
        return super().write(content)

    def truncate(self, size: int | None = None) -> int:
        if size is None or size > os.fstat(self.fileno()).st_size:  # a file that shrinks needs no room
            self.disk.called("truncate", self.path)
        return super().truncate(size)


def bytes_below(root: Path) -> dict[str, bytes]:
    """Every file below `root`."""
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


class Said(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


def command(*argv: object) -> Said:
    """The command line, in this process."""
    from hubel.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    typed = mock.patch("sys.argv", ["hubel", *map(str, argv)])
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), typed:
        try:
            main()
            code = 0
        except SystemExit as e:
            code = e.code if isinstance(e.code, int) else int(e.code is not None)
        except BaseException:
            traceback.print_exc()  # as Python does, where it is a process of its own
            code = 1
    return Said(code, out.getvalue(), err.getvalue())


@dataclass(frozen=True)
class Attempt:
    """A command, one call of which was refused for a reason. before, after: every file, by its place"""

    call: Call
    reason: int
    said: Said
    before: dict[str, bytes]
    after: dict[str, bytes]

    @property
    def place(self) -> str:
        """The name of the file that was to be written."""
        return re.sub(r"^\.(.+)\.\d+\.part$", r"\1", Path(self.call.path).name)

    @property
    def complaint(self) -> str:
        """What is wrong with the answer; "" where it is a clear one, or the command went on and came to its end."""
        if self.said.code == 0:
            return ""
        message = self.said.err.splitlines()[-1] if self.said.err else ""
        wanted = {
            "an exit code of ours": self.said.code in (2, 4),
            "no traceback": "Traceback" not in self.said.err + self.said.out,
            "under our name": message.startswith("hubel: "),
            "the reason": os.strerror(self.reason) in message,
            "the place": self.place in message,
            "the next step": any(step in message for step in STEPS),
            "no half file": not [name for name in self.after if name.endswith(".part")],
        }
        missing = [what for what, there in wanted.items() if not there]
        return (
            f"{self.call} ({os.strerror(self.reason)}): lacks {', '.join(missing)} in {self.said}"
            if missing
            else ""
        )


def attempts(
    prepared: Path, root: Path, *argv: object, only: Callable[[Call], bool] = lambda _: True
) -> Iterator[Attempt]:  # fmt: skip
    """The command, once for each of its calls and each reason, and each time in a fresh copy of `prepared` at `root`.

    only: whether a call is to be refused
    """

    def once(disk: Disk) -> tuple[Said, dict[str, bytes], dict[str, bytes]]:
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(prepared, root)
        before, was = bytes_below(root), Path.cwd()
        os.chdir(root)
        try:
            with disk.in_use():
                said = command(*argv)
        finally:
            os.chdir(was)
        return said, before, bytes_below(root)

    whole = Disk(root)
    said, _, _ = once(whole)
    if said.code:
        raise AssertionError(f"{argv} fails by itself: {said}")
    for number, call in enumerate(whole.calls):
        for reason, lasting in ((errno.ENOSPC, True), (errno.EROFS, False)):
            if reason == errno.ENOSPC and call.what in ("unlink", "rmdir", "utime"):
                continue  # these need no room
            if not only(call):
                continue
            yield Attempt(call, reason, *once(Disk(root, number, reason, lasting)))

"""Class folders inside a tar, tar.gz or zip, read in place: nothing is ever extracted to disk.

Members are listed once with their offsets. Absolute and `..` names, links and devices are skipped and named.
An archive is a stranger's file, so what it declares is limited, and limited again while it is read.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import zipfile
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from hubel.data import limits
from hubel.data.layout import PART_OF, Place, arrange, hidden, source_of, unsafe
from hubel.data.pictures import looks_like_picture, printable
from hubel.data.records import Content, Encoded, Problem, Source, Task
from hubel.data.tar import Entry, Tape, entries
from hubel.errors import DataError, HubelError

ENDINGS = (".tar.gz", ".tgz", ".tar", ".zip")
HEADS, HEAD = 256, 1 << 16  # how many members of a tar.gz, and how many bytes, are kept for natural()
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)  # LZMA takes what memory the file says


@dataclass(frozen=True)
class Member:
    """A file in an archive. at: where its bytes begin in the unpacked tar, or its place in a zip's list."""

    name: str
    at: int
    size: int


class Archive(Encoded):
    """Pictures that are members of an archive. members[i] is item i."""

    def __init__(self, path: Path, members: Sequence[Member]) -> None:
        self.path, self.members = path, members

    def stream(self, index: np.ndarray) -> Iterator[tuple[int, Content]]:
        """In the order of the archive, so that the file is read once from front to back."""
        self.stat()
        order = sorted(range(len(index)), key=lambda k: self.members[int(index[k])].at)
        with broken_named(self.path):
            yield from self.read((k, self.members[int(index[k])]) for k in order)

    @abstractmethod
    def read(self, wanted: Iterable[tuple[int, Member]]) -> Iterator[tuple[int, bytes | DataError]]:
        """The content of each member, which come in the order of the archive."""

    def stamps(self, index: np.ndarray) -> Iterable[str]:
        stat = self.stat()
        yield f"archive {self.path} {stat.st_size} {stat.st_mtime_ns}"
        for i in index:
            yield f"{self.members[i].name} {self.members[i].at} {self.members[i].size}"

    def stat(self) -> os.stat_result:
        """Raises DataError where the file has gone since it was listed, or what stands there could not be read from."""
        if not self.path.is_file():
            raise DataError(f"the archive {self.path} is no longer there as a file: bring it back")
        return self.path.stat()

    def keep(self, chosen: Sequence[int]) -> None:
        """From now on item i is what was item chosen[i]."""
        self.members = [self.members[i] for i in chosen]


class Tar(Archive):
    def read(self, wanted: Iterable[tuple[int, Member]]) -> Iterator[tuple[int, bytes | DataError]]:
        with self.path.open("rb") as file:
            for k, member in wanted:
                file.seek(member.at)
                yield k, whole(file.read(member.size), member)


class TarGz(Archive):
    """heads: the bytes of some members, kept while listing, by offset: sample() then costs nothing."""

    heads: dict[int, bytes]
    forward = True

    def read(self, wanted: Iterable[tuple[int, Member]]) -> Iterator[tuple[int, bytes | DataError]]:
        with unpacked(self.path) as file:
            at = 0
            for k, member in wanted:
                while at < member.at:
                    skipped = len(file.read(min(1 << 20, member.at - at)))
                    if not skipped:
                        raise EOFError("it ends early")
                    at += skipped
                content = file.read(member.size)
                at += len(content)
                yield k, whole(content, member)

    def sample(self, index: np.ndarray, most: int = 256) -> Iterator[bytes | str]:
        kept = [self.heads[self.members[i].at] for i in index if self.members[i].at in self.heads]
        return iter(kept[:: max(1, len(kept) // most)])


class Zip(Archive):
    def read(self, wanted: Iterable[tuple[int, Member]]) -> Iterator[tuple[int, bytes | DataError]]:
        with zipfile.ZipFile(self.path) as file:
            infos = file.infolist()
            for k, member in wanted:
                try:
                    with file.open(infos[member.at]) as content:
                        got: bytes | DataError = whole(content.read(member.size + 1), member)
                except Exception as e:  # as in broken_named
                    got = DataError(f"cannot be unpacked: {printable(str(e)) or type(e).__name__}")
                yield k, got


class Chain(Encoded):
    """The items of several containers, one after the other."""

    def __init__(self, parts: Sequence[Archive]) -> None:
        self.parts = parts
        self.starts = np.cumsum([0, *(len(part.members) for part in parts)])
        self.forward = any(part.forward for part in parts)

    def stream(self, index: np.ndarray) -> Iterator[tuple[int, Content]]:
        for part, ks, local in self.shares(index):
            for j, content in part.stream(local):
                yield int(ks[j]), content

    def stamps(self, index: np.ndarray) -> Iterable[str]:
        for part, _, local in self.shares(index):
            yield from part.stamps(local)
        yield " ".join(map(str, index))  # in what order the containers are mixed

    def sample(self, index: np.ndarray, most: int = 256) -> Iterator[bytes | str]:
        for part, _, local in self.shares(index):
            yield from part.sample(local, most)

    def shares(self, index: np.ndarray) -> Iterator[tuple[Archive, np.ndarray, np.ndarray]]:
        """Each container that holds any of `index`, the positions there, and what it calls these items."""
        holder = np.searchsorted(self.starts, index, side="right") - 1
        for n, part in enumerate(self.parts):
            ks = np.flatnonzero(holder == n)
            if len(ks):
                yield part, ks, index[ks] - self.starts[n]


def whole(content: bytes, member: Member) -> bytes | DataError:
    if len(content) == member.size:
        return content
    return DataError(f"has {len(content):,} bytes where the archive declares {member.size:,}")


@contextmanager
def broken_named(path: Path) -> Iterator[None]:
    """What a damaged archive raises becomes a DataError that names the file."""
    try:
        yield
    except DataError as e:
        # Raised below, where the file's name is not known.
        raise e if str(path) in str(e) else damaged(path, str(e)) from None
    except HubelError:
        raise
    except Exception as e:  # what the library raises on hostile bytes is documented nowhere
        raise damaged(path, str(e) or type(e).__name__) from e


def damaged(path: Path, reason: str) -> DataError:
    return DataError(f"the archive {path} is damaged, or not what its name says: {printable(reason)}")


class Unpacking(io.RawIOBase):
    """A gzip stream that refuses to grow beyond limits.unpacked_at_most of the file that it comes from."""

    def __init__(self, path: Path) -> None:
        self.path, self.done = path, 0
        self.limit = limits.unpacked_at_most(path.stat().st_size)
        self.file = gzip.open(path)  # noqa: SIM115 - close() gives it back

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        got = self.file.readinto(buffer)
        self.done += got
        if self.done > self.limit:
            raise DataError(
                f"the archive {self.path} is refused as a decompression bomb: its "
                f"{self.path.stat().st_size:,} bytes unpack to more than {self.limit:,}. If you trust it, unpack it "
                "and name the folder"
            )
        return got

    def close(self) -> None:
        self.file.close()
        super().close()


def unpacked(path: Path) -> IO[bytes]:
    return io.BufferedReader(Unpacking(path), 1 << 18)


@contextmanager
def opened_tar(path: Path) -> Iterator[tuple[Tape, Iterator[Entry]]]:
    """A tar or tar.gz, and its members from front to back."""
    with unpacked(path) if ending(path) != ".tar" else path.open("rb") as file:
        tape = Tape(file)
        yield tape, counted(entries(tape), path)


def counted(found: Iterator[Entry], path: Path) -> Iterator[Entry]:
    """The members, as long as they are as many as a file of its size may have."""
    packed = path.stat().st_size
    most = limits.members_at_most(packed)
    for number, entry in enumerate(found):
        if number >= most:
            raise DataError(
                f"the archive {path} is refused as a decompression bomb: its {packed:,} bytes hold more than {most:,} "
                "members. If you trust it, unpack it and name the folder"
            )
        yield entry


def ending(path: Path) -> str:
    """ ".tar.gz", ".tgz", ".tar" or ".zip" in the case that the name has it; "" for other files."""
    found = [e for e in ENDINGS if path.name.lower().endswith(e)]
    return path.name[-len(found[0]) :].lower() if found else ""


def open_archive(path: Path, *, name: str, task: Task | None = None) -> Source:
    """Raises DataError when it is damaged, a bomb, or has no class folders."""
    rows, problems = listed(path)
    places, more = arrange([member.name for member in rows.members], str(path))
    rows.keep([place.at for place in places])
    return source_of(places, [*problems, *more], rows, name=name, location=str(path), task=task)


def open_parts(archives: Mapping[str, Path], *, name: str, location: str, task: Task | None = None) -> Source:
    """One archive of class folders per part ("train", "test" ...). Items are named train/cat/1.png."""
    places: list[Place] = []
    problems: list[Problem] = []
    chain: list[Archive] = []
    for part, path in archives.items():
        rows, skipped = listed(path, look=part != "test")
        here, more = arrange([member.name for member in rows.members], str(path))
        rows.keep([place.at for place in here])
        chain.append(rows)
        places += [replace(place, path=f"{part}/{place.path}", part=part) for place in here]
        problems += [Problem(f"{path.name}/{p.item}", p.reason) for p in (*skipped, *more)]
    return source_of(places, problems, Chain(chain), name=name, location=location, task=task)


def find_parts(folder: Path) -> dict[str, Path]:
    """X-train.tar.gz, X-test.tar.gz and perhaps X-val.tar.gz of one X; {} without the first two."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()):
        match = (
            re.fullmatch(r"(.*?)[-_. ]?([A-Za-z]+)", path.name[: -len(ending(path))])
            if ending(path)
            else None
        )
        if match and match[2].casefold() in PART_OF:
            found.setdefault(match[1], {})[PART_OF[match[2].casefold()]] = path
    whole = [parts for parts in found.values() if {"train", "test"} <= parts.keys()]
    return whole[0] if len(whole) == 1 else {}


def listed(path: Path, *, look: bool = True) -> tuple[Archive, list[Problem]]:
    """Every readable member of an archive, whatever it is, and those that were skipped."""
    with broken_named(path):
        return list_zip(path) if ending(path) == ".zip" else list_tar(path, look)


def list_tar(path: Path, look: bool) -> tuple[Archive, list[Problem]]:
    gz = ending(path) != ".tar"
    found: dict[str, Member] = {}
    problems: list[Problem] = []
    heads: dict[int, bytes] = {}
    with opened_tar(path) as (tape, members):
        seen = 0  # pictures that may be looked at
        for entry in members:
            refused = refused_tar(entry)
            if refused:
                problems.append(Problem(printable(entry.name), refused))
            elif entry.what == "file":
                add(found, problems, Member(tidy(entry.name), entry.at, entry.size))
                if gz and look and len(heads) < HEADS and may_be_looked_at(entry.name):
                    if seen < HEADS // 4 or seen % 64 == 0:
                        heads[entry.at] = tape.read(min(entry.size, HEAD))
                    seen += 1
    listed = list(found.values())
    if not gz:
        return Tar(path, listed), problems
    rows = TarGz(path, listed)
    rows.heads = heads
    return rows, problems


def refused_tar(entry: Entry) -> str | None:
    """Why a member is skipped; None for files and folders that are fine."""
    if entry.what == "link":
        return f"a link (to {printable(entry.target)})"
    if entry.what == "special":
        return "a device or another special file"
    if entry.what == "sparse":
        return "a sparse file"
    if entry.what == "file" and entry.size > limits.MEMBER_AT_MOST:
        return too_large(entry.size)
    return unsafe(entry.name)


def too_large(size: int) -> str:
    return f"declares {size:,} bytes, more than the {limits.MEMBER_AT_MOST:,} that a picture may have"


def list_zip(path: Path) -> tuple[Archive, list[Problem]]:
    found: dict[str, Member] = {}
    problems: list[Problem] = []
    with zipfile.ZipFile(path) as file:
        infos = file.infolist()
    packed, declared = path.stat().st_size, sum(info.file_size for info in infos)
    if declared > limits.unpacked_at_most(packed):
        raise DataError(
            f"the archive {path} is refused as a decompression bomb: its {packed:,} bytes declare "
            f"{declared:,} unpacked. If you trust it, unpack it and name the folder"
        )
    for at, info in enumerate(infos):
        refused = refused_zip(info)
        if refused:
            problems.append(Problem(printable(info.filename), refused))
        elif not info.is_dir():
            add(found, problems, Member(tidy(info.filename), at, info.file_size))
    return Zip(path, list(found.values())), problems


def refused_zip(info: zipfile.ZipInfo) -> str | None:
    kind = (info.external_attr >> 16) & 0o170000  # the Unix mode, where the archive was made on one
    if kind == 0o120000:
        return "a link"
    if kind not in (0, 0o100000, 0o040000):
        return "a device or another special file"
    if info.flag_bits & 1:
        return "encrypted"
    if info.compress_type not in PACKED:
        return "packed in a way that is not read (read are stored, deflate and bzip2)"
    if info.file_size > limits.MEMBER_AT_MOST:
        return too_large(info.file_size)
    return unsafe(info.filename)


def tidy(name: str) -> str:
    """Pieces joined by one "/": `./cat\\\\1.png` -> `cat/1.png`."""
    return "/".join(piece for piece in name.replace("\\", "/").split("/") if piece not in ("", "."))


def may_be_looked_at(name: str) -> bool:
    """A picture that is not in a test folder."""
    pieces = tidy(name).split("/")
    return looks_like_picture(pieces[-1]) and not any(
        PART_OF.get(p.casefold()) == "test" for p in pieces[:-1]
    )


def add(found: dict[str, Member], problems: list[Problem], member: Member) -> None:
    """The last member of a name counts, as when an archive is unpacked."""
    if member.name in found and not hidden(member.name):
        problems.append(Problem(printable(member.name), "twice in the archive: the last one counts"))
    found[member.name] = member

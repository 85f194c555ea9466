"""The members of a tar, from front to back. POSIX.1-1988 (ustar), POSIX.1-2001 (pax), GNU's long names, Unix V7.

    a block of 512 bytes: name · mode, owner, size, time, checksum in octal · type · link · "ustar" · … · prefix
    then `size` bytes, filled up to whole blocks; two blocks of zeros are the end

Python's own tarfile is not asked: by a few bytes of a hostile file it can be made to read for ever (a size below zero),
to take gigabytes (a long name), or to search a header for hours. Here every step goes forward, and what is read at
once is at most NAME_AT_MOST bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Literal

from hubel.data.limits import NAME_AT_MOST
from hubel.errors import DataError

BLOCK = 512
STEP = 1 << 20  # bytes passed over at once
What = Literal["file", "folder", "link", "special", "sparse"]
KINDS: dict[bytes, What] = {
    b"0": "file", b"\0": "file", b"7": "file", b"5": "folder", b"1": "link", b"2": "link", b"S": "sparse",
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A member. at: where its `size` bytes begin   target: of a link"""

    name: str
    what: What
    at: int
    size: int
    target: str


class Tape:
    """A file that is read from front to back. at: how many bytes of it have been passed"""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.at = file, 0

    def read(self, size: int) -> bytes:
        """The next bytes, fewer only where the file ends."""
        content = self.file.read(size)
        self.at += len(content)
        return content

    def skip(self, to: int) -> None:
        """On to byte `to`. Raises DataError where the file ends before it."""
        if self.at < to and self.file.seekable():
            self.at = self.file.seek(to - 1)
        while self.at < to:
            if not self.read(min(STEP, to - self.at)):
                raise DataError(f"it ends early, before byte {to:,}")


def entries(tape: Tape) -> Iterator[Entry]:
    """Each member; its content may be read from `tape` before the next is asked for.

    Raises DataError (without the file's name) at what is no tar, cut off or damaged.
    """
    told: dict[str, str] = {}  # by headers that stand before a member, of that member
    begin = 0
    while True:
        tape.skip(begin)
        block = tape.read(BLOCK)
        if len(block) < BLOCK and (block or not begin):
            raise DataError(f"it ends early, in the header at byte {begin:,}")
        if not any(block):
            return
        check_sum(block, begin)
        kind, size = block[156:157], number(block[124:136], begin)
        if kind in b"xgLK" and kind:
            if size > NAME_AT_MOST:
                raise DataError(f"at byte {begin:,} it declares a name of {size:,} bytes")
            body = tape.read(size)
            told |= {} if kind == b"g" else longer(kind, body, begin)
            begin = tape.at + -size % BLOCK
            continue
        entry = entry_of(block, told, tape.at, size, begin)
        told = {}
        # Only files and what nobody knows have content behind their header.
        begin = tape.at if entry.what in ("folder", "link") else tape.at + entry.size + -entry.size % BLOCK
        yield entry


def entry_of(block: bytes, told: dict[str, str], at: int, size: int, begin: int) -> Entry:
    """What a header says, and over that, what the headers before it told."""
    what = KINDS.get(block[156:157], "special")
    name = text(block[:100])
    if block[257:263] == b"ustar\0" and block[345]:
        name = f"{text(block[345:500])}/{name}"
    if "size" in told:
        if not (told["size"].isascii() and told["size"].isdigit() and len(told["size"]) < 20):
            raise DataError(f"at byte {begin:,} it declares a size that is no number")
        size = int(told["size"])
    if any(key.startswith("GNU.sparse.") for key in told):
        what = "sparse"
    name = told.get("path", name)
    if what == "file" and name.endswith("/"):  # as V7 wrote folders
        what = "folder"
    return Entry(name, what, at, size, told.get("linkpath", text(block[157:257])))


def check_sum(block: bytes, begin: int) -> None:
    """The sum of a header's bytes, its own field taken as blanks; some old programs summed signed bytes."""
    said = number(block[148:156], begin)
    rest = block[:148] + b" " * 8 + block[156:]
    if said not in (sum(rest), sum(rest) - 256 * sum(byte > 127 for byte in rest)):
        where = "its first block" if not begin else f"the block at byte {begin:,}"
        raise DataError(f"{where} is no header of a tar (its checksum is wrong)")


def number(field: bytes, begin: int) -> int:
    """Octal digits, or GNU's binary form, which has the first bit set."""
    if field[:1] == b"\x80":
        found = int.from_bytes(field[1:], "big")
        if found >= 2**62:
            raise DataError(f"at byte {begin:,} it declares {found:,} bytes")
        return found
    digits = field.split(b"\0")[0].strip()
    if not all(48 <= digit < 56 for digit in digits) or field[0] > 127:
        raise DataError(f"at byte {begin:,} stands a number that is none, {field[:12]!r}")
    return int(digits or b"0", 8)


def longer(kind: bytes, body: bytes, begin: int) -> dict[str, str]:
    """What a header of GNU (a long name) or of pax (records "29 path=cat/1.png\\n") tells of the next member."""
    if kind in b"LK":
        return {"path" if kind == b"L" else "linkpath": text(body)}
    told: dict[str, str] = {}
    at = 0
    while at < len(body) and body[at]:
        space = body.find(b" ", at, at + 20)
        digits = body[at : max(at, space)]
        length = int(digits) if digits.isdigit() else 0
        record = body[space + 1 : at + length]
        key, equals, value = record.partition(b"=")
        if not equals or not value.endswith(b"\n"):
            raise DataError(f"at byte {begin:,} stands a record of pax that cannot be read")
        told[key.decode("utf-8", "replace")] = value[:-1].decode("utf-8", "surrogateescape")
        at += length
    return told


def text(field: bytes) -> str:
    """Up to the first zero; bytes that are not UTF-8 are kept."""
    return field.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")

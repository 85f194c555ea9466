"""Published data sets brought to this machine: pinned by SHA-256, resumed, atomic, from mirrors in turn.

A file grows as NAME.part and is renamed to NAME only when its checksum is right: NAME is whole or absent.
The part outlives a stall, a broken connection, Ctrl-C and the process, and the next try asks only for the
rest (RFC 9110, section 14: Range, If-Range, Content-Range). The checksum judges in the end, so what one
mirror began another may finish.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError

import platformdirs

from hubel.data.published import MANIFEST, Manifest, Published
from hubel.errors import DataError, UnknownName
from hubel.progress import Progress

CHUNK = 1 << 16  # bytes per read: small enough for a smooth progress bar, large enough to cost nothing
LOCK = ".fetch.lock"


@dataclass(frozen=True)
class Patience:
    timeout: float = 20.0  # seconds without a single byte before a mirror counts as stalled
    rounds: int = 3  # times that every mirror is asked before we give up
    backoff: float = 1.0  # seconds before the second round; doubles from round to round


PATIENT = Patience()


def fetch(
    name: str,
    *,
    folder: Path | None = None,
    progress: Progress | None = None,
    patience: Patience = PATIENT,
    manifest: Manifest = MANIFEST,
) -> Path:
    """The folder that holds every file of data set `name`, each with the right SHA-256.

    folder: where the files go; the user's cache if None. A file there with other bytes is replaced, but only
        once the right ones are in hand.
    progress: told (bytes in place, bytes of the whole data set) at each chunk; falls back when a file starts
        over.
    HUBEL_OFFLINE=1 in the environment forbids the network.
    """
    if name not in manifest:
        raise UnknownName("data set to fetch", name, manifest)
    folder = cache_folder(name) if folder is None else folder
    files = manifest[name]
    if all(_is_right(folder / f.name, f) for f in files):
        return folder  # needs no lock, so a cache that is read-only will do
    if os.environ.get("HUBEL_OFFLINE", "") not in ("", "0"):
        raise _not_here(
            f"{name} is not all here, and HUBEL_OFFLINE forbids fetching it.", name, folder, files
        )

    total, done = sum(f.size for f in files), 0

    def tell(have: int) -> None:
        if progress is not None:
            progress(done + have, total)

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder / LOCK):
            for file in files:
                # Asked again under the lock: another process may have brought it while we waited.
                if not _is_right(folder / file.name, file):
                    failed = _bring(_Part(file, folder), patience, tell)
                    if failed is not None:
                        raise _not_here(f"{name} could not be fetched.", name, folder, files, failed)
                done += file.size
    except BrokenPipeError:
        raise  # not the disk: progress printed into a closed pipe
    except OSError as e:
        raise DataError(f"cannot write {name} to {folder}: {e.strerror or e}") from e
    return folder


def cache_folder(name: str) -> Path:
    """Where the files of data set `name` are kept for this user."""
    return platformdirs.user_cache_path("hubel", appauthor=False) / "data" / name


# ---- one file ----


class _MirrorError(Exception):
    """Why an address did not give the file. again: whether it may be asked once more."""

    def __init__(self, reason: str, *, again: bool) -> None:
        super().__init__(reason)
        self.reason, self.again = reason, again


class _PartError(Exception):
    """The server will not go on from where the part ends."""


@dataclass(frozen=True)
class _Part:
    """The first bytes of a file, and beside them where they came from: {"url": ..., "etag": ...}."""

    file: Published
    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / f"{self.file.name}.part"

    @property
    def origin(self) -> Path:
        return self.folder / f"{self.file.name}.part.json"

    def have(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def etag(self, url: str) -> str | None:
        """The strong ETag under which `url` gave these bytes; None if they are another address's."""
        try:
            stored = json.loads(self.origin.read_text(encoding="utf-8"))
            tag = stored["etag"] if stored["url"] == url else None
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return (
            tag if isinstance(tag, str) and tag.startswith('"') else None
        )  # W/"..." may not stand in If-Range

    def begin(self, url: str, etag: str | None) -> None:
        """Empty, and from `url`. In this order a kill never leaves bytes beside the tag of others."""
        self.origin.unlink(missing_ok=True)
        self.path.write_bytes(b"")
        self.origin.write_text(json.dumps({"url": url, "etag": etag}), encoding="utf-8")

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)
        self.origin.unlink(missing_ok=True)

    def finish(self) -> str:
        """Becomes the file if the SHA-256 is right, else is dropped; either way the sum that was found."""
        found = _sha256(self.path)
        if found == self.file.sha256:
            self.path.replace(self.folder / self.file.name)
            self.origin.unlink(missing_ok=True)
            _sync_folder(self.folder)
        else:
            self.drop()
        return found


def _bring(part: _Part, patience: Patience, tell: Callable[[int], None]) -> dict[str, str] | None:
    """None when the file is in place; else why each address failed, as it last did."""
    if part.have() > part.file.size:
        part.drop()
    # Whole already: killed between the last byte and the rename.
    if part.have() == part.file.size and part.finish() == part.file.sha256:
        return None
    failed: dict[str, str] = {}
    hopeful = list(part.file.mirrors)
    opener = _opener()
    for number in range(patience.rounds):
        if number:
            time.sleep(patience.backoff * 2 ** (number - 1))
        for url in list(hopeful):
            try:
                _bring_from(url, part, opener, patience, tell)
                return None
            except _MirrorError as e:
                failed[url] = e.reason
                if not e.again:
                    hopeful.remove(url)
        if not hopeful:
            break
    return failed


def _bring_from(
    url: str,
    part: _Part,
    opener: urllib.request.OpenerDirector,
    patience: Patience,
    tell: Callable[[int], None],
) -> None:
    """The file in place, or _MirrorError. Asks twice at most: for the whole file if the part was no use."""
    while True:
        try:
            start = _receive(url, part, opener, patience, tell)
        except _PartError:
            part.drop()
            continue
        found = part.finish()
        if found == part.file.sha256:
            return
        if start == 0:
            raise _MirrorError(f"sent wrong bytes (SHA-256 {found})", again=False)
        # The bytes from before may be the wrong ones; the part is gone, so this address gets a clean try.


def _receive(
    url: str,
    part: _Part,
    opener: urllib.request.OpenerDirector,
    patience: Patience,
    tell: Callable[[int], None],
) -> int:
    """Fills the part to its whole size; returns at which byte the server's answer began."""
    have, size = part.have(), part.file.size
    # identity: the checksum is of the bytes as published, gzip included.
    headers = {"User-Agent": "hubel", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if tag := part.etag(url):
            headers["If-Range"] = tag
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  the opener speaks http and https only
    with _answer(opener, request, patience) as response:
        start = _first_byte(response, have, size)
        if response.length is not None and response.length != size - start:
            raise _MirrorError(
                f"announces {response.length:,} bytes where {size - start:,} are missing", again=False
            )
        if start == 0:
            part.begin(url, response.getheader("ETag"))
        have = start
        with part.path.open("ab") as out:
            for chunk in _chunks(response, patience):
                have += len(chunk)
                if have > size:
                    break
                out.write(chunk)
                tell(have)
            out.flush()
            os.fsync(out.fileno())
    if have > size:
        part.drop()
        raise _MirrorError(f"sends more than the {size:,} bytes of the file", again=False)
    if have < size:
        raise _MirrorError(f"broke off after {have:,} of {size:,} bytes", again=True)
    return start


@contextmanager
def _answer(
    opener: urllib.request.OpenerDirector, request: urllib.request.Request, patience: Patience
) -> Iterator[HTTPResponse]:
    """The server's answer once its header is here; closed at the end. 4xx, 5xx and no answer are errors."""
    try:
        response: HTTPResponse = opener.open(request, timeout=patience.timeout)
    except HTTPError as e:
        with e:
            if e.code == 416 and request.has_header("Range"):
                raise _PartError from e
            # A missing page stays missing; a busy or broken server may recover.
            raise _MirrorError(
                f"HTTP {e.code} {e.reason}", again=e.code >= 500 or e.code in (408, 429)
            ) from e
    except (OSError, HTTPException, ValueError) as e:
        # URLError is an OSError; a redirect to what is no address is a ValueError, and stays one.
        raise _MirrorError(_reason(e, patience), again=not isinstance(e, ValueError)) from e
    with response:
        yield response


def _first_byte(response: HTTPResponse, have: int, size: int) -> int:
    """Which byte of the file the body begins with: 0, or `have` if the server really goes on from there."""
    if response.status == 200:
        return 0  # no ranges here, or If-Range says that the file has changed
    if not have:
        raise _MirrorError(f"HTTP {response.status} where 200 was due", again=False)
    span = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", response.getheader("Content-Range", "").strip())
    wanted = (str(have), str(size - 1))
    if response.status == 206 and span and span.groups()[:2] == wanted and span[3] in (str(size), "*"):
        return have
    raise _PartError


def _chunks(response: HTTPResponse, patience: Patience) -> Iterator[bytes]:
    """The body as it comes in, up to CHUNK bytes at a time; what came before a failure has been given."""
    while True:
        try:
            chunk = response.read1(CHUNK)
        except (OSError, HTTPException) as e:
            raise _MirrorError(_reason(e, patience), again=True) from e
        if not chunk:
            return
        yield chunk


def _reason(e: Exception, patience: Patience) -> str:
    cause = e.reason if isinstance(e, URLError) else e
    if isinstance(cause, TimeoutError):
        return f"sent nothing for {patience.timeout:g} s"
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__


def _opener() -> urllib.request.OpenerDirector:
    """http and https (with the environment's proxies) and nothing else: no redirect reaches a file or FTP."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


# ---- the disk ----


def _sha256(path: Path) -> str:
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _is_right(path: Path, file: Published) -> bool:
    return path.is_file() and path.stat().st_size == file.size and _sha256(path) == file.sha256


def _sync_folder(folder: Path) -> None:
    """After this the rename outlives a power cut. Windows cannot open a folder, and needs no such thing."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Waits until no other process fetches into this folder. The system frees the lock of a dead process."""
    with path.open("ab") as handle:
        _lock(handle.fileno())
        yield  # closing the handle gives the lock back


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        while True:
            try:
                msvcrt.locking(handle, msvcrt.LK_LOCK, 1)
                return
            except OSError as e:  # gives up after ten seconds
                if e.errno != errno.EDEADLK:
                    raise
else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX)


# ---- what to say ----


def _not_here(
    headline: str,
    name: str,
    folder: Path,
    files: tuple[Published, ...],
    failed: Mapping[str, str] | None = None,
) -> DataError:
    """Every missing file with its sum and addresses, and where to put it by hand."""
    lines = [f"{headline} Missing:"]
    for file in files:
        path = folder / file.name
        if _is_right(path, file):
            continue
        other = "; the file of this name there has other bytes" if path.exists() else ""
        lines.append(f"  {file.name} ({file.size:,} bytes, SHA-256 {file.sha256}{other})")
        lines += [
            f"    {url}" + (f": {failed[url]}" if failed and url in failed else "") for url in file.mirrors
        ]
    lines.append(f"Put what is missing into {folder} or into $HUBEL_DATA/{name}/ and try again.")
    return DataError("\n".join(lines))

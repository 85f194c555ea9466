"""A part decoded once, in parallel, into one uint8 array that then only needs slicing (see pixels_cache)."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeVar

import numpy as np

from hubel.data import pixels_cache
from hubel.data.helpers import Chunk, Decode, Reasons, helped, serve
from hubel.data.pictures import printable
from hubel.data.pixels_cache import Stored
from hubel.data.preprocess import Preprocess
from hubel.data.records import Content, Encoded, Problem
from hubel.errors import DataError
from hubel.progress import Progress

Bad = list[tuple[int, Problem]]  # rows that stay undefined, and why
T = TypeVar("T")
CHUNK = 128  # items handed to a thread at a time
CHUNK_BYTES = 16 << 20  # and bytes of theirs
AHEAD = 2  # chunks per thread that wait at most
AHEAD_SMALL = 16  # of small pictures: what this process decodes until its helpers have begun
# Below this many bytes a picture is decoded faster than Python hands it over, and a second thread only
# contends for the interpreter (32 × 32 JPEGs of 1 kB: 20,000 a second by one thread, 17,700 by two, n = 1);
# of many such, processes beside this one take their share (helpers).
WORTH_A_THREAD = 8 << 10


def decode(
    rows: Encoded,
    index: np.ndarray,
    items: Sequence[str],
    preprocess: Preprocess,
    progress: Progress | None = None,
) -> Stored:
    """The pictures `index`, each (C, H, W) uint8, without those that cannot be read, which are named.

    items: a name for each of `index`
    progress: told (done, total) as decoding goes on; not at all when the pixels are found on disk
    """
    if not len(index):
        return Stored(np.empty((0, *preprocess.shape), np.uint8), ())
    name = pixels_cache.key(chain(rows.stamps(index), [f"{preprocess.shape} {preprocess.resize}"]))
    found = pixels_cache.find(name)
    if found is not None and fits(found, len(index), preprocess):
        return found
    shape = (len(index), *preprocess.shape)
    try:
        draft = pixels_cache.Draft(name, shape)
    except OSError:  # a cache that cannot be written costs time, not the result
        return in_memory(shape, rows, index, items, preprocess, progress)
    try:
        dropped = fill(draft.pixels, rows, index, items, preprocess, progress)
    except BaseException:  # also Ctrl-C: half a file is of no use
        draft.drop()
        raise
    try:
        return draft.keep(dropped)
    except OSError:
        draft.drop()
        return in_memory(shape, rows, index, items, preprocess, progress)


def fits(found: Stored, n: int, preprocess: Preprocess) -> bool:
    """Whether what was stored is of these n pictures; a file that says otherwise is as good as damaged."""
    rows = {row for row, _ in found.dropped}
    whole = len(found.pixels) + len(rows) == n and all(0 <= row < n for row in rows)
    return whole and found.pixels.shape[1:] == preprocess.shape


def in_memory(
    shape: tuple[int, ...],
    rows: Encoded,
    index: np.ndarray,
    items: Sequence[str],
    preprocess: Preprocess,
    progress: Progress | None,
) -> Stored:
    """The same without a file. Raises DataError when the machine's memory is too small, before it is taken."""
    size = math.prod(shape)
    if hasattr(os, "sysconf") and size > 0.8 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"):
        raise DataError(
            f"{shape[0]:,} pictures of {preprocess.shape} need {size / 1e9:.1f} GB, for which neither the memory nor "
            f"the folder {pixels_cache.folder()} has room. Let HUBEL_CACHE name a folder on a larger disk."
        )
    pixels = np.empty(shape, np.uint8)
    dropped = fill(pixels, rows, index, items, preprocess, progress)
    return Stored(
        np.delete(pixels, [row for row, _ in dropped], axis=0) if dropped else pixels, tuple(dropped)
    )


def fill(
    out: np.ndarray,
    rows: Encoded,
    index: np.ndarray,
    items: Sequence[str],
    preprocess: Preprocess,
    progress: Progress | None,
) -> Bad:
    """Decode into `out`; the rows that stay undefined, with their reasons, in order."""
    chunked, total = chunks(rows.stream(index)), len(index)
    first = next(chunked)
    mean = sum(map(weight, first)) / len(first)
    decode: Decode = partial(decode_all, out, preprocess)
    threads, ahead = os.cpu_count() or 1, AHEAD
    dropped: Reasons = []
    with contextlib.ExitStack() as stack:
        if mean < WORTH_A_THREAD:
            decode, threads = stack.enter_context(helped(decode, out, preprocess, total))
            ahead = AHEAD_SMALL
        working = in_parallel(decode, chain([first], chunked), threads, ahead)
        for done, bad in stack.enter_context(contextlib.closing(working)):
            dropped += bad
            if progress:
                progress(min(done, total), total)
    return [(k, Problem(items[k], why)) for k, why in sorted(dropped)]


def weight(content: tuple[int, Content]) -> int:
    """Bytes of a picture; of a file on disk we ask the file system."""
    what = content[1]
    if isinstance(what, bytes):
        return len(what)
    try:
        return Path(what).stat().st_size if isinstance(what, str) else 0
    except (OSError, ValueError):  # ValueError: a zero byte, which no name has
        return 0


def decode_all(out: np.ndarray, preprocess: Preprocess, chunk: Chunk) -> Reasons:
    """Fill the rows of `out` that stand in `chunk`; those that stay undefined, and why."""
    return [(k, why) for k, content in chunk if (why := decode_one(out, k, content, preprocess))]


def help_out(order: str) -> None:
    """What a helper does (helpers.Helper). order: JSON, which pixels of which file it fills, and how"""
    told = json.loads(order)
    out = np.memmap(told["file"], np.uint8, "r+", told["offset"], tuple(told["shape"]))
    serve(partial(decode_all, out, Preprocess.from_dict(told["preprocess"])))


def decode_one(out: np.ndarray, k: int, content: Content, preprocess: Preprocess) -> str:
    """Fill out[k]; the reason why not, or ""."""
    try:
        if isinstance(content, DataError):
            return str(content)
        out[k] = preprocess.picture(content, name="it")
    except DataError as e:
        return printable(re.sub(r"^it:? ", "", str(e)))
    return ""


def chunks(stream: Iterator[tuple[int, Content]]) -> Iterator[Chunk]:
    """At most CHUNK items each, and about CHUNK_BYTES that are held in memory."""
    chunk: Chunk = []
    held = 0
    for item in stream:
        chunk.append(item)
        held += len(item[1]) if isinstance(item[1], bytes) else 0
        if len(chunk) == CHUNK or held > CHUNK_BYTES:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk


def in_parallel(
    work: Callable[[Chunk], list[T]], chunked: Iterator[Chunk], threads: int, ahead: int = AHEAD
) -> Generator[tuple[int, list[T]], None, None]:
    """(items done so far, result) of every chunk, in order, with at most `ahead` chunks per thread read ahead."""
    done = 0
    if threads == 1:
        for chunk in chunked:
            done += len(chunk)
            yield done, work(chunk)
        return
    waiting: deque[tuple[int, Future[list[T]]]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        try:
            for chunk in chunked:
                waiting.append((len(chunk), pool.submit(work, chunk)))
                while len(waiting) > ahead * threads:
                    n, future = waiting.popleft()
                    done += n
                    yield done, future.result()
            for n, future in waiting:
                done += n
                yield done, future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise

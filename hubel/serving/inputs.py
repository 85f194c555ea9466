"""How a picture comes in, for every route alike: raw bytes, a form with files, or JSON.

    raw         the bytes of one picture file; options in the query
    form        one file or several; options in other fields
    JSON        {"image": base64} · {"images": [base64, …]} · {"pixels": [[…]]} · {"sample": 17} · {"samples": [1, 2]}
                · {"row": [numbers]} · {"rows": [[numbers], …]}; options beside it

What comes out is what the network receives, prepared as the run says.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

import anyio.to_thread
import numpy as np
from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from hubel.errors import DataError, HubelError, UnknownName
from hubel.serving.limits import Limits, Refused
from hubel.serving.lines import at_first
from hubel.serving.service import Served, chosen

T = TypeVar("T")

KEYS = ("image", "images", "pixels", "sample", "samples", "row", "rows")


@dataclass(frozen=True)
class Asked:
    """What a request is about.

    names: of the items   inputs: (N, C, H, W) uint8 or (N, D) float32, as the network receives them
    options: everything else that was said: of JSON as it stands, else text
    of_samples: whether they are of the test part, by number
    """

    served: Served
    names: tuple[str, ...]
    inputs: np.ndarray
    options: Mapping[str, Any] = field(default_factory=dict)
    of_samples: bool = False

    def only(self, *known: str) -> None:
        """Raises Refused (422) where an option was said that is not known here: it would be overlooked in silence."""
        only(self.options, known)

    def number(self, name: str, default: float, low: float, high: float) -> float:
        """The option as a number in low..high. Raises Refused (422)."""
        said = self.options.get(name, default)
        try:
            value = float(said)
        except (TypeError, ValueError, OverflowError):  # OverflowError: a whole number of hundreds of digits
            value = float("nan")
        if isinstance(said, bool) or not low <= value <= high:
            raise Refused(
                422, "option", f"{name} must be a number from {low:g} to {high:g}, not {said!r:.60}"
            )
        return value

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        """The option as a whole number in low..high. Raises Refused (422)."""
        value = self.number(name, default, low, high)
        if value != int(value):
            raise Refused(422, "option", f"{name} must be a whole number, not {self.options[name]!r:.60}")
        return int(value)

    def text(self, name: str, default: str | None = None, known: Sequence[str] = ()) -> str | None:
        """The option as text, one of `known` where that is not empty. Raises Refused (422)."""
        said = self.options.get(name, default)
        if said is not None and (not isinstance(said, str) or (known and said not in known)):
            allowed = f"one of {', '.join(known)}" if known else "text"
            raise Refused(422, "option", f"{name} must be {allowed}, not {said!r:.60}")
        return said


async def asked(request: Request) -> Asked:
    """The items and options of a request, for Depends(). Raises Refused, or the DataError of a picture."""
    served = chosen(request)
    limits = served.limits
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    options = once(request.query_params.multi_items())
    if kind == "multipart/form-data":
        files, fields = await _form(request, limits)
        return await _aside(_files, served, files, once([*options.items(), *fields]))
    body = await whole_body(request, limits)
    if kind == "application/json" or kind.endswith("+json"):
        said = await _aside(json_object, body, limits)
        if "sample" in said or "samples" in said:
            await at_first(lambda: served.samples)
        return await _aside(_json, served, said, options)
    return await _aside(_files, served, [("picture", picture_bytes(body, kind))], options)


async def wished(request: Request) -> Asked:
    """The options of a question about no picture, of the query and of JSON, for Depends(). Raises Refused."""
    served = chosen(request)
    body = await whole_body(request, served.limits)
    said = json_object(body, served.limits) if body else {}
    return Asked(served, (), np.empty(0), once([*request.query_params.multi_items(), *said.items()]))


def no_others(request: Request) -> None:
    """For Depends() of routes without a body. Raises Refused (422) where the query says what they do not know."""
    route: APIRoute = request.scope["route"]
    if not (
        takes(asked, route.dependant) or takes(wished, route.dependant)
    ):  # they look themselves, in the body, too
        only(once(request.query_params.multi_items()), list(queries(route.dependant)))


def only(said: Iterable[str], known: Sequence[str]) -> None:
    """Raises Refused (422) for the first name that is not among those known."""
    for name in sorted(set(said) - set(known)):
        if not known:
            raise Refused(422, "option", f"there are no options here, and {name!r:.60} was said")
        raise Refused(422, "option", str(UnknownName("option", name[:60], known)))


def once(said: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The options by name. Raises Refused (422) where one is said twice: only one of both could be heeded."""
    found: dict[str, Any] = {}
    for name, value in said:
        if name in found:
            raise Refused(422, "option", f"{name[:60]} is said twice; say it once")
        found[name] = value
    return found


def takes(what: Callable[..., Any], dependant: Dependant) -> bool:
    """Whether a route depends on `what`."""
    return any(inner.call is what or takes(what, inner) for inner in dependant.dependencies)


def queries(dependant: Dependant) -> Iterator[str]:
    """The names of what a route and what it depends on take from the query."""
    yield from (one.alias for one in dependant.query_params)
    for inner in dependant.dependencies:
        yield from queries(inner)


async def _aside(work: Callable[..., T], *arguments: Any) -> T:
    """In one of few threads: each may hold a picture of the largest size."""
    return await anyio.to_thread.run_sync(work, *arguments, limiter=_decoders())


@lru_cache(1)
def _decoders() -> anyio.CapacityLimiter:
    return anyio.CapacityLimiter(2)


async def whole_body(request: Request, limits: Limits) -> bytes:
    """The body. Raises Refused: 413 before more is read than may be, 408 where it does not come."""
    check_length(request.headers.get("content-length"), limits)
    parts, size = [], 0
    try:
        async with asyncio.timeout(limits.deadline):
            async for part in request.stream():
                size += len(part)
                if size > limits.body:
                    raise too_long(limits)
                parts.append(part)
    except TimeoutError:
        raise too_slow(limits) from None
    except ClientDisconnect:
        raise Refused(499, "gone", "the client has gone") from None
    return b"".join(parts)


def check_length(said: str | bytes | None, limits: Limits) -> None:
    """Raises Refused (413) where a header announces more than is read."""
    if said is not None and said.isdigit() and int(said) > limits.body:
        raise too_long(limits)


def too_long(limits: Limits) -> Refused:
    return Refused(
        413, "body", f"the body has more than the {limits.body:,} bytes that are read; send less at once"
    )


def too_much_head(most: int) -> Refused:
    return Refused(
        431, "head", f"the request's first line and headers have more than {most:,} bytes; send fewer"
    )


def too_many(what: str, most: int) -> Refused:
    return Refused(413, "pictures", f"{what}, and {most} are the most at once; send the others by themselves")


def too_slow(limits: Limits) -> Refused:
    return Refused(
        408, "slow", f"the request did not arrive whole within {limits.deadline:g} s", {"Connection": "close"}
    )


# What the picture formats that are read begin with: PNG, JPEG, GIF, WebP, BMP, TIFF in both byte orders, PPM.
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PPM = (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6")
STARTS = (b"\x89PNG", b"\xff\xd8", b"GIF8", b"RIFF", b"BM", *TIFF, *PPM)


def picture_bytes(body: bytes, kind: str) -> bytes:
    """The body, if it begins as a picture does. Raises Refused: 422 where there is nothing, 415 for another thing."""
    if not body:
        raise Refused(
            422, "empty", "the body is empty; send the bytes of a picture, a form with files, or JSON"
        )
    if not body.startswith(STARTS):
        what = kind or "of no said type"
        raise Refused(
            415,
            "type",
            f"the body ({what}) is no picture that is read: PNG, JPEG, WebP, GIF, BMP, TIFF or PPM",
        )
    return body


class _InMemory(MultiPartParser):
    """Nothing that is sent touches the disk; whole_body's limit holds for all parts together."""

    spool_max_size = 1 << 62
    pictures = 0

    def on_headers_finished(self) -> None:
        super().on_headers_finished()
        if self._current_files > self.pictures:
            raise too_many(f"the form has more than {self.pictures} files", self.pictures)


async def _form(request: Request, limits: Limits) -> tuple[list[tuple[str, bytes]], list[tuple[str, str]]]:
    body = await whole_body(request, limits)

    async def at_once() -> Any:
        yield body

    parser = _InMemory(
        request.headers, at_once(), max_files=math.inf, max_fields=100, max_part_size=limits.body
    )
    parser.pictures = limits.pictures
    try:
        form = await parser.parse()
    except (MultiPartException, UnicodeDecodeError, KeyError) as e:
        raise Refused(422, "form", f"the form cannot be read: {getattr(e, 'message', e)}") from None
    files, fields = [], []
    for name, value in form.multi_items():
        if isinstance(value, str):
            fields.append((name, value))
        else:
            files.append((value.filename or name, await value.read()))
    await form.close()
    return files, fields


def _files(served: Served, files: Sequence[tuple[str, bytes]], options: dict[str, Any]) -> Asked:
    if not files:
        raise Refused(422, "form", "the form has no file; put a picture into a field of it")
    return Asked(served, tuple(name for name, _ in files), _prepared(served, files), options)


def _json(served: Served, said: dict[str, Any], options: dict[str, Any]) -> Asked:
    keys = [key for key in KEYS if key in said]
    if len(keys) != 1:
        raise Refused(
            422,
            "json",
            f"JSON must have one of {', '.join(KEYS)}; here it has {', '.join(keys) or 'none of them'}",
        )
    (key,) = keys
    value = said.pop(key)
    rest = once([*options.items(), *said.items()])
    values = _listed(value, key, served.limits) if key in ("images", "samples", "rows") else [value]
    if key.startswith("sample"):
        numbers = [_number(v, key) for v in values]
        inputs = [served.samples.input(n) for n in numbers]
        names = tuple(served.samples.split.items[n] for n in numbers)
        return Asked(served, names, np.stack(inputs), rest, of_samples=True)
    names = tuple(map(str, range(len(values))))
    ready: list[Any]
    if key.startswith("image"):
        ready = [_decoded(v, f"{key}, picture {n}") for n, v in enumerate(values)]
    else:
        ready = [_array(v, key) for v in values]
    return Asked(served, names, _prepared(served, list(zip(names, ready, strict=True))), rest)


def json_object(body: bytes, limits: Limits) -> dict[str, Any]:
    """The object that the body is. Raises Refused (422)."""
    _check_nesting(body, limits)
    try:
        said = json.loads(body, parse_constant=_no_constant, object_pairs_hook=once)
    except (ValueError, RecursionError) as e:  # UnicodeDecodeError is a ValueError
        raise Refused(422, "json", f"the body is not JSON: {e}") from None
    if not isinstance(said, dict):
        raise Refused(422, "json", f"the JSON must be an object, {{…}}, not {type(said).__name__}")
    return said


def _check_nesting(body: bytes, limits: Limits) -> None:
    """Brackets inside texts count too: that refuses nothing that makes sense here, and costs one pass."""
    levels = np.frombuffer(body, np.uint8)
    opens = np.isin(levels, (0x5B, 0x7B)).astype(np.int8) - np.isin(levels, (0x5D, 0x7D)).astype(np.int8)
    if len(opens) and int(np.cumsum(opens, dtype=np.int32).max()) > limits.nesting:
        raise Refused(422, "json", f"the JSON is nested more than {limits.nesting} levels deep")


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number that JSON knows")


def _listed(value: Any, key: str, limits: Limits) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise Refused(422, "json", f"{key} must be a list with something in it")
    if len(value) > limits.pictures:
        raise too_many(f"{key} has {len(value)} entries", limits.pictures)
    return value


def _number(value: Any, key: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Refused(422, "json", f"{key}: {value!r:.40} is not the number of a sample")
    return value


def _decoded(text: Any, where: str) -> bytes:
    """The bytes of a picture in base64, with or without a data: address before it."""
    if not isinstance(text, str):
        raise Refused(422, "json", f"{where}: a picture is a text in base64, not {type(text).__name__}")
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as e:
        raise Refused(422, "json", f"{where}: this is not base64 ({e})") from None


def _array(value: Any, key: str) -> np.ndarray:
    """Nested lists as numbers; pixels: whole numbers are 0..255, others 0..1."""
    try:
        numbers = np.array(value)
    except (ValueError, OverflowError):
        raise Refused(422, "json", f"{key}: the rows are of different lengths") from None
    if numbers.dtype.kind not in "iufb" or not numbers.size:
        raise Refused(422, "json", f"{key} must be nested lists of numbers")
    if key != "pixels" or numbers.dtype.kind in "fb":
        return numbers
    if numbers.min() < 0 or numbers.max() > 255:
        raise Refused(
            422,
            "json",
            f"pixels: whole numbers must lie in 0..255, here are {numbers.min()}..{numbers.max()}",
        )
    return numbers.astype(np.uint8)


def _prepared(served: Served, items: Sequence[tuple[str, Any]]) -> np.ndarray:
    """(N, C, H, W) uint8 or (N, D) float32."""
    ready = []
    for name, item in items:
        try:
            ready.append(served.run.prepared(item))
        except HubelError as e:
            if len(items) == 1 or not isinstance(e, DataError):
                raise
            raise type(e)(f"{name}: {e}") from None
    return np.stack(ready)

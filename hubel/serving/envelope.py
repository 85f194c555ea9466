"""Every JSON answer has one shape, errors too: {"status": the HTTP status, "data": …, "msg": "ok" or what is wrong}."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import numpy as np
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from hubel.errors import HubelError

JSON = "application/json"


def answer(
    data: Any, status: int = 200, msg: str = "ok", headers: Mapping[str, str] | None = None
) -> Response:
    """data: anything JSON knows, and NumPy's numbers and arrays; NaN and infinity become null."""
    return Response(packed(data, status, msg), status, headers, JSON)


def packed(data: Any, status: int = 200, msg: str = "ok") -> bytes:
    """The bytes of an answer."""
    whole = {"status": status, "data": data, "msg": msg}
    try:
        text = json.dumps(whole, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)
    except ValueError:
        text = json.dumps(_finite(whole), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")  # a file name may hold bytes that are no letters


def error(e: HubelError) -> Response:
    """A refusal, or any of our errors, as an answer."""
    return answer(None, e.http_status, str(e), getattr(e, "headers", None))


def install(app: FastAPI, refused: Callable[[HubelError], None]) -> None:
    """Have every error of the app answered in the envelope. refused: told each of our own"""

    async def ours(_: Request, e: Exception) -> Response:
        assert isinstance(e, HubelError)
        refused(e)
        return error(e)

    app.add_exception_handler(HubelError, ours)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(RequestValidationError, _of_arguments)
    app.add_exception_handler(Exception, _bug)


async def _of_http(request: Request, e: Exception) -> Response:
    assert isinstance(e, HTTPException)
    said = f"{request.method} {request.url.path}"
    if e.status_code == 404:
        msg = f"there is nothing at {request.url.path}; /docs lists what there is"
    elif e.status_code == 405:
        allowed = (e.headers or {}).get("Allow", "")
        msg = f"{said} is not possible" + (f"; use {allowed}" if allowed else "")
    else:
        msg = str(e.detail) or HTTPStatus(e.status_code).phrase
    return answer(None, e.status_code, msg, e.headers)


async def _of_arguments(_: Request, e: Exception) -> Response:
    assert isinstance(e, RequestValidationError)
    wrong = [f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in e.errors()[:5]]
    return answer(None, 422, "; ".join(wrong) or "the request's arguments are not understood")


async def _bug(_: Request, e: Exception) -> Response:
    return answer(None, 500, of_bug(e))


def of_bug(e: BaseException) -> str:
    """What is said of what nobody raised on purpose."""
    return f"this is a mistake of the service ({type(e).__name__}); its log tells where"


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is not for JSON")


def _finite(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = _plain(value)
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return value

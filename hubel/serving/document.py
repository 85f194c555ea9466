"""The service's own description: openapi.json, complete with bodies, errors and examples, and /docs, which shows it.

Routes that take pictures read their body themselves (inputs.asked), so FastAPI does not know of it; it is told here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.responses import FileResponse

from hubel.serving.inputs import asked, takes, wished

PLACE = Path(__file__).parent / "docs"
DESCRIPTION = """Answers of trained networks, and what happens inside them.

Every JSON answer is an envelope: `status` (the HTTP status again), `data`, and `msg`, which says what is wrong.
What is under `/v1/` is about the first run; about another it is under `/v1/models/{name}/`.
"""

# What may go wrong, route by route; the texts are what a client can do about it.
OF_ALL = {
    400: "No HTTP that can be read in one way only.", 431: "Too many bytes before the body.",
    401: "The service wants its token.", 403: "A page of another site asked.", 404: "There is no such thing.",
    405: "Another method is meant.", 421: "The service is not called so.", 422: "Something in the request is wrong.",
    500: "A mistake of the service.", 503: "Too busy, too late, or a run that could not be read. See Retry-After.",
}  # fmt: skip
OF_BODIES = {
    408: "The body did not arrive in time.", 413: "Too many bytes, pictures or pixels.",
    415: "The body is no picture that is read.",
}  # fmt: skip
PICTURE = {406: "Rows of numbers have no picture."}

ENVELOPE = {
    "type": "object",
    "required": ["status", "data", "msg"],
    "properties": {
        "status": {"type": "integer", "examples": [200]},
        "data": {},
        "msg": {"type": "string", "examples": ["ok"]},
    },
}
ITEMS: dict[str, Any] = {
    "image": {
        "type": "string",
        "description": "A picture file in base64, with or without data:…, before it.",
    },
    "images": {
        "type": "array",
        "items": {"type": "string"},
        "minItems": 1,
        "description": "Several of them.",
    },
    "pixels": {
        "type": "array",
        "items": {},
        "minItems": 1,
        "description": "(H, W), (H, W, C) or (C, H, W): whole numbers 0 to 255, or numbers 0 to 1.",
    },
    "sample": {"type": "integer", "minimum": 0, "description": "The number of a picture of the test part."},
    "samples": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1},
    "row": {"type": "array", "items": {"type": "number"}, "description": "Where the run takes numbers."},
    "rows": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}, "minItems": 1},
}
# Options in JSON, beside the picture where one is asked about, and an example.
NUMBER, WORD, WHOLE = {"type": "number"}, {"type": "string"}, {"type": "integer"}
ABOUT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "/predictions": ({"top": {"type": "integer", "minimum": 1, "maximum": 1000}}, {"top": 3}),
    "/maps": (
        {
            "layers": {"type": "array", "items": WORD},
            "first": WHOLE,
            "count": WHOLE,
            "side": WHOLE,
            "values": {"enum": ["uint8", "float32"]},
        },
        {},
    ),
    "/cell": (
        {"layer": WORD, "index": {"type": "array", "items": WHOLE}},
        {"layer": "features.0", "index": [0, 5, 5]},
    ),
    "/explanations": (
        {"method": WORD, "class": WORD, "contrast": WORD, "layer": WORD},
        {"method": "grad-cam"},
    ),
    "/attacks": ({"target": WORD, "method": WORD, "eps": NUMBER, "steps": WHOLE, "seed": WHOLE}, {}),
    "/lessons": (
        {
            "class": WORD,
            "steps": {"type": "array", "items": NUMBER},
            "gradients": {"type": "array", "items": WORD},
        },
        {"class": "3", "steps": [0.01]},
    ),
    "/dreams": ({"class": WORD, "layer": WORD, "map": WHOLE, "steps": WHOLE, "seed": WHOLE}, {"class": "3"}),
    "/feedback": ({"label": WORD, "answer": WORD}, {"label": "3"}),
}
BYTES = {"schema": {"type": "string", "format": "binary"}}


def body(options: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    """The requestBody of a route that takes pictures. options: what may stand beside the picture in JSON"""
    objects = {
        "type": "object",
        "properties": {**ITEMS, **options},
        "oneOf": [{"required": [name]} for name in ITEMS],
    }
    form = {
        "type": "object",
        "properties": {"file": {"type": "string", "format": "binary"}},
        "required": ["file"],
    }
    return {
        "required": True,
        "content": {
            "application/json": {"schema": objects, "example": example},
            "image/png": BYTES, "image/jpeg": BYTES, "image/webp": BYTES, "application/octet-stream": BYTES,
            "multipart/form-data": {"schema": form},
        },
    }  # fmt: skip


def wishes(options: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    """The requestBody of a route that takes options alone."""
    objects = {"type": "object", "properties": options}
    return {"content": {"application/json": {"schema": objects, "example": example}}}


def describe(part: APIRouter) -> None:
    """Tell FastAPI what bodies the routes of `part` read, and what each may answer."""
    for route in part.routes:
        if not isinstance(route, APIRoute):
            continue
        errors = dict(OF_ALL)
        options, example = ABOUT.get(route.path, ({}, {}))
        if takes(wished, route.dependant):
            errors |= {status: OF_BODIES[status] for status in (408, 413)}
            route.openapi_extra = {"requestBody": wishes(options, example)}
        if takes(asked, route.dependant):
            errors |= OF_BODIES
            route.openapi_extra = {"requestBody": body(options, {"sample": 17, **example})}
        if route.path == "/samples/{id}":
            errors |= PICTURE
        good = route.status_code or 200
        route.responses.update({status: _told(text) for status, text in errors.items()})
        route.responses[good] = _told("The answer.")
        if route.path == "/samples/{id}":
            route.responses[200]["content"]["image/png"] = BYTES
        if route.path == "/metrics":
            route.responses[200]["content"] = {"text/plain": {"schema": {"type": "string"}}}


def install(app: FastAPI, names: Sequence[str]) -> None:
    """Put the finished document in the place of FastAPI's own. names: of the runs that are served"""
    plain = app.openapi

    @lru_cache(1)
    def finished() -> dict[str, Any]:
        told = plain()
        told.setdefault("components", {}).setdefault("schemas", {})["Envelope"] = ENVELOPE
        for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's form of a 422, which is not ours
            told["components"]["schemas"].pop(name, None)
        for operation in (one for methods in told["paths"].values() for one in methods.values()):
            for parameter in operation.get("parameters", []):
                if (parameter["name"], parameter["in"]) == ("name", "path"):
                    parameter["schema"]["enum"] = list(names)
        told["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        told["security"] = [{}, {"token": []}]
        return told

    app.openapi = finished  # type: ignore[method-assign]


def page(app: FastAPI) -> APIRouter:
    """/docs: the document for people, made of openapi.json by a script of ours."""
    routes = APIRouter()

    @routes.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return FileResponse(PLACE / "index.html", headers={"Cache-Control": "no-cache"})

    @routes.get("/openapi.json", include_in_schema=False)
    async def document(request: Request) -> Response:
        told = {**app.openapi(), "servers": [{"url": str(request.base_url).rstrip("/")}]}
        return Response(json.dumps(told, ensure_ascii=False), media_type="application/json")

    return routes


def _told(text: str) -> dict[str, Any]:
    return {
        "description": text,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Envelope"}}},
    }

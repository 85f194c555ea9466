"""Answers written as bytes, many at a time: what the short way needs beside the network."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from hubel import metrics
from hubel.data.pictures import header
from hubel.run import Prediction

PICTURE = "picture"  # what an item is called that came without a name
TOP = 5  # classes of an answer, where nothing else is said
TINY_BYTES, TINY_PIXELS = 8_000, 10_000  # a PNG within both is decoded in some fifty microseconds
PNG = b"\x89PNG"
QUICK_BYTES, QUICK_PIXELS = 200_000, 1_000_000  # a picture within both is decoded in some ten milliseconds


def prediction(p: Prediction) -> dict[str, Any]:
    """A prediction for JSON."""
    if p.values:
        return {"item": p.item, "values": list(p.values)}
    return {"item": p.item, "answer": p.answer, "p": p.p, "top": [{"class": c, "p": q} for c, q in p.top]}


class Packing:
    """The whole answer for one picture, byte by byte what envelope.packed makes of its `prediction`."""

    def __init__(self, model: str, classes: Sequence[str]) -> None:
        names = [json.dumps(name, ensure_ascii=False) for name in classes]
        said, item = json.dumps(model, ensure_ascii=False), json.dumps(PICTURE)
        self.begin = [
            f'{{"status":200,"data":{{"model":{said},"predictions":[{{"item":{item},"answer":{name},"p":'
            for name in names
        ]
        self.one = [f'{{"class":{name},"p":' for name in names]
        self.top = min(TOP, len(classes))

    def packed(self, logits: np.ndarray) -> list[bytes]:
        """(N, K) finite logits -> N answers, best class first, among equals the lower one."""
        best = metrics.best(logits, self.top)  # (N, T)
        shares = np.take_along_axis(metrics.softmax(logits), best, 1)  # (N, T)
        return [self._one(k, p) for k, p in zip(best.tolist(), shares.tolist(), strict=True)]

    def _one(self, k: list[int], p: list[float]) -> bytes:
        top = ",".join([f"{self.one[i]}{q!r}}}" for i, q in zip(k, p, strict=True)])
        return f'{self.begin[k[0]]}{p[0]!r},"top":[{top}]}}]}},"msg":"ok"}}'.encode("utf-8", "replace")


def is_large(body: bytes) -> bool:
    """Whether decoding would take long, by the header."""
    return len(body) > QUICK_BYTES or _pixels(body) > QUICK_PIXELS


def is_tiny(body: bytes) -> bool:
    """Whether decoding takes some fifty microseconds."""
    return len(body) <= TINY_BYTES and body.startswith(PNG) and _pixels(body) <= TINY_PIXELS


def _pixels(body: bytes) -> int:
    """By the header; 0 where that cannot be read. A PNG has its sides in bytes 16 to 24 (ISO 15948, 11.2.1)."""
    if body.startswith(PNG) and len(body) >= 24:
        w, h = struct.unpack(">II", body[16:24])
    else:
        h, w, _ = header(body) or (0, 0, True)
    return int(w * h)

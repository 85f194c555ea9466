"""POST /v1/predictions: the run's own answers, however the picture comes."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from making import png
from online import told
from PIL import Image

import hubel

RNG = np.random.default_rng(0)
DIGIT = RNG.integers(0, 256, (8, 8), np.uint8)
OBLONG = RNG.integers(0, 256, (6, 9), np.uint8)


def encoded(pixels: np.ndarray, kind: str, **settings: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, **settings)
    return out.getvalue()


def in_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def answers(client, path="/v1/predictions", **request):
    data = told(client.post(path, **request))
    return data["predictions"]


def check(found: dict, run: hubel.Run, pixels: np.ndarray, top: int = 5) -> None:
    """What PyTorch answers for the pixels, by the run alone."""
    (wanted,) = run.predict([pixels], top=top)
    assert found["answer"] == wanted.answer and found["p"] == pytest.approx(wanted.p, rel=1e-5)
    assert [one["class"] for one in found["top"]] == [name for name, _ in wanted.top]
    assert [one["p"] for one in found["top"]] == pytest.approx([p for _, p in wanted.top], rel=1e-5)


@pytest.mark.parametrize("path, pixels, name", [
    ("/v1/predictions", DIGIT, "digits"),
    ("/v1/models/digits/predictions", DIGIT, "digits"),
    ("/v1/models/oblong/predictions", OBLONG, "oblong"),     # H != W: a swapped axis would not fit
])  # fmt: skip
def test_every_way_in_gives_the_run_s_own_answer(client, runs, path, pixels, name):
    run, picture = hubel.load(runs[name]), png(pixels)
    ways = {
        "raw": {"content": picture},
        "raw, as curl sends it": {
            "content": picture,
            "headers": {"Content-Type": "application/x-www-form-urlencoded"},
        },
        "form": {"files": [("file", ("one.png", picture))]},
        "base64": {"json": {"image": in_base64(picture)}},
        "data address": {"json": {"image": "data:image/png;base64," + in_base64(picture)}},
        "list": {"json": {"images": [in_base64(picture)]}},
        "pixels": {"json": {"pixels": pixels.tolist()}},
        "channel first": {"json": {"pixels": [pixels.tolist()]}},
        "fractions": {"json": {"pixels": (pixels / 255).tolist()}},
    }
    for request in ways.values():
        (found,) = answers(client, path, **request)
        check(found, run, pixels)


def test_the_short_way_says_byte_by_byte_what_the_long_way_says(client):
    short = client.post("/v1/predictions", content=png(DIGIT))
    long = client.post("/v1/predictions?top=5", content=png(DIGIT))
    assert short.content == long.content
    assert short.headers["content-type"] == long.headers["content-type"]


def test_several_pictures_keep_their_order_and_names(client, runs):
    run = hubel.load(runs["digits"])
    pictures = RNG.integers(0, 256, (70, 8, 8), np.uint8)  # more than one batch
    found = answers(client, files=[("file", (f"{n}.png", png(p))) for n, p in enumerate(pictures)])
    assert [one["item"] for one in found] == [f"{n}.png" for n in range(70)]
    for one, pixels in zip(found, pictures, strict=True):
        check(one, run, pixels)


def test_top_says_how_many_classes(client):
    (found,) = answers(client, json={"pixels": DIGIT.tolist(), "top": 2})
    assert len(found["top"]) == 2
    (found,) = answers(client, "/v1/predictions?top=10", content=png(DIGIT))
    assert len(found["top"]) == 10 and sum(one["p"] for one in found["top"]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_a_format_that_loses_nothing_loses_nothing(client, runs, kind):
    content = encoded(DIGIT, kind, **({"lossless": True} if kind == "WEBP" else {}))
    (found,) = answers(client, content=content)
    check(found, hubel.load(runs["digits"]), DIGIT)


def test_a_jpeg_is_answered(client):
    (found,) = answers(client, content=encoded(DIGIT, "JPEG"))
    assert found["answer"] in "0123456789"


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_counts(client, runs, kind):
    frames = [Image.fromarray(p) for p in (DIGIT, 255 - DIGIT, np.zeros_like(DIGIT))]
    out = io.BytesIO()
    settings = {"lossless": True} if kind == "WEBP" else {}
    frames[0].save(out, kind, save_all=True, append_images=frames[1:], **settings)
    (found,) = answers(client, content=out.getvalue())
    check(found, hubel.load(runs["digits"]), DIGIT)


@pytest.mark.parametrize("h, w", [(1, 1), (1, 5000), (5000, 1), (1200, 1200)])
def test_the_oddest_sizes_are_answered(client, runs, h, w):
    pixels = (np.add.outer(np.arange(h), np.arange(w)) % 251).astype(np.uint8)
    (found,) = answers(client, content=png(pixels))
    check(found, hubel.load(runs["digits"]), pixels)


def test_rows_of_numbers_are_answered_where_the_run_takes_them(client, runs):
    run = hubel.load(runs["points"])
    rows = [[0.25, -1.5], [2.0, 0.5]][: len(run.preprocess.shape) * 2]
    rows = [(row * 8)[: run.preprocess.shape[0]] for row in rows]
    found = answers(client, "/v1/models/points/predictions", json={"rows": rows})
    for one, wanted in zip(found, run.predict([np.array(r, np.float32) for r in rows]), strict=True):
        assert one["answer"] == wanted.answer and one["p"] == pytest.approx(wanted.p, rel=1e-5)


def test_samples_are_asked_by_number(client, service):
    split = service.models["digits"].samples.split
    found = answers(client, json={"samples": [3, 0]})
    assert [one["item"] for one in found] == [split.items[3], split.items[0]]
    single = told(client.get("/v1/predictions/3"))
    assert (single["id"], single["item"], single["answer"]) == (3, found[0]["item"], found[0]["answer"])
    assert single["p"] == pytest.approx(found[0]["p"], rel=1e-5)

"""What is refused, and how: the right status, the envelope, a sentence that helps; and never a 500."""

from __future__ import annotations

import base64
import json
import re
import socket
import struct
import zlib

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making import png
from online import told

from hubel.serving.limits import Limits

PICTURE = png(np.arange(64).reshape(8, 8))
JSON = {"Content-Type": "application/json"}


def bomb(w: int, h: int) -> bytes:
    """A PNG that says it is w x h, of which nothing else is true: it is refused by its header."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", w, h, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def coded(content: bytes) -> str:
    return base64.b64encode(content).decode()


REFUSED = [
    ("more bytes than are read", {"content": PICTURE + bytes(1 << 20)}, 413, "1,048,576 bytes"),
    ("too many pixels", {"content": bomb(7_001, 8_000)}, 413, "56,008,000 pixels, more than the 56,000,000"),
    ("too many pixels in JSON", {"json": {"image": coded(bomb(50_000, 50_000))}}, 413, "decompression bomb"),
    ("too many pixels in a form", {"files": [("a", ("a.png", bomb(7_001, 8_000)))]}, 413, "more than the 56,000,000"),
    ("too many pictures", {"json": {"images": [coded(PICTURE)] * 257}}, 413, "images has 257 entries, and 256 are the most at once"),
    ("too many files", {"files": [("a", ("a.png", PICTURE))] * 257}, 413, "more than 256 files, and 256 are the most at once"),
    ("nothing", {"content": b""}, 422, "the body is empty"),
    ("a text", {"content": b"hello", "headers": {"Content-Type": "text/plain"}}, 415, r"\(text/plain\) is no picture"),
    ("a drawing of vectors", {"content": b"<svg/>", "headers": {"Content-Type": "image/svg+xml"}}, 415, "is no picture"),
    ("a program", {"content": b"\x7fELF" + bytes(100)}, 415, "of no said type"),
    ("a cut-off picture", {"content": PICTURE[:-30]}, 422, "cannot be decoded"),
    ("a picture's first bytes alone", {"content": PICTURE[:8]}, 422, "no picture, or damaged"),
    ("a damaged picture", {"content": PICTURE[:40] + b"\0\0\0\0" + PICTURE[44:]}, 422, "the picture"),
    ("a form without a file", {"data": {"top": "3"}, "files": {"x": (None, "text")}}, 422, "the form has no file"),
    ("a form that is none", {"content": b"--x", "headers": {"Content-Type": "multipart/form-data; boundary=y"}}, 422, "form"),
    ("a form without a boundary", {"content": b"--x", "headers": {"Content-Type": "multipart/form-data"}}, 422, "form"),
    ("no JSON", {"content": b"{", "headers": JSON}, 422, "not JSON"),
    ("no object", {"json": [1, 2]}, 422, "must be an object, {…}, not list"),
    ("no Unicode", {"content": b'{"image": "\xff"}', "headers": JSON}, 422, "not JSON"),
    ("none of the keys", {"json": {"picture": "x"}}, 422, "none of them"),
    ("two of the keys", {"json": {"sample": 1, "row": [1]}}, 422, "sample, row"),
    ("deep JSON", {"content": b'{"pixels": ' + b"[" * 100_000, "headers": JSON}, 422, "nested more than 32"),
    ("deep objects", {"content": b'{"a":' * 100_000, "headers": JSON}, 422, "nested more than 32"),
    ("NaN", {"content": b'{"pixels": [[NaN, 1.0]]}', "headers": JSON}, 422, "NaN is not a number"),
    ("a number beyond all", {"content": b'{"pixels": [[1e999]]}', "headers": JSON}, 422, "0..1"),
    ("a whole number beyond all", {"content": b'{"pixels": [[' + b"9" * 5000 + b"]]}", "headers": JSON}, 422, "not JSON"),
    ("pixels above 255", {"json": {"pixels": [[0, 256]]}}, 422, "0..255, here are 0..256"),
    ("pixels below 0", {"json": {"pixels": [[-1, 5]]}}, 422, r"-1\.\.5"),
    ("ragged pixels", {"json": {"pixels": [[1, 2], [3]]}}, 422, "different lengths"),
    ("pixels of letters", {"json": {"pixels": [["a"]]}}, 422, "lists of numbers"),
    ("no pixels", {"json": {"pixels": []}}, 422, "lists of numbers"),
    ("five axes", {"json": {"pixels": [[[[[1]]]]]}}, 422, r"\(H, W\)"),
    ("no base64", {"json": {"image": "§§§"}}, 422, "not base64"),
    ("a picture as a number", {"json": {"image": 7}}, 422, "base64, not int"),
    ("an empty list", {"json": {"images": []}}, 422, "something in it"),
    ("a sample that is a text", {"json": {"sample": "3"}}, 422, "not the number of a sample"),
    ("a sample that is true", {"json": {"sample": True}}, 422, "not the number of a sample"),
    ("a sample beyond the last", {"json": {"sample": 10_000}}, 404, "they go from 0 to 358"),
    ("a negative sample", {"json": {"samples": [0, -1]}}, 404, "there is no sample -1"),
    ("numbers for a network of pictures", {"json": {"row": [1, 2]}}, 422, "."),
    ("no classes at all", {"json": {"sample": 1, "top": 0}}, 422, "top must be a number from 1 to 1000"),
    ("half a class", {"json": {"sample": 1, "top": 1.5}}, 422, "whole number"),
    ("an option that is none, in JSON", {"json": {"sample": 1, "topp": 3}}, 422, "no option named 'topp'. Did you mean 'top'\\? Known: top"),
    ("an option that is none, in a form", {"data": {"tpo": "3"}, "files": {"x": PICTURE}}, 422, "'tpo'.*Known: top"),
    ("an option that is none, in the query", {"params": {"tob": "3"}, "content": PICTURE}, 422, "'tob'.*Known: top"),
    ("… beside a form", {"params": {"label": "3"}, "files": {"x": PICTURE}}, 422, "'label'.*Known: top"),
    ("… beside JSON", {"params": {"label": "3"}, "json": {"sample": 1}}, 422, "'label'.*Known: top"),
    ("an option twice in the query", {"params": [("top", "3"), ("top", "4")], "content": PICTURE}, 422, "top is said twice"),
    ("… in JSON", {"content": b'{"sample": 1, "top": 1, "top": 2}', "headers": JSON}, 422, "top is said twice"),
    ("… in the query and in JSON", {"params": {"top": "3"}, "json": {"sample": 1, "top": 4}}, 422, "top is said twice"),
    ("… in a form", {"data": {"top": ["3", "4"]}, "files": {"x": PICTURE}}, 422, "top is said twice"),
    ("… in the query and in a form", {"params": {"top": "3"}, "data": {"top": "4"}, "files": {"x": PICTURE}}, 422, "top is said twice"),
    ("top as a truth", {"json": {"sample": 1, "top": True}}, 422, "top must be"),
]  # fmt: skip


@pytest.mark.parametrize("what, request_, status, message", REFUSED, ids=[row[0] for row in REFUSED])
def test_a_bad_request_is_told_what_is_wrong(client, what, request_, status, message):
    msg = told(client.post("/v1/predictions", **request_), status)
    assert re.search(message, msg), msg
    assert "Traceback" not in msg


@pytest.mark.parametrize("method, path, status, message", [
    ("GET", "/v1/nothing", 404, "there is nothing at /v1/nothing"),
    ("POST", "/v1/nothing", 404, "there is nothing"),
    ("GET", "/nothing", 404, "there is nothing"),
    ("GET", "/page/nothing.js", 404, "there is nothing"),
    ("GET", "/page/../../run.py", 404, "there is nothing"),
    ("GET", "/v1/models/nobody/model", 404, "no model named 'nobody'; there are digits, oblong, points"),
    ("GET", "/v1/models/nobody/feedback", 404, "no model named 'nobody'"),
    ("GET", "/v1/samples/359", 404, "they go from 0 to 358"),
    ("GET", "/v1/predictions/359", 404, "they go from 0 to 358"),
    ("GET", "/v1/similar/359", 404, "they go from 0 to 358"),
    ("GET", "/v1/samples?label=cat", 404, "no class named 'cat'"),
    ("GET", "/v1/samples/x", 422, "id: "),
    ("GET", "/v1/samples?limit=0", 422, "limit: "),
    ("GET", "/v1/samples?offset=-1", 422, "offset: "),
    ("GET", "/v1/samples?limitt=3", 422, "no option named 'limitt'. Did you mean 'limit'? Known: offset, limit, mistakes"),
    ("GET", "/v1/samples?limit=3&limit=4", 422, "limit is said twice"),
    ("GET", "/v1/models/digits/kernel?layer=x&maps=3", 422, "no option named 'maps'. Did you mean 'map'?"),
    ("GET", "/v1/models/digits/kernel?layer=x&map=0&side=3", 422, "no option named 'side'. Known: layer, map"),
    ("GET", "/v1/predictions/3?label=3", 422, "no option named 'label'. Known: top"),
    ("GET", "/v1/model?name=x", 422, "there are no options here, and 'name' was said"),
    ("GET", "/v1/models?all=1", 422, "there are no options here"),
    ("POST", "/v1/dreams?klass=3", 422, "Did you mean 'class'? Known: class, layer"),
    ("POST", "/v1/maps?sample=3", 422, "the body is empty"),
    ("GET", "/v1/predictions", 405, "GET /v1/predictions is not possible; use POST"),
    ("POST", "/v1/samples", 405, "use GET"),
    ("DELETE", "/v1/predictions", 405, "use POST"),
    ("PUT", "/v1/model", 405, "use GET"),
])  # fmt: skip
def test_a_wrong_address_is_told_what_is_wrong(client, method, path, status, message):
    assert message in told(client.request(method, path), status)


def test_a_picture_of_a_row_of_numbers_is_refused(client):
    response = client.get("/v1/models/points/samples/0", headers={"Accept": "image/png"})
    assert "no picture" in told(response, 406)


def test_a_body_that_is_announced_too_long_is_refused_before_it_is_sent(client):
    """Nothing of the body goes over the line, and the answer comes all the same."""
    url = client.base_url
    with socket.create_connection((url.host, url.port), timeout=20) as line:
        line.sendall(
            b"POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\nContent-Type: image/png\r\n\r\n"
        )
        assert line.recv(4096).startswith(b"HTTP/1.1 413")


def test_a_body_of_no_announced_length_is_refused_where_it_grows_too_long(client):
    """Chunked: 64 kB at a time, without end; the answer must come before the sender is through with 64 MB."""

    def endless():
        for _ in range(1000):
            yield PICTURE + bytes(1 << 16)

    try:
        response = client.post("/v1/predictions", content=endless())
    except (httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
        return  # refused and hung up before we were through
    assert "1,048,576 bytes" in told(response, 413)


def test_a_body_that_does_not_come_is_not_waited_for(serving):
    with (
        serving(Limits(deadline=0.3)) as client,
        socket.create_connection((client.base_url.host, client.base_url.port), timeout=20) as line,
    ):
        line.sendall(b"POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf")
        assert line.recv(4096).startswith(b"HTTP/1.1 408")


def test_an_error_says_its_headers_too(client):
    response = client.get("/v1/predictions")
    assert response.headers["allow"] == "POST"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
keyed = st.dictionaries(
    st.sampled_from(["image", "images", "pixels", "sample", "samples", "row", "rows", "top"]),
    anything,
    max_size=3,
)


@settings(max_examples=150, deadline=None)
@given(said=anything | keyed, path=st.sampled_from(["/v1/predictions", "/v1/models/points/predictions"]))
def test_no_json_makes_the_service_fail(client, said, path):
    response = client.post(path, content=json.dumps(said), headers=JSON)
    assert response.status_code in (200, 404, 413, 422)
    assert response.json()["status"] == response.status_code


@settings(max_examples=150, deadline=None)
@given(start=st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"BM", b"II*\0", b"RIFF\0\0\0\0WEBP", b"P5 2 2 255 "]), rest=st.binary(max_size=200))  # fmt: skip
def test_no_bytes_make_the_service_fail(client, start, rest):
    response = client.post("/v1/predictions", content=start + rest)
    assert response.status_code in (200, 413, 415, 422)
    assert response.json()["status"] == response.status_code

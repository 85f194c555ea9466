"""Who may ask, and what every answer carries."""

from __future__ import annotations

import pytest
from making import flat
from online import told

from hubel.errors import InputError
from hubel.serving.door import Rules, name_of
from hubel.serving.server import Settings

PATHS = [
    "/",
    "/v1/model",
    "/v1/nothing",
    "/v1/samples/0",
    "/healthz",
    "/readyz",
    "/metrics",
    "/docs",
    "/openapi.json",
]


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_forbids_what_the_page_does_not_need(client, path):
    head = client.get(path).headers
    policy = dict(part.strip().partition(" ")[::2] for part in head["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'" and policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert head["x-content-type-options"] == "nosniff" and head["x-frame-options"] == "DENY"
    assert "access-control-allow-origin" not in head


def test_the_short_way_carries_the_same_headers(client):
    short, long = (
        client.post(f"/v1/predictions{query}", content=flat(9)).headers for query in ("", "?top=5")
    )
    assert {k: v for k, v in short.items() if k != "date"} == {k: v for k, v in long.items() if k != "date"}


@pytest.mark.parametrize("path, method", [("/v1/model", "GET"), ("/v1/predictions", "POST"), ("/", "GET")])
def test_a_name_that_is_not_ours_is_refused(client, path, method):
    """Against DNS rebinding: a stranger's name that points at 127.0.0.1 makes the browser send that name."""
    response = client.request(
        method, path, headers={"Host": "evil.example"}, content=flat(9) if method == "POST" else None
    )
    assert "'evil.example'" in told(response, 421)
    for host in ("localhost:1", "127.0.0.1", "[::1]:80", "LOCALHOST"):
        assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host, name", [
    ("localhost:8000", "localhost"), ("127.0.0.1", "127.0.0.1"), ("[::1]:80", "::1"), ("[::1]", "::1"), ("", ""),
])  # fmt: skip
def test_a_host_is_told_from_its_port(host, name):
    assert name_of(host) == name


def test_pages_of_other_sites_may_not_ask(client):
    own = str(client.base_url).rstrip("/")
    for query in ("", "?top=5"):  # both ways
        for origin in ("https://evil.example", "null", own.replace("http", "https") + "1"):
            response = client.post(f"/v1/predictions{query}", content=flat(9), headers={"Origin": origin})
            assert "may not ask here" in told(response, 403)
        assert (
            client.post(f"/v1/predictions{query}", content=flat(9), headers={"Origin": own}).status_code
            == 200
        )


def test_a_site_that_was_named_may_ask(serving):
    site = {"Origin": "https://good.example"}
    with serving(rules=Rules(origins=("https://good.example",))) as client:
        answer = client.post("/v1/predictions", content=flat(9), headers=site)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "https://good.example"
        before = client.options("/v1/predictions", headers={**site, "Access-Control-Request-Method": "POST"})
        assert before.status_code == 204
        assert "POST" in before.headers["access-control-allow-methods"]
        told(client.post("/v1/predictions", content=flat(9), headers={"Origin": "https://evil.example"}), 403)


def test_with_a_token_nothing_answers_without_it_but_pages_and_probes(serving):
    with serving(rules=Rules(token="s3cret")) as client:
        for bad in (
            {},
            {"Authorization": "Bearer s3cre"},
            {"Authorization": "s3cret"},
            {"Authorization": "Bearer s3crett"},
            {"Authorization": "Basic s3cret"},
            {"Authorization": "Bearer"},
        ):
            for path in (
                "/v1/model",
                "/v1/samples/0",
                "/metrics",
                "/openapi.json",
                "/nothing",
                "/docsx",
                "/page/../v1/model",
            ):
                response = client.get(path, headers=bad)
                assert "Authorization: Bearer TOKEN" in told(response, 401)
                assert response.headers["www-authenticate"] == "Bearer"
            told(client.post("/v1/predictions", content=flat(9), headers=bad), 401)
            told(client.post("/v1/predictions?top=1", content=flat(9), headers=bad), 401)
            told(client.options("/v1/model", headers=bad), 401)
        for good in (
            {"Authorization": "Bearer s3cret"},
            {"Authorization": "bearer  s3cret"},
        ):  # RFC 9110, 11.1
            assert client.post("/v1/predictions", content=flat(9), headers=good).status_code == 200
            assert client.get("/v1/model", headers=good).status_code == 200
        for path in ("/", "/healthz", "/readyz", "/docs", "/page/main.js", "/docs/docs.js"):
            assert client.get(path).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7"])
def test_a_service_that_others_can_reach_wants_a_token(host):
    with pytest.raises(InputError, match=r"--token .* or --insecure"):
        Settings(("x",), host=host).check()
    Settings(("x",), host=host, token="t").check()
    Settings(("x",), host=host, insecure=True).check()
    for loopback in ("127.0.0.1", "::1", "localhost"):
        Settings(("x",), host=loopback).check()


def test_what_is_refused_is_counted_by_reason(serving):
    with serving() as client:
        client.get("/healthz", headers={"Host": "evil.example"})
        client.post("/v1/predictions", content=b"")
        client.post("/v1/predictions", content=flat(9))
        client.post("/v1/predictions", content=flat(9)[:50])
        client.post("/v1/predictions", json={"sample": -5})
        lines = client.get("/metrics").text.splitlines()
        for line in (
            'hubel_rejected_total{reason="host"} 1.0',
            'hubel_rejected_total{reason="empty"} 1.0',
            'hubel_rejected_total{reason="picture"} 1.0',
            'hubel_rejected_total{reason="sample"} 1.0',
            'hubel_requests_total{route="/v1/predictions, raw",status="200"} 1.0',
            'hubel_requests_total{route="/v1/predictions, raw",status="422"} 2.0',
            'hubel_requests_total{route="/v1/predictions",status="404"} 1.0',
            'hubel_batch_size_sum{model="digits"} 1.0',
            'hubel_queue_depth{model="digits"} 0.0',
        ):
            assert line in lines, line


@pytest.mark.parametrize("path, status", [
    ("/", 200), ("/healthz", 200), ("/page/main.js", 200), ("/openapi.json", 200), ("/v1/model", 200),
    ("/v1/models/oblong/samples/3", 200), ("/v1/samples/9999", 404), ("/v1/nothing", 404), ("/v1/attacks", 405),
])  # fmt: skip
def test_head_says_what_get_says_without_the_body(client, path, status):
    head, get = client.head(path), client.get(path)
    assert head.status_code == get.status_code == status and head.content == b"" != get.content
    told_by = [{k: v for k, v in r.headers.items() if k != "date"} for r in (head, get)]
    assert told_by[0] == told_by[1] and int(head.headers["content-length"]) == len(get.content)

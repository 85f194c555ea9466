"""The service's description: complete, true, and shown without help from elsewhere."""

from __future__ import annotations

import json
import re

import needs
import pytest
from online import on_line, told
from selenium.webdriver.common.keys import Keys

from hubel.serving.app import make_app
from hubel.serving.door import Rules


@pytest.fixture(scope="module")
def document(client):
    return client.get("/openapi.json").json()


def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def test_every_reference_leads_somewhere(document):
    for name in re.findall(r'"\$ref": "#/components/schemas/(\w+)"', json.dumps(document)):
        assert name in document["components"]["schemas"]


def test_every_answer_and_every_error_is_in_the_envelope(document):
    for method, path, operation in operations(document):
        assert {"401", "404", "405", "422", "500", "503"} <= set(operation["responses"]), (method, path)
        for status, response in operation["responses"].items():
            if (path, status) == ("/metrics", "200"):  # Prometheus's own form
                continue
            assert response["content"]["application/json"]["schema"] == {
                "$ref": "#/components/schemas/Envelope"
            }


def test_every_route_of_one_run_stands_under_both_prefixes(document):
    one = {
        p.removeprefix("/v1/models/{name}") for p in document["paths"] if p.startswith("/v1/models/{name}/")
    }
    first = {p.removeprefix("/v1") for p in document["paths"] if p.startswith("/v1/") and "models" not in p}
    assert one == first and "/predictions" in one
    for method, path, operation in operations(document):
        named = [p["name"] for p in operation.get("parameters", []) if p["in"] == "path"]
        assert sorted(named) == sorted(re.findall(r"{(\w+)}", path)), (method, path)


def test_routes_that_take_pictures_say_how(document):
    bodied = {path for _, path, operation in operations(document) if "requestBody" in operation}
    assert {"/v1/predictions", "/v1/feedback", "/v1/models/{name}/predictions"} <= bodied
    content = document["paths"]["/v1/predictions"]["post"]["requestBody"]["content"]
    assert {"application/json", "image/png", "multipart/form-data"} <= set(content)
    for status in ("408", "413", "415"):
        assert status in document["paths"]["/v1/predictions"]["post"]["responses"]


def test_the_document_s_own_examples_are_answered(client, document):
    for method, path, operation in operations(document):
        if method == "get":
            response = client.get(
                path.replace("{name}", "digits").replace("{id}", "17"), params=needed(operation, client)
            )
            assert response.status_code == 200, (path, response.text)
        elif "requestBody" in operation and path.endswith("/predictions"):
            example = operation["requestBody"]["content"]["application/json"]["example"]
            told(client.post(path.replace("{name}", "digits"), json=example))


def needed(operation, client):
    """Parameters without which a route cannot be asked: of the kernel's, a layer."""
    known = {"layer": told(client.get("/v1/model"))["layers"][0]["name"], "map": 0}
    return {
        p["name"]: known[p["name"]]
        for p in operation.get("parameters", [])
        if p.get("required") and p["in"] == "query"
    }


def test_the_page_shows_every_route_and_asks_no_other_place(service, browser_tab):
    with on_line(make_app(service)) as address:
        tab = browser_tab
        tab.get(f"{address}/docs")
        shown = "return [...document.querySelectorAll('article h3')].map(h => h.textContent)"
        wait_until(lambda: tab.execute_script(shown))
        paths = service_paths(service)
        assert set(tab.execute_script(shown)) == {f"{m.upper()}{p}" for m, p in paths if "{name}" not in p}
        button = tab.find_element("css selector", "#get-v1-model button")
        button.click()
        answer = tab.find_element("css selector", "#get-v1-model pre[tabindex]:last-of-type")
        wait_until(lambda: answer.text.startswith("200"))
        asked = {
            json.loads(entry["message"])["message"]["params"].get("request", {}).get("url", "")
            for entry in tab.get_log("performance")
            if "requestWillBeSent" in entry["message"]
        }
        assert {url for url in asked if url.startswith("http") and not url.startswith(address)} == set()
        assert [entry for entry in tab.get_log("browser") if entry["level"] == "SEVERE"] == []
        tab.set_window_size(360, 800)
        assert (
            tab.execute_script("return document.documentElement.scrollWidth") <= 500
        )  # Chromium's least is 500


def test_the_page_asks_for_the_token_and_shows_it(service, browser_tab):
    with on_line(make_app(service, Rules(token="s3cret"))) as address:
        tab = browser_tab
        tab.get(f"{address}/docs")
        field = tab.find_element("css selector", "#token input")
        wait_until(field.is_displayed)
        field.send_keys("wrong", Keys.ENTER)
        wait_until(lambda: "not it" in tab.find_element("css selector", "#token [role=status]").text)
        field.send_keys("s3cret", Keys.ENTER)
        wait_until(lambda: tab.find_elements("css selector", "#get-metrics button"))
        assert not field.is_displayed()
        tab.find_element("link text", "metrics").click()
        tab.find_element("css selector", "#get-metrics button").click()
        answer = tab.find_element("css selector", "#get-metrics pre[tabindex]:last-of-type")
        wait_until(lambda: "hubel_requests_total" in answer.text)
        commands = {
            p: tab.find_element("css selector", f"#get-{p} pre").get_attribute("textContent")
            for p in ("metrics", "readyz")
        }
        assert "Bearer $HUBEL_TOKEN" in commands["metrics"] and "Bearer" not in commands["readyz"]
        link = tab.find_element("link text", "openapi.json")
        assert link.get_attribute("href").startswith("blob:") and link.get_attribute("download")


def service_paths(service):
    app = make_app(service).app
    return [(method, path) for method, path, _ in operations(app.openapi())]


def wait_until(true, tries=200):
    """Ask again, as the browser goes its own pace; fails when it has been asked often enough."""
    import threading

    for _ in range(tries):
        if true():
            return
        threading.Event().wait(0.05)
    raise AssertionError("it did not come about")


@pytest.fixture
def browser_tab(tmp_path):
    with needs.chrome(tmp_path / "profile") as tab:
        yield tab

"""The page and its service: a token, corrections that are kept, and a service that goes away and comes back."""

from __future__ import annotations

import httpx
from hands import CELL, SEVEN, all_of, answered, choose, draw, hover, one, press, ready, until

from hubel.data.feedback import Store
from hubel.serving.door import Rules


def test_a_token_is_asked_for_until_it_is_right_and_then_remembered(page, another, shot):
    address = another(Rules(token="open sesame"))
    until(page, "document.querySelector('#token-box[open] input')")
    assert all_of(page, ".row") == []
    shot("asked")
    one(page, "#token-box input").send_keys("sesame")
    press(page, "ENTER")
    until(page, "document.querySelector('#token-box[open] input')?.value === ''")  # asked again
    one(page, "#token-box input").send_keys("open sesame")
    press(page, "ENTER")
    ready(page)
    draw(page, *SEVEN)
    answered(page)
    page.refresh()
    ready(page)
    assert all_of(page, "dialog[open]") == []
    assert httpx.get(f"{address}/v1/models").status_code == 401  # it is wanted indeed
    refused = page.get_log("browser")  # Chromium itself notes each 401
    assert refused and all("401" in entry["message"] for entry in refused)


def test_a_token_that_is_not_given_leaves_words(page, another, shot):
    another(Rules(token="open sesame"))
    until(page, "document.querySelector('#token-box[open] input')")
    press(page, "ESCAPE")
    until(page, "document.getElementById('status').textContent.includes('only with its token')")
    assert all_of(page, "dialog[open]") == []
    toast = one(
        page, "#toast"
    ).rect  # in one line where there is room: it once shared a class with a narrow grid
    assert toast["width"] > 400 and toast["height"] < 60
    shot("put-away")
    page.get_log("browser")


def test_a_correction_is_kept_as_it_was_sent(page, another, tmp_path, shot):
    place = str(tmp_path / "kept")
    address = another(feedback=place)
    ready(page)
    assert not one(page, "#feedback").is_displayed()  # nothing to correct yet
    draw(page, *SEVEN)
    answer = answered(page)
    true = "1" if answer != "1" else "2"
    choose(page, "#truth", true)
    assert httpx.get(f"{address}/v1/feedback").json()["data"]["count"] == 0  # choosing is not sending
    one(page, "#feedback button").click()
    until(page, "document.querySelector('#feedback [role=status]')")
    assert one(page, "#feedback").text == "Kept, thank you."
    shot("thanks")
    store = Store(place)
    (kept,) = store.corrections()
    store.close()
    assert (kept.label, kept.answer, kept.model) == (true, answer, "digits")
    draw(page, (0.3, 0.1), at=(0.3, 0.6))
    until(page, "document.getElementById('truth')")  # another picture may be corrected again


def test_the_correction_box_is_not_there_where_nothing_is_kept(page):
    ready(page)
    draw(page, *SEVEN)
    answered(page)
    assert not one(page, "#feedback").is_displayed()


def network(page, offline, latency=0, speed=-1):
    said = {"offline": offline, "latency": latency, "downloadThroughput": speed, "uploadThroughput": speed}
    page.execute_cdp_cmd("Network.enable", {})
    page.execute_cdp_cmd("Network.emulateNetworkConditions", said)


def test_a_service_that_comes_back_is_asked_again_unasked(page, shot):
    ready(page)
    network(page, offline=True)
    try:
        draw(page, *SEVEN)
        until(page, "document.getElementById('toast').textContent.startsWith('The service does not answer')")
        assert all_of(page, "#verdict b") == []
        shot("away")
    finally:
        network(page, offline=False)
    answered(page)
    page.get_log("browser")  # Chromium itself reports that it was offline


def test_what_takes_long_shows_that_it_does(page):
    ready(page)
    network(page, offline=False, latency=1500)
    try:
        draw(page, *SEVEN)
        until(page, "document.body.classList.contains('busy')")
    finally:
        network(page, offline=False)
    answered(page)
    until(page, "!document.body.classList.contains('busy')")


def test_the_status_line_says_what_can_be_done_then_what_is_pointed_at(page):
    ready(page)
    text = "return document.getElementById('status').textContent"
    assert page.execute_script(text).startswith("Draw or pick")
    draw(page, *SEVEN)
    answered(page)
    assert page.execute_script(text).startswith("Point at a cell")
    hover(page, CELL, 20, 20).perform()
    until(page, "document.getElementById('status').textContent.startsWith('features.0')")
    choose(page, "#other", "other")
    until(page, "document.getElementById('status').textContent.startsWith('Both say')"
                " || document.getElementById('status').textContent.includes(' says ')")  # fmt: skip
    told = page.execute_script(text)
    hover(page, CELL, 20, 20).perform()
    hover(page, "#pad", 5, 5).perform()
    until(page, f"document.getElementById('status').textContent === {told!r}")

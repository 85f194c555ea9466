"""The page as people use it: by mouse, by finger, by keyboard, on a phone, in two languages."""

from __future__ import annotations

import base64
import json
import os
import re
from pathlib import Path

import httpx
import numpy as np
import pytest

from hubel.serving import app

CELL = "[data-layer='features.0'] canvas"


def resize(page, width, height, mobile=False):
    said = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", said)


def one(page, css):
    return page.find_element("css selector", css)


def all_of(page, css):
    return page.find_elements("css selector", css)


def until(page, script, seconds=15):
    """Wait until a piece of JavaScript is true; its value."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(page, seconds, 0.03).until(lambda p: p.execute_script(f"return {script}"))


def ready(page):
    until(page, "document.querySelectorAll('.row').length > 5")
    return page


# The answer, once nothing has been asked for a while: while a stroke is drawn, answers follow one another.
RESTING = """(() => {
    const asked = performance.getEntriesByType("resource").length;
    const answer = document.querySelector("#verdict b")?.textContent, state = asked + " " + answer;
    if (window.seenState !== state) Object.assign(window, { seenState: state, seenAt: performance.now() });
    return performance.now() - window.seenAt > 200 ? answer : null;
})()"""


def answered(page):
    """The class that is answered."""
    return until(page, RESTING, 30)


def draw(page, *ways, at=(0.3, 0.25)):
    """One stroke on the pad, from a place, by steps; all as shares of its side."""
    from selenium.webdriver import ActionChains

    pad = one(page, "#pad")
    side = pad.size["width"]
    chain = ActionChains(page, duration=10)
    chain.move_to_element_with_offset(
        pad, int((at[0] - 0.5) * side), int((at[1] - 0.5) * side)
    ).click_and_hold()
    for dx, dy in ways:
        chain.move_by_offset(int(dx * side), int(dy * side))
    chain.release().perform()


SEVEN = ((0.4, 0), (-0.12, 0.3), (-0.1, 0.25))


def press(page, *keys):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    chain = ActionChains(page)
    for key in keys:
        chain.send_keys(getattr(Keys, key, key))
    chain.perform()


def tab_to(page, css, most=60):
    for _ in range(most):
        if page.execute_script("return document.activeElement.matches(arguments[0])", css):
            return
        press(page, "TAB")
    raise AssertionError(f"{css} is not reached by Tab")


def choose(page, css, value):
    from selenium.webdriver.support.ui import Select

    Select(one(page, css)).select_by_value(value)


def pixels(page, css):
    """Whether a canvas shows something: its distinct colours."""
    script = """
        const seen = document.querySelector(arguments[0]), copy = document.createElement("canvas");
        Object.assign(copy, { width: seen.width, height: seen.height });
        const context = copy.getContext("2d", { willReadFrequently: true });
        context.drawImage(seen, 0, 0);
        return new Set(new Uint32Array(context.getImageData(0, 0, copy.width, copy.height).data.buffer)).size;
    """
    return page.execute_script(script, css)


# ---- opening


def test_it_opens_without_an_error_and_asks_nobody_else(page, site, shot):
    ready(page)
    draw(page, *SEVEN)
    answered(page)
    messages = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    sent = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    asked = [m["request"]["url"] for m in sent if not m["documentURL"].startswith("chrome://")]
    assert (
        f"{site}/page/main.js" in asked and f"{site}/v1/models/digits/maps" in asked
    )  # the log does see requests
    assert [url for url in asked if not url.startswith((site, "data:", "blob:"))] == []
    shot("opened")


def test_nothing_on_it_is_inline_and_all_of_it_is_small(site):
    """What the Content-Security-Policy forbids is not there; under 200 KB; no address of another place."""
    files = [file for file in app.PAGE.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 200_000
    text = (app.PAGE / "index.html").read_text("utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|\son\w+=|<style", text)
    for file in files:
        found = re.findall(r"(?:https?:)?//[\w.]+\.\w+", file.read_text("utf-8"))
        assert set(found) <= {"http://www.w3.org"}, file  # the name of SVG
    assert "default-src 'none'" in httpx.get(f"{site}/").headers["Content-Security-Policy"]


def test_the_empty_page_teaches(page):
    ready(page)
    steps = [step.text for step in all_of(page, ".how li")]
    assert len(steps) == 3 and "Draw" in steps[0] and "Point" in steps[1] and "Click" in steps[2]
    one(page, "#example").click()
    answered(page)


def test_what_comes_moves_nothing(page):
    """Chromium's own measure of layout shifts, from the first paint to the drawn answer; without what people open."""
    ready(page)
    draw(page, *SEVEN)
    answered(page)
    script = """
        const done = arguments[0];
        new PerformanceObserver((list) => done(list.getEntries().filter((e) => e.startTime > 0).map((e) => e.value)))
            .observe({ type: "layout-shift", buffered: true });
        setTimeout(() => done([]), 500);
    """
    assert sum(page.execute_async_script(script)) < 0.1  # what is called good


# ---- pictures in


def test_a_stroke_changes_the_answer_and_every_map(page, shot):
    ready(page)
    assert all(pixels(page, f"[data-layer='{name}'] canvas") <= 2 for name in ("features.0", "features.4"))
    draw(page, *SEVEN)
    answered(page)
    for row in all_of(page, ".row"):
        assert pixels(page, f"[data-layer='{row.get_attribute('data-layer')}'] canvas") > 2
    assert "scaled and centred" in one(page, "#seen-text").text
    shares = [float(bar.text.strip("<> %")) for bar in all_of(page, "#bars .share")]
    assert len(shares) == 10 and sum(shares) == pytest.approx(100, abs=1.5)
    shot("drawn")


def test_undo_and_clear(page):
    ready(page)
    draw(page, *SEVEN)
    first = answered(page)
    before = page.execute_script("return document.getElementById('pad').toDataURL()")
    draw(page, (0.5, 0), at=(0.2, 0.9))
    assert page.execute_script("return document.getElementById('pad').toDataURL()") != before
    one(page, "#undo").click()
    assert page.execute_script("return document.getElementById('pad').toDataURL()") == before
    until(page, f"document.querySelector('#verdict b')?.textContent === '{first}'")
    one(page, "#clear").click()
    until(page, "!document.querySelector('#verdict b')")
    assert one(page, "#pad-hint").is_displayed()


def test_a_finger_draws(page):
    ready(page)
    at = one(page, "#pad").rect
    spots = [(0.3, 0.3), (0.5, 0.3), (0.7, 0.3), (0.6, 0.6), (0.5, 0.85)]
    points = [{"x": at["x"] + x * at["width"], "y": at["y"] + y * at["height"]} for x, y in spots]
    page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": points[:1]})
    for point in points[1:]:
        page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
    page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    answered(page)
    assert page.execute_script("return scrollY") == 0


def test_a_picture_is_dropped_pasted_and_opened(page, photograph, shot):
    ready(page)
    choose(page, "#model", "colour")
    until(page, "document.querySelector('.title b').textContent === 'colour'")
    script = """
        const bytes = Uint8Array.from(atob(arguments[0]), (c) => c.charCodeAt(0));
        const data = new DataTransfer();
        data.items.add(new File([bytes], "photo.png", { type: "image/png" }));
        const kind = arguments[1];
        document.dispatchEvent(kind === "drop" ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
            : new ClipboardEvent("paste", { clipboardData: data, bubbles: true }));
    """
    text = base64.b64encode(photograph.read_bytes()).decode()
    for kind in ("drop", "paste"):
        page.execute_script(script, text, kind)
        answered(page)
        assert pixels(page, "#pad") > 50
        one(page, "#clear").click()
        until(page, "!document.querySelector('#verdict b')")
    one(page, "#file").send_keys(str(photograph))
    answered(page)
    shot("picture")


def test_what_is_no_picture_is_refused_in_words(page, tmp_path):
    ready(page)
    (tmp_path / "notes.png").write_text("not a picture")
    one(page, "#file").send_keys(str(tmp_path / "notes.png"))
    assert until(page, "document.getElementById('toast').classList.contains('seen')")
    assert one(page, "#toast").text == "This is not a picture."
    assert one(page, "#pad-hint").is_displayed()
    (refusal,) = page.get_log("browser")  # Chromium itself notes that the service, which was asked, refused
    assert "422" in refusal["message"]


def test_the_shelf_shows_the_worst_mistakes_first(page, site, shot):
    ready(page)
    worst = httpx.get(f"{site}/v1/samples?mistakes=true&limit=3").json()["data"]["samples"]
    one(page, "#shelf-button").click()
    until(page, "document.querySelectorAll('.thumbs img[src]').length > 2")
    thumbs = all_of(page, ".thumbs button")
    assert [thumb.get_attribute("title") for thumb in thumbs[:3]] == [sample["item"] for sample in worst]
    shot("shelf")
    thumbs[0].click()
    assert answered(page) == worst[0]["answer"] != worst[0]["label"]
    assert all_of(page, "dialog[open]") == []
    assert one(page, "#bars .mark .name").text == worst[0]["label"]  # what it really is


def test_a_network_on_numbers_is_asked_with_a_row(page, shot):
    ready(page)
    choose(page, "#model", "points")
    until(page, "document.querySelector('.title b').textContent === 'points'")
    assert not one(page, "#pad").is_displayed()
    assert (
        one(page, "[data-layer='input'] canvas").size["width"]
        > one(page, "[data-layer='input'] canvas").size["height"]
    )  # both numbers
    one(page, "#row").send_keys("0.3, -0.2")
    press(page, "ENTER")
    answered(page)
    row = all_of(page, ".row")[1].get_attribute("data-layer")
    hover(page, f"[data-layer='{row}'] canvas", 6, 6).click().perform()
    until(page, "document.querySelector('#tab-cell .agrees')")
    shot("numbers")


# ---- the network


def hover(page, css, x, y):
    """Point at a place of a canvas, given in its pixels."""
    from selenium.webdriver import ActionChains

    canvas = one(page, css)
    page.execute_script("arguments[0].scrollIntoView({ block: 'center' })", canvas)
    size = canvas.size
    chain = ActionChains(page, duration=10)
    chain.move_to_element_with_offset(canvas, int(x - size["width"] / 2), int(y - size["height"] / 2))
    return chain


def test_what_a_cell_sees_lights_up_and_leaves_again(page):
    ready(page)
    draw(page, *SEVEN)
    answered(page)
    hover(page, CELL, 20, 20).perform()
    until(page, "!document.getElementById('seen-box').hidden")
    assert re.search(
        r"features\.0 · map 0 · row \d+, column \d+ · ≈ .* · sees \d × \d pixels", one(page, "#status").text
    )
    assert pixels(page, "[data-layer='input'] .light") > 1  # the layer before is the picture here
    hover(page, "[data-layer='features.3'] canvas", 10, 10).perform()
    until(page, "document.getElementById('status').textContent.startsWith('features.3')")
    assert pixels(page, "[data-layer='features.2'] .light") > 1
    hover(page, "#pad", 5, 5).perform()
    until(page, "document.getElementById('seen-box').hidden")
    assert pixels(page, "[data-layer='features.2'] .light") == 1


def test_a_click_shows_the_arithmetic_with_the_numbers_of_the_service(page, site, shot):
    ready(page)
    one(page, "#example").click()
    answered(page)
    hover(page, CELL, 20, 20).click().perform()
    until(page, "document.querySelector('#tab-cell .agrees')")
    at = [int(n) for n in re.findall(r"\d+", one(page, "#tab-cell h3").text.partition("·")[2])]
    grids = page.execute_script(
        "return [...document.querySelectorAll('#tab-cell .grid')].map((g) => [...g.querySelectorAll('td')].map((td) => td.title))"
    )
    window, kernel, products = (np.array([float(v.replace("−", "-")) for v in grid]) for grid in grids)
    np.testing.assert_allclose(window * kernel, products, rtol=1e-4, atol=1e-6)
    total = float(one(page, ".sums tr:first-child td:last-child").text.replace("−", "-"))
    assert total == pytest.approx(products.sum(), rel=1e-3, abs=1e-4)
    assert len(at) == 3
    behind = [box.text.partition("\n")[0] for box in all_of(page, ".then")]
    assert behind == ["then features.1 BatchNorm2d", "then features.2 ReLU"]
    shot("cell")


def test_a_pooling_shows_which_cell_won(page):
    ready(page)
    draw(page, *SEVEN)
    answered(page)
    hover(page, "[data-layer='features.4'] canvas", 8, 8).click().perform()
    until(page, "document.querySelector('#tab-cell .won')")
    values = page.execute_script(
        "return [...document.querySelectorAll('#tab-cell .grid td')].map((td) => td.title)"
    )
    numbers = [float(v.replace("−", "-")) for v in values]
    won = float(one(page, ".won").get_attribute("title").replace("−", "-"))
    assert won == max(numbers) and one(page, "#tab-cell .agrees")


def test_a_map_opens_large_with_its_kernel(page):
    ready(page)
    draw(page, *SEVEN)
    answered(page)
    hover(page, CELL, 20, 20).double_click().perform()
    until(page, "document.querySelector('#zoom[open] .kernel canvas')")
    assert "features.0, map 0" in one(page, "#zoom").text and "its kernel, 1 × " in one(page, "#zoom").text
    press(page, "ESCAPE")
    until(page, "!document.querySelector('dialog[open]')")


def test_branches_and_shortcuts_have_lines_of_their_own(page, photograph, shot):
    ready(page)
    choose(page, "#model", "colour")
    until(page, "document.querySelector('.title b').textContent === 'colour'")
    one(page, "#file").send_keys(str(photograph))
    answered(page)
    lines = page.execute_script("return document.querySelectorAll('.graph .long').length")
    adds = [
        row
        for row in all_of(page, ".row")
        if row.get_attribute("data-layer").partition("#")[0].endswith("add")
    ]
    assert lines >= len(adds) > 0
    xs = page.execute_script(
        "return [...document.querySelectorAll('.graph .dot')].map((d) => d.getAttribute('cx'))"
    )
    assert len(set(xs)) > 1
    shot("graph")


# ---- the panel


def test_why_shows_evidence_over_the_picture(page, shot):
    ready(page)
    one(page, "#example").click()
    answered(page)
    one(page, "#pick-why").click()
    until(page, "document.querySelector('#tab-why .small').textContent.includes('Grad-CAM')")
    before = page.execute_script("return document.getElementById('why-picture').toDataURL()")
    choose(page, "#why-method", "occlusion")
    until(page, "document.querySelector('#tab-why .small').textContent.startsWith('Occlusion')", 30)
    assert page.execute_script("return document.getElementById('why-picture').toDataURL()") != before
    shot("why")


def test_the_slider_changes_its_mind(page, shot):
    ready(page)
    one(page, "#example").click()
    first = answered(page)
    one(page, "#pick-change").click()
    one(page, "#change-find").click()
    until(page, "document.getElementById('change-amount')")
    best = "return document.querySelector('#tab-change .best .name').textContent"
    assert page.execute_script(best) == first
    page.execute_script("const s = document.getElementById('change-amount'); s.value = s.max; s.oninput()")
    assert page.execute_script(best) != first
    shot("change")


def test_a_dream_is_painted_and_can_be_looked_at(page, shot):
    ready(page)
    one(page, "#pick-dream").click()
    choose(page, "#tab-dream select", "7")
    one(page, "#dream-go").click()
    until(page, "document.querySelector('#tab-dream canvas')", 60)
    assert "“7”" in one(page, "#tab-dream .small").text
    shot("dream")
    all_of(page, "#tab-dream .buttons button")[1].click()  # use it as the picture
    answered(page)


def test_steps_of_learning_move_the_answer_and_can_be_taken_back(page, shot):
    ready(page)
    one(page, "#example").click()
    first = answered(page)
    one(page, "#pick-learn").click()
    other = "1" if first != "1" else "2"
    choose(page, "#true-class", other)
    until(page, "document.getElementById('loss')")

    def loss():
        return float(re.search(r"= ([\d.e−]+),", one(page, "#loss").text).group(1).replace("−", "-"))

    until(page, f"document.querySelector('#tab-learn .mark .name')?.textContent === '{other}'")
    before = loss()
    all_of(page, ".rate")[1].click()
    until(page, "document.querySelectorAll('.path .dot').length === 2")
    assert loss() < before
    all_of(page, "#tab-learn .layer")[0].click()
    until(page, "document.querySelector('.gradient')")
    shot("learn")
    all_of(page, "#tab-learn .buttons button")[0].click()
    until(page, "document.querySelectorAll('.path .dot').length === 1")
    assert loss() == before


def test_two_runs_answer_side_by_side(page, shot):
    ready(page)
    draw(page, *SEVEN)
    answered(page)
    choose(page, "#other", "other")
    until(page, "document.querySelectorAll('.frame .best').length === 2")
    assert [title.text for title in all_of(page, ".title b")] == ["digits", "other"]
    assert re.search(r"Both say|says", one(page, "#status").text)
    shot("compared")


# ---- languages, themes, sizes, keys


def test_the_language_is_switched_and_remembered(page, shot):
    ready(page)
    draw(page, *SEVEN)
    answered(page)
    one(page, "#language").click()
    until(page, "document.querySelector('#answer-card h2 span').textContent === '网络的回答'")
    assert page.execute_script("return document.documentElement.lang") == "zh-CN"
    answered(page)  # the drawing is still there
    shot("chinese")
    page.refresh()
    until(page, "document.querySelector('#pick-cell').textContent === '格子'")


def test_the_first_language_is_the_browsers(page, site):
    page.execute_cdp_cmd("Emulation.setLocaleOverride", {})
    script = "Object.defineProperty(navigator, 'language', { get: () => 'zh-HK' })"
    added = page.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})
    try:
        page.get(f"{site}/")
        until(page, "document.querySelector('#pick-why')?.textContent === '为什么'")
    finally:
        page.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


def test_both_languages_say_everything(page):
    """The same keys, and the same places to fill in."""
    text = (app.PAGE / "i18n.js").read_text("utf-8")
    english, chinese = text.partition("\n  zh: {")[::2]

    def said(part):
        return {
            key: set(re.findall(r"\{(\w+)\}", words))
            for key, words in re.findall(r'[{,\n]\s*"?([\w-]+)"?: "((?:[^"\\]|\\.)*)"', part)
        }

    en, zh = said(english), said(chinese.partition("\n};")[0])
    assert len(en) > 90 and en == zh


def test_dark_and_light(page, shot):
    ready(page)
    draw(page, *SEVEN)
    answered(page)
    paper = "return getComputedStyle(document.body).backgroundColor"
    light = page.execute_script(paper)
    one(page, "#theme").click()
    assert page.execute_script(paper) != light
    shot("dark")


@pytest.mark.parametrize("width", [360, 768, 1280, 1920])
def test_no_width_scrolls_the_page_sideways(page, width, shot):
    resize(page, width, 800, mobile=width < 500)
    page.refresh()
    ready(page)
    draw(page, *SEVEN)
    answered(page)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    shot(f"{width}")


def test_on_a_phone_a_tap_opens_the_arithmetic(page, shot):
    resize(page, 360, 780, mobile=True)
    page.refresh()
    ready(page)
    draw(page, *SEVEN)
    answered(page)
    hover(page, CELL, 20, 20).click().perform()
    until(page, "document.querySelector('#tab-cell .agrees')")
    assert one(page, "#sheet").is_displayed()
    shot("phone")
    one(page, "#pick-cell").click()  # the same tab again: put away
    assert not one(page, "#sheet").is_displayed()


def test_the_keyboard_alone_draws_points_and_asks(page, shot):
    from selenium.webdriver import ActionChains

    ready(page)
    tab_to(page, "#pad")
    ActionChains(page).key_down(" ").send_keys(*["\ue014"] * 8, *["\ue015"] * 8).key_up(
        " "
    ).perform()  # right, down
    answered(page)
    tab_to(page, "[data-layer='features.0'] canvas")
    press(page, "ARROW_RIGHT", "ARROW_DOWN", "PAGE_DOWN")
    assert one(page, "#status").text.startswith("features.0 · map 1 · row 1, column 1")
    press(page, "ENTER")
    until(page, "document.querySelector('#tab-cell .agrees')")
    press(page, "z")
    until(page, "document.querySelector('#zoom[open] canvas')")
    press(page, "ESCAPE")
    page.execute_script("document.getElementById('pick-cell').focus()")
    press(page, "ARROW_RIGHT")
    assert page.execute_script("return document.activeElement.id") == "pick-why"
    shot("keyboard")


def test_an_error_of_the_service_is_told_in_words(page):
    ready(page)
    page.execute_cdp_cmd("Network.enable", {})
    page.execute_cdp_cmd(
        "Network.emulateNetworkConditions",
        {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1},
    )
    try:
        draw(page, *SEVEN)
        until(page, "document.getElementById('toast').textContent.startsWith('The service does not answer')")
    finally:
        page.execute_cdp_cmd(
            "Network.emulateNetworkConditions",
            {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1},
        )
        page.get_log("browser")  # Chromium itself reports that it was offline


def test_screenshots_are_kept_where_they_are_wanted(shot, tmp_path_factory, chrome):
    folder = Path(os.environ.get("HUBEL_SHOTS") or tmp_path_factory.getbasetemp() / "screenshots")
    shot("last")
    assert list(folder.glob("*-last.png"))

"""The page as people use it: by mouse, by finger, by keyboard, on a phone, in two languages."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import httpx
import numpy as np
import pytest
from hands import (
    CELL,
    SEVEN,
    all_of,
    answered,
    choose,
    draw,
    hover,
    one,
    pixels,
    press,
    ready,
    resize,
    tab_to,
    until,
)

from hubel.serving import app

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


# ---- the network


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
    until(page, "document.querySelectorAll('#tab-cell .then').length > 1")  # they follow one by one
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


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1366, 650), (1440, 900)])
def test_the_drawing_and_every_bar_of_ten_stand_in_sight_together(page, width, height, shot):
    resize(page, width, height)
    page.refresh()
    ready(page)
    draw(page, *SEVEN)
    answered(page)
    script = (
        "return [...document.querySelectorAll(arguments[0])].map((e) => e.getBoundingClientRect().toJSON())"
    )
    found = page.execute_script(script, "#pad, #tools button, #seen, #bars .bar")
    assert len(found) == 1 + 5 + 1 + 10
    for at in found:
        assert at["top"] >= 0 and at["bottom"] <= height and at["width"] > 0
    shot(f"{width}x{height}")


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


def test_screenshots_are_kept_where_they_are_wanted(shot, tmp_path_factory, chrome):
    folder = Path(os.environ.get("HUBEL_SHOTS") or tmp_path_factory.getbasetemp() / "screenshots")
    shot("last")
    assert list(folder.glob("*-last.png"))

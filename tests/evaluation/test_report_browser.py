"""The report in a real browser, from file://: it asks for nothing, and every cell opens its own pictures."""

import csv
import json
from collections import Counter

import needs
import numpy as np
import pytest

from hubel.evaluation.evaluate import evaluate

NAMES = (
    "zero",
    "one",
    "</script><script>window.broken = 1</script>",
    "three",
    '"><b onclick=x>',
    "five",
    "2",
    "10",
    "猫",
    "nine",
)


@pytest.fixture(scope="module")
def chrome(tmp_path_factory):
    with needs.chrome(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def report(make_run, make_source, pictures_that_answer):
    rng = np.random.default_rng(2)
    labels = np.repeat(np.arange(10), 30)
    answers = np.where(rng.random(300) < 0.8, labels, rng.integers(0, 10, 300))
    source = make_source(pictures_that_answer(answers, 10, sure=60), labels, NAMES)
    return evaluate(make_run(NAMES), source)


@pytest.fixture
def page(chrome, report):
    return opened(chrome, report)


def opened(chrome, report):
    resize(chrome, 1280, 900)
    chrome.get_log("performance"), chrome.get_log("browser")
    chrome.get(report.report.as_uri())
    return chrome


@pytest.fixture
def many(chrome, make_run, make_source, pictures_that_answer):
    """The report of 300 classes, 299 of them with items, and its page."""
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 299, 2000)
    answers = np.where(rng.random(2000) < 0.7, labels, (labels + rng.integers(1, 4, 2000)) % 299)
    names, shape = [f"kind {k:03d}" for k in range(300)], (1, 20, 16)
    source = make_source(pictures_that_answer(answers, 300, sure=80, shape=shape), labels, names)
    found = evaluate(make_run(names, shape), source)
    return found, opened(chrome, found)


@pytest.fixture
def cells(report):
    """(label, answer) -> items, from predictions.csv: the oracle of what a cell holds."""
    found = {}
    with (report.folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault((row["label"], row["answer"]), []).append((float(row["loss"]), row["item"]))
    return {cell: [item for _, item in sorted(items, reverse=True)] for cell, items in found.items()}


def resize(chrome, width, height):
    said = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", said)


def all_of(page, css):
    return page.find_elements("css selector", css)


def cell(page, label, answer):
    return all_of(page, f'.matrix [data-cell="{NAMES.index(label) * 10 + NAMES.index(answer)}"]')


def thumbs(page):
    return [thumb.get_attribute("title") for thumb in all_of(page, "#cell .thumb")]


def press(page, *keys):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    chain = ActionChains(page)
    for key in keys:
        chain.send_keys(getattr(Keys, key))
    chain.perform()


def test_it_opens_without_an_error_and_without_a_request(page, report):
    assert page.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    sent = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    # What the browser loads for a page of its own, the one for new tabs, is not the report's doing.
    of_its_own = ("chrome://", "chrome-untrusted://")
    asked = [m["request"]["url"] for m in sent if not m["documentURL"].startswith(of_its_own)]
    assert report.report.as_uri() in asked  # the log does see requests
    assert [url for url in asked if not url.startswith(("file://", "data:"))] == []
    assert {url for url in asked if url.startswith("file://")} == {report.report.as_uri()}
    assert page.execute_script("return window.broken") is None


def test_a_page_that_asks_for_something_would_be_noticed(chrome, tmp_path):
    file = tmp_path / "bad.html"
    file.write_text("<script>fetch('http://127.0.0.1:9/x'); throw new Error('seen')</script>")
    chrome.get_log("performance"), chrome.get_log("browser")
    chrome.get(file.as_uri())
    assert "seen" in str(chrome.get_log("browser"))
    assert "http://127.0.0.1:9/x" in str(chrome.get_log("performance"))


def test_each_cell_opens_exactly_its_pictures(page, cells):
    assert len(all_of(page, ".matrix [data-cell]")) == len(cells)
    wrong = sorted((c for c in cells if c[0] != c[1]), key=lambda c: -len(cells[c]))
    for label, answer in [*wrong[:6], wrong[-1]]:
        (button,) = cell(page, label, answer)
        assert button.text == str(len(cells[label, answer]))
        button.click()
        assert thumbs(page) == cells[label, answer]
        assert button.get_attribute("aria-pressed") == "true"
    (button,) = cell(page, "three", "three")
    button.click()
    assert thumbs(page) == cells["three", "three"][:12]


def test_a_picture_opens_large_with_its_name_and_closes_with_escape(page, cells):
    thumb = all_of(page, "#cell .thumb")[0]
    thumb.click()
    (dialog,) = all_of(page, "dialog[open]")
    assert thumb.get_attribute("title") in dialog.text
    large = dialog.find_element("css selector", ".pic").size
    assert large["width"] > 2 * thumb.find_element("css selector", ".pic").size["width"]
    assert large["height"] / large["width"] == pytest.approx(6 / 5, rel=0.02)
    press(page, "ESCAPE")
    assert all_of(page, "dialog[open]") == []


def test_the_class_table_sorts_both_ways(page, report):
    head = all_of(page, "#class-table th button")[2]  # recall

    def column(n):
        return [
            row.find_elements("css selector", "td")[n].text for row in all_of(page, "#class-table tbody tr")
        ]

    assert column(0) == list(NAMES)
    recalls = [f"{share * 100:.1f} %" for share in sorted(report.per_class.recall)]
    head.click()
    assert column(2) == recalls
    head.click()
    assert column(2) == recalls[::-1]
    assert all_of(page, "#class-table th[aria-sort]")[0].get_attribute("aria-sort") == "descending"
    all_of(page, "#class-table th button")[0].click()
    names = column(0)
    assert names.index("2") < names.index("10")  # as numbers, not as text


def test_the_mistakes_of_one_class_are_found_among_many(many):
    report, page = many
    names, times = report.predictions.classes, Counter()
    for label, answer in zip(report.predictions.labels, report.predictions.answers, strict=True):
        if label != answer and "kind 017" in (names[label], names[answer]):
            times[names[label], names[answer]] += 1

    def listed():
        pairs = [
            row.find_elements("css selector", ".name, button > span:last-child")
            for row in all_of(page, "#confusions li")
        ]
        return {(a.text, b.text): int(n.text) for a, b, n in pairs}

    assert len(listed()) == 40 and "the most frequent first" in all_of(page, "#pair-count")[0].text
    search = all_of(page, "#pair-filter input")[0]
    search.send_keys("KIND 017")
    assert listed() == dict(times) and list(listed().values()) == sorted(times.values(), reverse=True)
    (label, answer), count = next(iter(listed().items()))
    wrong = [i for i, l, a in zip(report.predictions.items, report.predictions.labels, report.predictions.answers, strict=True)
             if (names[l], names[a]) == (label, answer)]  # fmt: skip
    assert sorted(thumbs(page)) == sorted(wrong) and len(wrong) == count
    search.send_keys(" is not there")
    assert listed() == {} and all_of(page, "#pair-count")[0].text == "No mistakes of such a class"


def test_of_many_classes_the_weakest_and_the_best_are_shown(many):
    report, page = many
    t, names = report.per_class, report.predictions.classes
    rows = [
        [cell.text for cell in row.find_elements("css selector", "td")]
        for row in all_of(page, "#class-table tbody tr")
    ]
    weakest = sorted(np.flatnonzero(t.support), key=lambda k: (t.f1[k], -t.support[k], k))
    best = sorted(np.flatnonzero(t.support), key=lambda k: (-t.f1[k], -t.support[k], k))
    assert [row[0] for row in rows[:20]] == [names[k] for k in weakest[:20]]
    assert rows[20] == ["259 classes between"]
    assert [row[0] for row in rows[:20:-1]] == [names[k] for k in best[:20]]
    assert "1 without items is left out" in all_of(page, "#class-count")[0].text
    all_of(page, "#filter input")[0].send_keys("299")
    assert [cell.text for cell in all_of(page, "#class-table tbody td")][2:] == ["–", "–", "0"]


def test_the_keyboard_alone_opens_a_cell_and_reads_a_curve(page, cells):
    focused = "return document.activeElement"
    for _ in range(12):
        press(page, "TAB")
        if "plot" in page.execute_script(focused).get_attribute("class"):
            break
    press(page, "HOME")
    assert "epoch 1 " in page.execute_script(focused).find_element("css selector", ".readout").text
    for _ in range(12):
        press(page, "TAB")
        if page.execute_script("return document.activeElement.closest('.matrix-cells') !== null"):
            break
    order = [k for k in range(10) if (NAMES[0], NAMES[k]) in cells]
    assert page.execute_script(focused) == cell(page, NAMES[0], NAMES[order[0]])[0]
    press(page, "ARROW_RIGHT", "ENTER")
    assert thumbs(page) == cells[NAMES[0], NAMES[order[1]]][: 12 if order[1] == 0 else None]
    down = next(k for k in range(1, 10) if (NAMES[k], NAMES[order[1]]) in cells)
    press(page, "ARROW_DOWN", "SPACE")
    assert thumbs(page) == cells[NAMES[down], NAMES[order[1]]][: 12 if order[1] == down else None]


@pytest.mark.parametrize("width", [360, 768, 1920])
def test_no_width_scrolls_the_page_sideways(page, width):
    resize(page, width, 800)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    assert all_of(page, ".matrix [data-cell]")[0].size["width"] >= 20

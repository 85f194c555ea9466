"""The page is one file, says what was measured, and takes no name for markup."""

import base64
import io
import json
import re
import tracemalloc
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from hubel.data import Problem, Split
from hubel.evaluation import report
from hubel.evaluation.evaluate import evaluate
from hubel.evaluation.predictions import Predictions
from hubel.evaluation.scores import Classification

NAMES = ("ant", "bee", "cat", "dog")
HOSTILE = (
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "{{ 7 * 7 }}",
    "<!--",
    "a&lt;b' onload='x",
)


class Page(HTMLParser):
    """Elements with their attributes, and the text of each section and script."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.scripts, self._open = [], [], None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._open = tag
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, text):
        if self._open == "script":
            self.scripts[-1] += text

    def handle_endtag(self, tag):
        self._open = None


def data(html):
    return json.loads(Page(html).scripts[0])


@pytest.fixture
def written(make_run, make_source, pictures_that_answer):
    """(html, evaluation, split) of 60 pictures with about 20 mistakes."""

    def write(names=NAMES, items=None, **settings):
        rng = np.random.default_rng(5)
        labels = rng.integers(0, len(names), 60)
        answers = np.where(rng.random(60) < 0.65, labels, rng.integers(0, len(names), 60))
        source = make_source(pictures_that_answer(answers, len(names)), labels, names, items=items)
        run = make_run(names, **settings)
        found = evaluate(run, source)
        return found.report.read_text("utf-8"), found, run.dataset(source).test

    return write


def test_nothing_is_fetched_from_anywhere(written):
    html = written()[0]
    assert "default-src 'none'" in html
    addresses = re.findall(r"(?:src|href|action)\s*=\s*[\"']?([^\"'> ]+)", html) + re.findall(
        r"url\(([^)]*)\)", html
    )
    assert addresses and all(address.startswith("data:") for address in addresses)
    assert not re.search(r"@import|fetch\(|XMLHttpRequest|WebSocket|https?://", html)


def test_hostile_names_stay_names(written):
    items = [f"{HOSTILE[i % 5]}/{i}" for i in range(60)]
    html, _, _ = written(HOSTILE, items)
    page = Page(html)
    assert [tag for tag, _ in page.elements].count("script") == 2
    assert [attributes for tag, attributes in page.elements if tag == "img"] == []
    assert not [a for _, attributes in page.elements for a in attributes if a.startswith("on")]
    assert data(html)["classes"] == list(HOSTILE)
    assert {item[0] for item in data(html)["items"]} <= set(items)
    assert "{{ 7 * 7 }}" in html


def test_the_cells_are_the_confusion_matrix_and_hold_its_items(written):
    html, found, split = written()
    said, p = data(html), found.predictions
    matrix = np.zeros((4, 4), int)
    for label, answer, count, start, stop in said["cells"]:
        matrix[label, answer] = count
        items = [item[0] for item in said["items"][start:stop]]
        inside = [split.items[i] for i in np.flatnonzero((p.labels == label) & (p.answers == answer))]
        assert set(items) == set(inside) if label != answer else set(items) <= set(inside)
        assert len(items) == min(count, 12 if label == answer else count)
    np.testing.assert_array_equal(matrix, found.confusion.matrix())
    assert matrix.sum() == 60


def test_each_picture_is_the_items_own(written):
    html, _, split = written()
    (address,) = re.findall(r"\.sheet0 \{ background-image: url\(data:image/png;base64,([^)]*)\)", html)
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(address))))
    for n, item in enumerate(data(html)["items"]):
        y, x = divmod(n, 20)
        tile = sheet[y * 6 : y * 6 + 6, x * 5 : x * 5 + 5]
        np.testing.assert_array_equal(tile, split.inputs[list(split.items).index(item[0])][0])


def test_the_worst_mistakes_come_by_loss(written):
    html, found, _ = written()
    losses = [float(text) for text in re.findall(r'<span class="fine">loss ([\d.]+)</span>', html)]
    wrong = ~found.predictions.right
    want = np.sort(found.predictions.loss[wrong])[::-1][: report.WORST]
    np.testing.assert_allclose(losses, want, atol=0.006)


def test_the_page_says_the_numbers(written):
    html, found, _ = written()
    text = re.sub(r"<[^>]*>", " ", html)
    assert f"{found.accuracy * 100:.1f} <small>" in html.replace("<small> %", " <small>")
    assert "of 60 test pictures answered right" in text
    assert f"95 % interval {found.interval.low * 100:.1f} % to {found.interval.high * 100:.1f} %" in " ".join(
        text.split()
    )
    assert "7.5 s" in text  # three epochs of 2.5 s
    assert "hubel train mine --network mlp --arg 'hidden=[4]' --epochs 3 --seed 7" in unescape(text)


def test_the_command_names_what_the_user_set_and_quotes_it(make_run):
    recipe = {"epochs": 3, "lr": 0.1, "flip": False, "seed": 7, "steps": [3, 4]}
    run = make_run(NAMES, location="/my data/x", recipe=recipe, set_by_user=["flip", "hidden", "steps"])
    assert report.train_command(run) == (
        "hubel train '/my data/x' --network mlp --arg 'hidden=[4]' --no-flip --steps 3,4 --seed 7"
    )


def test_script_json_closes_nothing_and_reads_back():
    value = [*HOSTILE, "\u2028", "\ud800", "猫"]
    text = report.script_json(value)
    assert not re.search(r"[<>&\u2028]", text)
    assert json.loads(text) == value


def test_problems_of_the_data_are_listed(make_run, make_source, pictures_that_answer):
    source = make_source(
        pictures_that_answer(np.arange(4), 4),
        np.arange(4),
        NAMES,
        problems=(Problem("<b>bad.png", "cut & short"),),
    )
    html = evaluate(make_run(NAMES), source).report.read_text()
    assert "&lt;b&gt;bad.png" in html and "cut &amp; short" in html and "1 item could not be used" in html


def test_a_perfect_network_has_a_page_too(make_run, make_source, pictures_that_answer):
    labels = np.repeat(np.arange(4), 3)
    found = evaluate(make_run(NAMES), make_source(pictures_that_answer(labels, 4), labels, NAMES))
    html = found.report.read_text()
    assert "No mistakes" in html and 'id="worst"' not in html and found.accuracy == 1


def big(run, folder, K, N, *, side=64, piece=1000):
    """An evaluation of N items of K classes, its logits made in pieces."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, K, N)

    def pieces():
        for start in range(0, N, piece):
            z = rng.standard_normal((min(piece, N - start), K), dtype=np.float32)
            z[np.arange(len(z)), labels[start : start + piece]] += 3
            yield z

    names = [f"species {k}" for k in range(K)]
    Predictions.from_logits([f"photos/{i:06d}.jpg" for i in range(N)], labels, pieces(), names).save(folder)
    predictions = Predictions.load(folder, names)
    found = Classification.of(predictions, "many", "test", folder)
    split = Split(np.broadcast_to(np.uint8(7), (N, 3, side, side)), labels, predictions.items)
    found.report.write_bytes(report.page(run, found, split))
    return found


def test_above_200_classes_the_confusions_are_listed(make_run, tmp_path):
    found = big(make_run(NAMES), tmp_path, 300, 3000)
    said = data(found.report.read_text())
    assert said["matrix"] is False and len(said["table"]) == 300
    assert said["confusions"] == [[a, b] for a, b, _ in found.confusions(report.CONFUSIONS_ALONE)]
    assert sorted(cell[:3] for cell in said["cells"]) == sorted(map(list, found.confusions(3000)))


def test_only_the_most_frequent_confusions_are_found_where_there_are_too_many(
    make_run, tmp_path, monkeypatch
):
    monkeypatch.setattr(report, "CONFUSIONS_FOUND", 100)
    found = big(make_run(NAMES), tmp_path, 300, 3000)
    said = data(found.report.read_text())
    cells = {tuple(cell[:2]) for cell in said["cells"]}
    assert {(a, b) for a, b, _ in found.confusions(100)} <= cells
    assert len(cells) <= 100 + report.WORST


def test_ten_thousand_classes_are_never_a_matrix(make_run, tmp_path):
    K, N = 10_000, 3000
    tracemalloc.start()
    try:
        found = big(make_run(NAMES), tmp_path, K, N, side=4, piece=50)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # A number for each item and class is 120 MB as float32, one for each two classes 100 MB as bytes; here 50 x K are 2.
    assert most < 60e6
    assert found.n == N and not (tmp_path / "probabilities.npy").exists()


@pytest.mark.slow
def test_a_hundred_thousand_items_of_ten_thousand_classes_fit_a_page(make_run, tmp_path):
    found = big(make_run(NAMES), tmp_path, 10_000, 100_000)
    assert found.n == 100_000 and found.report.stat().st_size < 20e6

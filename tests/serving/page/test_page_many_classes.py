"""The page of a network with more classes than anybody looks through: they are found by name."""

from __future__ import annotations

import pytest
import torch
from hands import all_of, answered, one, ready, until
from online import on_line

from hubel.data import Preprocess
from hubel.run import Card, Network, save_model
from hubel.serving.app import make_app
from hubel.serving.service import open_service

CLASSES = 1000


@pytest.fixture(scope="module")
def site_of_many(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many") / "many"
    folder.mkdir()
    names = tuple(f"kind {k:04d}" for k in range(CLASSES))
    preprocess = Preprocess.to_fit("picture", (1, 8, 8), (1, 8, 8))
    card = Card("classify", names, CLASSES, Network("fast-digits"), preprocess)
    torch.manual_seed(0)
    save_model(folder, card, card.build())
    with on_line(make_app(open_service([str(folder)], engine="torch", threads=1))) as address:
        yield address


@pytest.fixture
def many(page, site_of_many):
    page.get(f"{site_of_many}/")
    yield ready(page)
    page.get("about:blank")


def shown(page):
    return [o.text for o in all_of(page, "#true-class option")]


def test_a_class_is_found_by_its_name_and_learnt(many):
    one(many, "#pad").click()
    answered(many)
    assert len(all_of(many, "#bars .bar")) == 10  # the best of a thousand
    one(many, "#pick-learn").click()
    first = shown(many)
    assert first[:3] == ["–", "kind 0000", "kind 0001"] and first[-1] == "… and 901 more: find them by name"
    search = one(many, "#tab-learn .choice input")
    search.send_keys("KIND 073")
    assert shown(many) == ["–", *(f"kind {k:04d}" for k in range(730, 740))]
    search.send_keys("5\n")
    until(many, "document.getElementById('loss')")
    assert one(many, "#true-class").get_attribute("value") == "735"
    assert len(all_of(many, "#tab-learn .bar")) == 10
    for _ in range(8):
        search.send_keys("\b")
    assert "kind 0735" in shown(many)  # what was chosen stays, however the search goes on


def test_no_list_of_the_page_holds_them_all(many):
    for tab in ("why", "change", "dream", "learn"):
        one(many, f"#pick-{tab}").click()
    assert max(len(all_of(box, "option")) for box in all_of(many, "select")) < 110

"""Many items in two dimensions: PCA by its definition, neighbours by hand, and a page that names what it shows."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from planted import planted
from torch import nn

import hubel
from hubel.errors import InputError, UnknownName
from hubel.explanation import embed
from hubel.explanation.finding import Item, Items, Question, write

rng = np.random.default_rng(0)
NAMES = ("dark", "</script><b>bright")


def reader() -> nn.Module:
    """Answers by the upper left pixel: below one half the first class."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
    for p in network.parameters():
        p.data[:] = 0
    network[1].weight.data[0, 0] = 8.0
    network[1].weight.data[1:] = torch.eye(3, 6)
    network[3].weight.data[:, 0] = torch.tensor([0.0, 1.0])
    network[3].bias.data[:] = torch.tensor([4.0, 0.0])
    return network


def items(count: int = 40, wrong: int = 3) -> Items:
    """Half of each class, told by the first pixel; the last `wrong` have the other's name."""
    inputs = rng.integers(0, 256, (count, 1, 2, 3)).astype(np.uint8)
    bright = np.arange(count) % 2
    inputs[:, 0, 0, 0] = np.where(bright, 250, 5)
    labels = [NAMES[k] for k in bright]
    labels[-wrong:] = [NAMES[1 - k] for k in bright[-wrong:]]
    return Items(inputs, [f"<i>{n}.png" for n in range(count)], labels)


def ask(run, given, **question):
    (found,) = embed.explain(run, given, Question(**question))
    return found


def page_data(html: str) -> dict:
    return json.loads(re.search(r'class="embed-data">(.*?)</script>', html, re.S)[1])


def test_pca_turns_the_features_onto_their_widest_axes():
    x = rng.standard_normal((50, 3)) * (1.0, 5.0, 3.0)
    view = embed.by_pca(x, seed=0)
    _, sizes, axes = np.linalg.svd(x - x.mean(0), full_matrices=False)
    expected = (x - x.mean(0)) @ axes[:2].T
    np.testing.assert_allclose(np.abs(view.points), np.abs(expected), atol=1e-6)
    shares = sizes**2 / (sizes**2).sum()
    assert view.axes[0] == f"component 1, {shares[0]:.0%} of the variance"


def test_neighbours_agree_as_often_as_counted_by_hand():
    # On a line: a0 and a1 are each other's neighbours; b at 10 is near c at 11, which is nearest to b.
    points = np.array([[0.0], [1.0], [10.0], [11.0]])
    assert embed.agreeing(points, ["a", "a", "b", "c"]) == 0.5


def test_groups_that_lie_apart_stay_apart_in_both_views():
    x = np.concatenate([rng.standard_normal((30, 8)), rng.standard_normal((30, 8)) + 30])
    for view in (embed.by_pca(x, 0), embed.by_tsne(x, 0)):
        assert embed.agreeing(view.points, ["a"] * 30 + ["b"] * 30) == 1.0


def test_the_features_are_those_before_the_head_and_the_mistakes_are_told():
    given = items()
    run = planted(reader(), (1, 2, 3), NAMES)
    found = ask(run, given)
    data = page_data(found.html)
    assert found.name == "embedding-2"  # the ReLU, which the last layer takes from
    assert data["wrong"] == [37, 38, 39] and found.numbers["mistakes"] == 3
    assert data["items"][0] == ["<i>0.png", NAMES[0], NAMES[0], pytest.approx(0.98, abs=0.02)]
    assert [g["name"] for g in data["groups"]] == sorted(NAMES)
    assert np.bincount(data["of"]).tolist() == [g["count"] for g in data["groups"]]
    expected = embed.by_pca(run.features(given.inputs, "2"), 0).points
    np.testing.assert_allclose(found.arrays["PCA"], expected, atol=1e-4)


def test_without_labels_the_answers_colour_and_nothing_is_a_mistake():
    given = items()
    plain = [Item(i.name, i.x) for i in given]
    data = page_data(ask(planted(reader(), (1, 2, 3), NAMES), plain).html)
    assert data["wrong"] == [] and [g["count"] for g in data["groups"]] == [20, 20]


def test_weights_without_their_last_layer_give_features_and_no_answers():
    data = page_data(ask(planted(reader(), (1, 2, 3), NAMES), items(), answers=False).html)
    assert data["wrong"] == [] and len(data["items"][0]) == 2


def test_the_seed_says_which_items_are_drawn_and_how_they_lie(tmp_path, monkeypatch):
    run = hubel.train("digits", network="mlp", out=tmp_path / "run", epochs=1, precision="fp32")
    monkeypatch.setattr(embed, "MOST", 60)
    one, same, other = (ask(run, (), seed=seed) for seed in (1, 1, 2))
    names = [[i[0] for i in page_data(f.html)["items"]] for f in (one, same, other)]
    assert names[0] == names[1] != names[2] and len(set(names[0])) == 60
    np.testing.assert_array_equal(one.arrays["t-SNE"], same.arrays["t-SNE"])
    assert "60 of 359 items of the test part of digits, drawn" in one.caption
    assert set(names[0]) <= set(run.dataset().test.items)


def test_points_keep_their_proportions_in_the_page():
    placed = np.array(embed.in_box(np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 5.0]])))
    assert placed.min() >= 0 and placed.max() <= 1000
    assert placed[1, 0] - placed[0, 0] == pytest.approx(2 * (placed[0, 1] - placed[2, 1]))  # y runs downwards


def test_more_classes_than_colours_leave_the_rarest_grey():
    classes = [str(k) for k in range(25) for _ in range(30 - k)]
    groups = embed.grouped(classes)
    assert [g.name for g in groups if g.colour == embed.GREY] == ["20", "21", "22", "23", "24"]
    assert len({g.colour for g in groups}) == len(embed.COLOURS) + 1


def test_names_cannot_become_markup():
    html = ask(planted(reader(), (1, 2, 3), NAMES), items()).html
    assert "</script><b>" not in html and "<i>0.png" not in html


def test_what_is_too_little_is_said():
    run = planted(reader(), (1, 2, 3), NAMES)
    with pytest.raises(InputError, match="3 items show no groups: name at least 5"):
        ask(run, items()[:3])
    with pytest.raises(InputError, match="brings no data: name folders of pictures"):
        ask(run, ())
    with pytest.raises(UnknownName, match="no layer named 'x'"):
        ask(run, items(), layer="x")


def test_in_a_browser_a_dot_is_chosen_by_keys_and_a_class_is_hidden_by_its_button(tmp_path):
    import needs
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    path = write([ask(planted(reader(), (1, 2, 3), NAMES), items())], tmp_path / "out", "Embedding")
    with needs.chrome(tmp_path / "profile") as chrome:
        chrome.get(path.as_uri())

        def seen() -> int:
            return sum(dot.is_displayed() for dot in chrome.find_elements(By.CSS_SELECTOR, ".embed circle"))

        assert seen() == 40
        chrome.find_element(By.CSS_SELECTOR, ".embed svg").send_keys(Keys.ARROW_RIGHT)
        card = chrome.find_element(By.CSS_SELECTOR, ".embed-item")
        assert ".png" in card.text and card.find_elements(By.CSS_SELECTOR, ".pic")
        buttons = chrome.find_elements(By.CSS_SELECTOR, ".embed-legend button")
        buttons[0].click()
        data = page_data(path.read_text())
        assert seen() == data["groups"][1]["count"] and buttons[0].get_attribute("aria-pressed") == "false"
        buttons[-1].click()  # only the mistakes
        assert seen() == sum(data["of"][n] == 1 for n in data["wrong"]) == 2
        assert chrome.get_log("browser") == []

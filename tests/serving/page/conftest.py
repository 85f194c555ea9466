"""A browser, and the page of a service with four runs: ink on black twice, colour pictures, rows of numbers. And pages
of services of their own, for what changes them: that keep corrections, that want a token, that go away."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import needs
import numpy as np
import pytest
import torch
from hands import resize
from making import png, tree
from online import on_line

import hubel
from hubel.data import Preprocess
from hubel.run import Card, Network, save_model
from hubel.serving.app import make_app
from hubel.serving.door import Rules
from hubel.serving.service import open_service


@pytest.fixture(scope="session")
def chrome(tmp_path_factory):
    with needs.chrome(tmp_path_factory.mktemp("profile")) as opened:
        opened.set_script_timeout(60)
        yield opened


@pytest.fixture(scope="session")
def colour(tmp_path_factory) -> str:
    """A small residual network on colour pictures, untrained: its folder."""
    folder = tmp_path_factory.mktemp("colour") / "colour"
    folder.mkdir()
    preprocess = Preprocess("picture", (3, 32, 40), mean=(0.5,) * 3, std=(0.25,) * 3)
    narrow = Network("preact-resnet", {"width": 0.25, "blocks": (1, 1, 1, 1)})
    card = Card("classify", ("red", "green", "blue"), 3, narrow, preprocess)
    torch.manual_seed(0)
    save_model(folder, card, card.build())
    return str(folder)


@pytest.fixture(scope="session")
def runs(tmp_path_factory, colour) -> list[str]:
    """digits, other, colour, points"""
    root = tmp_path_factory.mktemp("page-runs")
    for seed, name in enumerate(("digits", "other")):
        made = hubel.train(
            "digits", network="fast-digits", epochs=2, seed=seed, out=root / name, precision="fp32"
        )
        hubel.evaluate(made)
    hubel.train("points", epochs=1, out=root / "points", precision="fp32")
    return [str(root / "digits"), str(root / "other"), colour, str(root / "points")]


@pytest.fixture(scope="session")
def site(runs):
    """The address of the page."""
    service = open_service(runs, engine="torch", threads=1)
    with on_line(make_app(service)) as address:
        yield address


@pytest.fixture
def another(page, runs):
    """another(rules=…, feedback=…): the page of a service of the digits run alone; its address."""
    with contextlib.ExitStack() as services:

        def opened(rules: Rules | None = None, **settings: str) -> str:
            service = open_service(runs[:1], engine="torch", threads=1, **settings)
            address = services.enter_context(on_line(make_app(service, rules)))
            page.get(f"{address}/")
            return address

        yield opened
        page.get("about:blank")  # asks nothing more of what goes away now


@pytest.fixture
def page(chrome, site):
    """The page as it opens on a laptop, with nothing remembered; afterwards it must not have complained."""
    chrome.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "light"}]}
    )
    resize(chrome, 1440, 900)
    chrome.get("about:blank")
    chrome.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": site, "storageTypes": "all"})
    chrome.get_log("browser"), chrome.get_log("performance")
    chrome.get(f"{site}/")
    yield chrome
    assert chrome.get_log("browser") == []


@pytest.fixture
def photograph(tmp_path) -> Path:
    """A file of a picture with colours, wider than high."""
    y, x = np.mgrid[0:60, 0:90]
    pixels = np.stack([255 * x / 90, 255 * y / 60, 255 * ((x - 45) ** 2 + (y - 30) ** 2 < 400)], -1)
    return tree(tmp_path, {"photo.png": png(pixels)}) / "photo.png"


@pytest.fixture
def shot(request, chrome, tmp_path_factory):
    """shot("name"): a screenshot, kept in $HUBEL_SHOTS or the folder of the tests."""
    folder = Path(os.environ.get("HUBEL_SHOTS") or tmp_path_factory.getbasetemp() / "screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return lambda name: chrome.save_screenshot(str(folder / f"{request.node.name}-{name}.png"))

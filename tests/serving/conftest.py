"""Services on real sockets: a digits run (square, with mistakes) and a run of small pictures that are not square."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from making import tree, zoo
from online import on_line

import hubel
from hubel.serving.app import make_app
from hubel.serving.door import Rules
from hubel.serving.limits import Limits
from hubel.serving.service import Service, open_service


@pytest.fixture(scope="session")
def runs(tmp_path_factory) -> dict[str, str]:
    """digits: 1x8x8, after one epoch, so that some answers are wrong; oblong: 1x6x9 of a folder; points: rows of numbers"""
    root = tmp_path_factory.mktemp("runs")
    digits = hubel.train("digits", network="lenet5", epochs=1, out=root / "digits", precision="fp32")
    hubel.evaluate(digits)
    pictures = tree(root / "pictures", zoo("cat", "dog", each=20, h=6, w=9))
    hubel.train(
        pictures,
        network="conv4x3 relu pool2 fc",
        input_size=(6, 9),
        epochs=1,
        out=root / "oblong",
        precision="fp32",
    )
    hubel.train("points", epochs=1, out=root / "points", precision="fp32")
    return {name: str(root / name) for name in ("digits", "oblong", "points")}


@pytest.fixture(scope="session")
def service(runs) -> Service:
    return open_service(
        [runs["digits"], runs["oblong"], runs["points"]], Limits(body=1 << 20), engine="torch", threads=1
    )


@pytest.fixture(scope="session")
def client(service) -> Iterator[httpx.Client]:
    with on_line(make_app(service)) as address, httpx.Client(base_url=address, timeout=30) as made:
        yield made


@pytest.fixture
def serving(runs) -> Callable[..., Any]:
    """with serving(limits, rules=…, feedback=…) as client: a service of the digits run of its own."""

    @contextmanager
    def made(
        limits: Limits | None = None, rules: Rules | None = None, **settings: Any
    ) -> Iterator[httpx.Client]:
        service = open_service([runs["digits"]], limits, engine="torch", threads=1, **settings)
        with (
            on_line(make_app(service, rules)) as address,
            httpx.Client(base_url=address, timeout=30) as client,
        ):
            client.service = service  # type: ignore[attr-defined]
            yield client

    return made

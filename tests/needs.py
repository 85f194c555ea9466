"""What a test needs and a machine may lack: absent means skipped, or failed with HUBEL_REQUIRE_DATA=1."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


def data(name: str) -> Path:
    """The folder of the real data set `name` in $HUBEL_DATA."""
    root = os.environ.get("HUBEL_DATA")
    folder = Path(root).absolute() / name if root else None
    if folder is not None and folder.is_dir():
        return folder
    reason = f"the data set {name} is not in HUBEL_DATA ({root or 'not set'})"
    if os.environ.get("HUBEL_REQUIRE_DATA") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


# Nothing that asks elsewhere by itself, so that what the page asks for is all there is to see.
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --hide-scrollbars --lang=en-US "
    "--use-fake-device-for-media-stream --use-fake-ui-for-media-stream"  # a camera of its own, lent unasked
)


@contextmanager
def chrome(profile: Path) -> Iterator[Any]:
    """A browser that writes down what it asks for and complains of. profile: an empty folder for it"""
    binary, driver = browser()
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in [*FLAGS.split(), f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield opened
    finally:
        opened.quit()


def postgres() -> Path:
    """The folder of PostgreSQL's programs. HUBEL_REQUIRE_POSTGRES=1 makes their absence, or the driver's, a failure."""
    found = [Path(at).parent for at in [shutil.which("initdb")] if at]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)  # Debian's, not in PATH
    driver = importlib.util.find_spec("psycopg") is not None
    if found and driver:
        return found[0]
    reason = (
        "psycopg is not installed"
        if found
        else "initdb and postgres are not here (Debian: apt install postgresql)"
    )
    if os.environ.get("HUBEL_REQUIRE_POSTGRES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def browser() -> tuple[str, str]:
    """(chromium, chromedriver) of this machine. HUBEL_REQUIRE_BROWSER=1 makes their absence a failure."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium and driver:
        return chromium, driver
    reason = "chromium and chromedriver are not here (Debian: apt install chromium chromium-driver)"
    if os.environ.get("HUBEL_REQUIRE_BROWSER") == "1":
        pytest.fail(reason)
    pytest.skip(reason)

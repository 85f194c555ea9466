"""What a test needs and a machine may lack: absent means skipped, or failed with HUBEL_REQUIRE_DATA=1."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

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


def browser() -> tuple[str, str]:
    """(chromium, chromedriver) of this machine. HUBEL_REQUIRE_BROWSER=1 makes their absence a failure."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium and driver:
        return chromium, driver
    reason = "chromium and chromedriver are not here (Debian: apt install chromium chromium-driver)"
    if os.environ.get("HUBEL_REQUIRE_BROWSER") == "1":
        pytest.fail(reason)
    pytest.skip(reason)

"""The manifest of what can be fetched: every line can be asked for, and nothing can be written elsewhere."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest

from hubel.data.published import MANIFEST, Published

FILES = [pytest.param(f, id=f"{name}/{f.name}") for name, files in MANIFEST.items() for f in files]


@pytest.mark.parametrize("file", FILES)
def test_a_file_has_a_sum_a_size_and_two_addresses_of_its_own_name(file: Published) -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", file.sha256) and file.size > 0
    assert PurePosixPath(file.name).name == file.name
    assert len(set(file.mirrors)) == len(file.mirrors) >= 2
    assert all(re.fullmatch(r"https?://[\w.-]+/\S*", m) and m.endswith(f"/{file.name}") for m in file.mirrors)
    assert file.mirrors[0].startswith("https://")


def test_no_two_files_share_a_sum() -> None:
    sums = [f.sha256 for files in MANIFEST.values() for f in files]
    assert len(set(sums)) == len(sums)

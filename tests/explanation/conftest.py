"""A trained network for questions. It is one for all, so nobody may leave it other than it was."""

from __future__ import annotations

import pytest

import hubel


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A convolutional network that is right on some digits and wrong on others."""
    return hubel.train("digits", out=tmp_path_factory.mktemp("runs") / "cnn", epochs=1, precision="fp32")

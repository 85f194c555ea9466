"""The command line, called in this process: argv in, exit code and both outputs back."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

import pytest

import hubel
from hubel.cli.main import main


@dataclass(frozen=True)
class Said:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def cli(capsys, monkeypatch):
    """cli("data", "digits") -> Said, as a terminal of 100 columns would have it."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*argv: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["hubel", *map(str, argv)])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as e:
            code = e.code if isinstance(e.code, int) else 0 if e.code is None else 1
        printed = capsys.readouterr()
        return Said(code, printed.out, printed.err)

    return call


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """name -> run folder: a and b differ by the learning rate, c by the seed (and so by its test items); `bare` has no result."""
    root = tmp_path_factory.mktemp("runs")
    settings = {
        "a": {"lr": 0.003, "epochs": 3},
        "b": {"lr": 0.0003, "epochs": 5},
        "c": {"lr": 0.003, "epochs": 3, "seed": 3},
        "bare": {"epochs": 1},
    }
    for name, chosen in settings.items():
        run = hubel.train("digits", network="mlp", out=root / name, precision="fp32", **chosen)
        if name != "bare":
            hubel.evaluate(run)
    return {name: root / name for name in settings}

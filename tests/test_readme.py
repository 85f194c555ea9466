"""The READMEs tell the truth because they are run: every block, in order, as a newcomer would.

`sh` blocks run line by line as real commands, `python` blocks in one namespace, and what they print is held against the
`text` block that follows. `console` blocks need data or minutes and are only parsed, in test_docs.py.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from blocks import ROOT, fenced, joined

import hubel
from hubel.zoo import ZOO

README, CHINESE = ((ROOT / name).read_text("utf-8") for name in ("README.md", "README.zh-CN.md"))
INSTALL = "pip install -c constraints.txt . && hubel train"
TEST = 'pip install -c constraints.txt ".[test]" && pytest'


def test_both_languages_have_the_same_blocks():
    assert fenced(README) == fenced(CHINESE) != []


def test_the_two_commands_are_the_ones_that_every_change_must_pass():
    lines = [line for kind, block in fenced(README) if kind == "sh" for line in joined(block)]
    assert lines[:2] == [INSTALL, TEST] and not any("pip" in line for line in lines[2:])
    assert TEST in (ROOT / ".ci" / "run").read_text("utf-8").splitlines()


@pytest.mark.parametrize("page", [README, CHINESE], ids=["English", "Chinese"])
def test_the_table_of_networks_is_the_zoo(page):
    (table,) = (t for t in re.findall(r"(?:^\|.*\n)+", page, re.M) if "`lenet5`" in t)
    named = re.findall(r"`([a-z][\w-]*)`", table)
    assert sorted(named) == sorted(ZOO)  # each of them, once


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """Run a line in an empty folder where `hubel` is the one under test -> what it printed."""
    command = tmp_path / "bin" / "hubel"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m hubel.cli.main "$@"\n')
    command.chmod(0o755)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("PATH", str(command.parent), prepend=os.pathsep)
    monkeypatch.setenv("PYTHONPATH", str(Path(hubel.__file__).parent.parent), prepend=os.pathsep)

    def run(line: str) -> str:
        done = subprocess.run(line, shell=True, capture_output=True, text=True, encoding="utf-8")
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run


def test_every_block_runs_and_prints_what_it_says(shell):
    blocks = fenced(README)  # the Chinese ones are the same
    names: dict[str, object] = {}
    for (kind, block), after in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if kind == "sh":
            printed = [shell(line) for line in map(without_pip, joined(block)) if line]
        elif kind == "python":
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(block, names)
            printed = [out.getvalue()]
        else:
            assert kind in ("console", "text"), f"a block of {kind!r} is not run by anything"
            continue
        if after[0] == "text":
            assert "".join(printed) == after[1]
    folders = sorted(Path("runs").iterdir())
    assert [f.name for f in folders if not f.name.startswith("digits-fast-digits-")] == [
        "lenet5",
        "mlp",
        "numpy",
        "python",
    ]
    for name in re.findall(r"^\| `([\w.]+)`(?:, `([\w.]+)`)? \|", README, re.M):
        for file in filter(None, name):
            if "." in file:
                assert all((folder / file).is_file() for folder in folders), file


def without_pip(line: str) -> str:
    """The rest of a line after its installation; "" for the tests, which are running already."""
    _, _, rest = line.partition(" && ") if line.startswith("pip ") else ("", "", line)
    return "" if rest == "pytest" else rest

"""The house has floors; imports go down only. Every import statement of the package is looked at, wherever it stands."""

from __future__ import annotations

import ast
from pathlib import Path

import hubel

PACKAGE = Path(hubel.__file__).parent
FLOORS = ["errors", "files", "memory", "progress", "devices", "shapes", "metrics"]
FLOORS += ["data", "zoo", "attacks", "replay", "verification", "stored", "run"]
FLOORS += ["pretrained", "onnx", "export"]
FLOORS += ["training", "evaluation", "explanation", "serving", "cli"]
ALLOWED = ("replay", "verification", "training", "cli")  # who may import the definitions


def arrows() -> set[tuple[str, str]]:
    """(from, to): each import of one part of the package by another; a part is a file or folder right under hubel/."""
    found = set()
    for file in PACKAGE.rglob("*.py"):
        inside = file.relative_to(PACKAGE)
        part = inside.parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{inside}: a relative import hides where it goes"
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            else:
                continue
            for name in names:
                pieces = (name or "").split(".")
                if pieces[0] == "hubel" and len(pieces) > 1:
                    found.add((part, pieces[1]))
    parts = {p.name.removesuffix(".py") for p in PACKAGE.iterdir()}
    return {(a, b) for a, b in found if a != b and b in parts}


def test_imports_only_go_down():
    up = [(a, b) for a, b in arrows() if a in FLOORS and b in FLOORS and FLOORS.index(a) < FLOORS.index(b)]
    assert up == []


def test_there_are_arrows_to_look_at():
    assert {("data", "errors"), ("training", "run"), ("cli", "training"), ("evaluation", "run")} <= arrows()


def test_every_part_has_a_floor():
    parts = {
        p.name.removesuffix(".py") for p in PACKAGE.iterdir() if not p.name.startswith((".", "__pycache__"))
    }
    assert parts - set(FLOORS) - {"__init__", "__main__", "definitions", "py.typed"} == set()


def test_the_definition_stands_apart():
    assert [a for a in arrows() if a[0] == "definitions"] == []
    assert [a for a in arrows() if a[1] == "definitions" and a[0] not in ALLOWED] == []


def test_what_comes_after_training_needs_only_the_run():
    assert [a for a in arrows() if a[1] == "training" and a[0] not in ("__init__", "cli")] == []

"""What holds for every pair of the definitions."""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path

import pytest

import hubel.definitions as definitions

HERE = Path(definitions.__file__).parent
PAIRS = sorted(n for n in definitions.__all__ if f"{n}_backward" in definitions.__all__)


def test_there_are_pairs_to_look_at():
    assert {"conv2d", "max_pool2d", "batch_norm", "lstm_cell", "cross_entropy_with_logits"} <= set(PAIRS)


def test_every_backward_has_its_forward():
    assert [
        n for n in definitions.__all__ if n.endswith("_backward") and n.removesuffix("_backward") not in PAIRS
    ] == []


@pytest.mark.parametrize("name", PAIRS)
def test_a_backward_stands_right_under_its_forward(name):
    module = sys.modules[getattr(definitions, name).__module__]
    functions = [n.name for n in ast.parse(inspect.getsource(module)).body if isinstance(n, ast.FunctionDef)]
    assert functions[functions.index(name) + 1] == f"{name}_backward"


@pytest.mark.parametrize("name", PAIRS)
def test_a_backward_takes_dy_and_then_what_the_forward_took(name):
    forward = inspect.signature(getattr(definitions, name)).parameters
    backward = list(inspect.signature(getattr(definitions, f"{name}_backward")).parameters.values())
    assert backward[0].name in ("dy", "dL")
    assert [(p.name, p.default, p.annotation, p.kind) for p in backward[1:]] == [
        (p.name, p.default, p.annotation, p.kind) for p in forward.values()
    ]


@pytest.mark.parametrize("name", PAIRS)
def test_every_operation_says_its_sum(name):
    for f in (getattr(definitions, name), getattr(definitions, f"{name}_backward")):
        assert f.__doc__, f.__name__


def test_the_face_is_the_whole_face():
    """Every public pair of every file is importable from the package."""
    found = set()
    for file in HERE.glob("*.py"):
        names = [n.name for n in ast.parse(file.read_text("utf-8")).body if isinstance(n, ast.FunctionDef)]
        found |= {n for n in names if n.endswith("_backward") or f"{n}_backward" in names}
    assert found <= set(definitions.__all__)
    assert len(set(definitions.__all__)) == len(definitions.__all__)
    assert [n for n in definitions.__all__ if not hasattr(definitions, n)] == []


def test_numpy_alone_is_imported():
    allowed = {"numpy", "hubel", *sys.stdlib_module_names}
    for file in HERE.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            assert {n.split(".")[0] for n in names} <= allowed, file.name


def test_every_file_can_be_read_at_one_sitting():
    assert [
        (f.name, n) for f in HERE.glob("*.py") if (n := len(f.read_text("utf-8").splitlines())) >= 350
    ] == []

"""What the benchmarks write into docs/measured.md, and where; their figures are nobody's business here."""

from __future__ import annotations

import importlib.util
import re

import pytest
from blocks import ROOT

from hubel.errors import InputError
from hubel.evaluation.measurements import machine

found = importlib.util.spec_from_file_location("document", ROOT / "benchmarks" / "document.py")
assert found is not None and found.loader is not None
document = importlib.util.module_from_spec(found)
found.loader.exec_module(document)

BEGIN, END = "<!-- a-race: begin (written by benchmarks/a_race.py) -->", "<!-- a-race: end -->"


def test_a_section_is_added_at_the_end():
    made = document.written("# Measured\n\ntext\n", "/some/where/a_race.py", "## A race\n\n| 1 |")
    assert made == f"# Measured\n\ntext\n\n{BEGIN}\n## A race\n\n| 1 |\n{END}\n"


def test_a_section_is_written_anew_in_its_place():
    text = f"before\n{BEGIN}\nold\nolder\n{END}\nafter\n<!-- b: begin -->\nold\n<!-- b: end -->\n"
    once = document.written(text, "a_race.py", "new")
    assert once == text.replace("old\nolder", "new", 1)
    assert document.written(once, "a_race.py", "new") == once


@pytest.mark.parametrize("text", [BEGIN, END, f"{END}\n{BEGIN}", f"{BEGIN}\n{BEGIN}\n{END}"])
def test_markers_that_do_not_fit_are_told(text):
    with pytest.raises(InputError, match="must hold both markers, once and in this order, or none"):
        document.written(text, "a_race.py", "new")


def test_what_is_told_is_printed_and_written(tmp_path, capsys):
    out = tmp_path / "measured.md"
    document.tell("a_race.py", ["## A race", "", "two"], str(out))
    document.tell("a_race.py", ["## A race", "", "three"], None)
    assert capsys.readouterr().out == "## A race\n\ntwo\n## A race\n\nthree\n"
    assert out.read_text("utf-8") == f"# Measured\n\n{BEGIN}\n## A race\n\ntwo\n{END}\n"


def test_the_footing_says_when_where_with_what_and_by_what():
    import numpy

    said = document.footing("/some/where/a_race.py", ("numpy", "no-such-package"), "3 threads")
    assert re.match(r"\d{4}-\d\d-\d\d, ", said)
    assert said[12:].startswith(f"{machine()}, 3 threads, python ")
    assert said.endswith(f", numpy {numpy.__version__}, by `benchmarks/a_race.py`.")


def test_every_section_of_the_document_is_that_of_a_script():
    """Or the next measurement would be added at the end, beside the old one."""
    text = (ROOT / "docs" / "measured.md").read_text("utf-8")
    scripts = re.findall(r"begin \(written by benchmarks/(\w+\.py)\)", text)
    assert scripts
    for script in scripts:
        assert (ROOT / "benchmarks" / script).is_file()
        assert all(text.count(marker) == 1 for marker in document.markers(script)), script


@pytest.mark.parametrize("script", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.name)
def test_only_one_place_knows_how_sections_are_marked(script):
    assert ("<!--" in script.read_text("utf-8")) is (script.name == "document.py")

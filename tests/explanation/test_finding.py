"""What a question gives: a PNG per finding, and one page that holds them and asks nobody for anything."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from hubel.errors import InputError
from hubel.explanation import finding as findings
from hubel.explanation.finding import Finding, Item, Items, stacked, told, write

rng = np.random.default_rng(0)


def found(name: str, **more) -> Finding:
    return Finding(name, more.pop("title", f"about {name}"), Image.fromarray(rng.integers(0, 256, (6, 9, 3), np.uint8)), **more)  # fmt: skip


def inside(page: str) -> list[np.ndarray]:
    """The pictures that a page holds."""
    packed = re.findall(r'<img src="data:image/png;base64,([^"]+)"', page)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(p)))) for p in packed]


def test_every_finding_becomes_a_png_and_stands_in_the_page(tmp_path):
    made = [found("test/00017"), found("chelsea.png")]
    path = write(iter(made), tmp_path / "out", "Maps")
    assert path == tmp_path / "out" / "index.html"
    assert {p.name for p in path.parent.iterdir()} == {"index.html", "test-00017.png", "chelsea.png"}
    for one, file, shown in zip(
        made, ("test-00017.png", "chelsea.png"), inside(path.read_text()), strict=True
    ):
        np.testing.assert_array_equal(np.asarray(Image.open(path.parent / file)), np.asarray(one.image))
        np.testing.assert_array_equal(shown, np.asarray(one.image))


def test_findings_of_one_name_do_not_overwrite_each_other(tmp_path):
    write([found("a"), found("A"), found("a")], tmp_path, "x")
    assert {p.name for p in tmp_path.glob("*.png")} == {"a.png", "A-2.png", "a-3.png"}


def test_names_cannot_become_markup_and_the_page_loads_nothing(tmp_path):
    bad = "<script>alert(1)</script>\"'&"
    page = write(
        [found(bad, title=bad, caption=bad, numbers={bad: bad})], tmp_path, bad, about=bad
    ).read_text()
    assert "alert(1)" in page and "<script>alert" not in page
    assert re.findall(r'(?:src|href)="(?!data:|#)', page) == []
    assert "default-src 'none'" in page
    assert all("/" not in p.name and "<" not in p.name for p in tmp_path.iterdir())


def test_what_is_too_heavy_for_the_page_is_shown_from_beside_it(tmp_path, monkeypatch):
    made = [found("one"), found("two words"), found("three")]
    monkeypatch.setattr(findings, "PAGE_BYTES", len(findings.packed(made[0].image)))
    page = write(made, tmp_path, "x").read_text()
    assert len(inside(page)) == 1
    assert 'src="two-words.png"' in page and "2 of the pictures" in page


def test_a_part_of_the_page_stands_in_the_pictures_place(tmp_path):
    page = write([found("a", html="<p class=own>dots</p>")], tmp_path, "x").read_text()
    assert "<p class=own>dots</p>" in page and inside(page) == []


def test_out_must_not_be_a_file(tmp_path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(InputError, match=r"taken is a file: --out names the folder"):
        write([found("a")], tmp_path / "taken", "x")
    assert (tmp_path / "taken").read_text() == "mine"


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.98765432, "0.9877"), (-2.5, "−2.5"), (12345, "12,345"), (float("nan"), "–"), (None, "–"), (True, "yes"),
     ([1, 2.5], "1, 2.5"), ({"a": 0.5, "b": 2}, "a 0.5, b 2"), ("name", "name")],
)  # fmt: skip
def test_numbers_are_told_as_people_read_them(value, said):
    assert told(value) == said


def test_json_holds_arrays_as_lists_or_their_shapes():
    one = found("a", numbers={"p": 0.5}, arrays={"heat": np.arange(6, dtype=np.float32).reshape(2, 3)})
    assert one.to_dict()["arrays"] == {"heat": [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]}
    assert one.to_dict(arrays=False)["arrays"] == {"heat": [2, 3]}


def test_items_are_made_in_0_to_1_when_asked_for():
    inputs = np.array([[[[0, 51]]], [[[255, 102]]]], np.uint8)
    items = Items(inputs, ("a", "b"), (None, "cat"))
    assert [i.name for i in items] == ["a", "b"] and items[1].label == "cat"
    np.testing.assert_allclose(items[1].x, [[[1.0, 0.4]]])
    assert items[1].x.dtype == np.float32
    np.testing.assert_array_equal(items[1:].inputs, inputs[1:])
    numbers = Items(np.array([[3.0, -4.0]], np.float32), ("row",), (None,))
    np.testing.assert_array_equal(numbers[0].x, [3.0, -4.0])  # rows of numbers stay as they are


def test_stacked_items_are_what_a_run_takes():
    inputs = rng.integers(0, 256, (3, 1, 2, 4), np.uint8)
    assert stacked(Items(inputs, "abc", [None] * 3)) is inputs
    plain = [Item("a", inputs[0] / np.float32(255)), Item("b", inputs[1] / np.float32(255))]
    np.testing.assert_allclose(stacked(plain), inputs[:2] / 255, rtol=1e-6)

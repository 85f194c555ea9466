"""`hubel zoo`: the list at any width, one network in full; and docs/networks.md, which is what the code says now."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from blocks import ROOT, links
from test_docs import headings

from hubel import zoo
from hubel.cli import networks_page
from hubel.evaluation.measurements import MEASUREMENTS
from hubel.zoo.stories import FAMILIES, story_of

PAGE = ROOT / "docs" / "networks.md"
NUMBER = re.compile(r"(?:arXiv:\d{4}\.\d{4,5}|doi:10\.\d+/[\w./-]+)")


@pytest.fixture(scope="module")
def written() -> tuple[str, dict[str, str]]:
    return networks_page.page(PAGE.stem, PAGE.with_name("measured.md").read_text("utf-8"))


# ---- stories


def test_every_network_is_in_one_story_and_every_story_has_five_sentences():
    told = [name for family in FAMILIES for story in family.stories for name in story.networks]
    assert sorted(told) == sorted(zoo.names())
    for family in FAMILIES:
        for story in family.stories:
            assert story.shown in story.networks
            assert len(re.findall(r"[.?](?=\s|$)", story.text)) == 5 and story.text[-1] == ".", story.title
    assert story_of("vgg13-bn").title == "VGG" and story_of("conv8x3 fc") is None


def test_the_families_are_those_of_the_readme():
    table = dict(
        re.findall(r"^\| ([^|`]+) \| (.*`[\w-]+`.*) \|$", (ROOT / "README.md").read_text("utf-8"), re.M)
    )
    for family in FAMILIES:
        assert set(re.findall(r"`([a-z][\w-]*)`", table[family.name])) == set(family.networks)


# ---- the page


def test_the_page_and_its_pictures_are_what_the_code_says_now(written):
    text, pictures = written
    say = "write it anew: hubel zoo --markdown docs/networks.md"
    assert PAGE.read_text("utf-8") == text, say
    folder = PAGE.with_suffix("")
    assert (
        {file.name for file in folder.iterdir()} == set(pictures) == {f"{name}.svg" for name in zoo.names()}
    )
    assert [name for name, svg in pictures.items() if (folder / name).read_text("utf-8") != svg] == [], say


def test_every_network_has_its_line_and_its_picture(written):
    text, pictures = written
    lines = dict(re.findall(r"^\| \[([\w-]+)\]\(networks/[\w-]+\.svg\) \|(.*)\|$", text, re.M))
    assert sorted(lines) == sorted(zoo.names())
    for name, line in lines.items():
        cells = [cell.strip() for cell in line.split("|")]
        assert f"{zoo.ZOO[name].parameters:,}" in cells and (zoo.ZOO[name].published or "–") in {*cells, "–"}
        assert f"]({PAGE.stem}/{story_of(name).shown}.svg)\n" in text
    # The field: 11, +2·4 pooled, +4·8, +2·8 pooled, +2·16 three times, +2·16 pooled; the work is sum of k²·C·O·H·W.
    assert lines["alexnet"].startswith(" 2012 | 3×227×227 | 1,000 | 60,965,224 | 724 M | 195 | 40.7 % top-1")
    assert max(map(len, pictures.values())) < 64_000


def test_links_within_the_page_lead_to_its_headings(written):
    anchors = set(re.findall(r"\]\(#([^)]+)\)", written[0]))
    assert len(anchors) == sum(len(family.stories) for family in FAMILIES)
    assert anchors <= headings(PAGE)
    assert {name for name in links(written[0]) if name.endswith(".md")} == {"measured.md"}


def test_papers_are_links():
    said = networks_page._linked("A 2015, arXiv:1409.1556; B 1998, doi:10.1109/5.726791")
    assert said == (
        "A 2015, [arXiv:1409.1556](https://arxiv.org/abs/1409.1556); "
        "B 1998, [doi:10.1109/5.726791](https://doi.org/10.1109/5.726791)"
    )


TABLE = """| name | command | test accuracy | whole command |
| --- | --- | --- | --- |
| cifar10 | `hubel train cifar10` | 87.36 % | 351.5 s |
| mnist | `hubel train mnist` | 99.55 ± 0.03 % | 24.2 s |
| signs | `hubel train $HUBEL_DATA/signs/signs-64.tar` | 99.84 ± 0.14 % | 30.3 s |
| slow | `hubel train mnist --network lenet5 --engine numpy` | 98.80 ± 0.04 % | 46.6 s |

| round | Keras | | hubel |
| --- | --- | --- | --- |
| 1 | 98.97 % | 44.0 s | 99.38 % |
"""


def test_what_was_measured_is_told_of_the_network_that_was_trained():
    assert networks_page.accuracies(TABLE) == {
        "strong-pictures": ["87.36 % (cifar10)"],  # that is what the data set itself names
        "fast-pictures": ["99.84 ± 0.14 % (signs)"],
        "fast-digits": ["99.55 ± 0.03 % (mnist)"],
        "lenet5": ["98.80 ± 0.04 % (slow)"],
    }


def test_every_measurement_that_can_be_made_finds_its_network():
    rows = "".join(f"| {name} | `{m.command}` | 50.00 ± 1.00 % |\n" for name, m in MEASUREMENTS.items())
    found = networks_page.accuracies(rows)
    assert sorted(said.split("(")[1] for figures in found.values() for said in figures) == sorted(
        f"{name})" for name in MEASUREMENTS
    )
    assert set(found) <= set(zoo.names())


def test_a_page_is_written_with_its_pictures_beside_it(cli, tmp_path, monkeypatch):
    monkeypatch.setattr(
        networks_page, "page", lambda folder, measured: (f"{folder}|{measured}", {"a.svg": "<svg/>"})
    )
    said = cli("zoo", "--markdown", tmp_path / "all.md")
    assert said.out == f"written  {tmp_path / 'all.md'}, 1 picture in {tmp_path / 'all'}\n"
    assert (tmp_path / "all.md").read_text() == "all|"  # nothing is measured there
    assert (tmp_path / "all" / "a.svg").read_text() == "<svg/>"
    (tmp_path / "measured.md").write_text("figures")
    assert cli("zoo", "--markdown", tmp_path / "all.md", "--json").json == {
        "page": str(tmp_path / "all.md"),
        "pictures": 1,
    }
    assert (tmp_path / "all.md").read_text() == "all|figures"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("lenet5", "--markdown", "x.md"), "the page of all networks, not of 'lenet5' alone"),
        (("--markdown", "nowhere/x.md"), "the folder nowhere for x.md does not exist"),
        (("--markdown", "networks"), "a file that ends in .md, as docs/networks.md, got 'networks'"),
        (("lenet55",), "no network named 'lenet55'. Did you mean 'lenet5'?"),
    ],
)
def test_what_cannot_be_done_is_told(cli, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    said = cli("zoo", *words)
    assert said.code == 2 and message in said.err and list(Path().iterdir()) == []


# ---- the list


@pytest.mark.parametrize("width", [80, 100, 110, 120, 145, 160, 200])
def test_a_network_is_one_line_at_any_width_and_no_number_is_broken(cli, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    lines = cli("zoo").out.splitlines()
    assert max(map(len, lines)) <= width
    shown = {line.split()[0]: line for line in lines if line.split()[:1] and line.split()[0] in zoo.ZOO}
    assert list(shown) == [name for family in FAMILIES for name in family.networks]
    for name, line in shown.items():
        entry = zoo.ZOO[name]
        assert f"{entry.parameters:,}" in line and (not entry.year or f" {entry.year} " in line)
        for number in re.findall(r"(?:arXiv|doi):\S*", line):
            assert number in NUMBER.findall(entry.source)
    # what is shown depends on the room
    assert ("arXiv:1409.1556" in shown["vgg16"]) == (width in (80, 100, 145, 160, 200))
    assert ("16 layers, convolutions of 3x3 alone" in shown["vgg16"]) == (width >= 110)
    assert ("3×224×224" in shown["vgg16"]) == (width <= 100 or width >= 160)


def test_a_paper_without_room_is_left_out_whole(cli, monkeypatch):
    doi = "doi:10.1109/ICDAR.2003.1227801"  # 30 letters: of 80 columns 29 are left, of 81 they are
    for width in (80, 81):
        monkeypatch.setenv("COLUMNS", str(width))
        (line,) = (line for line in cli("zoo").out.splitlines() if line.startswith("lenet5-simplified"))
        assert line.endswith("134,066" if width == 80 else doi)


def test_one_network_in_full(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    said = cli("zoo", "alexnet").out
    assert max(map(len, said.splitlines())) <= 80
    flat = " ".join(said.split())
    for part in (
        "doi:10.1145/3065386",
        "724,000,000, as published",
        "15.3 % top-5 on the test set",
        "optimizer adamw",
        story_of("alexnet").text,
    ):
        assert part in flat
    assert said.endswith("Train it:       hubel train DATA --network alexnet\n")


def test_a_network_in_one_line_has_no_story_but_its_count(cli):
    said = cli("zoo", "conv8x3   relu fc").out
    assert 'hubel describe "conv8x3 relu fc"' in said
    # 1·8·9 + 8 and 8·26·26·10 + 10
    assert re.search(r"^parameters +54,170$", said, re.M) and "published" not in said


def test_json_has_every_claim_and_one_is_what_all_say_of_it(cli):
    listed = cli("zoo", "--json").json
    assert listed["resnet18"]["family"] == "ResNet" and listed["resnet18"]["multiply_adds"] == 1_814_000_000
    assert listed["lenet-keras"]["year"] is None and listed["lenet-keras"]["recipe"]["optimizer"] == "rmsprop"
    assert listed["fast-digits"]["presets"]["fast"]["epochs"] == 1
    assert cli("zoo", "resnet18", "--json").json == {"network": "resnet18", **listed["resnet18"]}

"""The documents do not lie: every `hubel` command in them parses and names what exists, and every link leads somewhere."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import typer
from blocks import ROOT, commands, fenced, links

from hubel.cli import main
from hubel.cli.train import _arguments
from hubel.errors import UnknownName
from hubel.training.recipe import Recipe, compose
from hubel.zoo import arguments_of, lookup

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
COMMANDS = {name: main.command(name) for name in main.COMMANDS}
SETTINGS = {field.name for field in dataclasses.fields(Recipe)}

SAID = [(page.name, " ".join(words), words) for page in PAGES for words in commands(page.read_text("utf-8"))]


def test_there_are_commands_to_look_at():
    assert {name for name, _, _ in SAID} >= {"README.md", "README.zh-CN.md", "guide.md", "recipes.md"}
    assert {words[0] for _, _, words in SAID} >= {
        "train",
        "evaluate",
        "predict",
        "describe",
        "compare",
        "zoo",
        "data",
    }


@pytest.mark.parametrize(("page", "said", "words"), SAID, ids=[f"{page}: {said}" for page, said, _ in SAID])
def test_every_command_parses_and_names_what_exists(page, said, words, capsys):
    if words[0].startswith("-"):
        assert words[0] in ("--help", "--version", "--install-completion", "--show-completion")
        return
    assert words[0] in COMMANDS
    if len(words) == 1:  # a command's name, in prose
        return
    try:
        found = parsed(COMMANDS[words[0]], words)
    except typer.Exit:  # --help
        assert "Usage" in capsys.readouterr().out
        return
    if words[0] == "train":
        settings = {name: value for name, value in found.items() if name in SETTINGS and value is not None}
        settings |= (
            {"milestones": tuple(map(float, settings["milestones"].split(",")))}
            if "milestones" in settings
            else {}
        )
        compose(user=settings)
        network = found.get("network") or "mlp"
        entry = lookup(network)  # a network in one line is one, too
        assert found.get("preset") in (None, *entry.presets, *lookup("fast-digits").presets)
        assert set(_arguments(found.get("hidden"), list(found["arg"]))) <= set(arguments_of(network))


def parsed(command, words, above=None):
    """The options of the innermost command: `walk conv2d --stride 2` is the group walk, then its conv2d."""
    context = command.make_context(words[0], words[1:], parent=above)
    below = [*getattr(context, "_protected_args", ()), *context.args]
    if not hasattr(command, "resolve_command") or not below:
        return context.params
    name, inner, rest = command.resolve_command(context, below)
    return parsed(inner, [name, *rest], context)


@pytest.mark.parametrize(
    "said", ["walk max_pool2d --kernel 2x2", "walk conv2dd", "walk graph", "walk a/run photo.png --item x"]
)
def test_a_command_under_a_command_is_parsed_too(said):
    """`walk graph` has an expression of its own; the others cannot be typed."""
    if said == "walk graph":
        assert parsed(COMMANDS["walk"], said.split())["expression"]
        return
    usage = typer.BadParameter.__mro__[1]  # UsageError, which typer has under no name of its own
    with pytest.raises((usage, UnknownName)):
        parsed(COMMANDS["walk"], said.split())


def test_the_best_that_the_linear_network_can_do_is_what_the_recipe_says():
    x = np.random.RandomState(23455).rand(32, 2)
    y = (x.sum(1) < 1).astype(float)
    recipes = (ROOT / "docs" / "recipes.md").read_text("utf-8")
    for design in (x, np.column_stack([x, np.ones(32)])):  # without and with a bias
        w, *_ = np.linalg.lstsq(design, y, rcond=None)
        assert f"{np.square(design @ w - y).mean():.4f}" in recipes


def test_the_code_of_the_page_on_definitions_runs(capsys):
    names: dict[str, object] = {}
    for kind, block in fenced((ROOT / "docs" / "definitions.md").read_text("utf-8")):
        if kind == "python":
            exec(block, names)
    assert capsys.readouterr().out.splitlines()[:2] == ["(2, 16, 10, 10)", "(6, 1, 5, 5)"]


def test_the_folder_that_the_guide_draws_is_what_a_run_is_made_of():
    from hubel import run
    from hubel.evaluation import predictions, scores

    guide = (ROOT / "docs" / "guide.md").read_text("utf-8")
    (drawn,) = (block for _, block in fenced(guide) if "model.safetensors" in block)
    files = {
        run.MODEL,
        run.SETTINGS,
        run.HISTORY,
        run.TIMING,
        predictions.CSV,
        predictions.NPY,
        scores.REPORT,
    }
    assert files <= set(re.findall(r"[\w.]+", drawn))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for target in links(page.read_text("utf-8")):
        name, _, heading = target.partition("#")
        place = (page.parent / name).resolve()
        assert place.exists(), f"{page.name} links to {target}"
        if heading:
            assert heading in headings(place), f"{page.name} links to {target}"


def headings(page: Path) -> set[str]:
    """The anchors that a Markdown page has, as GitHub makes them from its headings."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)
    lines = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}

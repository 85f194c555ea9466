"""Help answers at once and for every command; nothing heavy is imported for it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from hubel.cli import complete
from hubel.cli.main import app
from hubel.data.sources import NAMES
from hubel.training.recipe import Recipe
from hubel.zoo import ZOO

COMMANDS = (
    "train",
    "evaluate",
    "predict",
    "export",
    "explain",
    "attack",
    "dream",
    "stylize",
    "fewshot",
    "describe",
    "verify",
    "compare",
    "zoo",
    "data",
    "measure",
    "serve",
)
HEAVY = {"torch", "numpy", "sklearn", "matplotlib", "PIL", "scipy"}


def imported_by(code: str) -> set[str]:
    """Top-level packages that a fresh interpreter has imported after `code`."""
    report = "import sys; sys.stderr.write(' '.join({name.split('.')[0] for name in sys.modules}))"
    code = f"import sys\ntry:\n    {code}\nexcept SystemExit: pass\nfinally:\n    {report}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_the_commands_are_those_of_the_design():
    assert tuple(c.callback.__name__ for c in app.registered_commands) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_helps(cli, command):
    said = cli(command, "--help")
    assert said.code == 0 and "Usage:" in said.out and command in said.out and said.err == ""
    assert cli(command, "-h").out == said.out


def test_help_lists_every_command(cli):
    said = cli("--help")
    assert said.code == 0
    assert [c for c in COMMANDS if f" {c} " not in said.out] == []


def test_the_help_of_train_explains_every_setting(cli):
    said = cli("train", "--help")
    missing = [name for name in Recipe.__dataclass_fields__ if f"--{name.replace('_', '-')}" not in said.out]
    assert missing == []


def test_version(cli):
    import hubel

    assert cli("--version").out == f"hubel {hubel.__version__}\n"


@pytest.mark.parametrize(
    "code",
    [
        "import hubel",
        "import hubel; hubel.__version__; dir(hubel)",
        "sys.argv = ['hubel', '--help']; from hubel.cli.main import main; main()",
        "sys.argv = ['hubel', 'train', '--help']; from hubel.cli.main import main; main()",
        "from hubel.cli.complete import networks; assert networks('lenet5-s') == ['lenet5-simplified']",
    ],
)
def test_nothing_heavy_is_imported_for(code):
    assert imported_by(code) & HEAVY == set()


def test_the_probe_would_notice_a_heavy_import():
    assert "numpy" in imported_by("import numpy")


def test_completing_data_does_not_import_torch():
    assert "torch" not in imported_by("from hubel.cli.complete import data; assert 'mnist' in data('mn')")


def test_networks_are_completed():
    assert complete.networks("") == list(ZOO)
    assert complete.networks("lenet5") == [n for n in ZOO if n.startswith("lenet5")] != []
    assert complete.networks("zzz") == []


def test_data_are_completed_with_names_and_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "points.csv").touch()
    (tmp_path / ".hidden").touch()
    assert complete.data("po") == ["points", "points.csv"]
    assert complete.data("") == [*NAMES, "pictures/", "points.csv"]
    assert complete.data(f"{tmp_path}/pi") == [f"{tmp_path}/pictures/"]
    assert complete.data("nowhere/at/all") == []


def test_runs_are_completed_here_and_under_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place in ("runs/digits-1", "runs/mnist-1", "mine", "other"):
        (tmp_path / place).mkdir(parents=True)
    for place in ("runs/digits-1", "runs/mnist-1", "mine"):
        (tmp_path / place / "run.toml").touch()
    assert complete.runs("") == ["mine", "runs/digits-1", "runs/mnist-1"]
    assert complete.runs("di") == ["runs/digits-1"]
    assert complete.runs("o") == ["other/"]  # no run, but one may lie in it


def completion(shell: str, line: str, word: int) -> list[str]:
    """What the installed completion script would be told for the `word`-th word of `line`."""
    environment = {"_HUBEL_COMPLETE": f"complete_{shell}", "COMP_WORDS": line, "COMP_CWORD": str(word)}
    command, environment = [sys.executable, "-m", "hubel"], os.environ | environment
    return subprocess.run(command, capture_output=True, text=True, env=environment).stdout.split()


def test_bash_completes_a_command_a_network_and_a_data_set():
    assert completion("bash", "hubel des", 1) == ["describe"]
    assert completion("bash", "hubel describe lenet-", 2) == ["lenet-keras", "lenet-tf"]
    assert completion("bash", "hubel train --network lenet-k", 3) == ["lenet-keras"]
    assert completion("bash", "hubel train fashion", 2) == ["fashion-mnist"]


def test_the_completion_script_can_be_shown():
    done = subprocess.run(
        [sys.executable, "-m", "hubel", "--show-completion", "bash"], capture_output=True, text=True
    )
    assert done.returncode == 0 and "complete" in done.stdout and "hubel" in done.stdout

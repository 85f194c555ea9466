"""Help answers at once and for every command; nothing heavy is imported for it."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys

import pytest

from hubel.cli import complete
from hubel.cli.main import COMMANDS, command
from hubel.data.sources import NAMES
from hubel.training.recipe import Recipe
from hubel.zoo import ZOO

HEAVY = {"torch", "numpy", "sklearn", "matplotlib", "PIL", "scipy"}


def modules_after(code: str) -> set[str]:
    """What a fresh interpreter has imported after `code`."""
    report = "sys.stderr.write(' '.join(sys.modules))"
    code = f"import sys\ntry:\n    {code}\nexcept SystemExit: pass\nfinally:\n    {report}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def imported_by(code: str) -> set[str]:
    """Top-level packages among them."""
    return {name.split(".")[0] for name in modules_after(code)}


def called(*words: str) -> str:
    """Code for `hubel WORDS`."""
    return f"sys.argv = {['hubel', *words]}; from hubel.cli.main import main; main()"


def test_the_commands_are_those_of_the_design():
    design = "train evaluate predict describe explain dream stylize attack walk verify serve export compare zoo data measure"
    assert set(COMMANDS) >= set(design.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_helps(cli, name):
    said = cli(name, "--help")
    assert said.code == 0 and f"Usage: hubel {name} [OPTIONS]" in said.out and said.err == ""
    assert cli(name, "-h").out == said.out


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_of_a_command_what_its_docstring_says(name):
    command(name)
    made = command(name)  # a second time is as good as the first
    assert made.name == name
    assert COMMANDS[name] == made.help == inspect.getdoc(made.callback)


def test_help_lists_every_command_with_its_line(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    said = cli("--help")
    assert said.code == 0
    lines = [line.strip("│ ").split(maxsplit=1) for line in said.out.splitlines()]
    assert [tuple(line) for line in lines if line and line[0] in COMMANDS] == list(COMMANDS.items())


def test_only_the_command_that_is_called_is_imported():
    begun = {f"hubel.cli.{name}" for name in COMMANDS}
    assert modules_after(called("--help")) & begun == set()
    assert modules_after(called("zoo", "--help")) & begun == {"hubel.cli.zoo"}
    assert modules_after(called("walk", "relu", "--help")) & begun == {"hubel.cli.walk"}


def test_an_unknown_command_is_told_the_nearest(cli):
    said = cli("predct")
    assert said.code == 2 and "No such command 'predct'. Did you mean 'predict'?" in said.err


@pytest.mark.parametrize("columns", [40, 60, 71, 72, 80, 120])
@pytest.mark.parametrize("name", COMMANDS)
def test_no_option_is_cut_however_narrow_the_terminal_is(cli, monkeypatch, name, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    said = cli(name, "--help").out
    options = [o for p in command(name).params for o in (*p.opts, *p.secondary_opts) if o.startswith("--")]
    assert [o for o in options if not re.search(rf"{o}(?![\w-])", said)] == []


def test_a_narrow_terminal_is_told_the_commands_in_full(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    said = " ".join(cli("--help").out.split())
    assert "--install-completion Install completion for the current shell." in said
    assert [name for name, line in COMMANDS.items() if f" {name} {line}" not in said] == []


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
        called("--help"),
        called("train", "--help"),
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
    assert completion("bash", "hubel serve --fee", 2) == ["--feedback"]
    assert completion("bash", "hubel walk sig", 2) == ["sigmoid"]
    assert completion("bash", "hubel describe lenet-", 2) == ["lenet-keras", "lenet-tf"]
    assert completion("bash", "hubel train --network lenet-k", 3) == ["lenet-keras"]
    assert completion("bash", "hubel train fashion", 2) == ["fashion-mnist"]


def test_the_completion_script_can_be_shown():
    """Typer asks the parent process which shell it is; here the shell is said, as there may be none above a test."""
    environment = os.environ | {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    for shell, word in (
        ("bash", "complete -o"),
        ("zsh", "#compdef hubel"),
        ("fish", "complete --command hubel"),
    ):
        command = [sys.executable, "-m", "hubel", "--show-completion", shell]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0 and word in done.stdout and "_HUBEL_COMPLETE" in done.stdout

"""One place turns errors into exit codes; what the user did is said in a sentence, and only our bugs show a traceback."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import sys

import pytest

from hubel.cli import main as commands
from hubel.errors import HubelError, InputError

# What was typed -> the exit code, and words of the message that name both sides or the next step.
WRONG = {
    "train digits --network lennet5": (2, "no network named 'lennet5'. Did you mean 'lenet5'? Known: "),
    "describe lenet6": (2, "no network named 'lenet6'. Did you mean 'lenet5'?"),
    "train mnits": (2, "no data set named 'mnits'. Did you mean 'mnist'?"),
    "train nowhere/at.tar": (2, "there is no file or folder "),
    "evaluate nowhere": (2, "no run at nowhere: "),
    "predict nowhere x.png": (2, "`hubel train DATA` makes one"),
    "compare nowhere elsewhere": (2, "no run at nowhere: "),
    "describe nowhere/run": (2, "no run at nowhere/run: "),
    "describe lenet5 --input 3x64": (2, "--input takes CHANNELSxHEIGHTxWIDTH, as 3x64x64"),
    "describe lenet5 --input 0x8x8": (2, "got '0x8x8'"),
    "describe lenet5 --arg bais=1": (2, "no argument of lenet5 named 'bais'"),
    "describe mlp --arg hidden": (2, "--arg takes NAME=VALUE, got 'hidden'"),
    "describe mlp --hidden 4,x": (2, "--hidden takes numbers separated by commas, got 'x'"),
    "describe lenet5 --classes 0": (2, "a network needs at least one output, got classes=0"),
    "train digits --network lenet5 --input 28x": (2, "--input takes HEIGHTxWIDTH in pixels up to 4096"),
    "train digits --network lenet5 --optimizer adma": (2, "Did you mean 'adam'?"),
    "train digits --network lenet5 --preset fats": (2, "no preset of lenet5 named 'fats'"),
    "train digits --network lenet5 --recipe no.toml": (2, "the recipe no.toml cannot be read: No such file"),
    "train digits --network lenet5 --batch -3": (2, "batch must be at least 0, got -3"),
    "train digits --network lenet5 --milestones 0.5,soon": (
        2,
        "--milestones takes numbers separated by commas",
    ),
    "train points --network lenet5": (2, "pictures"),
    "data points -o sheet.png": (2, "points holds vectors; only of pictures there is a contact sheet"),
    "data digits -o sheet.jpg": (2, "--out writes a PNG"),
    "data digits -o no/such/sheet.png": (2, "the folder no/such for sheet.png does not exist"),
    "data --check": (2, "--check needs a data set"),
    "data digits --task sort": (2, "--task is classify or regress, got 'sort'"),
    "verify conv2 lenet5": (2, "no operation or network named 'conv2'. Did you mean 'conv2d'?"),
    "verify lenet5 --no-networks": (2, "no operation named 'lenet5'. "),
    "measure mnits": (2, "no measurement named 'mnits'. Did you mean 'mnist'?"),
    "train points --network mlp --input 8x8": (
        2,
        "--input gives the size of pictures, but points holds vectors of 2 numbers: leave it out",
    ),
    "train points --network mlp --with-feedback kept": (
        2,
        "feedback is pictures with their class, but points holds vectors to classify: leave --with-feedback out",
    ),
    "launch -n 0 train digits": (2, "--processes must be at least 1 and --restarts at least 0, got 0 and 0"),
    "launch evaluate x": (2, "is train, not evaluate: hubel launch -n 2 train DATA"),
    "launch --restarts 1 train digits": (
        2,
        "--restarts goes on from what was saved in the run: say which with --out RUN",
    ),
    "measure digits -o no/such.md": (
        2,
        "the folder no for such.md does not exist: make it first, or name another",
    ),
    "fewshot run data --top 0 x.png": (2, "--top must be at least 1, got 0"),
    "measure digits --seeds 0": (2, "--seeds must be at least 1, got 0"),
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def assert_said(said, code: int, text: str) -> None:
    """Exactly one line, under our name, that holds `text`; nothing on standard output."""
    assert (said.code, said.out) == (code, "")
    assert said.err.startswith("hubel: ") and said.err.count("\n") == 1 and "Traceback" not in said.err
    assert text in said.err


@pytest.mark.parametrize("typed", WRONG)
def test_what_is_wrong_is_said(cli, typed):
    assert_said(cli(*typed.split()), *WRONG[typed])


@pytest.mark.parametrize(
    "typed", ["", "trian digits", "train digits --netwrok lenet5", "train digits --epochs many"]
)
def test_what_is_no_command_is_said(cli, typed):
    said = cli(*typed.split())
    assert said.code == 2 and "Traceback" not in said.err + said.out


def test_a_wrong_command_leaves_no_folder_behind(cli, tmp_path):
    for typed in WRONG:
        cli(*typed.split())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_not_written_to(cli, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    said = cli("train", "digits", "--network", "mlp", "--out", "mine")
    assert_said(said, 2, "mine exists and is not empty")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("toml", "text"),
    [
        ("epocs = 3", "no setting named 'epocs'. Did you mean 'epochs'?"),
        ("epochs = 'many'", "epochs must be of type int, got 'many'"),
        ("epochs = 3.5", "epochs must be of type int, got 3.5"),
        ("epochs = = 3", "the recipe my.toml is not TOML"),
    ],
)
def test_a_wrong_recipe_names_the_setting(cli, tmp_path, toml, text):
    (tmp_path / "my.toml").write_text(toml)
    assert_said(cli("train", "digits", "--network", "mlp", "--recipe", "my.toml"), 2, text)


# ---- damaged runs: exit 3 ----


@pytest.fixture
def copy(trained, tmp_path):
    return shutil.copytree(trained["a"], tmp_path / "copy")


def halved(run):
    content = (run / "model.safetensors").read_bytes()
    (run / "model.safetensors").write_bytes(content[: len(content) // 2])


def emptied(run):
    (run / "model.safetensors").write_bytes(b"")


def renamed_class(run):
    (run / "predictions.csv").write_bytes(
        re.sub(rb"(?m)^([^,]+),5,", rb"\1,five,", (run / "predictions.csv").read_bytes(), count=1)
    )


def without_card(run):
    content = (run / "model.safetensors").read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    head = content[8 : 8 + size].replace(b'"hubel"', b'"nobel"')
    (run / "model.safetensors").write_bytes(content[:8] + head + content[8 + size :])


def without_weights(run):
    (run / "model.safetensors").unlink()


def bad_settings(run):
    (run / "run.toml").write_text("format = ")


@pytest.mark.parametrize("damage", [halved, emptied, without_card, without_weights, bad_settings])
@pytest.mark.parametrize(
    "command", [("evaluate",), ("describe",), ("predict", "x.png"), ("compare",)], ids=lambda c: c[0]
)
def test_a_damaged_run_is_told_from_a_missing_one(cli, copy, trained, damage, command):
    damage(copy)
    verb, *rest = command
    assert_said(cli(verb, copy, *(rest or [trained["b"]] if verb == "compare" else rest)), 3, "copy")


def test_damaged_predictions_are_named_with_their_line(cli, copy, trained):
    renamed_class(copy)
    said = cli("compare", copy, trained["b"])
    assert_said(said, 3, "predictions.csv, line ")
    assert "'five'" in said.err


# ---- whose fault it is ----


def raising(error):
    def stub(*_, **__):
        raise error

    return stub


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (InputError("no such thing"), 2, "hubel: no such thing\n"),
        (HubelError("we were wrong"), 1, "hubel: we were wrong\n"),
        (KeyboardInterrupt(), 130, "hubel: interrupted\n"),
        (InputError("a name with \x1b[31m in it"), 2, "hubel: a name with \\x1b[31m in it\n"),
        (
            PermissionError(13, "Permission denied", "runs/x"),
            2,
            "hubel: runs/x: Permission denied. Check that the place exists, may be written and has room\n",
        ),
    ],
    ids=lambda e: type(e).__name__,
)
def test_an_error_becomes_its_exit_code(cli, monkeypatch, error, code, text):
    monkeypatch.setattr("hubel.data.open_source", raising(error))
    said = cli("data", "digits")
    assert (said.code, said.out, said.err) == (code, "", text)


def test_a_bug_of_ours_shows_its_traceback(cli, monkeypatch):
    monkeypatch.setattr("hubel.data.open_source", raising(ZeroDivisionError("ours")))
    with pytest.raises(ZeroDivisionError):  # which Python prints with its traceback, and exits with 1
        cli("data", "digits")


def test_python_itself_prints_the_traceback_and_exits_with_1():
    broken = "import sys, hubel.data as d; d.open_source = lambda *a, **k: 1 / 0; sys.argv = ['hubel', 'data', 'digits']"
    done = subprocess.run(
        [sys.executable, "-c", f"{broken}; from hubel.cli.main import main; main()"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback") and done.stderr.endswith(
        "ZeroDivisionError: division by zero\n"
    )


def test_every_command_is_under_the_one_place():
    assert commands.app.pretty_exceptions_enable is False

"""`hubel measure`: means and deviations of a stub's samples, the row it writes, and one real process."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys

import pytest

from hubel.errors import ArtifactError, HubelError, InputError, StoppedEarly
from hubel.evaluation import measurements
from hubel.evaluation.measured import BEGIN, COLUMNS, END, START, updated
from hubel.evaluation.measurements import GB, MEASUREMENTS, Measurement, Sample, measure, process

ACCURACIES, SECONDS, MEMORY = (0.9951, 0.9957, 0.9949), (24.0, 27.0, 26.0), (0.9e9, 1.1e9, 1.0e9)


@pytest.fixture
def stub(monkeypatch):
    """Stands in for the process; remembers what it was asked to run."""
    asked = []

    def runner(arguments):
        asked.append(list(arguments))
        seed = int(arguments[arguments.index("--seed") + 1])
        return Sample(SECONDS[seed], MEMORY[seed], {"accuracy": ACCURACIES[seed]})

    monkeypatch.setattr(measurements, "process", runner)
    return asked


def table(text: str) -> dict[str, dict[str, str]]:
    """name -> column -> cell, of the table between the markers."""
    inside = text.partition(BEGIN)[2].partition(END)[0].strip().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in inside]
    assert rows[0] == list(COLUMNS) and set(rows[1]) == {"---"}
    return {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows[2:]}


def test_each_seed_is_run_as_a_command_that_prints_json(cli, stub):
    assert cli("measure", "mnist", "--seeds", 3).code == 0
    assert stub == [["train", "mnist", "--seed", str(seed), "--json"] for seed in range(3)]


def test_the_row_holds_mean_deviation_n_and_where_it_was_measured(cli, stub, tmp_path):
    out = tmp_path / "measured.md"
    assert cli("measure", "mnist", "--seeds", 3, "--out", out).code == 0
    row = table(out.read_text("utf-8"))["mnist"]
    mean, sd = 100 * statistics.mean(ACCURACIES), 100 * statistics.stdev(ACCURACIES)
    assert row["test accuracy"] == f"{mean:.2f} ± {sd:.2f} %"
    assert (
        row["whole command"] == "25.7 ± 1.5 s"
    )  # (24 + 27 + 26) / 3; the squares of -5/3, 4/3 and 1/3 add up to 42/9
    assert row["peak memory"] == "1.10 GB" and row["n"] == "3" and row["command"] == "`hubel train mnist`"
    assert row["asked"] == "≥ 99.5 %, ≤ 30 s, ≤ 1.2 GB" and row["met"] == "yes"
    assert f"{len(os.sched_getaffinity(0))} core" in row["machine"]
    assert "torch 2." in row["versions"] and "hubel " in row["versions"] and "python 3." in row["versions"]


def test_what_is_missed_is_said(cli, stub, monkeypatch):
    strict = Measurement(("train", "mnist"), (0.996, 1), 25, 1.0 * GB)
    monkeypatch.setitem(MEASUREMENTS, "mnist", strict)
    found = cli("measure", "mnist", "--seeds", 3, "--json").json[0]
    assert found["missed"] == ["accuracy 99.52 %", "25.7 s", "1.10 GB"]
    assert "no: accuracy 99.52 %, 25.7 s, 1.10 GB" in cli("measure", "mnist", "--seeds", 3).out


def test_too_good_is_missed_too_where_a_range_is_asked(cli, stub):
    """The lecture's program is repeated when it reaches what the lecture reached, not more."""
    assert cli("measure", "mnist-lenet-keras", "--seeds", 3, "--json").json[0]["missed"] == [
        "accuracy 99.52 %"
    ]


def test_one_seed_has_no_deviation(cli, stub, tmp_path):
    cli("measure", "digits", "--seeds", 1, "--out", tmp_path / "m.md")
    assert table((tmp_path / "m.md").read_text("utf-8"))["digits"]["test accuracy"] == "99.51 %"


def test_other_rows_and_the_text_around_are_kept(cli, stub, tmp_path):
    out = tmp_path / "measured.md"
    cli("measure", "digits", "cifar10", "--seeds", 2, "--out", out)
    around = (
        out.read_text("utf-8").replace("# Measured", "# Our figures\n\nBy hand.")
        + "\n## Races\n\n| a | b |\n"
    )
    kept = "| mine | `by hand` | 12 % | " + " | ".join(["x"] * 8) + " |"
    out.write_text(around.replace(END, f"{kept}\n{END}"), "utf-8")
    before = out.read_text("utf-8")
    cli("measure", "digits", "--seeds", 3, "--out", out)
    after = out.read_text("utf-8")
    assert after.startswith("# Our figures\n\nBy hand.") and after.endswith("\n## Races\n\n| a | b |\n")
    assert list(table(after)) == ["digits", "cifar10", "mine"]
    assert table(after)["digits"]["n"] == "3" and table(before)["digits"]["n"] == "2"
    assert table(after)["cifar10"] == table(before)["cifar10"] and kept in after


def test_a_document_without_a_table_gets_one_at_its_end(tmp_path):
    text = updated("# Mine\n\nWords.\n", ())
    assert text.startswith("# Mine\n\nWords.\n") and text.index(BEGIN) < text.index(END)
    assert updated(text, ()) == text
    assert updated("", ()).startswith(START)


@pytest.mark.parametrize("text", [BEGIN, END, f"{END}\n{BEGIN}", f"{BEGIN}\n{END}\n{BEGIN}\n{END}"])
def test_a_document_with_half_a_table_is_left_alone(cli, stub, tmp_path, text):
    (tmp_path / "m.md").write_text(text)
    said = cli("measure", "digits", "--out", tmp_path / "m.md")
    assert said.code == 2 and "both markers" in said.err
    assert (tmp_path / "m.md").read_text() == text and stub == []  # found out before anything is run


def test_without_a_name_they_are_listed(cli, stub):
    listed = cli("measure", "--json").json
    assert list(listed) == list(MEASUREMENTS) and listed["mnist"]["asked"] == "≥ 99.5 %, ≤ 30 s, ≤ 1.2 GB"
    numpy = listed["mnist-numpy"]
    assert numpy["asked"] == "≥ 98.5 %" and "--engine numpy --epochs 2 " in numpy["command"]
    assert listed["mnist-lenet-keras"]["asked"] == "99 to 99.3 %" and listed["mnist-fast"]["asked"] == "–"
    assert stub == [] and "hubel measure all" in cli("measure").out


def test_the_place_of_the_data_comes_from_the_environment(cli, stub, monkeypatch, tmp_path):
    monkeypatch.setenv("HUBEL_DATA", str(tmp_path))
    assert cli("measure", "signs", "--seeds", 1).code == 0
    assert stub[0][:2] == ["train", str(tmp_path / "signs" / "signs-64.tar")]
    monkeypatch.delenv("HUBEL_DATA")
    said = cli("measure", "signs", "--seeds", 1)
    assert said.code == 2 and "HUBEL_DATA must name the folder" in said.err


def test_every_registered_command_is_one_that_train_takes(cli):
    """No option of a measurement is misspelt: the command line takes each, and stops at --help."""
    for name, m in MEASUREMENTS.items():
        assert cli(*m.arguments, "--seed", 0, "--json", "--help").code == 0, name


def test_a_result_without_an_accuracy_is_no_measurement():
    with pytest.raises(ArtifactError, match="printed no accuracy"):
        measure("digits", range(1), date="2026-01-01", runner=lambda _: Sample(1.0, 1.0, {"mse": 0.1}))


def weighed(*argv: str) -> Sample:
    """`process` in an interpreter of its own, as `hubel measure` is: this one has grown, and a child begins with that."""
    code = (
        "import json, sys; from hubel.evaluation.measurements import process; s = process(sys.argv[1:]); "
        "print(json.dumps([s.seconds, s.memory, s.result]))"
    )
    done = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, check=True)
    return Sample(*json.loads(done.stdout))


def test_a_real_process_is_timed_and_weighed(tmp_path):
    mine = tmp_path / "run"
    sample = weighed("train", "digits", "--network", "mlp", "--epochs", "1", "--json", "--out", str(mine))
    assert 0 <= sample.result["accuracy"] <= 1 and sample.result["run"] == str(mine) and sample.seconds > 0
    small = weighed("zoo", "--json")
    assert small.result["lenet5"]["parameters"] == 61_706
    # Torch alone takes more than 150 MB; a Python with a list of networks takes far less, and surely 5 MB.
    assert sample.memory > 150e6 > small.memory > 5e6


def test_asked_to_end_it_takes_its_process_with_it(tmp_path):
    """The measured process writes its number and waits; the measuring one is sent SIGTERM."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    sleeper = f"import os, signal; open({str(pipe)!r}, 'w').write(str(os.getpid())); signal.pause()"
    code = (
        "import subprocess, sys; from hubel.cli.main import main; started = subprocess.Popen\n"
        f"def popen(command, **how): return started([sys.executable, '-c', {sleeper!r}], **how)\n"
        "subprocess.Popen = popen; sys.argv = ['hubel', 'measure', 'digits', '--seeds', '1']; main()"
    )
    measuring = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    number = int(pipe.read_text())  # blocks until the measured process has written
    measuring.send_signal(signal.SIGTERM)
    said = measuring.communicate()[1].decode()
    assert measuring.returncode == 4 and said.startswith("hubel: asked to end (SIGTERM) while measuring")
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


def test_a_process_that_fails_is_quoted():
    with pytest.raises(
        InputError, match=r"`hubel train mnits` ended with exit code 2: no data set named 'mnits'"
    ):
        process(["train", "mnits"])


def test_a_process_that_prints_no_json_is_a_bug_of_ours():
    with pytest.raises(HubelError, match=r"^`hubel --version` printed no JSON \(Expecting value: .*\)$"):
        process(["--version"])


def test_asked_to_end_it_says_what_is_kept():
    before = signal.getsignal(signal.SIGTERM)
    with (
        pytest.raises(StoppedEarly, match=r"\(SIGTERM\) while measuring; rows that were done are written$"),
        measurements.terminable(),
    ):
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before

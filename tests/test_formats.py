"""Run folders of every format that was ever written are read; of a newer one, or a damaged one, it is said.

fixtures/run-format-N: 64 pixels, 8 hidden cells, 10 digits, as the last version that wrote format N left it:

    hubel train digits --network mlp --hidden 8 --epochs 10 --batch 32 --lr 0.05
"""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from faults import bytes_below, command

from hubel.errors import ArtifactError
from hubel.evaluation.evaluate import evaluate, read_predictions
from hubel.run import FORMAT, load

FIXTURES = Path(__file__).parent / "fixtures"
RUNS = sorted(FIXTURES.glob("run-format-*"))


@pytest.fixture(params=RUNS, ids=lambda run: run.name)
def run(request, tmp_path):
    return shutil.copytree(request.param, tmp_path / "run")


def with_card(run: Path, **changes: object) -> None:
    """Put other values into the metadata of model.safetensors. Its head: 8 bytes of length, then JSON."""
    file = run / "model.safetensors"
    content = file.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    head = json.loads(content[8 : 8 + size])
    head["__metadata__"]["hubel"] = json.dumps(json.loads(head["__metadata__"]["hubel"]) | changes)
    text = json.dumps(head).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + size :])


def with_settings(run: Path, format_: str) -> None:
    file = run / "run.toml"
    file.write_text(file.read_text().replace("format = 1\n", f"format = {format_}\n"))


def test_there_is_a_run_of_every_format():
    assert [run.name for run in RUNS] == [f"run-format-{n}" for n in range(1, FORMAT + 1)]


def test_an_old_run_answers_as_it_did(run):
    """Other processors may differ in the last digits, but no answer that was sure to 1 in 1,000 is another."""
    before = read_predictions(load(run))
    evaluate(run)
    after = read_predictions(load(run))
    assert after.items == before.items and (after.labels == before.labels).all() and len(after) == 359
    np.testing.assert_allclose(after.p, before.p, atol=1e-4)
    sure = after.top_p[:, 0] - after.top_p[:, 1] > 1e-3
    assert sure.sum() > 300 and (after.answers == before.answers)[sure].all()


@pytest.mark.parametrize(
    "typed",
    [
        "describe RUN",
        "explain RUN --items 0 --method saliency --json",
        "attack RUN --items 0 --method fgsm --json",
        "compare RUN OTHER",
        "export RUN -o FOLDER/model.onnx",
        "train digits --from RUN --epochs 1 --no-evaluate --out FOLDER/further",
        "train digits --recipe RUN/run.toml --epochs 1 --no-evaluate --out FOLDER/again",
    ],
)
def test_every_command_takes_an_old_run(run, tmp_path, typed):
    shutil.copytree(run, tmp_path / "other")
    for name, path in {"RUN": run, "OTHER": tmp_path / "other", "FOLDER": tmp_path}.items():
        typed = typed.replace(name, str(path))
    said = command(*typed.split())
    assert said.code == 0 and "hubel: " not in said.err


def test_a_run_without_what_later_versions_wrote_is_read(run):
    """Formats grow by what may be absent: the settings of the first day had no [asked]."""
    file = run / "run.toml"
    file.write_text(file.read_text().replace("[asked]\n", ""))
    assert evaluate(run).n == 359


@pytest.mark.parametrize(
    "typed", ["evaluate RUN", "describe RUN", "predict RUN x.png", "compare RUN RUN/../other"]
)
@pytest.mark.parametrize("newer", [with_card, with_settings], ids=["model", "settings"])
def test_a_newer_run_is_told_from_a_damaged_one(run, tmp_path, typed, newer):
    shutil.copytree(run, tmp_path / "other")
    if newer is with_card:
        with_card(run, format=FORMAT + 1, preprocess="as nobody knows today")
    else:
        with_settings(run, f"{FORMAT + 1}")
    said = command(*typed.replace("RUN", str(run)).split())
    file = "model.safetensors" if newer is with_card else "run.toml"
    told = f"{run / file} has format {FORMAT + 1}, this version of hubel reads up to {FORMAT}: upgrade hubel"
    assert (said.code, said.out, said.err) == (3, "", f"hubel: {told}\n")


@pytest.mark.parametrize("form", [0, -1, "1", 1.0, True, None])
def test_a_format_that_is_no_number_is_damage(run, form):
    with_card(run, format=form)
    with pytest.raises(
        ArtifactError, match=r"model.safetensors is damaged: its format is .*, and formats are numbered"
    ):
        load(run)


@pytest.mark.parametrize("form", ["0", "'1'", "true"])
def test_settings_of_no_format_are_damage(run, form):
    with_settings(run, form)
    with pytest.raises(ArtifactError, match=r"run\.toml is damaged: its format is "):
        load(run)


def test_a_state_of_a_newer_version_is_not_begun_anew_over(tmp_path):
    """It may be weeks of work: going on needs the newer version, and nothing is changed."""
    import hubel

    def stop(epoch):
        raise KeyboardInterrupt

    settings = {"network": "mlp", "epochs": 2, "checkpoint_every": "5steps"}
    with pytest.raises(KeyboardInterrupt):
        hubel.train("digits", **settings, on_epoch=stop, out=tmp_path / "run")
    for state in (tmp_path / "run" / "checkpoint").glob("*.safetensors"):
        state.write_bytes(state.read_bytes().replace(b'\\"format\\": 1,', b'\\"format\\": 2,'))
    before = bytes_below(tmp_path)
    said = command("train", "--resume", tmp_path / "run")
    assert said.code == 3 and "has format 2, this version of hubel reads 1: upgrade hubel" in said.err
    assert bytes_below(tmp_path) == before


def test_beside_damaged_settings_the_model_alone_can_be_named(run):
    """As the message says."""
    (run / "run.toml").write_text("format = ")
    with pytest.raises(ArtifactError, match=r"can still be loaded: name its model.safetensors"):
        load(run)
    alone = load(run / "model.safetensors")
    assert alone.classes == tuple("0123456789") and alone.settings == {}

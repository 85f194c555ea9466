"""Which engine answers: the faster one, once both say the same; and never with weights that a question borrows."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch

import hubel
from hubel.errors import ArtifactError, InputError, MissingExtra
from hubel.serving import predictor
from hubel.serving.predictor import choose, own_copy, seconds


@pytest.fixture(scope="module")
def run(runs):
    return hubel.load(runs["digits"])


def paced(monkeypatch, **of_both):
    """times() says what we say: (one, each) in seconds by the engine's name."""

    def times(model, inputs):
        return of_both["torch" if isinstance(model, hubel.Run) else "onnx"]

    monkeypatch.setattr(predictor, "times", times)


@pytest.mark.parametrize("torch_, onnx, better", [
    ((2e-3, 2e-3), (1e-3, 1e-3), "onnx"),
    ((1e-3, 1e-3), (2e-3, 2e-3), "torch"),
    ((1e-3, 4e-3), (2e-3, 1e-3), "onnx"),      # 4e-6 against 2e-6
    ((1e-3, 1e-3), (0.9e-3, 3e-3), "torch"),   # alone is not all
])  # fmt: skip
def test_the_faster_engine_is_taken(run, monkeypatch, torch_, onnx, better):
    paced(monkeypatch, torch=torch_, onnx=onnx)
    engine = choose(run)
    assert engine.name == better and engine.compared == "8 samples of the test part"
    for insisted in ("torch", "onnx"):
        assert choose(run, insisted).name == insisted


@pytest.mark.parametrize("name", ["torch", "onnx"])
@pytest.mark.parametrize("which", ["digits", "oblong", "points"])
def test_each_engine_answers_as_the_run(runs, name, which):
    run = hubel.load(runs[which])
    engine = choose(run, name, threads=1)
    inputs, _ = predictor.samples(run)
    np.testing.assert_allclose(engine.model.logits(inputs), run.logits(inputs), rtol=1e-4, atol=1e-5)
    assert engine.one > 0 and engine.each > 0 and engine.threads == 1


@pytest.mark.parametrize("faster", [0, 1])
def test_the_faster_layout_of_onnx_is_taken(run, monkeypatch, faster):
    made = predictor._onnx(run, 1)
    monkeypatch.setattr(predictor, "_onnx", lambda *_: made)
    monkeypatch.setattr(
        predictor, "times", lambda model, _: (1e-3,) * 2 if model is made[faster] else (2e-3,) * 2
    )
    engine = choose(run)
    assert engine.name == "onnx" and engine.model is made[faster]
    inputs, _ = predictor.samples(run)
    np.testing.assert_allclose(engine.model.logits(inputs), run.logits(inputs), rtol=1e-4, atol=1e-5)


def test_an_engine_that_answers_otherwise_is_not_used(run, monkeypatch):
    """The logits of ONNX Runtime, in one of its layouts, are bent by a thousandth of the largest: too much for rounding."""
    exact = predictor._onnx

    def bent(run, threads):
        made = exact(run, threads)
        plain = made[1].logits
        made[1].logits = lambda x, **kw: plain(x) + 1e-3 * np.abs(plain(x)).max()
        return made

    monkeypatch.setattr(predictor, "_onnx", bent)
    engine = choose(run)
    assert engine.name == "torch" and "differ from PyTorch's" in engine.note
    with pytest.raises(ArtifactError, match="--engine torch is right"):
        choose(run, "onnx")


def test_an_unknown_engine_is_named(run):
    with pytest.raises(InputError, match="--engine is one of auto, torch, onnx, not 'tensorrt'"):
        choose(run, "tensorrt")


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_without_the_extra_the_line_that_installs_it_is_said(run, monkeypatch, missing):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else found(name))
    with pytest.raises(
        MissingExtra, match=r'--engine onnx needs onnxruntime, which is not installed\. .* "\.\[onnx\]"'
    ):
        choose(run, "onnx")


def test_hooks_and_weights_of_a_question_are_not_met_by_requests(run):
    served, seen = own_copy(run), []
    handle = run.model.register_forward_hook(lambda *_: seen.append(1))
    x, _ = predictor.samples(run)
    before = served.logits(x)
    with torch.no_grad():
        parameter = next(run.model.parameters())
        kept = parameter.clone()
        parameter.zero_()
    assert seen == [] and (served.logits(x) == before).all()
    parameter.data.copy_(kept)
    handle.remove()


def test_the_quickest_time_counts(monkeypatch):
    """The clock steps by 9, 3 and 200 ms: the first, which makes ready, and the last, when others worked, do not count."""
    ticks = iter([0.0, 0.009, 0.012, 0.212])
    monkeypatch.setattr(predictor.time, "perf_counter", lambda: next(ticks))
    assert seconds(lambda: None) == pytest.approx(0.003)

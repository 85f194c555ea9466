"""Where a network computes, and in what numbers."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

import hubel
from hubel import devices
from hubel.errors import InputError
from hubel.pretrained import ready


def test_auto_is_cuda_then_apples_then_the_processor(monkeypatch):
    for cuda, apple, wanted in ((True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda apple=apple: apple)
        assert devices.choose_device("auto") == wanted


@pytest.mark.parametrize("name", ["cuda:99", "abacus", "cpu:"])
def test_what_cannot_be_used_here_is_named(name):
    with pytest.raises(
        InputError, match=rf"the device '{name}' cannot be used here \(.+\); try --device auto"
    ):
        devices.choose_device(name)


def test_bfloat16_is_taken_where_network_and_machine_gain_unless_the_user_says(monkeypatch):
    for native in (False, True):
        monkeypatch.setattr(devices, "native_bf16", lambda device, native=native: native)
        assert devices.choose_bf16("auto", "cpu", gains=True) is native
        assert devices.choose_bf16("auto", "cpu", gains=False) is False
        assert devices.choose_bf16("bf16", "cpu", gains=False) is True
        assert devices.choose_bf16("fp32", "cpu", gains=True) is False


def places(run) -> set[str]:
    """Where its numbers lie, those of the preprocessing among them."""
    model = run.model
    return {t.device.type for t in (*model.parameters(), *model.buffers())}


def test_runs_and_public_weights_lie_where_they_are_asked_to(tmp_path):
    """On `meta`, which every machine has, beside the processor."""
    made = hubel.train("digits", network="mlp", epochs=0, normalize=True, out=tmp_path / "run")
    assert places(made) == places(hubel.load(made.path)) == {"cpu"}
    assert places(hubel.load(made.path, device="meta")) == {"meta"}
    save_file(hubel.create("resnet18", 7, (3, 32, 32), width=0.125).state_dict(), tmp_path / "w.safetensors")
    for device in ("cpu", "meta"):
        assert places(ready(tmp_path / "w.safetensors", "resnet18", {"width": 0.125}, device=device).run) == {
            device
        }

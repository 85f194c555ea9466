"""Learning from attacked pictures: what the network is shown, and that it then bears more."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import hubel
from hubel.attacks import Attack, Ball
from hubel.attacks.methods import anywhere, climbed
from hubel.errors import InputError, UnknownName
from hubel.explanation.robustness import curve
from hubel.training import Recipe, prepare
from hubel.training.adversarial import Adversary
from hubel.training.torch_engine import TorchEngine
from hubel.zoo.pixels import Pixels

QUICK = {
    "network": "conv16x3 relu conv32x3/2 relu fc", "epochs": 6, "optimizer": "adam", "lr": 3e-3, "shift": 0.0,
    "label_smoothing": 0.0, "precision": "fp32", "threads": 1,
}  # fmt: skip


@pytest.fixture
def engine():
    def make(**settings):
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(48, 3)
        )
        made = Recipe(adversarial_eps=0.1, **settings)
        return TorchEngine(Pixels(network, (0.4,), (0.3,)), made, outputs=3), made

    return make


@pytest.fixture
def batch():
    x = torch.rand((8, 1, 5, 6), generator=torch.Generator().manual_seed(2))
    return x, torch.arange(8) % 3


def test_the_picture_is_the_climbed_one(engine, batch):
    made, recipe = engine(adversarial="pgd", adversarial_steps=3)
    found = Adversary(made, recipe)(*batch, (0, 1, 5), 0.5)
    model = made.model.eval()
    x, target = batch
    ball = Ball.around(x, 0.1)
    wanted = climbed(model, anywhere(x, 0.1, ball, (0, 1, 5)), target, ball, steps=3, step=2.5 * 0.1 / 3)
    torch.testing.assert_close(found, wanted)
    with torch.no_grad():
        loss, before = (nn.functional.cross_entropy(model(one), target) for one in (found, x))
    assert loss > before


def test_fgsm_takes_one_step_of_five_quarters(engine, batch):
    made, recipe = engine(adversarial="fgsm")
    found = Adversary(made, recipe)(*batch, (0, 1, 5), 0.5)
    x, target = batch
    ball = Ball.around(x, 0.1)
    start = anywhere(x, 0.1, ball, (0, 1, 5))
    torch.testing.assert_close(found, climbed(made.model.eval(), start, target, ball, steps=1, step=0.125))


@pytest.mark.parametrize(("done", "eps"), [(0.0, 0.0), (0.1, 0.025), (0.4, 0.1), (0.9, 0.1)])
def test_eps_rises_in_the_warm_up(engine, batch, done, eps):
    made, recipe = engine(adversarial="pgd", adversarial_warmup=0.4, adversarial_step=0.05)
    x, target = batch
    off = (Adversary(made, recipe)(x, target, (0,), done) - x).abs().max().item()
    assert off <= eps and off == pytest.approx(eps, abs=1e-6)


def test_what_brightness_moved_out_of_the_scale_is_put_back(engine, batch):
    made, recipe = engine(adversarial="pgd")
    x, target = batch
    found = Adversary(made, recipe)(1.5 * x - 0.3, target, (0,), 1.0)
    assert found.min() >= 0 and found.max() <= 1
    assert (found - (1.5 * x - 0.3).clamp(0, 1)).abs().max() <= 0.1


def test_the_attack_moves_neither_norms_nor_weights_and_training_goes_on_in_its_own_mode(engine, batch):
    made, recipe = engine(adversarial="pgd")
    made.forward(*batch, 0)
    before = {n: t.clone() for n, t in made.model.state_dict().items()}
    found = Adversary(made, recipe)(*batch, (0,), 1.0)
    assert all(torch.equal(t, before[n]) for n, t in made.model.state_dict().items())
    assert all(p.grad is None for p in made.model.parameters())
    made.forward(found, batch[1], 0)
    assert made.model.training and all(module.training for module in made.model.modules())


def test_the_seed_decides_and_nothing_else(engine, batch):
    made, recipe = engine(adversarial="pgd")
    adversary = Adversary(made, recipe)
    one, same, other = (adversary(*batch, seed, 1.0) for seed in ((0, 1), (0, 1), (0, 2)))
    assert torch.equal(one, same) and not torch.equal(one, other)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    plain = hubel.train("digits", out=root / "plain", **QUICK)
    hard = hubel.train(
        "digits", out=root / "hard", adversarial="pgd", adversarial_eps=0.2, adversarial_steps=4, **QUICK
    )
    return plain, hard


def test_a_network_that_learnt_from_attacks_bears_more(runs):
    borne = []
    for run in runs:
        test = run.dataset().test
        found = curve(run, test.inputs, test.targets, Attack("pgd", steps=10), [0.2])
        assert found.levels[0].accuracy > 0.9
        borne.append(found.levels[1].accuracy)
    assert borne[1] > borne[0] + 0.15


def test_the_settings_are_kept_in_the_run(runs):
    plain, hard = runs
    assert plain.recipe["adversarial"] == "none"
    assert (hard.recipe["adversarial"], hard.recipe["adversarial_eps"]) == ("pgd", 0.2)


def test_equal_trainings_are_equal_bytes_and_bfloat16_learns(tmp_path):
    settings = QUICK | {
        "epochs": 1,
        "adversarial": "pgd",
        "adversarial_steps": 2,
        "precision": "bf16",
        "batch": 128,
    }
    one, two = (hubel.train("digits", out=tmp_path / name, **settings) for name in "ab")
    files = [(run.path / "model.safetensors").read_bytes() for run in (one, two)]
    assert files[0] == files[1]
    losses = [row["train_loss"] for row in one.history]
    assert np.isfinite(losses).all()


def test_eps_follows_the_channels_unless_the_user_says(tmp_path, monkeypatch):
    assert prepare("digits", adversarial="pgd", out=tmp_path / "a").recipe.adversarial_eps == 0.3
    assert (
        prepare("digits", adversarial="pgd", adversarial_eps=0.1, out=tmp_path / "b").recipe.adversarial_eps
        == 0.1
    )


def test_a_frozen_front_is_computed_anew_for_attacked_pictures(runs, tmp_path):
    job = prepare(
        "digits", from_run=runs[0].path, freeze="backbone", adversarial="fgsm", epochs=2, out=tmp_path / "a"
    )
    job.begin()
    assert job.trainer.memories is None and not job.trainer.engine.behind
    still = prepare("digits", from_run=runs[0].path, freeze="backbone", epochs=2, out=tmp_path / "b")
    still.begin()
    assert still.trainer.memories is not None  # so the attack is the reason


@pytest.mark.parametrize(
    ("data", "settings", "error", "text"),
    [
        ("points", {"adversarial": "pgd"}, InputError, "points is to classify vectors: leave it out"),
        (
            "digits",
            {"adversarial": "pgd", "engine": "numpy"},
            InputError,
            "--engine numpy does not go with --adversarial",
        ),
        ("digits", {"adversarial": "pdg"}, UnknownName, "Did you mean 'pgd'"),
        ("digits", {"adversarial": "pgd", "adversarial_eps": 8.0}, InputError, "adversarial_eps is a share"),
        ("digits", {"adversarial_steps": 0}, InputError, "adversarial_steps must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_attacked_is_named(tmp_path, data, settings, error, text):
    with pytest.raises(error, match=text):
        prepare(data, out=tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()

from __future__ import annotations

import dataclasses

import pytest

from hubel.errors import InputError, UnknownName
from hubel.training.recipe import USUAL_LR, Recipe, checked, compose, read_recipe


def test_later_layers_win_and_the_user_wins_over_all():
    made = compose(
        {"epochs": 2, "batch": 32, "lr": 0.5}, {"epochs": 3, "batch": 64}, {"epochs": 4}, user={"epochs": 5}
    )
    assert (made.epochs, made.batch, made.lr) == (5, 64, 0.5)


@pytest.mark.parametrize("field", dataclasses.fields(Recipe), ids=lambda f: f.name)
def test_every_setting_of_the_user_arrives(field):
    other = {"optimizer": "sgd", "schedule": "step", "loss": "bce", "keep": "best", "engine": "numpy", "precision": "fp32", "device": "cpu",
             "milestones": (0.3,), "freeze": "backbone", "adversarial": "pgd"}.get(field.name)  # fmt: skip
    if other is None:
        other = (
            (not field.default)
            if isinstance(field.default, bool)
            else type(field.default)(field.default / 2 + 0.25)
        )
        if isinstance(field.default, int) and not isinstance(field.default, bool):
            other = field.default + 3
    assert other != field.default
    assert getattr(compose({field.name: field.default}, user={field.name: other}), field.name) == other


def test_another_optimizer_brings_its_own_usual_rate():
    base = {"optimizer": "nesterov", "lr": 0.7}
    assert compose(base, user={"optimizer": "rmsprop"}).lr == USUAL_LR["rmsprop"]
    assert compose(base, user={"optimizer": "rmsprop", "lr": 0.7}).lr == 0.7
    assert compose(base, user={"optimizer": "nesterov"}).lr == 0.7  # the same one keeps the recipe's


def test_batch_gradient_descent_takes_the_whole_part_unless_told():
    assert compose({"batch": 32}, user={"optimizer": "gd"}).batch == 0
    assert compose({"batch": 32}, user={"optimizer": "gd", "batch": 8}).batch == 8


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"epochs": -1}, InputError, "epochs must be at least 0, got -1"),
        ({"lr": float("nan")}, InputError, "lr must be at least 0, got nan"),
        ({"ema": 1.0}, InputError, r"ema is a share and must lie in \[0, 1\), got 1.0"),
        ({"optimizer": "adamm"}, UnknownName, r"no optimizer named 'adamm'. Did you mean 'adam'\?"),
        ({"schedule": "cosin"}, UnknownName, r"Did you mean 'cosine'\?"),
        ({"epoch": 3}, UnknownName, r"no setting named 'epoch'. Did you mean 'epochs'\?"),
        ({"epochs": "3"}, InputError, "epochs must be of type int, got '3'"),
        ({"epochs": True}, InputError, "epochs must be of type int, got True"),
        ({"milestones": 0.5}, InputError, "milestones must be a list of numbers, got 0.5"),
        ({"seed": 2**63}, InputError, r"seed must be under 2\*\*63"),
    ],
)
def test_a_wrong_setting_is_named(settings, error, text):
    with pytest.raises(error, match=text):
        compose(user=settings)


def test_a_whole_number_serves_as_a_real_one_and_dashes_as_underscores():
    assert checked({"lr": 1, "weight-decay": 2}) == {"lr": 1.0, "weight_decay": 2.0}


def test_a_recipe_comes_from_a_file_flat_or_as_in_a_run(tmp_path):
    flat, run = tmp_path / "flat.toml", tmp_path / "run.toml"
    flat.write_text("epochs = 3\nmilestones = [0.1, 0.2]\n")
    run.write_text('task = "classify"\n[recipe]\nepochs = 4\n')
    assert read_recipe(flat) == {"epochs": 3, "milestones": (0.1, 0.2)}
    assert read_recipe(run) == {"epochs": 4}
    (tmp_path / "bad.toml").write_text("epochs = = 3")
    with pytest.raises(InputError, match=r"bad.toml is not TOML"):
        read_recipe(tmp_path / "bad.toml")
    (tmp_path / "bad.toml").write_text("recipe = 3")
    with pytest.raises(InputError, match=r"bad.toml: its recipe is 3, and should be a table of settings"):
        read_recipe(tmp_path / "bad.toml")
    with pytest.raises(InputError, match=r"missing.toml cannot be read: No such file"):
        read_recipe(tmp_path / "missing.toml")


def test_a_recipe_survives_its_dictionary():
    recipe = Recipe(epochs=7, milestones=(0.25,), flip=True)
    assert compose(user=recipe.to_dict()) == recipe

"""A run whose answers the test decides: the first pixels of a picture are its logits, a pencil's network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hubel.data import Preprocess, Source
from hubel.data.records import Held
from hubel.files import append_line
from hubel.run import Card, Network, Run
from hubel.zoo.pixels import Pixels

SHAPE = (1, 6, 5)  # higher than wide, so that swapped sides show


def reader(classes: int, shape: tuple[int, ...]) -> nn.Module:
    """logit k = 10 * value k of the flattened input, so a pixel of 255 is a logit of 10."""
    linear = nn.Linear(int(np.prod(shape)), classes, bias=False)
    with torch.no_grad():
        linear.weight[:] = 10 * torch.eye(classes, linear.in_features)
    return nn.Sequential(nn.Flatten(), linear)


@pytest.fixture
def make_run(tmp_path):
    def make(
        classes, shape=SHAPE, *, task="classify", outputs=None, network=None, location="mine", **settings
    ):
        kind = "picture" if len(shape) == 3 else "vector"
        card = Card(
            task,
            tuple(classes),
            outputs or len(classes),
            Network("mlp", {"hidden": (4,)}),
            Preprocess(kind, shape),
        )
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        for epoch, loss in enumerate((0.9, 0.4, 0.25), 1):
            row = {"epoch": epoch, "train_loss": loss, "val_loss": loss + 0.05, "lr": 0.1}
            append_line(
                folder / "history.jsonl", row | {"train_accuracy": 1 - loss / 2, "val_accuracy": 1 - loss / 3}
            )
            append_line(
                folder / "timing.jsonl", {"epoch": epoch, "seconds": 2.5, "images_per_second": 1000.0}
            )
        told = {
            "recipe": {"epochs": 3, "lr": 0.1, "seed": 7}, "set_by_user": ["epochs"],
            "data": {"location": location, "name": location, "train": 60}, "versions": {"hubel": "0.1.0"},
        }  # fmt: skip
        return Run(folder, card, Pixels(network or reader(card.outputs, shape)), told | settings)

    return make


@pytest.fixture
def make_source():
    def make(
        inputs,
        targets,
        classes,
        *,
        items=None,
        name="mine",
        parts="test",
        task="classify",
        location=None,
        **more,
    ):
        items = items if items is not None else [f"{name}/{i:03d}" for i in range(len(inputs))]
        kind = "picture" if inputs.ndim == 4 else "vector"
        given = np.array([parts] * len(inputs) if isinstance(parts, str) else parts)
        return Source(
            name, location or name, kind, task, tuple(classes), items, np.asarray(targets), given,
            inputs.shape[1:], Held(inputs), **more,
        )  # fmt: skip

    return make


@pytest.fixture
def pictures_that_answer():
    def make(answers, classes, *, sure=255, shape=SHAPE, seed=0):
        """Pictures (N, *shape) uint8 that the reader answers as told, noise below their logits."""
        rng = np.random.default_rng(seed)
        made = rng.integers(0, 255, (len(answers), *shape), dtype=np.uint8)
        flat = made.reshape(len(answers), -1)
        flat[:, :classes] = rng.integers(0, 40, (len(answers), classes))
        flat[np.arange(len(answers)), answers] = sure
        return made

    return make

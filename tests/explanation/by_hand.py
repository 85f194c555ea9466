"""Small networks as runs, so that what is asked of them can be worked out by hand."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from hubel.data import Preprocess
from hubel.run import Card, Network, Run


def run_of(
    network: nn.Module,
    shape,
    classes=2,
    *,
    mean=(),
    std=(),
    order="rgb",
    mirror=False,
    task="classify",
    columns=(),
):
    """A run that answers by `network`, whose weights are what they are."""
    kind = "picture" if len(shape) == 3 else "vector"
    preprocess = Preprocess(kind, tuple(shape), "stretch", tuple(mean), tuple(std), columns=tuple(columns))
    names = tuple("abcdefghij"[:classes]) if task == "classify" else ()
    card = Card(task, names, classes, Network("by-hand"), preprocess, order, mirror)
    return Run(Path("by-hand"), card, card.wrap(network.eval()), {})


def linear(weights, classes=2):
    """(K, C, H, W) weights -> a network that adds up pixels times weights, for each class."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(weights[0].numel(), len(weights), bias=False))
    network[1].weight.data = weights.reshape(len(weights), -1).clone()
    return network


class OneClass(nn.Module):
    """(N, 1) of the network, beside a second class of 0."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        y = self.network(x)
        return torch.cat([y, 0 * y], 1)

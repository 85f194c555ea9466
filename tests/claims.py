"""What a network is, counted by other means than those that describe it: hooks on a forward without numbers."""

from __future__ import annotations

import math

import torch
from torch import nn

import hubel
from hubel import zoo


def on_paper(name, **arguments):
    """The network without numbers in it: it has shapes and counts, and takes no memory."""
    with torch.device("meta"):
        return hubel.create(name, **arguments).eval()


def seen(network, shape, note):
    """note(path, module, output) of each module, in the order in which they answer."""
    handles = [
        module.register_forward_hook(lambda m, _, y, path=path: note(path, m, y))
        for path, module in network.named_modules()
    ]
    with torch.no_grad():
        network(torch.zeros(2, *shape, device=next(network.parameters()).device))
    for handle in handles:
        handle.remove()


def sizes(network, shape):
    """(C, H, W) by path."""
    found = {}
    seen(network, shape, lambda path, _, y: found.update({path: tuple(y.shape[1:])}))
    return found


def multiply_adds(network, shape):
    """Of one item: each output cell of a convolution or product is a sum of so many terms. Biases count nothing."""
    total = 0

    def count(path, module, y):
        nonlocal total
        if isinstance(module, nn.Conv2d):
            total += y[0].numel() * module.in_channels // module.groups * math.prod(module.kernel_size)
        elif isinstance(module, nn.Linear):
            total += y[0].numel() * module.in_features

    seen(network, shape, count)
    return total


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def assert_is_what_its_entry_says(name):
    """Count; logits of another class count; a gradient for each parameter that learns, on the small twin, in training."""
    entry = zoo.lookup(name)
    assert parameters(on_paper(name)) == entry.parameters
    assert on_paper(name, classes=7)(torch.zeros(2, *entry.input, device="meta")).shape == (2, 7)
    torch.manual_seed(0)
    network, shape = zoo.small(name)
    y = network(torch.randn(4, *shape))
    assert y.shape == (4, entry.small.get("classes", entry.classes))
    y.square().sum().backward()
    learning = [(n, p) for n, p in network.named_parameters() if p.requires_grad]
    assert [n for n, p in learning if p.grad is None or not p.grad.any()] == []

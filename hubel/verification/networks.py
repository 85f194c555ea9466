"""Networks of the zoo, replayed through the definitions, against PyTorch: in use and in training.

Compared are the output, in training also what batch norm remembers of the pictures, the gradient of every parameter and
that of the input, for a random gradient from above.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hubel import zoo
from hubel.definitions import total
from hubel.definitions.windows import Array
from hubel.replay import Program
from hubel.verification.differences import Difference, Found, differences, largest
from hubel.zoo.entry import Shape

# Pictures: a batch norm over maps of one cell has these numbers alone, and of two only their order would be left.
BATCH = 4
WIDER = 5  # columns more than rows, so that a swapped H and W shows

# What a bias in front of a batch norm gets is 0 but for rounding. In a deep network the gradients of the first layers
# are smaller than those of the last by orders, and are to be seen all the same.
SHARE = 1e-4


def compared(name: str, seed: int) -> Iterator[Found]:
    """In use and in training, in float64 with all gradients and in float32 the output alone."""
    rng = np.random.default_rng(seed)
    try:
        network, shape = built(name, seed)
        x = rng.standard_normal((BATCH, *shape))
        for precision in ("float64", "float32"):
            network.to(getattr(torch, precision))
            for training in (False, True):
                yield _replayed(network, x.astype(precision), precision, training, rng)
    except Exception as e:  # whatever it is: the other networks are still to be looked at
        raised = Difference(math.inf, f"{type(e).__name__} is raised: {e}")
        yield Found("replay", "float64", raised, raised)


def built(name: str, seed: int) -> tuple[nn.Module, Shape]:
    """The network, or its small twin where it is large, in float64; and the input shape that it was built for.

    Nothing in it hides a mistake: weights that begin alike (a batch norm's scale of ones, biases of 0) are moved apart,
    and a batch has moved the statistics away from mean 0 and variance 1.
    """
    arguments = _arguments(zoo.lookup(name))
    shape = arguments["input"]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        network = zoo.create(name, **arguments).double().requires_grad_(True)  # of what does not learn, too
        for p in network.parameters():
            if (p == p.flatten()[0]).all():
                p.add_(0.1 * torch.randn_like(p))
        network.train()(torch.randn(BATCH, *shape, dtype=torch.float64))
    return network, shape


def _arguments(entry: zoo.Entry) -> dict[str, Any]:
    """The small twin's; where it says no input, the paper's, with more columns than rows if the network takes such."""
    shape = entry.input
    if len(shape) == 3:
        channels, height, width = shape
        shape = entry.takes((channels, height, width + WIDER))
    return {"input": shape, **entry.small}


def _replayed(
    network: nn.Module, x: Array, precision: str, training: bool, rng: np.random.Generator
) -> Found:
    network.train(training)
    program = Program(network, training=training)  # before the pass, which moves statistics
    leaf = torch.tensor(x, requires_grad=True)
    with dropped(network, rng) as masks:
        answers = network(leaf)
    answers = answers if isinstance(answers, tuple) else (answers,)  # with auxiliary classifiers, in training
    found = program.run(x, masks=masks)
    given = (found.output, *found.heads)
    buffers = {n: b.numpy() for n, b in network.named_buffers()}
    kept = [f"{n} after the step" for n in buffers], [found.buffers[n] for n in buffers], [*buffers.values()]
    named = ["the output", *(f"head {n}" for n in range(1, len(answers)))]
    forward = differences(named, [y.value for y in given], [y.detach().numpy() for y in answers], SHARE)
    forward += differences(*kept, SHARE)
    backward = None
    if precision == "float64":
        flows = [rng.standard_normal(y.shape) for y in answers]
        network.zero_grad()
        torch.autograd.backward(answers, [torch.tensor(dy) for dy in flows])
        terms = [found.tape.apply(total, y * dy) for y, dy in zip(given, flows, strict=True)]
        gradients = found.gradients(functools.reduce(operator.add, terms))
        parameters = dict(network.named_parameters())
        names = [*(f"d {n}" for n in parameters), "d input"]
        leaves = [*(found.parameters.get(n) for n in parameters), found.input]
        got = [None if node is None else gradients.get(node) for node in leaves]
        wanted = [None if p.grad is None else p.grad.numpy() for p in (*parameters.values(), leaf)]
        backward = largest(differences(names, got, wanted, SHARE))
        network.zero_grad()  # a large network's gradients are not kept beside the next ones
    return Found("in training" if training else "in use", precision, largest(forward), backward)


@contextmanager
def dropped(network: nn.Module, rng: np.random.Generator) -> Iterator[dict[str, Array]]:
    """While this lasts, dropout in training draws its masks from `rng`, and they stand in the dictionary by layer."""
    masks: dict[str, Array] = {}
    kinds = (nn.Dropout, nn.Dropout2d)
    layers = [(n, m, m.p) for n, m in network.named_modules() if isinstance(m, kinds) and m.training]
    handles = []
    for name, layer, p in layers:
        layer.p = 0.0  # it lets everything pass, and the hook behind it drops
        handles.append(layer.register_forward_hook(_dropping(name, p, rng, masks)))
    try:
        yield masks
    finally:
        for handle in handles:
            handle.remove()
        for _, layer, p in layers:
            layer.p = p


def _dropping(name: str, p: float, rng: np.random.Generator, masks: dict[str, Array]) -> Any:
    """A hook that draws the mask of one layer, whole maps for Dropout2d, and gives x mask / (1 - p)."""

    def hook(layer: nn.Module, _: Any, x: Tensor) -> Tensor:
        shape = (*x.shape[:2], 1, 1) if isinstance(layer, nn.Dropout2d) else x.shape
        masks[name] = (rng.random(shape) >= p).astype(x.detach().numpy().dtype)
        return x * torch.from_numpy(masks[name]) / (1 - p)

    return hook

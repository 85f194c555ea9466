"""Networks are traced while others are at work in other threads: nobody notices."""

from __future__ import annotations

import threading

import torch

from hubel import zoo
from hubel.zoo.trace import trace


def test_what_runs_while_a_network_is_traced_runs_as_ever():
    """torch.fx routes the calls of all modules of a process through its tracer while it traces."""
    traced, shape = zoo.small("resnet18")
    same, other = traced.eval(), zoo.small("lenet5")[0].eval()
    x, y = torch.randn(1, *shape), torch.randn(1, *zoo.small("lenet5")[1])
    with torch.no_grad():
        wanted = [same(x), other(y)]
    wrong, done = [], threading.Event()

    def work():
        with torch.no_grad():
            while not done.is_set():
                try:
                    found = [same(x), other(y)]
                    if not all(map(torch.equal, found, wanted)):
                        wrong.append("another answer")
                except Exception as e:
                    wrong.append(repr(e))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(8):
        trace(traced)
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_two_networks_are_traced_at_once_without_a_trace_of_the_other():
    names = ["resnet18", "lenet5", "googlenet", "mobilenet-v1"]
    made = {name: zoo.small(name)[0] for name in names}
    alone = {name: [step.name for step in trace(made[name]).steps] for name in names}
    call, found = torch.nn.Module.__call__, {}

    def work(name):
        for _ in range(4):
            found.setdefault(name, []).append([step.name for step in trace(made[name]).steps])

    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {name: [steps] * 4 for name, steps in alone.items()}
    assert torch.nn.Module.__call__ is call  # what torch.fx borrows of PyTorch is given back

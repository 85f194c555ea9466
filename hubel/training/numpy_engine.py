"""A step of training by the definitions alone: the network replayed on a tape, a loss on top, the way back, an update.

It walks the path of torch_engine: same weights to begin with, same batches, same sums, in float32. PyTorch builds the
network and hands over its first weights and the batches; from there to the new weights all is NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor

from hubel.definitions import (
    OPTIMIZERS,
    START,
    Node,
    State,
    Tape,
    log_softmax,
    mean,
    mean_squared_error,
    power,
    select,
    softmax,
    softplus,
    total,
)  # fmt: skip
from hubel.definitions.windows import Array
from hubel.replay import Program, Replay
from hubel.training.engine import behind
from hubel.training.recipe import Recipe
from hubel.training.steps import auxiliary
from hubel.zoo.pixels import Pixels

Arrays = Mapping[str, Array]
PIECE = 100  # items per pass where nothing is learnt: a tape keeps every value, so more of them would need more memory


class NumpyEngine:
    """See Engine. The weights live in `program`; `model` has them as they were when weights() was last asked.

    weight: (K,) per class, for `balance`
    """

    arithmetic = "fp32 in NumPy"
    prompt = True
    front: Callable[[Tensor], Tensor] | None = None
    behind = False

    def __init__(
        self, model: Pixels, recipe: Recipe, *, outputs: int, regress: bool = False, weight: Tensor | None = None
    ) -> None:  # fmt: skip
        self.model, self.recipe, self.regress = model, recipe, regress
        self.program, self.answering = (Program(model, training=learning) for learning in (True, False))
        self.loss = Loss(
            recipe.loss, outputs, regress=regress, smoothing=recipe.label_smoothing,
            weight=None if weight is None else weight.numpy(),
        )  # fmt: skip
        learning = {name for name, p in model.network.named_parameters() if p.requires_grad}
        self.optimizer = Optimizer(
            {n: p for n, p in self.program.parameters.items() if n in learning}, recipe
        )
        self.average = Average(self._state(), recipe.ema) if recipe.ema else None
        self.at_hand: tuple[Replay, Node] | None = None  # the pass that step() learns from, and its loss

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """NumPy's matrix products take as many threads as the recipe says; denormals, which are slow, count as 0."""
        torch.set_flush_denormal(True)  # of the processor, for NumPy as for PyTorch
        try:
            with threadpool_limits(self.recipe.threads or None, user_api="blas"):
                yield
        finally:
            torch.set_flush_denormal(False)

    def place(self, values: Array) -> Tensor:
        return torch.from_numpy(np.array(values))  # a copy: a cache on disk is read-only

    def forward(self, x: Tensor, target: Tensor, seed: int, share: float = 1.0) -> tuple[Tensor, Tensor]:
        labels = target.numpy()
        with np.errstate(all="ignore"):  # a loss that is not finite is told by the loop
            found = self.program.run(np.ascontiguousarray(x.numpy()), seed=seed)
            loss = self.loss(found.output, labels)
            for share, head in zip(auxiliary(self.model.network), found.heads, strict=True):
                loss = loss + share * self.loss(head, labels)
        self.at_hand = found, loss
        return torch.tensor(float(loss.value)), torch.tensor(self._right(found.output.value, labels))

    def step(self, lr: float) -> None:
        assert self.at_hand is not None
        (found, loss), self.at_hand = self.at_hand, None
        with np.errstate(all="ignore"):
            slopes = found.slopes(loss)
            if self.recipe.clip:
                slopes = clipped(slopes, self.recipe.clip)
            self._put({**self.optimizer.step(self.program.parameters, slopes, lr), **found.buffers})
            if self.average:
                self.average.update(self._state())
        _let_go(found)

    def mass(self, target: Tensor) -> float:
        return float(len(target))

    def agree(self) -> None:
        """It is alone."""

    def unfreeze(self) -> None:
        raise AssertionError("a recipe for NumPy freezes nothing")

    @contextmanager
    def kept(self) -> Iterator[None]:
        if self.average is None:
            yield
            return
        live = self._state()
        self._put(self.average.values)
        try:
            yield
        finally:
            self._put(live)

    def examine(self, x: Tensor, target: Tensor) -> tuple[float, int]:
        pixels, labels = np.ascontiguousarray(x.numpy()), target.numpy()
        self.answering.parameters.update(self.program.parameters)
        self.answering.buffers.update(self.program.buffers)
        with np.errstate(all="ignore"):
            z = np.concatenate(
                [self._answer(pixels[n : n + PIECE]) for n in range(0, len(pixels), PIECE)]
            )  # (N, K)
            return float(self.loss(Tape().leaf(z), labels).value), self._right(z, labels)

    @torch.no_grad()
    def weights(self) -> dict[str, Tensor]:
        stored, live = self.model.network.state_dict(), self._state()
        for name, tensor in stored.items():
            if name in live:  # a shared weight has one name here and several there
                tensor.copy_(torch.from_numpy(np.asarray(live[name])))
        return {name: tensor.clone() for name, tensor in stored.items()}

    def state(self) -> dict[str, Tensor]:
        found = {f"weights.{name}": value for name, value in self._state().items()}
        found |= {f"optimizer.{name}": value for name, value in self.optimizer.state().items()}
        if self.average:
            found |= {f"average.{name}": value for name, value in self.average.values.items()}
            found["average_count"] = np.array(self.average.count)
        return {name: torch.from_numpy(np.array(value)) for name, value in found.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        arrays = {name: t.numpy() for name, t in state.items()}
        self._put(behind(arrays, "weights."))
        self.optimizer.restore(behind(arrays, "optimizer."))
        if self.average:
            self.average.values = behind(arrays, "average.")
            self.average.count = int(arrays["average_count"])

    def _answer(self, pixels: Array) -> Array:
        found = self.answering.run(pixels)
        answer = found.output.value
        _let_go(found)
        return answer

    def _state(self) -> dict[str, Array]:
        return {**self.program.parameters, **self.program.buffers}

    def _put(self, values: Arrays) -> None:
        for held in (self.program.parameters, self.program.buffers):
            held.update({name: values[name] for name in held if name in values})

    def _right(self, z: Array, labels: Array) -> int:
        return 0 if self.regress else int((z.argmax(1) == labels).sum())


def _let_go(found: Replay) -> None:
    """A tape and its nodes hold each other: else their arrays would stay until Python looks for such circles."""
    found.tape.nodes.clear()


class Loss:
    """The mean loss of a batch as a node on the tape of its answers: the sums of training.steps.Loss.

    weight: (K,) per class, for `balance`; the mean is then weighted, sum w_n l_n / sum w_n
    """

    def __init__(
        self, name: str, outputs: int, *, regress: bool, smoothing: float = 0.0, weight: Array | None = None
    ) -> None:
        self.name = "mse" if regress else "cross-entropy" if name == "auto" else name
        self.outputs, self.regress, self.smoothing, self.weight = outputs, regress, smoothing, weight

    def __call__(self, z: Node, target: Array) -> Node:
        """z: (N, K) logits   target: (N,) int64, or (N, T) float when regress   ->   ()"""
        apply = z.tape.apply
        if self.regress:
            return apply(mean_squared_error, z, target)
        kind = z.value.dtype
        w = np.ones(len(target), kind) if self.weight is None else self.weight[target].astype(kind)  # (N,)
        match self.name:
            case "cross-entropy":
                each = self._cross_entropy(z, target, w)
            case "bce":
                each = self._binary(z, target) * w
            case _:
                each = self._squared(z, target) * w
        return apply(total, each) * (1 / w.sum())

    def _cross_entropy(self, z: Node, target: Array, w: Array) -> Node:
        """-> (N,) weighted. As in PyTorch, what smoothing gives to a class has the weight of that class."""
        apply, logs = z.tape.apply, z.tape.apply(log_softmax, z)  # (N, K)
        each = apply(select, logs, key=_at(target)) * (w * (self.smoothing - 1))
        if self.smoothing:
            weighed = logs if self.weight is None else logs * self.weight.astype(w.dtype)
            each = each - apply(total, weighed, axes=1) * (self.smoothing / self.outputs)
        return each

    def _binary(self, z: Node, target: Array) -> Node:
        """-> (N,). See training.steps.Loss."""
        apply = z.tape.apply
        own = apply(select, z, key=_at(target))  # (N,)
        each = apply(mean, apply(softplus, apply(added_at, z, own * -2.0, labels=target)), axes=1)
        if self.smoothing:
            each = each + (own - apply(mean, z, axes=1)) * (self.smoothing / self.outputs)
        return each

    def _squared(self, z: Node, target: Array) -> Node:
        """-> (N,). See training.steps.Loss."""
        apply = z.tape.apply
        everywhere = apply(softmax, z) - self.smoothing / self.outputs  # (N, K)
        at_label = np.full(len(target), self.smoothing - 1, z.value.dtype)
        missed = apply(added_at, everywhere, at_label, labels=target)
        return apply(mean, apply(power, missed, exponent=2.0), axes=1)


def _at(labels: Array) -> tuple[Array, Array]:
    """The key of each row's label."""
    return np.arange(len(labels)), labels


def added_at(x: Array, more: Array, labels: Array) -> Array:
    """y = x, but y[n, labels[n]] = x[n, labels[n]] + more[n].   x: (N, K)   more: (N,)"""
    y = x.copy()
    y[_at(labels)] += more
    return y


def added_at_backward(dy: Array, x: Array, more: Array, labels: Array) -> tuple[Array, Array]:
    """dx = dy;  dmore[n] = dy[n, labels[n]]"""
    del x, more
    return dy, dy[_at(labels)]


class Optimizer:
    """Steps of a definition from OPTIMIZERS. Weight decay touches matrices and kernels only, not biases and norms."""

    def __init__(self, parameters: Arrays, recipe: Recipe) -> None:
        r = recipe
        self.function = OPTIMIZERS["gd" if r.optimizer == "sgd" else r.optimizer]
        inertia, adaptive = {"momentum": r.momentum}, {"beta1": r.beta1, "beta2": r.beta2}
        self.settings: dict[str, float] = {
            "momentum": inertia, "nesterov": inertia, "rmsprop": {"rho": r.rho}, "adam": adaptive, "adamw": adaptive,
        }.get(r.optimizer, {})  # fmt: skip
        groups: dict[tuple[float, float], list[str]] = {}  # by multiple of the rate, and decay
        for name, p in parameters.items():
            times = r.bias_lr if name.endswith("bias") else 1.0
            groups.setdefault((times, r.weight_decay if p.ndim >= 2 else 0.0), []).append(name)
        self.groups = [(names, *how, START) for how, names in groups.items()]

    def step(self, parameters: Arrays, slopes: Arrays, lr: float) -> dict[str, Array]:
        """The parameters after one step; those that were given are left as they are."""
        after: dict[str, Array] = {}
        groups = []
        for names, times, decay, state in self.groups:
            p, g = ({name: arrays[name] for name in names} for arrays in (parameters, slopes))
            made = self.function(p, g, state, rate=lr * times, decay=decay, **self.settings)
            after |= made.parameters
            groups.append((names, times, decay, made.state))
        self.groups = groups
        return after

    def state(self) -> Arrays:
        """What is remembered, as GROUP.KIND.NAME."""
        found: dict[str, Array] = {}
        for g, (*_, state) in enumerate(self.groups):
            found[f"{g}.steps"] = np.array(state.steps)
            found |= {f"{g}.first.{name}": v for name, v in state.first.items()}
            found |= {f"{g}.second.{name}": v for name, v in state.second.items()}
        return found

    def restore(self, state: Arrays) -> None:
        """Remember what state() gave."""
        for g, (names, times, decay, _) in enumerate(self.groups):
            first, second = (behind(state, f"{g}.{kind}.") for kind in ("first", "second"))
            self.groups[g] = (names, times, decay, State(int(state[f"{g}.steps"]), first, second))


class Average:
    """Exponential moving average of weights and statistics, as in training.steps.Average.

    a <- d a + (1 - d) w after every step, with d = min(decay, (1 + n) / (10 + n))
    """

    def __init__(self, values: Arrays, decay: float) -> None:
        self.decay, self.count = decay, 0
        self.values = {name: v for name, v in values.items() if np.issubdtype(v.dtype, np.floating)}

    def update(self, live: Arrays) -> None:
        self.count += 1
        d = min(self.decay, (1 + self.count) / (10 + self.count))
        self.values = {name: a + (1 - d) * (live[name] - a) for name, a in self.values.items()}


def clipped(slopes: Arrays, most: float) -> dict[str, Any]:
    """The gradients, made smaller by one factor where the norm of all of them together is over `most`."""
    norm = np.sqrt(sum(float(np.vdot(g, g)) for g in slopes.values()))
    factor = min(1.0, most / (norm + 1e-6))  # the small number is PyTorch's
    return {name: g * g.dtype.type(factor) for name, g in slopes.items()} if factor < 1 else dict(slopes)

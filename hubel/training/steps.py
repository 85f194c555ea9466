"""The parts of one step of gradient descent: the loss, the learning rate, the optimizer, the averaged weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.adagrad import adagrad
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from hubel.training.recipe import Recipe


class Loss:
    """The mean loss of a batch.

    cross-entropy: -sum_k t_k log softmax(z)_k, with t the one-hot target, smoothed: (1 - e) t + e / K
    bce:           binary cross-entropy of sigmoid(z_k) against t_k, mean over classes
    mse:           classify: mean over classes of (softmax(z)_k - t_k)^2; regress: of (z - target)^2
    t is never written out: of 10,000 classes it would be as large as all answers together.
    weight: (K,) per class, for `balance`; the mean is then weighted, sum w_n l_n / sum w_n
    """

    def __init__(
        self, name: str, outputs: int, *, regress: bool, smoothing: float = 0.0, weight: Tensor | None = None
    ):
        self.name = "mse" if regress else "cross-entropy" if name == "auto" else name
        self.outputs, self.regress, self.smoothing, self.weight = outputs, regress, smoothing, weight

    def __call__(self, z: Tensor, target: Tensor) -> Tensor:
        """z: (N, K) logits   target: (N,) int64, or (N, T) float when regress   ->   scalar"""
        if self.regress:
            return F.mse_loss(z, target)
        if self.name == "cross-entropy":
            return F.cross_entropy(z, target, weight=self.weight, label_smoothing=self.smoothing)
        each = self._binary(z, target) if self.name == "bce" else self._squared(z, target)  # (N,)
        if self.weight is None:
            return each.mean()
        w = self.weight[target]
        return (each * w).sum() / w.sum()

    def _binary(self, z: Tensor, target: Tensor) -> Tensor:
        """-> (N,). With y the label and s = z but for s_y = -z_y: mean_k log(1 + e^s_k) + e (z_y - mean_k z_k) / K,

        which is the sum in the class's docstring, as log(1 + e^z) - z = log(1 + e^-z).
        """
        own = z.gather(1, target[:, None])  # (N, 1)
        each = F.softplus(z.scatter_add(1, target[:, None], -2 * own)).mean(1)
        if self.smoothing:
            each = each + self.smoothing / self.outputs * (own[:, 0] - z.mean(1))
        return each

    def _squared(self, z: Tensor, target: Tensor) -> Tensor:
        """-> (N,). The target is taken away where it is: e / K everywhere, 1 - e more at the label."""
        missed = z.softmax(1) - self.smoothing / self.outputs  # (N, K)
        at_label = missed.new_full((len(target), 1), self.smoothing - 1)
        return missed.scatter_add(1, target[:, None], at_label).square().mean(1)

    def mass(self, target: Tensor) -> float:
        """What the items count in the mean together: their number, or the sum of their weights."""
        return float(len(target) if self.weight is None else self.weight[target].sum())


def auxiliary(network: nn.Module) -> tuple[float, ...]:
    """What the loss of each auxiliary classifier counts beside that of the answer, loss + sum_h a_h loss_h.

    A network that has such heads gives (logits, head, ...) in training and says their weights: 0.3 each in GoogLeNet.
    """
    return getattr(network, "auxiliary", ())


def balanced(targets: Tensor, classes: int) -> Tensor:
    """(K,) weights N / (K n_k): every class counts as much as if all were equally frequent; an absent class 0."""
    counts = torch.bincount(targets, minlength=classes).double()
    return torch.where(counts > 0, len(targets) / (classes * counts.clamp(min=1)), 0.0).float()


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """The rate of step `step` (from 0) of `steps`.

    Up to `warmup` the rate rises linearly; after it, with t in [0, 1) the share of the rest that is done:
    constant 1 · step gamma^(milestones passed, as shares of the whole) · cosine (1 + cos pi t) / 2
    · one-cycle 1 - t (Smith 2018, a triangle; warmup 0.25 where none is set).
    """
    warmup = recipe.warmup or (0.25 if recipe.schedule == "one-cycle" else 0.0)
    rising = warmup * steps
    if step < rising:
        return recipe.lr * min(1.0, (step + 1) / rising)
    t = (step - rising) / max(1.0, steps - rising)
    if recipe.schedule == "constant":
        return recipe.lr
    if recipe.schedule == "step":
        return recipe.lr * recipe.gamma ** sum(step >= m * steps for m in recipe.milestones)
    if recipe.schedule == "cosine":
        return recipe.lr * (1 + math.cos(math.pi * t)) / 2
    return recipe.lr * (1 - t)


class Optimizer:
    """Steps of gradient descent on the parameters of a network, fused where PyTorch has it.

    PyTorch's own update functions, without its Optimizer classes around them: those import the compiler at their first
    use, which takes over a second. Weight decay touches matrices and kernels only, not biases and norms.
    head: the parameters whose rate is recipe.head_lr times that of the others; that of biases is recipe.bias_lr times
    """

    def __init__(self, network: nn.Module, recipe: Recipe, head: Iterable[nn.Parameter] = ()) -> None:
        self.recipe, self.head = recipe, {id(p) for p in head}
        self.biases = {id(p) for name, p in network.named_parameters() if name.endswith("bias")}
        self.groups: list[_Group] = []
        self.add(p for p in network.parameters() if p.requires_grad)

    def add(self, parameters: Iterable[nn.Parameter]) -> None:
        """Parameters that learn from now on."""
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}  # by multiple of the rate, and decay
        for p in parameters:
            times = self.recipe.head_lr if id(p) in self.head else 1.0
            times *= self.recipe.bias_lr if id(p) in self.biases else 1.0
            groups.setdefault((times, self.recipe.weight_decay if p.dim() >= 2 else 0.0), []).append(p)
        self.groups += [
            _Group(chosen, decay, self.recipe, times) for (times, decay), chosen in groups.items()
        ]

    def zero_grad(self) -> None:
        for group in self.groups:
            for p in group.parameters:
                p.grad = None

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """One step with the gradients that stand in the parameters; one that has none counts as 0."""
        for group in self.groups:
            group.step(lr)

    def state(self) -> dict[str, Tensor]:
        """What is remembered, as GROUP.KIND.PLACE; no copies."""
        return {f"{g}.{name}": t for g, group in enumerate(self.groups) for name, t in group.state().items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Remember what state() gave. The same parameters must have been added, in the same order."""
        for g, group in enumerate(self.groups):
            group.restore({n.removeprefix(f"{g}."): t for n, t in state.items() if n.startswith(f"{g}.")})


class _Group:
    """Parameters that share a weight decay, and what the optimizer remembers of each. times: of the rate"""

    def __init__(
        self, parameters: list[nn.Parameter], decay: float, recipe: Recipe, times: float = 1.0
    ) -> None:
        self.parameters, self.decay, self.recipe, self.times = parameters, decay, recipe, times
        adaptive = recipe.optimizer in ("rmsprop", "adam", "adamw")
        self.velocity: list[Tensor | None] = [None] * len(parameters)  # of momentum and nesterov
        self.mean = [torch.zeros_like(p) for p in parameters if adaptive]  # of the gradient
        start = rmsprop_start(recipe.rho) if recipe.optimizer == "rmsprop" else 0.0
        self.square = [torch.full_like(p, start) for p in parameters if adaptive]  # of its square
        self.count = [torch.zeros((), device=p.device) for p in parameters if adaptive]

    def state(self) -> dict[str, Tensor]:
        kinds: dict[str, Sequence[Tensor | None]] = {
            "velocity": self.velocity, "mean": self.mean, "square": self.square, "count": self.count
        }  # fmt: skip
        return {f"{kind}.{i}": t for kind, ts in kinds.items() for i, t in enumerate(ts) if t is not None}

    @torch.no_grad()
    def restore(self, state: Mapping[str, Tensor]) -> None:
        for i, p in enumerate(self.parameters):
            if (velocity := state.get(f"velocity.{i}")) is not None:
                self.velocity[i] = torch.empty_like(p).copy_(velocity)
        known = {"mean": self.mean, "square": self.square, "count": self.count}
        names = {f"{kind}.{i}": t for kind, ts in known.items() for i, t in enumerate(ts)}
        if strange := [n for n in state.keys() ^ names.keys() if not n.startswith("velocity.")]:
            raise KeyError(f"{strange[0]} of {self.recipe.optimizer}")
        for name, t in names.items():
            t.copy_(state[name])

    def step(self, lr: float) -> None:
        lr = lr * self.times
        r, gradients = (
            self.recipe,
            [p.grad if p.grad is not None else torch.zeros_like(p) for p in self.parameters],
        )
        parameters: list[Tensor] = list(self.parameters)
        match r.optimizer:
            case "rmsprop":
                rmsprop(parameters, gradients, self.square, self.count, lr, r.rho, self.decay)
            case "adam" | "adamw":
                adam(
                    parameters, gradients, self.mean, self.square, [], self.count, fused=True, amsgrad=False,
                    beta1=r.beta1, beta2=r.beta2, lr=lr, weight_decay=self.decay, eps=1e-8, maximize=False,
                    decoupled_weight_decay=r.optimizer == "adamw",
                )  # fmt: skip
            case plain:
                momentum = r.momentum if plain in ("momentum", "nesterov") else 0.0
                sgd(
                    parameters, gradients, self.velocity, fused=True, weight_decay=self.decay, momentum=momentum, lr=lr,
                    dampening=0.0, nesterov=plain == "nesterov" and momentum > 0, maximize=False,
                )  # fmt: skip


RMSPROP_FLOOR = 1e-7  # under the root


def rmsprop(
    parameters: list[Tensor], gradients: list[Tensor], square: list[Tensor], count: list[Tensor],
    lr: float, rho: float, decay: float,
) -> None:  # fmt: skip
    """s <- rho s + (1 - rho) g^2;  w <- w - lr g / sqrt(s + 1e-7).  Tieleman and Hinton 2012, lecture 6.5.

    The small number stands under the root, as in TensorFlow and Keras: it holds back steps where gradients are under
    3e-4. PyTorch adds it to the root, where it does nothing, and the lectures' LeNet then loses 0.4 points on MNIST.
    square holds t = (s + 1e-7) / (1 - rho), as `rmsprop_start` begins it. Then t <- rho t + 1e-7 is one pass, and
    t <- t + g^2;  w <- w - lr / sqrt(1 - rho) g / sqrt(t) is Adagrad's step, which PyTorch has as another: a third of
    the time of the five passes that the lines above take.
    """
    for t in square:
        t.lerp_(t.new_tensor(rmsprop_start(rho)), 1 - rho)
    adagrad(
        parameters, gradients, square, count, fused=square[0].is_cpu, foreach=not square[0].is_cpu, eps=0.0,
        lr=lr / math.sqrt(1 - rho), weight_decay=decay, lr_decay=0.0, maximize=False,
    )  # fmt: skip


def rmsprop_start(rho: float) -> float:
    """What `rmsprop` holds where no gradient was seen yet."""
    return RMSPROP_FLOOR / (1 - rho)


class Average:
    """Exponential moving average of the weights and of the batch-norm statistics (Polyak; Tarvainen and Valpola 2017).

    a <- d a + (1 - d) w after every step, with d = min(decay, (1 + n) / (10 + n)) so that the start is forgotten soon.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay, self.count = decay, 0
        self.live = list(_floats(network))
        self.kept = [t.detach().clone() for t in self.live]

    @torch.no_grad()
    def update(self) -> None:
        self.count += 1
        d = min(self.decay, (1 + self.count) / (10 + self.count))
        torch._foreach_lerp_(self.kept, self.live, 1 - d)

    def state(self) -> dict[str, Tensor]:
        """What is remembered; no copies."""
        return {"count": torch.tensor(self.count), **{str(i): t for i, t in enumerate(self.kept)}}

    @torch.no_grad()
    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Remember what state() gave."""
        self.count = int(state["count"])
        for i, t in enumerate(self.kept):
            t.copy_(state[str(i)])

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the live weights and the averaged ones; a second call gives them back."""
        for live, kept in zip(self.live, self.kept, strict=True):
            passing = live.clone()
            live.copy_(kept)
            kept.copy_(passing)


def _floats(network: nn.Module) -> Iterator[Tensor]:
    for tensor in network.state_dict(keep_vars=True).values():
        if tensor.is_floating_point():
            yield tensor.data if isinstance(tensor, nn.Parameter) else tensor

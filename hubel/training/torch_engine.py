"""A step of training with PyTorch: autograd, fused optimizers, any device, bfloat16 where it was chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hubel.training.distributed import ALONE, Ranks
from hubel.training.engine import behind
from hubel.training.freezing import Frozen, freeze, last_layer
from hubel.training.recipe import Recipe
from hubel.training.steps import Average, Loss, Optimizer, auxiliary
from hubel.training.synced_norm import synchronize
from hubel.zoo.pixels import Pixels

if TYPE_CHECKING:
    from hubel.training.shared_memory import SharedMean


class TorchEngine:
    """See Engine. The weights live in `model`, on the device, channels last.

    weight: (K,) per class, for `balance`
    """

    def __init__(
        self, model: Pixels, recipe: Recipe, *, outputs: int, regress: bool = False, weight: Tensor | None = None,
        device: str = "cpu", bf16: bool = False, ranks: Ranks = ALONE,
    ) -> None:  # fmt: skip
        self.model, self.recipe, self.regress, self.ranks = model, recipe, regress, ranks
        self.device, self.bf16 = torch.device(device), bf16
        self.prompt = self.device.type == "cpu"
        self.arithmetic = f"{'bf16' if bf16 else 'fp32'} on {self.device}"
        self.model.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.loss = Loss(
            recipe.loss, outputs, regress=regress, smoothing=recipe.label_smoothing,
            weight=None if weight is None else weight.to(self.device),
        )  # fmt: skip
        self.frozen: Frozen | None = freeze(model.network, recipe.freeze) if recipe.freeze != "none" else None
        self.front: Callable[[Tensor], Tensor] | None = self._features if self._cuttable() else None
        self.behind = False
        self.optimizer = Optimizer(
            model.network, recipe, last_layer(model.network) if recipe.head_lr != 1 else ()
        )
        self.average = Average(model.network, recipe.ema) if recipe.ema else None
        self.at_hand: Tensor | None = None  # the loss of the batch that step() learns from
        self.parallel: tuple[nn.Module, nn.Module] | None = (
            None  # what answers in training, and it with its gradients summed
        )
        self.memory: SharedMean | None = None
        if not ranks.alone and self.device.type == "cpu":
            from hubel.training.shared_memory import (
                share_memory,
            )  # some builds of PyTorch have no such processes

            self.memory = share_memory(ranks)
        if recipe.sync_bn:
            synchronize(model.network, ranks)
        ranks.follow(model.state_dict().values())

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Late in training many gradients are denormal, and each of those costs a hundred cycles."""
        torch.set_flush_denormal(True)
        try:
            yield
        finally:
            torch.set_flush_denormal(False)  # others in this process may count on them

    def place(self, values: np.ndarray) -> Tensor:
        """The whole part on the device; pictures stay uint8."""
        placed = torch.from_numpy(np.array(values)).to(self.device)  # a copy: a cache on disk is read-only
        return placed.contiguous(memory_format=torch.channels_last) if placed.dim() == 4 else placed

    def forward(self, x: Tensor, target: Tensor, seed: int, share: float = 1.0) -> tuple[Tensor, Tensor]:
        if not self.model.training:
            self.model.train()
            for module in self.frozen.modules if self.frozen else ():
                module.eval()
        self._draw_from(seed)
        z, *heads = self.answers(x)  # (N, K) each
        loss = self.loss(z, target)
        for weight, head in zip(auxiliary(self.model.network), heads, strict=True):
            loss = loss + weight * self.loss(head, target)
        # Gradients are averaged over the processes: the loss of each counts by its share, and their number.
        self.at_hand = loss if self.ranks.alone else loss * (share * self.ranks.world)
        right = loss.new_zeros(()) if self.regress else (z.detach().argmax(1) == target).sum()
        return loss.detach(), right

    def step(self, lr: float) -> None:
        assert self.at_hand is not None
        self.optimizer.zero_grad()
        with self.ranks.together():
            self.at_hand.backward()
        self.at_hand = None
        if self.recipe.clip:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        self.optimizer.step(lr)
        if self.average:
            self.average.update()

    def unfreeze(self) -> None:
        assert self.frozen is not None
        for p in self.frozen.parameters:
            p.requires_grad_(True)
        self.optimizer.add(self.frozen.parameters)
        self.frozen, self.front, self.behind, self.parallel = None, None, False, None
        self.model.eval()  # the next step puts all of it into training

    def kept(self) -> AbstractContextManager[None]:
        return _Swapped(self.average) if self.average else nullcontext()

    @torch.inference_mode()
    def examine(self, x: Tensor, target: Tensor) -> tuple[float, int]:
        if self.model.training:
            self.model.eval()
        (z,) = self.answers(x)
        right = 0 if self.regress else int((z.argmax(1) == target).sum())
        return self.loss(z, target).item(), right

    def weights(self) -> dict[str, Tensor]:
        return {name: t.detach().clone() for name, t in self.model.network.state_dict().items()}

    def mass(self, target: Tensor) -> float:
        return self.loss.mass(target)

    def agree(self) -> None:
        self.ranks.follow(self.model.buffers())
        if self.average:
            self.ranks.follow(self.average.kept)

    def state(self) -> dict[str, Tensor]:
        average = self.average.state() if self.average else {}
        return {
            **{f"weights.{name}": t for name, t in self.model.network.state_dict().items()},
            **{f"optimizer.{name}": t for name, t in self.optimizer.state().items()},
            **{f"average.{name}": t for name, t in average.items()},
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.model.network.load_state_dict(behind(state, "weights."))
        self.optimizer.restore(behind(state, "optimizer."))
        if self.average:
            self.average.restore(behind(state, "average."))

    def answers(self, x: Tensor) -> list[Tensor]:
        """(N, K) logits in float32, whatever they were computed in; in training also those of auxiliary heads."""
        if x.dim() == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        with self._arithmetic():
            answers = self._answering()(x)
        return [z.float() for z in (answers if isinstance(answers, tuple) else (answers,))]

    def _draw_from(self, seed: int) -> None:
        """torch.manual_seed also writes down who called it, for accelerators that have not begun: 0.3 ms a step."""
        if self.device.type == "cpu":
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)

    def _answering(self) -> nn.Module:
        """The network, or the part of it behind the frozen front; with its gradients averaged over all processes."""
        part = self._part()
        if self.ranks.alone or not (self.model.training and torch.is_grad_enabled()):
            return part
        if self.parallel is None or self.parallel[0] is not part:
            made = DistributedDataParallel(part, forward_sync_buffers=False, gradient_as_bucket_view=True)
            if self.memory is not None:
                self.memory.carry(made)
            self.parallel = part, made
        return self.parallel[1]

    def _part(self) -> nn.Module:
        if not self.behind:
            return self.model
        assert self.frozen is not None and self.frozen.behind is not None
        part = self.frozen.behind_learning if self.model.training else self.frozen.behind
        assert part is not None
        return part.train(self.model.training)

    def _cuttable(self) -> bool:
        """Answers that are a mean over mirror images need the front twice."""
        return self.frozen is not None and self.frozen.front is not None and not self.model.mirror

    @torch.no_grad()
    def _features(self, x: Tensor) -> Tensor:
        """x: as in forward   ->   (N, …) float32, as the network in use has it"""
        assert self.frozen is not None and self.frozen.front is not None
        with self._arithmetic():
            return self.frozen.front.eval()(self.model.normalized(x)).float()

    def _arithmetic(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else nullcontext()


class _Swapped(AbstractContextManager[None]):
    """The averaged weights in the model, given back on the way out, also when the body fails."""

    def __init__(self, average: Average) -> None:
        self.average = average

    def __enter__(self) -> None:
        self.average.swap()

    def __exit__(self, *_: object) -> None:
        self.average.swap()

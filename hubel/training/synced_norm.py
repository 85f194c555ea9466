"""Batch norm over the batch of all processes, on any device. Ioffe and Szegedy 2015, with sums over all of them.

    mean = sum x / n,  var = sum (x - mean)^2 / n,  over the n values of a channel that all processes have together
    dx = w / sqrt(var + eps) (dy - mean(dy) - x^ mean(dy x^)),  x^ = (x - mean) / sqrt(var + eps)

PyTorch's own SyncBatchNorm refuses a processor. Here the sums go through the process group, whatever that is.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from hubel.training.distributed import Ranks

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def synchronize(network: nn.Module, ranks: Ranks) -> int:
    """From now on the batch norms of `network` normalise over the batch of all processes -> how many there are.

    Names, weights and statistics stay as they are; in use (eval) nothing changes.
    """
    norms = [module for module in network.modules() if isinstance(module, NORMS)]
    for norm in norms if not ranks.alone else ():
        norm.forward = partial(_forward, norm, ranks)  # type: ignore[method-assign]
    return len(norms)


def _forward(norm: Any, ranks: Ranks, x: Tensor) -> Tensor:
    if not norm.training:
        return type(norm).forward(norm, x)
    y, mean, var, count = _Normalised.apply(x, norm.eps, ranks)
    if norm.track_running_stats:
        with torch.no_grad():
            norm.num_batches_tracked.add_(1)
            m = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
            norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), m)
            norm.running_var.lerp_((var * (count / (count - 1).clamp(min=1))).to(norm.running_var.dtype), m)
    if norm.affine:
        shape = _beside(x)
        y = y * norm.weight.view(shape) + norm.bias.view(shape)
    return y.to(x.dtype)


class _Normalised(torch.autograd.Function):
    """x: (N, C, …) -> x^ of the same shape, mean and variance (C,), and the count of values of a channel (1,)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float, ranks: Ranks) -> Any:
        values, axes, shape = x.float(), [0, *range(2, x.dim())], _beside(x)
        channels = x.shape[1]
        sums = torch.cat([values.sum(axes), values.new_tensor([values.numel() / channels])])
        ranks.total(sums)
        count = sums[-1:]
        mean = sums[:-1] / count
        centred = values - mean.view(shape)
        var = ranks.total(centred.square().sum(axes)) / count
        slope = (var + eps).rsqrt()
        hat = centred * slope.view(shape)
        ctx.save_for_backward(hat, slope, count)
        ctx.ranks = ranks
        ctx.mark_non_differentiable(mean, var, count)
        return hat, mean, var, count

    @staticmethod
    def backward(ctx: Any, dy: Tensor, *_: Any) -> Any:
        hat, slope, count = ctx.saved_tensors
        dy, axes, shape = dy.float(), [0, *range(2, hat.dim())], _beside(hat)
        means = ctx.ranks.total(torch.stack([dy.sum(axes), (dy * hat).sum(axes)])) / count
        dx = slope.view(shape) * (dy - means[0].view(shape) - hat * means[1].view(shape))
        return dx, None, None


def _beside(x: Tensor) -> list[int]:
    """The shape in which (C,) stands beside x."""
    return [1, -1, *[1] * (x.dim() - 2)]

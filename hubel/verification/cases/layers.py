"""Cases of what a network is built of besides: dense layers, normalisation, attention, recurrent cells."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from hubel.verification.case import Case, between, case, exactly, kept, normal, whole

# The third query may look nowhere: it gets zeros.
MAY_LOOK = exactly([[True, False, True, True, False], [False, True, True, False, True], [False] * 5])


def _dropped(p: float) -> Any:
    return lambda x, mask: x * mask.detach() / (1 - p)  # F.dropout draws a mask of its own, by this formula


def _batch(eps: float) -> Any:
    return lambda x, gamma, beta: F.batch_norm(x, None, None, gamma, beta, training=True, eps=eps)


def _used(x: Tensor, mean: Tensor, variance: Tensor, gamma: Any, beta: Any, eps: float = 1e-5) -> Tensor:
    return F.batch_norm(x, mean.detach(), variance.detach(), gamma, beta, training=False, eps=eps)


def _moved(momentum: float) -> Any:
    def fast(x: Tensor, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        mean, variance = mean.detach().clone(), variance.detach().clone()
        F.batch_norm(x, mean, variance, training=True, momentum=momentum)
        return mean, variance

    return fast


def _instance(eps: float) -> Any:
    return lambda x, gamma, beta: F.instance_norm(x, weight=gamma, bias=beta, eps=eps)


def _grouped(groups: int, eps: float) -> Any:
    return lambda x, gamma, beta: F.group_norm(x, groups, gamma, beta, eps)


def _layer(*shape: int, eps: float = 1e-5) -> Any:
    return lambda x, gamma, beta: F.layer_norm(x, shape, gamma, beta, eps)


def _standardised(x: Tensor) -> Tensor:
    return F.batch_norm(x, None, None, training=True, eps=0.3)


def _lstm(x: Tensor, h: Tensor, c: Tensor, w_x: Tensor, w_h: Tensor, *b: Any) -> Any:
    return torch._VF.lstm_cell(x, (h, c), w_x, w_h, *b)  # what nn.LSTMCell calls


_gru = torch._VF.gru_cell  # what nn.GRUCell calls
_attend = F.scaled_dot_product_attention
_vectors = (normal(4), normal(4))  # gamma and beta
_statistics = (normal(4), between(0.3, 2, 4))  # mean and variance

CASES: dict[str, list[Case]] = {
    "linear": [
        case("rows", F.linear, normal(3, 4), normal(5, 4), normal(5)),
        case("square", F.linear, normal(4, 4), normal(4, 4), normal(4)),  # a transposed w still fits
        case("more axes", F.linear, normal(2, 3, 4), normal(5, 4), normal(5)),
        case("no bias", F.linear, normal(3, 4), normal(5, 4), None),
    ],
    "embedding": [
        case("words that stand twice", F.embedding, whole(4, 3, 5), normal(4, 2)),
        case("words that never stand", F.embedding, whole(2, 3), normal(9, 2)),
    ],
    "dropout": [
        case("a half", _dropped(0.5), normal(3, 8), kept(0.5, 3, 8)),
        case("a fifth", _dropped(0.2), normal(3, 8), kept(0.8, 3, 8), p=0.2),
    ],
    "standardise": [case("over a batch", _standardised, normal(3, 4, 5, 2), axes=(0, 2, 3), eps=0.3)],
    "batch_norm": [
        case("pictures", _batch(1e-5), normal(3, 4, 5, 2, mean=2.0), *_vectors),
        case("a larger eps", _batch(0.3), normal(3, 4, 5, 2), *_vectors, eps=0.3),
        case("vectors", _batch(1e-5), normal(6, 4), *_vectors),
        case("no scale, no shift", _batch(1e-5), normal(3, 4, 5, 2), None, None),
    ],
    "running_statistics": [
        case("pictures", _moved(0.1), normal(3, 4, 5, 2, mean=2.0), *_statistics),
        case("vectors", _moved(0.7), normal(6, 4), *_statistics, momentum=0.7),
    ],
    "batch_norm_inference": [
        case("pictures", _used, normal(3, 4, 5, 2), *_statistics, *_vectors),
        case("a larger eps", partial(_used, eps=0.3), normal(3, 4, 5, 2), *_statistics, *_vectors, eps=0.3),
        case("no scale, no shift", _used, normal(6, 4), *_statistics, None, None),
    ],
    "layer_norm": [
        case("the last axis", _layer(5), normal(3, 4, 5), normal(5), normal(5)),
        case("two axes", _layer(4, 5, eps=0.3), normal(3, 4, 5), normal(4, 5), normal(4, 5), axes=2, eps=0.3),
        case("no scale, no shift", _layer(5), normal(3, 5), None, None),
    ],
    "instance_norm": [
        case("pictures", _instance(1e-5), normal(3, 4, 5, 2, mean=2.0), *_vectors),
        case("rows", _instance(0.3), normal(3, 4, 6), *_vectors, eps=0.3),
        case("no scale, no shift", _instance(1e-5), normal(3, 4, 5, 2), None, None),
    ],
    "group_norm": [
        case("two groups", _grouped(2, 1e-5), normal(3, 4, 5, 2, mean=2.0), *_vectors, groups=2),
        case("all as one", _grouped(1, 0.3), normal(3, 4, 6), *_vectors, eps=0.3),
        case("no scale, no shift", _grouped(2, 1e-5), normal(3, 4, 5), None, None, groups=2),
    ],
    "rms_norm": [
        case("the last axis", lambda x, g: F.rms_norm(x, (5,), g), normal(3, 4, 5, mean=1.0), normal(5)),
        case(
            "two axes", lambda x, g: F.rms_norm(x, (4, 5), g, 0.3),
            normal(3, 4, 5), normal(4, 5), axes=2, eps=0.3,
        ),
        case("no scale", lambda x, _: F.rms_norm(x, (5,)), normal(3, 5), None),
    ],
    "local_response_norm": [
        case("AlexNet's", partial(F.local_response_norm, size=5), normal(2, 7, 3, 4, deviation=3.0)),
        case(
            "an even number of maps", partial(F.local_response_norm, size=4, alpha=0.3, beta=0.6, k=2.0),
            normal(2, 7, 3, 4), size=4, alpha=0.3, beta=0.6, k=2.0,
        ),
        case(
            "wider than the maps", partial(F.local_response_norm, size=11, alpha=0.3),
            normal(2, 5, 3), size=11, alpha=0.3,
        ),
    ],
    "scaled_dot_product_attention": [
        case("heads", _attend, normal(2, 3, 4, 5), normal(2, 3, 6, 5), normal(2, 3, 6, 7), None),
        case("a mask", _attend, normal(2, 3, 4), normal(2, 5, 4), normal(2, 5, 6), MAY_LOOK),
        case("a bias", _attend, normal(2, 3, 4), normal(2, 5, 4), normal(2, 5, 6), normal(3, 5)),
    ],
    "lstm_cell": [
        case(
            "biases", _lstm, normal(3, 4), normal(3, 2), normal(3, 2),
            normal(8, 4), normal(8, 2), normal(8), normal(8),
        ),
        case("no biases", _lstm, normal(3, 4), normal(3, 2), normal(3, 2), normal(8, 4), normal(8, 2)),
    ],
    "gru_cell": [
        case("biases", _gru, normal(3, 4), normal(3, 2), normal(6, 4), normal(6, 2), normal(6), normal(6)),
        case("no biases", _gru, normal(3, 4), normal(3, 2), normal(6, 4), normal(6, 2)),
    ],
}  # fmt: skip

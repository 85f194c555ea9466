"""Fresh weights of convolutions and dense layers, as two papers draw them; biases begin at 0."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn


def glorot(layers: Iterable[nn.Module]) -> None:
    """Uniform within ± sqrt(6 / (fan_in + fan_out)). Glorot and Bengio 2010, equation 16; the default of Keras."""
    for layer in _weighing(layers):
        nn.init.xavier_uniform_(layer.weight)


def he(layers: Iterable[nn.Module]) -> None:
    """Normal, with variance 2 / fan_in, for layers that a ReLU follows. He et al. 2015, equation 10."""
    for layer in _weighing(layers):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")


def _weighing(layers: Iterable[nn.Module]) -> Iterable[nn.Conv2d | nn.Linear]:
    """Those of them that weigh and add up; their biases are 0 by then."""
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
            yield layer

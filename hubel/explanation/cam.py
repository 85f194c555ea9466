"""Grad-CAM. Selvaraju et al. 2017, "Grad-CAM: visual explanations from deep networks", equations 1 and 2.

    alpha_c = mean over i, j of d y / d A_cij          eq. 1
    L_ij    = relu(sum over c of alpha_c A_cij)        eq. 2

A: the maps of a layer, any step of the network: functions as well as modules   y: a logit, or a difference of two
Captum's LayerGradCam asks for a module, and sees what the next layer made of it where that works in place.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hubel.explanation.inside import Inside
from hubel.shapes import Field
from hubel.zoo.describe import Layer
from hubel.zoo.fields import Seen


def grad_cam(inside: Inside, x: Tensor, asked: Tensor, layer: Layer) -> Tensor:
    """x: (N, C, H, W) in 0..1   asked: (N, K), y = sum_k asked_k logit_k   ->   (N, h, w) >= 0, in logit units

    Where the run answers with the mean over a picture and its mirror image, both are added up before eq. 2's relu.
    """
    evidence = _evidence(inside, x, asked, layer)  # (N, h, w)
    if inside.run.model.mirror:
        evidence = (evidence + _evidence(inside, x.flip(3), asked, layer).flip(2)) / 2
    return evidence.relu()  # eq. 2


def _evidence(inside: Inside, x: Tensor, asked: Tensor, layer: Layer) -> Tensor:
    with torch.enable_grad():
        logits, found = inside.values(x.detach().requires_grad_(), [layer.name])
        a = found[layer.name]  # (N, c, h, w)
        (da,) = torch.autograd.grad((logits * asked).sum(), a)  # (N, c, h, w)
    alpha = da.mean((2, 3), keepdim=True)  # (N, c, 1, 1)   eq. 1
    return (alpha * a.detach()).sum(1)  # (N, h, w)


def placed(cells: np.ndarray, sees: Seen | None, size: tuple[int, int]) -> np.ndarray:
    """(N, h, w) cells of a layer -> (N, H, W) of the picture: each at the middle of the pixels that it sees.

    Linear between the middles, constant beyond the outermost. Where it is not known what a cell sees, cells share the
    picture evenly; a map is not just stretched over the picture, as what padding does not reach would shift it.
    """
    rows, columns = (
        _weights(cells.shape[1 + axis], None if sees is None else sees[axis], size[axis]) for axis in (0, 1)
    )
    return (rows @ cells @ columns.T).astype(np.float32)  # (H, h) (N, h, w) (w, W)


def _weights(cells: int, field: Field | None, side: int) -> np.ndarray:
    """(side, cells): how much of each cell a pixel takes."""
    middles: np.ndarray
    if field is None or field.stride == 0:
        middles = (np.arange(cells) + 0.5) * side / cells - 0.5
    else:
        middles = np.arange(cells) * field.stride + field.offset + (field.size - 1) / 2
    pixels = np.arange(side)
    return np.stack([np.interp(pixels, middles, unit) for unit in np.eye(cells)], 1)

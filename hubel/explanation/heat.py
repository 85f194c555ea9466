"""Why a network answered as it did: how much each pixel speaks for a class, told by seven methods.

    y = sum over k of asked_k logit_k       the logit of a class, or with a contrast that of A less that of B

Logits, not probabilities: a probability also moves with the evidence for the other classes, and hardly at all near 1.
y is a function of the pixels in 0..1, with the run's own normalisation inside, and its mirror image where it uses one.

    saliency                |dy/dx|                                     Simonyan, Vedaldi, Zisserman 2014
    input-x-gradient        x dy/dx                                     Shrikumar et al. 2016
    integrated-gradients    (x - x') mean of dy/dx from x' to x         Sundararajan, Taly, Yan 2017
    deeplift                (x - x') times slopes between x' and x      Shrikumar, Greenside, Kundaje 2017, rescale rule
    occlusion               y(x) - y(x with a window covered)           Zeiler and Fergus 2014
    grad-cam                maps weighed by their gradients, cam.py     Selvaraju et al. 2017
    guided-grad-cam         grad-cam times guided backpropagation       the same; Springenberg et al. 2015

All but Grad-CAM are Captum's. x' is black for pictures, and for vectors, whose 0 means nothing, the training data's
mean; what covers a window of the occlusion is that mean.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from hubel.errors import InputError, MissingExtra, ShapeError, UnknownName
from hubel.explanation import cam
from hubel.explanation.inside import Inside, asking
from hubel.explanation.unrolled import GUIDED, RESCALED, unrolled
from hubel.progress import Progress
from hubel.run import Run, at_once
from hubel.zoo.describe import Layer
from hubel.zoo.pixels import Pixels

AT_ONCE = 250  # pictures whose gradients are asked for together, where they are small
PIECES, STEPS = 4, 16  # of integrated gradients' way: pieces, and gradients in each
TOLERANCE = 0.005  # how far off their sum may be, as a share of y(x) - y(x')
MOST_PIECES = 128  # of a way, when it is off nevertheless
WINDOWS = 7  # of the occlusion that lie side by side along the longer side; they move by half of one

Targets = int | Sequence[int] | np.ndarray | Tensor


@dataclass(frozen=True)
class Attribution:
    """What was found for N inputs.

    values: as the method gives them: (N, C, H, W) or (N, D); of occlusion (N, H, W); of grad-cam (N, h, w)
    heat: (N, H, W) or (N, D): of the picture's size, channels added up (of saliency: the largest)
    output: (N,) y   reference: (N,) y of x', of the methods that compare with it   layer: of grad-cam
    """

    method: str
    values: np.ndarray
    heat: np.ndarray
    output: np.ndarray
    reference: np.ndarray | None = None
    layer: str | None = None

    @property
    def incomplete(self) -> np.ndarray | None:
        """(N,): |sum of values - (y(x) - y(x'))| / |y(x) - y(x')|; None for methods that promise no sum."""
        if self.reference is None:
            return None
        gap = self.output - self.reference
        off = np.abs(self.values.reshape(len(gap), -1).sum(1, dtype=np.float64) - gap)
        return off / np.maximum(np.abs(gap), 1e-12)


@dataclass(frozen=True)
class Asked:
    """One batch of a question, as each method gets it.

    inputs: (n, …)   weights: (n, K)   layer: of Grad-CAM   exact: whether integrals are refined until sums come out
    """

    inside: Inside
    inputs: Tensor
    weights: Tensor
    layer: Layer | None
    exact: bool = True

    @property
    def run(self) -> Run:
        return self.inside.run

    @property
    def more(self) -> dict[str, Any]:
        """How Captum is given what goes along with the inputs."""
        return {"additional_forward_args": (self.weights,)}

    def y(self, model: nn.Module | None = None) -> nn.Module:
        return Output(model or self.run.model)


class Output(nn.Module):
    """y of a model: (n, …) inputs, (n, K) weights -> (n,)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        return (self.model(x) * weights).sum(1)


def attribute(
    run: Run, x: np.ndarray | Tensor, method: str, targets: Targets, *, layer: str | None = None,
    contrast: Targets | None = None, seed: int = 0, exact: bool = True, progress: Progress | None = None,
) -> Attribution:  # fmt: skip
    """How much each number of x speaks for its target (rather than for `contrast`).

    x: (N, C, H, W) pixels in 0..1, or (N, D)   targets, contrast: classes by number, one or N   layer: of Grad-CAM,
    the last with maps where None   exact: whether integrals are refined until their sums come out

    Raises UnknownName for a method or layer that is not there, InputError where the network does not allow a method,
    MissingExtra without Captum.
    """
    if method not in METHODS:
        raise UnknownName("method", method, METHODS)
    known = METHODS[method]
    device = next((p.device for p in run.model.parameters()), torch.device("cpu"))
    inputs = torch.as_tensor(x, dtype=torch.float32, device=device).detach()
    _must_fit(run, inputs)
    weights = asked(run, len(inputs), targets, contrast).to(device)
    inside = Inside(run)
    if layer is not None and not known.looks:
        raise InputError(
            f"{method} looks at the input, not at a layer: leave --layer out, or ask by grad-cam"
        )
    at = inside.with_maps(layer) if known.looks else None
    found: list[tuple[np.ndarray, ...]] = []
    with asking(run, seed), _quiet():
        step = at_once(inputs.shape[1:], AT_ONCE)
        for start in range(0, len(inputs), step):
            part = slice(start, start + step)
            found.append(_batch(Asked(inside, inputs[part].contiguous(), weights[part], at, exact), known))
            if progress:
                progress(min(start + step, len(inputs)), len(inputs))
    values, heat, output, reference = (np.concatenate(each) for each in zip(*found, strict=True))
    return Attribution(
        method, values, heat, output, reference if known.compares else None, at.name if at else None
    )


def asked(run: Run, count: int, targets: Targets, contrast: Targets | None = None) -> Tensor:
    """(count, K): what each logit counts in y: 1 for the target, -1 for what it is contrasted with."""
    weights = torch.zeros(count, run.card.outputs)
    for sign, said in ((1, targets), (-1, contrast)):
        if said is None:
            continue
        numbers = torch.as_tensor(said, dtype=torch.int64).reshape(-1)
        if len(numbers) not in (1, count):
            raise ShapeError(
                f"there are {count} inputs and {len(numbers)} classes: give one for each, or one for all"
            )
        if numbers.min() < 0 or numbers.max() >= run.card.outputs:
            raise InputError(
                f"there is no class of number {int(numbers.max())}: the run has {run.card.outputs}, from 0"
            )
        weights[torch.arange(count), numbers.expand(count)] += sign
    return weights


def _batch(q: Asked, known: Method) -> tuple[np.ndarray, ...]:
    values = known.find(q).detach()
    heat = known.heat(q, values.cpu().numpy())
    y = q.y()
    with torch.no_grad():
        output, reference = y(q.inputs, q.weights), y(beginning(q.run, q.inputs), q.weights)
    return values.float().cpu().numpy(), heat, output.cpu().numpy(), reference.cpu().numpy()


def beginning(run: Run, x: Tensor) -> Tensor:
    """x', from which integrated gradients and DeepLIFT count: black, and for vectors the mean of the training data."""
    return torch.zeros_like(x) if run.preprocess.kind == "picture" else mean(run, x)


def mean(run: Run, x: Tensor) -> Tensor:
    """The input that normalising makes 0, of x's shape: the training data's mean colour, or mean row."""
    model: Pixels = run.model
    if not model.mean.numel():
        return torch.zeros_like(x)
    said = model.mean.flip(0) if model.order == "bgr" else model.mean
    return said.view(model.along).expand_as(x).contiguous()


def _must_fit(run: Run, x: Tensor) -> None:
    if tuple(x.shape[1:]) != tuple(run.preprocess.shape) or not len(x):
        raise ShapeError(
            f"the run takes {run.preprocess.shape} each, got an array of {tuple(x.shape)}: give (N, …) of that, "
            "as run.pixels makes them"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Captum warns of the hooks that it sets; they are gone when it is done."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="captum")
        warnings.filterwarnings("ignore", message="Setting (forward, )?backward hooks")
        yield


def captum(method: str) -> Any:
    """Captum's algorithms. Raises MissingExtra where it is not installed."""
    try:
        import captum.attr
    except ImportError as e:
        raise MissingExtra("captum", "explain", f"--method {method}") from e
    return captum.attr


# --- the methods: each gives values as Attribution has them -----------------------------------------------------------


def saliency(q: Asked) -> Tensor:
    return captum("saliency").Saliency(q.y()).attribute(q.inputs, **q.more)


def input_x_gradient(q: Asked) -> Tensor:
    return captum("input-x-gradient").InputXGradient(q.y()).attribute(q.inputs, **q.more)


def integrated_gradients(q: Asked) -> Tensor:
    """The way from x' to x in pieces, each a mean over STEPS gradients; where sums are off, the worst are halved.

    Along a line the integrals of its pieces add up, and each sum must be what y gains there. A network of ReLUs has
    kinks, more in some pieces than in others.
    """
    begin = beginning(q.run, q.inputs)
    rows = torch.arange(len(begin), device=begin.device).repeat_interleave(PIECES)
    low = (torch.arange(PIECES, device=begin.device) / PIECES).repeat(len(begin))
    way = _integrated(q, begin, rows, low, low + 1 / PIECES)
    while (off := _wanting(q, way)).any():
        rows, low, middle = way.rows[off], way.low[off], (way.low + way.high)[off] / 2
        ends = torch.cat([low, middle]), torch.cat([middle, way.high[off]])
        halves = _integrated(q, begin, torch.cat([rows, rows]), *ends)
        way = _Way(*(torch.cat([old[~off], new]) for old, new in zip(way, halves, strict=True)))
    return torch.zeros_like(begin).index_add(0, way.rows, way.values)


class _Way(NamedTuple):
    """Pieces of ways from x' to x. rows: whose   low, high: from where to where, in 0..1   gains: of y, there"""

    rows: Tensor
    low: Tensor
    high: Tensor
    values: Tensor
    gains: Tensor


def _wanting(q: Asked, way: _Way) -> Tensor:
    """Which pieces are to be halved: those off by more than the input's mean, of inputs whose sum does not come out."""
    off, none = way.values.flatten(1).sum(1) - way.gains, torch.zeros_like(q.weights[:, 0])
    total, gain, size = (
        none.index_add(0, way.rows, each) for each in (off, way.gains, off.abs())
    )  # (n,) each
    pieces = torch.bincount(way.rows, minlength=len(none))
    wanting = (total.abs() > TOLERANCE * gain.abs()) & (pieces < MOST_PIECES) & q.exact
    return wanting[way.rows] & (off.abs() >= (size / pieces)[way.rows])


def _integrated(q: Asked, begin: Tensor, rows: Tensor, low: Tensor, high: Tensor) -> _Way:
    y = q.y()
    found = captum("integrated-gradients").IntegratedGradients(y)
    values, gains = [], []
    at_a_time = max(1, at_once(q.inputs.shape[1:], AT_ONCE) // STEPS)
    for which, a, b in zip(*(t.split(at_a_time) for t in (rows, low, high)), strict=True):
        way, weights = (q.inputs - begin)[which], q.weights[which]
        here, there = (begin[which] + end.view(-1, *[1] * (way.dim() - 1)) * way for end in (a, b))
        values.append(
            found.attribute(
                there, here, n_steps=STEPS, method="riemann_middle", additional_forward_args=(weights,)
            )
        )
        with torch.no_grad():
            gains.append(y(there, weights) - y(here, weights))
    return _Way(rows, low, high, torch.cat(values).float(), torch.cat(gains))


def deeplift(q: Asked) -> Tensor:
    copied = unrolled(q.run.model, RESCALED)
    if copied.strange:
        raise InputError(
            f"deeplift has no rule for {', '.join(copied.strange[:5])}"
            f"{f' and {len(copied.strange) - 5} more' if len(copied.strange) > 5 else ''} of {q.run.network.name}: its "
            "sums would not come out. Ask by --method integrated-gradients, which takes any network"
        )
    found = captum("deeplift").DeepLift(q.y(copied.model))
    return found.attribute(q.inputs, beginning(q.run, q.inputs), **q.more)


def occlusion(q: Asked) -> Tensor:
    """Each cell gets the mean over the windows that cover it."""
    shape = tuple(q.inputs.shape[1:])
    window, strides = windows(shape)
    made = captum("occlusion").Occlusion(q.y()).attribute(
        q.inputs, window, strides, baselines=mean(q.run, q.inputs), **q.more,
        perturbations_per_eval=max(1, at_once(shape, AT_ONCE) // len(q.inputs)),
    )  # fmt: skip
    return made[:, 0] if len(shape) == 3 else made  # a window covers all channels alike


def windows(shape: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Size and step of the window that covers a part of (C, H, W) or (D,): square; of a vector one number."""
    if len(shape) == 1:
        return (1,), (1,)
    side = min(max(1, round(max(shape[1:]) / WINDOWS)), *shape[1:])
    step = max(1, side // 2)
    return (shape[0], side, side), (shape[0], step, step)


def grad_cam(q: Asked) -> Tensor:
    assert q.layer is not None
    return cam.grad_cam(q.inside, q.inputs, q.weights, q.layer)


def guided_grad_cam(q: Asked) -> Tensor:
    """Guided backpropagation (the gradient, of which each ReLU hands on what is positive) times Grad-CAM."""
    copied = unrolled(q.run.model, GUIDED)
    if not copied.ruled:
        raise InputError(
            f"{q.run.network.name} has no ReLU, whose gradient guided-grad-cam changes: use grad-cam"
        )
    guided = captum("guided-grad-cam").GuidedBackprop(q.y(copied.model)).attribute(q.inputs, **q.more)
    where = torch.from_numpy(_placed(q, grad_cam(q).cpu().numpy())).to(guided)
    return guided * where[:, None]


def _placed(q: Asked, cells: np.ndarray) -> np.ndarray:
    assert q.layer is not None
    height, width = q.inputs.shape[2:]
    return cam.placed(cells, q.layer.sees, (height, width))


def _added(_: Asked, values: np.ndarray) -> np.ndarray:
    return values.sum(1) if values.ndim == 4 else values


def _largest(_: Asked, values: np.ndarray) -> np.ndarray:
    return values.max(1) if values.ndim == 4 else values


@dataclass(frozen=True)
class Method:
    """find: the values   heat: of the picture's size   signed: whether there is evidence against, too

    looks: at a layer with maps   compares: with x', so that values add up to y(x) - y(x')
    """

    find: Callable[[Asked], Tensor]
    heat: Callable[[Asked, np.ndarray], np.ndarray] = _added
    signed: bool = True
    looks: bool = False
    compares: bool = False


METHODS: Mapping[str, Method] = {
    "saliency": Method(saliency, _largest, signed=False),
    "input-x-gradient": Method(input_x_gradient),
    "integrated-gradients": Method(integrated_gradients, compares=True),
    "deeplift": Method(deeplift, compares=True),
    "occlusion": Method(occlusion),
    "grad-cam": Method(grad_cam, _placed, signed=False, looks=True),
    "guided-grad-cam": Method(guided_grad_cam, looks=True),
}

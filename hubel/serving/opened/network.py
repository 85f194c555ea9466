"""A served network, opened: its layers as rows that a page can draw, and what each of them makes of one picture.

Values are PyTorch's, of the picture as it is given (never of its mirror image), and are kept for the last few pictures,
so that one question after another about the same drawing does not run the network again.
"""

from __future__ import annotations

import base64
import copy
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from hubel.errors import InputError, UnknownName
from hubel.explanation.inside import Inside
from hubel.metrics import softmax
from hubel.replay import Program, Replay
from hubel.run import Run
from hubel.shapes import effective
from hubel.zoo import fields
from hubel.zoo.describe import Layer
from hubel.zoo.fields import rule_of
from hubel.zoo.graph import Group

KEPT = 256_000_000  # bytes of values that are kept, of one picture at least
AT_ONCE = 4_000_000  # numbers that one answer holds where no layers are named
INPUT = "input"  # the picture itself, where layers are named
REPLAYED = 60_000_000  # multiply-adds up to which a whole pass through the definitions takes a few tenths of a second


@dataclass
class Looked:
    """One picture, and what the network makes of it.

    x: (1, C, H, W) float32 in 0..1, or (1, D)   logits: (K,)   values: by layer in graph order, without the batch axis
    """

    x: np.ndarray
    logits: np.ndarray
    values: Mapping[str, np.ndarray]
    replay: Replay | None = field(default=None, repr=False)

    @property
    def bytes(self) -> int:
        return sum(v.nbytes for v in self.values.values())


class Opened:
    """What the questions to one served run share. Safe to use from several threads.

    It has modules of its own, since tracing a network sets modes that who answers at the same time would see; the
    weights are the run's. All that has to be traced is traced here, once.
    """

    def __init__(self, run: Run) -> None:
        self.run = twin(run)
        self.inside = Inside(self.run)
        self.layers = self.inside.layers
        self.names = tuple(row.name for row in self.layers)
        self.groups: Mapping[str, Group] = {group.name: group for group in self.inside.parts.layers}
        # From the network's input to (logits, the output of each layer).
        self.giving = self.inside.parts.giving(self.names).eval()
        self.program = Program(self.run.model)
        self.steps = tuple(name for name, _ in self.program.steps)  # of a replay
        self.workshop = Workshop(run)
        self._lock = threading.RLock()
        self._kept: OrderedDict[bytes, Looked] = OrderedDict()

    @property
    def small(self) -> bool:
        """Whether a whole pass through the definitions is quick."""
        return sum(row.multiply_adds for row in self.layers) <= REPLAYED

    def layer(self, name: str) -> Layer:
        """The row of that name. Raises UnknownName."""
        found = {row.name: row for row in self.layers}
        if name not in found:
            raise UnknownName("layer", name, found)
        return found[name]

    def look(self, prepared: np.ndarray) -> Looked:
        """prepared: one item as Run.prepared gives it."""
        key = prepared.dtype.str.encode() + prepared.tobytes()
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            looked = self._kept[key] = self._values(pixels(prepared))
            while len(self._kept) > 1 and sum(found.bytes for found in self._kept.values()) > KEPT:
                self._kept.popitem(last=False)
            while len(self._kept) > 16:
                self._kept.popitem(last=False)
        return looked

    def replayed(self, looked: Looked) -> Replay:
        """The same picture through the definitions; kept with it."""
        with self._lock:
            if looked.replay is None:
                looked.replay = self.program.run(looked.x)
            return looked.replay

    def _values(self, x: np.ndarray) -> Looked:
        with torch.inference_mode():
            entered = torch.from_numpy(x)
            logits, *found = self.giving(self.run.model.normalized(entered))
            if self.run.model.mirror:  # the answer is that of both pictures
                logits = self.run.model(entered)
        given = zip(self.names, found, strict=True)
        # A parameter that forward uses by itself is a row too, and not of what inference mode made.
        values = {name: value[0].detach().float().contiguous().numpy() for name, value in given}
        return Looked(x, logits[0].float().numpy(), values)


class Workshop:
    """Modules for slow questions alone: modes are borrowed of them, one question at a time."""

    def __init__(self, run: Run) -> None:
        self.run = twin(run)
        self.lock = threading.Lock()


def twin(run: Run) -> Run:
    """The same run with modules of its own and the same weights."""
    held = [*run.model.parameters(), *run.model.buffers()]
    model = copy.deepcopy(run.model, {id(tensor): tensor for tensor in held})
    return Run(run.path, run.card, model, run.settings)


def pixels(prepared: np.ndarray) -> np.ndarray:
    """(C, H, W) uint8 or (D,) float32 -> (1, C, H, W) float32 in 0..1, or (1, D)."""
    return prepared[None].astype(np.float32) / np.float32(255 if prepared.dtype == np.uint8 else 1)


@dataclass(frozen=True)
class Wanted:
    """Which maps an answer holds.

    layers: by name; None = all, as far as AT_ONCE reaches   first, count: of each layer's maps, None = all
    side: larger maps are thinned out to about that many cells along their longer side, None = never
    exact: float32 instead of 256 levels
    """

    layers: tuple[str, ...] | None = None
    first: int = 0
    count: int | None = None
    side: int | None = None
    exact: bool = False


def answered(opened: Opened, looked: Looked, wanted: Wanted) -> dict[str, Any]:
    """The answer and the maps: {"answer": {...}, "layers": [{"name", "low", "high", "data", …}], "left_out": [...]}."""
    for name in wanted.layers or ():
        if name != INPUT:
            opened.layer(name)
    chosen, left_out, room = [], [], AT_ONCE
    if wanted.layers is None or INPUT in wanted.layers:
        chosen.append(entered(looked, wanted.exact))
    for name in opened.names:
        if wanted.layers is not None and name not in wanted.layers:
            continue
        cut = as_maps(looked.values[name])[wanted.first :][: wanted.count]
        step = thinning(cut.shape, wanted.side)
        cut = cut[:, ::step, ::step]
        if wanted.layers is None and cut.size > room:
            left_out.append(name)
            continue
        room -= cut.size
        chosen.append(
            {
                "name": name,
                "first": wanted.first,
                "step": step,
                **packed(cut, looked.values[name], wanted.exact),
            }
        )
    return {"answer": told(opened.run, looked.logits), "layers": chosen, "left_out": left_out}


def entered(looked: Looked, exact: bool) -> dict[str, Any]:
    """The picture as the network receives it, level for level; or the row of numbers."""
    x = looked.x[0]
    if x.ndim == 3 and not exact:
        levels = (x * 255).round().astype(np.uint8)
        data = {
            **packed(x, x),
            "low": 0.0,
            "high": 1.0,
            "data": base64.b64encode(levels.tobytes()).decode("ascii"),
        }
    else:
        data = packed(as_maps(x), x, exact)
    return {"name": INPUT, "first": 0, "step": 1, **data}


def told(run: Run, logits: np.ndarray) -> dict[str, Any]:
    """logits: (K,)   ->   all probabilities in the order of the classes, or the values of a regression."""
    if run.task == "regress":
        return {"values": logits.tolist()}
    shares = softmax(logits[None])[0]
    best = int(shares.argmax())
    return {
        "class": run.classes[best],
        "p": float(shares[best]),
        "probabilities": shares.tolist(),
        "logits": logits.tolist(),
    }


def as_maps(value: np.ndarray) -> np.ndarray:
    """Any output as (C, H, W): numbers are maps of one cell, a row of words (T, D) is one map."""
    if value.ndim == 3:
        return value
    if value.ndim == 2:
        return value[None]
    return value.reshape(-1, 1, 1) if value.ndim == 1 else value.reshape(-1, *value.shape[-2:])


def thinning(shape: Sequence[int], side: int | None) -> int:
    """Every which row and column is shown."""
    return 1 if side is None else max(1, -(-max(shape[1:]) // side))


def packed(cut: np.ndarray, whole: np.ndarray, exact: bool = False) -> dict[str, Any]:
    """(C, H, W) -> its numbers in base64: float32, or 256 levels from the lowest to the highest of the whole layer.

    A level q stands for low + q / 255 (high - low). What is no number is level 0.
    """
    finite = whole[np.isfinite(whole)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if exact:
        data, kind = np.ascontiguousarray(cut, "<f4"), "float32"
    else:
        span = high - low
        levels = (np.nan_to_num(cut, nan=low, posinf=high, neginf=low) - low) * (
            255 / span if span > 0 else 0.0
        )
        data, kind = np.ascontiguousarray(levels.round().clip(0, 255), np.uint8), "uint8"
    return {
        "shape": list(cut.shape), "of": list(as_maps(whole).shape), "low": low, "high": high, "kind": kind,
        "data": base64.b64encode(data.tobytes()).decode("ascii"),
    }  # fmt: skip


def rows(opened: Opened) -> list[dict[str, Any]]:
    """The layers in graph order, with what a page needs to draw the graph and to light up what a cell sees."""
    return [
        {
            "name": row.name, "type": row.type, "settings": row.settings, "output": list(row.output),
            "parameters": row.parameters, "multiply_adds": row.multiply_adds, "inputs": list(row.inputs),
            "sees": row.sees and [axis and [axis.size, axis.stride, axis.offset] for axis in row.sees],
            "window": window(opened.groups[row.name]), "gathers": gathers(opened.groups[row.name]),
            "kernels": kernels_shape(opened, row.name),
        }
        for row in opened.layers
    ]  # fmt: skip


def window(group: Group) -> dict[str, Any] | None:
    """Size, stride, padding and dilation of a layer that slides a window, each along H and W; None for others.

    groups: of the maps that a cell looks at; 0 where it looks at one. Zeros around a map are a window of one cell.
    """
    found = rule_of(group.output, group.module) if group.module is not None or len(group.steps) == 1 else None
    if found is None or found[0] not in (fields.slides, fields.pads):
        return None
    rule, said = found
    if rule is fields.pads:
        amounts = said.get("padding", said.get("pad", 0))
        left, _, top, *_ = [amounts] * 4 if isinstance(amounts, int) else (*amounts, 0, 0)
        return {"kernel": [1, 1], "stride": [1, 1], "padding": [top, left], "dilation": [1, 1], "groups": 0}
    kernel, dilation = pair(said["kernel_size"]), pair(said.get("dilation", 1))
    stride, padding = said.get("stride", 1), said.get("padding", 0)
    if isinstance(padding, str):
        same = [(effective(k, d) - 1) // 2 for k, d in zip(kernel, dilation, strict=True)]
        padding = same if padding == "same" else 0
    return {
        "kernel": kernel, "stride": kernel if stride is None else pair(stride), "padding": pair(padding),
        "dilation": dilation, "groups": said.get("groups", 1) if "weight" in said or "groups" in said else 0,
    }  # fmt: skip


def pair(value: int | Sequence[int]) -> list[int]:
    return [value, value] if isinstance(value, int) else [value[0], value[-1]]


def gathers(group: Group) -> bool:
    """Whether each cell depends on all cells of its input, though the shape does not say so."""
    found = rule_of(group.output, group.module)
    return found is not None and found[0] in (fields.gathers, fields.normalises, fields.scores, fields.dense)


def kernels_shape(opened: Opened, name: str) -> list[int] | None:
    weight = getattr(opened.groups[name].module, "weight", None)
    return list(weight.shape) if isinstance(weight, torch.Tensor) and weight.dim() == 4 else None


def kernel(opened: Opened, name: str, number: int) -> dict[str, Any]:
    """The kernel of one map: (C, U, V) weights in float32. Raises UnknownName, InputError."""
    opened.layer(name)
    shape = kernels_shape(opened, name)
    if shape is None:
        others = ", ".join(n for n in opened.names if kernels_shape(opened, n))
        raise InputError(f"the layer {name} has no kernels; ask for one of {others}")
    if not 0 <= number < shape[0]:
        raise InputError(f"the layer {name} has kernels 0 to {shape[0] - 1}, not {number}")
    module = opened.groups[name].module
    assert module is not None
    weights = module.weight.detach().float().numpy()[number]  # type: ignore[operator]
    bias = getattr(module, "bias", None)
    return {
        "layer": name,
        "map": number,
        "bias": None if bias is None else float(bias.detach()[number]),
        **packed(weights, weights, exact=True),
    }

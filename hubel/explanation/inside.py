"""A run's network with the values of its layers at hand; whatever a question borrows of it is given back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from hubel.errors import InputError, UnknownName
from hubel.run import Run
from hubel.zoo.describe import Layer
from hubel.zoo.parts import Parts

if TYPE_CHECKING:
    from hubel.explanation.finding import Question


class Inside:
    """The layers of a run that are met in use, in order, and what each makes of pictures.

    Layers are named as `hubel describe` names them. The picture is the one that is given, never its mirror image.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.layers = tuple(row for row in run.layers() if not row.idle)

    @cached_property
    def parts(self) -> Parts:
        return Parts(self.run.model.network)

    @property
    def maps(self) -> tuple[Layer, ...]:
        """The layers that give maps: (C, H, W) with more than one cell, each at a place of the picture.

        What attention makes of tokens has three axes, too, and no places.
        """
        shaped = [row for row in self.layers if len(row.output) == 3 and row.output[1] * row.output[2] > 1]
        return tuple(row for row in shaped if self._places(row))

    def _places(self, row: Layer) -> bool:
        """Whether its cells look at the picture one after the other, or at padding beside it, as far as is known."""
        shape = self.run.preprocess.shape
        if len(shape) != 3 or row.sees is None:
            return len(shape) != 3
        return all(
            axis is None or (axis.stride > 0 and axis.offset + (cells - 1) * axis.stride < 2 * side)
            for axis, cells, side in zip(row.sees, row.output[1:], shape[1:], strict=True)
        )

    @property
    def last_maps(self) -> Layer:
        """The last layer whose output has spatial extent: where Grad-CAM looks. Raises InputError if there is none."""
        if not self.maps:
            raise InputError(
                f"{self.run.network.name} has no layer with maps: its layers give "
                f"{', '.join(f'{row.name} {row.output}' for row in self.layers[:8])}. Ask by --method saliency or "
                "integrated-gradients, which need none"
            )
        return self.maps[-1]

    def layer(self, name: str) -> Layer:
        """The layer of that name. Raises UnknownName, with all names."""
        found = {row.name: row for row in self.layers}
        if name not in found:
            raise UnknownName("layer", name, found)
        return found[name]

    def with_maps(self, name: str | None) -> Layer:
        """The named layer, which must give maps; the last that does where none is named."""
        if name is None:
            return self.last_maps
        row = self.layer(name)
        if row not in self.maps:
            raise InputError(
                f"the layer {name} gives {row.output}, not maps; layers with maps: "
                f"{', '.join(m.name for m in self.maps) or 'none'}"
            )
        return row

    def values(self, x: Tensor, names: Sequence[str]) -> tuple[Tensor, dict[str, Tensor]]:
        """x: (N, C, H, W) in 0..1, or (N, D)   ->   logits (N, K), and what each named layer gives, on the way there.

        Autograd sees through all of it, where x asks for gradients or the parameters do.
        """
        for name in names:
            self.layer(name)
        logits, *found = self._giving(tuple(names))(self.run.model.normalized(x))
        return logits, dict(zip(names, found, strict=True))

    def _giving(self, names: tuple[str, ...]) -> nn.Module:
        if self._made is None or self._made[0] != names:
            self._made = (names, self.parts.giving(names).eval())
        return self._made[1]

    _made: tuple[tuple[str, ...], nn.Module] | None = None


@contextmanager
def asking(run: Run, seed: int = 0) -> Iterator[nn.Module]:
    """Inside, the model is in eval mode, its parameters ask for no gradients, and torch's random numbers follow `seed`.

    All of it is given back on the way out, after a failure too: modes, gradients, the generator's state. Hooks that
    were added meanwhile are removed.
    """
    model = run.model
    modes = {module: module.training for module in model.modules()}
    wanted = {p: p.requires_grad for p in model.parameters()}
    hooks = {module: {kind: dict(getattr(module, kind)) for kind in HOOKS} for module in model.modules()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            model.eval()
            for p in wanted:
                p.requires_grad_(False)
            yield model
        finally:
            for module, mode in modes.items():
                module.training = mode
            for p, wants in wanted.items():
                p.requires_grad_(wants)
            for module, kinds in hooks.items():
                for kind, before in kinds.items():
                    getattr(module, kind).clear()
                    getattr(module, kind).update(before)


# PyTorch's own places for hooks; a version that has others keeps its hooks.
HOOKS = tuple(
    kind
    for kind in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    if hasattr(nn.Module(), kind)
)


def must_bring_data(run: Run, instead: str) -> None:
    """Raises InputError for public weights, which come without data of their own. instead: what can be named"""
    if "location" not in run.data:
        raise InputError(f"{run.network.name} with public weights brings no data: name {instead}")


def unasked(layer: Layer, question: Question) -> str:
    """Why a question is about this layer, where it named none."""
    return "" if question.layer is not None else f"{layer.name} is the last layer with maps. "


def classes_named(run: Run, names: Sequence[str]) -> list[int]:
    """The places of classes that are given by name or by number. Raises UnknownName, with all names."""
    known = list(run.classes)
    found = []
    for name in names:
        if name in known:
            found.append(known.index(name))
        elif name.isascii() and name.isdigit() and int(name) < len(known):
            found.append(int(name))
        else:
            raise UnknownName("class", name, known, hint="A class can also be given by its number, from 0.")
    return found


def pixels(run: Run, items: Sequence[object]) -> Tensor:
    """Items (paths, bytes, Pillow pictures, arrays) as the model takes them: (N, C, H, W) float in 0..1, or (N, D)."""
    if not items:
        raise InputError("there is no picture to ask about")
    return torch.cat([torch.from_numpy(run.pixels(item)) for item in items])

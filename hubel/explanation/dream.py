"""Activation maximisation: the picture that a class or a map answers to most, out of nothing.

Erhan, Bengio, Courville, Vincent 2009, "Visualizing higher-layer features of a deep network": gradient ascent on the
picture; held to what can be recognised as Olah, Mordvintsev, Schubert 2017 do (painting.py).
Differs from both: the gradients of what is raised and of the total variation are brought to one length before they
are added, so that one weight serves layers of any unit.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hubel.errors import InputError
from hubel.explanation.inside import Inside, asking
from hubel.explanation.objective import Dream, Moment, Objective, Target, Watch, only_pictures, unit
from hubel.explanation.painting import Canvas, total_variation, views
from hubel.run import Run


@dataclass(frozen=True)
class Dreaming:
    """How a picture is raised.

    steps: of Adam, on the waves; 0: 256, but 128 where a side has more than 64 pixels
    lr: of a wave, where waves of deviation 1 fill the scale from black to white
    smooth: how strongly total variation pulls, against 1 of what is raised
    jitter: at most, as a share of the longer side, and two pixels; 0: none
    turn: degrees at most   scaling: by 1 ± that at most
    views: of the picture, a step; 0: as many as cost little, 1 to 8   seed: of the start and the views
    """

    steps: int = 0
    lr: float = 0.05
    smooth: float = 0.1
    jitter: float = 1 / 28  # eight pixels of 224; two at least
    turn: float = 10.0
    scaling: float = 0.1
    views: int = 0
    seed: int = 0

    def steps_of(self, height: int, width: int) -> int:
        return self.steps or (256 if max(height, width) <= 64 else 128)

    def views_of(self, height: int, width: int) -> int:
        return self.views or max(1, min(8, 128 * 128 // (height * width)))


TRIES = 8  # starts that are drawn where a map answers nothing, and so shows no way up


def dream(
    run: Run, target: Target, how: Dreaming | None = None, size: tuple[int, int] | None = None,
    watch: Watch | None = None,
) -> Dream:  # fmt: skip
    """The picture that raises `target`, from faint waves around the mean colour of the data.

    size: (H, W), the network's own where None   watch: told how it stands, at each step
    Raises InputError where the network takes no such size, or the target answers nothing to any start.
    """
    only_pictures(run)
    how = how or Dreaming()
    generator = torch.Generator().manual_seed(how.seed)
    with asking(run, how.seed):
        raised = Objective(run, target)
        height, width = size or run.preprocess.shape[1:]
        raised.check(height, width)
        canvas, began = _start(raised, (height, width), generator)
        optimizer = torch.optim.Adam([canvas.waves], lr=how.lr)
        steps = how.steps_of(height, width)
        for step in range(1, steps + 1):
            x = canvas.picture()  # (1, C, H, W)
            value, up = raised_as_seen(raised, x, how, generator)
            optimizer.zero_grad()
            x.backward(how.smooth * unit(roughening(x)) - unit(up))  # downhill, as Adam goes
            optimizer.step()
            if watch:
                watch(Moment(step, steps, x.detach()[0], value))
        with torch.no_grad():
            found = canvas.picture()
            return Dream(target, found[0].numpy(), began, raised(found).item())  # fmt: skip


def raised_as_seen(
    raised: Objective, x: Tensor, how: Dreaming, generator: torch.Generator
) -> tuple[float, Tensor]:
    """The mean over some views of the picture, and its gradient, (1, C, H, W)."""
    x = x.detach().requires_grad_(True)
    height, width = x.shape[2:]
    seen = views(
        x, raised.ground, how.views_of(height, width), generator,
        jitter=max(2.0, how.jitter * max(height, width)) if how.jitter else 0.0, turn=how.turn, scaling=how.scaling,
    )  # fmt: skip
    value = raised(seen).mean()
    return value.item(), torch.autograd.grad(value, x)[0]


def roughening(x: Tensor) -> Tensor:
    """The gradient of the total variation, (1, C, H, W)."""
    x = x.detach().requires_grad_(True)
    return torch.autograd.grad(total_variation(x).sum(), x)[0]


def _start(raised: Objective, size: tuple[int, int], generator: torch.Generator) -> tuple[Canvas, float]:
    """Waves to which the target answers somehow, and what it answers to them."""
    preprocess, target = raised.run.preprocess, raised.target
    for _ in range(TRIES):
        canvas = Canvas.drawn((preprocess.shape[0], *size), raised.ground, generator)
        began, up = raised.slope(canvas.picture())
        if up.any():
            return canvas, began
    before = next(row.inputs for row in Inside(raised.run).layers if row.name == target.layer)
    raise InputError(
        f"{target.name} of {raised.run.network.name} answers nothing to {TRIES} starts, so there is no way up: it may "
        f"be dead behind its ReLU. Ask for what it is given, the layer {' or '.join(before)}"
    )

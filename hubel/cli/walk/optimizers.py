"""The walks through optimizers: each quantity of each step, a line each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hubel.cli.walk import options as o

if TYPE_CHECKING:
    from hubel.definitions import State
    from hubel.definitions.windows import Array

Parameters = Annotated[str, typer.Option("--parameters", "-p", metavar="NUMBERS", help="Where the parameters stand before the first step.")]  # fmt: skip
Gradients = Annotated[str, typer.Option("--gradients", "-g", metavar="NUMBERS", help="One number for each parameter; a row for each step, parted by ;, or one row for all.")]  # fmt: skip
Rate = Annotated[float, typer.Option(help="Learning rate.")]
Steps = Annotated[int, typer.Option(help="How many steps.", min=1, max=1000)]
Decay = Annotated[float, typer.Option(help="Weight decay.")]

Quantities = list[tuple[str, str, float]]  # name, the formula with its numbers, what it comes to


def descend(
    parameters: Parameters = "1 -2", gradients: Gradients = "0.5 0.1", rate: Rate = 0.1, decay: Decay = 0.0,
    steps: Steps = 1, json_: o.Json = False,
) -> None:  # fmt: skip
    _walk("gd", parameters, gradients, {"rate": rate, "decay": decay}, steps, json_)


def roll(
    ctx: typer.Context, parameters: Parameters = "1 -2", gradients: Gradients = "0.5 0.1", rate: Rate = 0.1,
    momentum: Annotated[float, typer.Option(help="Share of the velocity that is kept.")] = 0.9,
    decay: Decay = 0.0, steps: Steps = 2, json_: o.Json = False,
) -> None:  # fmt: skip
    settings = {"rate": rate, "momentum": momentum, "decay": decay}
    _walk(ctx.command.name or "", parameters, gradients, settings, steps, json_)


def rmsprop(
    parameters: Parameters = "1 -2", gradients: Gradients = "0.5 0.1", rate: Rate = 0.1,
    rho: Annotated[float, typer.Option(help="Share of the mean square that is kept.")] = 0.9,
    eps: Annotated[float, typer.Option(help="Added lest one divides by 0.")] = 1e-7,
    under_root: Annotated[bool, typer.Option(help="eps under the root, as in Keras; or added to it, as in PyTorch.")] = True,
    decay: Decay = 0.0, steps: Steps = 2, json_: o.Json = False,
) -> None:  # fmt: skip
    settings = {"rate": rate, "rho": rho, "eps": eps, "under_root": under_root, "decay": decay}
    _walk("rmsprop", parameters, gradients, settings, steps, json_)


def adapt(
    ctx: typer.Context, parameters: Parameters = "1 -2", gradients: Gradients = "0.5 0.1", rate: Rate = 0.1,
    beta1: Annotated[float, typer.Option(help="Share of the mean gradient that is kept.")] = 0.9,
    beta2: Annotated[float, typer.Option(help="Share of the mean square that is kept.")] = 0.999,
    eps: Annotated[float, typer.Option(help="Added lest one divides by 0.")] = 1e-8,
    decay: Annotated[float | None, typer.Option(help="Weight decay; 0 by default, 0.01 for adamw.")] = None,
    steps: Steps = 1, json_: o.Json = False,
) -> None:  # fmt: skip
    name = ctx.command.name or ""
    decay = (0.01 if name == "adamw" else 0.0) if decay is None else decay
    settings = {"rate": rate, "beta1": beta1, "beta2": beta2, "eps": eps, "decay": decay}
    _walk(name, parameters, gradients, settings, steps, json_)


def _walk(
    name: str, parameters: str, gradients: str, settings: dict[str, Any], steps: int, json_: bool
) -> None:
    import numpy as np

    from hubel.cli import show
    from hubel.cli.walk import draw, numbers
    from hubel.definitions import OPTIMIZERS, START
    from hubel.errors import InputError, ShapeError
    from hubel.replay.cells.record import digits

    p, slopes = numbers.vector(parameters, "--parameters"), numbers.matrix(gradients, "--gradients")
    if slopes.shape[1] != len(p):
        raise ShapeError(
            f"--parameters has {show.some(len(p), 'number')}, but a row of --gradients has {slopes.shape[1]}"
        )
    if len(slopes) not in (1, steps):
        raise InputError(
            f"--gradients has {show.some(len(slopes), 'row')}, but there {'is 1 step' if steps == 1 else f'are {steps} steps'}; give one row, or one for each step"
        )
    bad = [k for k in ("momentum", "rho", "beta1", "beta2") if not 0 <= settings.get(k, 0) < 1]
    if bad:
        raise InputError(f"--{bad[0]} must be at least 0 and below 1, got {settings[bad[0]]:g}")
    for option in ("rate", "decay", "eps"):
        numbers.setting(f"--{option}", settings.get(option, 0.0), 0)
    optimize, state, told = OPTIMIZERS[name], START, []
    for step in range(steps):
        g = slopes[step % len(slopes)]
        with np.errstate(all="ignore"):
            after = optimize({"p": p}, {"p": g}, state, **settings)
        _finite(after.parameters["p"], step + 1, settings)
        told.append(
            [
                _quantities(name, i, p, g, state, after.state, after.parameters["p"], settings)
                for i in range(len(p))
            ]
        )
        p, state = after.parameters["p"], after.state
    if json_:
        walked = [{f"p[{i}]": {k: v for k, _, v in lines} for i, lines in enumerate(step)} for step in told]
        show.as_json({"optimizer": name, "settings": settings, "steps": walked, "parameters": p.tolist()})
        return
    doc = re.split(r"(?<![.\d])\.(?!\.)|: ", optimize.__doc__ or "")[0]
    draw.out(draw.title(name), *draw.paragraph(" ".join(doc.split())))
    draw.out(*draw.paragraph(" · ".join(f"{k} {show_setting(v)}" for k, v in settings.items())))
    for number, step_lines in enumerate(told, 1):
        draw.out("", draw.title(f"step {number}"))
        for i, lines in enumerate(step_lines):
            draw.out(*draw.step_lines(f"p[{i}]", lines))
    draw.out("", f"p = {' '.join(digits(v) for v in np.asarray(p))}")


def _finite(p: Array, step: int, settings: dict[str, Any]) -> None:
    """Refuse a step to nowhere, and say what led there."""
    import numpy as np

    from hubel.errors import InputError

    bad = np.flatnonzero(~np.isfinite(p))
    if len(bad):
        why = (
            "one divides by 0: make --eps larger"
            if settings.get("eps") == 0
            else "make --gradients or --rate smaller"
        )
        raise InputError(f"p[{bad[0]}] is no finite number after step {step}, but {p[bad[0]]:g}; {why}")


def show_setting(value: Any) -> str:
    from hubel.replay.cells.record import digits

    return ("yes" if value else "no") if isinstance(value, bool) else digits(value)


def _quantities(
    name: str,
    i: int,
    p: Array,
    g: Array,
    before: State,
    after: State,
    p_after: Array,
    settings: dict[str, Any],
) -> Quantities:
    """The lines of parameter i: what the definition keeps and gives, and how each came about."""
    from math import sqrt

    from hubel.replay.cells.record import digits as d

    rate, decay, t = settings["rate"], settings["decay"], after.steps
    lines: Quantities = []
    slope, start = float(g[i]), float(p[i])
    if name == "adamw" and decay:
        start = (1 - rate * decay) * start
        lines.append(("p'", f"(1 - {d(rate)} * {d(decay)}) * {d(p[i])}", start))
    elif decay:
        slope = slope + decay * start
        lines.append(("g", f"{d(g[i])} + {d(decay)} * {d(start)}", slope))

    def kept(held: Any) -> float:
        return float(held["p"][i]) if "p" in held else 0.0

    end = float(p_after[i])
    if name == "gd":
        return [*lines, ("p", f"{d(start)} - {d(rate)} * {d(slope)}", end)]
    if name in ("momentum", "nesterov"):
        m, v = settings["momentum"], kept(after.first)
        lines.append(("v", f"{d(m)} * {d(kept(before.first))} + {d(slope)}", v))
        ahead = f"({d(slope)} + {d(m)} * {d(v)})" if name == "nesterov" else d(v)
        return [*lines, ("p", f"{d(start)} - {d(rate)} * {ahead}", end)]
    keep = settings["rho"] if name == "rmsprop" else settings["beta2"]
    s, eps = kept(after.second), settings["eps"]
    square = ("s", f"{d(keep)} * {d(kept(before.second))} + {d(1 - keep)} * {_squared(slope)}", s)
    if name == "rmsprop":
        root = f"sqrt({d(s)} + {d(eps)})" if settings["under_root"] else f"(sqrt({d(s)}) + {d(eps)})"
        return [*lines, square, ("p", f"{d(start)} - {d(rate)} * {d(slope)} / {root}", end)]
    b1, m = settings["beta1"], kept(after.first)
    freed_m, freed_s = m / (1 - b1**t), s / (1 - keep**t)
    return [
        *lines,
        ("m", f"{d(b1)} * {d(kept(before.first))} + {d(1 - b1)} * {d(slope)}", m),
        square,
        ("m^", f"{d(m)} / (1 - {d(b1)}^{t})", freed_m),
        ("s^", f"{d(s)} / (1 - {d(keep)}^{t})", freed_s),
        ("root", f"sqrt({d(freed_s)})", sqrt(freed_s)),
        ("p", f"{d(start)} - {d(rate)} * {d(freed_m)} / ({d(sqrt(freed_s))} + {d(eps)})", end),
    ]


def _squared(value: float) -> str:
    from hubel.replay.cells.record import digits

    return f"({digits(value)})^2" if value < 0 else f"{digits(value)}^2"

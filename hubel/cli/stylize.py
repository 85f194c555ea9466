"""`hubel stylize CONTENT STYLE -o OUT`: one picture in the manner of another, or of a network that paints in one style."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hubel.cli import complete
from hubel.errors import InputError, Interrupted

if TYPE_CHECKING:
    from hubel.explanation.style import Stroke, Styling
    from hubel.run import Run

WEIGHTS = "squeezenet1_1_features"
OPTIMISED, PAINTED = 384, 1600  # pixels of the longer side, at most, where --size does not say


def stylize(
    content: Annotated[str, typer.Argument(metavar="CONTENT", autocompletion=complete.paths, help="The picture that is repainted.")],
    style: Annotated[str, typer.Argument(metavar="STYLE", autocompletion=complete.styles, help="A picture in whose manner; or wave, la_muse, or an archive of such a network.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE.png", help="Where the picture goes.")],
    size: Annotated[int | None, typer.Option(metavar="N", help="Pixels of the longer side. By default the picture's own, up to 384 (with wave and the like 1600, about 600 bytes of memory a pixel).")] = None,
    weights: Annotated[str, typer.Option(metavar="NAME|FILE|RUN", help="Whose eyes compare: public weights, or a run folder.")] = WEIGHTS,
    network: Annotated[str | None, typer.Option(help="Of which network the weights are, where they do not say.")] = None,
    steps: Annotated[int | None, typer.Option(help="At half the size, and again at the whole; 60 by default.")] = None,
    content_weight: Annotated[float | None, typer.Option(help="Of staying the content; 1 by default.")] = None,
    style_weight: Annotated[float | None, typer.Option(help="Of becoming the style; 20 by default.")] = None,
    tv_weight: Annotated[float | None, typer.Option(help="Of total variation, which smooths; 0.2 by default.")] = None,
    content_layer: Annotated[str | None, typer.Option(help="By default the last of the last but one size of maps.")] = None,
    style_layers: Annotated[str | None, typer.Option(metavar="A,B,…", help="By default the last of each size of maps.")] = None,
    preview: Annotated[int, typer.Option(metavar="N", help="Write how it stands to OUT, every N steps; 0: only the end.")] = 20,
    seed: Annotated[int, typer.Option(help="Of whatever is drawn; today nothing is.")] = 0,
    json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON and nothing else.")] = False,
) -> None:  # fmt: skip
    """Repaint a picture in the style of another."""
    from hubel.cli import show
    from hubel.cli.picture_files import LARGEST, free, is_picture_file
    from hubel.zoo.style_transfer import is_style

    if not is_picture_file(out):
        raise InputError(f"--out names a picture file, ending in .png, .jpg or .webp, and not {out}")
    if size is not None and not 1 <= size <= LARGEST:
        raise InputError(f"--size takes pixels from 1 to {LARGEST}, got {size}")
    chosen = {
        "steps": steps, "content": content_weight, "style": style_weight, "smooth": tv_weight,
        "content_layer": content_layer, "style_layers": style_layers,
    }  # fmt: skip
    chosen = {name: value for name, value in chosen.items() if value is not None}
    for name, value in chosen.items():
        if isinstance(value, int | float) and not (name == "steps") <= value < float("inf"):
            raise InputError(f"{'--steps' if name == 'steps' else 'a weight'} cannot be {value:g}")
    free(out, "--out")
    if is_style(style):
        if chosen:
            raise InputError(
                f"{style} is a network that paints at once: options of the optimisation do nothing there"
            )
        told = _painted(content, style, out, size)
    else:
        how = _how(chosen, seed)
        told = _optimised(_network(weights, network), content, style, out, size, how, preview, quiet=json_)
    if json_:
        show.as_json({"content": content, "style": style, "picture": str(out), **told})
        return
    for name, value in {"picture": f"{out}, {show.shape(told.pop('size'))} pixels", **told}.items():
        show.say(f"{name.replace('_', ' '):<14} {value if isinstance(value, str) else _sentence(value)}")


def _sentence(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {part:.3g}" for name, part in value.items())
    return ", ".join(value)


def _how(chosen: dict[str, Any], seed: int) -> Styling:
    from hubel.explanation.style import Styling

    if "style_layers" in chosen:
        chosen = chosen | {"style_layers": tuple(n.strip() for n in chosen["style_layers"].split(","))}
    return Styling(**chosen, seed=seed)


def _network(weights: str, network: str | None) -> Run:
    """Public weights, or a run."""
    from hubel.pretrained import ready
    from hubel.run import MODEL, load

    path = Path(weights)
    if (path / MODEL).is_file() or path.name == MODEL:
        return load(weights)
    return ready(weights, network).run


def _painted(content: str, style: str, out: Path, size: int | None) -> dict[str, Any]:
    """By a network of one style, in one pass."""
    import torch

    from hubel.cli.picture_files import photograph, write_picture
    from hubel.explanation.drawing import picture
    from hubel.zoo.style_transfer import BYTES_A_PIXEL, painter

    network = painter(style)
    x = photograph(content, 3, (size,) if size else (), PAINTED)
    if max(x.shape[1:]) <= 4:  # a single cell is left of it, and nothing to norm by
        raise InputError(
            f"{content} at {x.shape[1]}×{x.shape[2]} pixels is too small to paint: name a --size from 5"
        )
    with torch.inference_mode():
        y = network(x[None])[0].numpy()
    write_picture(picture(y), out)
    memory = f"about {BYTES_A_PIXEL * x.shape[1] * x.shape[2] / 1e6:.0f} MB"
    return {"size": list(x.shape[1:]), "network": f"style {style}, in one pass", "memory": memory}


def _optimised(
    run: Run, content: str, style: str, out: Path, size: int | None, how: Styling, preview: int, *, quiet: bool
) -> dict[str, Any]:  # fmt: skip
    """By optimisation. On Ctrl-C the last picture stays in OUT."""
    from dataclasses import asdict, replace

    from hubel.cli import show
    from hubel.cli.picture_files import photograph, write_picture
    from hubel.explanation.drawing import picture
    from hubel.explanation.style import restyle, usual_layers

    usual = usual_layers(run)
    how = replace(how, content_layer=how.content_layer or usual[0], style_layers=how.style_layers or usual[1])
    x = photograph(content, 3, (size,) if size else (), OPTIMISED)
    manner = photograph(style, 3, (max(x.shape[1:]),), OPTIMISED)
    last: list[Stroke] = []
    with show.bar("painting", "steps", quiet=quiet) as bar:

        def watch(now: Stroke) -> None:
            last[:] = [now]
            bar.advance(now.step, now.steps)
            if preview and now.step % preview == 0 and now.step < now.steps:
                write_picture(picture(now.picture.numpy()), out)
                bar.line(f"step {now.step} of {now.steps}: {_sentence(asdict(now.losses))}; written to {out}")

        try:
            write_picture(picture(restyle(run, x, manner, how, watch)), out)
        except KeyboardInterrupt:
            if not last:
                raise
            write_picture(picture(last[0].picture.numpy()), out)
            raise Interrupted(
                f"interrupted at step {last[0].step} of {last[0].steps}: the picture as it stood is {out}"
            ) from None
    return {
        "size": list(x.shape[1:]), "network": run.network.name, "content_layer": how.content_layer,
        "style_layers": list(how.style_layers), "losses": asdict(last[-1].losses),
    }  # fmt: skip


def add(app: typer.Typer) -> None:
    app.command()(stylize)

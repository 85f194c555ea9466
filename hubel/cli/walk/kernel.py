"""`hubel walk kernel NAME PICTURE`: a hand-made kernel slid over a picture, and the answer as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hubel.cli.walk import options as o
from hubel.errors import InputError, UnknownName

if TYPE_CHECKING:
    from hubel.definitions.windows import Array

# What each answers to.
ANSWERS = {
    "identity": "everything, unchanged",
    "line-horizontal": "lines one cell wide that lie flat",
    "line-plus-45": "lines one cell wide that rise to the right",
    "line-vertical": "lines one cell wide that stand upright",
    "line-minus-45": "lines one cell wide that fall to the right",
    "sobel-x": "upright edges, smoothed along them: bright on the left is positive",
    "sobel-y": "flat edges, smoothed along them: bright above is positive",
    "edge-vertical": "upright edges (Prewitt)",
    "edge-horizontal": "flat edges (Prewitt)",
    "laplacian": "spots and edges of any direction: bends of the brightness",
    "sharpen": "the picture, with its edges raised",
    "blur": "the mean of nine cells",
    "gaussian": "the same, the middle counting most",
    "mean": "along a row: low frequencies",
    "second-difference": "along a row: high frequencies",
    "echo": "along a row: a decaying echo",
}
BROAD = 75  # columns from which a kernel's numbers and words stand beside its name
STRIP = 256  # rows that are filtered at once: bounds the memory for a picture of any size


def kernel(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A hand-made kernel, or numbers: '1 0 -1; 2 0 -2; 1 0 -1'. Without it the kernels are listed.")] = None,
    picture: Annotated[Path | None, typer.Argument(metavar="[PICTURE]", help="PNG, JPEG and the like; in colour each channel is filtered by itself.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="Where to write; by default beside the picture, as PICTURE-NAME.png, never over a file that is there.")] = None,
    json_: o.Json = False,
) -> None:  # fmt: skip
    """Filter a picture by a hand-made kernel, or list the kernels."""
    import numpy as np

    from hubel.cli import show
    from hubel.cli.walk import draw
    from hubel.data.pictures import planes, read_picture
    from hubel.definitions import KERNELS
    from hubel.replay.cells.record import digits

    if name is None:
        _list(json_)
        return
    label, k = _kernel(name)
    if picture is None:
        draw.out(
            *draw.matrix(label, k).lines,
            ANSWERS.get(label, ""),
            "",
            f"On a picture: hubel walk kernel {label if label in KERNELS else repr(name.strip())} PICTURE",
        )
        return
    image = read_picture(picture)
    target = _target(picture, label, out)
    x = planes(image, 1 if image.mode == "L" else 3).astype(np.float32)
    with np.errstate(all="ignore"):  # what comes of it is looked at, and said
        y = _filtered(x, k)
    if not np.isfinite(y).all():
        raise InputError(
            f"the answers to {label} are too large for a picture: make its numbers smaller, the largest is {np.abs(k).max():g}"
        )
    pixels, mapped = _shown(y, k)
    _write(pixels, target)
    facts = {
        "kernel": label, "picture": str(picture), "size": list(x.shape), "least": float(y.min()), "most": float(y.max()),
        "mapped": mapped, "written": str(target),
    }  # fmt: skip
    if json_:
        show.as_json({**facts, "numbers": k.tolist()})
        return
    draw.out(*draw.matrix(label, k).lines, "")
    colour = "grey" if len(x) == 1 else "three channels, each by itself"
    draw.out(f"picture   {picture}: {x.shape[2]}×{x.shape[1]}, {colour}")
    draw.out(f"answers   from {digits(y.min())} to {digits(y.max())}, where pixels are 0 to 255")
    draw.out(f"shown as  {mapped}", f"written   {target}")


def _list(json_: bool) -> None:
    from hubel.cli import show
    from hubel.cli.walk import draw
    from hubel.definitions import KERNELS
    from hubel.definitions import kernel as named

    if json_:
        show.as_json({name: {"numbers": k, "answers": ANSWERS.get(name, "")} for name, k in KERNELS.items()})
        return
    for name in KERNELS:
        block = draw.matrix("", named(name))
        numbers = draw.Block(
            (*block.lines[:-1], block.lines[-1] + draw.Text(" " * (26 - block.lines[-1].cell_len)))
        )
        if draw.width() < BROAD:
            draw.out(draw.title(name), *draw.paragraph(ANSWERS[name]), *block.lines, "")
            continue
        said = draw.Block(tuple(map(draw.Text, draw.paragraph(ANSWERS[name], draw.width() - 50))))
        draw.out(*draw.beside([draw.Block((draw.title(f"{name:<17}"),)), numbers, said], gap=2), "")
    draw.out(*draw.paragraph("On a picture: hubel walk kernel sobel-x photo.png -o edges.png"))


def _kernel(name: str) -> tuple[str, Array]:
    """What it is called in a file's name, and its numbers, sides odd."""
    from hubel.cli.walk import numbers
    from hubel.definitions import KERNELS
    from hubel.definitions import kernel as named

    name = name.strip()
    if name in KERNELS:
        return name, named(name)
    if not name[:1].isdigit() and name[:1] not in "-+.":
        raise UnknownName("kernel", name, KERNELS, hint="Or write its numbers: '1 0 -1; 2 0 -2; 1 0 -1'.")
    k = numbers.matrix(name, "the kernel")
    if k.shape[0] % 2 == 0 or k.shape[1] % 2 == 0:
        raise InputError(
            f"a kernel on a picture has a middle, so its sides are odd; this one is {k.shape[0]}×{k.shape[1]}"
        )
    return "kernel", k


def _target(picture: Path, label: str, out: Path | None) -> Path:
    from hubel.files import must_have_a_folder

    target = picture.with_name(f"{picture.stem}-{label}.png") if out is None else out
    if target.suffix.lower() != ".png":
        raise InputError(f"--out writes a PNG, got {target.name!r}")
    must_have_a_folder(target)
    if target.exists() and (out is None or target.samefile(picture)):
        raise InputError(f"{target} is there already; name another file with --out")
    return target


def _filtered(x: Array, k: Array) -> Array:
    """(C, H, W) -> (C, H, W), strip by strip: each with the rows around it that the kernel reaches."""
    import numpy as np

    from hubel.definitions import filtered

    reach, H = len(k) // 2, x.shape[1]
    strips = []
    for top in range(0, H, STRIP):
        first, last = max(0, top - reach), min(H, top + STRIP + reach)
        y = filtered(x[:, first:last], k)
        strips.append(y[:, top - first : min(top + STRIP, H) - first])
    return np.concatenate(strips, 1)


def _shown(y: Array, k: Array) -> tuple[Array, str]:
    """uint8 pixels, and how they came of the answers."""
    import numpy as np

    from hubel.replay.cells.record import digits

    if abs(k.sum() - 1) < 1e-6:  # a picture again, but for what leaves its range
        beyond = int(((y < -0.5) | (y > 255.5)).sum())
        cut = f"; {beyond:,} of {y.size:,} numbers lay beyond and were cut" if beyond else ""
        return np.rint(np.clip(y, 0, 255)).astype(np.uint8), f"it is, 0 to 255{cut}"
    most = float(np.abs(y).max())
    scaled = np.abs(y) * (255 / most if most else 0)
    return np.rint(scaled).astype(
        np.uint8
    ), f"sizes without sign, 0 to {digits(most)} as 0 (black) to 255 (white)"


def _write(pixels: Array, target: Path) -> None:
    import io

    from PIL import Image

    from hubel.files import write_atomically

    held = io.BytesIO()
    Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(held, "PNG")
    write_atomically(target, held.getvalue())

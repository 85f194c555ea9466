"""What the first layer lets pass of each frequency.

    |W_o(f)| = |sum over u, v of w_o[u, v] e^(-2 pi i (f_y u + f_x v))|        f in cycles per pixel, -1/2 .. 1/2

the discrete Fourier transform of a kernel, padded with zeros to SIDE cells; over several channels the root of the sum
of squares. A convolution multiplies spectra (Bracewell 1965, "The Fourier transform and its applications"): this is by
how much a wave of that frequency leaves the layer larger or smaller. Beside it the mean spectrum of pictures before the
layer and of its maps, sqrt(mean |X(f)|² / (H W)), each picture's and map's mean taken off. With a stride s the maps
hold frequencies up to 1/(2 s); finer ones are folded onto these (aliasing).
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from hubel.explanation import drawing
from hubel.explanation.drawing import Scale, Tile
from hubel.explanation.filters import first_kernels
from hubel.explanation.finding import Finding, Item, Question, floats, stacked
from hubel.explanation.inside import Inside, asking
from hubel.run import Run, at_once

SIDE = 64  # cells of a kernel's spectrum along each axis
MOST = 500  # pictures whose spectra are averaged
SHOWN = 64  # kernels that are drawn
AT_ONCE = 100
RINGS = 24  # bands of the curve over all directions
COARSE = 1 / 16  # cycles per pixel
DEEP = 60  # dB under the largest, where the colours end
COLUMNS, WIDTH = 14, 1100  # squares in a row; pixels


@dataclass(frozen=True)
class Spectrum:
    """values: (h, w), frequency 0 in the middle   stride: pixels between neighbouring cells, along rows and columns"""

    values: np.ndarray
    stride: tuple[int, int] = (1, 1)

    @property
    def frequencies(self) -> tuple[np.ndarray, np.ndarray]:
        """(h, 1) and (1, w): cycles per pixel of the picture."""
        rows, columns = (
            np.fft.fftshift(np.fft.fftfreq(n, s)) for n, s in zip(self.values.shape, self.stride, strict=True)
        )
        return rows[:, None], columns[None]

    def by_ring(self) -> tuple[np.ndarray, np.ndarray]:
        """Over all directions: the middle of each band of frequency up to 1/(2 s), and the root of its mean square.

        Bands without a cell are left out, and frequency 0.
        """
        radius = np.hypot(*np.broadcast_arrays(*self.frequencies))
        edges = np.linspace(0, 0.5 / max(self.stride), RINGS + 1)
        band = np.digitize(radius, edges) - 1
        band[radius == 0] = -1
        kept = [n for n in range(RINGS) if (band == n).any()]
        found = [np.sqrt(np.square(self.values[band == n]).mean()) for n in kept]
        return (edges[:-1] + edges[1:])[kept] / 2, np.array(found)


@dataclass(frozen=True)
class Found:
    """responses: (O, side, side) of the layer's kernels   before, after: of the data, where there are some, and maps"""

    layer: str
    responses: np.ndarray
    before: Spectrum | None
    after: Spectrum | None
    where: str

    @property
    def together(self) -> Spectrum:
        """The root of the kernels' mean square: what the layer does to a wave's power."""
        return Spectrum(np.sqrt(np.square(self.responses).mean(0)))


def explain(run: Run, items: Sequence[Item], question: Question) -> Iterator[Finding]:
    """One finding. items: the pictures whose spectra are averaged; none for the run's train part."""
    kernels = first_kernels(run)
    data, where = pictures(run, items, question.seed)
    before = after = None
    if len(data):
        with asking(run, question.seed):
            before, after = spectra(run, kernels.layer, data, question)
    yield drawn(run, Found(kernels.layer, response(kernels.values), before, after, where))


def response(kernels: np.ndarray, side: int = SIDE) -> np.ndarray:
    """(O, C, U, V) -> (O, side, side): |W_o(f)|, frequency 0 in the middle. A larger kernel has its own size."""
    side = max(side, *kernels.shape[2:])
    each = np.abs(np.fft.fft2(kernels.astype(np.float64), s=(side, side)))  # (O, C, side, side)
    return np.fft.fftshift(np.sqrt(np.square(each).sum(1)), axes=(1, 2))


def mean_power(images: np.ndarray) -> np.ndarray:
    """(N, C, H, W) -> (H, W): the mean over N and C of |X(f)|² / (H W), each plane's mean taken off."""
    plain = images.astype(np.float64) - images.mean((2, 3), keepdims=True)
    power = np.square(np.abs(np.fft.fft2(plain, norm="ortho"))).mean((0, 1))
    return np.fft.fftshift(power)


def pictures(run: Run, items: Sequence[Item], seed: int) -> tuple[Sequence[Item], str]:
    """At most MOST of them, drawn by the seed, and what they are; none of public weights without pictures."""
    from hubel.explanation.patches import train_part

    where = "the given pictures"
    if not len(items):
        if "location" not in run.data:
            return (), ""
        items, where = train_part(run)
    if len(items) > MOST:
        places = np.sort(np.random.default_rng(seed).choice(len(items), MOST, replace=False))
        items, where = [items[int(i)] for i in places], f"{MOST} of {where}, drawn"
    return items, where


def spectra(
    run: Run, layer: str, data: Sequence[Item], question: Question
) -> tuple[Spectrum, Spectrum | None]:
    """Of the pictures as the network gets them, and of the layer's maps; None where it gives no maps.

    To be called inside `asking`.
    """
    inside = Inside(run)
    row = inside.layer(layer)
    has_maps = row in inside.maps
    step = at_once(run.preprocess.shape, AT_ONCE)
    before = np.zeros(run.preprocess.shape[1:])
    after = np.zeros(row.output[1:]) if has_maps else None
    for start in range(0, len(data), step):
        x = torch.from_numpy(floats(stacked(data[start : start + step])))
        share = len(x) / len(data)
        before += share * mean_power(run.model.normalized(x).numpy())
        if after is not None:
            with torch.no_grad():
                _, values = inside.values(x, [layer])
            after += share * mean_power(values[layer].numpy())
        if question.progress:
            question.progress(start + len(x), len(data))
    seen = row.sees or (None, None)
    strides = tuple(1 if axis is None else max(1, axis.stride) for axis in seen)
    return Spectrum(np.sqrt(before)), None if after is None else Spectrum(
        np.sqrt(after), (strides[0], strides[1])
    )


def number(best: float) -> str:
    return drawing.number(best) if best == best else "–"


def peak(values: np.ndarray) -> float:
    """The frequency, in cycles per pixel, at which the response is largest; of equal ones the lowest. NaN for 0."""
    if not values.any():
        return float("nan")
    radius = np.hypot(*np.broadcast_arrays(*Spectrum(values).frequencies))
    return float(radius[values >= values.max() * (1 - 1e-9)].min())


# --- drawing ----------------------------------------------------------------------------------------------------------


def drawn(run: Run, found: Found) -> Finding:
    """A square per kernel, all kernels together, and the spectra of the data before and after."""
    count = len(found.responses)
    shown = found.responses[:SHOWN]
    scale = Scale(0.0, float(found.responses.max()), drawing.SEQUENTIAL)
    peaks = [peak(one) for one in found.responses]
    tiles = [
        Tile(drawing.enlarged(drawing.heat_map(one, scale), SIDE), f"{n}", number(best))
        for n, (one, best) in enumerate(zip(shown, peaks, strict=False))
    ]
    title = f"What {found.layer} lets pass of each frequency"
    left = f" The first {len(shown)} are shown." if len(shown) < count else ""
    about = (
        f"{run.network.name}: by how much each of {count} kernels changes the size of a wave. In a square, frequency 0 "
        "is in the middle and ½ cycle per pixel at the edges (columns across, rows down); under it the frequency, in "
        f"cycles per pixel, that passes best.{left}"
    )
    grid = drawing.tiled(tiles, COLUMNS, size=11)
    parts = [
        drawing.words(title, 18, bold=True), drawing.words(about, 13, drawing.FAINT, room=WIDTH),
        drawing.scale_bar(scale, 260), grid, panels(found),
    ]  # fmt: skip
    coarse, finer = sum(best < COARSE for best in peaks), sum(best >= COARSE for best in peaks)
    empty = f", {count - coarse - finer} are 0" if coarse + finer < count else ""
    of = f" Spectra: {found.where}, their means taken off." if found.before is not None else ""
    spectra = {"before": found.before, "after": found.after}
    arrays = {"responses": found.responses} | {
        name: one.values for name, one in spectra.items() if one is not None
    }
    return Finding(
        f"frequencies-{found.layer}", title, drawing.framed(drawing.down(parts, 16)),
        f"{coarse} of {count} kernels pass coarse waves best (under 1/16 cycle a pixel), {finer} finer{empty}.{of}",
        {"kernels": count, "largest": float(found.responses.max()), "best frequency": [round(b, 4) for b in peaks]},
        {name: values.astype(np.float32) for name, values in arrays.items()},
    )  # fmt: skip


def panels(found: Found) -> Image.Image:
    """Spectra with their axes, and all of them over every direction as curves."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    colours = LinearSegmentedColormap.from_list("sequential", np.array(drawing.SEQUENTIAL) / 255)
    squares = [("all kernels together", found.together, "gain")]
    squares += [("pictures before the layer", found.before, "dB")] if found.before is not None else []
    squares += [("its maps", found.after, "dB")] if found.after is not None else []
    figure = Figure(figsize=(WIDTH / 100, 3.5), dpi=100, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(squares) + 1, width_ratios=[1] * len(squares) + [1.25])
    for place, (name, spectrum, unit) in zip(axes, squares, strict=False):
        rows, columns = (0.5 / s for s in spectrum.stride)
        values = spectrum.values if unit == "gain" else decibel(spectrum.values)
        extent = (-columns, columns, rows, -rows)
        least = 0 if unit == "gain" else -DEEP
        image = place.imshow(values, cmap=colours, extent=extent, vmin=least, interpolation="nearest")
        place.set_title(name, loc="left", fontsize=10)
        place.set_xlabel("cycles per pixel", fontsize=8, color="#5d6470")
        figure.colorbar(image, ax=place, location="bottom", shrink=0.8, aspect=30).set_label(unit, fontsize=8)
    last = axes[-1]
    for (name, spectrum, _), colour in zip(squares, ("#20242c", "#4878cf", "#c8414b"), strict=False):
        at, values = spectrum.by_ring()
        last.plot(at, decibel(values), color=colour, linewidth=1.8, label=name)
    last.set_title("over all directions, dB of the largest", loc="left", fontsize=10)
    last.set_xlabel("cycles per pixel", fontsize=8, color="#5d6470")
    last.set_xlim(0, 0.5)
    last.set_ylim(-DEEP, 1)
    last.legend(frameon=False, fontsize=8, loc="lower left")
    last.spines[["top", "right"]].set_visible(False)
    for place in axes:
        place.tick_params(labelsize=8)
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return Image.open(out).convert("RGB")


def decibel(values: np.ndarray) -> np.ndarray:
    """20 log10 of the share of the largest, no lower than -DEEP."""
    most = float(values.max()) or 1.0
    return 20 * np.log10(np.maximum(values / most, 10 ** (-DEEP / 20)))

"""Convolution seen from the frequencies. Convolution theorem: the transform of x * h is the product of theirs.

Cross-correlation is the product with the conjugate. A long signal of n numbers is so convolved in n log n steps.
High frequencies are edges and noise, low ones the outline. Oppenheim and Schafer, "Discrete-Time Signal Processing", 8;
Mathieu, Henaff, LeCun 2014, "Fast training of convolutional networks through FFTs".

Arrays have any number of axes, all of them transformed. Frequencies are in cycles per cell, 0 to 1/2.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hubel.definitions.errors import DefinitionError, ShapeError
from hubel.definitions.windows import Array


class Bands(NamedTuple):
    """A picture as the sum of two."""

    low: Array
    high: Array


def convolve_by_fft(x: Array, h: Array) -> Array:
    """The wide convolution y[i] = sum_u x[i-u] h[u].   x: (H, W)   h: (U, V)   ->   y: (H+U-1, W+V-1)

    Zeros up to that size keep the end from running into the beginning: a Fourier transform takes all to be periodic.
    """
    size = _wide("convolve_by_fft", x, h)
    return _back(_spectrum(x, size) * _spectrum(h, size), size, x)


def correlate_by_fft(x: Array, h: Array) -> Array:
    """The wide cross-correlation y[i] = sum_u x[i+u-(U-1)] h[u].   Shapes as in convolve_by_fft."""
    size = _wide("correlate_by_fft", x, h)
    y = _back(_spectrum(x, size) * _spectrum(h, size).conj(), size, x)
    # With the conjugate cell 0 is where h begins on x[0]; the U - 1 cells before it have come out at the end.
    return np.roll(y, [n - 1 for n in h.shape], range(h.ndim))


def response(h: Array, size: tuple[int, ...]) -> Array:
    """What h does to each frequency: H[f] = sum_u h[u] e^(-2 pi i f u), at f = 0, 1/size, 2/size, ... along each axis.

    h: (U, V)   ->   (size) complex. |H| is how much of a wave goes through, the angle how far it is shifted.
    """
    if len(size) != h.ndim or any(n < u for n, u in zip(size, h.shape, strict=True)):
        raise ShapeError(
            f"response: size must be at least that of the kernel {h.shape} along each axis, got {size}"
        )
    return np.fft.fftn(h, size, axes=range(h.ndim))


def bands(x: Array, cutoff: float) -> Bands:
    """x = low + high: low has the waves of at most `cutoff` cycles per cell in any direction, high all the others.

    x: (H, W) or any other number of axes   cutoff: 0 keeps the mean alone, 0.71 everything on a picture
    The cut is sharp, so both bands ring beside an edge (Gibbs).
    """
    if cutoff < 0:
        raise DefinitionError(f"bands: cutoff must be at least 0 cycles per cell, got {cutoff}")
    axes = [np.fft.fftfreq(n) for n in x.shape]
    squared = sum(np.square(f) for f in np.meshgrid(*axes, indexing="ij", sparse=True))
    kept = np.where(squared <= cutoff**2, np.fft.fftn(x), 0)
    low = np.fft.ifftn(kept).real.astype(x.dtype)
    return Bands(low, x - low)


def _wide(name: str, x: Array, h: Array) -> list[int]:
    if x.ndim != h.ndim or not x.size or not h.size:
        raise ShapeError(
            f"{name}: x and h must have equally many axes and some numbers, got {x.shape} and {h.shape}"
        )
    return [a + b - 1 for a, b in zip(x.shape, h.shape, strict=True)]


def _spectrum(x: Array, size: list[int]) -> Array:
    return np.fft.rfftn(x, size, axes=range(x.ndim))


def _back(spectrum: Array, size: list[int], like: Array) -> Array:
    return np.fft.irfftn(spectrum, size, axes=range(like.ndim)).astype(like.dtype)

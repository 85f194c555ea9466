"""Where windows lie on a picture: sizes, padding, and the two ways between pictures and windows.

Along one axis, with H cells, a kernel of U, stride s, dilation d and padding (before, after), the window of output
cell i covers the padded cells  i s + u d,  u = 0 .. U-1. It spans  U + (U - 1)(d - 1)  cells, and

    floor((H + before + after - span) / s) + 1

windows fit. Dumoulin and Visin 2016, "A guide to convolution arithmetic for deep learning", relations 1 to 15.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from hubel.definitions.errors import DefinitionError, ShapeError

Array = NDArray[Any]
Two = tuple[int, int]
Pair = int | Two  # one number for both axes, or (along H, along W)
Padding = int | Two | tuple[Two, Two]  # the same, or ((top, bottom), (left, right))


@dataclass(frozen=True)
class Grid:
    """The windows of one operation: `out` of them along (H, W) on a picture of `size`."""

    size: Two
    kernel: Two
    stride: Two
    padding: tuple[Two, Two]
    dilation: Two
    out: Two

    @property
    def canvas(self) -> Two:
        """(H, W) with padding; a last window that ceil mode lets hang over the edge is part of it."""
        wanted = [
            max(H + sum(p), (out - 1) * s + span(U, d))
            for H, p, out, s, U, d in zip(
                self.size, self.padding, self.out, self.stride, self.kernel, self.dilation, strict=True
            )
        ]
        return wanted[0], wanted[1]

    def pad(self, x: Array, fill: float = 0.0) -> Array:
        """x: (N, C, H, W) -> (N, C, *canvas), `fill` around it. Where nothing is added, x itself."""
        if self.canvas == self.size:
            return x
        padded = np.full((*x.shape[:2], *self.canvas), fill, x.dtype)
        self.inside(padded)[:] = x
        return padded

    def inside(self, padded: Array) -> Array:
        """A view of what lies inside the padding: (N, C, *canvas) -> (N, C, H, W)."""
        (top, _), (left, _), (H, W) = *self.padding, self.size
        return padded[:, :, top : top + H, left : left + W]

    def windows(self, padded: Array) -> Array:
        """(N, C, *canvas) -> (N, C, H', W', U, V), a view: nothing is copied."""
        (sh, sw), (dh, dw), (h, w) = self.stride, self.dilation, self.out
        (U, V) = self.kernel
        every = sliding_window_view(padded, (span(U, dh), span(V, dw)), (2, 3))
        return every[:, :, ::sh, ::sw, ::dh, ::dw][:, :, :h, :w]

    def cells(self, padded: Array) -> Iterator[tuple[int, int, Array]]:
        """(u, v, what cell (u, v) of every window sees): U V views, each (N, C, H', W'), that can be written to."""
        (sh, sw), (dh, dw), (h, w) = self.stride, self.dilation, self.out
        for u, v in np.ndindex(self.kernel):
            i, j = u * dh, v * dw
            yield u, v, padded[:, :, i : i + (h - 1) * sh + 1 : sh, j : j + (w - 1) * sw + 1 : sw]

    def columns(self, padded: Array, groups: int) -> Array:
        """Every window as a column: (N, C, *canvas) -> (N, G, C/G U V, H' W'), ready for one matrix product."""
        seen = self.windows(padded).transpose(0, 1, 4, 5, 2, 3)  # (N, C, U, V, H', W')
        N, C, U, V, h, w = seen.shape
        return seen.reshape(N, groups, C // groups * U * V, h * w)

    def spread(self, columns: Array) -> Array:
        """The way back, as a sum: (N, G, C/G U V, H' W') -> (N, C, *canvas). It is the transpose of `columns`."""
        (N, G, rows, _), (U, V) = columns.shape, self.kernel
        seen = columns.reshape(N, G * rows // (U * V), U, V, *self.out)  # (N, C, U, V, H', W')
        canvas = np.zeros((*seen.shape[:2], *self.canvas), columns.dtype)
        for u, v, cell in self.cells(canvas):
            cell += seen[:, :, u, v]  # += : windows overlap, and each of them adds its share to a cell
        return canvas


def grid(
    name: str,
    size: Sequence[int],
    kernel: Pair,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    *,
    ceil: bool = False,
) -> Grid:
    """The windows of an operation called `name` (for its errors) on a picture of size (H, W)."""
    kernel = two(name, "kernel", kernel, 1)
    stride = two(name, "stride", stride, 1)
    dilation = two(name, "dilation", dilation, 1)
    padding = sides(name, padding)
    H, W = size
    out = [
        fitting(f"{name}: along {axis}", *along, ceil=ceil)
        for axis, along in zip("HW", zip((H, W), kernel, stride, padding, dilation, strict=True), strict=True)
    ]
    return Grid((H, W), kernel, stride, padding, dilation, (out[0], out[1]))


def row(
    name: str,
    size: int,
    kernel: int,
    stride: int = 1,
    padding: int | Two = 0,
    dilation: int = 1,
    *,
    ceil: bool = False,
) -> Grid:
    """The windows on a row of `size` cells, as those on a picture of one row; its errors speak of one axis."""
    U, s = two(name, "kernel", kernel, 1)[1], two(name, "stride", stride, 1)[1]
    d, ends = two(name, "dilation", dilation, 1)[1], two(name, "padding", padding, 0)
    out = fitting(f"{name}:", size, U, s, ends, d, ceil=ceil)
    return Grid((1, size), (1, U), (1, s), ((0, 0), ends), (1, d), (1, out))


def span(kernel: int, dilation: int = 1) -> int:
    """Cells from the first to the last that a dilated kernel touches: F + (F - 1)(D - 1)."""
    return kernel + (kernel - 1) * (dilation - 1)


def fitting(
    where: str,
    size: int,
    kernel: int,
    stride: int = 1,
    padding: Two = (0, 0),
    dilation: int = 1,
    *,
    ceil: bool = False,
) -> int:
    """How many windows fit along one axis; `where` begins the error text.

    ceil: round up, but no window may begin beyond the input and the padding before it (PyTorch's rule).
    """
    room = size + sum(padding) - span(kernel, dilation)
    if room < 0:
        raise ShapeError(
            f"{where} a window of {span(kernel, dilation)} does not fit into {size} cells with padding {padding}"
        )
    if not ceil:
        return room // stride + 1
    out = -(-room // stride) + 1
    return out - 1 if (out - 1) * stride >= size + padding[0] else out


def output_size(size: Pair, kernel: Pair, stride: Pair = 1, padding: Padding = 0, dilation: Pair = 1) -> Two:
    """floor((H + 2P - F) / S) + 1 along both axes; (28, 31) under 5x5 with P = 2, S = 3 gives (10, 11)."""
    return grid("output_size", two("output_size", "size", size, 1), kernel, stride, padding, dilation).out


def narrow(kernel: int, dilation: int = 1) -> int:
    """Padding of the narrow (valid) convolution, whose windows lie wholly inside: 0."""
    del kernel, dilation  # the three helpers are called alike
    return 0


def same(kernel: int, dilation: int = 1) -> int:
    """Padding on each side of the equal-width (same) convolution: (span - 1) / 2, so the span must be odd."""
    reach = span(kernel, dilation)
    if reach % 2 == 0:
        raise DefinitionError(
            f"same: a window of {reach} needs {reach - 1} cells of padding in all, which no two equal sides make; "
            f"give them apart: ({(reach - 1) // 2}, {reach // 2}) as Keras and PyTorch do, or the other way round"
        )
    return reach // 2


def wide(kernel: int, dilation: int = 1) -> int:
    """Padding on each side of the wide (full) convolution, whose windows touch at least one cell: span - 1."""
    return span(kernel, dilation) - 1


def two(name: str, what: str, value: Pair, least: int) -> Two:
    """One number or a pair, as a pair of integers, each at least `least`."""
    pair = value if isinstance(value, Sequence) else (value, value)
    try:
        first, second = map(operator.index, pair)
    except (TypeError, ValueError):
        raise DefinitionError(f"{name}: {what} must be an integer or two of them, got {value!r}") from None
    if first < least or second < least:
        raise DefinitionError(f"{name}: {what} must be at least {least}, got {value!r}")
    return first, second


def sides(name: str, padding: Padding) -> tuple[Two, Two]:
    """Padding in any of its forms as ((top, bottom), (left, right))."""
    if not isinstance(padding, Sequence):
        padding = (padding, padding)
    if len(padding) != 2:
        raise DefinitionError(
            f"{name}: padding must be p, (along H, along W) or ((top, bottom), (left, right)), got {padding!r}"
        )
    return two(name, "padding", padding[0], 0), two(name, "padding", padding[1], 0)

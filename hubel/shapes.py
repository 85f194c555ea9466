"""Output sizes and receptive fields: integers only.

One axis at a time; sizes in cells. Dumoulin and Visin 2016, "A guide to convolution arithmetic for deep learning".
"""

from __future__ import annotations

from dataclasses import dataclass

from hubel.errors import ShapeError


def effective(kernel: int, dilation: int = 1) -> int:
    """Cells that a dilated kernel spans: F + (F - 1)(D - 1)."""
    return kernel + (kernel - 1) * (dilation - 1)


def windowed(
    size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1, *, ceil: bool = False
) -> int:
    """Output size of a convolution or pooling: floor((H + 2P - F) / S) + 1.

    ceil: round up instead, but no window may begin in the padding on the right (PyTorch's rule for pooling).
    """
    span = effective(kernel, dilation)
    room = size + 2 * padding - span
    if room < 0:
        raise ShapeError(
            f"a window of {span} does not fit into {size} cells with padding {padding} "
            f"({size} + 2*{padding} = {size + 2 * padding})"
        )
    if not ceil:
        return room // stride + 1
    out = -(-room // stride) + 1
    return out - 1 if (out - 1) * stride >= size + padding else out


def same_padding(kernel: int, dilation: int = 1) -> int:
    """The padding on each side that keeps the size at stride 1; the spanned kernel must be odd."""
    span = effective(kernel, dilation)
    if span % 2 == 0:
        raise ShapeError(f"no symmetric padding keeps the size under an even window of {span}")
    return span // 2


def transposed(
    size: int, kernel: int, stride: int = 1, padding: int = 0, extra: int = 0, dilation: int = 1
) -> int:
    """Output size of a transposed convolution: (H - 1) S - 2P + F_eff + extra."""
    return (size - 1) * stride - 2 * padding + effective(kernel, dilation) + extra


@dataclass(frozen=True)
class Field:
    """What one cell of a map sees of the input.

    size: cells; stride: between the fields of two neighbours; offset: where the first one begins
    """

    size: int = 1
    stride: int = 1
    offset: int = 0

    def through(self, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> Field:
        """The field after one more window layer."""
        return Field(
            self.size + (effective(kernel, dilation) - 1) * self.stride,
            self.stride * stride,
            self.offset - padding * self.stride,
        )

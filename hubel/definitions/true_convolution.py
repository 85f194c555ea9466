"""Convolution as mathematics means it: the kernel is flipped along every spatial axis, then slides.

    (x * w)[i] = sum_u x[i - u] w[u]

It commutes and is associative, which cross-correlation is not, and it is what the Fourier transform turns into a
product (spectrum.py). For a network the flip is no matter, as the kernel is learnt. Oppenheim and Schafer, "Signals".

Output cell 0 of the narrow form is the first where the whole flipped kernel lies inside the input.
"""

from __future__ import annotations

from hubel.definitions.convolution import (
    conv1d,
    conv1d_backward,
    conv2d,
    conv2d_backward,
    row_of,
    windows_of,
)
from hubel.definitions.windows import Array, Padding, Pair, Two


def convolve2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Array:
    """Convolve x with w: y[n,o,i,j] = b[o] + sum_{c,u,v} x[n,c,i*s+u*d,j*s+v*d] w[o,c,U-1-u,V-1-v].

    Shapes as in conv2d. Each channel has its kernel slice, and channels are summed, not convolved.
    """
    windows_of("convolve2d", x, w, b, stride, padding, dilation, groups)  # its errors speak of convolve2d
    return conv2d(x, w[:, :, ::-1, ::-1], b, stride, padding, dilation, groups)


def convolve2d_backward(
    dy: Array,
    x: Array,
    w: Array,
    b: Array | None = None,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> tuple[Array, Array, Array]:
    """As conv2d_backward; dw is flipped back, since w was flipped on its way in."""
    windows_of("convolve2d", x, w, b, stride, padding, dilation, groups)  # its errors speak of convolve2d
    dx, dw, db = conv2d_backward(dy, x, w[:, :, ::-1, ::-1], b, stride, padding, dilation, groups)
    return dx, dw[:, :, ::-1, ::-1], db


def convolve1d(
    x: Array,
    w: Array,
    b: Array | None = None,
    stride: int = 1,
    padding: int | Two = 0,
    dilation: int = 1,
    groups: int = 1,
) -> Array:
    """Convolve along one axis: y[n,o,i] = b[o] + sum_{c,u} x[n,c,i*s+u*d] w[o,c,U-1-u]. Shapes as in conv1d."""
    row_of("convolve1d", x, w, b, stride, padding, dilation, groups)
    return conv1d(x, w[:, :, ::-1], b, stride, padding, dilation, groups)


def convolve1d_backward(
    dy: Array,
    x: Array,
    w: Array,
    b: Array | None = None,
    stride: int = 1,
    padding: int | Two = 0,
    dilation: int = 1,
    groups: int = 1,
) -> tuple[Array, Array, Array]:
    """As conv1d_backward, with dw flipped back."""
    row_of("convolve1d", x, w, b, stride, padding, dilation, groups)
    dx, dw, db = conv1d_backward(dy, x, w[:, :, ::-1], b, stride, padding, dilation, groups)
    return dx, dw[:, :, ::-1], db

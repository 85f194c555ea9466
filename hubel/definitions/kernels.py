"""Hand-made kernels by name: what people laid down before networks learnt it. They are slid unflipped (conv2d).

Line templates and Sobel: Gonzalez and Woods, "Digital Image Processing", 10.2; Sobel and Feldman 1968; Prewitt 1970.
Angles are as one sees them on a page: a line at +45° rises to the right.
"""

from __future__ import annotations

import numpy as np

from hubel.definitions.convolution import conv2d
from hubel.definitions.errors import ShapeError, UnknownKernel
from hubel.definitions.windows import Array, same

KERNELS: dict[str, tuple[tuple[float, ...], ...]] = {
    "identity": ((0, 0, 0), (0, 1, 0), (0, 0, 0)),
    # A line one cell wide answers most to the template that lies along it; the numbers sum to 0, so evenness is silent.
    "line-horizontal": ((-1, -1, -1), (2, 2, 2), (-1, -1, -1)),
    "line-plus-45": ((-1, -1, 2), (-1, 2, -1), (2, -1, -1)),
    "line-vertical": ((-1, 2, -1), (-1, 2, -1), (-1, 2, -1)),
    "line-minus-45": ((2, -1, -1), (-1, 2, -1), (-1, -1, 2)),
    # Differences across an edge. Sobel's also smooths along it, the middle counting double.
    "sobel-x": ((1, 0, -1), (2, 0, -2), (1, 0, -1)),
    "sobel-y": ((1, 2, 1), (0, 0, 0), (-1, -2, -1)),
    "edge-vertical": ((1, 0, -1), (1, 0, -1), (1, 0, -1)),
    "edge-horizontal": ((1, 1, 1), (0, 0, 0), (-1, -1, -1)),
    "laplacian": ((0, 1, 0), (1, -4, 1), (0, 1, 0)),  # second differences along both axes
    "sharpen": ((0, -1, 0), (-1, 5, -1), (0, -1, 0)),  # identity - laplacian
    # Means; the numbers sum to 1, so evenness stays as it is.
    "blur": ((1 / 9, 1 / 9, 1 / 9),) * 3,
    "gaussian": ((1 / 16, 2 / 16, 1 / 16), (2 / 16, 4 / 16, 2 / 16), (1 / 16, 2 / 16, 1 / 16)),  # binomial
    # For signals: (1, L). The first keeps low frequencies, the second high ones; the third is a decaying echo.
    "mean": ((1 / 3, 1 / 3, 1 / 3),),
    "second-difference": ((1, -2, 1),),
    "echo": ((1, 1 / 2, 1 / 4),),
}


def kernel(name: str) -> Array:
    """(U, V) float64, a fresh copy."""
    if name not in KERNELS:
        raise UnknownKernel(f"no kernel named {name!r}. Known: {', '.join(KERNELS)}.")
    return np.array(KERNELS[name], dtype=np.float64)


def filtered(picture: Array, k: Array) -> Array:
    """Each channel cross-correlated with one kernel, zeros around.   (C, H, W), (U, V) -> (C, H, W)

    The kernel's sides are odd, so that each cell has a middle to stand on. Values may leave the picture's range.
    """
    if picture.ndim != 3 or k.ndim != 2:
        raise ShapeError(
            f"filtered: the picture must be (C, H, W) and the kernel (U, V), got {picture.shape} and {k.shape}"
        )
    (U, V) = k.shape
    one = k.astype(picture.dtype)[None, None]
    return conv2d(picture[:, None], one, padding=(same(U), same(V)))[
        :, 0
    ]  # channels stand where images would

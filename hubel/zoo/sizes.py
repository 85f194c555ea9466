"""What networks ask of the size of a picture, and how many maps a narrower twin has."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hubel.errors import ShapeError

LARGEST = 4096  # pixels; where the search for the least size ends


def picture(input: Sequence[int]) -> tuple[int, int, int]:  # noqa: A002
    """(C, H, W) of an input that must be a picture; ShapeError otherwise."""
    if len(input) != 3:
        raise ShapeError(
            f"this network takes pictures (C, H, W), the input is {tuple(input)}; try the network mlp"
        )
    channels, height, width = input
    return channels, height, width


def fitted(input: Sequence[int], after: Callable[[int], int]) -> tuple[int, int]:  # noqa: A002
    """Rows and columns after all windows.

    after: pixels along an axis -> cells; a window that does not fit is a ShapeError there
    Raises ShapeError that says the least size for which all fit.
    """
    _, height, width = picture(input)
    if _fits(after, height) and _fits(after, width):
        return after(height), after(width)
    least = next(n for n in range(1, LARGEST) if _fits(after, n))
    raise ShapeError(
        f"pictures of {height}x{width} are too small: this network needs {least} pixels each way; "
        f"enlarge them with --input {least}x{least}"
    )


def scaled(maps: int, width: float) -> int:
    """`maps` times the factor `width`, and at least one."""
    return max(1, round(maps * width))


def _fits(after: Callable[[int], int], size: int) -> bool:
    try:
        return after(size) > 0
    except ShapeError:
        return False

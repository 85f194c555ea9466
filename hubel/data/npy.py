"""An array in NumPy's own format, .npy, alone or in an .npz: never unpickled, and no larger than its header says.

    93 "NUMPY" · version · length of the header · a dict in Python's notation: descr, fortran_order, shape · values

The header is believed only after the size of what is there has been compared with it; memory is taken after that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import IO, Any

import numpy as np

from hubel.data import limits
from hubel.data.pictures import printable
from hubel.errors import HubelError

Refuse = Callable[[str], HubelError]
Header = tuple[tuple[int, ...], np.dtype[Any]]


def read_header(content: IO[bytes], size: int, named: str, refuse: Refuse) -> Header:
    """(shape, dtype) of an array that can be read; `content` then stands at its values.

    size: bytes of the whole, header and values   named: how messages begin   refuse: the error that they become
    """
    try:
        version = np.lib.format.read_magic(content)
        readers = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        shape, _, dtype = readers.get(version, readers[2, 0])(content)
        begins = content.tell()
    except Exception as e:  # a dict in Python's notation can be wrong in many ways
        raise refuse(f"{named} is damaged: {printable(str(e)) or type(e).__name__}") from e
    if dtype.hasobject:
        raise refuse(
            f"{named} holds Python objects, which only a pickle can restore, and nothing is executed on load. Save it "
            "as numbers or as text (dtype U)."
        )
    if any(n < 0 for n in shape) or not dtype.itemsize or dtype.kind not in "biufcSU" or dtype.subdtype:
        raise refuse(f"{named} is {printable(str(dtype))} {shape}, which is no array of numbers or text")
    needed = math.prod(shape) * dtype.itemsize
    if needed != size - begins:
        raise refuse(
            f"{named} {shape} of {dtype} needs {needed:,} bytes, the file declares {size - begins:,}: it is damaged"
        )
    if needed > limits.ARRAY_AT_MOST:
        raise refuse(f"{named} has {needed:,} bytes, more than the {limits.ARRAY_AT_MOST:,} that are read")
    return shape, dtype


def read(content: IO[bytes], size: int, named: str, refuse: Refuse) -> np.ndarray:
    """The array; arguments as for read_header."""
    content.seek(0)
    read_header(content, size, named, refuse)
    content.seek(0)
    try:
        return np.lib.format.read_array(content, allow_pickle=False)
    except Exception as e:  # a packed file can be damaged in many ways
        raise refuse(f"{named} is damaged: {printable(str(e)) or type(e).__name__}") from e

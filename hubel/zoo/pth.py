"""PyTorch's own files, .pth: a pickle of names and shapes, and the numbers beside it. Read strictly as tensors.

`weights_only` calls nothing but what makes tensors. What it builds can still be out of all proportion to the file, so
that is looked at before: the zip is packed nowhere, the pickle is weighed (data/pickles.py), and each tensor that
comes out must be in the file number by number.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from hubel.data import pickles, tar
from hubel.data.pictures import printable
from hubel.errors import ArtifactError, DataError, HubelError

# Where checkpoints keep the weights among other things.
NESTED = ("state_dict", "model", "model_state_dict", "net")
PICKLED_AT_MOST = (
    64 << 20
)  # bytes of names and shapes; of an old file only as many are looked at, numbers come after
ZIP = b"PK\x03\x04"


def read(path: Path) -> dict[str, Tensor]:
    """Its tensors by name. Raises ArtifactError for what is damaged, holds more than tensors, or asks for too much."""
    check(path)
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as e:
        raise ArtifactError(
            f"{path} holds more than tensors, or is damaged: it is not opened, since that could run code in it. "
            f"Ask its publisher for a safetensors file"
        ) from e
    except Exception as e:  # what the library raises on hostile bytes is documented nowhere
        raise unreadable(path, short(e)) from e
    for key in NESTED:
        if isinstance(stored, Mapping) and isinstance(stored.get(key), Mapping):
            stored = stored[key]
    if not isinstance(stored, Mapping):
        raise ArtifactError(f"{path} holds a {type(stored).__name__}, and not tensors by name")
    made = {str(name): value for name, value in stored.items() if isinstance(value, Tensor)}
    for name, tensor in made.items():
        # A tensor may say that it repeats one number a billion times, which a copy of it would write out.
        plain = tensor.layout is torch.strided and not tensor.is_quantized and tensor.device.type == "cpu"
        if not plain or tensor.numel() * tensor.element_size() > path.stat().st_size:
            raise unreadable(
                path, f"its tensor {printable(name)} {tuple(tensor.shape)} is not in it number by number"
            )
    return made


def check(path: Path) -> None:
    """Raises ArtifactError where reading would take more memory or time than a file of its size can need."""
    with path.open("rb") as file:
        begin = file.read(tar.BLOCK)
        if not begin.startswith(ZIP):  # as it was before 2020: five pickles, then the numbers
            if is_tar(begin):
                raise unreadable(
                    path, "it is a tar, as PyTorch wrote before 2018; save it anew with a later one"
                )
            content = begin + file.read(PICKLED_AT_MOST)
            pickles.check(content, lambda why: unreadable(path, why), pickles=5)
            return
    size = path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            listed = archive.infolist()
            if sum(info.file_size for info in listed) > size:
                raise unreadable(path, f"its {size:,} bytes would unpack to more, and PyTorch packs nothing")
            for info in listed:
                if info.filename.endswith("data.pkl"):
                    if info.file_size > PICKLED_AT_MOST:
                        raise unreadable(path, f"its names and shapes take {info.file_size:,} bytes")
                    pickles.check(archive.read(info), lambda why: unreadable(path, why))
    except HubelError:
        raise
    except Exception as e:  # as in read
        raise unreadable(path, short(e)) from e


def is_tar(begin: bytes) -> bool:
    """By the checksum of its first block."""
    if len(begin) < tar.BLOCK:
        return False
    try:
        tar.check_sum(begin, 0)
    except DataError:
        return False
    return True


def unreadable(path: Path, why: str) -> ArtifactError:
    return ArtifactError(f"{path} is not a PyTorch file that can be read ({why})")


def short(e: Exception) -> str:
    """The first line of an error, without what could steer a terminal."""
    first = str(e).strip().partition("\n")[0]
    return printable(first)[:200] or type(e).__name__

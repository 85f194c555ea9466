"""Where a network computes, and in what numbers: decided once, by what the machine has."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from hubel.errors import InputError


def choose_device(name: str) -> str:
    """auto: CUDA, then Apple's, then the processor. Another name must be usable here."""
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as e:
        raise InputError(
            f"the device {name!r} cannot be used here ({str(e).splitlines()[0]}); try --device auto"
        ) from e
    return name


def choose_bf16(precision: str, device: str, *, gains: bool) -> bool:
    """Whether to compute in bfloat16. auto: where the network gains and the machine multiplies it natively."""
    if precision != "auto":
        return precision == "bf16"
    return gains and native_bf16(device)


def native_bf16(device: str) -> bool:
    """Whether the processor or GPU has instructions for bfloat16; elsewhere it is emulated, and slow."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    # Private names: a version without them is taken for a processor without the instructions.
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, probe, bool)() for probe in probes)


@contextlib.contextmanager
def repeatable(asked: bool) -> Iterator[None]:
    """Inside, where it is asked for, PyTorch takes only such ways to compute as give equal bits each time.

    On a processor, with one number of threads, it does so by itself; on a GPU that costs time. Raises InputError where
    an operation has no such way there.
    """
    if not asked:
        yield
        return
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read once, when a GPU multiplies first
    before, timed = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False  # which way is the fastest is another one each time
    try:
        yield
    except RuntimeError as e:
        if "deterministic" not in str(e):
            raise
        reason = str(e).partition(". ")[0]
        raise InputError(
            f"--deterministic cannot be kept here: {reason}. Leave it out, or say --device cpu"
        ) from e
    finally:
        torch.use_deterministic_algorithms(before)
        torch.backends.cudnn.benchmark = timed

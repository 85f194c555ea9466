"""Where a network computes, and in what numbers: decided once, by what the machine has."""

from __future__ import annotations

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

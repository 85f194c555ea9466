"""Public weights into a network of the zoo: found, checked, renamed, fitted; and told what became of each tensor.

A file is safetensors, or .pth read strictly as tensors (weights_only: nothing in it is executed), or an archive of
NumPy arrays as Google's quantised networks come in. The last layer may have other classes; all else must fit, or
nothing is changed.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from hubel.data.download import cache_folder, fetch
from hubel.data.npz import Npz
from hubel.data.pictures import printable
from hubel.data.published import Published
from hubel.errors import ArtifactError, InputError, UnknownName
from hubel.zoo import pth
from hubel.zoo.public_weights import ARCHIVE, PUBLIC, PublicWeights

# What wrappers put in front of each name.
WRAPPERS = ("module.", "network.", "model.")


@dataclass(frozen=True)
class Loaded:
    """What became of public weights.

    loaded: the network's tensors that now hold them;  missing: those that keep their fresh numbers
    renamed: file's name -> network's, where they differ;  left_out: file's name -> why
    notes: sentences for the user;  labels: of the outputs, where known
    known: the table's line, with how pixels become input; None for a file that it does not list
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    renamed: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    known: PublicWeights | None = None


@dataclass(frozen=True)
class _Converted:
    """tensors: by the network's names;  named: the network's name -> the file's"""

    tensors: dict[str, Tensor]
    named: dict[str, str]
    notes: tuple[str, ...] = ()


def load(network: nn.Module, weights: str | Path) -> Loaded:
    """Copy public weights into `network`.

    weights: a name of PUBLIC; a .safetensors, .pth, .pt or .npz file; or an archive's folder
    Raises InputError where they are not of this network, ArtifactError for a file that cannot be trusted or read.
    """
    path, known = find(weights)
    found = _converted(_read(path), network)
    state, head = network.state_dict(), _last_layer(network)
    fitted = _fit(found, state, head, path)
    # A norm's count of batches says nothing of what the network computes; old files have none.
    missing = [n for n in state if n not in fitted.kept and not n.endswith("num_batches_tracked")]
    _must_be_whole(fitted, missing, state, found, head, path)
    network.load_state_dict({**state, **fitted.kept})
    why = fitted.other_classes | dict.fromkeys(fitted.strange, "the network has no such part")
    return Loaded(
        loaded=tuple(fitted.kept), missing=tuple(missing),
        renamed={old: new for new, old in found.named.items() if new in fitted.kept and new != old},
        left_out={found.named.get(name, name): reason for name, reason in why.items()},
        notes=(*found.notes, *fitted.notes, *_built_otherwise(network, known)),
        labels=_labels(path, _outputs(state, head)), known=known,
    )  # fmt: skip


def outputs(network: nn.Module, weights: str | Path) -> int:
    """How many classes the weights know, by the last layer of `network`; 0 where they are without it."""
    path, _ = find(weights)
    return _outputs(_converted(_read(path), network).tensors, _last_layer(network))


# ---- where they lie


def find(weights: str | Path) -> tuple[Path, PublicWeights | None]:
    """The file, and what is known of it. A name is looked for in $HUBEL_DATA/weights and the cache, then fetched."""
    said = str(weights)
    if said in PUBLIC:
        return located(said, PUBLIC[said].file, PUBLIC[said].source), PUBLIC[said]
    path = Path(weights)
    if path.is_dir() and (path / ARCHIVE).is_file():
        return path / ARCHIVE, _archives().get(path.name)
    if path.is_file():
        by_file = {known.file.name: known for known in PUBLIC.values()}
        return path, _archives().get(path.parent.name) if path.name == ARCHIVE else by_file.get(path.name)
    if path.is_dir():
        raise InputError(f"the folder {path} holds no {ARCHIVE}: name the file of weights itself")
    raise UnknownName("weights or file", said, PUBLIC)


def _archives() -> dict[str, PublicWeights]:
    """By the names of their folders."""
    return {name: known for name, known in PUBLIC.items() if known.file.name == ARCHIVE}


def located(name: str, file: Published, source: str) -> Path:
    """A published file in $HUBEL_DATA/weights or the cache, checked; fetched where that can be done."""
    inside = Path(name) / file.name if file.name == ARCHIVE else Path(file.name)
    root = os.environ.get("HUBEL_DATA")
    folders = [Path(root) / "weights" if root else None, cache_folder("weights")]
    for folder in folders:
        if folder is not None and (folder / inside).is_file():
            return _checked(folder / inside, file.sha256)
    if file.mirrors and file.size:
        place = cache_folder("weights")
        return fetch("weights", folder=place, manifest={"weights": (file,)}) / file.name
    wherefrom = f"fetch it from {file.mirrors[0]} and" if file.mirrors else f"it is made from {source};"
    raise InputError(
        f"the weights {name} are not here: {wherefrom} put it at {cache_folder('weights') / inside} "
        f"or at $HUBEL_DATA/weights/{inside} (SHA-256 {file.sha256})"
    )


def _checked(path: Path, sha256: str) -> Path:
    with path.open("rb") as f:
        found = hashlib.file_digest(f, "sha256").hexdigest()
    if found != sha256:
        raise ArtifactError(
            f"{path} is not what was published: its SHA-256 is {found}, it should be {sha256}. Fetch it again, "
            f"or name it by its path if you trust it"
        )
    return path


# ---- what they hold


def _read(path: Path) -> dict[str, Tensor]:
    """Tensors by the file's own names, without wrappers in front."""
    kind = path.suffix.lower()
    if kind not in (".safetensors", ".npz", ".pth", ".pt", ".bin"):
        raise InputError(f"weights come as .safetensors, .pth, .pt, .bin or .npz, not as {path.name}")
    read = {".safetensors": _safetensors, ".npz": arrays}.get(kind, pth.read)
    tensors = read(path)
    if not tensors:
        raise ArtifactError(f"{path} holds no tensors")
    for wrapper in WRAPPERS:
        if all(name.startswith(wrapper) for name in tensors):
            tensors = {name.removeprefix(wrapper): tensor for name, tensor in tensors.items()}
    return tensors


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as e:
        raise ArtifactError(f"{path} is not a safetensors file that can be read ({pth.short(e)})") from e


def arrays(path: Path) -> dict[str, Tensor]:
    """The arrays of an .npz, none of which may be a pickle."""
    stored = Npz(path, ArtifactError)
    made = {}
    for name in stored.keys:
        array = stored.read(name)
        if array.dtype.kind not in "fiub":
            raise ArtifactError(
                f"{path}: the array {printable(name)} is {array.dtype}, and weights are real numbers: "
                "leave it out of the file"
            )
        made[name] = torch.from_numpy(np.ascontiguousarray(array, array.dtype.newbyteorder("=")))
    return made


# ---- other names for the same


def _converted(tensors: dict[str, Tensor], network: nn.Module) -> _Converted:
    if any(name.endswith(".weight_q") for name in tensors):
        return _quantised(tensors, network)
    if "fire2.squeeze1x1.weight" in tensors:
        named = {_squeezenet(name): name for name in tensors}
        return _Converted({new: tensors[old] for new, old in named.items()}, named)
    return _Converted(tensors, {name: name for name in tensors})


def _squeezenet(name: str) -> str:
    """fire4.squeeze1x1.weight -> features.6.squeeze.weight: poolings stand behind conv1, fire3 and fire5."""
    layer, _, rest = name.partition(".")
    if layer == "conv1":
        return f"features.0.{rest}"
    number = int(re.sub(r"\D", "", layer) or 0)
    place = number + 1 + (number >= 4) + (number >= 6)
    return f"features.{place}.{rest.replace('squeeze1x1', 'squeeze')}"


def _quantised(arrays: dict[str, Tensor], network: nn.Module) -> _Converted:
    """NN.weight_q, .scale, .zero, .bias of each layer in running order; w = (weight_q - zero) scale.

    The norms are folded into the convolutions. A network that has norms gets some that only add the bias:
    statistics 0 and 1 - eps, so that (x - 0) / sqrt(1 - eps + eps) 1 + bias.
    """
    numbers = sorted(name.removesuffix(".weight_q") for name in arrays if name.endswith(".weight_q"))
    layers = list(_layers(network))
    if len(layers) != len(numbers):
        raise InputError(
            f"the archive has {len(numbers)} layers with weights, {type(network).__name__} has {len(layers)}: "
            f"it is of another network"
        )
    made: dict[str, Tensor] = {}
    named: dict[str, str] = {}
    for number, (path, layer, norm_path, norm) in zip(numbers, layers, strict=True):
        try:
            q, scale, zero, bias = (
                arrays[f"{number}.{part}"] for part in ("weight_q", "scale", "zero", "bias")
            )
        except KeyError as e:
            raise ArtifactError(
                f"the archive has no {e.args[0]}, which its layer {number} needs: it is not whole, fetch it again"
            ) from e
        if not _spreads(q, zero) or not _spreads(q, scale) or bias.ndim != 1:
            raise ArtifactError(
                f"the archive's layer {number} does not fit together: weights {tuple(q.shape)}, scale "
                f"{tuple(scale.shape)}, zero {tuple(zero.shape)}, bias {tuple(bias.shape)}. "
                "Scale and zero must spread over the weights, and the bias be a row"
            )
        w = (q.float() - zero) * scale
        made[f"{path}.weight"] = w.flatten(1) if isinstance(layer, nn.Linear) else w
        named[f"{path}.weight"] = f"{number}.weight_q"
        adds = f"{path}.bias" if norm is None else f"{norm_path}.bias"
        made[adds], named[adds] = bias, f"{number}.bias"
        if norm is not None:
            made[f"{norm_path}.weight"] = torch.ones_like(bias)
            made[f"{norm_path}.running_mean"] = torch.zeros_like(bias)
            made[f"{norm_path}.running_var"] = torch.full_like(bias, 1 - norm.eps)
    folded = any(norm is not None for *_, norm in layers)
    note = (
        "the norms of these weights are folded into the convolutions: here they stand idle, and would undo the "
        "weights if trained; to train all layers build the network with norm=False"
    )
    return _Converted(made, named, (note,) if folded else ())


def _spreads(a: Tensor, b: Tensor) -> bool:
    """Whether b can be spread over a: else their sum could be larger than both files' worth."""
    try:
        return torch.broadcast_shapes(a.shape, b.shape) == a.shape
    except RuntimeError:
        return False


def _layers(network: nn.Module) -> Iterator[tuple[str, nn.Module, str, nn.BatchNorm2d | None]]:
    """Each convolution and matrix in order, with the norm right behind it, if there is one."""
    modules = [(path, m) for path, m in network.named_modules() if not any(m.children())]
    for (path, module), (next_path, after) in zip(modules, [*modules[1:], ("", nn.Identity())], strict=True):
        if isinstance(module, nn.Conv2d | nn.Linear):
            yield path, module, next_path, after if isinstance(after, nn.BatchNorm2d) else None


# ---- whether they fit


@dataclass(frozen=True)
class _Fitted:
    """By the network's names. other_classes: why heads are left out;  strange: what the network has no place for"""

    kept: dict[str, Tensor]
    other_classes: dict[str, str]
    strange: list[str]
    notes: list[str] = field(default_factory=list)


def _last_layer(network: nn.Module) -> str:
    """The path of the layer that gives the logits."""
    return [path for path, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)][-1]


def _outputs(tensors: Mapping[str, Tensor], head: str) -> int:
    weight = tensors.get(f"{head}.weight")
    return 0 if weight is None else weight.shape[0]


def _fit(found: _Converted, state: Mapping[str, Tensor], head: str, path: Path) -> _Fitted:
    """What goes where. Only heads may differ, and in nothing but the count of classes."""
    theirs, ours = _outputs(found.tensors, head), _outputs(state, head)
    background = (theirs, ours) == (1001, 1000)
    fitted = _Fitted({}, {}, [])
    for name, tensor in found.tensors.items():
        if name not in state:
            fitted.strange.append(name)
            continue
        has, wanted = tuple(tensor.shape), tuple(state[name].shape)
        if has == wanted:
            fitted.kept[name] = tensor
        elif has == (theirs, *wanted[1:]) and wanted[0] == ours:
            if background:
                fitted.kept[name] = tensor[1:]
            else:
                fitted.other_classes[name] = f"{theirs} classes there, {ours} here"
        else:
            raise InputError(
                f"{path.name} does not fit: {found.named.get(name, name)} is {has}, the network's {name} is {wanted}. "
                f"Build it with the publisher's width, depth and input"
            )
    if background:
        fitted.notes.append(
            "of 1,001 classes the first, background, is left out; the others are ImageNet's in order"
        )
    elif theirs and theirs != ours:
        fitted.notes.append(
            f"the weights know {theirs:,} classes, the network has {ours:,}: its last layer begins fresh"
        )
    return fitted


def _must_be_whole(
    fitted: _Fitted, missing: list[str], state: Mapping[str, Tensor], found: _Converted, head: str, path: Path
) -> None:
    """InputError unless all but heads is there, and nothing is left of a part that the network has."""
    lacking = [n for n in missing if not n.startswith(f"{head}.") and n not in fitted.other_classes]
    if lacking:
        raise InputError(
            f"{path.name} is of another network: it lacks {len(lacking)} tensors of this one, first {lacking[0]!r}; "
            f"its own names begin with {', '.join(list(found.named.values())[:3])}"
        )
    parts = {name.split(".")[0] for name in state}
    strange = [name for name in fitted.strange if name.split(".")[0] in parts]
    if strange:
        raise InputError(
            f"{path.name} is of another network: {found.named.get(strange[0], strange[0])!r} has no place in this one"
        )


def _built_otherwise(network: nn.Module, known: PublicWeights | None) -> Iterator[str]:
    """A sentence for each argument of the network that would make it compute something else."""
    for argument, value in (known.arguments if known else {}).items():
        has = getattr(network, argument, value)
        if has != value:
            yield f"these weights were made with {argument}={value}, the network has {argument}={has}"


def _labels(path: Path, outputs: int) -> tuple[str, ...]:
    """The lines of labels.txt beside an archive, where they are as many as the outputs (or one more: background)."""
    file = path.parent / "labels.txt"
    if path.name != ARCHIVE or not file.is_file():
        return ()
    lines = tuple(map(printable, file.read_text("utf-8", "replace").splitlines()))
    if len(lines) == outputs:
        return lines
    return lines[1:] if (len(lines), outputs) == (1001, 1000) else ()

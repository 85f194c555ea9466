"""A trained network, on disk and in hand: weights, network, classes, preprocessing, recipe, history.

On disk it is the folder that `hubel train` writes:

    run.toml             written first: what was asked for
    model.safetensors    weights; its metadata (one key, `hubel`) suffices to rebuild, preprocess and name the classes
    history.jsonl        a line per epoch: losses, accuracies, learning rate; no clock times
    timing.jsonl         a line per epoch: seconds and items per second
    predictions.csv, probabilities.npy, evaluations/, report.html     written by `evaluation`

Equal runs are equal bytes: the metadata holds nothing of time, path or host. Nothing is executed on load.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hubel import metrics, stored
from hubel.data import Preprocess
from hubel.data.pictures import printable
from hubel.data.records import Source, Task
from hubel.devices import choose_device
from hubel.errors import ArtifactError, InputError, UnknownName
from hubel.files import read_lines, write_atomically
from hubel.memory import in_pieces
from hubel.progress import Progress

if TYPE_CHECKING:
    from torch import Tensor, nn

    from hubel.data import Dataset
    from hubel.zoo.describe import Layer
    from hubel.zoo.pixels import Pixels

FORMAT = 1
MODEL, SETTINGS, HISTORY, TIMING = "model.safetensors", "run.toml", "history.jsonl", "timing.jsonl"

# Items and numbers per forward pass where nothing is learnt: enough to fill two cores, and maps that fit in memory.
CHUNK, NUMBERS = 500, 8_000_000


@dataclass(frozen=True)
class Network:
    """Which network of the zoo, and with what arguments."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Card:
    """What travels inside model.safetensors beside the weights: all that an answer needs.

    outputs: how many numbers the network gives: the class count, or the targets of a regression
    """

    task: Task
    classes: tuple[str, ...]
    outputs: int
    network: Network
    preprocess: Preprocess
    order: str = "rgb"
    mirror: bool = False

    def to_json(self) -> str:
        """Sorted keys, so that equal runs are equal bytes."""
        stored = {
            "format": FORMAT, "task": self.task, "classes": self.classes, "outputs": self.outputs,
            "network": {"name": self.network.name, "arguments": dict(self.network.arguments)},
            "preprocess": self.preprocess.to_dict(), "order": self.order, "mirror": self.mirror,
        }  # fmt: skip
        return json.dumps(stored, sort_keys=True, ensure_ascii=False)

    @staticmethod
    def from_json(text: str, where: Path) -> Card:
        """Raises ArtifactError where a value is not of its kind, or the format is newer."""
        try:
            said = json.loads(text)
            form = said["format"]
        except (ValueError, KeyError, TypeError, RecursionError) as e:
            raise ArtifactError(
                f"the metadata of {where} is not a run's ({type(e).__name__}: {printable(str(e))[:100]})"
            ) from e
        must_be_readable(form, where)
        told = stored.card(said, where)
        network = Network(told["network"]["name"], told["network"]["arguments"])
        return Card(
            told["task"], told["classes"], told["outputs"], network,
            Preprocess.from_dict(told["preprocess"], where), told["order"], told["mirror"],
        )  # fmt: skip

    def build(self) -> nn.Module:
        """The network, with fresh weights."""
        from hubel import zoo

        arguments = {k: tuple(v) if isinstance(v, list) else v for k, v in self.network.arguments.items()}
        return zoo.create(self.network.name, self.outputs, self.preprocess.shape, **arguments)

    def wrap(self, network: nn.Module) -> Pixels:
        """The network as everybody uses it: from pixels 0..1 (or raw numbers) to logits."""
        from hubel.zoo.pixels import Pixels

        return Pixels(
            network, self.preprocess.mean, self.preprocess.std, self.order,
            picture=self.preprocess.kind == "picture", mirror=self.mirror,
        )  # fmt: skip


@dataclass(frozen=True)
class Prediction:
    """What a run answers about one item. top: (class, probability), best first. values: of a regression."""

    item: str
    answer: str
    p: float
    top: tuple[tuple[str, float], ...]
    values: tuple[float, ...] = ()


class Answering(ABC):
    """What answers by its card, whatever computes its logits: a Run, or a file of onnx_model."""

    path: Path
    card: Card

    def __repr__(self) -> str:
        what = f"{self.network.name}, {self.task}, {len(self.classes)} classes"
        return f"{type(self).__name__}({str(self.path)!r}, {what})"

    @abstractmethod
    def logits(self, inputs: np.ndarray, *, progress: Progress | None = None) -> np.ndarray:
        """(N, C, H, W) uint8 pixels or (N, D) float32 numbers -> (N, K) float32 logits."""

    @property
    def network(self) -> Network:
        return self.card.network

    @property
    def task(self) -> Task:
        return self.card.task

    @property
    def classes(self) -> tuple[str, ...]:
        return self.card.classes

    @property
    def preprocess(self) -> Preprocess:
        return self.card.preprocess

    def probabilities(self, inputs: np.ndarray) -> np.ndarray:
        """(N, K) float32, each row sums to 1."""
        return metrics.softmax(self.logits(inputs))

    def predict(self, items: Any, *, top: int = 5) -> list[Prediction]:
        """Answers for pictures: a path, bytes, PIL image or array, or a list of these; for numbers: rows."""
        many = isinstance(items, Sequence | np.ndarray) and not isinstance(items, str | bytes)
        if isinstance(items, np.ndarray):
            many = items.ndim == len(self.preprocess.shape) + 1
        listed = list(items) if many else [items]
        if not listed:
            return []
        inputs = np.stack([self.prepared(item) for item in listed])
        labels = [str(item) if isinstance(item, str | Path) else f"{i}" for i, item in enumerate(listed)]
        return self.answers(labels, self.logits(inputs), top=top)

    def pixels(self, item: Any) -> np.ndarray:
        """What `model` takes of one item (see predict): (1, C, H, W) float32 in 0..1, or (1, D)."""
        return floats(self.prepared(item)[None])

    def prepared(self, item: Any) -> np.ndarray:
        """One item (see predict) as logits and features take many: (C, H, W) uint8, or (D,) float32."""
        return (
            self.preprocess.picture(item)
            if self.preprocess.kind == "picture"
            else self.preprocess.vector(item)
        )

    def answers(self, items: Sequence[str], logits: np.ndarray, *, top: int = 5) -> list[Prediction]:
        """Predictions from (N, K) logits."""
        if self.task == "regress":
            return [
                Prediction(item, ", ".join(f"{v:.6g}" for v in row), float("nan"), (), tuple(map(float, row)))
                for item, row in zip(items, logits, strict=True)
            ]
        made = []
        for item, row in zip(items, metrics.softmax(logits), strict=True):
            best = np.argsort(-row, kind="stable")[:top]
            ranked = tuple((self.classes[k], float(row[k])) for k in best)
            made.append(Prediction(item, ranked[0][0], ranked[0][1], ranked))
        return made


class Run(Answering):
    """A trained network in hand.

    model: from (N, C, H, W) pixels in 0..1, or (N, D) numbers, to (N, K) logits; in eval mode
    """

    def __init__(self, path: Path, card: Card, model: Pixels, settings: Mapping[str, Any]) -> None:
        self.path, self.card, self.model, self.settings = path, card, model, settings
        self.model.eval()

    @property
    def recipe(self) -> dict[str, Any]:
        return dict(self.settings.get("recipe", {}))

    @property
    def set_by_user(self) -> tuple[str, ...]:
        """Names of the settings that the user chose; the others are defaults."""
        return tuple(self.settings.get("set_by_user", ()))

    @property
    def data(self) -> dict[str, Any]:
        return dict(self.settings.get("data", {}))

    @property
    def versions(self) -> dict[str, str]:
        return dict(self.settings.get("versions", {}))

    @property
    def seed(self) -> int:
        return int(self.recipe.get("seed", 0))

    @property
    def history(self) -> list[dict[str, Any]]:
        return stored.rows(read_lines(self.path / HISTORY), self.path / HISTORY, ("epoch",))

    @property
    def timing(self) -> list[dict[str, Any]]:
        return stored.rows(
            read_lines(self.path / TIMING), self.path / TIMING, ("seconds", "images_per_second")
        )

    @cached_property
    def _layers(self) -> tuple[Layer, ...]:
        from hubel.zoo.describe import layers

        return layers(self.model.network, self.preprocess.shape)

    def layers(self) -> tuple[Layer, ...]:
        """The network as a table."""
        return self._layers

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.model.parameters())

    def dataset(
        self, location: str | Path | Source | None = None, progress: Progress | None = None
    ) -> Dataset:
        """The run's own data, split as it was trained, or another place's, preprocessed alike."""
        from hubel.data import Dataset, open_source

        place = location if location is not None else self.data.get("location")
        if place is None:
            raise InputError(f"{self.path} does not say what data it was trained on; name the data")
        source = open_source(place, task=self.task)
        if source.kind != self.preprocess.kind:
            raise InputError(
                f"{source.name} holds {source.kind}s, but the run {self.path} was trained on {self.preprocess.kind}s: "
                "name data of that kind"
            )
        return Dataset(
            source, self.preprocess, seed=self.seed, val=self.data.get("val_share"), progress=progress
        )

    def logits(self, inputs: np.ndarray, *, progress: Progress | None = None) -> np.ndarray:
        """(N, C, H, W) uint8 pixels or (N, D) float32 numbers -> (N, K) float32 logits."""
        return self._through(self.model, inputs, progress)

    def features(
        self, inputs: np.ndarray, layer: str | None = None, *, progress: Progress | None = None
    ) -> np.ndarray:
        """What a layer makes of `inputs` (see logits): (N, C, H, W) or (N, D) float32, of the pictures as they are.

        layer: its name in layers(); None for the one before the head
        """
        from hubel.zoo.parts import Parts

        parts = Parts(self.model.network)
        layer = parts.before_head() if layer is None else layer
        known = [row.name for row in self.layers() if not row.idle]
        if layer not in known:
            raise UnknownName("layer", layer, known)
        front = parts.until(layer).eval()
        return self._through(lambda x: front(self.model.normalized(x)), inputs, progress)

    def _through(
        self, part: Callable[[Tensor], Tensor], inputs: np.ndarray, progress: Progress | None
    ) -> np.ndarray:
        """part: from (n, C, H, W) pixels in 0..1 or (n, D) numbers to (n, ...)   ->   (N, ...) float32"""
        import torch

        device = next((p.device for p in self.model.parameters()), torch.device("cpu"))
        found: np.ndarray | None = None
        self.model.eval()

        def pass_through(start: int, stop: int) -> None:
            nonlocal found
            chunk = np.array(inputs[start:stop])  # a copy: a cache on disk is read-only
            x = torch.from_numpy(chunk).to(device)
            x = x.float().div_(255) if chunk.dtype == np.uint8 else x.float()
            if x.dim() == 4:
                x = x.contiguous(memory_format=torch.channels_last)
            y = part(x).float().cpu().numpy()
            found = np.empty((len(inputs), *y.shape[1:]), np.float32) if found is None else found
            found[start:stop] = y
            if progress:
                progress(stop, len(inputs))

        with torch.inference_mode():
            in_pieces(len(inputs), at_once(self.preprocess.shape), pass_through)
        return np.empty((0, self.card.outputs), np.float32) if found is None else found


def load(path: str | Path, *, device: str = "cpu") -> Run:
    """The run in a folder, or in a model.safetensors alone. device: where it computes; auto = the fastest there is

    Raises InputError if there is none, ArtifactError if it is damaged or from a newer version.
    """
    reuse_memory()
    import torch
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if path.suffix.lower() == ".onnx":
        raise InputError(
            f"{path} is an ONNX file, which only answers (`hubel predict {path} PICTURES…`): name the run that it was "
            "exported from"
        )
    folder, file = (path, path / MODEL) if path.is_dir() else (path.parent, path)
    if not file.is_file():
        if (folder / SETTINGS).is_file() and path.is_dir():
            raise ArtifactError(
                f"the run {path} has no {MODEL}: its training ended before the first epoch was done"
            )
        raise InputError(
            f"no run at {path}: {file} is not there. `hubel train DATA` makes one, in the folder runs/"
        )
    try:
        with safe_open(file, framework="pt") as opened:
            card = Card.from_json((opened.metadata() or {}).get("hubel", ""), file)
            weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError, ValueError) as e:
        raise ArtifactError(f"{file} is not a model that can be read ({printable(str(e))})") from e
    try:
        with stored.no_larger_than({name: tuple(t.shape) for name, t in weights.items()}, file):
            network = card.build()
        network.load_state_dict(weights, strict=True)
    except ArtifactError:
        raise
    except Exception as e:  # arguments that no network was made for: whatever its code then meets
        raise ArtifactError(
            f"the weights in {file} do not fit the network {card.network.name!r} that it names: {e}"
        ) from e
    stored.check_reach(network, file)
    model = card.wrap(network).to(choose_device(device)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Run(folder, card, model, read_settings(folder) if path.is_dir() else _settings_beside(folder))


def floats(inputs: np.ndarray) -> np.ndarray:
    """Pixels 0..255 as float32 in 0..1; numbers as float32."""
    return inputs.astype(np.float32) / np.float32(255 if inputs.dtype == np.uint8 else 1)


def at_once(shape: Sequence[int], most: int = CHUNK) -> int:
    """How many items of (C, H, W) or (D,) go through a network together where nothing is learnt."""
    return max(1, min(most, NUMBERS // math.prod(shape)))


def save_model(folder: Path, card: Card, network: nn.Module) -> None:
    """Write model.safetensors: float32 weights under the zoo's key names, the card beside them."""
    from safetensors.torch import save

    tensors = {name: t.detach().cpu().contiguous() for name, t in network.state_dict().items()}
    write_atomically(folder / MODEL, save(tensors, metadata={"hubel": card.to_json()}))


def read_settings(folder: Path) -> dict[str, Any]:
    """run.toml as a dict; empty where a model came alone."""
    file = folder / SETTINGS
    if not file.is_file():
        return {}
    said = stored.toml(
        file, lambda why: ArtifactError(f"{why}. The model itself can still be loaded: name its {MODEL}")
    )
    must_be_readable(said.get("format", FORMAT), file)
    return stored.settings(said, file)


def must_be_readable(form: Any, where: Path) -> None:
    """Raises ArtifactError for a format that this version does not read. form: as `where` has it"""
    if type(form) is not int or form < 1:
        raise ArtifactError(f"{where} is damaged: its format is {form!r}, and formats are numbered from 1")
    if form > FORMAT:
        raise ArtifactError(
            f"{where} has format {form}, this version of hubel reads up to {FORMAT}: upgrade hubel"
        )


def _settings_beside(folder: Path) -> dict[str, Any]:
    """Of a model that was named by itself: worth having, and not needed."""
    with contextlib.suppress(ArtifactError):
        return read_settings(folder)
    return {}


def write_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Write run.toml. Nothing of torch is needed for that, so that it stands before anything slow begins."""
    import tomli_w

    write_atomically(folder / SETTINGS, tomli_w.dumps(dict(settings)))


def reuse_memory() -> None:
    """Let freed memory be used again instead of going back to the system at once. Linux with glibc only; else nothing.

    A step of training frees and takes the same hundreds of megabytes. By default glibc returns every large block to the
    kernel and asks for it anew, and the kernel clears each page again: on two cores a step of a small network then
    takes two to eight times as long. Here large blocks come from the heap, which keeps what it has; one arena, so that
    all threads share it. The price: the process stays as large as it once was. Whoever sets MALLOC_ variables has
    decided, and is left alone.
    """
    if not sys.platform.startswith("linux") or any(name.startswith("MALLOC_") for name in os.environ):
        return
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        # Numbers from malloc.h: M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD (grow by 64 MB), M_ARENA_MAX.
        for option, value in ((-4, 0), (-1, 2**31 - 1), (-2, 64 << 20), (-8, 1)):
            mallopt(option, value)


def versions(
    packages: Iterable[str] = ("hubel", "torch", "numpy", "pillow", "safetensors"),
) -> dict[str, str]:
    """Versions as installed, without importing anything."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for package in packages:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found

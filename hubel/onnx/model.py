"""A file that `hubel export` wrote, answering through ONNX Runtime: as its run does, and without PyTorch."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hubel.data.pictures import printable
from hubel.errors import ArtifactError, InputError, MissingExtra
from hubel.onnx import trusted
from hubel.progress import Progress
from hubel.run import Answering, Card, at_once, floats

CARD, VERSIONS = "hubel", "versions"  # keys of the file's metadata: the run's card, and what wrote it
QUIET = 4  # only what ends the process: errors are raised, and it would print them with names of the file as they are


class OnnxModel(Answering):
    """The network of an ONNX file. versions: of what wrote it"""

    def __init__(self, path: Path, card: Card, session: Any, versions: Mapping[str, str]) -> None:
        self.path, self.card, self.session, self.versions = path, card, session, versions
        self.given = session.get_inputs()[0].name

    def logits(self, inputs: np.ndarray, *, progress: Progress | None = None) -> np.ndarray:
        """(N, C, H, W) uint8 pixels or (N, D) float32 numbers -> (N, K) float32 logits."""
        found = np.empty((len(inputs), self.card.outputs), np.float32)
        step = at_once(self.preprocess.shape)
        for start in range(0, len(inputs), step):
            chunk = floats(inputs[start : start + step])
            try:
                (answer,) = self.session.run(None, {self.given: chunk})
            except Exception as e:  # ONNX Runtime's errors have no base of their own
                raise ArtifactError(f"ONNX Runtime cannot run {self.path} ({printable(str(e))[:200]})") from e
            if answer.shape != (len(chunk), self.card.outputs):
                raise ArtifactError(
                    f"{self.path} is damaged: it answers {len(chunk)} items with {answer.shape}, where its card says "
                    f"{(len(chunk), self.card.outputs)}. Export the run again"
                )
            found[start : start + step] = answer
            if progress:
                progress(min(start + step, len(inputs)), len(inputs))
        return found


def is_onnx(path: str | Path) -> bool:
    """By the ending of its name."""
    return Path(path).suffix.lower() == ".onnx"


def load(path: str | Path) -> OnnxModel:
    """The network in a file of `hubel export`.

    Raises InputError if there is none, ArtifactError if it is damaged or of another program.
    """
    path = Path(path)
    try:
        return opened(path.read_bytes(), path)
    except OSError as e:
        raise InputError(f"{path}: {e.strerror}. `hubel export RUN -o {path}` writes one") from e


def opened(content: bytes, path: Path, threads: int = 0, *, blocked: bool = True) -> OnnxModel:
    """The same, of a file's bytes. path: how messages call it   threads: 0 as ONNX Runtime likes

    blocked: whether maps may lie in blocks of channels (NCHWc), as ONNX Runtime likes; not always faster
    """
    try:
        import onnxruntime
    except ImportError as e:
        raise MissingExtra("onnxruntime", "onnx", "answering by an ONNX file") from e
    trusted.check(content, path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = QUIET, threads
    if not blocked:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        told = session.get_modelmeta().custom_metadata_map
    except Exception as e:  # ONNX Runtime's errors have no base of their own
        raise ArtifactError(
            f"{path} is not an ONNX file that ONNX Runtime can run ({printable(str(e))[:200]})"
        ) from e
    if CARD not in told:
        raise ArtifactError(
            f"{path} does not say how pictures are prepared and what the classes are called: it was not written by "
            "`hubel export`"
        )
    card = Card.from_json(told[CARD], path)
    takes = session.get_inputs()[0].shape[1:]
    if list(takes) != list(card.preprocess.shape):
        raise ArtifactError(
            f"{path} is damaged: it takes {tuple(takes)}, where its card says {card.preprocess.shape}. "
            "Export the run again"
        )
    return OnnxModel(path, card, session, _versions(told.get(VERSIONS, "{}")))


def _versions(text: str) -> dict[str, str]:
    """What wrote the file; nothing where that cannot be read, since no answer depends on it."""
    with contextlib.suppress(ValueError, RecursionError):
        said = json.loads(text)
        if isinstance(said, dict):
            return {str(name)[:100]: str(version)[:100] for name, version in said.items()}
    return {}

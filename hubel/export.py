"""A run as one ONNX file, which any runtime can answer with: from pixels 0..1 to logits.

Normalisation, the order of the channels and the mean over the mirror image are inside; the batch axis is open. The
metadata hold the run's card, so that `hubel predict` prepares pictures alike and names the classes. Equal runs are
equal bytes. A file is written only after ONNX Runtime gave the logits that PyTorch gives.
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hubel import __version__
from hubel.errors import ArtifactError, HubelError, InputError, MissingExtra
from hubel.files import write_atomically
from hubel.run import Answering, Run, versions

# Operator sets: the first has layer normalisation, and the older, the more runtimes know it; the last is the newest
# that the rules are tested with.
OPSET, NEWEST = 17, 26
TOLERANCE = 1e-4  # of the largest logit: both programs add up in float32, in other orders
LEAST = 1e-6  # smaller logits than this are compared as if they were this
LARGEST = 2**31 - 1  # bytes of one protobuf message
TOGETHER = 3  # pictures of the largest batch that is compared


@dataclass(frozen=True)
class Exported:
    """What was written.

    input, output: names, and shapes with N for the batch   difference: the largest between both programs' logits
    largest: of PyTorch's logits, in magnitude   compared: what the logits were of   note: why it was not real pictures
    """

    file: str
    bytes: int
    opset: int
    input: str
    input_shape: tuple[int | str, ...]
    output: str
    output_shape: tuple[int | str, ...]
    difference: float
    largest: float
    compared: str
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Samples:
    """Items on which two programs are compared. what: they are   why: they are no real ones, "" where they are"""

    inputs: np.ndarray
    what: str
    why: str = ""


def export(run: Run, out: str | Path, *, opset: int = OPSET) -> Exported:
    """Write `run` to the new file `out`.

    Raises InputError where `out` is taken or a step has no rule; ArtifactError where ONNX Runtime gives other logits:
    then there is no file.
    """
    from hubel.onnx.model import opened

    out = Path(out)
    _check(run, out, opset)
    content = written(run, opset)
    given = samples(run)
    difference, largest = differences(run, opened(content, out), given.inputs)
    if not difference <= TOLERANCE * max(largest, LEAST):
        raise ArtifactError(
            f"ONNX Runtime's logits differ from PyTorch's by {difference:.2g}, where the largest is {largest:.2g} "
            f"(on {given.what}): this is a mistake of ours, and {out} was not written"
        )
    write_atomically(out, content)
    takes, gives = _names(run)
    return Exported(
        str(out), len(content), opset, takes, ("N", *run.preprocess.shape), gives, ("N", run.card.outputs),
        difference, largest, given.what, given.why,
    )  # fmt: skip


def written(run: Run, opset: int = OPSET) -> bytes:
    """The file's bytes, checked by ONNX's own checker."""
    from onnx import StringStringEntryProto, checker, helper

    from hubel.onnx.model import CARD, VERSIONS
    from hubel.onnx.writer import graph_of

    graph = graph_of(run.model.eval(), run.preprocess.shape, *_names(run))
    ids = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=ids, ir_version=helper.find_min_ir_version_for(ids))
    model.producer_name, model.producer_version = "hubel", __version__
    used = {**versions(("torch", "onnx")), "hubel": __version__}
    told = {CARD: run.card.to_json(), VERSIONS: json.dumps(used, sort_keys=True)}
    model.metadata_props.extend(StringStringEntryProto(key=key, value=value) for key, value in told.items())
    checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def differences(run: Run, other: Answering, inputs: np.ndarray) -> tuple[float, float]:
    """The largest difference of two programs' logits, of one item and of all, and the largest logit of the run."""
    wanted = run.logits(inputs)
    found = [other.logits(inputs), *(other.logits(inputs[n : n + 1]) for n in range(len(inputs)))]
    apart = [np.abs(found[0] - wanted), np.abs(np.concatenate(found[1:]) - wanted)]
    return float(np.max(apart)), float(np.abs(wanted).max())


def _names(run: Run) -> tuple[str, str]:
    """What goes in, and what comes out."""
    return (
        "pixels" if run.preprocess.kind == "picture" else "numbers",
        "logits" if run.task == "classify" else "values",
    )


def samples(run: Run, most: int = TOGETHER) -> Samples:
    """A few items of the run's test part; noise where there is none."""
    why = "public weights come without data"
    if run.data:
        try:
            data = run.dataset()
            found = data.some("test", most)
            if len(found):
                return Samples(
                    np.resize(found, (most, *found.shape[1:])), f"test {data.kind}s of {data.name}"
                )
            why = f"{data.name} has no test part that can be read"
        except HubelError as e:
            why = f"the run's data cannot be opened ({e})"
    drawn, shape = np.random.default_rng(0), (most, *run.preprocess.shape)
    if run.preprocess.kind == "picture":
        return Samples(drawn.integers(0, 256, shape, np.uint8), "noise", why)
    return Samples(drawn.standard_normal(shape, np.float32), "noise", why)


def _check(run: Run, out: Path, opset: int) -> None:
    for package in ("onnx", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtra(package, "onnx", "export to ONNX")
    if not OPSET <= opset <= NEWEST:
        raise InputError(f"--opset must be {OPSET} to {NEWEST}, got {opset}")
    if out.suffix.lower() != ".onnx":
        raise InputError(f"the file must end in .onnx, as by that it is known again; got {out}")
    if out.exists():
        raise InputError(f"{out} exists: name another file with -o, or move it away. Nothing was changed")
    size = 4 * run.parameters
    if size > LARGEST:
        raise InputError(f"the weights are {size:,} bytes, and one ONNX file holds at most {LARGEST:,}")

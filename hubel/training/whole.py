"""A whole training in one call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubel.data import Source
from hubel.errors import HubelError
from hubel.run import Progress, Run, load
from hubel.training.checkpoint import unfinished
from hubel.training.planning import prepare
from hubel.training.resuming import resumed

if TYPE_CHECKING:
    from hubel.training.loop import Epoch


def train(
    data: str | Path | Source | None = None, *, resume: str | Path | None = None, progress: Progress | None = None,
    on_epoch: Callable[[Epoch], None] | None = None, **options: Any,
) -> Run:  # fmt: skip
    """Train a network and return the run.

    data: a name (digits, the default; mnist, fashion-mnist, cifar10, points, sum-below-one) or a path
    network: a name of the zoo, or a network in one line, as "conv8x3 relu pool2 fc"; chosen by the data where None
    arguments: the network's own, as {"hidden": (4,)}
    out: the run folder, exactly; runs/DATA-NETWORK-TIME where None
    preset: "fast" or "accurate", where the network has it
    recipe: a TOML file or a mapping of settings    task: classify or regress
    resize: letterbox, pad, stretch, crop; auto    input_size: (height, width) of the pictures the network receives
    normalize: subtract the mean and divide by the deviation of the train part
    val: share or count of the items kept for validation
    feedback: where `hubel serve --feedback` keeps people's corrections: a folder or the URL of a database
    weights, from_run: begin with public weights (a name, file or folder), or with those of a run; see training.transfer
    checkpoint_every: "30s", "50steps" or "epoch"; time_limit: "10m", after which it is saved and StoppedEarly is raised
    resume: go on with the training in this folder, exactly; nothing else is needed then. force: although data, settings
    or versions are others now
    settings: any field of Recipe, as epochs=3, lr=0.01. What is set here wins over every default.

    Raises InputError for what the caller can mend; Diverged, Interrupted and StoppedEarly after saving what was learnt.
    """
    if resume is not None and not unfinished(Path(resume)):
        return load(resume)
    job = (
        prepare("digits" if data is None else data, **options)
        if resume is None
        else resumed(resume, data, **options)
    )
    try:
        job.begin()
        for epoch in job.epochs(progress):
            if on_epoch:
                on_epoch(epoch)
    except (HubelError, KeyboardInterrupt):
        job.abandon()
        raise
    return job.run()

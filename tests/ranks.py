"""Several processes that train together, started by a test: each runs a piece of code, the first one's result comes back."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import Any

# What each process runs: a training by prepare(), and the loss of every step of it as JSON.
LOSSES = """
import json, sys
from hubel.training import prepare
settings = json.loads(sys.argv[1])
job = prepare(**settings)
job.begin()
losses, add = [], type(job.trainer.tally).add
def noted(self, loss, right, size):
    losses.append(float(loss))
    add(self, loss, right, size)
type(job.trainer.tally).add = noted
rows = [epoch.row() for epoch in job.epochs()]
if job.ranks.first:
    state = {k: v.double().sum().item() for k, v in job.trainer.weights().items()}
    print(json.dumps({"losses": losses, "rows": rows, "weights": state}))
"""


def together(processes: int, *, apart: bool = False, **settings: Any) -> dict[str, Any]:
    """Train in so many processes -> losses of all steps, lines of the curves, sums of the weights.

    apart: as if each had a machine of its own
    """
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    children = []
    for rank in range(processes):
        env = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        if processes > 1:
            env |= {"RANK": str(rank), "WORLD_SIZE": str(processes)}
            env |= {"LOCAL_WORLD_SIZE": "1" if apart else str(processes)}
        command = [sys.executable, "-c", LOSSES, json.dumps(settings)]
        children.append(
            subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
    said = [child.communicate(timeout=300) for child in children]
    for (_, err), child in zip(said, children, strict=True):
        assert child.returncode == 0, err
    return json.loads(said[0][0])

"""Train the lectures' Keras program and `hubel train mnist` in turn, as whole processes, and print the ratio.

    pip install -c constraints.txt ".[bench]"
    HUBEL_DATA=... python benchmarks/lecture_race.py

The Keras program is the lectures': conv 20@5x5 unpadded, pool, conv 50@5x5 'same', pool, 500, 10; RMSprop, batch 32,
2 epochs on the 60,000 pictures. Each round runs both, one after the other, on the same machine; wall time is the
whole process, from start to exit with the test accuracy known. --keras-python: the interpreter that has tensorflow,
where it is not this one.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import document

KERAS = """
import gzip, json, os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
folder, seed = sys.argv[1], int(sys.argv[2])

def read(name, skip, shape):
    with gzip.open(os.path.join(folder, name)) as f:
        return np.frombuffer(f.read(), np.uint8, offset=skip).reshape(shape)

x = read("train-images-idx3-ubyte.gz", 16, (-1, 28, 28, 1)).astype("float32") / 255
y = read("train-labels-idx1-ubyte.gz", 8, (-1,))
x_test = read("t10k-images-idx3-ubyte.gz", 16, (-1, 28, 28, 1)).astype("float32") / 255
y_test = read("t10k-labels-idx1-ubyte.gz", 8, (-1,))

import keras
from keras import layers
keras.utils.set_random_seed(seed)
model = keras.Sequential([
    keras.Input((28, 28, 1)),
    layers.Conv2D(20, 5, activation="relu"), layers.MaxPooling2D(2),
    layers.Conv2D(50, 5, padding="same", activation="relu"), layers.MaxPooling2D(2),
    layers.Flatten(), layers.Dense(500, activation="relu"), layers.Dense(10, activation="softmax"),
])
model.compile(loss="categorical_crossentropy", optimizer="rmsprop", metrics=["accuracy"])
model.fit(x, keras.utils.to_categorical(y, 10), batch_size=32, epochs=2, verbose=0)
loss, accuracy = model.evaluate(x_test, keras.utils.to_categorical(y_test, 10), verbose=0)
import tensorflow
print(json.dumps({"accuracy": accuracy, "keras": f"keras {keras.__version__}, tensorflow {tensorflow.__version__}"}))
"""


class Round(NamedTuple):
    """Test accuracies in 0..1 and seconds of the whole processes."""

    keras_accuracy: float
    keras_s: float
    hubel_accuracy: float
    hubel_s: float
    versions: str


def timed(command: list[str]) -> tuple[float, dict]:
    """Seconds of the whole process, and the JSON that it printed last."""
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:4])} … failed ({done.returncode}):\n{done.stderr[-2000:]}")
    return seconds, json.loads(done.stdout[done.stdout.index("{") :])


def main() -> None:
    parser = document.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keras-python", default=sys.executable)
    parser.add_argument("--data", default=os.environ.get("HUBEL_DATA"), help="the folder that holds mnist/")
    args = parser.parse_args()
    if not args.data or not (Path(args.data) / "mnist").is_dir():
        raise SystemExit("--data or HUBEL_DATA must name a folder that holds mnist/ (the four idx files)")
    os.environ["HUBEL_DATA"] = args.data
    rows = [race(seed, str(Path(args.data) / "mnist"), args.keras_python) for seed in range(args.rounds)]
    document.tell(__file__, told(rows), args.out)


def race(seed: int, mnist: str, keras_python: str) -> Round:
    """Both programs once, one after the other."""
    keras_s, keras = timed([keras_python, "-c", KERAS, mnist, str(seed)])
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "hubel", "train", "mnist", "--preset", "fast"]
        hubel_s, ours = timed([*command, "--seed", str(seed), "--json", "--out", f"{folder}/run"])
    done = Round(keras["accuracy"], keras_s, ours["accuracy"], hubel_s, keras["keras"])
    print(
        f"round {seed + 1} of both: keras {keras_s:.1f} s, hubel {hubel_s:.1f} s", file=sys.stderr, flush=True
    )
    return done


def told(rows: list[Round]) -> list[str]:
    """A Markdown table with a row per round, and the mean ratio."""
    lines = [
        "## The lectures' Keras program against `hubel train mnist --preset fast`",
        "",
        "| round | Keras | | hubel | | ratio of whole-process times |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for n, r in enumerate(rows, 1):
        lines.append(
            f"| {n} | {100 * r.keras_accuracy:.2f} % | {r.keras_s:.1f} s "
            f"| {100 * r.hubel_accuracy:.2f} % | {r.hubel_s:.1f} s | {r.keras_s / r.hubel_s:.2f} |"
        )
    ratio = statistics.mean(r.keras_s / r.hubel_s for r in rows)
    at_least = sum(r.hubel_accuracy >= r.keras_accuracy for r in rows)
    lines += [
        "",
        f"Mean ratio {ratio:.2f} (n = {len(rows)}, seeds 0 to {len(rows) - 1}); test accuracy at least Keras's in "
        f"{at_least} of {len(rows)} rounds. {document.footing(__file__, ('hubel', 'torch'), rows[0].versions)}",
    ]
    return lines


if __name__ == "__main__":
    main()

"""Train the lectures' Keras program and `hubel train mnist` in turn, as whole processes, and print the ratio.

    pip install -c constraints.txt ".[bench]"
    HUBEL_DATA=... python benchmarks/lecture_race.py

The Keras program is the lectures': conv 20@5x5 unpadded, pool, conv 50@5x5 'same', pool, 500, 10; RMSprop, batch 32,
2 epochs on the 60,000 pictures. Each round runs both, one after the other, on the same machine; wall time is the
whole process, from start to exit with the test accuracy known. --keras-python: the interpreter that has tensorflow,
where it is not this one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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
print(json.dumps({"accuracy": accuracy, "parameters": model.count_params()}))
"""


def timed(command: list[str]) -> tuple[float, dict]:
    """Seconds of the whole process, and the JSON that it printed last."""
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:4])} … failed ({done.returncode}):\n{done.stderr[-2000:]}")
    return seconds, json.loads(done.stdout[done.stdout.index("{") :])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keras-python", default=sys.executable)
    parser.add_argument("--data", default=os.environ.get("HUBEL_DATA"), help="the folder that holds mnist/")
    args = parser.parse_args()
    if not args.data or not (Path(args.data) / "mnist").is_dir():
        raise SystemExit("--data or HUBEL_DATA must name a folder that holds mnist/ (the four idx files)")
    mnist = str(Path(args.data) / "mnist")
    os.environ["HUBEL_DATA"] = args.data
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    )
    rows = []
    for seed in range(args.rounds):
        keras_s, keras = timed([args.keras_python, "-c", KERAS, mnist, str(seed)])
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "hubel", "train", "mnist", "--preset", "fast"]
            hubel_s, ours = timed([*command, "--seed", str(seed), "--json", "--out", f"{folder}/run"])
        rows.append((keras["accuracy"], keras_s, ours["accuracy"], hubel_s))
        print(
            f"round {seed + 1}: keras {100 * keras['accuracy']:.2f} % in {keras_s:.1f} s   "
            f"hubel --preset fast {100 * ours['accuracy']:.2f} % in {hubel_s:.1f} s   ratio {keras_s / hubel_s:.2f}",
            flush=True,
        )
    k_acc, k_s, h_acc, h_s = (statistics.mean(column) for column in zip(*rows, strict=True))
    better = all(ours >= theirs for theirs, _, ours, _ in rows)
    print(f"keras  {100 * k_acc:.2f} %  {k_s:.1f} s\nhubel  {100 * h_acc:.2f} %  {h_s:.1f} s")
    verdict = "at least" if better else "NOT always at least"
    print(f"ratio of whole-process times {k_s / h_s:.2f}; hubel's accuracy is {verdict} Keras's")


if __name__ == "__main__":
    main()

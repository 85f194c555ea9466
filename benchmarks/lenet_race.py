"""Train the lectures' Keras network on MNIST by three programs: Keras, a plain PyTorch loop, and `hubel train`.

    pip install -c constraints.txt ".[bench]"
    HUBEL_DATA=... python benchmarks/lenet_race.py [--rounds 3] [--keras-python PYTHON] [--out docs/measured.md]

All train `lenet-keras` with RMSprop at 0.001, 32 pictures a step, two epochs, and are timed from the first step to
the last: no start, no reading, no test. Keras: `fit` on arrays in memory. PyTorch: the loop of its tutorials, a
TensorDataset and a DataLoader, the same network. Hubel: `hubel train mnist --network lenet-keras`, in float32 and in
bfloat16, on 60,000 pictures (`--val 0`) as the others. Test accuracies are of the whole test part.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

import document
from lecture_race import KERAS, timed

from hubel.devices import native_bf16

FITTED = "model.fit(x, keras.utils.to_categorical(y, 10), batch_size=32, epochs=2, verbose=0)"
KERAS_TIMED = KERAS.replace(
    FITTED,
    f"import time\nwide = keras.utils.to_categorical(y, 10)\nbegan = time.perf_counter()\n"
    f"{FITTED.replace('keras.utils.to_categorical(y, 10)', 'wide')}\nseconds = time.perf_counter() - began",
).replace('"accuracy": accuracy', '"accuracy": accuracy, "seconds": seconds')

TORCH = """
import json, sys, time
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from hubel.data import Dataset, Preprocess, open_source
from hubel import zoo

torch.manual_seed(int(sys.argv[1]))
source = open_source("mnist")
data = Dataset(source, Preprocess.to_fit("picture", source.shape, source.shape, "auto"), val=0)
def tensors(part):
    return torch.from_numpy(part.inputs.copy()).float() / 255, torch.from_numpy(part.targets.copy())
loader = DataLoader(TensorDataset(*tensors(data.train)), batch_size=32, shuffle=True)
x_test, y_test = tensors(data.test)
model = zoo.create("lenet-keras", 10, (1, 28, 28))
optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3, alpha=0.9)
began = time.perf_counter()
for epoch in range(2):
    model.train()
    for x, y in loader:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
seconds = time.perf_counter() - began
model.eval()
with torch.inference_mode():
    right = sum(int((model(x).argmax(1) == y).sum()) for x, y in zip(x_test.split(500), y_test.split(500)))
print(json.dumps({"seconds": seconds, "accuracy": right / len(y_test)}))
"""


def ours(seed: int, precision: str) -> dict[str, float]:
    """Seconds of learning as the run notes them, and the test accuracy."""
    with tempfile.TemporaryDirectory(prefix="hubel-race-") as folder:
        command = [sys.executable, "-m", "hubel", "train", "mnist", "--network", "lenet-keras", "--val", "0"]
        _, found = timed(
            [*command, "--precision", precision, "--seed", str(seed), "--json", "--out", f"{folder}/run"]
        )
        lines = Path(folder, "run", "timing.jsonl").read_text().splitlines()
    return {"seconds": sum(json.loads(line)["seconds"] for line in lines), "accuracy": found["accuracy"]}


def main() -> None:
    parser = document.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keras-python", default=sys.executable)
    args = parser.parse_args()
    mnist = Path(os.environ.get("HUBEL_DATA", "")) / "mnist"
    if not mnist.is_dir():
        raise SystemExit("HUBEL_DATA must name a folder that holds mnist/ (the four idx files)")
    precisions = ("bf16", "fp32") if native_bf16("cpu") else ("fp32",)
    rows, versions = [], ""
    for seed in range(args.rounds):
        _, keras = timed([args.keras_python, "-c", KERAS_TIMED, str(mnist), str(seed)])
        versions = keras.pop("keras")
        row = {"Keras": keras, "PyTorch": timed([sys.executable, "-c", TORCH, str(seed)])[1]}
        row |= {precision: ours(seed, precision) for precision in precisions}
        rows.append(row)
        print(
            f"round {seed + 1}: " + ", ".join(f"{n} {r['seconds']:.1f} s" for n, r in row.items()),
            file=sys.stderr,
        )
    document.tell(__file__, told(rows, precisions, versions), args.out)


def told(rows: list[dict[str, dict[str, float]]], precisions: tuple[str, ...], versions: str) -> list[str]:
    def mean(name: str, what: str) -> float:
        return statistics.mean(row[name][what] for row in rows)

    def ratio(name: str, over: str) -> float:
        return statistics.median(row[name]["seconds"] / row[over]["seconds"] for row in rows)

    asked = {"bf16": (2.0, 2.5), "fp32": (1.2, 1.5)}
    lines = [
        "## The lectures' network, trained by Keras, by a plain PyTorch loop and by hubel",
        "",
        "| program | seconds for 2 epochs | test accuracy | Keras ÷ it (asked) | PyTorch ÷ it (asked) | met |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {name} | {mean(name, 'seconds'):.1f} | {100 * mean(name, 'accuracy'):.2f} % | – | – | – |"
        for name in ("Keras", "PyTorch")
    ]
    others = max(mean(name, "accuracy") for name in ("Keras", "PyTorch"))
    for name in precisions:
        least, found = asked[name], (ratio("Keras", name), ratio("PyTorch", name))
        met = all(f >= a for f, a in zip(found, least, strict=True))
        lines.append(
            f"| hubel, {name} | {mean(name, 'seconds'):.1f} | {100 * mean(name, 'accuracy'):.2f} % | "
            f"{found[0]:.2f} (≥ {least[0]}) | {found[1]:.2f} (≥ {least[1]}) | {'yes' if met else 'no'} |"
        )
    ours_mean = ", ".join(f"{p} {100 * (mean(p, 'accuracy') - others):+.2f}" for p in precisions)
    return [
        *lines,
        "",
        f"Medians of ratios over {len(rows)} rounds, the programs in turns; 32 pictures a step, RMSprop at 0.001. "
        f"Points of accuracy beside the better of the two others: {ours_mean}. "
        + document.footing(__file__, ("hubel", "torch"), versions),
    ]


if __name__ == "__main__":
    main()

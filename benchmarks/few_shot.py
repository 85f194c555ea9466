"""Tell people apart that were never seen, from 1 and from 5 pictures each; print a table.

    HUBEL_DATA=... python benchmarks/few_shot.py

Of the 42 people of the LFW faces the last 10 by name are held out: nothing is learnt from a picture of theirs. The same
network gives the features three times: with fresh weights; with public weights (ImageNet's); and with these trained on
the other 32 people, all pictures of theirs, the first layers frozen. Then 600 episodes: 5 of the 10 people, 1 or 5
pictures of each, up to 15 others of each to be told apart by the nearest mean of features. Chance is 20 %.
"""

from __future__ import annotations

import os
import tarfile
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import document

import hubel
from hubel.data import open_source
from hubel.evaluation.fewshot import Episodes, episodes, labelled
from hubel.run import Run

NETWORK, WEIGHTS, INPUT = "mobilenet-v1", "mobilenet_v1_1.0_224", (112, 112)
HELD, EPISODES, SHOTS = 10, 600, (1, 5)


class Row(NamedTuple):
    """A network's features: how they came about, seconds of training, and an Episodes for each of SHOTS."""

    features: str
    seconds: float
    found: list[Episodes]


def main() -> None:
    parser = document.parser(__doc__)
    parser.add_argument("--freeze", default="15", help="layers of the public weights that do not learn")
    parser.add_argument("--epochs", type=int, default=6, help="of training on the other people")
    parser.add_argument(
        "--data", default=os.environ.get("HUBEL_DATA"), help="the folder that holds lfw_faces/"
    )
    args = parser.parse_args()
    archive = Path(args.data or "", "lfw_faces", "lfw-dev.tar")
    if not archive.is_file():
        raise SystemExit("--data or HUBEL_DATA must name a folder that holds lfw_faces/lfw-dev.tar")
    os.environ["HUBEL_DATA"] = args.data
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        held = sorted(people(archive))[-HELD:]
        unpack(archive, place, held)
        rows = measured(place, args.freeze, args.epochs)
    document.tell(__file__, told(rows, held, args.freeze, args.epochs), args.out)


def people(archive: Path) -> set[str]:
    """Names of the people: train/NAME/file and val/NAME/file."""
    with tarfile.open(archive) as packed:
        return {Path(member.name).parts[-2] for member in packed if member.isfile()}


def unpack(archive: Path, place: Path, held: list[str]) -> None:
    """Every picture into place/held/NAME or place/others/NAME, whatever part it was in."""
    with tarfile.open(archive) as packed:
        for member in packed:
            content = packed.extractfile(member)
            if content is None:
                continue
            name, file = Path(member.name).parts[-2:]
            folder = place / ("held" if name in held else "others") / name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(content.read())


def measured(place: Path, freeze: str, epochs: int) -> list[Row]:
    """The three networks, one after the other."""
    others = place / "others"
    fresh = hubel.train(others, network=NETWORK, input_size=INPUT, epochs=0, out=place / "fresh")
    public = hubel.train(others, weights=WEIGHTS, input_size=INPUT, epochs=0, out=place / "public")
    began = time.perf_counter()
    learnt = hubel.train(
        others, weights=WEIGHTS, input_size=INPUT, freeze=freeze, epochs=epochs, val=0, out=place / "learnt",
        on_epoch=lambda epoch: print(f"epoch {epoch.epoch}: loss {epoch.train_loss:.3f}", flush=True),
    )  # fmt: skip
    seconds = time.perf_counter() - began
    return [
        Row("fresh weights", 0.0, on_held(fresh, place)),
        Row("public weights", 0.0, on_held(public, place)),
        Row("public weights, trained on the other 32 people", seconds, on_held(learnt, place)),
    ]


def on_held(run: Run, place: Path) -> list[Episodes]:
    found, labels = labelled(run, open_source(place / "held"))
    return [episodes(found, labels, shots=shots, count=EPISODES) for shots in SHOTS]


def told(rows: list[Row], held: list[str], freeze: str, epochs: int) -> list[str]:
    head = " | ".join(f"5-way {shots}-shot" for shots in SHOTS)
    lines = [
        "## People never seen, from one and from five pictures",
        "",
        f"| features of `{NETWORK}` at 112×112 | {head} | training |",
        "| --- | --- | --- | --- |",
    ]
    for row in rows:
        cells = [f"{100 * e.accuracy:.2f} ± {100 * e.interval:.2f} %" for e in row.found]
        lines.append(f"| {row.features} | {' | '.join(cells)} | {row.seconds:.0f} s |")
    lines += [
        "",
        f"Mean ± 95 % interval over {EPISODES} episodes, chance 20 %; {HELD} people of LFW held out ({held[0]} to "
        f"{held[-1]}, the last by name). Trained with `--weights {WEIGHTS} --freeze {freeze} --epochs {epochs}`. "
        f"{document.footing(__file__, ('torch', 'numpy'))}",
    ]
    return lines


if __name__ == "__main__":
    main()

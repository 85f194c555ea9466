"""Photographs a second that one core makes ready for a network of 224 x 224, from JPEG files of two sizes.

    HUBEL_DATA=... python benchmarks/photographs.py

The pictures of photos/ are scaled to 500 pixels along the longer side, as those of ImageNet are by and large, and to
256 along the shorter one, as one packs them; written as JPEG of quality 90; and read as training reads every picture.
Processor time of one thread counts, so that neighbours on the machine matter little; the best of five goes.
"""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import document
import numpy as np
from PIL import Image

from hubel.data import Preprocess

SIDE, QUALITY = 224, 90
SIZES: dict[str, Callable[[int, int], float]] = {
    "longer side 500": lambda w, h: 500 / max(w, h),
    "shorter side 256": lambda w, h: 256 / min(w, h),
}


def main() -> None:
    args = document.parser(__doc__).parse_args()
    root = os.environ.get("HUBEL_DATA")
    found = sorted([*Path(root, "photos").glob("*.jpg"), *Path(root, "photos").glob("*.png")]) if root else []
    if not found:
        sys.exit("there are no photos/*.jpg in $HUBEL_DATA")
    pictures = [Image.open(path).convert("RGB") for path in found]
    lines = [
        "## Photographs made ready by one core",
        "",
        f"| {len(pictures)} photographs, JPEG, to {SIDE} × {SIDE} | a file | a core and second |",
        "| --- | ---: | ---: |",
    ]
    for name, scale in SIZES.items():
        packed = [jpeg(picture, scale(*picture.size)) for picture in pictures]
        size = np.mean([len(content) for content in packed]) / 1e3
        lines.append(f"| {name} | {size:.0f} kB | {pace(packed):,.0f} |")
    document.tell(
        __file__, [*lines, "", document.footing(__file__, ("pillow", "numpy"), "1 thread")], args.out
    )


def jpeg(picture: Image.Image, scale: float) -> bytes:
    out = io.BytesIO()
    w, h = (round(side * scale) for side in picture.size)
    picture.resize((w, h), Image.Resampling.LANCZOS).save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def pace(packed: Sequence[bytes], rounds: int = 5, seconds: float = 1.0) -> float:
    """Pictures a second of processor time."""
    prepare = Preprocess("picture", (3, SIDE, SIDE))
    best = 0.0
    for _ in range(rounds):
        began, done = time.process_time(), 0
        while (spent := time.process_time() - began) < seconds:
            for content in packed:
                prepare.picture(content)
            done += len(packed)
        best = max(best, done / spent)
    return best


if __name__ == "__main__":
    main()

"""The page of `hubel serve` with large networks, measured in a browser: GoogLeNet and ResNet-18 at 224 x 224.

    HUBEL_DATA=... python benchmarks/page_large.py [--out docs/measured.md] [--shots FOLDER]

Both are trained for a few steps on faces of six people of lfw_faces, served together, and asked about photographs:
each of photos/, as it is and mirrored, so that the service has seen none before.

    open       from the request of the page to the network's rows standing there
    dropped    from a file let go on the page to the first layer's maps painted, and to those of all rows in the window
    picked     the same for a picture of the shelf, from the click
    scrolled   all maps of the first layers asked for, then the whole page passed by, 700 pixels a turn: whether each
               row that came into the window shows its maps when it rests
    block      the longest time in which the page could do nothing else, by the browser's own long tasks (from 50 ms)
Needs Chromium with its driver, and selenium.
"""

from __future__ import annotations

import base64
import io
import os
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import document
import numpy as np
from page import ROWS, STOOD, browser, served, waited
from PIL import Image, ImageOps

import hubel

NETWORKS = ("googlenet", "resnet18")
PEOPLE, EACH = 6, 8  # of lfw_faces; with batches of 16 that is three steps an epoch
SIDE, EPOCHS = 224, 3
WHOLE = 8  # layers all of whose maps are asked for


@dataclass(frozen=True)
class Measured:
    """All in ms. dropped, picked: (first maps, all maps in the window), a row per picture

    blocks: the longest while opening, dropping, picking, scrolling
    looked, blank: rows looked at when they came to rest, and those without their maps
    """

    name: str
    layers: int
    open: float
    dropped: np.ndarray
    picked: np.ndarray
    blocks: dict[str, float]
    looked: int
    blank: int


def faces(archive: Path, folder: Path) -> Path:
    """A few pictures of a few people as a folder with train and test."""
    with tarfile.open(archive) as packed:
        names = sorted(member.name for member in packed.getmembers() if member.isfile())
        people = sorted({name.split("/")[1] for name in names})[:PEOPLE]
        for part, called in (("train", "train"), ("val", "test")):
            for person in people:
                for name in [n for n in names if n.startswith(f"{part}/{person}/")][:EACH]:
                    data = packed.extractfile(name)
                    assert data is not None
                    place = folder / called / person / Path(name).name
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.write_bytes(data.read())
    return folder


def trained(name: str, data: Path, out: Path) -> str:
    hubel.train(
        data, network=name, input_size=(SIDE, SIDE), epochs=EPOCHS, batch=16, out=out, precision="fp32"
    )
    return str(out)


def photographs(folder: Path) -> list[bytes]:
    """JPEG files: each photograph as it is, and mirrored."""
    made = []
    for file in sorted([*folder.glob("*.png"), *folder.glob("*.jpg")]):
        with Image.open(file) as opened:
            for turned in (opened.convert("RGB"), ImageOps.mirror(opened.convert("RGB"))):
                packed = io.BytesIO()
                turned.save(packed, "JPEG", quality=92)
                made.append(packed.getvalue())
    return made


# Long tasks from the beginning of the page on.
WATCH = """
window.blocks = [];
new PerformanceObserver((list) => blocks.push(...list.getEntries().map((e) => e.duration)))
  .observe({ type: "longtask", buffered: true });
"""

# What a picture needs until it is seen: begin() does what people do; then [ms to the maps of the first layer, ms to
# those of all rows in the window], each to the frame that shows them.
SEEN = """
const done = arguments[arguments.length - 1], context = CanvasRenderingContext2D.prototype;
const put = context.putImageData, painted = new Set();
const inside = (e) => { const at = e.getBoundingClientRect(); return at.bottom > 0 && at.top < innerHeight; };
const rows = [...document.querySelectorAll(".row")].slice(1);
const wanted = rows.map((row) => row.querySelector("canvas")).filter(inside);
const found = [];
let started = 0;
context.putImageData = function (...a) {
  put.apply(this, a);
  painted.add(this.canvas);
  const first = painted.has(wanted[0]), all = wanted.every((canvas) => painted.has(canvas));
  if (first && !found.length) { found.push(0); requestAnimationFrame(() => (found[0] = performance.now() - started)); }
  if (all && !found.all) { found.all = true; requestAnimationFrame(() => finish(performance.now() - started)); }
};
const finish = (ms) => { context.putImageData = put; setTimeout(() => done([found[0], ms]), 1500); };
"""

DROP = (
    SEEN
    + """
const bytes = Uint8Array.from(atob(arguments[0]), (c) => c.charCodeAt(0)), data = new DataTransfer();
data.items.add(new File([bytes], "photo.jpg", { type: "image/jpeg" }));
started = performance.now();
document.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
"""
)

PICK = (
    SEEN
    + """
const thumb = document.querySelectorAll(".thumbs button")[arguments[0]];
started = performance.now();
thumb.click();
"""
)

# All maps of the first layers; then down the page. A row that rests in the window is blank if it shows one colour.
SCROLL = """
const [whole, done] = arguments, rest = (ms) => new Promise((then) => setTimeout(then, ms));
const frame = () => new Promise(requestAnimationFrame), checked = new Set();
const held = (canvas) => {
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return new Set(new Uint32Array(data.buffer)).size > 2;
};
(async () => {
  [...document.querySelectorAll(".more:not([hidden])")].slice(0, whole).forEach((button) => button.click());
  await rest(2000);
  const blank = [];
  const end = () => document.documentElement.scrollHeight - innerHeight;
  for (let y = 0, n = 0; y < end(); y += 700, n++) {
    scrollTo(0, y);
    await frame();
    await rest(60);
    if (n % 8) continue;
    await rest(1500);
    const before = blocks.length; // looking at the canvases is no work of the page's
    for (const row of document.querySelectorAll(".row")) {
      const at = row.getBoundingClientRect(), canvas = row.querySelector("canvas");
      if (at.bottom < 0 || at.top > innerHeight || checked.has(row)) continue;
      checked.add(row);
      if (!held(canvas)) blank.push(row.dataset.layer);
    }
    await rest(100);
    blocks.length = before;
  }
  scrollTo(0, 0);
  await rest(500);
  done([checked.size, blank]);
})();
"""


def measured(page: Any, address: str, name: str, files: list[bytes], shots: Path | None) -> Measured:
    page.get(f"{address}/")
    waited(page, ROWS)
    stood = float(page.execute_script("return window.stood"))

    def longest() -> float:
        return float(page.execute_script("return Math.max(0, ...blocks.splice(0))"))

    def shot(what: str) -> None:
        if shots:
            page.save_screenshot(str(shots / f"{name}-{what}.png"))

    blocks = {"open": longest()}
    dropped = [page.execute_async_script(DROP, base64.b64encode(file).decode()) for file in files]
    blocks["dropped"] = longest()
    shot("dropped")
    picked = []
    for n in range(6):
        page.execute_script("document.getElementById('shelf-button').click()")
        waited(page, f"document.querySelectorAll('.thumbs img')[{n}]?.naturalWidth")
        longest()  # opening the shelf
        picked.append(page.execute_async_script(PICK, n))
        blocks["picked"] = max(longest(), blocks.get("picked", 0.0))
    checked, blank = page.execute_async_script(SCROLL, WHOLE)
    blocks["scrolled"] = longest()
    shot("whole")
    layers = int(page.execute_script("return document.querySelectorAll('.row').length - 1"))
    print(f"{name}: {checked} of {layers} layers looked at, without maps: {blank or 'none'}", flush=True)
    return Measured(name, layers, stood, np.array(dropped), np.array(picked), blocks, checked, len(blank))


def told(all_of: list[Measured]) -> list[str]:
    def pair(values: np.ndarray) -> str:
        return f"{np.median(values):.0f}, {values.max():.0f} ms"

    def block(ms: float) -> str:
        return f"{ms:.0f} ms" if ms else "under 50 ms"

    rows = [
        ("layers", [f"{one.layers}" for one in all_of]),
        ("opened: the network stands there", [f"{one.open:.0f} ms" for one in all_of]),
        ("photograph dropped to first maps: median, largest", [pair(one.dropped[:, 0]) for one in all_of]),
        ("… to all maps in the window", [pair(one.dropped[:, 1]) for one in all_of]),
        ("picture of the shelf to first maps: median, largest", [pair(one.picked[:, 0]) for one in all_of]),
        *((f"longest block while {what}", [block(one.blocks[key]) for one in all_of])
          for what, key in (("opened", "open"), ("dropped", "dropped"), ("picked", "picked"),
                            (f"all maps of {WHOLE} layers come and the page is scrolled through", "scrolled"))),
        ("… rows that rest in the window without their maps", [f"{one.blank} of {one.looked}" for one in all_of]),
    ]  # fmt: skip
    slowest = max(one.dropped[:, 0].max() for one in all_of)
    lines = ["## The page with large networks", "", f"| what | {' | '.join(one.name for one in all_of)} |"]
    lines += [f"| --- |{' ---: |' * len(all_of)}"]
    lines += [f"| {what} | {' | '.join(values)} |" for what, values in rows]
    lines += [
        "",
        f"First maps asked within 2 s: {'yes' if slowest <= 2000 else 'no'}. Input 3×{SIDE}×{SIDE}, "
        f"{EPOCHS * 3} steps of 16 faces; {len(all_of[0].dropped)} photographs, none seen before, and "
        f"{len(all_of[0].picked)} faces, in headless Chromium. Blocks are the browser's long tasks, from 50 ms. "
        f"{document.footing(__file__, ('torch',), 'cores shared with the browser')}",
    ]
    return lines


def main() -> None:
    parser = document.parser(__doc__)
    parser.add_argument("--shots", type=Path, help="a folder for screenshots")
    parser.add_argument("--runs", type=Path, help="a folder that keeps the trained runs, or has them already")
    args = parser.parse_args()
    data = os.environ.get("HUBEL_DATA")
    if data is None:
        sys.exit("set HUBEL_DATA to the folder that holds lfw_faces/ and photos/")
    if args.shots:
        args.shots.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        place = args.runs or Path(folder)
        people = faces(Path(data) / "lfw_faces" / "lfw-dev.tar", place / "faces")
        found = []
        for name in NETWORKS:
            run = place / name
            with (
                served([str(run) if run.is_dir() else trained(name, people, run)]) as address,
                browser() as page,
            ):
                page.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": STOOD + WATCH})
                found.append(measured(page, address, name, photographs(Path(data) / "photos"), args.shots))
    document.tell(__file__, told(found), args.out)


if __name__ == "__main__":
    main()

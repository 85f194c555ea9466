"""The page of `hubel serve`, measured in a browser: how quick it is, and whether drawings are read as the data was.

    python benchmarks/page.py RUN [--digits 1000] [--strokes 60]

    load       from the request of the page to the network's rows standing there (cold cache; several times)
    stroke     from a pointer's move on the pad to the maps of that drawing painted: p50, p95
    drawings   accuracy on test digits that were enlarged 0.6 to 1.4 times, thickened and put off-centre on a canvas of
               280 x 280, brought back by the page's own ink.js, against the test digits themselves
Needs Chromium with its driver, selenium, and for drawings a run on MNIST. Large networks: page_large.py.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import Image, ImageFilter
from serve_load import service

from hubel.run import Run, load

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars --window-size=1440,900"
)


@contextmanager
def served(places: list[str]) -> Iterator[str]:
    """The address of these runs, served by a process of their own."""
    with service(*places) as (port, _):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def browser() -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        sys.exit("chromium and chromedriver are not here")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    with tempfile.TemporaryDirectory() as profile:
        for flag in [*FLAGS.split(), f"--user-data-dir={profile}"]:
            options.add_argument(flag)
        opened = webdriver.Chrome(options=options, service=Service(driver))
        opened.set_script_timeout(600)
        try:
            yield opened
        finally:
            opened.quit()


def waited(page: Any, script: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not page.execute_script(f"return {script}"):
        if time.monotonic() > end:
            sys.exit(f"the page did not come to: {script}")
        time.sleep(0.005)


ROWS = "document.querySelectorAll('.row').length > 2"
# When the first row of the network stood there, in milliseconds since the page was asked for.
STOOD = """
new MutationObserver((_, watch) => {
  if (document.querySelectorAll(".row").length > 2) { window.stood ??= performance.now(); watch.disconnect(); }
}).observe(document, { childList: true, subtree: true });
"""


def loads(page: Any, address: str, times: int) -> list[float]:
    """ms"""
    page.execute_cdp_cmd("Network.enable", {})
    page.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": STOOD})
    found = []
    for _ in range(times):
        page.execute_cdp_cmd("Network.clearBrowserCache", {})
        page.get(f"{address}/")
        waited(page, "window.stood")
        found.append(float(page.execute_script("return window.stood")))
    return found


# Moves the pointer in a spiral: the next move comes a little after the maps of the last are painted. Each sample is
# from one move to the frame that shows its last map.
STROKE = """
const [count, done] = arguments, pad = document.getElementById("pad"), box = pad.getBoundingClientRect();
const last = [...document.querySelectorAll(".row canvas:first-child")].at(-1);
const context = CanvasRenderingContext2D.prototype;
const put = context.putImageData;
let painted = () => {};
context.putImageData = function (...a) { put.apply(this, a); if (this.canvas === last) painted(); };
const send = (kind, n) => {
  const r = 20 + n, clientX = box.x + box.width / 2 + r * Math.cos(n / 6);
  const clientY = box.y + box.height / 2 + r * Math.sin(n / 6);
  pad.dispatchEvent(new PointerEvent(kind, { clientX, clientY, pointerId: 1, bubbles: true, button: 0 }));
};
(async () => {
  const found = [];
  for (let n = 0; n < count; n++) {
    const begin = performance.now(), drawn = new Promise((then) => (painted = then));
    send(n ? "pointermove" : "pointerdown", n);
    await drawn;
    await new Promise(requestAnimationFrame);
    found.push(performance.now() - begin);
    await new Promise((then) => setTimeout(then, 30));
  }
  send("pointerup", count);
  done(found);
})();
"""


def strokes(page: Any, address: str, count: int) -> list[float]:
    """ms"""
    page.get(f"{address}/")
    waited(page, ROWS)
    found: list[float] = page.execute_async_script(STROKE, count)
    return found[1:]  # the first one opens the network


def canvases(pictures: np.ndarray, seed: int) -> np.ndarray:
    """(N, 28, 28) digits -> (N, 280, 280): each enlarged 10 times 0.6 to 1.4, a third of them thickened, put anywhere
    within 8 of MNIST's pixels of the middle, as far as the canvas reaches."""
    rng = np.random.default_rng(seed)
    made = np.zeros((len(pictures), 280, 280), np.uint8)
    for n, digit in enumerate(pictures):
        side = round(280 * rng.uniform(0.6, 1.4))
        large = Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)
        if rng.random() < 1 / 3:
            large = large.filter(ImageFilter.MaxFilter(9))
        ink = np.asarray(large)
        rows, columns = np.nonzero(ink > 20)
        ink = ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1][:280, :280]
        (h, w), shift = ink.shape, rng.integers(-80, 81, 2)
        top, left = (
            int(np.clip((280 - n_) // 2 + d, 0, 280 - n_)) for n_, d in zip((h, w), shift, strict=True)
        )
        made[n, top : top + h, left : left + w] = ink
    return made


NORMALISE = """
const [text, side, ink, H, W, done] = arguments;
import("/page/ink.js").then(({ normalised }) => {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0)), size = side * side, found = [];
  for (let n = 0; n * size < bytes.length; n++) {
    const grey = Float32Array.from(bytes.subarray(n * size, (n + 1) * size), (v) => v / 255);
    found.push([...normalised(grey, side, side, ink, H, W)]);
  }
  done(found);
});
"""


def drawings(page: Any, address: str, run: Run, count: int) -> tuple[float, float, int]:
    """Accuracy on test digits, and on the same digits drawn."""
    import base64

    part = run.dataset().test
    chosen = np.sort(np.random.default_rng(0).permutation(len(part))[:count])
    x, labels = np.asarray(part.inputs)[chosen], part.targets[chosen]
    drawn = canvases(x[:, 0], 1)
    page.get(f"{address}/")
    waited(page, ROWS)
    ink = page.execute_async_script(
        "fetch('/v1/network').then((r) => r.json()).then((r) => arguments[0](r.data.ink))"
    )
    back = []
    for start in range(0, count, 50):
        text = base64.b64encode(drawn[start : start + 50].tobytes()).decode()
        back += page.execute_async_script(NORMALISE, text, 280, ink, *x.shape[2:])
    again = np.array(back, np.uint8).reshape(x.shape)
    return *((run.logits(inputs).argmax(1) == labels).mean() for inputs in (x, again)), len(chosen)


def main() -> None:
    told = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    told.add_argument("run")
    told.add_argument("--digits", type=int, default=1000)
    told.add_argument("--strokes", type=int, default=60)
    asked = told.parse_args()
    with served([f"run={asked.run}"]) as address, browser() as page:
        times = loads(page, address, 6)
        print(
            f"load      first {times[0]:.0f} ms, median {np.median(times):.0f} ms, largest {max(times):.0f} ms"
        )
        times = strokes(page, address, asked.strokes)
        p50, p95 = np.percentile(times, (50, 95))
        print(f"stroke    p50 {p50:.0f} ms, p95 {p95:.0f} ms to updated maps (n={len(times)})")
        run = load(asked.run)
        if asked.digits and run.data.get("name") == "mnist":
            plain, drawn, count = drawings(page, address, run, asked.digits)
            print(f"drawings  {drawn:.2%} of {count} digits as drawn, {plain:.2%} of the same as they are")


if __name__ == "__main__":
    main()

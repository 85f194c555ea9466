"""The pictures of a report: which ones are shown, and a few sprite sheets that hold them."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np

from hubel.evaluation.predictions import Predictions

MISTAKES = 2000  # pictures of wrong answers in one report
FOREMOST = 12  # of a frequent mistake, however many mistakes there are
RIGHT = 12  # of right ones in a cell of the diagonal
RIGHT_IN_ALL = 1200  # and in the whole report
LARGEST = 96  # pixels of a picture's longer side
BYTES = 7_000_000  # of pixels before packing; more pictures than fit are drawn smaller
COLUMNS, PER_SHEET = 20, 400  # pictures in a row, and in a sheet


@dataclass(frozen=True)
class Cell:
    """A cell of the matrix that opens: `count` items, of which shown[start:stop] are in the report."""

    label: int
    answer: int
    count: int
    start: int
    stop: int


@dataclass(frozen=True)
class Sheets:
    """Pictures of h x w pixels, COLUMNS in a row, PER_SHEET in a sheet; a sheet is a PNG in an address."""

    h: int
    w: int
    zoom: int  # screen pixels per pixel: small pictures are shown larger, pixel by pixel
    sheets: tuple[str, ...]


def choose(
    predictions: Predictions, pairs: np.ndarray, always: np.ndarray, foremost: np.ndarray
) -> tuple[np.ndarray, list[Cell]]:
    """Items to show, cell by cell, the highest loss first; `always` are in if their cell is in `pairs`.

    pairs: (P, 2) label and answer of the cells that open   foremost: (Q, 2), some of them   always: indices of items
    Where mistakes are more than MISTAKES, each of the foremost cells gives its FOREMOST worst; then each cell gives its
    worst, each its second worst, and so on.
    """
    K = len(predictions.classes)
    open_cells = np.sort(pairs[:, 0] * K + pairs[:, 1])
    known = np.flatnonzero(predictions.known)
    code = predictions.labels[known] * K + predictions.answers[known]
    kept = np.isin(code, open_cells)
    known, code = known[kept], code[kept]
    order = np.lexsort((known, -predictions.loss[known], code))  # by cell, then the highest loss first
    known, code = known[order], code[order]
    cells, first, count = np.unique(code, return_index=True, return_counts=True)
    rank = np.arange(len(code)) - np.repeat(first, count)  # place within the cell

    wrong = predictions.labels[known] != predictions.answers[known]
    worst = np.flatnonzero(wrong)
    early = np.isin(code, foremost[:, 0] * K + foremost[:, 1]) & (rank < FOREMOST)
    worst = worst[np.lexsort((-predictions.loss[known[worst]], rank[worst], ~early[worst]))][:MISTAKES]
    show = np.isin(known, always)
    show[worst] = True
    right_each = min(RIGHT, RIGHT_IN_ALL // max(1, int(np.count_nonzero(cells // K == cells % K))))
    show |= ~wrong & (rank < right_each)

    shown_of = np.add.reduceat(show, first) if len(first) else np.zeros(0, dtype=int)
    stop = np.cumsum(shown_of)
    made = [
        Cell(int(c // K), int(c % K), int(n), int(e - s), int(e))
        for c, n, s, e in zip(cells, count, shown_of, stop, strict=True)
    ]
    return known[show], made


def draw(pictures: np.ndarray) -> Sheets:
    """(M, C, H, W) uint8, one channel grey, three colour -> the sheets; large ones are scaled down."""
    from PIL import Image

    M, C, H, W = pictures.shape
    room = np.sqrt(BYTES / max(1, M * min(C, 3)) / (H * W))
    scale = min(1.0, LARGEST / max(H, W), room)
    h, w = max(1, round(H * scale)), max(1, round(W * scale))
    sheets = []
    for start in range(0, M, PER_SHEET):
        part = pictures[start : start + PER_SHEET]
        rows = -(-len(part) // COLUMNS)
        colour = C >= 3
        sheet = Image.new("RGB" if colour else "L", (COLUMNS * w, rows * h))
        for n, picture in enumerate(part):
            pixels = np.ascontiguousarray(picture[:3].transpose(1, 2, 0)) if colour else picture[0]
            tile = Image.fromarray(pixels)
            if (h, w) != (H, W):
                tile = tile.resize((w, h), Image.Resampling.LANCZOS)
            sheet.paste(tile, (n % COLUMNS * w, n // COLUMNS * h))
        sheets.append(data_address(sheet))
    return Sheets(h, w, max(1, round(64 / max(h, w))), tuple(sheets))


def data_address(image: object) -> str:
    """A Pillow image as a PNG inside an address."""
    packed = io.BytesIO()
    image.save(packed, format="PNG", optimize=True)  # type: ignore[attr-defined]
    return "data:image/png;base64," + base64.b64encode(packed.getvalue()).decode("ascii")

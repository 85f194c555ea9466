"""What the pictures of explanations are drawn with: colour scales, tiles with names, overlays. Pillow alone."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFont

INK, PAPER, FAINT = (32, 36, 44), (255, 255, 255), (120, 126, 138)
# Anchors at even steps. SEQUENTIAL: from nothing to much; DIVERGING: from against (blue) over nothing to for (red).
SEQUENTIAL = ((252, 252, 250), (254, 224, 160), (250, 158, 76), (214, 78, 60), (120, 22, 80), (32, 8, 50))
DIVERGING = (
    (18, 60, 130),
    (74, 138, 200),
    (184, 214, 234),
    (250, 250, 248),
    (246, 196, 170),
    (214, 96, 77),
    (140, 18, 40),
)


def coloured(
    values: np.ndarray, low: float, high: float, anchors: tuple[tuple[int, int, int], ...]
) -> np.ndarray:
    """(H, W) numbers -> (H, W, 3) uint8: `low` and below the first anchor's colour, `high` and above the last's."""
    span = high - low
    share = np.clip((values - low) / span, 0, 1) if span > 0 else np.zeros_like(values, dtype=float)
    places = np.linspace(0, 1, len(anchors))
    channels = [np.interp(share, places, [a[c] for a in anchors]) for c in range(3)]
    return np.stack(channels, -1).round().astype(np.uint8)


def picture(x: np.ndarray) -> Image.Image:
    """(C, H, W) in 0..1, one channel grey, three colour -> RGB; of other counts the first channel."""
    pixels = np.clip(x if x.shape[0] == 3 else np.repeat(x[:1], 3, 0), 0, 1)
    return Image.fromarray((pixels.transpose(1, 2, 0) * 255).round().astype(np.uint8))


def enlarged(image: Image.Image, side: int) -> Image.Image:
    """The longer side brought to `side`: small pictures pixel by pixel, in whole steps; larger ones smoothly."""
    factor = side / max(image.size)
    if factor >= 1:
        times = max(1, int(factor))
        return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.LANCZOS)


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font: one that is everywhere."""
    return ImageFont.load_default(size)


def overlaid(under: Image.Image, heat: np.ndarray, strength: float = 0.6) -> Image.Image:
    """(h, w) heat, coloured by sign, over a grey copy of the picture; where there is none the picture stays clear."""
    raise NotImplementedError

"""Plain JPEG files, handed to Pillow's decoder at once: of a small one the pixels are the lesser part of the work.

ITU-T T.81, annex B: FF D8, then segments FF, marker, length (two bytes, itself included), content; after SOS the scan.
Plain is: baseline (SOF0), 8 bits, one component or three, and no segment that could change what is seen, such as EXIF
with its turns or Adobe's colours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

SOF0, SOS, APP0 = 0xC0, 0xDA, 0xE0
INNOCENT = frozenset((APP0, 0xC4, 0xDB, 0xDD, 0xFE))  # JFIF, DHT, DQT, DRI, COM
JFIF = 16  # bytes of its segment, at least
MODES = {1: "L", 3: "RGB"}


def frame(content: bytes) -> tuple[str, tuple[int, int]] | None:
    """(mode, (width, height)) of a plain JPEG; None where it is another file, or anything about it is odd."""
    if content[:2] != b"\xff\xd8":
        return None
    found, at, end = None, 2, len(content)
    while at + 4 <= end and content[at] == 0xFF:
        marker, length = content[at + 1], content[at + 2] << 8 | content[at + 3]
        if marker == SOS:
            return found
        if marker == SOF0 and length >= 11 and at + 2 + length <= end:
            bits, h, w, components = (
                content[at + 4],
                content[at + 5] << 8 | content[at + 6],
                content[at + 7] << 8 | content[at + 8],
                content[at + 9],
            )
            if bits != 8 or components not in MODES or length != 8 + 3 * components or not w * h:
                return None
            found = MODES[components], (w, h)
        elif marker not in INNOCENT or length < (JFIF if marker == APP0 else 2):
            return None
        at += 2 + length
    return None


def decoded(content: bytes, most: int) -> Image | None:
    """A plain JPEG of at most so many pixels; None for all else, and for what is damaged: the long way will say why.

    The pixels are those of PIL.Image.open, bit by bit: it gives its decoder the same bytes with the same settings.
    """
    from PIL import Image

    plain = frame(content)
    if plain is None:
        return None
    mode, size = plain
    if size[0] * size[1] > most:
        return None
    try:
        return Image.frombytes(mode, size, content, "jpeg", mode, "")
    except Exception:  # decoders raise nearly anything on hostile bytes
        return None

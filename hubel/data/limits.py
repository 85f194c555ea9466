"""How much a packed file may unpack to. A bomb is a small file that fills the memory or the disk."""

from __future__ import annotations

FREE = 256 << 20  # bytes that any file may unpack to
RATIO_AT_MOST = 200  # unpacked / packed beyond that; pictures give 1 to 20, deflate's limit is 1,032
ARRAY_AT_MOST = (
    16 << 30
)  # bytes of one array; for more, pictures in a folder or an archive are decoded to disk
MEMBER_AT_MOST = 256 << 20  # bytes of one picture file; MAX_PIXELS as an uncompressed BMP has 192 MB


def unpacked_at_most(packed: int) -> int:
    """Bytes that a file of `packed` bytes may unpack to."""
    return max(FREE, RATIO_AT_MOST * packed)

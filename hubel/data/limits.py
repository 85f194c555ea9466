"""How much a packed file may unpack to. A bomb is a small file that fills the memory or the disk."""

from __future__ import annotations

FREE = 256 << 20  # bytes that any file may unpack to
RATIO_AT_MOST = 200  # unpacked / packed beyond that; pictures give 1 to 20, deflate's limit is 1,032
ARRAY_AT_MOST = (
    16 << 30
)  # bytes of one array; for more, pictures in a folder or an archive are decoded to disk
MEMBER_AT_MOST = 256 << 20  # bytes of one picture file; MAX_PIXELS as an uncompressed BMP has 168 MB
ITEMS = 100_000  # items that any packed file may hold, whatever its size: each takes a name and a label
ITEMS_A_BYTE = 10  # of labels beyond that; two a byte is what MNIST's have
BYTES_A_MEMBER = 16  # of an archive's own, beyond that; a tar's empty member takes five once packed
NAME_AT_MOST = 1 << 20  # bytes that a member's name may be declared to have, before it is read
DEPTH_AT_MOST = 64  # folders around a picture


def unpacked_at_most(packed: int) -> int:
    """Bytes that a file of `packed` bytes may unpack to."""
    return max(FREE, RATIO_AT_MOST * packed)


def items_at_most(packed: int) -> int:
    """Labels that a file of `packed` bytes may hold."""
    return max(ITEMS, ITEMS_A_BYTE * packed)


def members_at_most(packed: int) -> int:
    """Members that an archive of `packed` bytes may hold."""
    return max(ITEMS, packed // BYTES_A_MEMBER)

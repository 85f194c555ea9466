"""Hubel's definitions and the networks replayed through them, against the PyTorch operations that Hubel uses.

rows = verify(["conv2d", "lenet5"])
all(row.ok for row in rows)
"""

from hubel.verification.rows import Errors, Row, known, verify

__all__ = ["Errors", "Row", "known", "verify"]

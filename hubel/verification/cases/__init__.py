"""The cases, by the definition's name, in the order in which the table shows them.

A new pair of hubel.definitions needs a line in one of these files; a test asks for it.
"""

from __future__ import annotations

from hubel.verification.case import Case
from hubel.verification.cases import arrays, elementwise, layers, learning, lenet, sliding

CASES: dict[str, list[Case]] = (
    elementwise.CASES | arrays.CASES | sliding.CASES | layers.CASES | lenet.CASES | learning.CASES
)

__all__ = ["CASES"]

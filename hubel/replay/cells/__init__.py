"""How was this cell computed, and what does it see? Any number of a tape, answered from its node.

    asked = cell(node, (0, 4, 5, 7))                # the window, each product, the bias, the sum
    seen = receptive(node, (0, 4, 5, 7), found.input)   # the pixels that it depends on, and the way back to them

Nothing of PyTorch is needed for that.
"""

from hubel.definitions.tape import Node
from hubel.replay.cells.given import given
from hubel.replay.cells.record import Cell, Read, Step, Window
from hubel.replay.cells.rules import cell
from hubel.replay.cells.way import Receptive, Seen, receptive

__all__ = ["Cell", "Node", "Read", "Receptive", "Seen", "Step", "Window", "cell", "given", "receptive"]

"""Any network run node by node through the definitions, forward and backward, and how each of its cells came about.

    found = replay(network, x)                      # NumPy in, every value on a tape, NumPy out
    found.layers["features.3"].value                # what that layer gave
    found.slopes(loss)["features.3.weight"]         # d loss / d weight

Program is the network as a list of definitions to call: made once, it runs without PyTorch.
"""

from hubel.replay.program import Program, Replay, replay

__all__ = ["Program", "Replay", "replay"]

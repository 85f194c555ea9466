"""`python -m hubel`: the same as `hubel`."""

from hubel.cli.main import entry

entry()

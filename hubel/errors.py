"""Everything Hubel raises on purpose, and what each becomes outside.

HubelError                  our own bug if it is ever raised bare       -> exit 1, HTTP 500
├── InputError              the caller's data or argument is wrong      -> exit 2, HTTP 422
│   ├── ShapeError          an axis disagrees
│   ├── UnknownName         no such network, data set, layer, class
│   ├── DataError           a data set cannot be used as it is
│   │   └── TooManyPixels   a picture would fill the memory             -> HTTP 413
│   ├── MissingExtra        an optional dependency is not installed
│   └── Unfinished          the folder holds a training that can be gone on with
├── MachineError            what is asked for is fine, the machine lacks it -> exit 2, HTTP 503
│   ├── CannotWrite         a full disk, a folder that may not be written
│   └── OutOfMemory         a batch that does not fit
├── ArtifactError           a saved run cannot be trusted or read       -> exit 3, HTTP 503
└── StoppedEarly            stopped before the end, what was learnt is saved -> exit 4
    ├── Diverged            the loss became NaN or infinite
    └── Interrupted         by Ctrl-C, in training                      -> exit 130

A Ctrl-C where there is nothing to save stays Python's KeyboardInterrupt, and exits with 130 too. A message names both
sides and the next step; it is one sentence or a few, without a trailing newline.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HubelError(Exception):
    """Base of everything Hubel raises on purpose."""

    exit_code = 1
    http_status = 500


class InputError(HubelError):
    """The caller's data or argument is wrong."""

    exit_code = 2
    http_status = 422


class ShapeError(InputError):
    """An axis disagrees; the message gives both shapes."""


class DataError(InputError):
    """A data set cannot be used as it is; the message names the file and what to do."""


class TooManyPixels(DataError):
    """A picture is refused by its header, before any pixel of it takes memory."""

    http_status = 413


class UnknownName(InputError):
    """A name that is not in the list; says the nearest ones.

    what: what was looked for ("network"); name: what was asked; known: every valid name.
    """

    def __init__(self, what: str, name: str, known: Iterable[str], *, hint: str = "") -> None:
        known = list(known)
        self.what, self.name, self.known = what, name, known
        near = nearest(name, known)
        did_you_mean = f" Did you mean {near!r}?" if near else ""
        listing = ", ".join(known[:40]) + (f" and {len(known) - 40} more" if len(known) > 40 else "")
        tail = f" {hint}" if hint else ""
        super().__init__(f"no {what} named {name!r}.{did_you_mean} Known: {listing}.{tail}")


class MissingExtra(InputError):
    """An optional dependency is not installed; prints the very line that installs it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs {package}, which is not installed. "
            f'Install it with: pip install -c constraints.txt ".[{extra}]"'
        )


class MachineError(HubelError):
    """The machine lacks the room for what is asked of it; another place or a smaller size would do."""

    exit_code = 2
    http_status = 503


class CannotWrite(MachineError):
    """A file could not be written; what stood there before still stands."""


class OutOfMemory(MachineError):
    """A batch does not fit in the memory; the message has the size that does."""


class Unfinished(InputError):
    """The folder holds a training that has not ended; the message says how to go on with it."""


class ArtifactError(HubelError):
    """A saved run, model or prediction file cannot be trusted or read."""

    exit_code = 3
    http_status = 503


class StoppedEarly(HubelError):
    """Stopped before the end; what was learnt so far is saved, and the message says where."""

    exit_code = 4


class Diverged(StoppedEarly):
    """The loss became NaN or infinite; the last good weights are kept."""


class Interrupted(StoppedEarly):
    """Ctrl-C in training; what was learnt so far is saved."""

    exit_code = 130


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` was probably meant to be, or None. Case does not count."""
    by_folded = {k.casefold(): k for k in known}
    found = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None

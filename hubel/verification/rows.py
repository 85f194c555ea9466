"""What `hubel verify` says of each operation and network: one row, and whether it is within its tolerance.

Tolerances, for the error that differences.py measures:
    definitions, float64   1e-10   eps is 2e-16: room for sums of thousands of terms, and none for a mistake
    definitions, float32   1e-5    eps is 1.2e-7: the two sides add some hundred terms in different orders
    networks, float64      1e-8    a network is many operations deep; its gradients are twice as deep
    networks, float32      1e-4    the output alone; gradients are compared where rounding cannot be the reason
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hubel import zoo
from hubel.errors import UnknownName
from hubel.progress import Progress
from hubel.verification import networks, operations
from hubel.verification.cases import CASES
from hubel.verification.differences import Difference, Found, largest

NETWORKS = "networks"  # the module under which networks stand


@dataclass(frozen=True)
class Errors:
    """Of one precision; None where there is nothing to compare."""

    forward: float | None
    backward: float | None


Precisions = Mapping[str, Errors]

DEFINITIONS_WITHIN: Precisions = {"float64": Errors(1e-10, 1e-10), "float32": Errors(1e-5, 1e-5)}
NETWORKS_WITHIN: Precisions = {"float64": Errors(1e-8, 1e-8), "float32": Errors(1e-4, None)}


@dataclass(frozen=True)
class Row:
    """module: the file of hubel.definitions, or "networks"; cases: how many, each in both precisions
    errors, within: the largest error that was found and the largest that may be, by precision
    wrong: the first case that is beyond, in words; "" where all is well
    """

    name: str
    module: str
    cases: int
    errors: Precisions
    within: Precisions
    wrong: str

    @property
    def ok(self) -> bool:
        return not self.wrong

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "ok": self.ok}


def known(*, with_networks: bool = True) -> list[str]:
    """Every name that can be verified: operations in the order of the table, then networks."""
    return [*CASES, *(zoo.names() if with_networks else ())]


def verify(
    names: Sequence[str] = (),
    *,
    with_networks: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Row]:
    """Hold operations and networks against PyTorch, all of them where no names are given; a row for each.

    A network in one line is taken as well. Raises UnknownName, and InputError for a line that does not parse. What
    disagrees is no exception but a row that is not ok.
    """
    everything = known(with_networks=with_networks)
    # One word is a name: "conv2" is conv2d misspelt, and no network.
    several = (name for name in dict.fromkeys(names) if " " in name.strip())
    lines = [name for name in several if zoo.is_line(name)]
    if with_networks:
        for line in lines:
            zoo.lookup(line)
        everything += lines
    for name in names:
        if name not in everything:
            left_out = not with_networks and (name in zoo.names() or name in lines)
            hint = "It is a network, and those are left out." if left_out else ""
            what = "operation or network" if with_networks else "operation"
            raise UnknownName(what, name, everything, hint=hint)
    chosen = [name for name in everything if not names or name in names]
    rows = []
    for done, name in enumerate(chosen):
        if progress is not None:
            progress(done, len(chosen))
        rows.append(_row(name, seed))
    return rows


def _row(name: str, seed: int) -> Row:
    if name in CASES:
        operation = operations.operation(name)
        found = list(operations.compared(operation, CASES[name], seed))
        return _summed(name, operation.module, found, DEFINITIONS_WITHIN)
    return _summed(name, NETWORKS, list(networks.compared(name, seed)), NETWORKS_WITHIN)


def _summed(name: str, module: str, found: Sequence[Found], within: Precisions) -> Row:
    errors = {
        precision: Errors(
            _largest(f.forward for f in found if f.precision == precision),
            _largest(f.backward for f in found if f.precision == precision),
        )
        for precision in within
    }
    beyond = (told for f in found if (told := _beyond(f, within[f.precision])))
    return Row(name, module, len({f.what for f in found}), errors, within, next(beyond, ""))


def _largest(found: Iterable[Difference | None]) -> float | None:
    there = [difference for difference in found if difference is not None]
    return largest(there).error if there else None


def _beyond(found: Found, within: Errors) -> str:
    """What is wrong with one case, in words; "" where nothing is."""
    for difference, most in ((found.forward, within.forward), (found.backward, within.backward)):
        if difference is None or most is None or difference.error <= most:
            continue
        off = f" is off by {difference.error:.2g}, of which {most:g} is allowed"
        said = difference.where if math.isinf(difference.error) else difference.where + off
        return f"case '{found.what}' in {found.precision}: {said}"
    return ""

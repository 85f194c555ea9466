"""Which of the errors that are raised on purpose some test brings about: each `raise` of hubel/errors.py, site by site.

    python benchmarks/error_texts.py [--list] [--out docs/measured.md] [PYTEST ARGUMENTS]

The suite runs in this process, and each error notes the line that made it; what tests do in processes of their own is
not seen, so the share is the least there is. A site counts as reached where its sentence was made, not merely passed.
The errors of hubel/definitions/errors.py, a tree of its own, are counted with the others.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

import document
import pytest

import hubel
from hubel import errors
from hubel.definitions import errors as of_definitions

PACKAGE = Path(hubel.__file__).parent
TREES = (errors.HubelError, of_definitions.DefinitionError)
NAMES = {
    name
    for name, kind in [*vars(errors).items(), *vars(of_definitions).items()]
    if isinstance(kind, type) and issubclass(kind, TREES)
}


def sites() -> dict[tuple[str, int], str]:
    """(file, first line of the statement) -> the error's name, for every `raise` of one of ours."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                name = getattr(node.exc.func, "id", getattr(node.exc.func, "attr", ""))
                if name in NAMES:
                    for line in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                        found[str(path), line] = f"{name} {path.relative_to(PACKAGE)}:{node.lineno}"
    return found


class Seen:
    """A plugin of pytest that notes where errors are made."""

    def __init__(self, known: dict[tuple[str, int], str]) -> None:
        self.known, self.count = known, Counter[str]()

    def pytest_configure(self) -> None:
        for tree in TREES:
            self.notes(tree)

    def notes(self, tree: type[Exception]) -> None:
        made = tree.__new__

        def noted(cls: type, *given: object, **named: object) -> object:
            frame: FrameType | None = sys._getframe(1)
            for _ in range(4):  # behind the constructors of errors that have their own
                if frame is None:
                    break
                if site := self.known.get((frame.f_code.co_filename, frame.f_lineno)):
                    self.count[site] += 1
                    break
                frame = frame.f_back
            return made(cls, *given, **named)

        tree.__new__ = noted  # type: ignore[method-assign, assignment]


def main() -> None:
    parser = document.parser(__doc__)
    parser.add_argument("--list", action="store_true", help="name the sites that no test reaches")
    args, rest = parser.parse_known_args()
    known = sites()
    seen = Seen(known)
    pytest.main(["-q", "-p", "no:cacheprovider", *rest], plugins=[seen])
    everywhere = set(known.values())
    reached = everywhere & set(seen.count)
    share = len(reached) / len(everywhere)
    lines = [
        "## Errors that tests bring about",
        "",
        f"Of {len(everywhere)} places that raise one of `hubel/errors.py` or of `hubel/definitions/errors.py`, "
        f"the suite reaches **{len(reached)}** ({share:.0%}) in its own process.",
        "",
        document.footing(__file__, ("pytest",)),
    ]
    document.tell(__file__, lines, args.out)
    if args.list:
        print("\n".join(sorted(everywhere - reached)))


if __name__ == "__main__":
    main()

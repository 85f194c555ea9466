"""Which of the errors that are raised on purpose some test brings about: each `raise` of hubel/errors.py, site by site.

    python benchmarks/error_texts.py [--list] [--out docs/measured.md] [PYTEST ARGUMENTS]

The suite runs in this process, and each error notes the line that made it; so does each in a Python that a test starts,
through a `sitecustomize` in its PYTHONPATH. A site counts as reached where its sentence was made, not merely passed;
where a test is skipped for want of something, the sites that it alone reaches are not.
The errors of hubel/definitions/errors.py, a tree of its own, are counted with the others.
"""

from __future__ import annotations

import ast
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

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
                if (
                    name in NAMES or name.lstrip("_")[:1].islower()
                ):  # also what makes one: `raise refuse(...)`
                    for line in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                        found[str(path), line] = f"{name} {path.relative_to(PACKAGE)}:{node.lineno}"
    return found


# Python runs this before anything else of a process. The trees are watched when they are imported, not imported for it:
# some tests ask what a command imports. A line is appended in one piece, whichever processes write at the same time.
NOTING = """
import importlib.util, os, sys

TREES = {"hubel.errors": "HubelError", "hubel.definitions.errors": "DefinitionError"}

class Watch:
    begun = set()

    def find_spec(self, name, path=None, target=None):
        if name not in TREES or name in self.begun:
            return None
        self.begun.add(name)
        spec = importlib.util.find_spec(name)
        run = spec.loader.exec_module
        spec.loader.exec_module = lambda module: (run(module), noting(getattr(module, TREES[name])))
        return spec

def noting(base):
    # Whatever a test puts in their place, a file is added to by what was here before.
    made, place, begin, write, end = base.__new__, os.environ["HUBEL_ERRORS_MADE"], os.open, os.write, os.close

    def noted(cls, *given, **named):
        frame, lines = sys._getframe(1), []
        while frame is not None and len(lines) < 4:  # behind the constructors of errors that have their own
            lines.append(f"{frame.f_code.co_filename}:{frame.f_lineno}")
            frame = frame.f_back
        file = begin(place, os.O_WRONLY | os.O_APPEND)
        write(file, os.fsencode("\\t".join(lines) + "\\n"))
        end(file)
        return made(cls, *given, **named)
    base.__new__ = noted

sys.meta_path.insert(0, Watch())
"""


@contextmanager
def noted() -> Iterator[Path]:
    """The file to which errors add a line each, here and in the Python processes that are started inside."""
    with tempfile.TemporaryDirectory(prefix="hubel-errors-") as folder:
        (Path(folder) / "sitecustomize.py").write_text(NOTING)
        made = Path(folder) / "made"
        made.touch()
        paths = [folder, *filter(None, [os.environ.get("PYTHONPATH")])]
        told = {"PYTHONPATH": os.pathsep.join(paths), "HUBEL_ERRORS_MADE": str(made)}
        with mock.patch.dict(os.environ, told):
            here: dict[str, Any] = {}
            exec(NOTING.rpartition("\nsys.meta_path")[0], here)
            for tree in TREES:
                here["noting"](tree)
            yield made


def reached(made: Path, known: dict[tuple[str, int], str]) -> set[str]:
    """The sites of the lines: of the frames behind each error, the first that is one."""
    found = set()
    for line in set(made.read_text().splitlines()):
        for place in line.split("\t"):
            name, _, number = place.rpartition(":")
            if site := known.get((name, int(number))):
                found.add(site)
                break
    return found


def main() -> None:
    parser = document.parser(__doc__)
    parser.add_argument("--list", action="store_true", help="name the sites that no test reaches")
    args, rest = parser.parse_known_args()
    known = sites()
    with noted() as made:
        pytest.main(["-q", "-p", "no:cacheprovider", *rest])
        found = reached(made, known)
    everywhere = set(known.values())
    share = len(found) / len(everywhere)
    lines = [
        "## Errors that tests bring about",
        "",
        f"Of {len(everywhere)} places that raise one of `hubel/errors.py` or of `hubel/definitions/errors.py`, "
        "or what a function made of one, "
        f"the suite reaches **{len(found)}** ({share:.1%}), in its own process or in one that it starts.",
        "",
        document.footing(__file__, ("pytest",)),
    ]
    document.tell(__file__, lines, args.out)
    if args.list:
        print("\n".join(sorted(everywhere - found)))


if __name__ == "__main__":
    main()

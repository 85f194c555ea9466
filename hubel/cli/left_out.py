"""Items that cannot be read: they are named, and the others are answered all the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from hubel.data.records import Problem
from hubel.errors import HubelError

NOTHING = "nothing could be read, so there is no answer: name other items"  # each is named beside it, with its reason


def problem(item: str, error: HubelError) -> Problem:
    """What is wrong with an item. Errors begin with its name, which is not said twice: 'it is no picture'."""
    from hubel.data.pictures import printable

    said, name = str(error), printable(item)
    if said.startswith(f"{name} "):
        return Problem(item, f"it {said.removeprefix(f'{name} ')}")
    return Problem(item, said.removeprefix(f"{name}: "))


def tell(problems: Iterable[Problem]) -> None:
    """A line each on standard error."""
    from hubel.cli import show

    for one in problems:
        show.tell(f"hubel: {one.item} is left out: {one.reason}")


def as_dicts(problems: Iterable[Problem]) -> list[dict[str, str]]:
    """The same for JSON."""
    return [asdict(one) for one in problems]

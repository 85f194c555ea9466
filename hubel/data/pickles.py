"""What a pickle would build, weighed before anything is built.

A pickle is a program for a small stack machine, and a few bytes of it can ask for more than any machine has: a memo of
billions of places, which is filled with zeros; or tuples of the same tuples, forty deep, whose hash takes years. What
it may call is for its reader to limit; here only the size of what it builds is.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from io import BytesIO

from hubel.data.pictures import printable
from hubel.errors import HubelError

WRITTEN_OUT = 10_000_000  # parts of an object where every part that is used twice counts twice
PUTS = ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE")
GETS = ("GET", "BINGET", "LONG_BINGET")
FILLS = (
    "APPEND",
    "APPENDS",
    "SETITEM",
    "SETITEMS",
    "ADDITEMS",
    "BUILD",
)  # what they give is what was there, grown
MARK = -1


def check(content: bytes, refuse: Callable[[str], HubelError], *, pickles: int = 1) -> int:
    """How many bytes the first `pickles` pickles in `content` have. Raises refuse(why) where one asks for too much.

    The machine is run with numbers in place of objects, and with a list of the parts that each is made of.
    """
    file = BytesIO(content)
    try:
        for _ in range(pickles):
            parts = parts_of(file, refuse)
            if written_out(parts) > WRITTEN_OUT:
                raise refuse(f"written out it would have more than {WRITTEN_OUT:,} parts")
    except (ValueError, IndexError, KeyError, OverflowError, MemoryError, EOFError) as e:
        why = printable(str(e)) or type(e).__name__
        raise refuse(f"it is no pickle, or damaged at byte {file.tell():,} ({why})") from e
    return file.tell()


def parts_of(file: BytesIO, refuse: Callable[[str], HubelError]) -> list[list[int]]:
    """The parts of every object of one pickle, from where `file` stands to its end."""
    parts: list[list[int]] = []
    stack: list[int] = []
    memo: dict[int, int] = {}
    for operation, argument, _ in pickletools.genops(file):
        if operation.name in PUTS:
            place = len(memo) if operation.name == "MEMOIZE" else int(argument or 0)
            if not 0 <= place <= 4 * len(memo) + 1000:
                raise refuse(f"it asks for {place:,} places of memory")
            memo[place] = stack[-1]
        elif operation.name in GETS:
            stack.append(memo[int(argument or 0)])
        elif operation.name == "DUP":
            stack.append(stack[-1])
        else:
            taken = popped(stack, operation.stack_before)
            if operation.name in FILLS:
                *added, filled = taken
                parts[filled] += added
                stack.append(filled)
            elif operation.stack_after == [pickletools.markobject]:
                stack.append(MARK)
            elif operation.stack_after:
                stack.append(len(parts))
                parts.append(taken)
    return parts


def popped(stack: list[int], things: list[pickletools.StackObject]) -> list[int]:
    """What an operation takes, from the top: so many as it names, or all above a mark, the mark, and what it names."""
    taken: list[int] = []
    if pickletools.markobject in things:
        while (top := stack.pop()) != MARK:
            taken.append(top)
        things = things[: things.index(pickletools.markobject)]
    for _ in things:
        taken.append(stack.pop())
        if taken[-1] == MARK:
            raise ValueError("a mark stands where an object should")
    return taken


def written_out(parts: list[list[int]]) -> int:
    """Of how many parts the largest object consists, itself among them; one that holds itself has no end."""
    whole: dict[int, int] = {}
    for first in range(len(parts)):
        way = [first]
        opened: set[int] = set()
        while way:
            here = way[-1]
            if here in whole:
                way.pop()
            elif here in opened:
                whole[here] = min(
                    WRITTEN_OUT + 1, 1 + sum(whole.get(part, WRITTEN_OUT) for part in parts[here])
                )
                way.pop()
            else:
                opened.add(here)
                way += [part for part in parts[here] if part not in whole]
    return max(whole.values(), default=0)

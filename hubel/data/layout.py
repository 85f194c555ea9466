"""What a list of paths means: `cat/1.png` is of class cat; `train/cat/1.png` is besides in the part train.

One reading for folders on disk, for archives of them, and for two archives X-train and X-test.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from hubel.data import labels
from hubel.data.limits import DEPTH_AT_MOST
from hubel.data.pictures import header, looks_like_picture, printable
from hubel.data.records import Encoded, Problem, Source, Task, listing
from hubel.errors import DataError

PART_OF = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where one picture belongs. at: its position in the list of paths; part: "" where nothing says."""

    at: int
    path: str
    label: str
    part: str


def hidden(path: str) -> bool:
    """Files that systems leave behind and nobody means: .DS_Store, ._x.jpg, __MACOSX/, Thumbs.db."""
    whole = f"/{path}"
    return (
        "/." in whole or "/__MACOSX/" in f"{whole}/" or whole.lower().endswith(("/thumbs.db", "/desktop.ini"))
    )


def unsafe(name: str) -> str | None:
    """Why a member's name cannot be used: mostly as it points out of its archive. None if it can."""
    if name.count("/") > DEPTH_AT_MOST:
        return f"more than {DEPTH_AT_MOST} folders deep"
    if name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:[\\/]", name):
        return "an absolute path"
    return "a path that leaves the archive by '..'" if ".." in re.split(r"[\\/]", name) else None


def arrange(paths: Sequence[str], where: str) -> tuple[list[Place], list[Problem]]:
    """The pictures among `paths` ("/" between the pieces), each with class and part, sorted by path.

    A folder around everything ("dataset/cat/1.png") is looked through. Below its class, a picture may lie at
    any depth. Raises DataError when there is no class folder at all.
    """
    folders: dict[str, list[int]] = {}  # what is said of a folder holds for all the files in it
    for at, path in enumerate(paths):
        if path and not hidden(path):
            folders.setdefault(path.rpartition("/")[0], []).append(at)
    pieces = {folder: tuple(folder.split("/")) if folder else () for folder in folders}
    around = depth_of_wrapping(
        [pieces[f] for f, inside in folders.items() if any(looks_like_picture(paths[at]) for at in inside)]
    )
    tops = {p[around].casefold() for p in pieces.values() if len(p) > around + 1}
    in_parts = any(top in PART_OF for top in tops)

    places: list[Place] = []
    problems: list[Problem] = []
    for folder, inside in folders.items():
        rest = pieces[folder][around:]
        part = PART_OF.get(rest[0].casefold(), "") if in_parts and rest else ""
        astray = "beside the folders train, val and test" if in_parts and not part else ""
        label = "".join(rest[1:2] if in_parts else rest[:1])
        for at in inside:
            path = paths[at]
            if not looks_like_picture(path):
                if rest:  # a README beside the class folders is no item
                    problems.append(Problem(printable(path), "not a picture by its name"))
            elif astray or not label:
                problems.append(Problem(printable(path), astray or "not in a class folder"))
            else:
                places.append(Place(at, path, label, part))
    if not places:
        raise DataError(no_classes(where, sum(map(len, folders.values())), problems))
    places.sort(key=lambda place: place.path)
    return places, problems


def depth_of_wrapping(folders: Sequence[tuple[str, ...]]) -> int:
    """How many folders lie around everything before the classes or the parts begin.

    folders: those that hold pictures, in pieces
    """
    depth = 0
    while folders:
        tops = {f[depth] for f in folders if len(f) > depth + 1}
        if (
            len(tops) != 1
            or any(len(f) <= depth + 1 for f in folders)
            or next(iter(tops)).casefold() in PART_OF
        ):
            break
        depth += 1
    return depth


def no_classes(where: str, files: int, problems: Sequence[Problem]) -> str:
    loose = sum(p.reason == "not in a class folder" for p in problems)
    if loose:
        return f"{where} holds {loose} pictures but no class folders. Put each class into its own: cat/1.png"
    found = f"{files} files, but no picture in a class folder" if files else "nothing"
    return f"{where} holds {found}. Expected are class folders of pictures (cat/1.png), or train/cat/1.png"


def source_of(
    places: Sequence[Place],
    problems: Sequence[Problem],
    rows: Encoded,
    *,
    name: str,
    location: str,
    task: Task | None,
) -> Source:
    """The Source of pictures in class folders. rows: its item i is places[i]."""
    marked = labels.from_text([place.label for place in places], task or "classify", location)
    items = [printable(place.path) for place in places]
    check_unique(items, location)
    parts = np.array([place.part for place in places], "<U5")
    # A test part is not looked into, not even at headers, while there is anything else.
    looked_at = np.flatnonzero(parts != "test")
    shape, uniform = natural(rows.sample(looked_at if len(looked_at) else np.arange(len(places))))
    notes = alone(places) if marked.task == "classify" else []
    return Source(
        name, location, "picture", marked.task, marked.classes, items, marked.targets, parts, shape, rows,
        uniform, problems=(*problems, *notes),
    )  # fmt: skip


def natural(heads: Iterable[bytes | str]) -> tuple[tuple[int, int, int], bool]:
    """((C, H, W), whether all have this H and W) of the pictures looked at.

    C = 1 only if all are grey. The commonest size if nine in ten have it; else a square of the median shorter
    side, in steps of 8 and at most 224, the input of most networks for photographs.
    """
    seen = [found for found in map(header, heads) if found]
    if not seen:
        return (3, 32, 32), False
    C = 1 if all(grey for _, _, grey in seen) else 3
    (size, n), *_ = Counter((h, w) for h, w, _ in seen).most_common(1)
    if n >= 0.9 * len(seen):
        return (C, *size), n == len(seen)
    side = int(np.median([min(h, w) for h, w, _ in seen]))
    side = min(224, max(8, side // 8 * 8))
    return (C, side, side), False


def alone(places: Sequence[Place]) -> list[Problem]:
    """Classes with a single picture, which is worth knowing."""
    return [
        Problem(printable(label), "a class of one picture: it can be learnt from, but nothing tests it")
        for label, n in Counter(place.label for place in places).items()
        if n == 1
    ]


def check_unique(names: Sequence[str], where: str) -> None:
    """Items are told apart by name; two of one name would be one item in two parts."""
    if len(set(names)) == len(names):
        return
    twice = [name for name, n in Counter(names).items() if n > 1]
    raise DataError(f"{where}: several items are called {listing(twice)}. Give each its own name.")

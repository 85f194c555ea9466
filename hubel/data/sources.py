"""From what the user says, a name or a path, to a Source.

A known name always means that data set: a folder of your own that is called mnist is said as ./mnist. It is
looked for in $HUBEL_DATA/<name>/, in the user's cache, and is else downloaded. Anything else is a path, or
the name of a folder in $HUBEL_DATA.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hubel.data import archive, builtin, cifar, folder, idx, npz, parquet, places, shards, table
from hubel.data.pictures import printable
from hubel.data.records import Source, Task, listing
from hubel.errors import DataError, UnknownName

BUILT_IN: Mapping[str, Callable[[Task | None], Source]] = {
    "digits": builtin.digits,
    "points": builtin.points,
    "sum-below-one": builtin.sum_below_one,
}
PUBLISHED = ("mnist", "fashion-mnist", "cifar10")
NAMES = (*BUILT_IN, *PUBLISHED)

FASHION = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip

# What a known data set is best trained with, where the user has set nothing: the network, and settings per network.
PHOTOS = {"rotate": 0.0, "scale": 0.0, "shift": 0.0, "flip": True, "mirror": True}
HINTS: dict[str, dict[str, Any]] = {
    # Clothes ask for more maps at full size than digits do.
    "fashion-mnist": {"network": "fast-pictures", "fast-pictures": {**PHOTOS, "crop": 2, "epochs": 10}},
    "cifar10": {
        "network": "strong-pictures",
        "strong-pictures": {**PHOTOS, "crop": 2},
        "fast-pictures": {**PHOTOS, "crop": 4},
    },
}


def open_source(location: str | Path | Source, *, task: Task | None = None) -> Source:
    """List what lies at `location`, without decoding any picture or opening the pixels of a test part.

    location: a known name; a folder of class folders, of IDX files, of CIFAR-10, of X-train and X-test
        archives, of shards, or of one file; a .tar, .tar.gz, .tgz, .zip, .npz, .csv, .tsv or
        .parquet file; the address of shards or of Parquet files
    task: what to make of the labels; by default real-valued ones are a regression
    Raises UnknownName when there is nothing of that name or path, DataError when it cannot be used.
    """
    if isinstance(location, Source):
        return location
    said = str(location)
    if said in BUILT_IN:
        source = BUILT_IN[said](task)
    elif said in PUBLISHED:
        source = replace(open_place(published(said), said, task), location=said)
    elif places.remote(said):
        source = open_address(said, task)
    else:
        path = resolve(said)
        source = open_place(path, short_name(path), task)
    return replace(source, hints=HINTS.get(source.name, {}))


def open_address(said: str, task: Task | None) -> Source:
    """Shards or Parquet files that lie elsewhere: s3://bucket/shards, or one of them."""
    place = said.rstrip("/")
    last = place.rpartition("/")[2].removesuffix(shards.ENDING).removesuffix(parquet.ENDING)
    name = re.sub(r"[^\w.-]+", "-", last).strip(".-") or "data"
    if place.lower().endswith(parquet.ENDING):
        return parquet.open_parquet(place, name=name, task=task)
    if shards.are_shards(place):
        return shards.open_shards(place, name=name, task=task)
    if parquet.are_parquet(place):
        return parquet.open_parquet(place, name=name, task=task)
    raise DataError(
        f"{places.shown(said)} holds no shards and no Parquet files; from an address only these are read. Pack the "
        "data here with `hubel data pack`, and copy the folder there"
    )


def published(name: str) -> Path:
    """The folder of a published data set: $HUBEL_DATA/<name>, the user's cache, or a download to there."""
    from hubel.data import download

    for here in (in_hubel_data(name), download.cache_folder(name)):
        if here is not None and here.is_dir() and complete(here):
            return here
    return download.fetch(name)


def in_hubel_data(name: str) -> Path | None:
    root = os.environ.get("HUBEL_DATA")
    return Path(root).expanduser().absolute() / name if root else None


def complete(place: Path) -> bool:
    """The folder has the files of a published data set, in any of the layouts that are read."""
    parts = {match["part"].lower() for path in place.iterdir() if (match := idx.NAME.fullmatch(path.name))}
    return (
        {"train", "t10k"} <= parts or cifar.find_cifar(place) is not None or bool(archive.find_parts(place))
    )


def resolve(said: str) -> Path:
    """The path that the user means."""
    path = Path(said).expanduser()
    if path.exists():
        return path.absolute()
    below = in_hubel_data(said) if re.fullmatch(r"[\w.-]+", said) else None
    if below is not None and below.exists():
        return below
    if re.search(r"[/\\]|\.(tar|gz|tgz|zip|npz|csv|tsv)$", said):
        raise DataError(f"there is no file or folder {printable(str(path.absolute()))}")
    raise UnknownName(
        "data set",
        printable(said),
        NAMES,
        hint=f"Nor is there a file or folder of that name in {Path.cwd()}.",
    )


def short_name(path: Path) -> str:
    """A path's name without its ending, of letters, digits, dot, dash and underscore: for run folders."""
    name = path.name or path.resolve().name
    if path.is_file():
        name = name[: len(name) - len(archive.ending(path))] if archive.ending(path) else path.stem
    return re.sub(r"[^\w.-]+", "-", name).strip(".-") or "data"


def open_place(path: Path, name: str, task: Task | None) -> Source:
    """A Source from a path that exists."""
    if path.is_dir():
        return open_directory(path, name, task)
    if not path.is_file():
        raise DataError(
            f"{printable(str(path))} is a pipe or a device, not a data set; name a file or a folder"
        )
    if archive.ending(path):
        if path.name.lower() == cifar.ARCHIVE:
            return cifar.open_cifar(path, name=name, location=str(path), task=task)
        if archive.ending(path) == shards.ENDING and shards.are_shards(str(path)):
            return shards.open_shards(str(path), name=name, task=task)
        return archive.open_archive(path, name=name, task=task)
    if path.suffix.lower() == ".npz":
        return npz.open_npz(path, name=name, task=task)
    if path.suffix.lower() in (".csv", ".tsv"):
        return table.open_table(path, name=name, task=task)
    if path.suffix.lower() == parquet.ENDING:
        return parquet.open_parquet(str(path), name=name, task=task)
    hint = " Give the folder that it lies in." if idx.is_idx(path) else ""
    raise DataError(
        f"{printable(str(path))} is no data set by its name; read are folders, "
        f"{', '.join(archive.ENDINGS)}, .npz, .csv, "
        f".tsv and {parquet.ENDING}.{hint}"
    )


def open_directory(path: Path, name: str, task: Task | None) -> Source:
    """Shards, IDX files, CIFAR-10, archives of train and test, class folders, or one file that is a data set."""
    if not os.access(path, os.R_OK | os.X_OK):
        raise DataError(f"the folder {printable(str(path))} may not be read: its permissions forbid it")
    if shards.are_shards(str(path)):
        return shards.open_shards(str(path), name=name, task=task)
    inside = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    if any(idx.is_idx(entry) for entry in inside):
        fashion = re.search(r"fashion[-_ ]?mnist", path.name + " " + name, re.I)
        return idx.open_idx(
            path, name=name, location=str(path), task=task, classes=FASHION if fashion else ()
        )
    official = cifar.find_cifar(path)
    if official:
        return cifar.open_cifar(official, name=name, location=str(path), task=task)
    parts = archive.find_parts(path)
    if parts:
        return archive.open_parts(parts, name=name, location=str(path), task=task)
    if parquet.are_parquet(str(path)):
        return parquet.open_parquet(str(path), name=name, task=task)
    single = [e for e in inside if archive.ending(e) or e.suffix.lower() in (".npz", ".csv", ".tsv")]
    if not any(entry.is_dir() for entry in inside) and single:
        if len(single) == 1:
            return open_place(single[0], short_name(single[0]), task)
        raise DataError(
            f"{printable(str(path))} holds several data sets: {listing([e.name for e in single])}. Name one "
            "of them."
        )
    return folder.open_folder(path, name=name, task=task)

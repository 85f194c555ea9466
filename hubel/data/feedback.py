"""People's corrections: pictures with the label that they should have had, kept in a database, and learnt from.

A row per picture and run: what the network saw (as PNG), the right label, what was answered instead. Whoever corrects
the same picture again replaces the row. SQLite in a folder by default; PostgreSQL, or any database that SQLAlchemy
knows, by its URL.
Corrections of pictures of the test part are kept, too, but never learnt from: it could measure nothing any more.
"""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hubel.data.pictures import printable
from hubel.data.preprocess import Preprocess
from hubel.data.records import Split, listing
from hubel.errors import ArtifactError, DataError, HubelError, InputError, MissingExtra

FILE = "feedback.sqlite"  # in the folder that is named
TRIES = 5  # to keep a correction, where others keep one of the same picture at the same moment
POSTGRES = r"postgres(ql)?://"  # without a driver


@dataclass(frozen=True)
class Correction:
    """picture: PNG   label: what it is   answer: what the run `model` said   sample: its name in a test part, if any"""

    picture: bytes
    label: str
    answer: str
    model: str
    sample: str = ""


@dataclass(frozen=True)
class Learnt:
    """items: to train on   left_out: how many corrections were of the test part"""

    items: Split
    left_out: int


class Store:
    """The corrections at a place: a folder, or the URL of a database. Raises InputError where it cannot be opened.

    make: whether a new one is begun where there is none
    """

    def __init__(self, place: str, *, make: bool = False) -> None:
        try:
            import sqlalchemy as sql
        except ImportError as e:
            raise MissingExtra("sqlalchemy", "serve", "keeping and reading feedback") from e
        self.place, self._sql = place, sql
        self._table = sql.Table(
            "corrections", sql.MetaData(),
            sql.Column("id", sql.Integer, primary_key=True),
            sql.Column("made", sql.DateTime, nullable=False),             # UTC
            sql.Column("model", sql.String(200), nullable=False),
            sql.Column("digest", sql.String(64), nullable=False),         # SHA-256 of the picture
            sql.Column("label", sql.String(500), nullable=False),
            sql.Column("answer", sql.String(500), nullable=False),
            sql.Column("sample", sql.String(500), nullable=False),
            sql.Column("picture", sql.LargeBinary, nullable=False),
            sql.UniqueConstraint("model", "digest"),
        )  # fmt: skip
        try:
            # A database may have begun anew since it was last asked; that is found out before the next question.
            self._engine = sql.create_engine(url_of(place, make=make), pool_pre_ping=True)
            if make:
                self._table.metadata.create_all(self._engine)
            if "corrections" in sql.inspect(self._engine).get_view_names():
                # A view is a program: it could run for ever.
                raise InputError(
                    f"no feedback can be read from {shown(place)}: its corrections are a view and no table. Name the "
                    "database that holds them"
                )
            with self._engine.connect() as open_:
                open_.execute(sql.select(self._table.c.id).limit(1))
        except ImportError as e:
            if e.name == "psycopg":
                raise MissingExtra("psycopg", "postgres", f"feedback at {shown(place)}") from e
            raise InputError(
                f"{shown(place)} needs the driver {e.name}, which is not installed: install the package that has it, "
                "or name a folder, which needs none"
            ) from e
        except HubelError:
            raise
        except (
            Exception
        ) as e:  # a database may be a stranger's file, and its driver then fails in its own ways
            raise InputError(
                f"no feedback can be kept at, or read from, {shown(place)}: {_first_line(e)}"
            ) from e

    def keep(self, correction: Correction) -> int:
        """Its number. Raises ArtifactError where the database refuses, as `count` does."""
        digest = hashlib.sha256(correction.picture).hexdigest()
        table, now = self._table, datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        row = {
            "made": now, "model": correction.model, "digest": digest, "label": correction.label,
            "answer": correction.answer, "sample": correction.sample, "picture": correction.picture,
        }  # fmt: skip
        for left in reversed(range(TRIES)):
            try:
                with self._asked("kept") as open_:
                    open_.execute(
                        table.delete().where(table.c.model == correction.model, table.c.digest == digest)
                    )
                    (number,) = open_.execute(table.insert().values(row)).inserted_primary_key or (0,)
                    return int(number)
            except ArtifactError as e:
                # Unless another process was quicker: its row is there now, and can be replaced.
                if not left or not isinstance(e.__cause__, self._sql.exc.IntegrityError):
                    raise
        raise AssertionError("the last try returns or raises")

    def count(self) -> int:
        with self._asked("counted") as open_:
            return int(
                open_.execute(self._sql.select(self._sql.func.count()).select_from(self._table)).scalar_one()
            )

    @contextmanager
    def _asked(self, what: str) -> Iterator[Any]:
        try:
            with self._engine.begin() as open_:
                yield open_
        except self._sql.exc.SQLAlchemyError as e:
            raise ArtifactError(
                f"corrections could not be {what} at {shown(self.place)}: {_first_line(e)}"
            ) from e

    def corrections(self) -> list[Correction]:
        """All, in the order in which they came."""
        c = self._table.c
        found = []
        try:
            with self._engine.connect() as open_:
                rows = open_.execute(
                    self._sql.select(c.picture, c.label, c.answer, c.model, c.sample).order_by(c.id)
                )
                for number, row in enumerate(rows, 1):
                    if not isinstance(row[0], bytes) or not all(isinstance(text, str) for text in row[1:]):
                        raise ArtifactError(
                            f"the feedback at {shown(self.place)} is damaged: its correction {number} is no picture "
                            "with names. Take that row out, or leave this feedback out"
                        )
                    found.append(Correction(*row))
        except HubelError:
            raise
        except Exception as e:  # as above
            raise ArtifactError(
                f"the feedback at {shown(self.place)} cannot be read: {_first_line(e)}"
            ) from e
        return found

    def close(self) -> None:
        self._engine.dispose()


def url_of(place: str, *, make: bool = False) -> str:
    """The database's URL. Raises InputError for a folder without corrections where none is to be made."""
    if re.match(POSTGRES, place):
        return re.sub(POSTGRES, "postgresql+psycopg://", place, count=1)
    if re.match(r"[a-z][\w+]*://", place):
        return place
    folder = Path(place)
    file = folder if folder.is_file() else folder / FILE
    if make:
        folder.mkdir(parents=True, exist_ok=True)
    elif not file.is_file():
        raise InputError(
            f"there is no feedback at {place}: {file} is not there; `hubel serve RUN --feedback {place}` keeps some"
        )
    return f"sqlite:///{file.absolute()}"


def learnt_from(place: str, classes: Sequence[str], preprocess: Preprocess) -> Learnt:
    """The corrections at `place` as items to train on. Raises DataError for a label that is none of the classes."""
    store = Store(place)
    try:
        every = store.corrections()
    finally:
        store.close()
    found = [one for one in every if not one.sample]
    strangers = sorted({one.label for one in found} - set(classes))
    if strangers:
        raise DataError(
            f"the feedback at {shown(place)} has the label {listing(strangers)}, the data has {listing(classes, 20)}"
        )
    index = {name: k for k, name in enumerate(classes)}
    names = [f"feedback/{n:05d}" for n in range(len(found))]
    inputs = [preprocess.picture(one.picture, name=name) for name, one in zip(names, found, strict=True)]
    stacked = np.stack(inputs) if inputs else np.empty((0, *preprocess.shape), np.uint8)
    targets = np.array([index[one.label] for one in found], np.int64)
    return Learnt(Split(stacked, targets, names), len(every) - len(found))


def joined(a: Split, b: Split) -> Split:
    """The items of both, those of `a` first. All of them are then in memory."""
    return Split(
        np.concatenate([a.inputs, b.inputs]), np.concatenate([a.targets, b.targets]), [*a.items, *b.items]
    )


def shown(place: str) -> str:
    """Without a password."""
    return re.sub(r"(://[^:/@]*):[^@/]*@", r"\1:…@", place)


def _first_line(e: Any) -> str:
    return printable(str(getattr(e, "orig", None) or e).partition("\n")[0])[:200]

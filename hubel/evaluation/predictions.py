"""The answers of a network, item by item, in hand and on disk.

On disk they are predictions.csv, a line per item, and probabilities.npy, up to DENSE_CLASSES classes.
In hand only the five best answers are always there: 10,000 classes times 100,000 items need no 4 GB matrix.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from hubel import metrics
from hubel.data import npy
from hubel.errors import ArtifactError, InputError
from hubel.files import must_be_file, write_together

BEST = 5  # answers kept of each item: what predictions.csv names
DENSE_CLASSES = 1000  # up to here every probability is kept
BLOCK = 250_000  # logits looked at together: 1 MB stays in a processor's cache, which takes half of the time
HEADER = ("item", "label", "answer", "p", "loss", *(f"top{place}" for place in range(2, BEST + 1)))
CSV, NPY = "predictions.csv", "probabilities.npy"


@dataclass(frozen=True)
class Predictions:
    """What a classifier answered.

    items: a name per row   labels: (N,) int64, -1 is unknown   classes: K names
    top: (N, min(5, K)) int64, classes best first
    top_p: their probabilities, float32, NaN where the file has none
    loss: (N,) float32, cross-entropy in nats, NaN where the label is unknown
    probabilities: (N, K) float32, or None above DENSE_CLASSES
    """

    items: Sequence[str]
    labels: np.ndarray
    top: np.ndarray
    top_p: np.ndarray
    loss: np.ndarray
    classes: tuple[str, ...]
    probabilities: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.items)

    @property
    def answers(self) -> np.ndarray:
        """(N,) int64: the most probable class, among equals the first."""
        return self.top[:, 0]

    @property
    def p(self) -> np.ndarray:
        """(N,) float32: the probability given to the answer."""
        return self.top_p[:, 0]

    @cached_property
    def known(self) -> np.ndarray:
        """(N,) bool: items whose class is known; only these are measured."""
        return self.labels >= 0

    @cached_property
    def right(self) -> np.ndarray:
        """(N,) bool; False where the class is unknown."""
        return self.known & (self.answers == self.labels)

    @staticmethod
    def from_logits(
        items: Sequence[str],
        labels: np.ndarray,
        logits: np.ndarray | Iterable[np.ndarray],
        classes: Sequence[str],
    ) -> Predictions:
        """logits: (N, K), or the same rows in pieces, which are then never together in memory."""
        classes = tuple(classes)
        labels = np.asarray(labels, dtype=np.int64)
        pieces = [logits] if isinstance(logits, np.ndarray) else logits
        N, K = len(items), len(classes)
        # Room for all from the start: small arrays left between large ones that go would hold their place in memory.
        top = np.empty((N, min(BEST, K)), np.int64)
        top_p, loss = np.empty(top.shape, np.float32), np.empty(N, np.float32)
        probabilities = np.empty((N, K), np.float32) if K <= DENSE_CLASSES else None
        at_once = max(1, BLOCK // max(1, K))
        blocks = (piece[n : n + at_once] for piece in pieces for n in range(0, max(1, len(piece)), at_once))
        start = 0
        for block in blocks:
            z = np.asarray(block, dtype=np.float32)  # (n, K)
            here = slice(start, start + len(z))
            _check(z, items[here], K)
            start += len(z)
            if start > min(N, len(labels)):
                continue  # counted, for the message
            known = labels[here]
            top[here] = metrics.best(z, top.shape[1])
            logs = metrics.log_sum_exp(z)[:, None]  # (n, 1): exp(z - logs) is the softmax
            loss[here] = np.where(known >= 0, logs[:, 0] - z[np.arange(len(z)), known], np.nan)
            top_p[here] = np.exp(np.take_along_axis(z, top[here], 1) - logs)
            if probabilities is not None:
                probabilities[here] = np.exp(z - logs)
        if start != N or start != len(labels):
            raise InputError(f"{start} rows of logits for {N} items and {len(labels)} labels")
        return Predictions(tuple(items), labels, top, top_p, loss, classes, probabilities)

    def save(self, folder: Path) -> None:
        """Write predictions.csv and, up to DENSE_CLASSES classes, probabilities.npy into the folder."""
        write_together(folder, self.files())

    def files(self) -> dict[str, bytes | None]:
        """What save() writes, by name; None for probabilities of an earlier time, when there were fewer classes."""
        dense = None
        if self.probabilities is not None:
            packed = io.BytesIO()
            np.save(packed, self.probabilities, allow_pickle=False)
            dense = packed.getvalue()
        return {NPY: dense, CSV: _table(HEADER, self._rows())}

    def _rows(self) -> Iterable[list[str]]:
        if "" in self.classes:
            raise InputError(
                f"class {list(self.classes).index('')} has an empty name, as unknown ones have: give it another"
            )
        names = self.classes
        # float32 as text is the shortest that reads back to the same bits.
        p, loss = self.p.astype(str), self.loss.astype(str)
        empty = [""] * (BEST - self.top.shape[1])
        columns = zip(self.items, self.labels.tolist(), self.top.tolist(), p, loss, strict=True)
        for item, label, top, p_of, loss_of in columns:
            best = [names[k] for k in top]
            known = (names[label], str(loss_of)) if label >= 0 else ("", "")
            yield [item, known[0], best[0], str(p_of), known[1], *best[1:], *empty]

    @staticmethod
    def load(folder: Path, classes: Sequence[str]) -> Predictions:
        """Read back what save() wrote; a damaged file is an ArtifactError that names the line."""
        path, classes = folder / CSV, tuple(classes)
        index = {name: k for k, name in enumerate(classes)}
        k = min(BEST, len(classes))
        items: list[str] = []
        labels, top, p, loss = [], [], [], []
        for line, fields in _read_table(path, HEADER):
            try:
                items.append(fields[0])
                labels.append(index[fields[1]] if fields[1] else -1)
                top.append([index[name] for name in (fields[2], *fields[5 : 4 + k])])
                p.append(_share(fields[3]))
                loss.append(float(fields[4]) if fields[4] else np.nan)
            except KeyError as e:
                raise ArtifactError(f"{path}, line {line}: the run has no class {e.args[0]!r}") from None
            except ValueError as e:
                raise ArtifactError(f"{path}, line {line}: {e}. `hubel evaluate` writes it anew") from None
        best = np.array(top, dtype=np.int64).reshape(-1, k)
        probabilities = _read_probabilities(folder / NPY, (len(items), len(classes)))
        if probabilities is None:
            top_p = np.full(best.shape, np.nan, dtype=np.float32)
            top_p[:, 0] = p
        else:
            top_p = np.take_along_axis(probabilities, best, 1)
            if not np.allclose(top_p[:, 0], p, atol=1e-5):  # killed between the two, or copied together
                raise ArtifactError(
                    f"{folder / NPY} and {CSV} are not of one evaluation: `hubel evaluate` writes both anew"
                )
        return Predictions(
            tuple(items),
            np.array(labels, dtype=np.int64),
            best,
            top_p,
            np.array(loss, dtype=np.float32),
            classes,
            probabilities,
        )


@dataclass(frozen=True)
class Values:
    """What a regression answered. items: a name per row   targets, answers: (N, T) float32"""

    items: Sequence[str]
    targets: np.ndarray
    answers: np.ndarray

    def __len__(self) -> int:
        return len(self.items)

    @property
    def loss(self) -> np.ndarray:
        """(N,) float32: squared error of each item, the mean over its columns."""
        return np.square(self.answers - self.targets).mean(1)

    @staticmethod
    def header(columns: int) -> tuple[str, ...]:
        """item,target,answer,loss; with several columns target1,target2,…,answer1,answer2,…"""
        number = [""] if columns == 1 else [str(c + 1) for c in range(columns)]
        return ("item", *(f"target{c}" for c in number), *(f"answer{c}" for c in number), "loss")

    def save(self, folder: Path) -> None:
        """Write predictions.csv into the folder."""
        write_together(folder, self.files())

    def files(self) -> dict[str, bytes | None]:
        """What save() writes, by name."""
        numbers = np.concatenate([self.targets, self.answers, self.loss[:, None]], 1).astype(np.float32)
        rows = ([item, *row.astype(str).tolist()] for item, row in zip(self.items, numbers, strict=True))
        return {CSV: _table(self.header(self.targets.shape[1]), rows)}

    @staticmethod
    def load(folder: Path, columns: int) -> Values:
        """Read back what save() wrote; a damaged file is an ArtifactError that names the line."""
        path = folder / CSV
        items, numbers = [], []
        for line, fields in _read_table(path, Values.header(columns)):
            try:
                items.append(fields[0])
                numbers.append([float(field) for field in fields[1:]])
            except ValueError as e:
                raise ArtifactError(f"{path}, line {line}: {e}. `hubel evaluate` writes it anew") from None
        both = np.array(numbers, dtype=np.float32).reshape(-1, 2 * columns + 1)
        return Values(tuple(items), both[:, :columns], both[:, columns:-1])


def _share(text: str) -> float:
    p = float(text)
    if not 0 <= p <= 1:
        raise ValueError(f"p is {text!r}, not a probability")
    return p


def _check(z: np.ndarray, items: Sequence[str], classes: int) -> None:
    if z.ndim != 2 or z.shape[1] != classes:
        raise InputError(
            f"the network gives logits {z.shape}, but ({len(items)}, {classes}) are wanted, one for each class"
        )
    broken = np.flatnonzero(~np.isfinite(z).all(1))
    if len(broken):
        raise ArtifactError(
            f"the network answers {len(broken)} items with NaN or infinity, first {items[broken[0]]!r}: "
            "its weights are damaged or its training diverged"
        )


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """A CSV as RFC 4180 has it, names defused. File names that are not UTF-8 keep their bytes."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([defused(cell) for cell in row] for row in rows)
    return text.getvalue().encode("utf-8", "surrogateescape")


_SUSPICIOUS = frozenset("'=+-@\t\r\n＝＋－＠")  # which few cells begin with
# What a spreadsheet takes for the beginning of a formula, the wide forms as well; behind quotes that we put there.
_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*(e[+-]?\d+)?|inf|nan)", re.IGNORECASE)


def defused(cell: str) -> str:
    """A name that a spreadsheet would run as a formula gets a quote in front, by which it is text. Numbers stay."""
    if cell[:1] not in _SUSPICIOUS:
        return cell
    return f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


def plain(cell: str) -> str:
    """What was written as defused(cell): of each name exactly one text comes, so that it can be undone."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _read_table(path: Path, header: Sequence[str]) -> Iterable[tuple[int, list[str]]]:
    """(line number, fields) of every row; the header and the number of fields are what they should be."""
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            rows = csv.reader(file, strict=True)
            for fields in rows:
                where = f"{path}, line {rows.line_num}"
                if rows.line_num == 1 and fields != list(header):
                    raise ArtifactError(
                        f"{where}: the header is {','.join(fields)!r}, not {','.join(header)!r}"
                    )
                if len(fields) != len(header):
                    raise ArtifactError(f"{where}: {len(fields)} fields instead of {len(header)}")
                if rows.line_num > 1:
                    yield rows.line_num, [plain(field) for field in fields]
            if rows.line_num == 0:
                raise ArtifactError(f"{path} is empty: `hubel evaluate` writes it anew")
    except csv.Error as e:
        raise ArtifactError(f"{path}, line {rows.line_num}: {e}. `hubel evaluate` writes it anew") from None
    except OSError as e:
        raise ArtifactError(f"cannot read {path}: {e.strerror}. `hubel evaluate` writes it anew") from None


def _read_probabilities(path: Path, shape: tuple[int, int]) -> np.ndarray | None:
    if not path.exists():
        return None
    must_be_file(path)
    try:
        with path.open("rb") as file:
            probabilities = npy.read(file, path.stat().st_size, str(path), ArtifactError)
    except OSError as e:
        raise ArtifactError(f"cannot read {path}: {e.strerror}. `hubel evaluate` writes it anew") from None
    if probabilities.shape != shape or probabilities.dtype != np.float32:
        raise ArtifactError(
            f"{path} holds {probabilities.shape} {probabilities.dtype}, but {CSV} says {shape} float32"
        )
    return probabilities

"""What a file of vectors says beside the numbers: which images its rows are, and where the numbers come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from featlib.features.vectors import Origin, VectorTable
from featlib.images import ImageItem, ImageProblem

LABEL_PREFIX = "label:"
PIECE_BYTES = 8 * 2**20  # of vectors that are in memory at once


class Row(NamedTuple):
    """One image of a file of vectors, good or bad.

    Attributes:
        id: its content digest; "" where it could not be read.
        name: its name.
        path: the file it came from, or "".
        labels: label column -> label.
        error: why it has no vector; None where it has one.
    """

    id: str
    name: str
    path: str
    labels: dict[str, str]
    error: str | None = None


@dataclass(frozen=True)
class VectorsOnDisk:
    """Rows of little-endian float32 in a file, read when they are asked for; a mapping would count as memory.

    Attributes:
        path: the file.
        offset: where the first row begins, in bytes.
        shape: (n, D).
    """

    path: Path
    offset: int
    shape: tuple[int, int]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(len(self))
        count, width = max(stop - start, 0), self.shape[1]
        found = np.fromfile(self.path, "<f4", count * width, offset=self.offset + 4 * width * start)
        return found.reshape(count, width)


@dataclass(frozen=True)
class Contents:
    """What a file of vectors is written from. It is gone through in pieces, so it may be larger than the memory.

    Attributes:
        origin: where the vectors come from.
        X: (n, D) float32, a row for each good image.
        label_columns: the columns of which any image has a label.
        rows: gives the images anew at each call, good and bad, in order.
    """

    origin: Origin
    X: np.ndarray | VectorsOnDisk
    label_columns: tuple[str, ...]
    rows: Callable[[], Iterator[Row]]

    @classmethod
    def of_table(cls, table: VectorTable) -> Contents:
        """The contents of vectors in memory; problems come after the good rows."""
        labels = {name: np.asarray(values, dtype=str).tolist() for name, values in table.labels.items()}

        def rows() -> Iterator[Row]:
            for number, (image, name) in enumerate(zip(table.ids, table.names, strict=False)):
                own = {column: plain_text(values[number]) for column, values in labels.items()}
                yield Row(image, plain_text(name), "", own)
            for problem in table.problems:
                yield Row("", plain_text(problem.name), "", {}, plain_text(problem.reason))

        return cls(table.origin, np.asarray(table.X, dtype="<f4"), tuple(labels), rows)

    def good(self) -> Iterator[Row]:
        """The images that have a vector, in order."""
        return (row for row in self.rows() if row.error is None)

    def bad(self) -> Iterator[Row]:
        """The images that have no vector, in order."""
        return (row for row in self.rows() if row.error is not None)

    def vectors(self) -> Iterator[np.ndarray]:
        """The vectors in pieces of (m, D)."""
        step = piece_rows(self.X.shape[1])
        for start in range(0, len(self.X), step):
            yield np.ascontiguousarray(self.X[start : start + step])


def piece_rows(width: int) -> int:
    """How many vectors of a width are handled at once."""
    return max(1, min(2**16, PIECE_BYTES // max(4 * width, 1)))


def pieces(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    """Splits rows into lists of at most `size`."""
    while piece := list(islice(rows, size)):
        yield piece


def plain_text(text: str) -> str:
    """Returns a text that every format can hold: no zero characters, nothing that UTF-8 lacks."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def row_of(image: ImageItem | ImageProblem) -> Row:
    """The row that tells of an image, good or bad."""
    if isinstance(image, ImageProblem):
        return Row("", plain_text(image.name), "", {}, plain_text(image.reason))
    labels = {plain_text(column): plain_text(label) for column, label in image.labels.items()}
    path = "" if image.path is None else plain_text(str(image.path))
    return Row(image.id, plain_text(image.name), path, labels)

"""What a vector file holds: its images, their vectors, and where the vectors come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np

from featlib.features.vectors import Origin, VectorTable
from featlib.images import ImageItem, ImageProblem

LABEL_PREFIX = "label:"
PIECE_BYTES = 8 * 2**20  # of vectors in memory at once


class Row(NamedTuple):
    """One image of a vector file, readable or not.

    Attributes:
        id: Its content digest; "" where it could not be read.
        name: Its name.
        path: The file it came from, or "".
        labels: Label column -> label.
        error: Why it has no vector; None where it has one.
    """

    id: str
    name: str
    path: str
    labels: dict[str, str]
    error: str | None = None

    @classmethod
    def of(cls, image: ImageItem | ImageProblem) -> Row:
        """Return the row of an image, readable or not."""
        if isinstance(image, ImageProblem):
            return cls("", plain_text(image.name), "", {}, plain_text(image.reason))
        labels = {plain_text(column): plain_text(label) for column, label in image.labels.items()}
        path = "" if image.path is None else plain_text(str(image.path))
        return cls(image.id, plain_text(image.name), path, labels)


Text = Callable[[Row], str]
PROBLEM_TEXTS: dict[str, Text] = {"problem_names": lambda row: row.name, "problem_reasons": lambda row: row.error or ""}


def label_text(column: str) -> Text:
    """Return the function from an image to its label in a column, "" where it has none."""
    return lambda row: row.labels.get(column, "")


@dataclass(frozen=True)
class VectorFileContents:
    """What a vector file is written from, in pieces, so that it may be larger than the memory.

    Attributes:
        origin: Where the vectors come from.
        shape: (n, D), n counting the images that have a vector.
        label_columns: The label columns; an image may lack some.
        rows: Returns all images in order at each call, readable or not.
        vectors: Returns the vectors at each call, in pieces of (m, D) float32.
    """

    origin: Origin
    shape: tuple[int, int]
    label_columns: tuple[str, ...]
    rows: Callable[[], Iterator[Row]]
    vectors: Callable[[], Iterator[np.ndarray]]

    @classmethod
    def of_rows(
        cls, origin: Origin, rows: Sequence[Row], X: np.ndarray, label_columns: tuple[str, ...]
    ) -> VectorFileContents:
        """Return the contents of rows and vectors in memory.

        Args:
            origin: Where the vectors come from.
            rows: Images in order, readable or not.
            X: (n, D), one row for each readable image.
            label_columns: The label columns.
        """
        X = np.ascontiguousarray(X, "<f4")
        step = piece_rows(len(origin.columns))
        pieces = lambda: (X[start : start + step] for start in range(0, len(X), step))  # noqa: E731
        return cls(origin, (len(X), len(origin.columns)), label_columns, lambda: iter(rows), pieces)

    @classmethod
    def of_table(cls, table: VectorTable) -> VectorFileContents:
        """Return the contents of vectors in memory; problems come after the readable images."""
        labels = {name: np.asarray(values, dtype=str).tolist() for name, values in table.labels.items()}
        rows = [
            Row(image, plain_text(name), "", {column: plain_text(values[i]) for column, values in labels.items()})
            for i, (image, name) in enumerate(zip(table.ids, table.names, strict=False))
        ]
        rows += map(Row.of, table.problems)
        return cls.of_rows(table.origin, rows, table.X, tuple(labels))

    def good(self) -> Iterator[Row]:
        """Return the images that have a vector, in order."""
        return (row for row in self.rows() if row.error is None)

    def bad(self) -> Iterator[Row]:
        """Return the images that have no vector, in order."""
        return (row for row in self.rows() if row.error is not None)

    def batches(self) -> Iterator[tuple[list[Row], np.ndarray]]:
        """Return a few images at a time, readable or not, with the vectors of those that have one.

        Raises:
            ValueError: There is not one vector for each readable image.
        """
        vectors, rest = self.vectors(), np.empty((0, self.shape[1]), np.float32)
        for rows in batched(self.rows(), piece_rows(self.shape[1])):
            good = sum(row.error is None for row in rows)
            while len(rest) < good and (piece := next(vectors, None)) is not None:
                rest = np.concatenate([rest, piece]) if len(rest) else piece
            if len(rest) < good:
                raise ValueError("fewer vectors than images")
            yield rows, rest[:good]
            rest = rest[good:]
        if len(rest) or next(vectors, None) is not None:
            raise ValueError("more vectors than images")


def piece_rows(width: int) -> int:
    """Return how many vectors of a width are in memory at once."""
    return max(1, min(2**16, PIECE_BYTES // max(4 * width, 1)))


def batched(rows: Iterator[Row], size: int = 10_000) -> Iterator[list[Row]]:
    """Split rows into lists of at most `size`."""
    while batch := list(islice(rows, size)):
        yield batch


def plain_text(text: str) -> str:
    """Replace what some format cannot hold: zero characters, and what UTF-8 lacks."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()

"""CSV files of vectors: one line per image, with its id, name, labels and numbers.

Texts that a spreadsheet would compute are escaped, since names come from other people's archives.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import BinaryIO

import numpy as np

from featlib.features.files.records import LABEL_PREFIX, Row, VectorFileContents
from featlib.text import escape_formula


def write_csv(contents: VectorFileContents, file: BinaryIO) -> None:
    """Write UTF-8 CSV: per vector its id, name, labels, model, fingerprint, layers, pooling and D values."""
    origin = contents.origin
    fixed = [
        escape_formula(text) for text in (origin.model, origin.fingerprint, "+".join(origin.layers), origin.pooling)
    ]
    values = ([*fixed, *_numbers(row)] for piece in contents.vectors() for row in piece)
    columns = ["model", "fingerprint", "layers", "pooling", *origin.columns]
    _write_rows(file, contents.label_columns, contents.good(), columns, values)


def write_coordinates(
    file: BinaryIO, label_columns: Sequence[str], rows: Iterable[Row], coordinates: np.ndarray
) -> None:
    """Write (n, 2) or (n, 3) coordinates of n images as UTF-8 CSV: id, name, labels, x, y (and z)."""
    columns = list("xyz"[: coordinates.shape[1]])
    _write_rows(file, label_columns, rows, columns, map(_numbers, coordinates))


def write_names(contents: VectorFileContents, file: BinaryIO) -> None:
    """Write which image each row of a bare array is: id, name and labels, as UTF-8 CSV."""
    _write_rows(file, contents.label_columns, contents.good(), [], ([] for _ in range(contents.shape[0])))


def _numbers(row: np.ndarray) -> list[str]:
    return [f"{value:.9g}" for value in row.tolist()]


def _cell(text: str) -> str:
    """Return the cell of a text; a carriage return, which many programs take for the end of the row, is replaced."""
    return escape_formula(text.replace("\r", "\N{REPLACEMENT CHARACTER}"))


def _write_rows(
    file: BinaryIO,
    label_columns: Sequence[str],
    rows: Iterable[Row],
    columns: Sequence[str],
    values: Iterable[Sequence[str]],
) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(text, lineterminator="\n")
    header = ["id", "name", *(f"{LABEL_PREFIX}{name}" for name in label_columns), *columns]
    writer.writerow(map(_cell, header))
    for row, own in zip(rows, values, strict=True):
        texts = [row.name, *(row.labels.get(name, "") for name in label_columns)]
        writer.writerow([row.id, *map(_cell, texts), *own])
    text.flush()
    text.detach()

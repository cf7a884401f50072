"""CSV files: a row an image, with its id, name, labels, and numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from featlib.features.files.records import LABEL_PREFIX, Contents


def write_csv(contents: Contents, file: BinaryIO) -> None:
    """Writes UTF-8 CSV: a row a vector, with its id, name, labels, model, fingerprint, layers, pooling and D values."""
    origin = contents.origin
    said = [origin.model, origin.fingerprint, "+".join(origin.layers), origin.pooling]
    rows = ([*said, *_numbers(row)] for piece in contents.vectors() for row in piece)
    write_rows(contents, file, ["model", "fingerprint", "layers", "pooling", *origin.columns], rows)


def write_coordinates(contents: Contents, file: BinaryIO, coordinates: np.ndarray) -> None:
    """Writes (n, 2) or (n, 3) coordinates as UTF-8 CSV: id, name, labels, x, y (and z)."""
    write_rows(contents, file, list("xyz"[: coordinates.shape[1]]), map(_numbers, coordinates))


def write_names(contents: Contents, path: Path) -> None:
    """Writes which image each row of a bare array is: id, name and labels, as UTF-8 CSV."""
    with path.open("wb") as file:
        write_rows(contents, file, [], ([] for _ in range(len(contents.X))))


def _numbers(row: np.ndarray) -> list[str]:
    return [f"{value:.9g}" for value in row.tolist()]


def write_rows(contents: Contents, file: BinaryIO, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Writes a header and, for each good image, its id, name and labels before what `rows` gives."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(text, lineterminator="\n")
    labels = contents.label_columns
    writer.writerow(["id", "name", *(f"{LABEL_PREFIX}{name}" for name in labels), *columns])
    for image, row in zip(contents.good(), rows, strict=True):
        writer.writerow([image.id, image.name, *(image.labels.get(name, "") for name in labels), *row])
    text.flush()
    text.detach()

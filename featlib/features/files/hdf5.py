"""HDF5 files of vectors, for other programs: they are written, and not read back."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from featlib.features.files.atomic import check_space
from featlib.features.files.records import (
    LABEL_PREFIX,
    PROBLEM_TEXTS,
    Row,
    Text,
    VectorFileContents,
    batched,
    label_text,
)

META = "featlib"
BYTES_PER_TEXT = 64  # besides its characters: a reference, and its share of a heap


def write_h5(contents: VectorFileContents, path: Path) -> None:
    """Write vectors as HDF5: X, ids, names, paths, label:<column>, problem_names, problem_reasons; featlib is JSON.

    Raises:
        OSError: The file cannot be written, or the disk has not enough space.
    """
    import h5py

    labels = {f"{LABEL_PREFIX}{column.replace('/', '_')}": column for column in contents.label_columns}
    if len(labels) < len(contents.label_columns):  # two names differ only in a slash
        labels = {f"{LABEL_PREFIX}{i}": column for i, column in enumerate(contents.label_columns)}
    good: dict[str, Text] = {
        "ids": lambda row: row.id,
        "names": lambda row: row.name,
        "paths": lambda row: row.path,
        **{name: label_text(column) for name, column in labels.items()},
    }
    # The HDF5 library crashes the process when the disk is full, so the space is checked first.
    columns = (good | PROBLEM_TEXTS).values()
    texts = sum(BYTES_PER_TEXT + 4 * len(text(row)) for row in contents.rows() for text in columns)
    check_space(path.parent, 4 * math.prod(contents.shape) + texts + 2**16)
    with h5py.File(path, "w") as file:
        file.create_dataset(META, data=json.dumps({"origin": contents.origin.to_json(), "labels": labels}))
        X = file.create_dataset("X", contents.shape, "<f4")
        start = 0
        for piece in contents.vectors():
            X[start : start + len(piece)] = piece
            start += len(piece)
        _write_texts(file, good, contents.shape[0], contents.good())
        _write_texts(file, PROBLEM_TEXTS, sum(1 for _ in contents.bad()), contents.bad())


def _write_texts(file: Any, columns: Mapping[str, Text], count: int, rows: Iterator[Row]) -> None:  # noqa: ANN401
    import h5py

    datasets = {name: file.create_dataset(name, (count,), h5py.string_dtype()) for name in columns}
    start = 0
    for batch in batched(rows):
        for name, text in columns.items():
            datasets[name][start : start + len(batch)] = [text(row) for row in batch]
        start += len(batch)
    if start != count:
        raise ValueError(f"{count} vectors for {start} images")

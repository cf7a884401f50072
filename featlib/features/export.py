"""Vectors <-> files. Each file says which images, layer and network its rows come from."""

from __future__ import annotations

import csv
import io
import os
import uuid
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from featlib.errors import FeatlibError
from featlib.features.vectors import VectorTable

LABEL_PREFIX = "label:"


def to_npz(table: VectorTable) -> bytes:
    """Writes vectors as a compressed NumPy archive: X, ids, names, label:<column>, columns, layers, pooling, …."""
    file = io.BytesIO()
    arrays = {
        "X": table.X,
        "ids": np.array(table.ids, dtype=str),
        "names": np.array(table.names, dtype=str),
        "columns": np.array(table.columns, dtype=str),
        "layers": np.array(table.layers, dtype=str),
        "pooling": np.array(table.pooling),
        "model": np.array(table.model),
        "fingerprint": np.array(table.fingerprint),
    }
    labels = {f"{LABEL_PREFIX}{name}": np.asarray(values, dtype=str) for name, values in table.labels.items()}
    np.savez_compressed(file, **{**arrays, **labels})  # type: ignore[arg-type]
    return file.getvalue()


def to_csv(table: VectorTable) -> bytes:
    """Writes vectors as UTF-8 CSV: a row an image, with its id, name, labels, model, layer, pooling and D values."""
    origin = [table.model, table.fingerprint, "+".join(table.layers), table.pooling]
    rows = ([*origin, *(f"{value:.9g}" for value in row)] for row in table.X)
    return _csv(table, ["model", "fingerprint", "layers", "pooling", *table.columns], rows)


def coordinates_to_csv(table: VectorTable, coordinates: np.ndarray) -> bytes:
    """Writes a projection of the vectors as UTF-8 CSV: a row an image, with its id, name, labels and x, y (and z).

    Args:
        table: the vectors that were projected.
        coordinates: (n, 2) or (n, 3), rows in the order of the vectors.
    """
    rows = ([f"{value:.9g}" for value in row] for row in coordinates)
    return _csv(table, list("xyz"[: coordinates.shape[1]]), rows)


def _csv(table: VectorTable, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    file = io.BytesIO()
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "name", *(f"{LABEL_PREFIX}{name}" for name in table.labels), *columns])
    for i, row in enumerate(rows):
        own = [str(values[i]) for values in table.labels.values()]
        writer.writerow([table.ids[i], table.names[i], *own, *row])
    text.flush()
    return file.getvalue()


# What reading a damaged archive has been seen to raise.
DAMAGE = (
    LookupError,
    ValueError,
    TypeError,
    OSError,
    EOFError,
    AttributeError,
    MemoryError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)

WRITERS = {".npz": to_npz, ".csv": to_csv}


def save_vectors(table: VectorTable, path: str | Path) -> Path:
    """Writes vectors to a file; its ending chooses the format.

    Args:
        table: from `extract_vectors`.
        path: ends in .npz or .csv.

    Returns:
        The path written.

    Raises:
        FeatlibError: another ending, the folder does not exist, or the file cannot be written.
    """
    path = check_destination(path, tuple(WRITERS))
    write_whole(path, WRITERS[path.suffix.lower()](table))
    return path


def check_destination(path: str | Path, endings: Sequence[str]) -> Path:
    """Checks, before any long work, that a file of this name can be meant.

    Args:
        path: the file to write.
        endings: the allowed endings, such as (".npz", ".csv").

    Returns:
        The path.

    Raises:
        FeatlibError: another ending, a folder of that name, or the folder around it does not exist.
    """
    path = Path(path)
    if path.suffix.lower() not in endings:
        raise FeatlibError(f"The file's name must end in {' or '.join(endings)}. Received: '{path.name}'.")
    if not path.parent.is_dir():
        raise FeatlibError(f"The folder '{path.parent}' does not exist. Create it, or choose another place.")
    if os.path.isdir(path):  # noqa: PTH112 - unlike Path's own, it never raises
        raise FeatlibError(f"'{path}' is a folder. Choose another name for the file.")
    return path


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file so that under its name there is never half of it, even when the work is interrupted.

    Raises:
        FeatlibError: the file cannot be written.
    """
    target = Path(os.path.realpath(path))  # a link stays a link
    part = target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        part.write_bytes(data)
        part.replace(target)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise FeatlibError(f"'{path}' cannot be written ({reason}). Choose another place.") from error
    finally:
        part.unlink(missing_ok=True)


def load_vectors(path: str | Path) -> VectorTable:
    """Reads an .npz file written by `save_vectors`. Nothing in the file is run.

    Raises:
        FeatlibError: no such file, or it does not hold featlib vectors.
    """
    path = Path(path)
    if not path.is_file():
        raise FeatlibError(f"No file at '{path}'. Write one with: featlib extract IMAGES -o {path.stem}.npz")
    try:
        with np.load(path, allow_pickle=False) as archive:
            data = {name: archive[name] for name in archive.files}
        return _table(data)
    except DAMAGE as error:
        raise FeatlibError(
            f"'{path.name}' does not hold vectors written by featlib ({error}). "
            "Allowed: an .npz file from 'featlib extract'."
        ) from error


def _table(data: dict[str, np.ndarray]) -> VectorTable:
    labels = {name.removeprefix(LABEL_PREFIX): data[name] for name in data if name.startswith(LABEL_PREFIX)}
    if {len(values) for values in (data["ids"], data["names"], *labels.values())} != {len(data["X"])}:
        raise ValueError("its columns are not equally long")
    return VectorTable(
        X=data["X"],
        ids=tuple(data["ids"].tolist()),
        names=tuple(data["names"].tolist()),
        labels=labels,
        columns=tuple(data["columns"].tolist()),
        layers=tuple(data["layers"].tolist()),
        pooling=str(data["pooling"]),
        model=str(data["model"]),
        fingerprint=str(data["fingerprint"]),
    )

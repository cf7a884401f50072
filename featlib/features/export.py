"""Vectors <-> files. Each file says which images, layer and network its rows come from."""

from __future__ import annotations

import csv
import io
import zipfile
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
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    labels = [f"{LABEL_PREFIX}{name}" for name in table.labels]
    writer.writerow(["id", "name", *labels, "model", "fingerprint", "layers", "pooling", *table.columns])
    origin = [table.model, table.fingerprint, "+".join(table.layers), table.pooling]
    for i, row in enumerate(table.X):
        own = [str(values[i]) for values in table.labels.values()]
        writer.writerow([table.ids[i], table.names[i], *own, *origin, *(f"{value:.9g}" for value in row)])
    return text.getvalue().encode()


WRITERS = {".npz": to_npz, ".csv": to_csv}


def save_vectors(table: VectorTable, path: str | Path) -> Path:
    """Writes vectors to a file; its ending chooses the format.

    Args:
        table: from `extract_vectors`.
        path: ends in .npz or .csv.

    Returns:
        The path written.

    Raises:
        FeatlibError: another ending, or the folder does not exist.
    """
    path = Path(path)
    if path.suffix.lower() not in WRITERS:
        raise FeatlibError(f"Vectors are written as {' or '.join(WRITERS)}. Received: '{path.name}'.")
    if not path.parent.is_dir():
        raise FeatlibError(f"The folder '{path.parent}' does not exist. Create it, or choose another place.")
    path.write_bytes(WRITERS[path.suffix.lower()](table))
    return path


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
    except (KeyError, ValueError, OSError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise FeatlibError(
            f"'{path.name}' does not hold vectors written by featlib ({error}). "
            "Allowed: an .npz file from 'featlib extract'."
        ) from error


def _table(data: dict[str, np.ndarray]) -> VectorTable:
    labels = {name.removeprefix(LABEL_PREFIX): data[name] for name in data if name.startswith(LABEL_PREFIX)}
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

"""Vectors <-> files. Each file says which images, layer and network its rows come from."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np

from featlib.errors import FeatlibError
from featlib.features.files.atomic import DAMAGE, check_destination, write_with
from featlib.features.files.csv import write_coordinates, write_csv, write_names
from featlib.features.files.hdf5 import write_h5
from featlib.features.files.npy import read_npz, write_npy, write_npz
from featlib.features.files.parquet import SHARDS, read_parquet, write_parquet
from featlib.features.files.records import Contents
from featlib.features.vectors import VectorTable
from featlib.text import natural_key


def to_npz(table: VectorTable) -> bytes:
    """Writes vectors as a NumPy archive: X, ids, names, label:<column>, columns, layers, pooling, …."""
    file = io.BytesIO()
    write_npz(Contents.of_table(table), file)
    return file.getvalue()


def to_csv(table: VectorTable) -> bytes:
    """Writes vectors as UTF-8 CSV: a row an image, with its id, name, labels, model, layer, pooling and D values."""
    file = io.BytesIO()
    write_csv(Contents.of_table(table), file)
    return file.getvalue()


def coordinates_to_csv(table: VectorTable, coordinates: np.ndarray) -> bytes:
    """Writes a projection of the vectors as UTF-8 CSV: a row an image, with its id, name, labels and x, y (and z).

    Args:
        table: the vectors that were projected.
        coordinates: (n, 2) or (n, 3), rows in the order of the vectors.
    """
    file = io.BytesIO()
    write_coordinates(Contents.of_table(table), file, coordinates)
    return file.getvalue()


def _csv_file(contents: Contents, path: Path) -> None:
    with path.open("wb") as file:
        write_csv(contents, file)


def _parquet_file(contents: Contents, path: Path) -> None:
    with path.open("wb") as file:
        write_parquet(contents, file)


WRITERS: dict[str, Callable[[Contents, Path], None]] = {
    ".npy": write_npy,
    ".parquet": _parquet_file,
    ".h5": write_h5,
    ".npz": write_npz,
    ".csv": _csv_file,
}
READERS: dict[str, Callable[[Path], VectorTable]] = {
    ".npz": read_npz,
    ".parquet": lambda path: read_parquet([path]),
}


def save_vectors(table: VectorTable, path: str | Path) -> Path:
    """Writes vectors to a file; its ending chooses the format.

    Args:
        table: from `extract_vectors`.
        path: ends in .npy, .npz, .parquet, .h5 or .csv. A .npy is the bare array; which images its rows are stands
            beside it in `<path>.rows.csv`.

    Returns:
        The path written.

    Raises:
        FeatlibError: another ending, the folder does not exist, or the file cannot be written.
    """
    path = check_destination(path, tuple(WRITERS))
    contents = Contents.of_table(table)
    if path.suffix.lower() == ".npy":
        write_with(names_beside(path), lambda part: write_names(contents, part))
    write_with(path, lambda part: WRITERS[path.suffix.lower()](contents, part))
    return path


def names_beside(path: Path) -> Path:
    """Where the names of the rows of a .npy are."""
    return path.with_name(f"{path.name}.rows.csv")


def load_vectors(path: str | Path) -> VectorTable:
    """Reads a file written by `save_vectors` or `featlib extract`. Nothing in the file is run.

    Args:
        path: ends in .npz or .parquet; or a folder of Parquet shards, `part-*.parquet`.

    Raises:
        FeatlibError: no such file, or it does not hold featlib vectors.
    """
    import pyarrow as pa

    path = Path(path)
    shards = _shards(path)
    if not shards and not path.is_file():
        raise FeatlibError(f"No file at '{path}'. Write one with: featlib extract IMAGES -o {path.stem}.npz")
    if path.suffix.lower() in WRITERS.keys() - READERS.keys():
        raise FeatlibError(
            f"'{path.name}' is for other programs: featlib reads .npz and .parquet files back. "
            f"Convert it by running the same command again: featlib extract IMAGES -o {path.stem}.npz"
        )
    try:
        return read_parquet(shards) if shards else READERS.get(path.suffix.lower(), read_npz)(path)
    except (*DAMAGE, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:300]
        raise FeatlibError(
            f"'{path.name}' does not hold vectors written by featlib ({reason}). "
            "Allowed: an .npz or .parquet file from 'featlib extract', or a folder of its part-*.parquet files."
        ) from error


def _shards(path: Path) -> list[Path]:
    if not path.is_dir():
        return []
    found = sorted(path.glob(SHARDS), key=lambda shard: natural_key(shard.name))
    if not found:
        raise FeatlibError(f"The folder '{path}' holds no {SHARDS}. Give a file of vectors, or the folder of a set.")
    return found

"""Vectors <-> files. Each file says which images, layers and network its rows come from."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from featlib.checks import file_path, instance
from featlib.errors import FeatlibError
from featlib.features.files.atomic import DAMAGE, UNWRITABLE, check_destination, replace_file, why
from featlib.features.files.csv import write_coordinates, write_csv, write_names
from featlib.features.files.dataset import open_vectors
from featlib.features.files.hdf5 import write_h5
from featlib.features.files.npy import read_npz, write_npy, write_npz
from featlib.features.files.parquet import write_parquet
from featlib.features.files.records import VectorFileContents
from featlib.features.vectors import VectorTable

FORMATS = (".npy", ".parquet", ".h5", ".npz", ".csv")
READABLE = (".npz", ".parquet")

_WRITERS: dict[str, Callable[[VectorFileContents, BinaryIO], None]] = {
    ".npy": write_npy,
    ".parquet": write_parquet,
    ".npz": write_npz,
    ".csv": write_csv,
}


def to_npz(table: VectorTable) -> bytes:
    """Return vectors as a NumPy archive: X, ids, names, label:<column>, columns, layers, pooling, …."""
    file = io.BytesIO()
    write_npz(VectorFileContents.of_table(table), file)
    return file.getvalue()


def to_csv(table: VectorTable) -> bytes:
    """Return vectors as UTF-8 CSV: per image its id, name, labels, model, layers, pooling and D values."""
    file = io.BytesIO()
    write_csv(VectorFileContents.of_table(table), file)
    return file.getvalue()


def coordinates_to_csv(table: VectorTable, coordinates: np.ndarray) -> bytes:
    """Return a projection of vectors as UTF-8 CSV: per image its id, name, labels and x, y (and z).

    Args:
        table: The vectors that were projected.
        coordinates: (n, 2) or (n, 3), rows in the order of the vectors.
    """
    file, contents = io.BytesIO(), VectorFileContents.of_table(table)
    write_coordinates(file, contents.label_columns, contents.good(), coordinates)
    return file.getvalue()


def save_vectors(table: VectorTable, path: str | Path) -> Path:
    """Write vectors to a file; its ending chooses the format.

    Args:
        table: From `extract_vectors`.
        path: Ends in .npy, .npz, .parquet, .h5 or .csv. A .npy is the bare array; `<path>.rows.csv` beside it says
            which images its rows are.

    Returns:
        The path written.

    Raises:
        FeatlibError: Another ending, the folder does not exist, or the file cannot be written.
    """
    instance("table", table, VectorTable, "a VectorTable, the result of extract_vectors")
    path = check_destination(path, FORMATS)
    try:
        write_file(VectorFileContents.of_table(table), path)
    except UNWRITABLE as error:
        raise FeatlibError(f"'{path}' cannot be written ({why(error)}). Choose another place.") from error
    return path


def write_file(contents: VectorFileContents, path: Path, folder: Path | None = None) -> None:
    """Write a file of vectors, which appears under its name only when it is whole.

    Args:
        contents: What to write.
        path: Its ending, one of `FORMATS`, chooses the format.
        folder: For the temporary file, on the same disk; None for the folder of `path`.

    Raises:
        OSError, RuntimeError: The file cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix == ".h5":
        replace_file(path, lambda part: write_h5(contents, part), folder)
        return
    if suffix == ".npy":
        replace_file(path.with_name(f"{path.name}.rows.csv"), _into_file(write_names, contents), folder)
    replace_file(path, _into_file(_WRITERS[suffix], contents), folder)


def _into_file(
    write: Callable[[VectorFileContents, BinaryIO], None], contents: VectorFileContents
) -> Callable[[Path], None]:
    def write_path(path: Path) -> None:
        with path.open("wb") as file:
            write(contents, file)

    return write_path


def load_vectors(path: str | Path) -> VectorTable:
    """Read a file written by `save_vectors` or `featlib extract`. No code in the file is run.

    Args:
        path: Ends in .npz or .parquet; or a folder of Parquet shards, `part-*.parquet`.

    Raises:
        FeatlibError: There is no such file, or it does not hold featlib vectors.
    """
    path = file_path("path", path)
    if os.path.isdir(path):  # noqa: PTH112 - unlike Path's own, it never raises
        return open_vectors(path, max_problems=None).load()
    suffix = path.suffix.lower()
    if not os.path.isfile(path):  # noqa: PTH113
        raise FeatlibError(f"No file at '{path}'. Write one with: featlib extract IMAGES -o {path.stem}.npz")
    if suffix in FORMATS and suffix not in READABLE:
        raise FeatlibError(
            f"'{path.name}' is for other programs: featlib reads {' and '.join(READABLE)} files back. "
            f"Convert it by running the same command again: featlib extract IMAGES -o {path.stem}.npz"
        )
    if suffix == ".parquet":
        return open_vectors(path, max_problems=None).load()
    try:
        return read_npz(path)
    except DAMAGE as error:
        reason = " ".join(str(error).split())[:300]
        raise FeatlibError(
            f"'{path.name}' does not hold vectors written by featlib ({reason}). "
            "Allowed: an .npz or .parquet file from 'featlib extract', or a folder of its part-*.parquet files."
        ) from error

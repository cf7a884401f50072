"""Vectors <-> files. Each file says which images, layer and network its rows come from."""

from __future__ import annotations

import io
import os
import uuid
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from featlib.errors import FeatlibError
from featlib.features.files.csv import write_coordinates, write_csv, write_names
from featlib.features.files.hdf5 import read_h5, write_h5
from featlib.features.files.npy import read_npz, write_npy, write_npz
from featlib.features.files.parquet import SHARDS, read_parquet, write_parquet
from featlib.features.files.records import Contents
from featlib.features.vectors import VectorTable
from featlib.text import natural_key

# What reading a damaged file has been seen to raise.
DAMAGE = (
    LookupError,
    ValueError,
    TypeError,
    OSError,
    EOFError,
    AttributeError,
    MemoryError,
    NotImplementedError,
    RecursionError,
    zipfile.BadZipFile,
    zlib.error,
)
# What a full disk raises: HDF5 has its own.
UNWRITABLE = (OSError, RuntimeError)


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
    ".h5": read_h5,
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
    write_with(path, lambda part: part.write_bytes(data))


def write_with(path: Path, write: Callable[[Path], object]) -> None:
    """Lets `write` fill a file beside the one that is meant, and puts it there when it is whole.

    Raises:
        FeatlibError: the file cannot be written.
    """
    target = Path(os.path.realpath(path))  # a link stays a link
    part = target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        write(part)
        put_in_place(part, target)
    except UNWRITABLE as error:
        raise FeatlibError(f"'{path}' cannot be written ({why(error)}). Choose another place.") from error
    finally:
        part.unlink(missing_ok=True)


def put_in_place(part: Path, target: Path) -> None:
    """Gives a file that is whole its name, after it is surely on the disk.

    Raises:
        OSError: it cannot be.
    """
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(target)


def why(error: BaseException) -> str:
    """The reason of an operating system's error, in few words."""
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0].lower()


def load_vectors(path: str | Path) -> VectorTable:
    """Reads a file written by `save_vectors` or `featlib extract`. Nothing in the file is run.

    Args:
        path: ends in .npz, .parquet or .h5; or a folder of Parquet shards, `part-*.parquet`.

    Raises:
        FeatlibError: no such file, or it does not hold featlib vectors.
    """
    import pyarrow as pa

    path = Path(path)
    shards = _shards(path)
    if not shards and not path.is_file():
        raise FeatlibError(f"No file at '{path}'. Write one with: featlib extract IMAGES -o {path.stem}.npz")
    if path.suffix.lower() in (".csv", ".npy"):
        raise FeatlibError(
            f"'{path.name}' is for other programs; vectors are read back from .npz, .parquet or .h5. "
            f"Write one with: featlib extract IMAGES -o {path.stem}.npz"
        )
    try:
        return read_parquet(shards) if shards else READERS.get(path.suffix.lower(), read_npz)(path)
    except (*DAMAGE, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:300]
        raise FeatlibError(
            f"'{path.name}' does not hold vectors written by featlib ({reason}). "
            "Allowed: an .npz, .parquet or .h5 file from 'featlib extract', or a folder of its part-*.parquet files."
        ) from error


def _shards(path: Path) -> list[Path]:
    if not path.is_dir():
        return []
    found = sorted(path.glob(SHARDS), key=lambda shard: natural_key(shard.name))
    if not found:
        raise FeatlibError(f"The folder '{path}' holds no {SHARDS}. Give a file of vectors, or the folder of a set.")
    return found

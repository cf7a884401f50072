"""NumPy files of vectors: .npz with everything, .npy with the bare array. Both are written in pieces."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np

from featlib.features.files.records import LABEL_PREFIX, Contents, Row, pieces
from featlib.features.vectors import Origin, VectorTable
from featlib.images import ImageProblem

HEADER_BYTES = 128
PIECE = 10_000  # texts at once

Text = Callable[[Row], str]


def npy_header(rows: int, width: int) -> bytes:
    """The beginning of a .npy file of (rows, width) float32, `HEADER_BYTES` long whatever the numbers are."""
    said = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}".encode()
    start = b"\x93NUMPY\x01\x00" + (HEADER_BYTES - 10).to_bytes(2, "little")
    return start + said.ljust(HEADER_BYTES - 11) + b"\n"


def write_npy(contents: Contents, path: Path) -> None:
    """Writes the vectors alone."""
    with path.open("wb") as file:
        file.write(npy_header(*contents.X.shape))
        for piece in contents.vectors():
            file.write(piece.data)


def write_npz(contents: Contents, file: IO[bytes] | Path) -> None:
    """Writes a NumPy archive: X, ids, names, label:<column>, columns, layers, pooling, model, fingerprint, resizer.

    Where images could not be read, also problem_names and problem_reasons. X is stored as it is, the rest compressed.
    """
    origin = contents.origin
    with zipfile.ZipFile(file, "w") as archive:
        with _member(archive, "X", zipfile.ZIP_STORED) as member:
            member.write(npy_header(*contents.X.shape))
            for piece in contents.vectors():
                member.write(piece.data)
        _write_columns(archive, {"ids": lambda row: row.id, "names": lambda row: row.name}, contents.good)
        labels = {f"{LABEL_PREFIX}{column}": _label(column) for column in contents.label_columns}
        _write_columns(archive, labels, contents.good)
        bad: dict[str, Text] = {"problem_names": lambda row: row.name, "problem_reasons": lambda row: row.error or ""}
        if any(row.error is not None for row in contents.rows()):
            _write_columns(archive, bad, lambda: (row for row in contents.rows() if row.error is not None))
        for name in ("columns", "layers", "pooling", "model", "fingerprint", "resizer"):
            with _member(archive, name) as member:
                np.lib.format.write_array(member, np.array(getattr(origin, name), dtype=str), allow_pickle=False)


def _label(column: str) -> Text:
    return lambda row: row.labels.get(column, "")


def _member(archive: zipfile.ZipFile, name: str, packed: int = zipfile.ZIP_DEFLATED) -> IO[bytes]:
    info = zipfile.ZipInfo(f"{name}.npy")
    info.compress_type = packed
    return archive.open(info, "w", force_zip64=True)


def _write_columns(archive: zipfile.ZipFile, columns: dict[str, Text], rows: Callable[[], Iterator[Row]]) -> None:
    if not columns:
        return
    count, longest = 0, dict.fromkeys(columns, 1)
    for row in rows():  # NumPy's texts are all as long as the longest
        count += 1
        for name, of_row in columns.items():
            longest[name] = max(longest[name], len(of_row(row)))
    for name, of_row in columns.items():
        kind = np.dtype(f"<U{longest[name]}")
        with _member(archive, name) as member:
            header = {"descr": kind.str, "fortran_order": False, "shape": (count,)}
            np.lib.format.write_array_header_1_0(member, header)
            for piece in pieces(rows(), PIECE):
                member.write(np.array([of_row(row) for row in piece], dtype=kind).tobytes())


def read_npz(path: Path) -> VectorTable:
    """Reads a file of `write_npz`. Nothing in it is run.

    Raises:
        ValueError, LookupError, TypeError, OSError, …: it is damaged or holds something else.
    """
    with np.load(path, allow_pickle=False) as archive:
        data = {name: archive[name] for name in archive.files}
    labels = {name.removeprefix(LABEL_PREFIX): data[name] for name in data if name.startswith(LABEL_PREFIX)}
    if {len(values) for values in (data["ids"], data["names"], *labels.values())} != {len(data["X"])}:
        raise ValueError("its columns are not equally long")
    bad = [data[name].tolist() if name in data else [] for name in ("problem_names", "problem_reasons")]
    return VectorTable(
        X=data["X"],
        ids=tuple(data["ids"].tolist()),
        names=tuple(data["names"].tolist()),
        labels=labels,
        origin=Origin(
            model=str(data["model"]),
            fingerprint=str(data["fingerprint"]),
            layers=tuple(data["layers"].tolist()),
            columns=tuple(data["columns"].tolist()),
            pooling=str(data["pooling"]),
            resizer=str(data.get("resizer", "pillow")),
        ),
        problems=tuple(ImageProblem(name, reason) for name, reason in zip(*bad, strict=True)),
    )

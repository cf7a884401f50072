"""NumPy files of vectors: .npz with everything, .npy with the bare array. Both are written in pieces."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np

from featlib.features.files.records import (
    LABEL_PREFIX,
    PROBLEM_TEXTS,
    Row,
    Text,
    VectorFileContents,
    batched,
    label_text,
)
from featlib.features.vectors import Origin, VectorTable
from featlib.images import ImageProblem


def write_npy(contents: VectorFileContents, file: IO[bytes]) -> None:
    """Write the vectors alone."""
    header = {"descr": "<f4", "fortran_order": False, "shape": contents.shape}
    np.lib.format.write_array_header_1_0(file, header)
    for piece in contents.vectors():
        file.write(np.ascontiguousarray(piece, "<f4").data)


def write_npz(contents: VectorFileContents, file: BinaryIO) -> None:
    """Write a NumPy archive: X, ids, names, label:<column>, columns, layers, pooling, model, fingerprint, resizer.

    Where images could not be read, also problem_names and problem_reasons. X is stored as it is, the rest compressed.
    """
    columns: dict[str, Text] = {"ids": lambda row: row.id, "names": lambda row: row.name}
    columns |= {f"{LABEL_PREFIX}{column}": label_text(column) for column in contents.label_columns}
    with zipfile.ZipFile(file, "w") as archive:
        with _member(archive, "X", zipfile.ZIP_STORED) as member:
            write_npy(contents, member)
        _write_texts(archive, columns, contents.good)
        if any(contents.bad()):
            _write_texts(archive, PROBLEM_TEXTS, contents.bad)
        for name in ("columns", "layers", "pooling", "model", "fingerprint", "resizer"):
            with _member(archive, name) as member:
                np.lib.format.write_array(
                    member, np.array(getattr(contents.origin, name), dtype=str), allow_pickle=False
                )


def _member(archive: zipfile.ZipFile, name: str, packed: int = zipfile.ZIP_DEFLATED) -> IO[bytes]:
    info = zipfile.ZipInfo(f"{name}.npy")
    info.compress_type = packed
    return archive.open(info, "w", force_zip64=True)


def _write_texts(archive: zipfile.ZipFile, columns: Mapping[str, Text], rows: Callable[[], Iterator[Row]]) -> None:
    count, longest = 0, dict.fromkeys(columns, 1)
    for row in rows():  # NumPy's texts are all as long as the longest
        count += 1
        for name, text in columns.items():
            longest[name] = max(longest[name], len(text(row)))
    for name, text in columns.items():
        dtype = np.dtype(f"<U{longest[name]}")
        with _member(archive, name) as member:
            header = {"descr": dtype.str, "fortran_order": False, "shape": (count,)}
            np.lib.format.write_array_header_1_0(member, header)
            for batch in batched(rows()):
                member.write(np.array([text(row) for row in batch], dtype=dtype).tobytes())


def read_npz(path: Path) -> VectorTable:
    """Read a file of `write_npz`. No code in it is run.

    Raises:
        ValueError, LookupError, TypeError, OSError, …: It is damaged or holds something else.
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

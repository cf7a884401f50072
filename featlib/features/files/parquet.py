"""Parquet files of vectors: one layout for a single file and for the shards of a cluster's run."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from featlib.features.files.records import LABEL_PREFIX, Contents, Row, piece_rows, pieces
from featlib.features.vectors import Origin, VectorTable
from featlib.images import ImageProblem

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

METADATA = b"featlib"
SHARDS = "part-*.parquet"
TEXTS = ("id", "name", "path")
MAX_WIDTH = 2**20  # columns; each of their names is in memory
READ_AHEAD = 2**20  # bytes: a row group, which may be larger than the memory, is read page by page


def vector_schema(origin: Origin, label_columns: Sequence[str]) -> pa.Schema:
    """The columns of a file of vectors.

    Returns:
        `id`, `name`, `path`, `label:<column>` and `error` as strings, and `vector` as a fixed-size list of float32.
        `error` says why an image has no vector, and is null where it has one. The metadata `featlib` is JSON.
    """
    import pyarrow as pa

    texts = [*TEXTS, *(LABEL_PREFIX + column for column in label_columns), "error"]
    vector = pa.list_(pa.float32(), len(origin.columns))
    fields = [*(pa.field(name, pa.string()) for name in texts), pa.field("vector", vector)]
    return pa.schema(fields, metadata={METADATA: origin.to_json().encode()})


def record_batch(rows: Sequence[Row], X: np.ndarray, schema: pa.Schema) -> pa.RecordBatch:
    """Puts images and vectors together.

    Args:
        rows: m images, good and bad.
        X: (good, D) float32, a row for each good image.
        schema: from `vector_schema`.

    Raises:
        ValueError: there is not one vector for each good image.
    """
    import pyarrow as pa

    bad = np.array([row.error is not None for row in rows], dtype=bool)
    values = np.zeros((len(rows), schema.field("vector").type.list_size), np.float32)
    values[~bad] = X
    vectors = pa.FixedSizeListArray.from_arrays(
        pa.array(values.reshape(-1)), type=schema.field("vector").type, mask=pa.array(bad)
    )
    labels = [name for name in schema.names if name.startswith(LABEL_PREFIX)]
    texts = {
        **{name: [getattr(row, name) for row in rows] for name in (*TEXTS, "error")},
        **{name: [row.labels.get(name.removeprefix(LABEL_PREFIX), "") for row in rows] for name in labels},
    }
    arrays = [vectors if name == "vector" else pa.array(texts[name], pa.string()) for name in schema.names]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def write_parquet(contents: Contents, file: BinaryIO) -> None:
    """Writes vectors as Parquet, a row group for every 8 MB.

    Raises:
        ValueError: there is not one vector for each good image.
    """
    from pyarrow import parquet

    schema = vector_schema(contents.origin, contents.label_columns)
    texts = [name for name in schema.names if name not in ("vector", "id")]
    start = 0
    with parquet.ParquetWriter(
        file, schema, compression="zstd", use_dictionary=texts, write_page_checksum=True
    ) as writer:
        for rows in pieces(contents.rows(), piece_rows(contents.X.shape[1])):
            end = start + sum(row.error is None for row in rows)
            writer.write_batch(record_batch(rows, np.asarray(contents.X[start:end]), schema))
            start = end
    if start != len(contents.X):
        raise ValueError(f"{len(contents.X)} vectors for {start} images")


def open_parquet(source: Path | bytes, texts: Sequence[str] = ()) -> parquet.ParquetFile:
    """Opens a file. Reading a page checks its checksum: without it nearly every flipped bit is just another number.

    Args:
        source: the file, or its bytes.
        texts: columns of which equal values are in memory once, as they are in the file.

    Raises:
        OSError, ArrowException: it cannot be read, or is no Parquet.
    """
    from pyarrow import parquet

    return parquet.ParquetFile(
        io.BytesIO(source) if isinstance(source, bytes) else source,
        buffer_size=READ_AHEAD,
        pre_buffer=False,
        read_dictionary=list(texts),
        page_checksum_verification=True,
    )


def read_parquet(paths: Sequence[Path]) -> VectorTable:
    """Reads one file, or the shards of a set in their order. Besides the result, one row group at a time is in memory.

    Raises:
        ValueError, LookupError, TypeError, OSError, ArrowException: a file is damaged, holds something else, or shards
            differ in where their vectors come from.
    """
    with ExitStack() as opened:
        files = [opened.enter_context(open_parquet(path)) for path in paths]
        origin = _common_origin(files, paths)
        X = np.empty((sum(_count_good(file) for file in files), len(origin.columns)), np.float32)
        kept = _Kept(X)
        for file in files:
            for batch in file.iter_batches(piece_rows(X.shape[1])):
                kept.add(batch)
    return kept.table(origin)


def _common_origin(files: Sequence[parquet.ParquetFile], paths: Sequence[Path]) -> Origin:
    origins = []
    for file, path in zip(files, paths, strict=True):
        origin, _ = read_schema(file.schema_arrow, f"'{path.name}'")
        origins.append(origin)
        if origin != origins[0]:
            raise ValueError(f"'{path.name}' comes from another network, layer or pooling than '{paths[0].name}'")
    return origins[0]


def read_schema(schema: pa.Schema, name: str = "it") -> tuple[Origin, list[str]]:
    """Where a file's vectors come from, and its label columns. No checksum covers what is read here.

    Args:
        schema: the file's.
        name: what the file is called in errors.

    Raises:
        ValueError, TypeError, LookupError, AttributeError: it does not say, says something that is not possible, or
            has other columns than those of `vector_schema`.
    """
    if METADATA not in (schema.metadata or {}) or "vector" not in schema.names:
        raise ValueError(f"{name} does not say which network its vectors come from")
    text = schema.metadata[METADATA]
    _check_width(json.loads(text), getattr(schema.field("vector").type, "list_size", 0))
    origin = Origin.from_json(text)
    labels = [column.removeprefix(LABEL_PREFIX) for column in schema.names if column.startswith(LABEL_PREFIX)]
    if not vector_schema(origin, labels).equals(schema):
        raise ValueError(f"{name} has other columns")
    return origin, labels


def _check_width(said: dict, width: int) -> None:
    """Checks how many columns there are before their names are made."""
    if not 0 < width <= MAX_WIDTH:
        raise ValueError(f"its vectors have {width:,} columns; 1 to {MAX_WIDTH:,} are possible")
    widths = said.get("widths", [])
    if any(type(own) is not int or not 0 <= own <= width for own in widths):
        raise ValueError("its layers have an impossible number of columns")


def _count_good(file: parquet.ParquetFile) -> int:
    return sum(batch.column(0).null_count for batch in file.iter_batches(2**16, columns=["error"]))


class _Kept:
    """What has been read so far."""

    def __init__(self, X: np.ndarray) -> None:
        self.X = X
        self.ids: list[str] = []
        self.names: list[str] = []
        self.labels: dict[str, list[str]] = {}
        self.problems: list[ImageProblem] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Adds the rows of a batch: those with a vector to X, the others to the problems."""
        errors, names = batch.column("error"), batch.column("name").to_pylist()
        self.problems += [
            ImageProblem(name, error)
            for name, error in zip(names, errors.to_pylist(), strict=True)
            if error is not None
        ]
        good = batch.filter(errors.is_null())
        vectors = good.column("vector")
        if vectors.null_count or vectors.flatten().null_count:
            raise ValueError("an image without an error has no vector")
        before = len(self.ids)
        end = before + len(good)
        self.X[before:end] = vectors.flatten().to_numpy().reshape(len(good), self.X.shape[1])
        self.ids += _filled(good.column("id"))
        self.names += _filled(good.column("name"))
        for name in good.schema.names:
            if name.startswith(LABEL_PREFIX):
                own = self.labels.setdefault(name.removeprefix(LABEL_PREFIX), [""] * before)
                own += _filled(good.column(name))
        for own in self.labels.values():
            own += [""] * (end - len(own))

    def table(self, origin: Origin) -> VectorTable:
        """Everything as one table."""
        return VectorTable(
            X=self.X,
            ids=tuple(self.ids),
            names=tuple(self.names),
            labels={name: np.array(values, dtype=np.str_) for name, values in self.labels.items()},
            origin=origin,
            problems=tuple(self.problems),
        )


def _filled(column: pa.Array) -> Iterator[str]:
    return (text or "" for text in column.to_pylist())

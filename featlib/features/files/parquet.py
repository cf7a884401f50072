"""Parquet files of vectors: one layout for a single file and for the shards of a long run."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from featlib.features.files.records import LABEL_PREFIX, Row, VectorFileContents
from featlib.features.vectors import Origin

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

METADATA = b"featlib"
SHARDS = "part-*.parquet"
TEXTS = ("id", "name", "path")
MAX_WIDTH = 2**20  # columns; each of their names is in memory
READ_AHEAD = 2**20  # bytes: a row group, which may be larger than the memory, is read page by page


def vector_schema(origin: Origin, label_columns: Sequence[str]) -> pa.Schema:
    """Return the columns of a file of vectors.

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
    """Put images and vectors together.

    Args:
        rows: m images, readable or not.
        X: (good, D) float32, one row for each readable image.
        schema: From `vector_schema`.

    Raises:
        ValueError: There is not one vector for each readable image.
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


def write_parquet(contents: VectorFileContents, file: BinaryIO) -> None:
    """Write vectors as Parquet, one row group for every 8 MB.

    Raises:
        ValueError: There is not one vector for each readable image.
    """
    from pyarrow import parquet

    schema = vector_schema(contents.origin, contents.label_columns)
    texts = [name for name in schema.names if name not in ("vector", "id")]
    with parquet.ParquetWriter(
        file, schema, compression="zstd", use_dictionary=texts, write_page_checksum=True
    ) as writer:
        for rows, X in contents.batches():
            writer.write_batch(record_batch(rows, X, schema))


def open_parquet(source: Path | bytes, texts: Sequence[str] = ()) -> parquet.ParquetFile:
    """Open a file. Checksums of pages are verified: without them nearly every flipped bit is just another number.

    Args:
        source: The file, or its bytes.
        texts: Columns of which equal values are in memory once, as they are in the file.

    Raises:
        LookupError: There is no such column.
        OSError, ArrowException: It cannot be read, or is no Parquet.
    """
    from pyarrow import parquet

    return parquet.ParquetFile(
        io.BytesIO(source) if isinstance(source, bytes) else source,
        buffer_size=READ_AHEAD,
        pre_buffer=False,
        read_dictionary=list(texts),
        page_checksum_verification=True,
    )


def read_schema(schema: pa.Schema) -> tuple[Origin, list[str]]:
    """Return where a file's vectors come from, and its label columns. No checksum covers what is read here.

    Raises:
        ValueError, TypeError, LookupError, AttributeError: It does not say, says something impossible, or has other
            columns than those of `vector_schema`.
    """
    if METADATA not in (schema.metadata or {}) or "vector" not in schema.names:
        raise ValueError("it does not say which network its vectors come from")
    text = schema.metadata[METADATA]
    width = getattr(schema.field("vector").type, "list_size", 0)
    if not 0 < width <= MAX_WIDTH:
        raise ValueError(f"its vectors have {width:,} columns; 1 to {MAX_WIDTH:,} are possible")
    widths = json.loads(text).get("widths", [])  # checked before the columns are named
    if any(type(own) is not int or not 0 <= own <= width for own in widths):
        raise ValueError("its layers have an impossible number of columns")
    origin = Origin.from_json(text)
    labels = [column.removeprefix(LABEL_PREFIX) for column in schema.names if column.startswith(LABEL_PREFIX)]
    if not vector_schema(origin, labels).equals(schema):
        raise ValueError("it has other columns")
    return origin, labels

"""Vector files: the formats to write and read, and sets that are larger than the memory."""

from featlib.features.files.atomic import DAMAGE, PART, UNWRITABLE, check_destination, why, write_whole
from featlib.features.files.csv import write_coordinates
from featlib.features.files.dataset import VectorDataset, files_fingerprint, open_vectors, sample_rows
from featlib.features.files.formats import (
    FORMATS,
    coordinates_to_csv,
    load_vectors,
    save_vectors,
    to_csv,
    to_npz,
    write_file,
)
from featlib.features.files.parquet import SHARDS, open_parquet, read_schema
from featlib.features.files.records import Row, VectorFileContents, piece_rows, plain_text

__all__ = [
    "DAMAGE",
    "FORMATS",
    "PART",
    "SHARDS",
    "UNWRITABLE",
    "Row",
    "VectorDataset",
    "VectorFileContents",
    "check_destination",
    "coordinates_to_csv",
    "files_fingerprint",
    "load_vectors",
    "open_parquet",
    "open_vectors",
    "piece_rows",
    "plain_text",
    "read_schema",
    "sample_rows",
    "save_vectors",
    "to_csv",
    "to_npz",
    "why",
    "write_coordinates",
    "write_file",
    "write_whole",
]

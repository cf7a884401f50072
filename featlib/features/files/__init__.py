"""Vector files: the formats to write and read, and sets that are larger than the memory."""

from featlib.features.files.atomic import check_destination, write_whole
from featlib.features.files.csv import write_coordinates
from featlib.features.files.dataset import VectorBatch, VectorDataset, files_fingerprint, open_vectors, sample_rows
from featlib.features.files.formats import (
    FORMATS,
    coordinates_to_csv,
    load_vectors,
    save_vectors,
    to_csv,
    to_npz,
)
from featlib.features.files.records import Row, VectorFileContents

__all__ = [
    "FORMATS",
    "Row",
    "VectorBatch",
    "VectorDataset",
    "VectorFileContents",
    "check_destination",
    "coordinates_to_csv",
    "files_fingerprint",
    "load_vectors",
    "open_vectors",
    "sample_rows",
    "save_vectors",
    "to_csv",
    "to_npz",
    "write_coordinates",
    "write_whole",
]

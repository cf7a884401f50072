"""Backbone + layer paths + images -> feature maps and vectors."""

from typing import TYPE_CHECKING

from featlib.features.engine import Progress
from featlib.features.files.formats import load_vectors, save_vectors, to_csv, to_npz
from featlib.features.jobs.local import WrittenVectors, extract_to_file
from featlib.features.maps import Trace, feature_maps, trace_image
from featlib.features.store.store import VectorStore
from featlib.features.taps import POOLINGS, Tap, tap_layers
from featlib.features.vectors import (
    VectorTable,
    combine_layers,
    extract_vectors,
    normalize_rows,
    raw_pixel_vectors,
)

if TYPE_CHECKING:
    from featlib.features.extractor import FeatureExtractor

__all__ = [
    "POOLINGS",
    "FeatureExtractor",
    "Progress",
    "Tap",
    "Trace",
    "VectorStore",
    "VectorTable",
    "WrittenVectors",
    "combine_layers",
    "extract_to_file",
    "extract_vectors",
    "feature_maps",
    "load_vectors",
    "normalize_rows",
    "raw_pixel_vectors",
    "save_vectors",
    "tap_layers",
    "to_csv",
    "to_npz",
    "trace_image",
]


def __getattr__(name: str) -> object:
    if name == "FeatureExtractor":  # brings scikit-learn along, so only when asked for
        from featlib.features.extractor import FeatureExtractor

        return FeatureExtractor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

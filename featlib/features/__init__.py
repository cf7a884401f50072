"""Backbone + layer paths + images -> feature maps and vectors."""

from typing import TYPE_CHECKING

from featlib.features.engine import Engine, EngineOptions
from featlib.features.files import VectorDataset, load_vectors, open_vectors, save_vectors, to_csv, to_npz
from featlib.features.jobs import RayRun, WrittenVectors, extract_to_file, extract_with_ray
from featlib.features.maps import Trace, feature_maps, trace_image
from featlib.features.runtimes import Precision, RuntimeName, make_runtime
from featlib.features.store import VectorStore
from featlib.features.taps import POOLINGS, Pooling, Tap, tap_layers
from featlib.features.vectors import (
    Origin,
    VectorTable,
    combine_layers,
    extract_vectors,
    normalize_rows,
    raw_pixel_vectors,
    vector_engine,
)

if TYPE_CHECKING:
    from featlib.features.extractor import FeatureExtractor

__all__ = [
    "POOLINGS",
    "Engine",
    "EngineOptions",
    "FeatureExtractor",
    "Origin",
    "Pooling",
    "Precision",
    "RayRun",
    "RuntimeName",
    "Tap",
    "Trace",
    "VectorDataset",
    "VectorStore",
    "VectorTable",
    "WrittenVectors",
    "combine_layers",
    "extract_to_file",
    "extract_vectors",
    "extract_with_ray",
    "feature_maps",
    "load_vectors",
    "make_runtime",
    "normalize_rows",
    "open_vectors",
    "raw_pixel_vectors",
    "save_vectors",
    "tap_layers",
    "to_csv",
    "to_npz",
    "trace_image",
    "vector_engine",
]


def __getattr__(name: str) -> object:
    if name == "FeatureExtractor":  # brings scikit-learn along, so only when asked for
        from featlib.features.extractor import FeatureExtractor

        return FeatureExtractor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

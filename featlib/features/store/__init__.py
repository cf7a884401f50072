"""The cache of vectors on disk."""

from featlib.features.store.lookup import CACHEABLE_POOLINGS, VectorLookup, path_of
from featlib.features.store.store import VectorStore, default_path

__all__ = [
    "CACHEABLE_POOLINGS",
    "VectorLookup",
    "VectorStore",
    "default_path",
    "path_of",
]

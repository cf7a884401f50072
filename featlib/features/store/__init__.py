"""The cache of vectors on disk."""

from featlib.features.store.lookup import CACHEABLE_POOLINGS, VectorLookup, cache_key, path_of
from featlib.features.store.store import StoreInfo, VectorStore, default_path

__all__ = [
    "CACHEABLE_POOLINGS",
    "StoreInfo",
    "VectorLookup",
    "VectorStore",
    "cache_key",
    "default_path",
    "path_of",
]

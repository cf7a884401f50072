"""Cached wrappers over the library, with progress, Stop and a queue."""

from featlib.ui.compute.cache import own_images, trace, traces, vector_store
from featlib.ui.compute.networks import (
    DownloadNeededError,
    NotYetError,
    class_count,
    computing_device,
    import_tensorflow,
    load_network,
    missing_weights,
    network,
    own_models,
    written_class_names,
)
from featlib.ui.compute.progress import Stopped, Task
from featlib.ui.compute.results import array_digest, compute_projection, neighbor_agreement, raw_pixels, train_probe
from featlib.ui.compute.vectors import Batch, compute_all_vectors, compute_vectors, warn_skipped

__all__ = [
    "Batch",
    "DownloadNeededError",
    "NotYetError",
    "Stopped",
    "Task",
    "array_digest",
    "class_count",
    "compute_all_vectors",
    "compute_projection",
    "compute_vectors",
    "computing_device",
    "import_tensorflow",
    "load_network",
    "missing_weights",
    "neighbor_agreement",
    "network",
    "own_images",
    "own_models",
    "raw_pixels",
    "trace",
    "traces",
    "train_probe",
    "vector_store",
    "warn_skipped",
    "written_class_names",
]

"""Cached wrappers over the library, with progress, Stop and a queue."""

from featlib.ui.compute.cache import forget_model, forget_traces, trace, traces, vector_store
from featlib.ui.compute.folders import folder_images, read_again
from featlib.ui.compute.networks import (
    DownloadNeededError,
    NotYetError,
    UnloadedModelError,
    class_count,
    computing_device,
    import_tensorflow,
    load_network,
    missing_weights,
    network,
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
    "UnloadedModelError",
    "array_digest",
    "class_count",
    "compute_all_vectors",
    "compute_projection",
    "compute_vectors",
    "computing_device",
    "folder_images",
    "forget_model",
    "forget_traces",
    "import_tensorflow",
    "load_network",
    "missing_weights",
    "neighbor_agreement",
    "network",
    "raw_pixels",
    "read_again",
    "trace",
    "traces",
    "train_probe",
    "vector_store",
    "warn_skipped",
    "written_class_names",
]

"""featlib: see what a convolutional network sees.

Pick any layer of a Keras model, look at its feature maps, turn it into vectors, project and probe them.
Everything is imported when first used, so `import featlib` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from featlib.analysis import (
        Neighbors,
        ProbeResult,
        Projection,
        channel_statistics,
        find_neighbors,
        linear_probe,
        project,
    )
    from featlib.errors import FeatlibError, FeatlibWarning
    from featlib.features import (
        FeatureExtractor,
        VectorStore,
        VectorTable,
        extract_to_file,
        extract_vectors,
        feature_maps,
        load_vectors,
        save_vectors,
        tap_layers,
        trace_image,
    )
    from featlib.images import ImageSet, load_images, load_samples
    from featlib.models import Backbone, LayerInfo, find_layer, list_layers, list_models, load_backbone
    from featlib.transfer import LayerProbe, probe_layers

    __version__: str

_MODULES = {
    "featlib.analysis": (
        "Neighbors",
        "ProbeResult",
        "Projection",
        "channel_statistics",
        "find_neighbors",
        "linear_probe",
        "project",
    ),
    "featlib.errors": ("FeatlibError", "FeatlibWarning"),
    "featlib.features": (
        "FeatureExtractor",
        "VectorStore",
        "VectorTable",
        "extract_to_file",
        "extract_vectors",
        "feature_maps",
        "load_vectors",
        "save_vectors",
        "tap_layers",
        "trace_image",
    ),
    "featlib.images": ("ImageSet", "load_images", "load_samples"),
    "featlib.models": ("Backbone", "LayerInfo", "find_layer", "list_layers", "list_models", "load_backbone"),
    "featlib.transfer": ("LayerProbe", "probe_layers"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Backbone",
    "FeatlibError",
    "FeatlibWarning",
    "FeatureExtractor",
    "ImageSet",
    "LayerInfo",
    "LayerProbe",
    "Neighbors",
    "ProbeResult",
    "Projection",
    "VectorStore",
    "VectorTable",
    "channel_statistics",
    "extract_to_file",
    "extract_vectors",
    "feature_maps",
    "find_layer",
    "find_neighbors",
    "linear_probe",
    "list_layers",
    "list_models",
    "load_backbone",
    "load_images",
    "load_samples",
    "load_vectors",
    "probe_layers",
    "project",
    "save_vectors",
    "tap_layers",
    "trace_image",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("featlib")
    if name not in _HOME:
        raise AttributeError(f"module 'featlib' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__

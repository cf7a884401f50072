"""Names, files and Keras models -> `Backbone`; `model.summary()` as data."""

from featlib.models.applications import (
    DEFAULT_MODEL,
    ModelChoice,
    check_options,
    find_choice,
    imagenet_names,
    is_automatic_name,
    list_models,
    parse_model_name,
    weights_on_disk,
    write_model_name,
)
from featlib.models.backbone import Backbone, top_classes
from featlib.models.files import is_model_path, load_model_file, read_class_names
from featlib.models.graph import ModelGraph
from featlib.models.layer_list import LayerList, find_layer, list_layers
from featlib.models.layers import LayerInfo
from featlib.models.load import as_backbone, load_backbone
from featlib.models.preprocessing import (
    PREPROCESSING,
    SIMPLE_PREPROCESSING,
    Preprocessing,
    find_preprocessing,
)

__all__ = [
    "DEFAULT_MODEL",
    "PREPROCESSING",
    "SIMPLE_PREPROCESSING",
    "Backbone",
    "LayerInfo",
    "LayerList",
    "ModelChoice",
    "ModelGraph",
    "Preprocessing",
    "as_backbone",
    "check_options",
    "find_choice",
    "find_layer",
    "find_preprocessing",
    "imagenet_names",
    "is_automatic_name",
    "is_model_path",
    "list_layers",
    "list_models",
    "load_backbone",
    "load_model_file",
    "parse_model_name",
    "read_class_names",
    "top_classes",
    "weights_on_disk",
    "write_model_name",
]

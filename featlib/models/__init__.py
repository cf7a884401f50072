"""Names and Keras models -> `Backbone`; `model.summary()` as data."""

from featlib.models.applications.catalog import DEFAULT_MODEL, ModelChoice, list_models, weights_on_disk
from featlib.models.applications.imagenet import imagenet_names
from featlib.models.applications.names import parse_model_name
from featlib.models.applications.zoo import load_backbone
from featlib.models.backbone import Backbone, top_classes
from featlib.models.files.load import is_model_path, load_model_file, read_class_names
from featlib.models.layers import LayerInfo, find_layer, list_layers
from featlib.models.preprocessing import PREPROCESSING, SIMPLE_PREPROCESSING, Preprocessing, find_preprocessing

__all__ = [
    "DEFAULT_MODEL",
    "PREPROCESSING",
    "SIMPLE_PREPROCESSING",
    "Backbone",
    "LayerInfo",
    "ModelChoice",
    "Preprocessing",
    "find_layer",
    "find_preprocessing",
    "imagenet_names",
    "is_model_path",
    "list_layers",
    "list_models",
    "load_backbone",
    "load_model_file",
    "parse_model_name",
    "read_class_names",
    "top_classes",
    "weights_on_disk",
]

"""The networks of keras.applications and the embedded one: what is known of them, and how they are built."""

from featlib.models.applications.catalog import (
    CLASSES,
    DEFAULT_MODEL,
    ModelChoice,
    check_options,
    find_choice,
    imagenet_names,
    keras_networks,
    list_models,
    weights_on_disk,
    write_model_name,
)
from featlib.models.applications.facts import FAMILIES, SimplePreprocessing
from featlib.models.applications.layer_names import is_automatic_name
from featlib.models.applications.names import Option, parse_model_name
from featlib.models.applications.zoo import MAX_SIDE, MIN_SIDE, build_network, choose_shape, randomize_weights

__all__ = [
    "CLASSES",
    "DEFAULT_MODEL",
    "FAMILIES",
    "MAX_SIDE",
    "MIN_SIDE",
    "ModelChoice",
    "Option",
    "SimplePreprocessing",
    "build_network",
    "check_options",
    "choose_shape",
    "find_choice",
    "imagenet_names",
    "is_automatic_name",
    "keras_networks",
    "list_models",
    "parse_model_name",
    "randomize_weights",
    "weights_on_disk",
    "write_model_name",
]

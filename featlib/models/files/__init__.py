"""A user's own models: model files, SavedModel folders, weights files and live models."""

from featlib.models.files.load import is_model_path, load_model_file, read_class_names
from featlib.models.files.weights import load_weights_file
from featlib.models.files.wrap import wrap_model

__all__ = ["is_model_path", "load_model_file", "load_weights_file", "read_class_names", "wrap_model"]

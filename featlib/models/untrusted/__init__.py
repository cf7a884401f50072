"""The gate for model files that a stranger may have written."""

from featlib.models.untrusted.inspection import InspectedFile, inspect_model_file, read_weights
from featlib.models.untrusted.opening import OpenedModel, open_model_file

__all__ = ["InspectedFile", "OpenedModel", "inspect_model_file", "open_model_file", "read_weights"]

"""The gate for model files that a stranger may have written."""

from featlib.models.gate.inspecting import InspectedFile, check_weights_file, inspect_model_file
from featlib.models.gate.opening import OpenedModel, open_model_file

__all__ = ["InspectedFile", "OpenedModel", "check_weights_file", "inspect_model_file", "open_model_file"]

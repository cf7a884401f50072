"""Validation of model files that anybody may have written; README.md describes the threat model."""

from featlib.models.untrusted.opening import (
    InspectedFile,
    OpenedModel,
    inspect_model_file,
    open_model_file,
    read_weights,
)

__all__ = ["InspectedFile", "OpenedModel", "inspect_model_file", "open_model_file", "read_weights"]

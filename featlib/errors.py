"""The errors featlib raises on purpose, and its warnings.

An error message says what was received, what is allowed, and what to do next.
"""


class FeatlibError(ValueError):
    """Root of all errors that the user can act on; any other exception that surfaces is a bug."""


class ImageError(FeatlibError):
    """An image, a folder or a zip cannot be read."""


class ModelError(FeatlibError):
    """A model or a weights file cannot be used."""


class WeightsNotFoundError(ModelError):
    """Weights are not on this machine and could not be downloaded."""


class LayerNotFoundError(FeatlibError):
    """The model has no layer of this path."""


class CancelledError(FeatlibError):
    """The work was stopped on request before it was complete."""


class FeatlibWarning(RuntimeWarning):
    """The result was computed, but the user should know something about it."""

"""The errors featlib raises on purpose, and its warnings. An error says what was received, is allowed, and to do."""


class FeatlibError(ValueError):
    """Root of every error that a person can act on. Anything else that surfaces is a bug."""


class ImageError(FeatlibError):
    """An image, a folder or a zip that cannot be read."""


class ModelError(FeatlibError):
    """A model or a weights file that cannot be used."""


class WeightsNotFoundError(ModelError):
    """Weights that are not on this machine and could not be downloaded."""


class LayerNotFoundError(FeatlibError):
    """A layer path that the model does not have."""


class CancelledError(FeatlibError):
    """The work was stopped on request before it was complete."""


class FeatlibWarning(RuntimeWarning):
    """Something that a person should know of a result that was computed all the same."""

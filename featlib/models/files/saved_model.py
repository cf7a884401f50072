"""A TensorFlow SavedModel, the form of TF Hub, as a Keras model of one layer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featlib.errors import ModelError

if TYPE_CHECKING:
    import keras

ENDPOINTS = ("serving_default", "default")  # what Keras and TF Hub call the signature to use


def is_saved_model(path: Path) -> bool:
    """Whether the path is a folder in the SavedModel format."""
    return (path / "saved_model.pb").is_file()


def load_saved_model(path: Path, input_shape: Sequence[int] | None) -> keras.Model:
    """Loads a SavedModel from images to its outputs. Its inner layers cannot be seen.

    A SavedModel is a program: it may read and write files as its maker likes. Load only what you trust.

    Args:
        path: the folder.
        input_shape: (height, width, channels) where the SavedModel does not say.

    Returns:
        A Functional model of an input and a `keras.layers.TFSMLayer`.

    Raises:
        ModelError: the folder cannot be read, or takes no images.
    """
    import keras
    import tensorflow as tf

    try:
        signatures = tf.saved_model.load(str(path)).signatures
    except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
        raise ModelError(f"'{path}' cannot be read as a SavedModel: {str(error).splitlines()[0]}") from error
    if not signatures:
        raise ModelError(
            f"'{path}' has no signature to call. Allowed: a SavedModel with one, such as a hub feature vector."
        )
    endpoint = next((name for name in ENDPOINTS if name in signatures), next(iter(signatures)))
    inputs = signatures[endpoint].structured_input_signature[1]
    shape = _image_shape(path, endpoint, inputs, input_shape)
    name = next(iter(inputs))
    image = keras.Input(shape, name=name)
    layer = keras.layers.TFSMLayer(str(path), call_endpoint=endpoint, name="saved_model")
    return keras.Model(image, layer(image), name=path.resolve().name.replace("/", "_"))


def _image_shape(
    path: Path, endpoint: str, inputs: dict[str, Any], wanted: Sequence[int] | None
) -> tuple[int | None, ...]:
    shapes = {name: spec.shape.as_list() for name, spec in inputs.items()}
    if len(shapes) != 1 or len(next(iter(shapes.values()))) != 4:
        raise ModelError(
            f"'{endpoint}' of '{path}' takes {shapes}. Allowed: one input of images, (n, height, width, channels)."
        )
    declared = tuple(next(iter(shapes.values()))[1:])
    if wanted is not None and len(wanted) != len(declared):
        raise ModelError(f"input_shape must be (height, width, channels). Received: {tuple(wanted)}.")
    return tuple(side or want for side, want in zip(declared, wanted or declared, strict=True))

"""A TensorFlow SavedModel, the format of TF Hub, as a Keras model of one layer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from featlib.errors import ModelError
from featlib.text import keras_reason

if TYPE_CHECKING:
    import keras

ENDPOINTS = ("serving_default", "default")  # what Keras and TF Hub call the signature to use


def is_saved_model(path: Path) -> bool:
    """Tell whether the path is a folder in the SavedModel format."""
    return (path / "saved_model.pb").is_file()


def load_saved_model(path: Path, input_shape: Sequence[int] | None) -> keras.Model:
    """Load a SavedModel from images to its outputs. Its inner layers are not visible.

    A SavedModel is a program: it may read and write files as its author likes. Load only what you trust.

    Args:
        path: The folder.
        input_shape: (height, width, channels) if the SavedModel does not declare it.

    Returns:
        A Functional model of an input and a `keras.layers.TFSMLayer`.

    Raises:
        ModelError: The folder cannot be read, or the SavedModel takes no images.
    """
    import keras
    import tensorflow as tf

    try:
        signatures = tf.saved_model.load(str(path)).signatures
    except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
        raise ModelError(f"'{path}' cannot be read as a SavedModel: {keras_reason(error)}") from error
    if not signatures:
        raise ModelError(
            f"'{path}' has no signature to call. Allowed: a SavedModel with one, such as a hub feature vector."
        )
    endpoint = next((name for name in ENDPOINTS if name in signatures), next(iter(signatures)))
    inputs = signatures[endpoint].structured_input_signature[1]
    shapes = {name: spec.shape.as_list() for name, spec in inputs.items()}
    name, declared = next(iter(shapes.items()), ("", []))
    if len(shapes) != 1 or len(declared) != 4:
        raise ModelError(
            f"'{endpoint}' of '{path}' takes {shapes}. Allowed: one input of images, (n, height, width, channels)."
        )
    if input_shape is not None and len(input_shape) != 3:
        raise ModelError(f"input_shape must be (height, width, channels). Received: {tuple(input_shape)}.")
    shape = tuple(side or given for side, given in zip(declared[1:], input_shape or declared[1:], strict=True))
    image = keras.Input(shape, name=name)
    layer = keras.layers.TFSMLayer(str(path), call_endpoint=endpoint, name="saved_model")
    return keras.Model(image, layer(image), name=path.resolve().name.replace("/", "_"))

"""What images a model takes, and its graph for images of that size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from featlib.errors import ModelError
from featlib.models.graph.graph import ModelGraph
from featlib.models.graph.recording import parts_of
from featlib.models.graph.steps import KERAS_ERRORS, is_graph
from featlib.text import keras_reason

if TYPE_CHECKING:
    import keras

IMAGE_CHANNELS = (1, 3, 4)  # gray, RGB and RGBA
DEFAULT_SHAPE = (224, 224, 3)  # where neither the caller nor the model says


def image_graph(model: keras.Model, input_shape: Sequence[int] | None = None) -> ModelGraph:
    """Read the graph of a model that takes images.

    Args:
        model: A model with a graph, or a subclassed one. A model that is not built is built for `input_shape`.
        input_shape: (height, width, channels) of one image; None for the declared size, and 224 × 224 × 3 where the
            model declares a variable one.

    Raises:
        ModelError: The model takes no images, not those of `input_shape`, or is not built and `input_shape` is None.
    """
    channels_first = _is_channels_first(model)
    shape = _find_image_shape(model, input_shape, channels_first)
    if not (is_graph(model) or model.built):
        _build(model, shape, channels_first)
    return ModelGraph(model, shape, channels_first)


def _is_channels_first(model: keras.Model) -> bool:
    declared = next((x.shape for x in model.inputs if len(x.shape) == 4), None) if is_graph(model) else None
    if declared is not None and declared[-1] in IMAGE_CHANNELS and declared[1] not in IMAGE_CHANNELS:
        return False  # whatever a later layer expects
    formats = (getattr(part, "data_format", None) for part in parts_of(model))
    return next((f == "channels_first" for f in formats if f in ("channels_first", "channels_last")), False)


def _find_image_shape(
    model: keras.Model, input_shape: Sequence[int] | None, channels_first: bool
) -> tuple[int, int, int]:
    declared: tuple[int | None, ...] = (None, None, None)
    if is_graph(model):
        shapes = [tuple(tensor.shape[1:]) for tensor in model.inputs]
        declared = next((shape for shape in shapes if len(shape) == 3), ())
        if not declared:
            raise ModelError(
                f"'{model.name}' takes inputs of shape {shapes}. Allowed: images, (height, width, channels)."
            )
        if channels_first:
            declared = (*declared[1:], declared[0])
    elif input_shape is None:
        raise ModelError(
            f"'{model.name}' is not built, so it does not say what images it takes. "
            "Say it: load_backbone(model, input_shape=(height, width, channels))."
        )
    shape = tuple(input_shape or (side or usual for side, usual in zip(declared, DEFAULT_SHAPE, strict=True)))
    fits = len(shape) == 3 and all(d in (None, s) and s > 0 for d, s in zip(declared, shape, strict=False))
    if not fits:
        raise ModelError(f"'{model.name}' takes images of {declared}. Received input_shape={shape}.")
    return int(shape[0]), int(shape[1]), int(shape[2])


def _build(model: keras.Model, shape: tuple[int, int, int], channels_first: bool) -> None:
    import keras

    height, width, channels = shape
    batch = (1, channels, height, width) if channels_first else (1, height, width, channels)
    try:
        if isinstance(model, keras.Sequential):
            model.build((None, *batch[1:]))
        else:
            model(np.zeros(batch, np.float32), training=False)
    except KERAS_ERRORS as error:
        raise ModelError(f"'{model.name}' cannot be built for images of {shape}: {keras_reason(error)}") from error

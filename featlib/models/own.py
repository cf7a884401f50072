"""Live models -> `Backbone`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from featlib.errors import ModelError
from featlib.models.backbone import Backbone
from featlib.models.image_shape import DEFAULT_SHAPE, check_shape
from featlib.models.layers import graph_operations
from featlib.models.preprocessing import PREPROCESSING, Preprocessing

if TYPE_CHECKING:
    import keras


def _wrap(
    model: keras.Model,
    input_shape: Sequence[int] | None,
    preprocessing: str | None,
    class_names: Sequence[str] | None,
) -> Backbone:
    import keras

    if not isinstance(model, keras.Model):
        raise ModelError(f"A model is a name or a keras.Model. Received: {type(model).__name__}.")
    graph_operations(model)
    return Backbone(
        name=model.name,
        model=model,
        input_shape=_image_shape(model, input_shape),
        preprocessing=_find_preprocessing(model, preprocessing),
        weights="own",
        include_top=len(model.outputs[0].shape) == 2,
        class_names=tuple(class_names) if class_names is not None else None,
    )


def _image_shape(model: keras.Model, input_shape: Sequence[int] | None) -> tuple[int, int, int]:
    declared = [tuple(tensor.shape[1:]) for tensor in model.inputs]
    if len(declared) != 1 or len(declared[0]) != 3 or declared[0][2] != 3:
        raise ModelError(
            f"'{model.name}' takes inputs of shape {declared}. Allowed: one input of RGB images, (height, width, 3)."
        )
    wanted = input_shape or tuple(side or standard for side, standard in zip(declared[0], DEFAULT_SHAPE, strict=True))
    if any(side not in (None, want) for side, want in zip(declared[0], wanted, strict=False)):
        raise ModelError(f"'{model.name}' takes images of {declared[0]}. Received input_shape={tuple(wanted)}.")
    return check_shape(wanted) if input_shape else (int(wanted[0]), int(wanted[1]), 3)


def _find_preprocessing(model: keras.Model, name: str | None) -> Preprocessing:
    if name is None and any(type(layer).__name__ in ("Rescaling", "Normalization") for layer in model.layers):
        name = "none"
    if name not in PREPROCESSING:
        allowed = ", ".join(f"{key!r} ({value.description})" for key, value in PREPROCESSING.items())
        raise ModelError(
            f"Say how '{model.name}' wants its pixels: load_backbone(model, preprocessing=...). Received: {name!r}. "
            f"Allowed: {allowed}."
        )
    return PREPROCESSING[name]

"""Names and live models -> `Backbone`."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from featlib.errors import ModelError, WeightsNotFoundError
from featlib.models.backbone import Backbone
from featlib.models.image_shape import DEFAULT_SHAPE, check_shape
from featlib.models.imagenet import imagenet_names
from featlib.models.lite0 import build_lite0, load_lite0_weights
from featlib.models.own import _wrap
from featlib.models.preprocessing import PREPROCESSING

if TYPE_CHECKING:
    import keras

DEFAULT_MODEL = "EfficientNetLite0"


@dataclass(frozen=True)
class ModelChoice:
    """A network that can be asked for by name.

    Attributes:
        name: what `load_backbone` takes.
        description: one sentence for people.
        embedded: whether its ImageNet weights come with the installation.
        input_sizes: sizes in pixels to offer; ImageNet weights were trained for the last.
        preprocessing: name of its preprocessing.
    """

    name: str
    description: str
    embedded: bool
    input_sizes: tuple[int, ...]
    preprocessing: str


MODELS = (
    ModelChoice(
        "EfficientNetLite0",
        "Embedded: small, quick, trained on ImageNet; nothing to download.",
        embedded=True,
        input_sizes=(96, 128, 160, 192, 224),
        preprocessing="lite0",
    ),
    ModelChoice(
        "MobileNetV2",
        "From keras.applications; its ImageNet weights (14 MB) are downloaded once.",
        embedded=False,
        input_sizes=(96, 128, 160, 192, 224),
        preprocessing="mobilenet_v2",
    ),
)


def list_models() -> tuple[ModelChoice, ...]:
    """Lists the networks that can be loaded by name."""
    return MODELS


def load_backbone(
    model: str | keras.Model,
    *,
    weights: str | Path | None = "imagenet",
    include_top: bool = True,
    input_shape: Sequence[int] | None = None,
    preprocessing: str | None = None,
    class_names: Sequence[str] | None = None,
) -> Backbone:
    """Loads a network with everything needed to feed it.

    Args:
        model: "EfficientNetLite0" (embedded), "MobileNetV2", or a live `keras.Model`.
        weights: "imagenet", None or "random" (the same ones each time), or the path of a Keras weights file.
            A live model keeps its own.
        include_top: whether to keep the classification layers of a named network.
        input_shape: (height, width, 3) in pixels; (224, 224, 3) where neither it nor the model says.
        preprocessing: for a live model, what it wants: "none" (pixels enter as 0…255), "mobilenet_v2" or "lite0". It
            must be said, since nothing in the model tells; except where a Rescaling or Normalization layer inside the
            model does it, which means "none".
        class_names: for a live model, the names of its outputs in order.

    Returns:
        The backbone.

    Raises:
        ModelError: unknown name, unusable model, input shape or weights file.
        WeightsNotFoundError: the weights are not on this machine and could not be downloaded.
    """
    if not isinstance(model, str):
        return _wrap(model, input_shape, preprocessing, class_names)
    weights = None if weights == "random" else weights
    choice = _find_choice(model)
    shape = check_shape(input_shape or DEFAULT_SHAPE)
    build = {"EfficientNetLite0": _load_lite0, "MobileNetV2": _load_mobilenet}[choice.name]
    return Backbone(
        name=choice.name,
        model=build(weights, include_top, shape),
        input_shape=shape,
        preprocessing=PREPROCESSING[choice.preprocessing],
        weights=_weights_name(weights),
        include_top=include_top,
        class_names=imagenet_names() if include_top else None,
    )


def _find_choice(name: str) -> ModelChoice:
    for choice in MODELS:
        if choice.name.lower() == name.lower():
            return choice
    names = ", ".join(f"'{choice.name}'" for choice in MODELS)
    raise ModelError(f"No network named '{name}'. Allowed: {names}, or a live keras.Model.")


def _weights_name(weights: str | Path | None) -> str:
    return "random" if weights is None else "imagenet" if weights == "imagenet" else Path(weights).name


def _load_lite0(weights: str | Path | None, include_top: bool, shape: tuple[int, int, int]) -> keras.Model:
    model = build_lite0(shape, include_top)
    if weights == "imagenet":
        load_lite0_weights(model)
    else:
        _fill(model, weights)
    return model


def _load_mobilenet(weights: str | Path | None, include_top: bool, shape: tuple[int, int, int]) -> keras.Model:
    import keras

    build = keras.applications.MobileNetV2
    if weights != "imagenet":
        model = build(input_shape=shape, include_top=include_top, weights=None)
        _fill(model, weights)
        return _with_stable_names(model)
    try:
        return _with_stable_names(build(input_shape=shape, include_top=include_top, weights="imagenet"))
    except OSError as error:
        raise ModelError(
            f"A weights file of MobileNetV2 in {_keras_folder()} is damaged ({error}). "
            "Delete it, and it is downloaded again."
        ) from error
    except ValueError as error:
        if "input_shape" not in str(error):
            raise
        raise ModelError(
            f"MobileNetV2 has no ImageNet weights for input_shape={shape} with include_top={include_top}. "
            "Use (224, 224, 3), or include_top=False, or weights=None."
        ) from error
    except Exception as error:  # Keras raises nothing narrower when a download fails
        if "URL fetch failure" not in str(error):
            raise
        raise WeightsNotFoundError(_download_advice("MobileNetV2", str(error))) from error


def _with_stable_names(model: keras.Model) -> keras.Model:
    """Names the layers of a fresh model as in a fresh process, where Keras has not counted up its automatic names."""
    for layer in model.layers:
        layer.name = re.sub(r"^(input_layer|global_average_pooling2d)_\d+$", r"\1", layer.name)
    return model


def _download_advice(name: str, error: str) -> str:
    match = re.search(r"https?://[^\s]+?(?=:?\s|$)", error)
    url = match.group() if match else "its weights file"
    return (
        f"The ImageNet weights of {name} are not on this machine and could not be downloaded. "
        f"Download {url} on a machine with a network and put the file in {_keras_folder()}, "
        f"or choose random weights, or '{DEFAULT_MODEL}', which needs no download."
    )


def _keras_folder() -> Path:
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"


def _fill(model: keras.Model, weights: str | Path | None) -> None:
    """Gives a fresh model the weights of a file, or repeatable random ones."""
    if weights is None:
        _randomize(model)
        return
    path = Path(weights)
    if not path.is_file():
        raise WeightsNotFoundError(
            f"No weights file at '{path}'. Allowed: \"imagenet\", None for random weights, or the path of an .h5 file."
        )
    try:
        model.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        raise ModelError(
            f"The weights file '{path.name}' does not fit '{model.name}' with {model.count_params():,} weights: {error}"
        ) from error


def _randomize(model: keras.Model) -> None:
    """Redraws every kernel with Keras' default initializer and a fixed seed, so that "random" is repeatable."""
    import keras

    for seed, variable in enumerate(model.trainable_weights):
        if len(variable.shape) >= 2:
            variable.assign(keras.initializers.GlorotUniform(seed=seed)(variable.shape))

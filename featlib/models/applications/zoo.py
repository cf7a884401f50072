"""Build a network of the catalog, with ImageNet or random weights."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from featlib.errors import ModelError, WeightsNotFoundError
from featlib.models.applications.catalog import (
    DEFAULT_MODEL,
    ModelChoice,
    keras_folder,
    weights_file,
    write_model_name,
)
from featlib.models.applications.efficientnet_lite0 import build_lite0, load_lite0_weights
from featlib.models.applications.layer_names import reset_automatic_names
from featlib.models.applications.names import Option

if TYPE_CHECKING:
    import keras

ImageShape = tuple[int, int, int]
DEFAULT_SIDE = 224
MIN_SIDE, MAX_SIDE = 32, 1024  # below 32 a network that halves five times has nothing left


def choose_shape(choice: ModelChoice, input_shape: Sequence[int] | None) -> ImageShape:
    """Check the requested (height, width, 3), or return the network's default.

    Raises:
        ModelError: It is no such shape, or too small or large.
    """
    if input_shape is None and choice.input_size is not None:
        input_shape = (choice.input_size, choice.input_size, 3)
    elif input_shape is None:  # a network of a newer Keras: only building it tells
        height, width, channels = _keras_function(choice)(weights=None).input_shape[1:]
        input_shape = (height or DEFAULT_SIDE, width or DEFAULT_SIDE, channels)
    valid = len(input_shape) == 3 and input_shape[2] == 3 and all(MIN_SIDE <= n <= MAX_SIDE for n in input_shape[:2])
    if not valid:
        raise ModelError(
            f"input_shape must be (height, width, 3) with sides of {MIN_SIDE} to {MAX_SIDE} pixels. "
            f"Received: {tuple(input_shape)}. The usual one is {(DEFAULT_SIDE, DEFAULT_SIDE, 3)}."
        )
    return int(input_shape[0]), int(input_shape[1]), 3


def build_network(
    choice: ModelChoice,
    options: Mapping[str, Option],
    *,
    pretrained: bool,
    include_top: bool,
    input_shape: ImageShape,
) -> keras.Model:
    """Build a network whose layer names are the same in every process.

    Args:
        choice: From `list_models`.
        options: Its checked options.
        pretrained: Whether to load the ImageNet weights; else Keras draws random ones.
        include_top: Whether to include the classification layers.
        input_shape: (height, width, 3) in pixels.

    Raises:
        ModelError: Keras refuses the combination, or a downloaded weights file is damaged.
        WeightsNotFoundError: The ImageNet weights are not on this machine and could not be downloaded.
    """
    if choice.embedded:
        model = build_lite0(input_shape, include_top)
        if pretrained:
            load_lite0_weights(model)
        return model
    weights = "imagenet" if pretrained else None
    arguments = {"weights": weights, "include_top": include_top, "input_shape": input_shape}
    try:
        model = _keras_function(choice)(**arguments, **options)
    except (ConnectionError, TimeoutError) as error:
        raise WeightsNotFoundError(_download_advice(choice, include_top, str(error))) from error
    except (OSError, KeyError, RuntimeError) as error:  # what h5py raises for a truncated or overwritten file
        if not pretrained:
            raise
        raise ModelError(
            f"A weights file of {choice.name} in {keras_folder()} is damaged ({error}). "
            "Delete it, and it is downloaded again."
        ) from error
    except ValueError as error:
        received = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        name = write_model_name(choice, options)
        raise ModelError(_explain_refusal(name, received, include_top, str(error))) from error
    except Exception as error:  # Keras raises nothing narrower when a download fails
        if "URL fetch failure" not in str(error):
            raise
        raise WeightsNotFoundError(_download_advice(choice, include_top, str(error))) from error
    return reset_automatic_names(model)


def randomize_weights(model: keras.Model) -> None:
    """Redraw every kernel with Keras' default initializer and a fixed seed, so that "random" is repeatable."""
    import keras

    for seed, variable in enumerate(model.trainable_weights):
        if len(variable.shape) >= 2:
            variable.assign(keras.initializers.GlorotUniform(seed=seed)(variable.shape))


def _keras_function(choice: ModelChoice) -> Any:  # noqa: ANN401 - a function of keras.applications
    import keras

    return getattr(keras.applications, choice.name)


def _explain_refusal(name: str, received: str, include_top: bool, error: str) -> str:
    """Say in one sentence why Keras refused to build a network, and what it would build."""
    message = " ".join(error.replace("`", "").split()).removesuffix(".")
    if trained := re.search(r"input_shape should be (\(\d+, \d+, 3\))", message):
        without = ", or include_top=False" if include_top else ""
        return f"{name} has no ImageNet weights for {received}. Use {trained[1]}{without}, or weights=None."
    if smallest := re.search(r"at least (\d+) ?x ?\1", message):
        return f"{name} needs images of at least {smallest[1]} × {smallest[1]} pixels. Received: {received}."
    if "classes should be 1000" in message:
        return (
            f"{name} has no ImageNet weights, which are for 1,000 classes. Received: {received}. "
            "Use include_top=False, or weights=None."
        )
    return f"{name} cannot be built with {received}: {message}."


def _download_advice(choice: ModelChoice, include_top: bool, error: str) -> str:
    match = re.search(r"https?://[^\s]+?(?=:?\s|$)", error)
    url = match.group() if match else "its weights file"
    file = weights_file(choice, include_top)
    renamed = f" as {file}" if match and file and choice.module == "nasnet" else ""  # the only one whose URL differs
    return (
        f"The ImageNet weights of {choice.name} are not on this machine and could not be downloaded. "
        f"Download {url} on a machine with a network and put the file in {keras_folder()}{renamed}, "
        f"or choose random weights, or '{DEFAULT_MODEL}', which needs no download."
    )

"""Names and live models -> `Backbone`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featlib.errors import ModelError, WeightsNotFoundError
from featlib.models.applications.catalog import DEFAULT_MODEL, ModelChoice, find_choice, keras_folder, weights_file
from featlib.models.applications.efficientnet_lite0 import build_lite0, load_lite0_weights
from featlib.models.applications.imagenet import imagenet_names
from featlib.models.applications.layer_names import rename_as_in_a_fresh_process
from featlib.models.applications.names import CLASSES, Option, check_options, parse_model_name, write_model_name
from featlib.models.backbone import Backbone
from featlib.models.files.load import is_model_path, load_model_file
from featlib.models.files.weights import load_weights_file
from featlib.models.files.wrap import PixelFunction, wrap_model
from featlib.models.image_shape import DEFAULT_SHAPE, check_shape
from featlib.models.preprocessing import as_preprocessing

if TYPE_CHECKING:
    import keras

ImageShape = tuple[int, int, int]


def load_backbone(
    model: str | Path | keras.Model,
    *,
    weights: str | Path | None = "imagenet",
    include_top: bool = True,
    input_shape: Sequence[int] | None = None,
    preprocessing: str | PixelFunction | None = None,
    class_names: Sequence[str] | None = None,
    trust_saved_model: bool = False,
    **options: Option,
) -> Backbone:
    """Loads a network with everything needed to feed it.

    Args:
        model: "EfficientNetLite0" (embedded), any network of keras.applications such as "MobileNetV2", the same with
            options as in "MobileNetV2(alpha=0.35)", the path of a `.keras` or `.h5` file, which is inspected before
            Keras reads it, or a live `keras.Model`.
        weights: "imagenet", None or "random" (the same ones each time), or the path of a Keras weights file.
            A live model keeps its own.
        include_top: whether to keep the classification layers of a named network.
        input_shape: (height, width, channels) in pixels. None means a network's own, and (224, 224, 3) for a live model
            of variable size. A model that is not built yet needs it.
        preprocessing: what is done to pixels of 0…255. A named network brings its own. For a live model it is guessed
            from what is inside (a Rescaling layer, a network of keras.applications), and `notes` of the backbone say
            why; where nothing tells, it must be said. Names: "none", "unit" (0…1), "tf" (−1…1), "torch", "caffe",
            "lite0", or a family of keras.applications such as "mobilenet_v2"; or a function of your own from
            (n, height, width, 3) float32 RGB pixels to what the model takes.
        class_names: the names of the outputs in order; None means ImageNet's for a named network with 1,000 outputs,
            and for a file those in a `labels.txt` beside it, as Teachable Machine exports them.
        trust_saved_model: allows the path of a TensorFlow SavedModel folder, such as a hub feature vector. It is a
            program that can do as its maker likes: only for what you trust. Its inner layers cannot be seen.
        **options: options of the network, such as alpha=0.35, or classes=5 where the weights are not ImageNet's.

    Returns:
        The backbone. Its name is as above, with the options that are not the default.

    Raises:
        ModelError: unknown name or option, unusable model, input shape or weights file.
        WeightsNotFoundError: the weights are not on this machine and could not be downloaded.
    """
    is_name = isinstance(model, str) and not is_model_path(model)
    if not is_name and (weights != "imagenet" or not include_top):
        raise ModelError(
            f"weights and include_top are for networks by name; a model brings its own. Received: weights={weights!r}, "
            f"include_top={include_top} with {model!r}."
        )
    if options and not is_name:
        raise ModelError(f"Options are for networks by name. Received: {', '.join(options)} with {model!r}.")
    if not isinstance(model, str | Path):
        return wrap_model(model, input_shape, preprocessing, class_names)
    if not is_name:
        return load_model_file(Path(model), input_shape, preprocessing, class_names, trust_saved_model)
    weights = None if weights == "random" else weights
    choice, checked = _find_network(str(model), options)
    shape = check_shape(input_shape or _default_shape(choice))
    network = _load(weights, include_top, shape, choice, checked)
    return Backbone(
        name=write_model_name(choice, checked),
        model=network,
        input_shape=shape,
        preprocessing=as_preprocessing(preprocessing or choice.module),
        weights=_weights_name(weights),
        include_top=include_top,
        class_names=_class_names(network, include_top, class_names),
    )


def _find_network(text: str, options: dict[str, Option]) -> tuple[ModelChoice, dict[str, Option]]:
    name, written = parse_model_name(text)
    choice = find_choice(name)
    twice = sorted(set(written) & set(options))
    if twice:
        raise ModelError(
            f"The option '{twice[0]}' is given twice: in '{text}' and as {twice[0]}={options[twice[0]]!r}."
        )
    return choice, check_options(choice, {**written, **options})


def _default_shape(choice: ModelChoice) -> Sequence[int]:
    if choice.input_size is not None:
        return choice.input_size, choice.input_size, 3
    built = _keras_function(choice)(weights=None)  # a newer network: nothing else tells
    return tuple(side or usual for side, usual in zip(built.input_shape[1:], DEFAULT_SHAPE, strict=True))


def _class_names(network: Any, include_top: bool, names: Sequence[str] | None) -> tuple[str, ...] | None:  # noqa: ANN401
    outputs = network.outputs[0].shape[-1]
    if not include_top or names is None:
        return imagenet_names() if include_top and outputs == CLASSES else None
    if len(names) != outputs:
        raise ModelError(f"class_names must name the {outputs} outputs of '{network.name}'. Received: {len(names)}.")
    return tuple(names)


def _weights_name(weights: str | Path | None) -> str:
    return "random" if weights is None else "imagenet" if weights == "imagenet" else Path(weights).name


def _load(
    weights: str | Path | None, include_top: bool, shape: ImageShape, choice: ModelChoice, options: dict[str, Option]
) -> keras.Model:
    """Builds a network and gives it its weights; a file of weights is checked before anything is built."""
    if weights is not None and weights != "imagenet":
        name = write_model_name(choice, options)
        return load_weights_file(lambda: _build_network(None, include_top, shape, choice, options), weights, name)
    model = _build_network(weights, include_top, shape, choice, options)
    if weights is None:
        _randomize(model)
    elif choice.embedded:
        load_lite0_weights(model)
    return model


def _build_network(
    weights: str | None, include_top: bool, shape: ImageShape, choice: ModelChoice, options: dict[str, Option]
) -> keras.Model:
    if choice.embedded:
        return build_lite0(shape, include_top)
    return rename_as_in_a_fresh_process(_build(weights, include_top, shape, choice, options))


def _build(
    weights: str | None, include_top: bool, shape: ImageShape, choice: ModelChoice, options: dict[str, Option]
) -> keras.Model:
    """Builds a network of keras.applications: with ImageNet weights, or random ones that are replaced later."""
    source = "imagenet" if weights == "imagenet" else None
    try:
        return _keras_function(choice)(input_shape=shape, include_top=include_top, weights=source, **options)
    except (ConnectionError, TimeoutError) as error:
        raise WeightsNotFoundError(_download_advice(choice, include_top, str(error))) from error
    except (OSError, KeyError, RuntimeError) as error:  # what h5py raises for a file that is cut off or overwritten
        if source is None:
            raise
        raise ModelError(
            f"A weights file of {choice.name} in {keras_folder()} is damaged ({error}). "
            "Delete it, and it is downloaded again."
        ) from error
    except ValueError as error:
        asked = f"weights={source!r}, include_top={include_top}, input_shape={shape}"
        raise ModelError(_impossible(write_model_name(choice, options), asked, include_top, str(error))) from error
    except Exception as error:  # Keras raises nothing narrower when a download fails
        if "URL fetch failure" not in str(error):
            raise
        raise WeightsNotFoundError(_download_advice(choice, include_top, str(error))) from error


def _keras_function(choice: ModelChoice) -> Any:  # noqa: ANN401
    import keras

    return getattr(keras.applications, choice.name)


def _impossible(name: str, asked: str, include_top: bool, error: str) -> str:
    """Says in one sentence why Keras would not build a network, and what it would build."""
    message = " ".join(error.replace("`", "").split()).removesuffix(".")
    if trained := re.search(r"input_shape should be (\(\d+, \d+, 3\))", message):
        without = ", or include_top=False" if include_top else ""
        return f"{name} has no ImageNet weights for {asked}. Use {trained[1]}{without}, or weights=None."
    if smallest := re.search(r"at least (\d+) ?x ?\1", message):
        return f"{name} needs images of at least {smallest[1]} × {smallest[1]} pixels. Received: {asked}."
    if "classes should be 1000" in message:
        return (
            f"{name} has no ImageNet weights, which are for 1,000 classes. Received: {asked}. "
            "Use include_top=False, or weights=None."
        )
    return f"{name} cannot be built with {asked}: {message}."


def _download_advice(choice: ModelChoice, include_top: bool, error: str) -> str:
    match = re.search(r"https?://[^\s]+?(?=:?\s|$)", error)
    url = match.group() if match else "its weights file"
    file = weights_file(choice, include_top)
    renamed = f" as {file}" if match and file and choice.module == "nasnet" else ""  # the one whose address differs
    return (
        f"The ImageNet weights of {choice.name} are not on this machine and could not be downloaded. "
        f"Download {url} on a machine with a network and put the file in {keras_folder()}{renamed}, "
        f"or choose random weights, or '{DEFAULT_MODEL}', which needs no download."
    )


def _randomize(model: keras.Model) -> None:
    """Redraws every kernel with Keras' default initializer and a fixed seed, so that "random" is repeatable."""
    import keras

    for seed, variable in enumerate(model.trainable_weights):
        if len(variable.shape) >= 2:
            variable.assign(keras.initializers.GlorotUniform(seed=seed)(variable.shape))

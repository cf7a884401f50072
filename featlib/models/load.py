"""Names, files and live models -> `Backbone`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from featlib.checks import flag, instance, sequence, shown, whole_number
from featlib.errors import ModelError
from featlib.models.applications import (
    CLASSES,
    Option,
    build_network,
    check_options,
    choose_shape,
    find_choice,
    imagenet_names,
    parse_model_name,
    randomize_weights,
    write_model_name,
)
from featlib.models.backbone import Backbone
from featlib.models.files import is_model_path, load_model_file, load_weights_file, wrap_model
from featlib.models.preprocessing import PixelFunction, as_preprocessing

if TYPE_CHECKING:
    import keras

MAX_SIDE = 65_536


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
    """Load a network with everything needed to feed it.

    Args:
        model: "EfficientNetLite0" (embedded), any network of keras.applications such as "MobileNetV2", the same with
            options as in "MobileNetV2(alpha=0.35)", the path of a `.keras` or `.h5` file, which is inspected before
            Keras reads it, or a live `keras.Model`.
        weights: "imagenet", None or "random" (the same ones each time), or the path of a Keras weights file.
            A live model keeps its own.
        include_top: Whether to include the classification layers of a named network.
        input_shape: (height, width, channels) in pixels. None means a network's own, and (224, 224, 3) for a live model
            of variable size. A model that is not built yet needs it.
        preprocessing: What is done to pixels in 0…255. A named network brings its own. For a live model it is guessed
            from its layers (a Rescaling layer, a network of keras.applications), and the backbone's `notes` say why;
            where nothing shows it, it is required. Names: "none", "unit" (0…1), "tf" (−1…1), "torch", "caffe",
            "lite0", or a family of keras.applications such as "mobilenet_v2"; or your own function from
            (n, height, width, 3) float32 RGB pixels to what the model takes.
        class_names: The names of the outputs in order; None means ImageNet's for a named network with 1,000 outputs,
            and for a file those in a `labels.txt` beside it, as Teachable Machine exports them.
        trust_saved_model: Whether to allow the path of a TensorFlow SavedModel folder, such as a hub feature vector.
            It is a program that can do as its author likes: only for what you trust. Its inner layers are not visible.
        **options: Options of the network, such as alpha=0.35, or classes=5 where the weights are not ImageNet's.

    Returns:
        The backbone. Its name is as above, with the options that differ from the default.

    Raises:
        FeatlibError: An argument is invalid; the message says which and what is allowed.
        ModelError: Unknown name or option, unusable model, input shape or weights file.
        WeightsNotFoundError: The weights are not on this machine and could not be downloaded.
    """
    flag("include_top", include_top)
    flag("trust_saved_model", trust_saved_model)
    if weights is not None:
        instance("weights", weights, (str, Path), "'imagenet', None, 'random' or a file's path")
    if input_shape is not None:
        sides = sequence("input_shape", input_shape, "(height, width, channels)")
        input_shape = [whole_number("input_shape", side, 1, MAX_SIDE) for side in sides]
    if class_names is not None:
        class_names = [
            instance("class_names", name, str, "a list of texts")
            for name in sequence("class_names", class_names, "a list of texts")
        ]
    if not isinstance(model, str) or is_model_path(model):
        if weights != "imagenet" or not include_top:
            raise ModelError(
                "weights and include_top are for networks by name; a model brings its own. "
                f"Received: weights={weights!r}, include_top={include_top} with {model!r}."
            )
        if options:
            raise ModelError(f"Options are for networks by name. Received: {', '.join(options)} with {model!r}.")
        if isinstance(model, str | Path):
            return load_model_file(Path(model), input_shape, preprocessing, class_names, trust_saved_model)
        return wrap_model(model, input_shape, preprocessing, class_names)
    name, written = parse_model_name(model)
    choice = find_choice(name)
    for key in sorted(set(written) & set(options)):
        raise ModelError(f"The option '{key}' is given twice: in '{model}' and as {key}={options[key]!r}.")
    options = check_options(choice, {**written, **options})
    name = write_model_name(choice, options)
    shape = choose_shape(choice, input_shape)
    build = partial(build_network, choice, options, include_top=include_top, input_shape=shape)
    if weights is None or weights == "random":
        weights, network = "random", build(pretrained=False)
        randomize_weights(network)
    elif weights == "imagenet":
        network = build(pretrained=True)
    else:
        network = load_weights_file(partial(build, pretrained=False), weights, name)
    outputs = network.outputs[0].shape[-1]
    if not include_top or class_names is None:
        class_names = imagenet_names() if include_top and outputs == CLASSES else None
    elif len(class_names) != outputs:
        raise ModelError(f"class_names must name the {outputs} outputs of '{name}'. Received: {len(class_names)}.")
    return Backbone(
        name=name,
        model=network,
        input_shape=shape,
        preprocessing=as_preprocessing(choice.module if preprocessing is None else preprocessing),
        weights=Path(weights).name,
        include_top=include_top,
        class_names=None if class_names is None else tuple(class_names),
    )


def as_backbone(given: str | Path | Backbone) -> Backbone:
    """Return a backbone as it is, and load the one whose name or file is given.

    Raises:
        ModelError: It is neither, or cannot be loaded.
    """
    if isinstance(given, Backbone):
        return given
    if isinstance(given, str | Path):
        return load_backbone(given)
    raise ModelError(
        f"backbone must be a name, a path or a Backbone. Received: {shown(given)}. "
        "For a live model: load_backbone(model, preprocessing=...)."
    )

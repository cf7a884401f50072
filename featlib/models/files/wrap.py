"""A live Keras model -> `Backbone`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from featlib.errors import ModelError
from featlib.models.backbone import Backbone
from featlib.models.files.guess import guess_preprocessing
from featlib.models.graph import image_graph
from featlib.models.preprocessing import PixelFunction, Preprocessing, as_preprocessing

if TYPE_CHECKING:
    import keras


def wrap_model(
    model: keras.Model,
    input_shape: Sequence[int] | None,
    preprocessing: str | PixelFunction | None,
    class_names: Sequence[str] | None,
    default_preprocessing: str | None = None,
) -> Backbone:
    """Make a backbone of a live model.

    Args:
        model: Functional, Sequential or subclassed. A model that is not built is built for `input_shape`.
        input_shape: (height, width, channels) of one image; required if the model does not declare it.
        preprocessing: A name, a function, or None to guess it from the model.
        class_names: Names of the outputs, in order.
        default_preprocessing: The preprocessing to assume if it cannot be guessed; None to refuse the model then.

    Raises:
        ModelError: The model takes no images, its preprocessing is unknown, or the class names do not fit.
    """
    import keras

    if not isinstance(model, keras.Model):
        raise ModelError(f"A model is a name or a keras.Model. Received: {type(model).__name__}.")
    graph = image_graph(model, input_shape)
    chosen, note = _choose_preprocessing(model, preprocessing, default_preprocessing)
    class_counts = sorted({graph.specs[ref].shape[-1] for ref in graph.outputs if len(graph.specs[ref].shape) == 2})
    if class_names is not None and len(class_names) not in class_counts:
        outputs = " or ".join(f"{count:,}" for count in class_counts) or "no"
        raise ModelError(f"'{model.name}' has {outputs} class outputs. Received: {len(class_names)} class names.")
    height, width, channels = graph.input_shape
    backbone = Backbone(
        name=model.name,
        model=model,
        input_shape=(height, width, channels),
        preprocessing=chosen,
        weights="own",
        include_top=bool(class_counts),
        class_names=None if class_names is None else tuple(class_names),
        channels_first=graph.channels_first,
        notes=(note,) if note else (),
    )
    vars(backbone)["graph"] = graph
    return backbone


def _choose_preprocessing(
    model: keras.Model, given: str | PixelFunction | None, default: str | None
) -> tuple[Preprocessing, str]:
    """Return the preprocessing, and why if it was not given."""
    if given is not None:
        return as_preprocessing(given), ""
    guess = guess_preprocessing(model)
    if guess is not None:
        return as_preprocessing(guess[0]), guess[1]
    if default is not None:
        chosen = as_preprocessing(default)
        return chosen, f"Nothing in the model shows how it expects its pixels. Assumed: {chosen.description}."
    raise ModelError(
        f"The preprocessing of '{model.name}' is unknown: nothing in the model shows it. Pass it: "
        "load_backbone(model, preprocessing=...). Allowed: 'none' (0…255), 'unit' (0…1), 'tf' (−1…1), 'torch', "
        "'caffe', a family of keras.applications such as 'mobilenet_v2', or your own function."
    )

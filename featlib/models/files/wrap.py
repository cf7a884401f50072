"""A person's own Keras model -> `Backbone`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from featlib.errors import ModelError
from featlib.models.backbone import Backbone
from featlib.models.files.guess import guess_preprocessing
from featlib.models.graph.graph import ModelGraph, is_graph, keras_reason
from featlib.models.graph.recording import parts_of
from featlib.models.preprocessing import Preprocessing, as_preprocessing

if TYPE_CHECKING:
    import keras
    import numpy as np

PixelFunction = Callable[["np.ndarray"], "np.ndarray"]
PICTURES = (1, 3, 4)  # channels of grey, RGB and RGBA
STANDARD_SHAPE = (224, 224, 3)  # where neither the person nor the model says


def wrap_model(
    model: keras.Model,
    input_shape: Sequence[int] | None,
    preprocessing: str | PixelFunction | None,
    class_names: Sequence[str] | None,
    otherwise: str | None = None,
) -> Backbone:
    """Makes a live model a backbone.

    Args:
        model: Functional, Sequential or subclassed. One that is not built is built for `input_shape`.
        input_shape: (height, width, channels) of one image; needed where the model does not say.
        preprocessing: a name, a function of one's own, or None where the model shows what it wants.
        class_names: names of the outputs in order.
        otherwise: the preprocessing to assume where the model does not show it; None to refuse the model then.

    Raises:
        ModelError: the model takes no images, or it cannot be told how it wants them.
    """
    import keras

    if not isinstance(model, keras.Model):
        raise ModelError(f"A model is a name or a keras.Model. Received: {type(model).__name__}.")
    channels_first = _wants_channels_first(model)
    shape = _image_shape(model, input_shape, channels_first)
    if not (is_graph(model) or model.built):
        _build(model, shape, channels_first)
    chosen, note = _find_preprocessing(model, preprocessing, otherwise)
    graph = ModelGraph(model, shape, channels_first)
    names = _check_class_names(model, graph, class_names)
    backbone = Backbone(
        name=model.name,
        model=model,
        input_shape=shape,
        preprocessing=chosen,
        weights="own",
        include_top=any(len(graph.specs[ref].shape) == 2 for ref in graph.outputs),
        class_names=names,
        channels_first=channels_first,
        notes=(note,) if note else (),
    )
    vars(backbone)["graph"] = graph
    return backbone


def image_graph(model: keras.Model) -> ModelGraph:
    """The graph of a model for images of the size it declares, or of the standard one.

    Raises:
        ModelError: the model takes no images.
    """
    channels_first = _wants_channels_first(model)
    return ModelGraph(model, _image_shape(model, None, channels_first), channels_first)


def _wants_channels_first(model: keras.Model) -> bool:
    declared = next((x.shape for x in model.inputs if len(x.shape) == 4), None) if is_graph(model) else None
    if declared is not None and declared[-1] in PICTURES and declared[1] not in PICTURES:
        return False  # whatever a layer further on wants
    formats = (getattr(part, "data_format", None) for part in parts_of(model))
    return next((f == "channels_first" for f in formats if f in ("channels_first", "channels_last")), False)


def _image_shape(model: keras.Model, wanted: Sequence[int] | None, channels_first: bool) -> tuple[int, int, int]:
    declared = _declared_shape(model, channels_first)
    if declared is None:
        if wanted is None:
            raise ModelError(
                f"'{model.name}' is not built, so it does not say what images it takes. "
                "Say it: load_backbone(model, input_shape=(height, width, channels))."
            )
        declared = (None, None, None)
    shape = tuple(wanted or (side or standard for side, standard in zip(declared, STANDARD_SHAPE, strict=True)))
    fits = len(shape) == 3 and all(d in (None, s) and s > 0 for d, s in zip(declared, shape, strict=False))
    if not fits:
        raise ModelError(f"'{model.name}' takes images of {declared}. Received input_shape={shape}.")
    return int(shape[0]), int(shape[1]), int(shape[2])


def _declared_shape(model: keras.Model, channels_first: bool) -> tuple[int | None, ...] | None:
    """(height, width, channels) of the first input that is an image; None for a model that does not say."""
    if not is_graph(model):
        return None
    shapes = [tuple(tensor.shape[1:]) for tensor in model.inputs]
    images = [shape for shape in shapes if len(shape) == 3]
    if not images:
        raise ModelError(f"'{model.name}' takes inputs of shape {shapes}. Allowed: images, (height, width, channels).")
    shape = images[0]
    return (*shape[1:], shape[0]) if channels_first else shape


def _build(model: keras.Model, shape: tuple[int, int, int], channels_first: bool) -> None:
    import keras
    import numpy as np

    height, width, channels = shape
    one = (1, channels, height, width) if channels_first else (1, height, width, channels)
    try:
        if isinstance(model, keras.Sequential):
            model.build((None, *one[1:]))
        else:
            model(np.zeros(one, np.float32), training=False)
    except (ValueError, TypeError, AttributeError, NotImplementedError, RuntimeError) as error:
        raise ModelError(f"'{model.name}' cannot be built for images of {shape}: {keras_reason(error)}") from error


def _check_class_names(model: keras.Model, graph: ModelGraph, names: Sequence[str] | None) -> tuple[str, ...] | None:
    if names is None:
        return None
    counts = {graph.specs[ref].shape[-1] for ref in graph.outputs if len(graph.specs[ref].shape) == 2}
    if len(names) not in counts:
        outputs = " or ".join(f"{count:,}" for count in sorted(counts)) or "no"
        raise ModelError(f"'{model.name}' has {outputs} class outputs. Received: {len(names)} class names.")
    return tuple(names)


def _find_preprocessing(
    model: keras.Model, given: str | PixelFunction | None, otherwise: str | None
) -> tuple[Preprocessing, str]:
    """The preprocessing and, where it was guessed, why."""
    if given is not None:
        return as_preprocessing(given), ""
    guess = guess_preprocessing(model)
    if guess is not None:
        return as_preprocessing(guess[0]), guess[1]
    if otherwise is not None:
        chosen = as_preprocessing(otherwise)
        return chosen, f"Nothing in the model shows how it wants its pixels. Assumed: {chosen.description}."
    raise ModelError(
        f"Say how '{model.name}' wants its pixels, since nothing in it tells: "
        "load_backbone(model, preprocessing=...). Allowed: 'none' (0…255), 'unit' (0…1), 'tf' (−1…1), 'torch', "
        "'caffe', a family of keras.applications such as 'mobilenet_v2', or a function of your own."
    )

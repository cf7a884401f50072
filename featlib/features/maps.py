"""Images -> feature maps: one layer for a batch, or every layer for one image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import overload

import numpy as np

from featlib.features.engine import Engine, EngineOptions, raise_for_problems
from featlib.features.taps import Tap, run_eagerly
from featlib.images import as_image_set, list_pending
from featlib.models import Backbone, list_layers
from featlib.progress import OnProgress


@overload
def feature_maps(
    backbone: Backbone,
    images: object,
    layer: str,
    *,
    batch_size: int = 32,
    on_progress: OnProgress | None = None,
) -> np.ndarray: ...
@overload
def feature_maps(
    backbone: Backbone,
    images: object,
    layer: list[str] | tuple[str, ...],
    *,
    batch_size: int = 32,
    on_progress: OnProgress | None = None,
) -> dict[str, np.ndarray]: ...
def feature_maps(
    backbone: Backbone,
    images: object,
    layer: str | list[str] | tuple[str, ...],
    *,
    batch_size: int = 32,
    on_progress: OnProgress | None = None,
) -> np.ndarray | dict[str, np.ndarray]:
    """Computes what layers put out for images. Only the part of the network up to the deepest layer runs.

    Args:
        backbone: from `load_backbone`.
        images: an ImageSet, a list of paths, bytes, PIL images or uint8 arrays, or one (n, h, w, 3) array.
        layer: one layer path, or several, which come from one pass.
        batch_size: images in one forward pass.
        on_progress: called with (images done, images in all); returning True stops the work.

    Returns:
        (n, height, width, channels) float32, or the layer's own shape where it has no height and width. For several
        layers a dict from path to array, in the order asked.

    Raises:
        LayerNotFoundError: a path is unknown.
        ImageError: an image cannot be read.
        CancelledError: `on_progress` returned True.
    """
    paths = [layer] if isinstance(layer, str) else list(layer)
    engine = Engine(backbone, [Tap(path, None) for path in paths], EngineOptions(batch_size))
    found, arrays = engine.run(list_pending(images), on_progress=on_progress)
    raise_for_problems(found)
    return arrays[0] if isinstance(layer, str) else dict(zip(paths, arrays, strict=True))


@dataclass(frozen=True)
class Trace:
    """Everything a network computed for one image.

    Attributes:
        image: (height, width, 3) uint8, the resized and cropped picture the network looked at.
        outputs: layer path -> the layer's output for this image, without the batch dimension, float32.
    """

    image: np.ndarray
    outputs: dict[str, np.ndarray]


def trace_image(backbone: Backbone, image: object) -> Trace:
    """Runs the network once on one image and keeps every layer's output.

    Args:
        backbone: from `load_backbone`.
        image: a path, bytes, PIL image, uint8 array, or an item of an ImageSet.

    Returns:
        The outputs of all layers, in graph order; about 80 MB for a small network at 224 pixels.

    Raises:
        ImageError: the image cannot be read.
    """
    looked_at = as_image_set([image])[0].resized(*backbone.input_shape[:2])
    paths = [layer.path for layer in list_layers(backbone) if not layer.reason]
    outputs = run_eagerly(backbone, [Tap(path, None) for path in paths], backbone.preprocess(looked_at[np.newaxis]))
    return Trace(looked_at, {path: output[0] for path, output in zip(paths, outputs, strict=True)})

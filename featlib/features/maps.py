"""Turn images into feature maps: one layer for a batch, or every layer for one image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np

from featlib.features.engine import Engine, EngineOptions, raise_for_problems
from featlib.features.taps import Tap, as_layers, run_eagerly
from featlib.images import as_image_set, list_pending
from featlib.models import Backbone, as_backbone
from featlib.progress import OnProgress


@overload
def feature_maps(
    backbone: str | Path | Backbone,
    images: object,
    layer: str,
    *,
    batch_size: int = 32,
    on_progress: OnProgress | None = None,
) -> np.ndarray: ...
@overload
def feature_maps(
    backbone: str | Path | Backbone,
    images: object,
    layer: list[str] | tuple[str, ...],
    *,
    batch_size: int = 32,
    on_progress: OnProgress | None = None,
) -> dict[str, np.ndarray]: ...
def feature_maps(
    backbone: str | Path | Backbone,
    images: object,
    layer: str | list[str] | tuple[str, ...],
    *,
    batch_size: int = 32,
    on_progress: OnProgress | None = None,
) -> np.ndarray | dict[str, np.ndarray]:
    """Compute the outputs of layers for images. Only the part of the network up to the deepest layer runs.

    Args:
        backbone: From `load_backbone`, or the name or file of a network.
        images: An ImageSet, a list of paths, bytes, PIL images or uint8 arrays, or one (n, h, w, 3) array.
        layer: One layer path, or several, which come from one pass.
        batch_size: Images in one forward pass.
        on_progress: Called with (images done, n); returning True stops the work.

    Returns:
        (n, height, width, channels) float32, or the layer's own shape where it has no height and width. For several
        layers a dict from path to array, in the order given.

    Raises:
        FeatlibError: An argument is invalid; the message says which and what is allowed.
        LayerNotFoundError: A path is unknown.
        ImageError: An image cannot be read.
        CancelledError: `on_progress` returned True.
    """
    paths, options = as_layers(layer, name="layer"), EngineOptions(batch_size)
    engine = Engine(as_backbone(backbone), [Tap(path, None) for path in paths], options)
    found, arrays = engine.run(list_pending(images), on_progress=on_progress)
    raise_for_problems(found)
    return arrays[0] if isinstance(layer, str) else dict(zip(paths, arrays, strict=True))


@dataclass(frozen=True)
class Trace:
    """All outputs of a network for one image.

    Attributes:
        image: (height, width, 3) uint8, the resized and cropped image that entered the network.
        outputs: Layer path -> the layer's output for this image, without the batch dimension, float32.
    """

    image: np.ndarray
    outputs: dict[str, np.ndarray]

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        return f"Trace({len(self.outputs):,} layers for an image of {height} × {width} pixels)"


def trace_image(backbone: str | Path | Backbone, image: object) -> Trace:
    """Run the network once on one image and return the output of every layer.

    Args:
        backbone: From `load_backbone`, or the name or file of a network.
        image: A path, bytes, PIL image, uint8 array, or an item of an ImageSet.

    Returns:
        The outputs of all layers, in graph order; about 80 MB for a small network at 224 pixels.

    Raises:
        ImageError: The image cannot be read.
    """
    backbone = as_backbone(backbone)
    resized = as_image_set([image])[0].resized(*backbone.input_shape[:2])
    paths = [layer.path for layer in backbone.layers if not layer.reason]
    outputs = run_eagerly(backbone, [Tap(path, None) for path in paths], backbone.preprocess(resized[np.newaxis]))
    return Trace(resized, {path: output[0] for path, output in zip(paths, outputs, strict=True)})

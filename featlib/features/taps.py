"""The part of a network from its input to the asked layers, run eagerly or as one compiled graph."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from featlib.errors import FeatlibError
from featlib.models import Backbone, find_layer

POOLINGS = ("avg", "max", "flatten", None)
EAGER_BATCH = 4  # up to here tracing a graph (0.5 to 0.8 s) costs more than it saves
COMPILED_TAPS = 16  # per backbone

Tap = Callable[[np.ndarray], list[np.ndarray]]

_lock = threading.Lock()
_compiled: weakref.WeakKeyDictionary[Backbone, dict[Any, Tap]] = weakref.WeakKeyDictionary()


def tap_layers(backbone: Backbone, layers: Sequence[str]) -> Callable[[Any], list[Any]]:
    """Makes the function from images to the outputs of layers; it runs what leads to them, and nothing beyond.

    It works on tensors as they are, and inside a `tf.function`. The layers are the backbone's own: nothing is copied,
    and nothing is added to Keras' graphs, so functions may be made and dropped as often as one likes.

    Args:
        backbone: from `load_backbone`.
        layers: layer paths, at any depth; the outputs come in this order.

    Returns:
        A function from (n, height, width, channels), as `backbone.prepare` makes it, to one tensor a layer in float32,
        with channels last where the output has height and width.

    Raises:
        LayerNotFoundError: a path is unknown, or its output cannot be had.
    """
    infos = [find_layer(backbone, path) for path in layers]
    graph = backbone.graph  # and not the backbone, which the kept functions must not keep alive
    refs = [ref for _, ref in (graph.targets[path] for path in layers) if ref]

    def run(images: Any) -> list[Any]:  # noqa: ANN401 - Keras tensors
        import keras

        outputs = [keras.ops.cast(output, "float32") for output in graph.run(refs, images)]
        return [
            keras.ops.transpose(output, (0, 2, 3, 1)) if info.channels_first else output
            for info, output in zip(infos, outputs, strict=True)
        ]

    return run


def run_tap(backbone: Backbone, layers: Sequence[str], pooling: str | None, batch: np.ndarray) -> list[np.ndarray]:
    """Runs preprocessed images through the network up to the asked layers and pools inside the graph.

    Args:
        backbone: from `load_backbone`.
        layers: layer paths.
        pooling: "avg", "max", "flatten" or None.
        batch: (n, height, width, channels) float32, from `backbone.prepare`.

    Returns:
        One float32 array a layer: (n, D), or with pooling None the layer's own shape.

    Raises:
        FeatlibError: a layer does not put out one row for each image.
    """
    key = (tuple(layers), pooling)
    with _lock:
        tap = _compiled.setdefault(backbone, {}).get(key)
    if tap is None and len(batch) > EAGER_BATCH:
        tap = _remember(backbone, key, _compile(backbone, layers, pooling))
    outputs = (tap or _eager(backbone, layers, pooling))(batch)
    for path, output in zip(layers, outputs, strict=True):
        if output.shape[:1] != (len(batch),):
            raise FeatlibError(
                f"'{path}' of '{backbone.name}' puts out {output.shape} for {len(batch)} images, which is not one row "
                "for each image. Choose another layer."
            )
    return outputs


def check_pooling(pooling: str | None) -> None:
    """Raises FeatlibError unless `pooling` is one of `POOLINGS`."""
    if pooling not in POOLINGS:
        raise FeatlibError(f"pooling must be 'avg', 'max', 'flatten' or None. Received: {pooling!r}.")


def _remember(backbone: Backbone, key: Any, tap: Tap) -> Tap:  # noqa: ANN401
    with _lock:
        taps = _compiled.setdefault(backbone, {})
        while len(taps) >= COMPILED_TAPS:
            taps.pop(next(iter(taps)))
        return taps.setdefault(key, tap)


def _compile(backbone: Backbone, layers: Sequence[str], pooling: str | None) -> Tap:
    import tensorflow as tf

    tap = tap_layers(backbone, layers)
    signature = [tf.TensorSpec((None, *backbone.input_shape), tf.float32)]
    graph = tf.function(
        lambda images: [_pool(output, pooling) for output in tap(images)], input_signature=signature, autograph=False
    )
    return lambda batch: [output.numpy() for output in graph(tf.convert_to_tensor(batch))]


def _eager(backbone: Backbone, layers: Sequence[str], pooling: str | None) -> Tap:
    import keras

    tap = tap_layers(backbone, layers)
    return lambda batch: [
        keras.ops.convert_to_numpy(_pool(output, pooling)) for output in tap(keras.ops.convert_to_tensor(batch))
    ]


def _pool(x: Any, pooling: str | None) -> Any:  # noqa: ANN401 - a Keras tensor
    """Pools a layer's output over everything between batch and channels, as Keras' own pooling layers do."""
    import keras

    if pooling is None or len(x.shape) <= 2:
        return x
    if pooling == "flatten":
        return keras.ops.reshape(x, (keras.ops.shape(x)[0], -1))
    axes = list(range(1, len(x.shape) - 1))
    return keras.ops.mean(x, axis=axes) if pooling == "avg" else keras.ops.max(x, axis=axes)

"""The part of a network from its input to the asked layers, run eagerly or as one compiled graph."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from featlib.errors import FeatlibError
from featlib.models import Backbone, find_layer, graph_outputs

if TYPE_CHECKING:
    import keras

POOLINGS = ("avg", "max", "flatten", None)
EAGER_BATCH = 4  # up to here tracing a graph (0.5 to 0.8 s) costs more than it saves
COMPILED_TAPS = 16  # per backbone

Tap = Callable[[np.ndarray], list[np.ndarray]]

_lock = threading.Lock()
_compiled: weakref.WeakKeyDictionary[Backbone, dict[Any, Tap]] = weakref.WeakKeyDictionary()


def tap_model(backbone: Backbone, layers: Sequence[str]) -> keras.Model:
    """Builds the intermediate-output model: from the input to the asked layers, and nothing beyond.

    The layers are the backbone's own, so weights are shared and nothing is copied.

    Args:
        backbone: from `load_backbone`.
        layers: layer paths; the outputs come in this order.

    Returns:
        A Keras model with one output a layer: a list, or the tensor itself for one layer.

    Raises:
        LayerNotFoundError: a path is unknown.
    """
    import keras

    for path in layers:
        find_layer(backbone, path)
    outputs = graph_outputs(backbone.model)
    return keras.Model(backbone.model.inputs[0], [outputs[path] for path in layers])


def run_tap(backbone: Backbone, layers: Sequence[str], pooling: str | None, batch: np.ndarray) -> list[np.ndarray]:
    """Runs preprocessed images through the network up to the asked layers and pools inside the graph.

    Args:
        backbone: from `load_backbone`.
        layers: layer paths.
        pooling: "avg", "max", "flatten" or None.
        batch: (n, height, width, 3) float32, from `backbone.prepare`.

    Returns:
        One float32 array a layer: (n, D), or with pooling None the layer's own shape.
    """
    key = (tuple(layers), pooling)
    with _lock:
        tap = _compiled.setdefault(backbone, {}).get(key)
    if tap is None and len(batch) > EAGER_BATCH:
        tap = _remember(backbone, key, _compile(backbone, layers, pooling))
    return (tap or _eager(backbone, layers, pooling))(batch)


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
    import keras
    import tensorflow as tf

    model = tap_model(backbone, layers)
    signature = [tf.TensorSpec((None, *backbone.input_shape), tf.float32)]
    graph = tf.function(
        lambda x: [_pool(y, pooling) for y in keras.tree.flatten(model(x, training=False))],
        input_signature=signature,
    )
    return lambda batch: [y.numpy() for y in graph(tf.convert_to_tensor(batch))]


def _eager(backbone: Backbone, layers: Sequence[str], pooling: str | None) -> Tap:
    import keras

    model = tap_model(backbone, layers)
    return lambda batch: [
        keras.ops.convert_to_numpy(_pool(y, pooling)) for y in keras.tree.flatten(model(batch, training=False))
    ]


def _pool(x: Any, pooling: str | None) -> Any:  # noqa: ANN401 - a Keras tensor
    """Pools a layer's output over everything between batch and channels, as Keras' own pooling layers do."""
    import keras

    x = keras.ops.cast(x, "float32")
    if pooling is None or len(x.shape) <= 2:
        return x
    if pooling == "flatten":
        return keras.ops.reshape(x, (keras.ops.shape(x)[0], -1))
    axes = list(range(1, len(x.shape) - 1))
    return keras.ops.mean(x, axis=axes) if pooling == "avg" else keras.ops.max(x, axis=axes)

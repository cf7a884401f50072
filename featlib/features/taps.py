"""The part of a network from its input to the asked layers, as a function of tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from featlib.errors import FeatlibError
from featlib.models import Backbone, find_layer

Pooling = Literal["avg", "max", "flatten"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)


class Tap(NamedTuple):
    """What is wanted of a network: a layer path, and the pooling "avg", "max", "flatten" or None."""

    layer: str
    pooling: Pooling | None = "avg"


def tap_layers(backbone: Backbone, layers: Sequence[str], *, folded: bool = False) -> Callable[[Any], list[Any]]:
    """Makes the function from images to the outputs of layers; it runs what leads to them, and nothing beyond.

    It works on tensors as they are, and inside a `tf.function`. The layers are the backbone's own: nothing is copied,
    and nothing is added to Keras' graphs, so functions may be made and dropped as often as one likes.

    Args:
        backbone: from `load_backbone`.
        layers: layer paths, at any depth; the outputs come in this order.
        folded: whether batch normalizations are folded into the convolutions before them, which makes a compiled graph
            up to 1.7 times faster; the outputs are the same but for rounding.

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

        outputs = [keras.ops.cast(output, "float32") for output in graph.run(refs, images, folded=folded)]
        return [
            keras.ops.transpose(output, (0, 2, 3, 1)) if info.channels_first else output
            for info, output in zip(infos, outputs, strict=True)
        ]

    return run


def tap_and_pool(backbone: Backbone, taps: Sequence[Tap], *, folded: bool = False) -> Callable[[Any], list[Any]]:
    """Makes the function from images to pooled outputs, one a tap; a layer with several poolings runs once.

    Raises:
        LayerNotFoundError: a path is unknown, or its output cannot be had.
        FeatlibError: a pooling is unknown.
    """
    for tap in taps:
        check_pooling(tap.pooling)
    layers = list(dict.fromkeys(tap.layer for tap in taps))
    run = tap_layers(backbone, layers, folded=folded)

    def run_and_pool(images: Any) -> list[Any]:  # noqa: ANN401 - Keras tensors
        outputs = dict(zip(layers, run(images), strict=True))
        return [_pool(outputs[tap.layer], tap.pooling) for tap in taps]

    return run_and_pool


def run_eagerly(backbone: Backbone, taps: Sequence[Tap], batch: np.ndarray) -> list[np.ndarray]:
    """Runs preprocessed images through the network as Keras does it, without compiling anything.

    Args:
        backbone: from `load_backbone`.
        taps: layers and poolings.
        batch: (n, height, width, channels) float32, from `backbone.prepare`.

    Returns:
        One float32 array a tap: (n, D), or with pooling None the layer's own shape.

    Raises:
        FeatlibError: a layer does not put out one row for each image.
    """
    import keras

    outputs = tap_and_pool(backbone, taps)(keras.ops.convert_to_tensor(batch))
    return check_rows(backbone, taps, [keras.ops.convert_to_numpy(output) for output in outputs], len(batch))


def check_rows(backbone: Backbone, taps: Sequence[Tap], outputs: list[np.ndarray], n: int) -> list[np.ndarray]:
    """Returns the outputs.

    Raises:
        FeatlibError: one of them has not n rows.
    """
    for tap, output in zip(taps, outputs, strict=True):
        if output.shape[:1] != (n,):
            raise FeatlibError(
                f"'{tap.layer}' of '{backbone.name}' puts out {output.shape} for {n} images, which is not one row "
                "for each image. Choose another layer."
            )
    return outputs


def check_pooling(pooling: object) -> None:
    """Raise FeatlibError unless `pooling` is one of `POOLINGS` or None."""
    if pooling is not None and pooling not in POOLINGS:
        raise FeatlibError(f"pooling must be 'avg', 'max', 'flatten' or None. Received: {pooling!r}.")


def _pool(x: Any, pooling: str | None) -> Any:  # noqa: ANN401 - a Keras tensor
    """Pools a layer's output over everything between batch and channels, as Keras' own pooling layers do."""
    import keras

    if pooling is None or len(x.shape) <= 2:
        return x
    if pooling == "flatten":
        return keras.ops.reshape(x, (keras.ops.shape(x)[0], -1))
    axes = list(range(1, len(x.shape) - 1))
    return keras.ops.mean(x, axis=axes) if pooling == "avg" else keras.ops.max(x, axis=axes)

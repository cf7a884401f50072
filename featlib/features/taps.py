"""Run a network from its input to the requested layers, as a function of tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from featlib.checks import choice, flag, instance, sequence, shown
from featlib.errors import FeatlibError
from featlib.models import Backbone, as_backbone, find_layer

Pooling = Literal["avg", "max", "flatten"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)


class Tap(NamedTuple):
    """A requested output: a layer path, and the pooling "avg", "max", "flatten" or None."""

    layer: str
    pooling: Pooling | None = "avg"


def tap_layers(
    backbone: str | Path | Backbone, layers: str | Sequence[str], *, folded: bool = False
) -> Callable[[Any], list[Any]]:
    """Make the function from images to the outputs of layers; it runs only what leads to them.

    It works on eager tensors and inside a `tf.function`. The layers are the backbone's own: nothing is copied or added
    to Keras' graphs, so functions can be made and dropped freely.

    Args:
        backbone: From `load_backbone`, or the name or file of a network.
        layers: Layer paths, at any depth; the outputs come in this order.
        folded: Whether batch normalizations are folded into the convolutions before them, which makes a compiled graph
            up to 1.7 times faster; the outputs are equal up to rounding.

    Returns:
        A function from (n, height, width, channels), as `backbone.prepare` makes it, to one float32 tensor per layer,
        with channels last where the output has height and width.

    Raises:
        LayerNotFoundError: A path is unknown, or the layer has no accessible output.
    """
    flag("folded", folded)
    backbone = as_backbone(backbone)
    infos = [find_layer(backbone, path) for path in as_layers(layers)]
    graph = backbone.graph  # not the backbone, which the returned function must not keep alive
    refs = [ref for _, ref in (graph.targets[info.path] for info in infos) if ref]

    def run(images: Any) -> list[Any]:  # noqa: ANN401 - Keras tensors
        import keras

        outputs = [keras.ops.cast(output, "float32") for output in graph.run(refs, images, folded=folded)]
        return [
            keras.ops.transpose(output, (0, 2, 3, 1)) if info.channels_first else output
            for info, output in zip(infos, outputs, strict=True)
        ]

    return run


def as_layers(layers: str | Sequence[str], *, distinct: bool = False, name: str = "layers") -> list[str]:
    """Return one layer path or several as a list.

    Args:
        layers: The path or paths.
        distinct: Whether none may come twice.
        name: The argument's name.

    Raises:
        FeatlibError: It is neither, there are none, or one comes twice.
    """
    paths = [layers] if isinstance(layers, str) else sequence(name, layers, "a layer path, or several in a list")
    for path in paths:
        instance(name, path, str, "a layer path, or several in a list")
    if not paths:
        raise FeatlibError(f"{name} is empty. Give at least one layer path.")
    if distinct and (twice := [path for i, path in enumerate(paths) if path in paths[:i]]):
        raise FeatlibError(f"{name} must be different from each other. Received twice: {shown(twice[0])}.")
    return paths


def tap_and_pool(backbone: Backbone, taps: Sequence[Tap], *, folded: bool = False) -> Callable[[Any], list[Any]]:
    """Make the function from images to pooled outputs, one per tap; a layer with several poolings runs once.

    Raises:
        LayerNotFoundError: A path is unknown, or the layer has no accessible output.
        FeatlibError: A pooling is unknown.
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
    """Run preprocessed images through the network as Keras does, without compiling anything.

    Args:
        backbone: From `load_backbone`.
        taps: Layers and poolings.
        batch: (n, height, width, channels) float32, from `backbone.prepare`.

    Returns:
        One float32 array per tap: (n, D), or with pooling None the layer's own shape.

    Raises:
        FeatlibError: A layer does not output one row per image.
    """
    import keras

    outputs = tap_and_pool(backbone, taps)(keras.ops.convert_to_tensor(batch))
    return check_rows(backbone, taps, [keras.ops.convert_to_numpy(output) for output in outputs], len(batch))


def check_rows(backbone: Backbone, taps: Sequence[Tap], outputs: list[np.ndarray], n: int) -> list[np.ndarray]:
    """Return the outputs after checking that each has n rows.

    Raises:
        FeatlibError: One has not.
    """
    for tap, output in zip(taps, outputs, strict=True):
        if output.shape[:1] != (n,):
            raise FeatlibError(
                f"'{tap.layer}' of '{backbone.name}' outputs {output.shape} for {n} images, which is not one row "
                "per image. Choose another layer."
            )
    return outputs


def check_pooling(pooling: object) -> None:
    """Raise FeatlibError unless `pooling` is one of `POOLINGS` or None."""
    choice("pooling", pooling, (*POOLINGS, None))


def _pool(x: Any, pooling: str | None) -> Any:  # noqa: ANN401 - a Keras tensor
    """Pool a layer's output over everything between batch and channels, as Keras' own pooling layers do."""
    import keras

    if pooling is None or len(x.shape) <= 2:
        return x
    if pooling == "flatten":
        return keras.ops.reshape(x, (keras.ops.shape(x)[0], -1))
    axes = list(range(1, len(x.shape) - 1))
    return keras.ops.mean(x, axis=axes) if pooling == "avg" else keras.ops.max(x, axis=axes)
